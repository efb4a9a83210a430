// See progress_line.h.
#include "loadtest/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "loadtest/quantity.h"

namespace tailrace::loadtest {
namespace {

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

}  // namespace

ProgressLine::Mode ProgressLine::mode_for(const std::string& tui, bool quiet) {
  if (quiet) return Mode::kSilent;
  const char* terminal = std::getenv("TERM");
  const bool live = tui == "auto" && ::isatty(STDERR_FILENO) != 0 && terminal != nullptr &&
                    std::strcmp(terminal, "dumb") != 0;
  return live ? Mode::kLive : Mode::kLines;
}

void ProgressLine::say(const std::string& line) {
  if (mode_ == Mode::kSilent) return;
  clear();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void ProgressLine::show(double rate, const Progress& progress) {
  if (mode_ != Mode::kLive) return;
  std::string line =
      progress.second < 0 ? std::string("warm-up") : std::to_string(progress.second + 1) + " s";
  line += "  " + print_rate(rate) + "/s  done " + print_count(progress.counts.completed) +
          "  in flight " + print_count(progress.in_flight);
  if (progress.p99_ns > 0) {
    line += "  p50 " + print_duration(progress.p50_ns) + "  p99 " + print_duration(progress.p99_ns);
  }
  const Counts& counts = progress.counts;
  if (const std::uint64_t lost = counts.dropped + counts.timed_out + counts.failed; lost > 0) {
    line += "  lost " + print_count(lost);
  }
  if (line.size() >= terminal_columns()) line.resize(terminal_columns() - 1);
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  shown_ = true;
}

void ProgressLine::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace tailrace::loadtest
