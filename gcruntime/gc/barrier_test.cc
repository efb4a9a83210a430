// Every way to write a managed pointer shades it while the barrier is on, and none does while it is off.
// Ways that need fibers: sync/barrier_fibers_test.cc.
#include "gcruntime/gc/barrier.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/gc/world.h"

namespace tailrace::gc {
namespace {

using test::ask_phase;
using test::is_marked;
using test::make_node;
using test::Node;

struct Holder {
  Member<Node> member;
  Atomic<Node> atomic;
  Vector<Member<Node>> vector;
  Map<std::int64_t, Member<Node>> map;
  String text;
};
BOOST_DESCRIBE_STRUCT(Holder, (), (member, atomic, vector, map, text))

// The barrier is switched on by a handshake, without a cycle; what is marked here and queued is looked at by
// the cycle at each test's end.
class BarrierTest : public testing::Test {
 protected:
  BarrierTest() {
    configure({.percent = -1});
    collect();
    holder_ = make<Holder>();
  }
  ~BarrierTest() override {
    ask_phase(kPhaseOff);
    collect();
    configure({});
  }

  // `write` is given a new object.
  void expect_shaded(const char* what, const std::function<void(Node*)>& write) {
    ask_phase(kPhaseOff);
    Node* unseen = make_node(1);
    write(unseen);
    EXPECT_FALSE(is_marked(unseen)) << what << " with the barrier off";
    Node* seen = make_node(2);
    ask_phase(kPhaseBarrier);
    EXPECT_FALSE(is_marked(seen)) << what << " before it";
    write(seen);
    EXPECT_TRUE(is_marked(seen)) << what;
    ask_phase(kPhaseOff);
  }

  const ThreadScope attached_;
  Root<Holder> holder_;
};

TEST_F(BarrierTest, Members) {
  Holder* holder = holder_.get();
  expect_shaded("construction", [](Node* node) { const Member<Node> member(node); });
  expect_shaded("assignment", [&](Node* node) { holder->member = node; });
  // A source that no barrier has seen: a word of the stack.
  const auto unseen = [](Node*& word) -> const Member<Node>& {
    return reinterpret_cast<const Member<Node>&>(word);
  };
  expect_shaded("copy", [&](Node* node) { const Member<Node> copy(unseen(node)); });
  expect_shaded("copy assignment", [&](Node* node) { holder->member = unseen(node); });
}

TEST_F(BarrierTest, Atomics) {
  Holder* holder = holder_.get();
  expect_shaded("store", [&](Node* node) { holder->atomic.store(node); });
  expect_shaded("exchange", [&](Node* node) { holder->atomic.exchange(node); });
  expect_shaded("compare_exchange", [&](Node* node) {
    Node* expected = holder->atomic.load();
    EXPECT_TRUE(holder->atomic.compare_exchange(expected, node));
  });
  Node* const node = make_node(3);
  ask_phase(kPhaseBarrier);
  Node* wrong = nullptr;
  EXPECT_FALSE(holder->atomic.compare_exchange(wrong, node));
  EXPECT_FALSE(is_marked(node)) << "nothing was stored";
}

TEST_F(BarrierTest, Roots) {
  Root<Node> root;
  expect_shaded("assignment", [&](Node* node) { root = node; });
  expect_shaded("construction", [](Node* node) { const Root<Node> other(node); });
}

TEST_F(BarrierTest, WhatAContainerMovesIsShaded) {
  Holder* holder = holder_.get();
  expect_shaded("push_back", [&](Node* node) { holder->vector.push_back(node); });
  expect_shaded("insert", [&](Node* node) { holder->map.insert_or_assign(node->value, node); });
  // Growth and rehashing move what was stored with the barrier off.
  holder->vector.clear();
  std::vector<test::Disguised> nodes;
  for (std::int64_t i = 0; i < 16; ++i) {
    Node* node = make_node(i);
    nodes.emplace_back(node);
    holder->vector.push_back(node);
    holder->map.insert_or_assign(100 + i, node);
  }
  ask_phase(kPhaseBarrier);
  while (holder->vector.size() < 1000) holder->vector.push_back(nullptr);
  for (const test::Disguised& node : nodes) {
    EXPECT_TRUE(heap::find_object(node.address()).marked()) << "growth";
  }
}

TEST_F(BarrierTest, WhatAMapRehashesIsShaded) {
  Holder* holder = holder_.get();
  std::vector<test::Disguised> nodes;
  for (std::int64_t i = 0; i < 16; ++i) {
    Node* node = make_node(i);
    nodes.emplace_back(node);
    holder->map.insert_or_assign(i, node);
  }
  ask_phase(kPhaseBarrier);
  for (std::int64_t i = 100; i < 1100; ++i) holder->map.insert_or_assign(i, nullptr);
  for (const test::Disguised& node : nodes) {
    EXPECT_TRUE(heap::find_object(node.address()).marked()) << "rehash";
  }
}

TEST_F(BarrierTest, Texts) {
  Holder* holder = holder_.get();
  const std::string long_text(100, 'x');
  const String text{std::string_view(long_text)};
  ask_phase(kPhaseBarrier);
  EXPECT_FALSE(is_marked(text.view().data()));
  holder->text = text;
  EXPECT_TRUE(is_marked(text.view().data()));
}

TEST_F(BarrierTest, WordsThatSomethingElseHasWritten) {
  Node* words[3] = {make_node(1), nullptr, make_node(2)};
  ask_phase(kPhaseBarrier);
  barrier_after_write(words, sizeof(words));
  EXPECT_TRUE(is_marked(words[0]));
  EXPECT_TRUE(is_marked(words[2]));
}

TEST_F(BarrierTest, AThreadThatIsNotAttachedHasNone) {
  Node* node = make_node(1);
  ask_phase(kPhaseBarrier);
  native([&] { std::thread([&] { barrier_after_store(node); }).join(); });
  EXPECT_FALSE(is_marked(node));
}

}  // namespace
}  // namespace tailrace::gc
