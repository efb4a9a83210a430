// See poller.h.
#include "server/poller.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <new>

#include "gcruntime/base/check.h"
#include "gcruntime/os/clock.h"
#include "server/limits.h"
#include "server/socket.h"

namespace tailrace::http {
namespace {

// The eventfd's mark in an event; indexes of records are smaller.
constexpr std::uint64_t kWakeMark = UINT64_MAX;
constexpr std::uint32_t kInterest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

Connection* map_records(std::size_t capacity) {
  void* memory = ::mmap(nullptr, capacity * sizeof(Connection), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TAILRACE_CHECK(memory != MAP_FAILED, "no address space for connection records");
  return static_cast<Connection*>(memory);
}

}  // namespace

void Poller::Lock::lock() noexcept {
  for (unsigned tries = 0; !try_lock(); ++tries) {
    if (tries < 64) {
      __builtin_ia32_pause();
    } else {
      ::sched_yield();  // the holder may have lost its CPU
    }
  }
}

Poller::Poller(std::size_t capacity, void (*serve)(fiber::Job* job))
    : records_(map_records(capacity)),
      capacity_(capacity),
      serve_(serve),
      wheel_(records_, Wheel::tick_at(os::now_ns())) {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  TAILRACE_CHECK_VALUE(epoll_fd_ >= 0 && event_fd_ >= 0,
                       "no descriptors left for a worker's poller: raise ulimit -n", errno);
  epoll_event event{};
  // Level-triggered, and read by the owner only: a rescuer that sees it takes nothing away.
  event.events = EPOLLIN;
  event.data.u64 = kWakeMark;
  TAILRACE_CHECK_VALUE(::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, event_fd_, &event) == 0,
                       "epoll refuses an eventfd", errno);
  asio_.emplace(*this, epoll_fd_);
}

Poller::~Poller() {
  asio_.reset();  // it watches our epoll
  // The workers have ended: what is left here has no fiber.
  for (std::size_t i = 0; i < used_; ++i) {
    if (records_[i].mode() != Connection::kFree) close_socket(records_[i].fd_);
  }
  ::munmap(records_, capacity_ * sizeof(Connection));
  ::close(event_fd_);
  ::close(epoll_fd_);
}

void Poller::poll(std::int64_t timeout_ns, fiber::ReadyList& ready) {
  bool asio_under_way = false;
  if (asio_->used()) [[unlikely]] {
    const PollerAsio::Work work = asio_->run_ready();
    if (work.ran) timeout_ns = 0;  // fibers are ready
    asio_under_way = work.under_way;
  }
  int timeout_ms = 0;
  if (timeout_ns != 0) {
    lock_.lock();
    const std::uint64_t tick = wheel_.next_tick();
    sleeping_until_tick_ = tick;
    lock_.unlock();
    empty_closing_queue();
    std::int64_t wait_ns = timeout_ns < 0 ? INT64_MAX : timeout_ns;
    if (tick != Wheel::kNever) {
      wait_ns = std::clamp<std::int64_t>(Wheel::tick_begin_ns(tick) - os::now_ns(), 0, wait_ns);
    }
    // Up, so that the tick has begun when it returns. Bounded by an hour.
    constexpr std::int64_t kMillisecond = 1'000'000;
    timeout_ms = wait_ns == INT64_MAX
                     ? -1
                     : static_cast<int>(std::min<std::int64_t>(
                           (wait_ns + kMillisecond - 1) / kMillisecond, 3'600'000));
  }
  if (asio_under_way && timeout_ms != 0) [[unlikely]] {
    asio_->wait(timeout_ms);
    timeout_ms = 0;
  }
  epoll_event events[kEventsPerPoll];
  const int count = ::epoll_wait(epoll_fd_, events, kEventsPerPoll, timeout_ms);
  lock_.lock();
  sleeping_until_tick_ = 0;
  const bool woken = dispatch(events, count, ready);
  // Exact only when the wheel may have ended the wait: a coarse clock that lags behind it would
  // make the next wait end at once, and again.
  advance(count > 0 ? os::coarse_now_ns() : os::now_ns(), ready);
  lock_.unlock();
  empty_closing_queue();
  if (woken) {
    std::uint64_t wakes;
    [[maybe_unused]] const ssize_t got = ::read(event_fd_, &wakes, sizeof wakes);
  }
}

bool Poller::rescue(fiber::ReadyList& ready) {
  if (!lock_.try_lock()) return false;
  epoll_event events[kEventsPerPoll];
  const int count = ::epoll_wait(epoll_fd_, events, kEventsPerPoll, 0);
  dispatch(events, count, ready);
  advance(os::coarse_now_ns(), ready);
  lock_.unlock();
  empty_closing_queue();
  // Not under the lock: handlers may close and open what they like.
  if (asio_->used()) [[unlikely]]
    asio_->rescue();
  return true;
}

void Poller::wake() noexcept {
  const std::uint64_t one = 1;
  // Fails only if 2^64 - 2 wakes are unread.
  [[maybe_unused]] const ssize_t written = ::write(event_fd_, &one, sizeof one);
}

bool Poller::dispatch(const epoll_event* events, int count, fiber::ReadyList& ready) noexcept {
  bool woken = false;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t mark = events[i].data.u64;
    if (mark == kWakeMark) {
      woken = true;
      continue;
    }
    Connection& connection = records_[static_cast<std::uint32_t>(mark)];
    if (connection.generation_ != mark >> 32) continue;
    const std::uint32_t bits = events[i].events;
    switch (connection.on_event((bits & EPOLLIN) != 0, (bits & EPOLLOUT) != 0,
                                (bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)) {
      case Connection::Wake::kJob:
        ready.push(static_cast<fiber::Job*>(&connection));
        break;
      case Connection::Wake::kFiber:
        ready.push(connection.waiter);
        break;
      case Connection::Wake::kNothing:
        break;
    }
  }
  return woken;
}

void Poller::advance(std::int64_t now_ns, fiber::ReadyList& ready) noexcept {
  wheel_.advance(Wheel::tick_at(now_ns), [&](Connection& connection) {
    if (ready.full()) return false;
    switch (connection.on_deadline()) {
      case Connection::Wake::kJob:
        push_closing(connection);
        return true;
      case Connection::Wake::kFiber:
        ready.push(connection.waiter);
        break;
      case Connection::Wake::kNothing:
        if (connection.mode() == Connection::kClosing) return true;
        break;
    }
    // Whoever runs says the next deadline when it waits again; until then a look each second will
    // do.
    constexpr std::uint64_t kSecondOfTicks = 15;
    wheel_.link_at(connection, kSecondOfTicks);
    return true;
  });
}

bool Poller::adopt(int fd, Service& service, std::int64_t deadline_ns) {
  lock_.lock();
  Connection* record = free_;
  if (record != nullptr) {
    free_ = record->next_;
  } else if (used_ < capacity_) {
    record = new (records_ + used_) Connection;
    record->index_ = static_cast<std::uint32_t>(used_++);
    record->home_ = this;
    record->run = serve_;
  } else {
    lock_.unlock();
    return false;
  }
  const std::uint64_t tick = Wheel::deadline_tick(deadline_ns);
  record->fd_ = fd;
  record->service_ = &service;
  record->requests = 0;
  record->extend_deadline(tick);
  // Relaxed: published by the lock, and by epoll_ctl to whoever gets an event.
  record->state_.store(Connection::kIdle, std::memory_order_relaxed);
  epoll_event event{};
  event.events = kInterest;
  event.data.u64 = std::uint64_t{record->generation_} << 32 | record->index_;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    record->state_.store(Connection::kFree, std::memory_order_relaxed);
    record->next_ = free_;
    free_ = record;
    lock_.unlock();
    return false;
  }
  wheel_.link(*record);
  const bool must_wake = tick < sleeping_until_tick_;
  // Relaxed: see connections().
  count_.fetch_add(1, std::memory_order_relaxed);
  lock_.unlock();
  empty_closing_queue();
  if (must_wake) wake();
  return true;
}

void Poller::arm(Connection& connection, std::int64_t deadline_ns) noexcept {
  const std::uint64_t tick = Wheel::deadline_tick(deadline_ns);
  lock_.lock();
  connection.extend_deadline(tick);
  wheel_.unlink(connection);
  wheel_.link(connection);
  const bool must_wake = tick < sleeping_until_tick_;
  lock_.unlock();
  empty_closing_queue();
  if (must_wake) wake();
}

void Poller::finish(Connection& connection) noexcept {
  // Relaxed: events read kClosing or kRunning, and do nothing for either; the queue publishes.
  connection.state_.store(Connection::kClosing, std::memory_order_relaxed);
  push_closing(connection);
  empty_closing_queue();
}

void Poller::push_closing(Connection& connection) noexcept {
  // Seq_cst, then try_lock: either the lock is free and we empty the queue, or its holder's unlock
  // comes after our push in the single order, and the holder's next look at the queue sees it.
  Connection* head = closing_.load(std::memory_order_relaxed);
  do {
    connection.next_ = head;
  } while (!closing_.compare_exchange_weak(head, &connection, std::memory_order_seq_cst,
                                           std::memory_order_relaxed));
}

void Poller::empty_closing_queue_slow() noexcept {
  // Seq_cst: pairs with push_closing(), see there.
  while (closing_.load(std::memory_order_seq_cst) != nullptr) {
    if (!lock_.try_lock()) return;
    int descriptors[64];
    std::uint32_t count = 0;
    // Acquire pairs with the push: the record's last writes are seen.
    Connection* connection = closing_.exchange(nullptr, std::memory_order_acquire);
    while (connection != nullptr && count < std::size(descriptors)) {
      Connection* const next = connection->next_;
      wheel_.unlink(*connection);
      ++connection->generation_;
      descriptors[count++] = connection->fd_;
      // Relaxed: under the lock.
      connection->state_.store(Connection::kFree, std::memory_order_relaxed);
      connection->next_ = free_;
      free_ = connection;
      connection = next;
    }
    while (connection != nullptr) {  // more than a batch
      Connection* const next = connection->next_;
      push_closing(*connection);
      connection = next;
    }
    lock_.unlock();
    for (std::uint32_t i = 0; i < count; ++i) close_socket(descriptors[i]);
    // Relaxed: see connections(). After the close, so that drain's zero means closed.
    count_.fetch_sub(count, std::memory_order_relaxed);
  }
}

void Poller::close_idle() noexcept {
  lock_.lock();
  for (std::size_t i = 0; i < used_; ++i) {
    Connection& connection = records_[i];
    if (connection.close_if_idle()) push_closing(connection);
  }
  lock_.unlock();
  empty_closing_queue();
}

void Poller::shutdown_all() noexcept {
  lock_.lock();
  for (std::size_t i = 0; i < used_; ++i) {
    if (records_[i].mode() != Connection::kFree) shutdown_both(records_[i].fd_);
  }
  lock_.unlock();
  empty_closing_queue();
}

}  // namespace tailrace::http
