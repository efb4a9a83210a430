// A timing wheel over the connections of one poller: slots of 2^26 ns (67 ms), 1024 of them.
//
// Lazy: a connection is linked once and its deadline is a word that the session overwrites. When
// its slot comes round the deadline is read: passed, it expires; else it is linked again where it
// belongs, or at the horizon (68 s). So an active keep-alive connection costs one store a request
// and one relink a minute. Only a deadline that moves nearer is relinked at once (Poller::arm). All
// of it under the poller's lock.
#pragma once

#include <array>
#include <cstdint>

#include "server/connection.h"

namespace tailrace::http {

class Wheel {
 public:
  static constexpr unsigned kTickShift = 26;
  static constexpr std::uint32_t kSlots = 1024;
  static constexpr std::uint64_t kNever = UINT64_MAX;

  static std::uint64_t tick_at(std::int64_t time_ns) noexcept {
    return static_cast<std::uint64_t>(time_ns) >> kTickShift;
  }
  // The first tick at which a deadline has certainly passed.
  static std::uint64_t deadline_tick(std::int64_t deadline_ns) noexcept {
    return tick_at(deadline_ns) + 1;
  }
  static std::int64_t tick_begin_ns(std::uint64_t tick) noexcept {
    return static_cast<std::int64_t>(tick << kTickShift);
  }

  Wheel(Connection* records, std::uint64_t now_tick) noexcept : records_(records), now_(now_tick) {
    heads_.fill(kNone);
  }

  // Where its deadline is, or at the horizon.
  void link(Connection& connection) noexcept;
  // So many ticks from now.
  void link_at(Connection& connection, std::uint64_t ticks) noexcept {
    insert(connection, now_ + ticks);
  }
  void unlink(Connection& connection) noexcept;
  // The tick of the first slot in use, or kNever.
  std::uint64_t next_tick() const noexcept;

  // Visits the slots up to now_tick. `expire(connection)` is called for each connection whose
  // deadline has passed, unlinked; it returns false to stop (the connection is linked again and
  // visited next time). It may link the connection.
  template <typename Expire>
  void advance(std::uint64_t now_tick, Expire expire) noexcept {
    // Slept over a whole turn: every slot is due once.
    if (now_tick > now_ + kSlots) now_ = now_tick - kSlots;
    while (now_ < now_tick) {
      const std::uint64_t next = next_tick();
      if (next > now_tick) {
        now_ = now_tick;
        return;
      }
      now_ = next;
      const std::uint32_t slot = static_cast<std::uint32_t>(next % kSlots);
      // Taken off first: what is linked meanwhile goes to later slots.
      std::uint32_t index = heads_[slot];
      heads_[slot] = kNone;
      clear_bit(slot);
      while (index != kNone) {
        Connection& connection = records_[index];
        index = connection.wheel_next_;
        connection.wheel_slot_ = kNone;
        // Relaxed: see Connection::extend_deadline.
        if (connection.deadline_tick_.load(std::memory_order_relaxed) > now_) {
          link(connection);
        } else if (!expire(connection)) {
          link(connection);
          while (index != kNone) {
            Connection& rest = records_[index];
            index = rest.wheel_next_;
            rest.wheel_slot_ = kNone;
            link(rest);
          }
          return;
        }
      }
    }
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  void insert(Connection& connection, std::uint64_t tick) noexcept;
  void set_bit(std::uint32_t slot) noexcept { used_[slot / 64] |= std::uint64_t{1} << (slot % 64); }
  void clear_bit(std::uint32_t slot) noexcept {
    used_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }

  Connection* const records_;
  std::uint64_t now_;  // slots up to here have been visited
  std::array<std::uint32_t, kSlots> heads_;
  std::array<std::uint64_t, kSlots / 64> used_{};
};

}  // namespace tailrace::http
