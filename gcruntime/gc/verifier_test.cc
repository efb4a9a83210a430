// The verify build stops at what others would survive for a while: each kind of mistake is made once.
#include "gcruntime/gc/verifier.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/page_map.h"

#if !defined(TAILRACE_VERIFY)
#error "of the verify build only: see sources.cmake"
#endif

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::Node;

struct Forgetful {
  Member<Node> known;
  Opaque<Node*> hidden{};
};
BOOST_DESCRIBE_STRUCT(Forgetful, (), (known, hidden))

class VerifierDeathTest : public testing::Test {
 protected:
  VerifierDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(VerifierDeathTest, APointerInOpaqueStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Forgetful> root(make<Forgetful>());
        in_own_frame([&] { root->hidden.value = make<Node>(); });
        collect();
      },
      "in an object of type .*Forgetful.*\n.*not traced points to an unmarked object");
}

TEST_F(VerifierDeathTest, AnIntegerUsedAsAPointerStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Node> root(make<Node>());
        in_own_frame([&] { root->value = reinterpret_cast<std::int64_t>(make<Node>()); });
        collect();
      },
      "not traced points to an unmarked object");
}

struct Inner {
  std::int64_t number = 0;
  Opaque<Node*> pointer{};
};
BOOST_DESCRIBE_STRUCT(Inner, (), (number, pointer))
struct Outer {
  Member<Node> known;
  Inner inner;
};
BOOST_DESCRIBE_STRUCT(Outer, (), (known, inner))

// Functions of their own, so that the message can be asked for their names.
TAILRACE_NOINLINE Outer* make_the_holder() {
  Outer* outer = make<Outer>();
  asm volatile("" : "+r"(outer));
  return outer;
}
TAILRACE_NOINLINE Node* make_the_lost_one() {
  Node* node = make<Node>();
  asm volatile("" : "+r"(node));
  return node;
}

// By member, and where both objects came from.
TEST_F(VerifierDeathTest, TheMessageNamesTheMemberAndBothStacks) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Vector<Outer>> keeps;
        keeps->resize(2);
        (*keeps)[1] = *make_the_holder();
        in_own_frame([&] { (*keeps)[1].inner.pointer.value = make_the_lost_one(); });
        collect();
      },
      "in an object of type .*Outer.*\n"
      "  member inner.pointer, byte 16 of element 1\n"
      "  the object at 0x.*, type .*Outer.*, allocated by:\n"
      "(.*\n)*.*resize.*\n(.*\n)*"
      "  what it points to at 0x.*, type .*Node.*, allocated by:\n"
      "(.*\n)*.*make_the_lost_one.*verifier_test.cc:[0-9]+");
}

TEST_F(VerifierDeathTest, AFreedObjectsCycleIsKnown) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Outer> root(make_the_holder());
        Disguised dangling;
        const Root<Vector<Member<Node>>> neighbours;
        in_own_frame([&] {
          for (int i = 0; i < 100; ++i) neighbours->push_back(make<Node>());
          dangling = Disguised(make_the_lost_one());
        });
        collect();
        root->known = reinterpret_cast<Node*>(dangling.address());
        collect();
      },
      "  member known, byte 0 of element 0\n"
      "  the object (.*\n)*.*make_the_holder(.*\n)*"
      "  what it points to at 0x.*, freed by cycle [0-9]+, allocated by:\n"
      "(.*\n)*.*make_the_lost_one");
}

// The same are fine while something else keeps the object.
TEST(Verifier, APointerInOpaqueToALiveObjectIsFine) {
  const ThreadScope scope;
  const Root<Forgetful> root(make<Forgetful>());
  root->known = make<Node>();
  root->hidden.value = root->known.get();
  for (int i = 0; i < 3; ++i) collect();
}

TEST_F(VerifierDeathTest, AWriteThroughADanglingPointerStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        Disguised dangling;
        const Root<Vector<Member<Node>>> neighbours;  // the span stays in use
        in_own_frame([&] {
          for (int i = 0; i < 100; ++i) neighbours->push_back(make<Node>());
          dangling = Disguised(make<Node>());
        });
        collect();
        reinterpret_cast<Node*>(dangling.address())->value = 1;
        for (int i = 0; i < 100'000; ++i) make<Node>();
      },
      "a free slot was written to");
}

TEST_F(VerifierDeathTest, ATracedWordThatPointsToAFreeSlotStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Node> root(make<Node>());
        Disguised dangling;
        const Root<Vector<Member<Node>>> neighbours;
        in_own_frame([&] {
          for (int i = 0; i < 100; ++i) neighbours->push_back(make<Node>());
          dangling = Disguised(make<Node>());
        });
        collect();
        root->next = reinterpret_cast<Node*>(dangling.address());
        collect();
      },
      "points to a free slot");
}

TEST_F(VerifierDeathTest, AnOverwrittenCountStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Node> root(make<Node>());
        std::uint64_t* header = test::header_of(root.get());
        *header = Header::pack(Header::type(*header), 0, 2);
        collect();
      },
      "header count over the slot's size");
}

TEST_F(VerifierDeathTest, AMarkInAFreeSlotStops) {
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Vector<Member<Node>>> neighbours;
        Disguised freed;
        in_own_frame([&] {
          for (int i = 0; i < 100; ++i) neighbours->push_back(make<Node>());
          freed = Disguised(make<Node>());
        });
        collect();
        const heap::ObjectPlace place = heap::find_object(freed.address());
        place.mark_word->fetch_or(place.bit, std::memory_order_relaxed);
        collect();
      },
      "free slot is marked");
}

}  // namespace
}  // namespace tailrace::gc
