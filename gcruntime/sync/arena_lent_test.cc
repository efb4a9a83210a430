// [arena.lent] A container of a request's arena that another fiber grows: where the runtime could not see that it was
// lent, the program stops, as its elements would be moved to the heap and what they refer to would be left behind.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::fiber {
namespace {

using gc::with_arena;
using Lines = gc::Vector<gc::String>;
using Marks = gc::Map<gc::String, gc::String>;

gc::String text(int number) {
  return gc::String("a text that is longer than fifteen bytes: " + std::to_string(number));
}
void add(Lines& lines, int number) { lines.push_back(text(number)); }
void add(Marks& marks, int number) { marks[text(number)] = text(-number); }

constexpr int kOwn = 4;
constexpr int kAll = 100;

// The arena has a container with some elements, which another fiber is to grow.
template <typename Container, typename Lend>
void grow_elsewhere(Lend&& lend) {
  with_arena([&] {
    Container container;
    for (int i = 0; i < kOwn; ++i) add(container, i);
    lend(container).join();
    EXPECT_EQ(container.size(), static_cast<std::size_t>(kAll));
  });
}

// Larger than what a std::function has room for by itself.
template <typename Container>
JoinHandle lend_by_function(Container& container) {
  std::function<void()> work = [&container, larger = std::array<char, 64>()] {
    for (int i = kOwn; i < kAll; ++i) add(container, i + larger[0]);
  };
  return spawn(std::move(work));
}
template <typename Container>
JoinHandle lend_by_shared_pointer(Container& container) {
  return spawn([lent = std::make_shared<Container*>(&container)] {
    for (int i = kOwn; i < kAll; ++i) add(**lent, i);
  });
}
template <typename Container>
JoinHandle lend_by_reference(Container& container) {
  return spawn([&container] {
    for (int i = kOwn; i < kAll; ++i) add(container, i);
  });
}

class ArenaLentDeathTest : public FiberTest {
 protected:
  ArenaLentDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  template <typename Container>
  void expect_stop() {
    constexpr const char* kMessage =
        "a container grows whose elements lie in another fiber's request arena.*not behind malloc";
    EXPECT_DEATH(run([] { grow_elsewhere<Container>(lend_by_function<Container>); }), kMessage);
    EXPECT_DEATH(run([] { grow_elsewhere<Container>(lend_by_shared_pointer<Container>); }),
                 kMessage);
  }
};
INSTANTIATE_TEST_SUITE_P(Workers, ArenaLentDeathTest, testing::Values(1u, 2u), worker_name);

TEST_P(ArenaLentDeathTest, AVectorBehindMalloc) { expect_stop<Lines>(); }
TEST_P(ArenaLentDeathTest, AMapBehindMalloc) { expect_stop<Marks>(); }

// The remedy that the message names: the arena fades as a whole, and the container is like any other.
using ArenaLentTest = FiberTest;
TAILRACE_FIBER_TESTS(ArenaLentTest);

TEST_P(ArenaLentTest, ByReferenceTheyMayGrow) {
  run([] {
    grow_elsewhere<Lines>(lend_by_reference<Lines>);
    grow_elsewhere<Marks>(lend_by_reference<Marks>);
  });
}

}  // namespace
}  // namespace tailrace::fiber
