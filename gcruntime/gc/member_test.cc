// Member and Atomic: the pointer-like face, and publication between threads.
#include "gcruntime/gc/member.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <type_traits>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

struct Base {
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Base, (), (value))
struct Derived : Base {
  std::int64_t more = 0;
};
BOOST_DESCRIBE_STRUCT(Derived, (Base), (more))

// What keeps containers from moving it by memcpy, and destructors out of the collector.
static_assert(sizeof(Member<Base>) == 8);
static_assert(!std::is_trivially_copyable_v<Member<Base>> &&
              std::is_trivially_destructible_v<Member<Base>>);
static_assert(sizeof(Atomic<Base>) == 8 && std::is_trivially_destructible_v<Atomic<Base>>);
static_assert(!std::is_copy_constructible_v<Atomic<Base>>);
static_assert(std::is_nothrow_move_constructible_v<Member<Base>>);
static_assert(std::is_convertible_v<Base*, Member<Base>> &&
              std::is_convertible_v<Derived*, Member<Base>>);
static_assert(std::is_convertible_v<Member<Derived>, Member<Base>>);
static_assert(!std::is_convertible_v<Base*, Member<Derived>>);
static_assert(!std::is_convertible_v<Member<Base>, Member<Derived>>);
static_assert(!std::is_constructible_v<Member<Base>, std::intptr_t> &&
              !std::is_constructible_v<Member<Base>, int>);
// A byte inside an object may stand at an odd address, which the marker takes for inline text.
static_assert(internal::kMayBeOdd<char> && internal::kMayBeOdd<bool> &&
              internal::kMayBeOdd<std::byte>);
static_assert(!internal::kMayBeOdd<Base> && !internal::kMayBeOdd<std::int16_t>);

class MemberTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

TEST_F(MemberTest, BehavesLikeAPointer) {
  Member<Base> null;
  EXPECT_FALSE(null);
  EXPECT_EQ(null, nullptr);
  EXPECT_EQ(null.get(), nullptr);
  Derived* derived = make<Derived>();
  derived->value = 4;
  Member<Derived> member(derived);
  Member<Base> base(member);
  EXPECT_EQ(base, derived);
  EXPECT_EQ(base->value, 4);
  EXPECT_EQ((*base).value, 4);
  Member<Base> copy = base;
  EXPECT_EQ(copy, base);
  Base* other = make<Base>();
  copy = other;
  EXPECT_EQ(copy, other);
  EXPECT_FALSE(copy == base);
  copy = base;
  EXPECT_EQ(copy.get(), derived);
  copy = nullptr;
  EXPECT_FALSE(copy);
  std::swap(copy, base);
  EXPECT_EQ(copy.get(), derived);
  EXPECT_FALSE(base);
}

TEST_F(MemberTest, AllZeroIsNull) {
  alignas(8) char memory[8] = {};
  EXPECT_EQ(reinterpret_cast<Member<Base>*>(memory)->get(), nullptr);
  EXPECT_EQ(reinterpret_cast<Atomic<Base>*>(memory)->load(), nullptr);
}

TEST_F(MemberTest, AtomicExchangesAndCompares) {
  Atomic<Base> atomic;
  Base* first = make<Base>();
  Base* second = make<Base>();
  EXPECT_EQ(atomic.exchange(first), nullptr);
  Base* expected = second;
  EXPECT_FALSE(atomic.compare_exchange(expected, second));
  EXPECT_EQ(expected, first);
  EXPECT_TRUE(atomic.compare_exchange(expected, second));
  EXPECT_EQ(atomic.load(), second);
  atomic.store(nullptr);
  EXPECT_EQ(atomic.load(), nullptr);
}

struct Version {
  std::int64_t number = 0;
  std::array<std::int64_t, 6> copies{};
};
BOOST_DESCRIBE_STRUCT(Version, (), (number, copies))
struct Board {
  Atomic<Version> current;
};
BOOST_DESCRIBE_STRUCT(Board, (), (current))

// What a load sees is whole, and no older than what the thread saw before; old versions are collected
// under the readers' feet, but for those that they hold.
TEST_F(MemberTest, ReadersSeeWholeVersionsWhileAWriterPublishes) {
  Root<Board> board(make<Board>());
  board->current.store(make<Version>());
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      const ThreadScope scope;
      std::int64_t last = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        const Version* version = board->current.load();
        ASSERT_GE(version->number, last);
        last = version->number;
        for (const std::int64_t copy : version->copies) ASSERT_EQ(copy, last);
        test::poll_without_stop_signals();
      }
    });
  }
  std::thread writer([&] {
    const ThreadScope scope;
    for (std::int64_t number = 1; !stop.load(std::memory_order_relaxed); ++number) {
      auto* version = make<Version>();
      version->number = number;
      version->copies.fill(number);
      board->current.store(version);
    }
  });
  for (int i = 0; i < 100; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  native([&] {
    for (std::thread& reader : readers) reader.join();
    writer.join();
  });
}

struct Cell {
  Member<Cell> next;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Cell, (), (next, value))
struct Stack {
  Atomic<Cell> top;
};
BOOST_DESCRIBE_STRUCT(Stack, (), (top))

// A stack by compare_exchange: with a collector there is no reuse of a cell that somebody still holds, so
// no ABA. Nothing is lost and nothing doubled.
TEST_F(MemberTest, ALockFreeStackLosesNothing) {
  constexpr int kThreads = 3;
  constexpr std::int64_t kEach = 20'000;
  Root<Stack> stack(make<Stack>());
  std::atomic<std::int64_t> popped_sum{0};
  std::atomic<std::int64_t> popped{0};
  std::atomic<int> left{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      for (std::int64_t i = 0; i < kEach; ++i) {
        Cell* cell = make<Cell>();
        cell->value = t * kEach + i;
        Cell* top = stack->top.load();
        do {
          cell->next = top;
        } while (!stack->top.compare_exchange(top, cell));
        if (i % 2 == 0) {
          top = stack->top.load();
          while (top != nullptr && !stack->top.compare_exchange(top, top->next.get())) {
          }
          if (top != nullptr) {
            popped_sum.fetch_add(top->value, std::memory_order_relaxed);
            popped.fetch_add(1, std::memory_order_relaxed);
          }
        }
      }
      left.fetch_sub(1, std::memory_order_release);
    });
  }
  while (left.load(std::memory_order_acquire) > 0) collect();
  native([&] {
    for (std::thread& thread : threads) thread.join();
  });
  std::int64_t sum = popped_sum.load(std::memory_order_relaxed);
  std::int64_t count = popped.load(std::memory_order_relaxed);
  for (const Cell* cell = stack->top.load(); cell != nullptr; cell = cell->next.get()) {
    sum += cell->value;
    ++count;
  }
  EXPECT_EQ(count, kThreads * kEach);
  EXPECT_EQ(sum, kThreads * kEach * (kThreads * kEach - 1) / 2);
}

}  // namespace
}  // namespace tailrace::gc
