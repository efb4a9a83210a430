// See escape_warnings.h.
#include "server/escape_warnings.h"

#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <utility>

#include "gcruntime/gc/escape_report.h"

namespace tailrace::http {
namespace {

// A free one has no label. More routes at once than slots: the rest comes with its next alarm.
struct Slot {
  std::atomic<int> percent{0};
  std::atomic<const char*> label{nullptr};
};
constinit std::array<Slot, 16> slots;

void note(const char* label, double share) {
  for (Slot& slot : slots) {
    const char* expected = nullptr;
    // Relaxed: the percent of a slot that another alarm takes just now may be told with that one's label. Both
    // are over the bound, and the line is for people.
    if (slot.label.load(std::memory_order_relaxed) != nullptr) continue;
    slot.percent.store(static_cast<int>(std::lround(share * 100)), std::memory_order_relaxed);
    // Release pairs with tell()'s acquire: the percent.
    if (slot.label.compare_exchange_strong(expected, label, std::memory_order_release,
                                           std::memory_order_relaxed)) {
      return;
    }
  }
}

}  // namespace

EscapeWarnings::EscapeWarnings(Log log) : log_(std::move(log)) { gc::set_escape_alarm(&note); }

EscapeWarnings::~EscapeWarnings() { gc::set_escape_alarm(nullptr); }

void EscapeWarnings::tell() {
  for (Slot& slot : slots) {
    // Acquire pairs with note()'s release.
    const char* const label = slot.label.load(std::memory_order_acquire);
    if (label == nullptr) continue;
    const int percent = slot.percent.load(std::memory_order_relaxed);
    // Release: the percent has been read before another alarm takes the slot.
    slot.label.store(nullptr, std::memory_order_release);
    const std::string line =
        "warning: " + std::to_string(percent) + " % of what requests of " + label +
        " allocate in their arenas escapes to the collected heap; publish what is to be kept "
        "(gc::publish), or give the route .arena = false; /debug/arenas shows where it escapes";
    if (log_) {
      log_(line);
    } else {
      std::fprintf(stderr, "tailrace: %s\n", line.c_str());
    }
  }
}

}  // namespace tailrace::http
