// select: does one of several operations, whichever is ready; if several are, each is as likely; if
// none is, it waits, or does `otherwise`. Then the handler of the case that was done runs, on the
// calling fiber, holding nothing: it may suspend. Returns the case's index.
//
//   fiber::select(on_receive(orders, [&](Received<Order> order) { ... }),
//                 on_send(replies, std::move(reply), [&](ChannelStatus status) { ... }),
//                 on_done(context, [&](ContextError error) { ... }),
//                 on_timeout(5'000'000, [&] { ... }),
//                 otherwise([&] { ... }));
//
// A closed channel is ready: the handler sees kClosed. A null Channel* is never ready. A value
// given by && is left as it was unless its case is done. All handlers may be left out.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "gcruntime/sync/alarm.h"
#include "gcruntime/sync/channel.h"

namespace tailrace::fiber {

namespace internal {

struct Ignore {
  template <typename... Args>
  void operator()(Args&&...) const noexcept {}
};

template <typename T, typename F>
struct ReceiveCase {
  static constexpr bool kDefault = false;
  Channel<T>* channel;
  F handler;
  Received<T> result{};

  void fill(Case& one) noexcept {
    if (channel == nullptr) return;
    check_attached<T>();
    one.channel = &channel->core();
    one.side = Side::kReceive;
    one.slot = result.room();
  }
  void run(ChannelStatus status) {
    result.set_status(status);
    handler(std::move(result));
  }
};

// V is T, or T&& to leave a value where it is.
template <typename T, typename V, typename F>
struct SendCase {
  static constexpr bool kDefault = false;
  Channel<T>* channel;
  V value;
  F handler;

  void fill(Case& one) noexcept {
    if (channel == nullptr) return;
    check_attached<T>();
    hand_over(value);
    one.channel = &channel->core();
    one.side = Side::kSend;
    one.slot = &value;
  }
  void run(ChannelStatus status) { handler(status); }
};

template <typename F>
struct DoneCase {
  static constexpr bool kDefault = false;
  const Context& context;
  F handler;

  void fill(Case& one) noexcept { context.fill(one); }
  void run(ChannelStatus) { handler(context.error()); }
};

template <typename F>
struct TimeoutCase {
  static constexpr bool kDefault = false;
  std::int64_t deadline_ns;
  F handler;

  void fill(Case& one) noexcept { one.deadline_ns = deadline_ns; }
  void run(ChannelStatus) { handler(); }
};

template <typename F>
struct AlarmCase {
  static constexpr bool kDefault = false;
  AlarmCore& alarm;
  F handler;
  std::int64_t fired_ns = 0;

  void fill(Case& one) noexcept { alarm.fill(one, &fired_ns); }
  void run(ChannelStatus) {
    alarm.taken();
    handler(fired_ns);
  }
};

template <typename F>
struct DefaultCase {
  static constexpr bool kDefault = true;
  F handler;

  void fill(Case&) noexcept {}
  void run(ChannelStatus) { handler(); }
};

template <typename C>
concept SelectCase = requires(C& one, Case& filled) {
  { C::kDefault } -> std::convertible_to<bool>;
  one.fill(filled);
  one.run(ChannelStatus::kOk);
};

}  // namespace internal

template <typename T, typename F = internal::Ignore>
internal::ReceiveCase<T, F> on_receive(Channel<T>& channel, F handler = {}) {
  return {&channel, std::move(handler)};
}
template <typename T, typename F = internal::Ignore>
internal::ReceiveCase<T, F> on_receive(Channel<T>* channel, F handler = {}) {
  return {channel, std::move(handler)};
}
template <typename T, typename F = internal::Ignore>
internal::SendCase<T, T&&, F> on_send(Channel<T>& channel, std::type_identity_t<T>&& value,
                                      F handler = {}) {
  return {&channel, std::move(value), std::move(handler)};
}
template <typename T, typename F = internal::Ignore>
internal::SendCase<T, T, F> on_send(Channel<T>& channel, const std::type_identity_t<T>& value,
                                    F handler = {}) {
  return {&channel, T(value), std::move(handler)};
}
template <typename T, typename F = internal::Ignore>
internal::SendCase<T, T&&, F> on_send(Channel<T>* channel, std::type_identity_t<T>&& value,
                                      F handler = {}) {
  return {channel, std::move(value), std::move(handler)};
}
template <typename T, typename F = internal::Ignore>
internal::SendCase<T, T, F> on_send(Channel<T>* channel, const std::type_identity_t<T>& value,
                                    F handler = {}) {
  return {channel, T(value), std::move(handler)};
}
template <typename F = internal::Ignore>
internal::DoneCase<F> on_done(const Context& context, F handler = {}) {
  return {context, std::move(handler)};
}
template <typename F = internal::Ignore>
internal::TimeoutCase<F> on_timeout(std::int64_t timeout_ns, F handler = {}) {
  return {deadline_after(timeout_ns), std::move(handler)};
}
template <typename F = internal::Ignore>
internal::TimeoutCase<F> on_deadline(std::int64_t deadline_ns, F handler = {}) {
  return {deadline_ns, std::move(handler)};
}
// An Alarm or a Ticker; the handler gets the time at which it fired.
template <typename F = internal::Ignore>
internal::AlarmCase<F> on_alarm(internal::AlarmCore& alarm, F handler = {}) {
  return {alarm, std::move(handler)};
}
template <typename F = internal::Ignore>
internal::DefaultCase<F> otherwise(F handler = {}) {
  return {std::move(handler)};
}

template <internal::SelectCase... Cases>
std::size_t select(Cases&&... cases) {
  constexpr std::size_t kCount = sizeof...(Cases);
  static_assert(kCount > 0 && kCount <= internal::kMaxCases, "a select has 1 to 32 cases");
  constexpr std::size_t kDefaults = (std::size_t{Cases::kDefault} + ...);
  static_assert(kDefaults <= 1, "a select has one `otherwise` at most");
  internal::Case filled[kCount];
  std::size_t index = 0;
  std::size_t default_index = 0;
  ((Cases::kDefault ? void(default_index = index) : cases.fill(filled[index]), ++index), ...);
  std::size_t chosen = internal::select_cases(filled, kCount, kDefaults == 1);
  if (chosen == kCount) chosen = default_index;
  index = 0;
  ((index == chosen ? cases.run(filled[index].status) : void(), ++index), ...);
  return chosen;
}

}  // namespace tailrace::fiber
