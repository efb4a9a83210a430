// Each way of waiting comes to its time and sees events on the way.
#include "loadtest/waiter.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "loadtest/clock.h"

namespace tailrace::loadtest {
namespace {

class WaiterTest : public testing::TestWithParam<Idle> {};
INSTANTIATE_TEST_SUITE_P(Ways, WaiterTest,
                         testing::Values(Idle::kSleep, Idle::kHybrid, Idle::kSpin));

TEST_P(WaiterTest, ComesToItsTime) {
  Waiter waiter(GetParam());
  for (const std::int64_t wait :
       {std::int64_t{0}, std::int64_t{20'000}, 3 * kMillisecondNs, 150 * kMillisecondNs}) {
    const std::int64_t begin = now_ns();
    const std::int64_t until = begin + wait;
    int turns = 0;
    for (std::int64_t now = begin; now < until; now = now_ns()) {
      EXPECT_TRUE(waiter.wait(now, until).empty());
      ++turns;
    }
    // It comes nearer in steps, not by turning all the time.
    EXPECT_LE(turns, 200);
  }
}

TEST_P(WaiterTest, SeesEventsAndWakes) {
  Waiter waiter(GetParam());
  const int fd = ::eventfd(1, EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 42;
  ASSERT_EQ(::epoll_ctl(waiter.epoll(), EPOLL_CTL_ADD, fd, &event), 0);
  const auto far = [] { return now_ns() + 3600 * kSecondNs; };
  auto events = waiter.wait(now_ns(), far());
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].data.u64, 42U);
  // A worker that is behind sees them too.
  EXPECT_EQ(waiter.wait(now_ns(), now_ns() - kSecondNs).size(), 1U);
  ::close(fd);

  std::thread other([&] { waiter.wake(); });
  events = waiter.wait(now_ns(), far());
  other.join();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].data.u64, Waiter::kWakeTag);
  waiter.woken();
  EXPECT_TRUE(waiter.wait(now_ns(), now_ns()).empty());
}

TEST_P(WaiterTest, OnlySpinningCountsAsSpun) {
  Waiter waiter(GetParam());
  const std::int64_t begin = now_ns();
  const std::int64_t until = begin + 5 * kMillisecondNs;
  for (std::int64_t now = begin; now < until; now = now_ns()) waiter.wait(now, until);
  const std::int64_t took = now_ns() - begin;
  const std::int64_t spun = waiter.take_spun_ns();
  EXPECT_LE(spun, took);
  EXPECT_TRUE(GetParam() != Idle::kSleep || spun == 0);
  EXPECT_TRUE(GetParam() != Idle::kSpin || spun > 0);
  EXPECT_EQ(waiter.take_spun_ns(), 0);
}

}  // namespace
}  // namespace tailrace::loadtest
