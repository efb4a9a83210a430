// Channels one operation at a time: what each promises, with fibers and with threads.
#include "gcruntime/sync/channel.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/sync/select.h"
#include "gcruntime/sync/wait_group.h"

namespace tailrace::fiber {
namespace {

constexpr std::int64_t kMs = 1'000'000;

struct Node {
  std::int64_t value = 0;
  gc::Member<Node> next;
};
BOOST_DESCRIBE_STRUCT(Node, (), (value, next))

using ChannelTest = FiberTest;
TAILRACE_FIBER_TESTS(ChannelTest);

TEST_P(ChannelTest, BufferedKeepsOrderAndRefusesWhenFull) {
  run([] {
    Channel<int> channel(3);
    EXPECT_EQ(channel.try_receive().status(), ChannelStatus::kWouldBlock);
    for (int round = 0; round < 4; ++round) {
      for (int i = 0; i < 3; ++i) EXPECT_EQ(channel.try_send(i), ChannelStatus::kOk);
      EXPECT_EQ(channel.size(), 3u);
      EXPECT_EQ(channel.try_send(9), ChannelStatus::kWouldBlock);
      for (int i = 0; i < 3; ++i) EXPECT_EQ(*channel.receive(), i);
    }
    EXPECT_EQ(channel.send(7), ChannelStatus::kOk);
    EXPECT_TRUE(channel.close());
    EXPECT_FALSE(channel.close());
    EXPECT_TRUE(channel.closed());
    EXPECT_EQ(channel.send(8), ChannelStatus::kClosed);
    EXPECT_EQ(*channel.receive(), 7);
    EXPECT_EQ(channel.receive().status(), ChannelStatus::kClosed);
    EXPECT_EQ(channel.try_receive().status(), ChannelStatus::kClosed);
  });
}

TEST_P(ChannelTest, ARendezvousEndsWhenItIsReceived) {
  run([] {
    Channel<int> channel;
    EXPECT_EQ(channel.try_send(1), ChannelStatus::kWouldBlock);
    std::atomic<bool> sent{false};
    JoinHandle sender = spawn([&] {
      EXPECT_EQ(channel.send(5), ChannelStatus::kOk);
      sent = true;
    });
    for (int i = 0; i < 100; ++i) yield();
    EXPECT_FALSE(sent);
    EXPECT_EQ(*channel.receive(), 5);
    sender.join();
    EXPECT_TRUE(sent);
  });
}

TEST_P(ChannelTest, WaitersAreServedFirstComeFirstServed) {
  run([] {
    Channel<int> channel(1);
    ASSERT_EQ(channel.try_send(-1), ChannelStatus::kOk);
    std::vector<JoinHandle> senders;
    for (int id = 0; id < 20; ++id) {
      std::atomic<bool> begun{false};
      senders.push_back(spawn([&channel, &begun, id] {
        begun = true;
        EXPECT_EQ(channel.send(id), ChannelStatus::kOk);
      }));
      ASSERT_TRUE(yield_until([&] { return begun.load(); }));
      // With one worker it is in line now; with more, soon.
      sleep_for_ns(2 * kMs);
    }
    for (int id = -1; id < 20; ++id) EXPECT_EQ(*channel.receive(), id);
    for (JoinHandle& each : senders) each.join();
  });
}

TEST_P(ChannelTest, CloseWakesAllWhoWait) {
  run([] {
    Channel<int> empty;
    Channel<std::unique_ptr<int>> full(1);
    ASSERT_EQ(full.send(std::make_unique<int>(1)), ChannelStatus::kOk);
    WaitGroup ended;
    for (int i = 0; i < 8; ++i) {
      ended.add(2);
      spawn([&] {
        EXPECT_EQ(empty.receive().status(), ChannelStatus::kClosed);
        ended.done();
      });
      spawn([&] {
        auto value = std::make_unique<int>(2);
        EXPECT_EQ(full.send(std::move(value)), ChannelStatus::kClosed);
        EXPECT_NE(value, nullptr) << "a value that was not sent was taken";
        ended.done();
      });
    }
    for (int i = 0; i < 50; ++i) yield();
    empty.close();
    full.close();
    ended.wait();
    EXPECT_EQ(**full.receive(), 1);
  });
}

// [sync.close] The closer has a long line to empty while somebody sees it closed.
TEST_P(ChannelTest, WhoHasSeenItClosedIsNotToldThatItWouldBlock) {
  constexpr int kRounds = 40;
  constexpr int kWaiting = 200;
  for (int round = 0; round < 2 * kRounds; ++round) {
    const bool sends = round % 2 == 0;
    Channel<int> channel;
    ChannelStatus seen = ChannelStatus::kOk;
    run([&] {
      Group waiting;
      for (int i = 0; i < kWaiting; ++i) {
        waiting.go([&] {
          const ChannelStatus status = sends ? channel.send(1) : channel.receive().status();
          EXPECT_EQ(status, ChannelStatus::kClosed);
        });
      }
      std::atomic<bool> watches{false};
      std::thread watcher([&] {
        watches = true;
        for (int look = 1; !channel.closed(); ++look) {
          if (look % 256 == 0) std::this_thread::yield();
        }
        seen = sends ? channel.try_send(2) : channel.try_receive().status();
      });
      EXPECT_TRUE(yield_until([&] { return watches.load(); }));
      for (int i = 0; i < 10; ++i) yield();
      channel.close();
      watcher.join();
    });
    ASSERT_EQ(seen, ChannelStatus::kClosed) << "round " << round;
  }
}

TEST_P(ChannelTest, DeadlinesEndWaitsAndLeaveNothingInLine) {
  run([] {
    Channel<int> channel;
    EXPECT_EQ(channel.receive_for(2 * kMs).status(), ChannelStatus::kTimedOut);
    EXPECT_EQ(channel.send_for(1, 2 * kMs), ChannelStatus::kTimedOut);
    EXPECT_EQ(channel.receive_for(-5).status(), ChannelStatus::kTimedOut);
    EXPECT_EQ(channel.receive_until(INT64_MIN).status(), ChannelStatus::kTimedOut);
    // Neither stands in line any more.
    EXPECT_EQ(channel.try_send(1), ChannelStatus::kWouldBlock);
    EXPECT_EQ(channel.try_receive().status(), ChannelStatus::kWouldBlock);
    JoinHandle sender = spawn([&] { EXPECT_EQ(channel.send(4), ChannelStatus::kOk); });
    Received<int> received = channel.receive_for(20'000 * kMs);
    ASSERT_TRUE(received);
    EXPECT_EQ(*received, 4);
    sender.join();
  });
}

TEST_P(ChannelTest, AContextEndsWaits) {
  run([] {
    Channel<int> channel;
    CancelScope limited = with_timeout(Context::background(), 2 * kMs);
    EXPECT_EQ(channel.receive(limited).status(), ChannelStatus::kTimedOut);
    EXPECT_EQ(channel.send(limited, 3), ChannelStatus::kTimedOut);
    CancelScope cancelled = with_cancel(Context::background());
    JoinHandle receiver =
        spawn([&] { EXPECT_EQ(channel.receive(cancelled).status(), ChannelStatus::kCancelled); });
    for (int i = 0; i < 20; ++i) yield();
    cancelled.cancel();
    receiver.join();
    Channel<int> ready(1);
    ASSERT_EQ(ready.send(Context::background(), 1), ChannelStatus::kOk);
    EXPECT_EQ(ready.receive(cancelled).status(), ChannelStatus::kCancelled);
    EXPECT_EQ(*ready.receive(Context::background()), 1);
  });
}

TEST_P(ChannelTest, RangesUntilClosedAndDrained) {
  run([] {
    Channel<std::string> channel(2);
    JoinHandle producer = spawn([&] {
      for (int i = 0; i < 100; ++i) channel.send(std::to_string(i) + " is a text on the heap");
      channel.close();
    });
    int next = 0;
    for (std::string& text : channel) EXPECT_EQ(std::stoi(text), next++);
    EXPECT_EQ(next, 100);
    producer.join();
  });
}

TEST_P(ChannelTest, WhatIsLeftGoesWithTheChannel) {
  auto counted = std::make_shared<int>(0);
  run([&] {
    Channel<std::shared_ptr<int>> channel(4);
    for (int i = 0; i < 3; ++i) channel.send(counted);
    EXPECT_EQ(channel.receive()->use_count(), 4);
    EXPECT_EQ(counted.use_count(), 3);
  });
  EXPECT_EQ(counted.use_count(), 1);
}

struct alignas(32) Wide {
  std::unique_ptr<int> owner;
  gc::String text;
};

TEST_P(ChannelTest, PlainTypesMayHoldManagedPointersAndBeAligned) {
  run([] {
    Channel<Wide> channel(3);
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 3; ++i) {
        Wide wide{std::make_unique<int>(i), gc::String("a text of more than fifteen bytes")};
        EXPECT_EQ(channel.send(std::move(wide)), ChannelStatus::kOk);
      }
      gc::collect();
      for (int i = 0; i < 3; ++i) {
        Received<Wide> wide = channel.receive();
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*wide) % 32, 0u);
        EXPECT_EQ(*wide->owner, i);
        EXPECT_EQ(wide->text, "a text of more than fifteen bytes");
      }
    }
  });
}

// The ring keeps what is in it and nothing else. A stale word on a stack may keep one or two.
TEST_P(ChannelTest, TheRingKeepsWhatIsInItOnly) {
  run([] {
    constexpr std::size_t kObjects = 100;
    Channel<gc::Member<Node>> channel(kObjects);
    std::vector<gc::test::Disguised> sent;
    const auto alive = [&] {
      std::size_t count = 0;
      for (const gc::test::Disguised& each : sent) {
        const heap::ObjectPlace place = heap::find_object(each.address());
        if (place.slot != 0 && place.allocated()) ++count;
      }
      return count;
    };
    gc::test::in_own_frame([&] {
      for (std::size_t i = 0; i < kObjects; ++i) {
        Node* node = gc::make<Node>();
        node->value = static_cast<std::int64_t>(i);
        sent.emplace_back(node);
        channel.send(gc::Member<Node>(node));
      }
    });
    gc::collect();
    EXPECT_EQ(alive(), kObjects);
    gc::test::in_own_frame([&] {
      for (std::size_t i = 0; i < kObjects; ++i) {
        EXPECT_EQ((*channel.receive())->value, static_cast<std::int64_t>(i));
      }
    });
    gc::collect();
    EXPECT_LT(alive(), kObjects / 4);
  });
}

TEST_P(ChannelTest, ThreadsAndFibersShareIt) {
  constexpr int kValues = 2000;
  Channel<int> there;
  Channel<int> back(4);
  scheduler();
  std::thread plain([&] {
    for (int value : there) back.send(value + 1);
    back.close();
  });
  std::thread attached([&] {
    gc::ThreadScope scope;
    for (int i = 0; i < kValues; ++i) there.send(i);
    EXPECT_EQ(there.receive_for(1 * kMs).status(), ChannelStatus::kTimedOut);
    EXPECT_EQ(there.receive_until(INT64_MIN).status(), ChannelStatus::kTimedOut);
    there.close();
  });
  std::int64_t sum = 0;
  run([&] {
    for (int value : back) sum += value;
  });
  plain.join();
  attached.join();
  EXPECT_EQ(sum, std::int64_t{kValues} * (kValues + 1) / 2);
}

using ChannelDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, ChannelDeathTest, testing::Values(1u), worker_name);

TEST_P(ChannelDeathTest, MisuseStops) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Channel<int> channel(std::size_t{1} << 25), "2\\^24");
  EXPECT_DEATH(Channel<gc::String> channel(1), "not attached");
  const auto destroy_under_a_waiter = [] {
    Scheduler one(SchedulerOptions{});
    one.start();
    one.run([] {
      auto channel = std::make_unique<Channel<int>>();
      spawn([waited = channel.get()] { waited->receive(); });
      for (int i = 0; i < 10; ++i) yield();
      channel.reset();
    });
  };
  EXPECT_DEATH(destroy_under_a_waiter(), "while somebody waits");
  EXPECT_DEATH(static_cast<void>(*Channel<int>(1).try_receive()), "nothing was received");
}

// What may hold managed pointers is no business of a thread that the collector does not know.
TEST_P(ChannelDeathTest, AThreadThatIsNotAttachedStops) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto on_plain_thread = [](auto function) {
    Scheduler one(SchedulerOptions{});
    one.start();
    one.run([&] {
      Channel<gc::String> channel(1);
      std::thread([&] { function(channel); }).join();
    });
  };
  using Strings = Channel<gc::String>;
  EXPECT_DEATH(on_plain_thread([](Strings& channel) { channel.try_receive(); }), "not attached");
  EXPECT_DEATH(on_plain_thread([](Strings& channel) { channel.send(gc::String()); }),
               "not attached");
  EXPECT_DEATH(on_plain_thread([](Strings& channel) { select(on_receive(channel), otherwise()); }),
               "not attached");
}

}  // namespace
}  // namespace tailrace::fiber
