// See wheel.h.
#include "server/wheel.h"

#include <algorithm>
#include <bit>

namespace tailrace::http {

void Wheel::link(Connection& connection) noexcept {
  // Relaxed: see Connection::extend_deadline. Never the slot that is being visited.
  const std::uint64_t deadline = connection.deadline_tick_.load(std::memory_order_relaxed);
  insert(connection, std::clamp(deadline, now_ + 1, now_ + kSlots - 1));
}

void Wheel::insert(Connection& connection, std::uint64_t tick) noexcept {
  const std::uint32_t slot = static_cast<std::uint32_t>(tick % kSlots);
  const std::uint32_t head = heads_[slot];
  connection.wheel_next_ = head;
  connection.wheel_previous_ = kNone;
  connection.wheel_slot_ = slot;
  if (head != kNone) records_[head].wheel_previous_ = connection.index_;
  heads_[slot] = connection.index_;
  set_bit(slot);
}

void Wheel::unlink(Connection& connection) noexcept {
  const std::uint32_t slot = connection.wheel_slot_;
  if (slot == kNone) return;
  if (connection.wheel_previous_ == kNone) {
    heads_[slot] = connection.wheel_next_;
    if (connection.wheel_next_ == kNone) clear_bit(slot);
  } else {
    records_[connection.wheel_previous_].wheel_next_ = connection.wheel_next_;
  }
  if (connection.wheel_next_ != kNone) {
    records_[connection.wheel_next_].wheel_previous_ = connection.wheel_previous_;
  }
  connection.wheel_slot_ = kNone;
}

std::uint64_t Wheel::next_tick() const noexcept {
  // From the slot behind now_, once around; the first word is met twice, each half once.
  const std::uint32_t first = static_cast<std::uint32_t>((now_ + 1) % kSlots);
  for (std::uint32_t step = 0; step <= kSlots / 64; ++step) {
    const std::uint32_t word = (first / 64 + step) % (kSlots / 64);
    std::uint64_t bits = used_[word];
    if (step == 0) bits &= ~std::uint64_t{0} << (first % 64);
    if (bits != 0) {
      const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
      return now_ + 1 + (slot + kSlots - first) % kSlots;
    }
  }
  return kNever;
}

}  // namespace tailrace::http
