// The escape rule between fibers: another fiber's stack, channels, what is handed to spawn and to the blocking
// pool by value and by reference. And arenas that go where their fiber goes.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/sync/blocking_pool.h"
#include "gcruntime/sync/channel.h"
#include "gcruntime/sync/select.h"

namespace tailrace::fiber {
namespace {

using gc::has_arena;
using gc::with_arena;
using gc::internal::is_unfaded;
using gc::test::make_node;
using gc::test::make_part;
using gc::test::Node;
using gc::test::Part;
using gc::test::Scene;

class EscapeFibersTest : public FiberTest {
  const gc::test::NoCycles no_cycles_;
};

// --- Another fiber's stack -------------------------------------------------------------------------

TEST_P(EscapeFibersTest, AnotherFibersStack) {
  run([] {
    // Its frame has the slot; it writes nothing there.
    gc::Member<Part> slot;
    std::atomic<bool> done{false};
    JoinHandle writer = spawn([&slot, &done] {
      with_arena([&] {
        const Scene scene;
        scene.expect_faded(Scene::none());
        slot = scene.part(Scene::kHead);
        scene.expect_faded(Scene::of_head());
        EXPECT_TRUE(has_arena());
      });
      done.store(true);
    });
    writer.join();
    EXPECT_TRUE(done.load());
    gc::collect();
    Scene::expect_whole(slot.get());
  });
}

// --- Channels --------------------------------------------------------------------------------------

struct Bare {
  std::int64_t number;
  Part* part;
};
struct Described {
  gc::Member<Part> part;
  gc::String text;
};
BOOST_DESCRIBE_STRUCT(Described, (), (part, text))
// Only its own move constructor can move it.
struct Owning {
  explicit Owning(Part* the_part) : part(the_part) {}
  Owning(Owning&& other) noexcept
      : part(std::exchange(other.part, nullptr)), text(std::move(other.text)) {}
  Owning& operator=(Owning&&) = delete;
  ~Owning() = default;
  Part* part;
  std::unique_ptr<std::string> text = std::make_unique<std::string>("beside it");
};

Part* part_of(Part* part) { return part; }
Part* part_of(const gc::Member<Part>& part) { return part.get(); }
Part* part_of(const Bare& bare) { return bare.part; }
Part* part_of(const Described& described) { return described.part.get(); }
Part* part_of(const Owning& owning) { return owning.part; }

// Sends what `wrap` makes of the scene's head through a channel: into its ring, to a receiver that is parked
// there, or by a select.
enum class Way { kBuffered, kDirect, kSelect };
template <typename T, typename Wrap>
void send_one(Way way, Wrap&& wrap) {
  Channel<T> channel(way == Way::kDirect ? 0 : 4);
  std::atomic<bool> sent{false};
  JoinHandle receiver = spawn([&] {
    if (way == Way::kBuffered) {
      while (!sent.load()) yield();
    }
    Received<T> received = channel.receive();
    ASSERT_TRUE(static_cast<bool>(received));
    gc::collect();
    Scene::expect_whole(part_of(*received));
  });
  JoinHandle sender = spawn([&] {
    with_arena([&] {
      const Scene scene;
      T value = wrap(scene.part(Scene::kHead));
      scene.expect_faded(Scene::none());
      if (way == Way::kSelect) {
        select(on_send(channel, std::move(value),
                       [](ChannelStatus status) { EXPECT_EQ(status, ChannelStatus::kOk); }));
      } else {
        EXPECT_EQ(channel.send(std::move(value)), ChannelStatus::kOk);
      }
      sent.store(true);
      scene.expect_faded(Scene::of_head());
      EXPECT_TRUE(has_arena());
    });
  });
  sender.join();
  receiver.join();
}

void send_every_kind(Way way) {
  send_one<Part*>(way, [](Part* part) { return part; });
  send_one<gc::Member<Part>>(way, [](Part* part) { return gc::Member<Part>(part); });
  send_one<Bare>(way, [](Part* part) { return Bare{1, part}; });
  send_one<Described>(way, [](Part* part) { return Described{part, gc::String("short")}; });
  send_one<Owning>(way, [](Part* part) { return Owning(part); });
}

TEST_P(EscapeFibersTest, ABufferedSend) {
  run([] { send_every_kind(Way::kBuffered); });
}

TEST_P(EscapeFibersTest, ASendToAParkedReceiver) {
  run([] { send_every_kind(Way::kDirect); });
}

TEST_P(EscapeFibersTest, ASelectedSend) {
  run([] { send_every_kind(Way::kSelect); });
}

TEST_P(EscapeFibersTest, AFailedSendFadesAllOrNothing) {
  run([] {
    Channel<Part*> full(1);
    EXPECT_EQ(full.send(nullptr), ChannelStatus::kOk);
    with_arena([&] {
      const Scene scene;
      EXPECT_EQ(full.try_send(scene.part(Scene::kHead)), ChannelStatus::kWouldBlock);
      const Scene::Set faded = scene.faded();
      EXPECT_TRUE(faded == Scene::none() || faded == Scene::of_head()) << Scene::names(faded);
    });
  });
}

// Made in an arena, its ring is not of the arena; what is received there is not either.
TEST_P(EscapeFibersTest, AChannelMadeInAnArena) {
  run([] {
    std::unique_ptr<Channel<Part*>> channel;
    with_arena([&] {
      const Scene scene;
      channel = std::make_unique<Channel<Part*>>(8);
      EXPECT_EQ(channel->send(scene.part(Scene::kHead)), ChannelStatus::kOk);
      scene.expect_faded(Scene::of_head());
    });
    gc::collect();
    with_arena([&] {
      Node* const aside = make_node(1);
      Received<Part*> received = channel->receive();
      Scene::expect_whole(*received);
      EXPECT_FALSE(is_unfaded(*received));
      EXPECT_TRUE(is_unfaded(aside));
    });
  });
}

// --- Spawn -----------------------------------------------------------------------------------------

// By what `capture` makes of the scene's head, a value.
template <typename Capture>
void spawn_by_value(Scene::Set expected, Capture&& capture) {
  JoinHandle child;
  with_arena([&] {
    const Scene scene;
    child = capture(scene);
    scene.expect_faded(expected);
    EXPECT_TRUE(has_arena());
    EXPECT_TRUE(is_unfaded(make_node(1)));
    gc::test::overwrite_dead_frames();
  });
  child.join();
}

TEST_P(EscapeFibersTest, SpawnByValue) {
  run([] {
    spawn_by_value(Scene::of_head(), [](const Scene& scene) {
      return spawn([head = scene.part(Scene::kHead)] {
        EXPECT_FALSE(has_arena());
        gc::collect();
        Scene::expect_whole(head);
        EXPECT_FALSE(gc::test::in_arena_range(make_node(1)));
      });
    });
    spawn_by_value(Scene::of_list(), [](const Scene& scene) {
      return spawn([mid = gc::Member<Part>(scene.part(Scene::kMid))] {
        gc::collect();
        EXPECT_EQ(mid->number, Scene::kMid);
      });
    });
    spawn_by_value(Scene::of_list(), [](const Scene& scene) {
      gc::Vector<gc::Member<Part>>& list = scene.part(Scene::kMid)->list;
      return spawn([list = std::move(list)] {
        gc::collect();
        EXPECT_EQ(list[0]->number, Scene::kLeaf);
      });
    });
    spawn_by_value(Scene::of_text(), [](const Scene& scene) {
      return spawn([text = scene.part(Scene::kHead)->text] {
        gc::collect();
        EXPECT_EQ(text.size(), 32u);
      });
    });
    // As a word of a stack is: within an object.
    spawn_by_value(Scene::of_big(), [](const Scene& scene) {
      return spawn([number = &scene.big()->numbers[1408]] {
        gc::collect();
        EXPECT_EQ(*number, 0);
      });
    });
    // And just behind it, where another may begin.
    JoinHandle child;
    with_arena([&] {
      const Scene scene;
      Part* const last = make_part(77);
      Part* const other = make_part(78);
      child = spawn([end = last + 1] {
        gc::collect();
        EXPECT_EQ(end[-1].number, 77);
      });
      EXPECT_FALSE(is_unfaded(last));
      static_cast<void>(other);
      scene.expect_faded(Scene::none());
    });
    child.join();
  });
}

std::int64_t a_static = 0;

TEST_P(EscapeFibersTest, SpawnOfNothingOfTheArenas) {
  run([] {
    spawn_by_value(Scene::none(), [](const Scene&) {
      return spawn(
          [heap = gc::heap_make<Part>(), number = std::int64_t{5}, place = &a_static,
           text = std::make_unique<std::string>("in malloc memory, and not on the stack")] {
            gc::collect();
            EXPECT_EQ(heap->number, 0);
            EXPECT_EQ(number, 5);
            *place = 1;
          });
    });
  });
}

// The child may reach whatever the parent does: all of it fades, and what is made later is not the arena's.
template <typename Capture>
void spawn_by_reference(Capture&& capture) {
  const std::uint64_t before = gc::read_arena_stats().faded_whole;
  with_arena([&] {
    const Scene scene;
    Part* head = scene.part(Scene::kHead);
    Node* const aside = make_node(1);
    JoinHandle child = capture(scene, head);
    scene.expect_faded(Scene::all());
    EXPECT_FALSE(is_unfaded(aside));
    EXPECT_FALSE(has_arena());
    Node* const late = make_node(2);
    EXPECT_FALSE(gc::test::in_arena_range(late));
    gc::Member<Node> on_stack = late;
    child.join();
    EXPECT_EQ(on_stack->value, 2);
    Scene::expect_whole(head);
  });
  EXPECT_EQ(gc::read_arena_stats().faded_whole, before + 1);
  with_arena([] { EXPECT_TRUE(is_unfaded(make_node(3))); });
}

TEST_P(EscapeFibersTest, SpawnByReference) {
  run([] {
    spawn_by_reference([](const Scene&, Part*& head) {
      return spawn([&head] {
        gc::collect();
        Scene::expect_whole(head);
        head->list.push_back(make_part(50));
      });
    });
    spawn_by_reference([](const Scene& scene, Part*&) {
      return spawn([place = &scene] {
        gc::collect();
        Scene::expect_whole(place->part(Scene::kHead));
      });
    });
    spawn_by_reference([](const Scene& scene, Part*&) {
      return spawn([place = std::cref(scene), number = 1] {
        Scene::expect_whole(place.get().part(Scene::kHead));
        EXPECT_EQ(number, 1);
      });
    });
    spawn_by_reference([](const Scene& scene, Part*&) {
      const std::function<void()> function = [&scene] {
        Scene::expect_whole(scene.part(Scene::kHead));
      };
      return spawn(function);
    });
  });
}

// A child writes its result into its parent's frame: with the arena closed that is a store like any other.
TEST_P(EscapeFibersTest, AResultByReference) {
  run([] {
    with_arena([] {
      gc::Member<Part> result;
      Part* const input = make_part(8);
      JoinHandle child = spawn([&result, input] {
        result = make_part(9);
        result->next = input;
      });
      child.join();
      gc::collect();
      EXPECT_EQ(result->number, 9);
      EXPECT_EQ(result->next->number, 8);
    });
  });
}

// A child has no arena by itself, and may have one of its own.
TEST_P(EscapeFibersTest, AChildsOwnArena) {
  run([] {
    with_arena([] {
      Part* const shared = make_part(1);
      Node* const mine = make_node(1);
      JoinHandle child = spawn([shared] {
        EXPECT_FALSE(has_arena());
        EXPECT_FALSE(is_unfaded(shared));
        with_arena([&] {
          const Scene scene;
          Node* const theirs = make_node(2);
          EXPECT_TRUE(is_unfaded(theirs));
          // Faded, and of the parent's arena.
          shared->next = scene.part(Scene::kMid);
          scene.expect_faded(Scene::of_list());
          EXPECT_TRUE(is_unfaded(theirs));
        });
      });
      child.join();
      EXPECT_TRUE(is_unfaded(mine));
      gc::collect();
      EXPECT_EQ(shared->next->number, Scene::kMid);
      EXPECT_EQ(shared->next->list[0]->number, Scene::kLeaf);
    });
  });
}

// A thread that is no fiber hands it to a scheduler.
TEST_P(EscapeFibersTest, AThreadsArena) {
  const gc::ThreadScope attached;
  Scheduler& on = scheduler();
  with_arena([&] {
    const Scene scene;
    JoinHandle child = on.spawn([mid = scene.part(Scene::kMid)] {
      gc::collect();
      EXPECT_EQ(mid->number, Scene::kMid);
    });
    scene.expect_faded(Scene::of_list());
    child.join();
    EXPECT_TRUE(has_arena());
    JoinHandle other = on.spawn([&scene] { Scene::expect_whole(scene.part(Scene::kHead)); });
    scene.expect_faded(Scene::all());
    EXPECT_FALSE(has_arena());
    other.join();
  });
}

// --- The blocking pool -----------------------------------------------------------------------------

TEST_P(EscapeFibersTest, BlockingByValue) {
  run([] {
    with_arena([] {
      const Scene scene;
      const std::int64_t number = blocking([mid = scene.part(Scene::kMid)] {
        EXPECT_FALSE(is_unfaded(mid));
        EXPECT_FALSE(is_unfaded(mid->list[0].get()));
        gc::collect();
        return mid->number;
      });
      EXPECT_EQ(number, Scene::kMid);
      scene.expect_faded(Scene::of_list());
      EXPECT_TRUE(has_arena());
      const gc::Member<Part> made = blocking([] { return gc::Member<Part>(make_part(3)); });
      EXPECT_FALSE(is_unfaded(made.get()));
      gc::collect();
      EXPECT_EQ(made->number, 3);
      scene.expect_faded(Scene::of_list());
    });
  });
}

TEST_P(EscapeFibersTest, BlockingByReference) {
  run([] {
    with_arena([] {
      const Scene scene;
      blocking([&scene] {
        scene.expect_faded(Scene::all());
        gc::collect();
        Scene::expect_whole(scene.part(Scene::kHead));
      });
      scene.expect_faded(Scene::all());
      EXPECT_FALSE(has_arena());
    });
  });
}

// --- Many at once ----------------------------------------------------------------------------------

// Each fiber has its own arena, wherever it runs and whoever runs in between.
TEST_P(EscapeFibersTest, AnArenaGoesWithItsFiber) {
  run([] {
    std::array<JoinHandle, 16> fibers;
    for (JoinHandle& fiber : fibers) {
      fiber = spawn([] {
        for (int turn = 0; turn < 10; ++turn) {
          gc::Root<Part> kept;
          with_arena([&] {
            const Scene scene;
            Part* const own = make_part(turn);
            for (int i = 0; i < 20; ++i) {
              yield();
              EXPECT_TRUE(has_arena());
              own->list.push_back(make_part(i));
              EXPECT_TRUE(is_unfaded(own->list.back().get()));
              scene.part(Scene::kAside)->big = scene.big();
              if (i < 10) scene.expect_faded(Scene::none());
              if (i == 10) kept = scene.part(Scene::kMid);
              if (i >= 10) scene.expect_faded(Scene::of_list());
            }
            EXPECT_TRUE(is_unfaded(own));
          });
          EXPECT_FALSE(has_arena());
          yield();
          EXPECT_EQ(kept->list[1]->number, Scene::kTail);
        }
      });
    }
    for (JoinHandle& fiber : fibers) fiber.join();
  });
  EXPECT_EQ(gc::read_arena_stats().open, 0u);
}

TAILRACE_FIBER_TESTS(EscapeFibersTest);

}  // namespace
}  // namespace tailrace::fiber
