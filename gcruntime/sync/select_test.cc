#include "gcruntime/sync/select.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/wait_group.h"

namespace tailrace::fiber {
namespace {

constexpr std::int64_t kMs = 1'000'000;

using SelectTest = FiberTest;
TAILRACE_FIBER_TESTS(SelectTest);

TEST_P(SelectTest, DoesWhatIsReady) {
  run([] {
    Channel<int> empty;
    Channel<int> full(1);
    Channel<std::unique_ptr<int>> room(1);
    ASSERT_EQ(full.send(3), ChannelStatus::kOk);
    int got = 0;
    const auto take = [&](Received<int> value) { got = *value; };
    EXPECT_EQ(select(on_receive(empty), on_send(full, 4), on_receive(full, take)), 2u);
    EXPECT_EQ(got, 3);
    auto value = std::make_unique<int>(1);
    ChannelStatus sent = ChannelStatus::kWouldBlock;
    EXPECT_EQ(select(on_receive(empty),
                     on_send(room, std::move(value), [&](ChannelStatus status) { sent = status; })),
              1u);
    EXPECT_EQ(sent, ChannelStatus::kOk);
    EXPECT_EQ(value, nullptr);
    // Full now: the value stays.
    value = std::make_unique<int>(2);
    EXPECT_EQ(select(on_receive(empty), on_send(room, std::move(value)), otherwise()), 2u);
    EXPECT_NE(value, nullptr);
  });
}

TEST_P(SelectTest, ClosedIsReadyAndNullIsNot) {
  run([] {
    Channel<int> closed;
    closed.close();
    Channel<int>* none = nullptr;
    ChannelStatus status = ChannelStatus::kOk;
    EXPECT_EQ(select(on_receive(none), on_send(none, 1),
                     on_receive(closed, [&](Received<int> value) { status = value.status(); })),
              2u);
    EXPECT_EQ(status, ChannelStatus::kClosed);
    EXPECT_EQ(select(on_send(closed, 1, [&](ChannelStatus said) { status = said; })), 0u);
    EXPECT_EQ(status, ChannelStatus::kClosed);
    EXPECT_EQ(select(on_receive(none), otherwise()), 1u);
  });
}

TEST_P(SelectTest, TimesOut) {
  run([] {
    Channel<int> empty;
    bool late = false;
    EXPECT_EQ(select(on_receive(empty), on_timeout(3000 * kMs),
                     on_timeout(1 * kMs, [&] { late = true; })),
              2u);
    EXPECT_TRUE(late);
    EXPECT_EQ(empty.try_send(1), ChannelStatus::kWouldBlock) << "it still stands in line";
    EXPECT_EQ(select(on_timeout(0), on_receive(empty)), 0u);
  });
}

TEST_P(SelectTest, EachReadyCaseIsAsLikely) {
  run([] {
    Channel<int> ready[4] = {Channel<int>(1), Channel<int>(1), Channel<int>(1), Channel<int>(1)};
    int taken[4] = {};
    for (int turn = 0; turn < 4000; ++turn) {
      for (int i : {0, 1, 3}) static_cast<void>(ready[i].try_send(i));
      ++taken[select(on_receive(ready[0]), on_receive(ready[1]), on_receive(ready[2]),
                     on_receive(ready[3]))];
    }
    EXPECT_EQ(taken[2], 0);
    // 1333 each on average; the deviation is 30.
    for (int i : {0, 1, 3}) EXPECT_GT(taken[i], 1000) << i;
  });
}

TEST_P(SelectTest, TwoSelectsMeetAndOneDoesNotMeetItself) {
  run([] {
    Channel<int> channel;
    EXPECT_EQ(select(on_send(channel, 1), on_receive(channel), otherwise()), 2u);
    EXPECT_EQ(select(on_send(channel, 1), on_receive(channel), on_timeout(2 * kMs)), 2u);
    std::atomic<int> sent{0};
    std::atomic<int> received{0};
    const auto both = [&] {
      for (int turn = 0; turn < 500; ++turn) {
        select(on_send(channel, turn, [&](ChannelStatus) { ++sent; }),
               on_receive(channel, [&](Received<int>) { ++received; }));
      }
    };
    JoinHandle other = spawn(both);
    both();
    other.join();
    EXPECT_EQ(sent, 500);
    EXPECT_EQ(received, 500);
  });
}

TEST_P(SelectTest, HandlersMaySuspendAndSelectAgain) {
  run([] {
    Channel<int> channel(1);
    channel.send(1);
    std::size_t inner = 9;
    select(on_receive(channel, [&](Received<int> value) {
      yield();
      channel.send(*value + 1);
      inner =
          select(otherwise(), on_receive(channel, [](Received<int> next) { EXPECT_EQ(*next, 2); }));
    }));
    EXPECT_EQ(inner, 1u);
  });
}

TEST_P(SelectTest, AContextThatEndsIsACase) {
  run([] {
    Channel<int> empty;
    CancelScope outer = with_cancel(Context::background());
    CancelScope inner = with_timeout(outer, 60'000 * kMs);
    JoinHandle waiting = spawn([&] {
      ContextError error = ContextError::kNone;
      EXPECT_EQ(select(on_receive(empty), on_done(inner, [&](ContextError why) { error = why; })),
                1u);
      EXPECT_EQ(error, ContextError::kCancelled);
    });
    for (int i = 0; i < 20; ++i) yield();
    outer.cancel();
    waiting.join();
    CancelScope late = with_timeout(Context::background(), 1 * kMs);
    ContextError error = ContextError::kNone;
    EXPECT_EQ(select(on_done(late, [&](ContextError why) { error = why; }), on_receive(empty),
                     on_done(Context::background())),
              0u);
    EXPECT_EQ(error, ContextError::kDeadline);
  });
}

// A loop over a channel that is never empty ends when its context does.
TEST_P(SelectTest, NoReadyCaseStarvesTheContext) {
  run([] {
    Channel<int> busy(1);
    CancelScope limited = with_timeout(Context::background(), 1 * kMs);
    bool ended = false;
    EXPECT_TRUE(yield_until([&] {
      static_cast<void>(busy.try_send(1));
      select(on_receive(busy), on_done(limited, [&](ContextError) { ended = true; }));
      return ended;
    }));
  });
}

TEST_P(SelectTest, ThreadsSelectToo) {
  Channel<int> there[2];
  Channel<int> back;
  Channel<int> silent;
  scheduler();
  std::thread thread([&] {
    EXPECT_EQ(select(on_receive(silent), on_timeout(1 * kMs)), 1u);
    for (int turn = 0; turn < 1000; ++turn) {
      int value = 0;
      const auto take = [&](Received<int> taken) { value = *taken; };
      select(on_receive(there[0], take), on_receive(there[1], take));
      back.send(value);
    }
  });
  run([&] {
    for (int turn = 0; turn < 1000; ++turn) {
      there[turn % 2].send(turn);
      EXPECT_EQ(*back.receive(), turn);
    }
  });
  thread.join();
}

// [sync.select] A sender has taken a case out of its line and is about to look at its wait; another
// case wins meanwhile. The select must not return, and its frame not go, before that sender is
// done, though nothing is left to take out of that line. The test is the sender.
TEST_P(SelectTest, ReturnsAfterThoseWhoLookAtACaseThatHasLeftItsLine) {
  Channel<int> wins;
  Channel<int> loses;
  std::atomic<internal::Case*> published{nullptr};
  std::atomic<bool> returned{false};
  JoinHandle selecting = scheduler().spawn([&] {
    int values[2] = {};
    internal::Case cases[2];
    for (int i = 0; i < 2; ++i) {
      cases[i].channel = &(i == 0 ? wins : loses).core();
      cases[i].side = internal::Side::kReceive;
      cases[i].slot = &values[i];
    }
    published = cases;
    EXPECT_EQ(internal::select_cases(cases, 2, false), 0u);
    returned = true;
    EXPECT_EQ(values[0], 7);
  });
  ASSERT_TRUE(spin_until([&] { return published != nullptr; }));
  internal::Case& loser = published.load()[1];
  internal::ChannelCore& core = loses.core();
  ASSERT_TRUE(spin_until([&] {
    core.lock();
    const bool in_line = loser.in_line;
    core.unlock();
    return in_line;
  }));
  core.lock();
  core.leave_line(&loser);
  EXPECT_EQ(wins.try_send(7), ChannelStatus::kOk);
  // Time for one that would return; one that does not is not held to it.
  const std::int64_t until_ns = os::now_ns() + 50 * kMs;
  while (!returned && os::now_ns() < until_ns) std::this_thread::yield();
  EXPECT_FALSE(returned);
  EXPECT_TRUE(returned || !loser.wait->claim());
  core.unlock();
  selecting.join();
  EXPECT_TRUE(returned);
}

using SelectDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, SelectDeathTest, testing::Values(1u), worker_name);

TEST_P(SelectDeathTest, NothingToWaitForIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(select(on_receive(static_cast<Channel<int>*>(nullptr))), "can ever be ready");
  EXPECT_DEATH(select(on_done(Context::background())), "can ever be ready");
}

}  // namespace
}  // namespace tailrace::fiber
