// What one mutator has shaded and no marker has seen. By its thread inside a flagged section, or by the
// collector for a thread that it has claimed: never by both at once.
//
// Small: what stays here keeps a cycle from ending. It holds no chunk, so that idle threads hold no memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/mark_queue.h"

namespace tailrace::gc {

class GreyBuffer {
 public:
  static constexpr std::size_t kSlots = 62;

  // A scanned object whose mark bit the caller has set (mark_object said so).
  void push(std::uintptr_t slot) noexcept {
    slots_[count_++] = slot;
    if (count_ == kSlots) [[unlikely]]
      flush(MarkQueue::instance());
  }
  bool empty() const noexcept { return count_ == 0; }
  // Hands everything to the markers.
  void flush(MarkQueue& queue) noexcept {
    if (count_ == 0) return;
    queue.add(slots_, count_);
    count_ = 0;
  }

 private:
  std::size_t count_ = 0;
  std::uintptr_t slots_[kSlots];
};

}  // namespace tailrace::gc
