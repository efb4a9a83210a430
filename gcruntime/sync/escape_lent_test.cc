// The escape rule and frames that another fiber has a reference to since before the arena; and what is handed
// over and only looks like such a reference.
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/sync/channel.h"

namespace tailrace::fiber {
namespace {

using gc::has_arena;
using gc::with_arena;
using gc::test::make_part;
using gc::test::Part;
using gc::test::Scene;

class EscapeLentTest : public FiberTest {};

// [arena.escape] A child that was spawned before the arena reads its parent's frames while the arena is open.
TEST_P(EscapeLentTest, FramesThatWereLentBefore) {
  run([] {
    gc::Member<Part> slot;
    std::atomic<int> turn{0};
    JoinHandle child = spawn([&slot, &turn] {
      while (turn.load() != 1) yield();
      const Part* const part = slot.get();
      turn.store(2);
      while (turn.load() != 3) yield();
      EXPECT_EQ(part->number, 7);
    });
    with_arena([&] {
      slot = make_part(7);
      turn.store(1);
      while (turn.load() != 2) yield();
      slot = nullptr;
    });
    gc::test::overwrite_dead_frames();
    for (int i = 0; i < 10; ++i) {
      with_arena([] {
        for (int j = 0; j < 1000; ++j) make_part(-1);
      });
    }
    turn.store(3);
    child.join();
  });
}

// It may point into itself, as a short std::string does.
TEST_P(EscapeLentTest, APayloadThatPointsIntoItself) {
  run([] {
    struct Named {
      std::string name;
      Part* part;
    };
    with_arena([] {
      const Scene scene;
      Channel<Named> channel(1);
      EXPECT_EQ(channel.send(Named{"short", scene.part(Scene::kMid)}), ChannelStatus::kOk);
      scene.expect_faded(Scene::of_list());
      EXPECT_TRUE(has_arena());
      EXPECT_EQ(channel.receive()->name, "short");
      spawn([text = std::string("short"), mid = scene.part(Scene::kMid)] {
        EXPECT_EQ(text, "short");
        EXPECT_EQ(mid->number, Scene::kMid);
      }).join();
      EXPECT_TRUE(has_arena());
      scene.expect_faded(Scene::of_list());
    });
  });
}

TAILRACE_FIBER_TESTS(EscapeLentTest);

}  // namespace
}  // namespace tailrace::fiber
