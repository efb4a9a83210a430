#include "gcruntime/fiber/timer_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace tailrace::fiber {
namespace {

// Stands for a fiber by its own address, so that no fiber is needed.
struct NamedTimer : Timer {
  explicit NamedTimer(bool claims_now = true) : claims(claims_now) {
    place = Timer::kNowhere;
    claim = [](Timer* timer) noexcept -> Fiber* {
      return static_cast<NamedTimer*>(timer)->claims ? reinterpret_cast<Fiber*>(timer) : nullptr;
    };
  }
  bool claims;
};
Fiber* name_of(NamedTimer& timer) { return reinterpret_cast<Fiber*>(static_cast<Timer*>(&timer)); }

TEST(TimerHeap, ExpiresInOrderOfDeadlines) {
  TimerHeap heap;
  std::vector<std::unique_ptr<NamedTimer>> timers;
  std::vector<std::int64_t> deadlines(500);
  for (std::size_t i = 0; i < deadlines.size(); ++i)
    deadlines[i] = static_cast<std::int64_t>(i + 1);
  std::shuffle(deadlines.begin(), deadlines.end(), std::mt19937(1));
  std::vector<Fiber*> by_deadline(deadlines.size() + 1);
  for (std::int64_t deadline : deadlines) {
    timers.push_back(std::make_unique<NamedTimer>());
    by_deadline[static_cast<std::size_t>(deadline)] = name_of(*timers.back());
    heap.add(timers.back().get(), deadline);
  }
  EXPECT_EQ(heap.next_deadline_ns(), 1);
  Fiber* due[7];
  std::size_t next = 1;
  for (std::int64_t now : {0, 1, 50, 499, 1000}) {
    std::size_t count = 0;
    do {
      count = heap.expire(now, due, 7, false);
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(due[i], by_deadline[next++]);
    } while (count == 7);
    EXPECT_EQ(next, static_cast<std::size_t>(std::min<std::int64_t>(now, 500)) + 1);
  }
  EXPECT_EQ(heap.next_deadline_ns(), TimerHeap::kNever);
}

TEST(TimerHeap, CancelledTimersDoNotExpire) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    TimerHeap heap;
    std::vector<std::unique_ptr<NamedTimer>> timers;
    for (int i = 0; i < 100; ++i) {
      timers.push_back(std::make_unique<NamedTimer>());
      heap.add(timers.back().get(), static_cast<std::int64_t>(random() % 50));
    }
    std::size_t cancelled = 0;
    for (int i = 0; i < 60; ++i) {
      if (heap.cancel(timers[random() % 100].get())) ++cancelled;
    }
    Fiber* due[128];
    EXPECT_EQ(heap.expire(100, due, 128, false), 100 - cancelled);
    for (auto& timer : timers) EXPECT_FALSE(heap.cancel(timer.get()));
  }
}

TEST(TimerHeap, ATimerThatLostIsPoppedButReadiesNobody) {
  TimerHeap heap;
  NamedTimer loser(false);
  NamedTimer winner;
  heap.add(&loser, 1);
  heap.add(&winner, 2);
  Fiber* due[4];
  ASSERT_EQ(heap.expire(5, due, 4, false), 1u);
  EXPECT_EQ(due[0], name_of(winner));
}

TEST(TimerHeap, AFailedPublicationTakesTheTimerOutAgain) {
  TimerHeap heap;
  NamedTimer timer;
  EXPECT_FALSE(heap.add_then(&timer, 1, [] { return false; }));
  EXPECT_EQ(heap.next_deadline_ns(), TimerHeap::kNever);
  EXPECT_TRUE(heap.add_then(&timer, 1, [] { return true; }));
  EXPECT_TRUE(heap.cancel(&timer));
}

}  // namespace
}  // namespace tailrace::fiber
