// See gc_settings.h.
#include "server/gc_settings.h"

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/mutator.h"
#include "server/cgroup.h"

namespace tailrace::http {
namespace {

constexpr const char* kByDefault = "default";
constexpr const char* kByCgroup = "cgroup";
constexpr const char* kByRequest = "PUT /debug/gc/settings";
constexpr const char* kByProgram = "program";
constexpr std::uint64_t kLeastHeapBytes = std::uint64_t{1} << 20;
static_assert(kOff == gc::kNoMemoryLimit);

}  // namespace

GcSettings::GcSettings()
    : percent_(gc::read_mem_stats().gc_percent),
      memory_limit_(gc::memory_limit()),
      percent_from_(kByDefault),
      memory_limit_from_(kByDefault) {}

// In a native scope, all: who waits for the lock must not hold up a collection.
void GcSettings::begin(const Config& config) {
  gc::native([&] {
    const std::lock_guard lock(mutex_);
    percent_ = config.gc_percent;
    percent_from_ = config.source_of("gc-percent");
    memory_limit_ = config.memory_limit;
    const bool by_cgroup = !config.given("memory-limit") && memory_limit_ != kOff;
    memory_limit_from_ = by_cgroup ? kByCgroup : config.source_of("memory-limit");
    gc::set_memory_limit(memory_limit_);
  });
}

std::optional<std::uint64_t> GcSettings::follow_cgroup(std::optional<std::uint64_t> group_bytes) {
  const std::uint64_t wanted = group_bytes ? soft_limit_of(*group_bytes) : kOff;
  std::optional<std::uint64_t> changed;
  gc::native([&] {
    const std::lock_guard lock(mutex_);
    const bool free = memory_limit_from_ == kByDefault || memory_limit_from_ == kByCgroup;
    if (!free || gc::memory_limit() != memory_limit_ || wanted == memory_limit_) return;
    memory_limit_ = wanted;
    memory_limit_from_ = group_bytes ? kByCgroup : kByDefault;
    gc::set_memory_limit(wanted);
    changed = wanted;
  });
  return changed;
}

std::optional<std::string> GcSettings::change(std::optional<int> percent,
                                              std::optional<std::uint64_t> memory_limit) {
  if (memory_limit) {
    gc::refresh_accounts();
    const std::uint64_t beside = gc::non_heap_bytes();
    // Below that every allocation would be refused, whatever is released.
    if (*memory_limit < beside + kLeastHeapBytes) {
      return "the process has " + std::to_string(beside) + " bytes beside its heap; expected " +
             std::to_string(kLeastHeapBytes) + " more than that, or -1 (off)";
    }
  }
  gc::native([&] {
    const std::lock_guard lock(mutex_);
    if (percent) {
      percent_ = *percent;
      percent_from_ = kByRequest;
      gc::set_percent(percent_);
    }
    if (memory_limit) {
      memory_limit_ = *memory_limit;
      memory_limit_from_ = kByRequest;
      gc::set_memory_limit(memory_limit_);
    }
  });
  return std::nullopt;
}

GcSettings::View GcSettings::view() const {
  View view;
  view.percent = gc::read_mem_stats().gc_percent;
  view.memory_limit = gc::memory_limit();
  gc::native([&] {
    const std::lock_guard lock(mutex_);
    view.percent_from = view.percent == percent_ ? percent_from_ : kByProgram;
    view.memory_limit_from = view.memory_limit == memory_limit_ ? memory_limit_from_ : kByProgram;
  });
  return view;
}

}  // namespace tailrace::http
