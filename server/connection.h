// The record of a connection: all that an idle one costs (128 bytes; no fiber, no buffer).
//
// It is a fiber::Job: readiness of an idle connection pushes the record to a run queue, a warm
// fiber serves what has arrived, and the record is idle again. If that fiber has to wait, readiness
// makes the fiber ready instead. One atomic word decides who acts; see server/DESIGN.md
// [http.record].
//
//   kFree     in the slab's free list                         -> kIdle by adopt()
//   kIdle     nobody runs; readable edge                      -> kRunning, the job is pushed
//             deadline passed, or drain                       -> kClosing
//   kRunning  a job in a queue, or a fiber that runs          -> kIdle, kReading, kWriting,
//   kClosing
//             an edge only leaves its bit; the CAS that leaves kRunning refuses while it is set
//   kReading  the fiber in `fiber` is parked for input        -> kRunning, the fiber is pushed
//   kWriting  the same, for room to send
//   kClosing  in the home poller's closing queue              -> kFree
//
// Threads: the state by anyone who holds the right to the transition; `fiber` by the one who parks,
// read by the one who wins the wake; wheel links and generation under the home poller's lock; the
// rest is written by adopt() only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/fiber/netpoll.h"

namespace tailrace::http {

class Poller;
class Service;

class alignas(64) Connection final : public fiber::Job {
 public:
  enum Mode : std::uint32_t { kFree, kIdle, kRunning, kReading, kWriting, kClosing };
  static constexpr std::uint32_t kModeMask = 7;
  static constexpr std::uint32_t kReadEdge = 8;    // input, or the peer's end, since the last look
  static constexpr std::uint32_t kWriteEdge = 16;  // room to send since the last look
  static constexpr std::uint32_t kHangUp = 32;     // sticky: the peer's end (or an error) was seen
  static constexpr std::uint32_t kExpired = 64;    // the deadline passed while the fiber waited

  enum class Wake { kNothing, kJob, kFiber };

  // --- The poller's side ------------------------------------------------------------------------

  // An epoll event. Says what the caller has to push; it has won the right to do so.
  Wake on_event(bool readable, bool writable, bool hang_up) noexcept {
    const std::uint32_t bits = (readable || hang_up ? kReadEdge : 0) |
                               (writable || hang_up ? kWriteEdge : 0) | (hang_up ? kHangUp : 0);
    // Acquire pairs with the release in leave_running(): who wakes a fiber sees `fiber`, and who
    // pushes the job sees all that the last fiber wrote.
    std::uint32_t state = state_.load(std::memory_order_acquire);
    for (;;) {
      std::uint32_t next = state | bits;
      Wake wake = Wake::kNothing;
      switch (state & kModeMask) {
        case kIdle:
          if ((bits & kReadEdge) == 0) return Wake::kNothing;  // room to send concerns nobody
          next = kRunning | ((state | bits) & kHangUp);
          wake = Wake::kJob;
          break;
        case kReading:
          if ((bits & kReadEdge) != 0) {
            next = kRunning | ((state | bits) & ~(kModeMask | kReadEdge));
            wake = Wake::kFiber;
          }
          break;
        case kWriting:
          if ((bits & kWriteEdge) != 0) {
            next = kRunning | ((state | bits) & ~(kModeMask | kWriteEdge));
            wake = Wake::kFiber;
          }
          break;
        case kRunning:
          break;
        default:
          return Wake::kNothing;
      }
      // Acquire as above; release pairs with the acquire of leave_running() and resumed().
      if (state_.compare_exchange_weak(state, next, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        return wake;
      }
    }
  }

  // The deadline has passed. kJob means here: it was idle and is closing now.
  Wake on_deadline() noexcept {
    // Acquire: as in on_event().
    std::uint32_t state = state_.load(std::memory_order_acquire);
    for (;;) {
      std::uint32_t next;
      Wake wake;
      switch (state & kModeMask) {
        case kIdle:
          next = kClosing;
          wake = Wake::kJob;
          break;
        case kReading:
        case kWriting:
          next = kRunning | kExpired | (state & ~kModeMask);
          wake = Wake::kFiber;
          break;
        default:
          return Wake::kNothing;
      }
      // As in on_event().
      if (state_.compare_exchange_weak(state, next, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        return wake;
      }
    }
  }

  // For drain. True: it is closing now, and the caller's to close.
  bool close_if_idle() noexcept {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & kModeMask) == kIdle) {
      // Acquire: as in on_event().
      if (state_.compare_exchange_weak(state, kClosing, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // --- The session's side, in kRunning only -----------------------------------------------------

  // kRunning -> mode, unless an edge in `edges` came since the last look: then that edge is cleared
  // and the caller goes on. After true is returned the record belongs to others.
  bool leave_running(Mode mode, std::uint32_t edges) noexcept {
    // Relaxed: the exchange below decides.
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    for (;;) {
      const bool stay = (state & edges) != 0;
      const std::uint32_t next = stay ? state & ~edges : (state & ~(kModeMask | kExpired)) | mode;
      // Release pairs with the acquire of on_event() and on_deadline(); acquire pairs with their
      // release: who goes on because of an edge sees what came with it.
      if (state_.compare_exchange_weak(state, next, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
        return !stay;
      }
    }
  }
  bool try_idle() noexcept { return leave_running(kIdle, kReadEdge); }

  // True if the last wait ended because its deadline had passed. Relaxed: the bit was set by the
  // one who made this fiber ready, which orders it; only this fiber clears it.
  bool expired() const noexcept { return (state_.load(std::memory_order_relaxed) & kExpired) != 0; }
  void clear_expired() noexcept { state_.fetch_and(~kExpired, std::memory_order_relaxed); }
  // Relaxed: a hang-up that is missed here has left kReadEdge too, and is met at leave_running().
  bool hung_up() const noexcept { return (state_.load(std::memory_order_relaxed) & kHangUp) != 0; }

  // The deadline moves away (or stays): one store. Moving it nearer takes Poller::arm().
  // Relaxed: the wheel reads whichever value is there when the slot comes round.
  void extend_deadline(std::uint64_t tick) noexcept {
    deadline_tick_.store(tick, std::memory_order_relaxed);
  }

  int fd() const noexcept { return fd_; }
  Poller& home() const noexcept { return *home_; }
  Service& service() const noexcept { return *service_; }

  fiber::Fiber* waiter = nullptr;  // parked; written before leave_running(kReading or kWriting)
  std::uint32_t requests = 0;      // served; by the running fiber

 private:
  friend class Poller;
  friend class Wheel;

  Mode mode() const noexcept {
    // Relaxed: a hint for statistics and drain; transitions are exchanges.
    return static_cast<Mode>(state_.load(std::memory_order_relaxed) & kModeMask);
  }

  std::atomic<std::uint32_t> state_{kFree};
  int fd_ = -1;
  std::atomic<std::uint64_t> deadline_tick_{0};
  Poller* home_ = nullptr;
  Service* service_ = nullptr;
  Connection* next_ = nullptr;  // free list, or closing queue
  // Wheel links, as indexes into the slab.
  std::uint32_t wheel_next_ = 0;
  std::uint32_t wheel_previous_ = 0;
  std::uint32_t wheel_slot_ = 0;
  std::uint32_t index_ = 0;
  // Counts the lives of this record: an event of an earlier life is known by it and dropped.
  std::uint32_t generation_ = 0;
};

static_assert(sizeof(Connection) == 128);

}  // namespace tailrace::http
