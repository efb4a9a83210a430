// A Netpoll without sockets: what is ready is put in by hand.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "gcruntime/fiber/netpoll.h"

namespace tailrace::fiber {

class FakeNetpoll final : public Netpoll {
 public:
  // Any thread: `worker`'s poller will find it. Wakes nobody by itself that is not blocked in poll.
  template <typename T>
  void add(unsigned worker, T* entry) {
    Poller& poller = *pollers_.at(worker);
    const std::lock_guard lock(poller.mutex);
    poller.ready.push_back(Item(entry));
    poller.changed.notify_all();
  }
  // Two at once: one poll finds both.
  void add_both(unsigned worker, Job* first, Job* second) {
    Poller& poller = *pollers_.at(worker);
    const std::lock_guard lock(poller.mutex);
    poller.ready.push_back(Item(first));
    poller.ready.push_back(Item(second));
    poller.changed.notify_all();
  }

  void start(unsigned workers) override {
    for (unsigned i = 0; i < workers; ++i) pollers_.push_back(std::make_unique<Poller>());
  }
  void poll(unsigned worker, std::int64_t timeout_ns, ReadyList& ready) override {
    Poller& poller = *pollers_[worker];
    std::unique_lock lock(poller.mutex);
    const auto awake = [&] { return poller.rung || !poller.ready.empty(); };
    if (timeout_ns < 0) {
      poller.changed.wait(lock, awake);
    } else if (timeout_ns > 0) {
      poller.changed.wait_for(lock, std::chrono::nanoseconds(timeout_ns), awake);
    }
    poller.rung = false;
    take(poller, ready);
  }
  bool rescue(unsigned worker, ReadyList& ready) override {
    Poller& poller = *pollers_[worker];
    const std::unique_lock lock(poller.mutex, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    take(poller, ready);
    return true;
  }
  void wake(unsigned worker) noexcept override {
    Poller& poller = *pollers_[worker];
    const std::lock_guard lock(poller.mutex);
    poller.rung = true;
    poller.changed.notify_all();
  }

 private:
  struct Item {
    explicit Item(Fiber* the_fiber) : fiber(the_fiber) {}
    explicit Item(Job* the_job) : job(the_job) {}
    Fiber* fiber = nullptr;
    Job* job = nullptr;
  };
  struct Poller {
    std::mutex mutex;
    std::condition_variable changed;
    bool rung = false;
    std::deque<Item> ready;
  };
  static void take(Poller& poller, ReadyList& ready) {
    while (!poller.ready.empty() && !ready.full()) {
      const Item item = poller.ready.front();
      poller.ready.pop_front();
      if (item.job != nullptr) {
        ready.push(item.job);
      } else {
        ready.push(item.fiber);
      }
    }
  }
  std::vector<std::unique_ptr<Poller>> pollers_;
};

}  // namespace tailrace::fiber
