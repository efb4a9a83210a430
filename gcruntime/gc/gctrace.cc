#include "gcruntime/gc/gctrace.h"

#include <unistd.h>

#include <algorithm>

namespace tailrace::gc {
namespace {

// value / 10^decimals, with that many decimals.
void append_scaled(std::string& line, std::uint64_t value, std::size_t decimals) {
  std::string digits = std::to_string(value);
  if (digits.size() <= decimals) digits.insert(0, decimals + 1 - digits.size(), '0');
  if (decimals > 0) digits.insert(digits.size() - decimals, 1, '.');
  line += digits;
}

// Two digits that count, three decimals at most, none from 10 ms on; cut off, not rounded.
void append_ms(std::string& line, std::int64_t ns) {
  const std::uint64_t us = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)) / 1000;
  if (us >= 10'000) return append_scaled(line, us / 1000, 0);
  if (us >= 1000) return append_scaled(line, us / 100, 1);
  if (us >= 100) return append_scaled(line, us / 10, 2);
  if (us > 0) return append_scaled(line, us, 3);
  line += '0';
}

void append_mb(std::string& line, std::uint64_t bytes) { line += std::to_string(bytes >> 20); }

}  // namespace

std::string format_gctrace(const CycleTrace& cycle) {
  std::string line = "gc ";
  line.reserve(192);
  line += std::to_string(cycle.number);
  line += " @";
  append_scaled(
      line, static_cast<std::uint64_t>(std::max<std::int64_t>(cycle.since_start_ns, 0)) / 1'000'000,
      3);
  line += "s ";
  line += std::to_string(static_cast<int>(cycle.gc_cpu_fraction * 100));
  line += "%: ";
  append_ms(line, cycle.begin_ns);
  line += '+';
  append_ms(line, cycle.mark_ns);
  line += '+';
  append_ms(line, cycle.end_ns);
  line += " ms clock, ";
  append_ms(line, cycle.begin_cpu_ns);
  line += '+';
  append_ms(line, cycle.assist_cpu_ns);
  line += '/';
  append_ms(line, cycle.background_cpu_ns);
  line += '/';
  append_ms(line, cycle.idle_cpu_ns);
  line += '+';
  append_ms(line, cycle.end_cpu_ns);
  line += " ms cpu, ";
  append_mb(line, cycle.heap_at_begin);
  line += "->";
  append_mb(line, cycle.heap_at_end);
  line += "->";
  append_mb(line, cycle.heap_live);
  line += " MB, ";
  append_mb(line, cycle.goal);
  line += " MB goal, ";
  append_mb(line, cycle.stacks);
  line += " MB stacks, ";
  append_mb(line, cycle.globals);
  line += " MB globals, ";
  line += std::to_string(cycle.procs);
  line += " P";
  if (cycle.forced) line += " (forced)";
  line += '\n';
  return line;
}

void print_gctrace(const CycleTrace& cycle) {
  const std::string line = format_gctrace(cycle);
  // A trace that cannot be written is lost: nobody could be told.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace tailrace::gc
