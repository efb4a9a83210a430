// Channel<T>: a bounded line of values between fibers (and threads). Capacity 0 is a rendezvous: a
// send is done when somebody receives. First come, first served on both sides.
//
//   Channel<Order> orders(16);
//   spawn([&] { while (more()) orders.send(next()); orders.close(); });
//   for (Order& order : orders) serve(order);
//
// Receiving from a closed channel yields what is left in it, then nothing; sending to one does
// nothing and says so. Closing twice is allowed (several producers may each do it).
//
// T moves without throwing, suspending or allocating; it may be or hold managed pointers
// (element.h). A channel lies anywhere but in managed objects, and outlives its use: it is
// destroyed when nobody waits on it, and the values left in it go with it. One whose T may hold
// pointers is made and used by attached threads only. What was written before a send is visible
// after the receive, what was before a close() after a receive that says closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "gcruntime/base/check.h"
#include "gcruntime/sync/channel_core.h"
#include "gcruntime/sync/context.h"
#include "gcruntime/sync/element.h"

namespace tailrace::fiber {

// What a receive brought: a value, or why there is none. For stacks, as a bare handle is.
template <typename T>
class Received {
 public:
  Received() noexcept {}  // NOLINT(modernize-use-equals-default): the union
  Received(Received&& other) noexcept : status_(other.status_) {
    if (*this) std::construct_at(&value_, std::move(other.value_));
  }
  Received& operator=(Received&& other) noexcept {
    if (this != &other) {
      reset();
      if (other) std::construct_at(&value_, std::move(other.value_));
      status_ = other.status_;
    }
    return *this;
  }
  ~Received() { reset(); }

  explicit operator bool() const noexcept { return status_ == ChannelStatus::kOk; }
  ChannelStatus status() const noexcept { return status_; }
  T& operator*() noexcept {
    TAILRACE_CHECK(*this, "nothing was received: look at the Received, or its status(), first");
    return value_;
  }
  T* operator->() noexcept { return &**this; }

  // For channels: room for a value, and whether there is one now.
  void* room() noexcept { return &value_; }
  void set_status(ChannelStatus status) noexcept { status_ = status; }

 private:
  void reset() noexcept {
    if (*this) std::destroy_at(&value_);
    status_ = ChannelStatus::kWouldBlock;
  }
  ChannelStatus status_ = ChannelStatus::kWouldBlock;
  union {
    T value_;  // NOLINT(readability-identifier-naming): private, though the union is not
  };
};

template <typename T>
class Channel {
 public:
  using value_type = T;
  static constexpr std::size_t kMaxCapacity = std::size_t{1} << 24;
  static constexpr std::int64_t kNever = ClaimedWait::kNever;

  explicit Channel(std::size_t capacity = 0)
      : ring_(checked(capacity)), core_(internal::Element<T>::kOps, ring_.memory(), capacity) {}
  ~Channel() {
    core_.check_idle();
    while (core_.size() > 0) {
      Received<T> left;
      left.set_status(core_.try_operate(internal::Side::kReceive, left.room()));
    }
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // --- Sending. kOk or a reason; a value given by && is left as it was unless kOk. ---
  // Suspends while it is full.
  ChannelStatus send(T&& value) { return send_until(std::move(value), kNever); }
  ChannelStatus send(const T& value) { return send(T(value)); }
  ChannelStatus send_until(T&& value, std::int64_t deadline_ns) {
    internal::check_attached<T>();
    internal::hand_over(value);
    return core_.operate(internal::Side::kSend, &value, deadline_ns);
  }
  ChannelStatus send_until(const T& value, std::int64_t deadline_ns) {
    return send_until(T(value), deadline_ns);
  }
  ChannelStatus send_for(T&& value, std::int64_t timeout_ns) {
    return send_until(std::move(value), deadline_after(timeout_ns));
  }
  ChannelStatus send_for(const T& value, std::int64_t timeout_ns) {
    return send_for(T(value), timeout_ns);
  }
  ChannelStatus send(const Context& context, T&& value) {
    internal::check_attached<T>();
    internal::hand_over(value);
    return under(context, internal::Side::kSend, &value);
  }
  ChannelStatus send(const Context& context, const T& value) { return send(context, T(value)); }
  // Does not suspend.
  ChannelStatus try_send(T&& value) {
    internal::check_attached<T>();
    internal::hand_over(value);
    return core_.try_operate(internal::Side::kSend, &value);
  }
  ChannelStatus try_send(const T& value) { return try_send(T(value)); }

  // --- Receiving. ---
  // Suspends while it is empty and not closed.
  Received<T> receive() { return receive_until(kNever); }
  Received<T> receive_until(std::int64_t deadline_ns) {
    internal::check_attached<T>();
    Received<T> result;
    result.set_status(core_.operate(internal::Side::kReceive, result.room(), deadline_ns));
    return result;
  }
  Received<T> receive_for(std::int64_t timeout_ns) {
    return receive_until(deadline_after(timeout_ns));
  }
  Received<T> receive(const Context& context) {
    internal::check_attached<T>();
    Received<T> result;
    result.set_status(under(context, internal::Side::kReceive, result.room()));
    return result;
  }
  // Does not suspend.
  Received<T> try_receive() {
    internal::check_attached<T>();
    Received<T> result;
    result.set_status(core_.try_operate(internal::Side::kReceive, result.room()));
    return result;
  }

  // Whoever waits to send is told kClosed, whoever waits to receive as well. True if it was open.
  bool close() { return core_.close(); }
  bool closed() const noexcept { return core_.closed(); }
  std::size_t capacity() const noexcept { return core_.capacity(); }
  std::size_t size() const noexcept { return core_.size(); }  // an estimate

  // Receives until it is closed and drained. The value is good until the next step.
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    explicit iterator(Channel* channel) : channel_(channel), now_(channel->receive()) {}
    T& operator*() { return *now_; }
    T* operator->() { return &*now_; }
    iterator& operator++() {
      now_ = channel_->receive();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& self, std::default_sentinel_t) { return !self.now_; }

   private:
    Channel* channel_;
    Received<T> now_;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

  // For select.
  internal::ChannelCore& core() noexcept { return core_; }

 private:
  static std::size_t checked(std::size_t capacity) {
    TAILRACE_CHECK_VALUE(capacity <= kMaxCapacity, "a channel's capacity is at most 2^24",
                         capacity);
    return capacity;
  }
  // A context that has ended goes first, so that a loop over a channel that is never empty ends.
  ChannelStatus under(const Context& context, internal::Side side, void* slot) {
    if (const ContextError ended = context.error(); ended != ContextError::kNone) {
      return internal::status_of(ended);
    }
    internal::Case cases[2];
    cases[0].channel = &core_;
    cases[0].side = side;
    cases[0].slot = slot;
    context.fill(cases[1]);
    if (internal::select_cases(cases, 2, false) == 0) return cases[0].status;
    return internal::status_of(context.error());
  }

  internal::Ring<T> ring_;
  internal::ChannelCore core_;
};

}  // namespace tailrace::fiber
