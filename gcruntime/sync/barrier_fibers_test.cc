// What is written to another fiber's stack is shaded while the barrier is on: values that a channel hands
// over to a parked receiver, and the captures of a new fiber.
#include <gtest/gtest.h>

#include <thread>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/sync/blocking_pool.h"
#include "gcruntime/sync/channel.h"

namespace tailrace::fiber {
namespace {

using gc::test::ask_phase;
using gc::test::is_marked;
using gc::test::make_node;
using gc::test::Node;

// The barrier is switched on without a cycle; the one at the end looks at what was queued.
class BarrierFibersTest : public FiberTest {
 protected:
  template <typename F>
  void run_and_collect(F&& function) {
    gc::configure({.percent = -1});
    run([&] {
      function();
      ask_phase(gc::kPhaseOff);
      gc::collect();
    });
    gc::configure({});
  }
};

template <typename T>
void hand_over(bool buffered) {
  Channel<T> channel(buffered ? 4 : 0);
  std::atomic<bool> done{false};
  JoinHandle receiver = spawn([&] {
    if (buffered) {
      while (!done.load()) yield();
    }
    const Received<T> received = channel.receive();
    EXPECT_TRUE(static_cast<bool>(received));
  });
  Node* node = make_node(1);
  ask_phase(gc::kPhaseBarrier);
  // When it is parked there, the value is written into its frame.
  while (channel.try_send(T(node)) != ChannelStatus::kOk) {
    yield();
  }
  EXPECT_TRUE(is_marked(node));
  done.store(true);
  receiver.join();
}

TEST_P(BarrierFibersTest, AChannelShadesWhatItHandsOver) {
  run_and_collect([] {
    hand_over<Node*>(false);
    ask_phase(gc::kPhaseOff);
    hand_over<Node*>(true);
    ask_phase(gc::kPhaseOff);
    hand_over<gc::Member<Node>>(false);
  });
}

TEST_P(BarrierFibersTest, CapturesAreShaded) {
  run_and_collect([] {
    Node* raw = make_node(1);
    const gc::Member<Node> member(make_node(2));
    ask_phase(gc::kPhaseBarrier);
    EXPECT_FALSE(is_marked(raw));
    JoinHandle first = spawn([raw] { EXPECT_EQ(raw->value, 1); });
    EXPECT_TRUE(is_marked(raw));
    JoinHandle second = spawn([member] { EXPECT_EQ(member->value, 2); });
    EXPECT_TRUE(is_marked(member.get()));
    first.join();
    second.join();
  });
}

// A blocking call's result is written to the stack of the fiber that waits, by a thread that has no barrier:
// such a stack is scanned whenever it is entered [gc.shared].
TEST_P(BarrierFibersTest, WhatABlockingCallReturnsSurvivesCycles) {
  gc::configure({.percent = 1});
  run([&] {
    for (int i = 0; i < 20; ++i) {
      gc::Root<Node> root(make_node(i));
      Node* const node = blocking([&] {
        const gc::ThreadScope attached;
        Node* mine = root.get();
        root = nullptr;
        gc::collect();
        return mine;
      });
      gc::collect();
      ASSERT_EQ(node->value, i);
      EXPECT_TRUE(heap::find_object(reinterpret_cast<std::uintptr_t>(node)).allocated());
    }
  });
  gc::configure({});
}

TAILRACE_FIBER_TESTS(BarrierFibersTest);

}  // namespace
}  // namespace tailrace::fiber
