// gccheckmark=1 passes healthy cycles of both kinds, and stops the program when a mark is missing.
#include "gcruntime/gc/check_marks.h"

#include <gtest/gtest.h>

#include <thread>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/world.h"

namespace tailrace::gc {
namespace {

using test::make_node;
using test::Node;

TEST(CheckMarksTest, HealthyCyclesPass) {
  const ThreadScope scope;
  for (const bool stop : {false, true}) {
    configure({.stop_the_world = stop, .check_marks = true});
    const MarkChecks before = read_mark_checks();
    Root<Node> list;
    for (int i = 0; i < 10'000; ++i) {
      Node* node = make_node(i);
      node->next = list.get();
      list = node;
    }
    for (int i = 0; i < 3; ++i) collect();
    const MarkChecks after = read_mark_checks();
    EXPECT_GE(after.checks, before.checks + 3);
    EXPECT_GE(after.objects, before.objects + 30'000);
  }
  configure({});
}

// Marks with the world stopped, takes one object's mark away, and checks.
void check_without_mark_of(std::uintptr_t object) {
  std::thread collector([object] {
    World& world = World::instance();
    world.stop();
    world.hand_over_all();
    Marker marker;
    for_each_root([](void* self, void* root) { static_cast<Marker*>(self)->shade(root); }, &marker);
    world.for_each_stack(
        [](void* self, const void* low, const void* high) {
          static_cast<Marker*>(self)->scan_stack(low, high);
        },
        &marker);
    marker.drain();
    if (object != 0) {
      const heap::ObjectPlace place = heap::find_object(object);
      // Relaxed: nobody else runs.
      place.mark_word->fetch_and(~place.bit, std::memory_order_relaxed);
    }
    check_marks(/*all_scanned=*/true);
    world.start();
  });
  test::join(collector);
}

TEST(CheckMarksDeathTest, AMarkThatIsMissingIsNamedWithTheWayThere) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto broken = [](int depth) {
    const ThreadScope scope;
    configure({.percent = -1});
    const Root<Node> root(make_node(0));
    root->next = make_node(1);
    root->next->next = make_node(2);
    Node* node = root.get();
    for (int i = 0; i < depth; ++i) node = node->next.get();
    check_without_mark_of(reinterpret_cast<std::uintptr_t>(node));
  };
  EXPECT_DEATH(broken(0),
               "the marker missed it: an object of type .*Node.*\n.*reached from a root");
  EXPECT_DEATH(broken(2),
               "the marker missed it: an object of type .*Node.*\n.*from an object of type .*Node");
}

TEST(CheckMarksDeathTest, MarksThatAreAllThereAreNot) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto healthy = [] {
    const ThreadScope scope;
    configure({.percent = -1});
    const Root<Node> root(make_node(0));
    root->next = make_node(1);
    check_without_mark_of(0);
    std::_Exit(7);
  };
  EXPECT_EXIT(healthy(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace tailrace::gc
