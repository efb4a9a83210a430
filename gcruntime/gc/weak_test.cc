// Weak references: what they give, what they keep not, and loads beside cycles.
#include "gcruntime/gc/weak.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "gcruntime/base/thread_state.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::is_allocated;
using test::Node;

class WeakTest : public testing::Test {
 protected:
  static void collect_now() {
    in_own_frame([] { collect(); });
  }
  // What lock() gives, and no trace of it on the stack.
  template <typename T>
  static bool is_null(const Weak<T>& weak) {
    bool null = false;
    in_own_frame([&] { null = weak.lock() == nullptr; });
    return null;
  }
  // Of a node that only `f` puts somewhere.
  template <typename F>
  static Disguised with_node(std::int64_t value, F&& f) {
    Disguised result;
    in_own_frame([&] {
      Node* node = test::make_node(value);
      result = Disguised(node);
      f(node);
    });
    return result;
  }

  ThreadScope scope_;
};

TEST_F(WeakTest, GivesTheObjectWhileSomethingElseKeepsIt) {
  Weak<Node> weak;
  EXPECT_EQ(weak.lock(), nullptr);
  Root<Node> root;
  with_node(7, [&](Node* node) {
    root = node;
    weak = node;
  });
  for (int cycle = 0; cycle < 3; ++cycle) {
    collect_now();
    in_own_frame([&] {
      ASSERT_EQ(weak.lock(), root.get());
      EXPECT_EQ(weak.lock()->value, 7);
    });
  }
  root = nullptr;
  collect_now();
  EXPECT_TRUE(is_null(weak));
}

TEST_F(WeakTest, KeepsNothing) {
  Weak<Node> weak;
  const Disguised node = with_node(1, [&](Node* made) { weak = made; });
  collect_now();
  EXPECT_FALSE(is_allocated(node));
  EXPECT_TRUE(is_null(weak));
}

TEST_F(WeakTest, WhatItGaveIsKeptLikeAnyPointer) {
  Weak<Node> weak;
  with_node(5, [&](Node* node) { weak = node; });
  Node* const node = weak.lock();
  ASSERT_NE(node, nullptr);
  collect();
  EXPECT_EQ(weak.lock(), node);
  EXPECT_EQ(node->value, 5);
}

TEST_F(WeakTest, NullIsForEver) {
  Weak<Node> weak;
  const Disguised node = with_node(1, [&](Node* made) { weak = made; });
  collect_now();
  ASSERT_TRUE(is_null(weak));
  // Another object comes to lie where the first one was.
  bool reused = false;
  for (int i = 0; i < 1000 && !reused; ++i) {
    in_own_frame([&] {
      for (int j = 0; j < 200; ++j) {
        reused |= Disguised(test::make_node(2)).address() == node.address();
      }
    });
  }
#if !defined(TAILRACE_VERIFY)  // where slots rest for a while
  EXPECT_TRUE(reused);
#endif
  EXPECT_TRUE(is_null(weak));
}

TEST_F(WeakTest, CopiesAndMoves) {
  Root<Node> root;
  Weak<Node> weak;
  Weak<Node> moved;
  test::on_own_thread([&] {
    with_node(1, [&](Node* node) {
      root = node;
      weak = node;
    });
    Weak<Node> copy = weak;
    moved = std::move(weak);
    EXPECT_EQ(weak.lock(), nullptr);  // NOLINT(bugprone-use-after-move)
    const Weak<Node> constructed = std::move(moved);
    moved = constructed;
    EXPECT_EQ(copy.lock(), root.get());
    EXPECT_EQ(moved.lock(), root.get());
    weak = copy;
    copy = nullptr;
    EXPECT_TRUE(is_null(copy));
    EXPECT_FALSE(is_null(weak));
    Weak<Node>& itself = weak;
    weak = itself;
    weak = std::move(itself);
    EXPECT_FALSE(is_null(weak));
  });
  root = nullptr;
  collect_now();
  EXPECT_TRUE(is_null(weak));
  EXPECT_TRUE(is_null(moved));
  Weak<Node> of_null = weak;
  EXPECT_TRUE(is_null(of_null));
  with_node(2, [&](Node* node) {
    root = node;
    weak = node;  // the cell serves again
  });
  collect_now();
  EXPECT_FALSE(is_null(weak));
}

TEST_F(WeakTest, LivesWhereARootMay) {
  static std::optional<Weak<Node>> in_static;
  std::unordered_map<std::string, Weak<const Node>> in_map;
  Root<Node> root;
  with_node(3, [&](Node* node) {
    root = node;
    in_static.emplace(node);
    in_map["key"] = node;
  });
  collect_now();
  in_own_frame([&] {
    EXPECT_EQ(in_static->lock()->value, 3);
    EXPECT_EQ(in_map["key"].lock(), root.get());
  });
  std::thread not_attached([] { in_static.reset(); });
  test::join(not_attached);
  root = nullptr;
  collect_now();
  EXPECT_TRUE(is_null(in_map["key"]));
}

TEST_F(WeakTest, ReferencesPartsAndObjectsWithoutPointers) {
  Weak<std::int64_t> part;
  Weak<double> number;
  Root<Node> root;
  Root<double> number_root;
  with_node(4, [&](Node* node) {
    root = node;
    part = &node->value;
    number_root = make<double>(2.5);
    number = number_root.get();
  });
  collect_now();
  in_own_frame([&] {
    EXPECT_EQ(*part.lock(), 4);
    EXPECT_EQ(*number.lock(), 2.5);
  });
  root = nullptr;
  number_root = nullptr;
  collect_now();
  EXPECT_TRUE(is_null(part));
  EXPECT_TRUE(is_null(number));
}

TEST_F(WeakTest, CellsAreUsedAgain) {
  Root<Node> root(test::make_node(1));
  std::vector<Weak<Node>> warm(20'000, Weak<Node>(root.get()));
  const std::size_t bytes = weak_table_bytes();
  EXPECT_GE(bytes, warm.size() * sizeof(void*));
  for (int round = 0; round < 20; ++round) {
    warm.clear();
    warm.resize(20'000);
    for (Weak<Node>& weak : warm) weak = root.get();
  }
  EXPECT_EQ(weak_table_bytes(), bytes);
}

TEST_F(WeakTest, ManyAreClearedAtOnce) {
  std::vector<Weak<Node>> weaks(30'000);
  Root<Node> kept(test::make_node(1));
  in_own_frame([&] {
    for (std::size_t i = 0; i < weaks.size(); ++i) {
      weaks[i] = i % 3 == 0 ? kept.get() : test::make_node(2);
    }
  });
  collect_now();
  std::size_t nulls = 0;
  in_own_frame([&] {
    for (std::size_t i = 0; i < weaks.size(); ++i) {
      const Node* node = weaks[i].lock();
      if (node == nullptr) ++nulls;
      if (i % 3 == 0) {
        ASSERT_EQ(node, kept.get());
      }
    }
  });
  // A stale word on the stack may keep one or two.
  EXPECT_GE(nulls, weaks.size() * 2 / 3 - 4);
}

// A thread in phase 3 by itself, with no cycle about, and the collector's part played by the test.
class CutOver {
 public:
  explicit CutOver(const Weak<Node>& weak)
      : thread_([this, &weak] {
          const ThreadScope scope;
          *base::phase_of_this_thread() = kPhaseCutOver;
          mutator_.store(mutator(), std::memory_order_release);  // pairs with waits()
          given_ = Disguised(weak.lock());
          *base::phase_of_this_thread() = kPhaseOff;
          decided_.store(true, std::memory_order_release);  // pairs with decided()
          // Attached for as long as anybody looks.
          native([this] {
            while (!left_.load(std::memory_order_acquire)) std::this_thread::yield();
          });
        }) {}
  bool decided() const { return decided_.load(std::memory_order_acquire); }
  // True when it is in the midst of its wait, a native scope; false if it has got its answer instead.
  bool waits() const {
    for (;;) {
      if (decided()) return false;
      const Mutator* const waiting = mutator_.load(std::memory_order_acquire);
      if (waiting != nullptr && waiting->in_native_scope() && !decided()) return true;
      std::this_thread::yield();
    }
  }
  std::uintptr_t given() {
    left_.store(true, std::memory_order_release);
    test::join(thread_);
    return given_.address();
  }

 private:
  Disguised given_;
  std::atomic<bool> decided_{false};
  std::atomic<bool> left_{false};
  std::atomic<const Mutator*> mutator_{nullptr};
  std::thread thread_;
};

TEST_F(WeakTest, InTheCutOverALoadOfAnUnmarkedObjectWaits) {
  const int percent = set_percent(-1);
  collect_now();
  Root<Node> root;
  Weak<Node> weak;
  with_node(1, [&](Node* node) {
    root = node;
    weak = node;
  });
  const auto address = reinterpret_cast<std::uintptr_t>(root.get());
  const heap::ObjectPlace place = heap::find_object(address);
  ASSERT_FALSE(place.marked());
  {
    CutOver load(weak);
    EXPECT_TRUE(load.waits());
    place.mark_word->fetch_or(place.bit);
    EXPECT_EQ(load.given(), address);
  }
  {
    CutOver load(weak);  // marked: given at once
    EXPECT_EQ(load.given(), address);
  }
  place.mark_word->fetch_and(~place.bit);
  {
    CutOver load(weak);
    EXPECT_TRUE(load.waits());
    EXPECT_GE(clear_dead_weak(), 1u);
    place.mark_word->fetch_or(place.bit);  // as a finalizer's resurrection does
    EXPECT_EQ(load.given(), 0u);
  }
  place.mark_word->fetch_and(~place.bit);
  set_percent(percent);
}

// Loads beside cycles that follow each other. Each thread takes objects' last roots away and looks at them
// through weak references that all threads share: an object that is given is whole, and null is final.
struct Marked {
  Member<Marked> child;
  std::int64_t value = 0;
  std::int64_t check = 0;
};
BOOST_DESCRIBE_STRUCT(Marked, (), (child, value, check))

Marked* make_marked(std::int64_t value) {
  Marked* child = make<Marked>();
  child->value = value + 1;
  child->check = ~child->value;
  Marked* marked = make<Marked>();
  marked->value = value;
  marked->check = ~value;
  marked->child = child;
  return marked;
}

class Pool {
 public:
  static constexpr std::size_t kSlots = 4096;

  // New objects in all slots; by one thread, the others away.
  void fill(std::int64_t base) {
    base_ = base;
    for (std::size_t i = 0; i < kSlots; ++i) {
      Marked* marked = make_marked(base + static_cast<std::int64_t>(i) * 2);
      roots_[i] = marked;
      weak_[i] = marked;
      children_[i] = marked->child.get();
      // Relaxed: the threads begin after this.
      gone_[i].store(false, std::memory_order_relaxed);
      child_gone_[i].store(false, std::memory_order_relaxed);
    }
  }
  void let_go(std::size_t i) { roots_[i] = nullptr; }
  // What it is given it uses until `enough` says so, and once more.
  template <typename F>
  std::uint64_t look(std::size_t i, F&& enough) {
    return look(weak_[i], gone_[i], base_ + static_cast<std::int64_t>(i) * 2, enough) +
           look(children_[i], child_gone_[i], base_ + static_cast<std::int64_t>(i) * 2 + 1, enough);
  }

 private:
  template <typename F>
  static std::uint64_t look(const Weak<Marked>& weak, std::atomic<bool>& gone, std::int64_t value,
                            F& enough) {
    // Acquire pairs with the release below: whoever knows that it is gone looks after it was.
    const bool was_gone = gone.load(std::memory_order_acquire);
    Marked* marked = weak.lock();
    if (marked == nullptr) {
      gone.store(true, std::memory_order_release);
      return 0;
    }
    EXPECT_FALSE(was_gone) << "given after null";
    for (bool last = false; !last;) {
      last = enough();
      poll();
      EXPECT_EQ(marked->value, value);
      EXPECT_EQ(marked->check, ~value);
      if (Marked* child = marked->child.get()) {
        // What it reaches is there too, also while the path to it is cut.
        marked->child = nullptr;
        poll();
        EXPECT_EQ(child->value, value + 1);
        EXPECT_EQ(child->check, ~child->value);
        marked->child = child;
      }
    }
    return 1;
  }

  std::int64_t base_ = 0;
  Root<Marked> roots_[kSlots];
  Weak<Marked> weak_[kSlots];
  Weak<Marked> children_[kSlots];
  std::atomic<bool> gone_[kSlots];
  std::atomic<bool> child_gone_[kSlots];
};

TEST_F(WeakTest, LoadsBesideCyclesGiveWholeObjectsOrNullForEver) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 12;
  Pool pool;
  std::atomic<std::uint64_t> given{0};
  std::atomic<int> cycles{0};
  for (int round = 0; round < kRounds; ++round) {
    in_own_frame([&] { pool.fill(round * 1'000'000 + 1); });
    std::atomic<bool> stop{false};
    std::atomic<int> begun{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const ThreadScope scope;
        begun.fetch_add(1, std::memory_order_relaxed);
        std::uint64_t random = static_cast<std::uint64_t>(round * kThreads + t) * 2 + 1;
        std::uint64_t seen = 0;
        const auto next = [&random](std::uint64_t bound) {
          random = random * 6364136223846793005u + 1442695040888963407u;
          return (random >> 33) % bound;
        };
        // Relaxed throughout: signs to go on or stop, no more.
        do {
          // Some looks, and one object kept from some moment of a cycle beyond its sweep.
          for (std::uint64_t looks = next(6000); looks > 0; --looks) {
            const std::size_t i = next(Pool::kSlots);
            // Each root has one thread that writes it.
            if (i % kThreads == static_cast<std::size_t>(t)) pool.let_go(i);
            seen += pool.look(i, [] { return true; });
            // Garbage that comes to lie where the dead were.
            if (looks % 4 == 0) make_marked(-5);
          }
          const int now = cycles.load(std::memory_order_relaxed);
          seen += pool.look(next(Pool::kSlots), [&] {
            for (int i = 0; i < 20; ++i) make_marked(-7);
            return stop.load(std::memory_order_relaxed) ||
                   cycles.load(std::memory_order_relaxed) > now;
          });
        } while (!stop.load(std::memory_order_relaxed));
        given.fetch_add(seen, std::memory_order_relaxed);
      });
    }
    // Threads that have not begun would see nothing of the cycles.
    native([&] {
      while (begun.load(std::memory_order_relaxed) < kThreads) std::this_thread::yield();
    });
    for (int cycle = 0; cycle < 10; ++cycle) {
      collect();
      cycles.fetch_add(1, std::memory_order_relaxed);
    }
    stop.store(true, std::memory_order_relaxed);
    for (std::thread& thread : threads) test::join(thread);
  }
  EXPECT_GT(given.load(), 0u);
}

using WeakDeathTest = WeakTest;

TEST_F(WeakDeathTest, OnlyToTheHeapAndOnlyByAttachedThreads) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  static std::int64_t not_managed = 0;
  EXPECT_DEATH(Weak<std::int64_t>{&not_managed},
               "a Weak to something that is not on the collected heap");
  EXPECT_DEATH(std::thread([] {
                 Weak<Node> weak;
                 std::thread([&] {
                   const ThreadScope scope;
                   weak = test::make_node(1);
                 }).join();
                 weak.lock();
               }).join(),
               "not attached");
}

}  // namespace
}  // namespace tailrace::gc
