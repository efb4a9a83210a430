// Where a bare handle may be constructed and where it stops the program; the compile-time half is in
// refused.cc.
#include "gcruntime/gc/handle_place.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

struct Node {
  Member<Node> next;
  String name;
};
BOOST_DESCRIBE_STRUCT(Node, (), (next, name))

// Another word in a handle would be a word in every object.
static_assert(sizeof(Member<Node>) == 8 && sizeof(Atomic<Node>) == 8 && sizeof(String) == 16 &&
              sizeof(Vector<Node>) == 16 && sizeof(Map<int, Node>) == 16);
static_assert(internal::kIsBareHandle<std::pair<const int, String>>);
static_assert(internal::kIsBareHandle<std::pair<const String, int>>);
static_assert(!internal::kIsBareHandle<Root<Node>> && !internal::kIsBareHandle<Node*>);

TEST(HandlePlace, ObjectsContainersAndStacksAreFine) {
  const ThreadScope scope;
  Node on_stack;
  on_stack.name = "a name that is not inline";
  Node* in_heap = make<Node>(on_stack);
  Vector<Node> in_backing;
  for (int i = 0; i < 100; ++i) in_backing.push_back(*in_heap);
  Map<String, Node> map;
  map.insert("key", *in_heap);
  const std::optional<Vector<String>> within(std::in_place);
  EXPECT_EQ(map.find("key")->name, on_stack.name);
  EXPECT_TRUE(within->empty());
}

TEST(HandlePlace, AnotherAttachedThreadsStackIsFine) {
  const ThreadScope scope;
  std::optional<String> result;
  std::thread other([&] {
    const ThreadScope others;
    result.emplace("built by another thread, for this one's stack");
  });
  native([&] { other.join(); });
  EXPECT_EQ(result->size(), 45u);
}

TEST(HandlePlace, RootsMayBeAnywhere) {
  const ThreadScope scope;
  std::vector<Root<Vector<String>>> in_malloc;
  in_malloc.emplace_back();
  in_malloc.back()->push_back("text");
  const Root<String> text(String("text that is kept"));
  const std::function<std::size_t()> closure = [text] { return text->size(); };
  EXPECT_EQ(closure(), 17u);
}

#if TAILRACE_DCHECKS

class HandlePlaceDeathTest : public testing::Test {
 protected:
  HandlePlaceDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

using Numbered = Map<int, String>;

// Type, then what is wrong and what to do, then the address.
#define EXPECT_REFUSED(type, statement) \
  EXPECT_DEATH(                         \
      {                                 \
        const ThreadScope scope;        \
        statement;                      \
      },                                \
      "a bare .*" type ".*\n.*does not look.*use Root<T> there; its address:.*value [0-9]+ = 0x")

TEST_F(HandlePlaceDeathTest, MallocMemoryIsRefused) {
  EXPECT_REFUSED("Member<.*Node>", { const auto node = std::make_unique<Node>(); });
}

TEST_F(HandlePlaceDeathTest, AStdContainersMemoryIsRefused) {
  // The compiler cannot see this one: std::allocator<Node> does not know what a Node holds.
  EXPECT_REFUSED("Member<.*Node>", { const std::vector<Node> nodes(3); });
}

TEST_F(HandlePlaceDeathTest, AStaticIsRefused) {
  EXPECT_REFUSED("String", { static const String text("at function scope"); });
}

TEST_F(HandlePlaceDeathTest, AnExceptionIsRefused) {
  EXPECT_REFUSED("Vector<.*String.*>", {
    try {
      throw Vector<String>();
    } catch (const Vector<String>&) {
    }
  });
}

TEST_F(HandlePlaceDeathTest, AFunctionsClosureIsRefused) {
  EXPECT_REFUSED("Map<int. .*String.*>", {
    const Numbered map;
    const std::function<bool()> closure = [map] { return map.empty(); };
  });
}

TEST_F(HandlePlaceDeathTest, AThreadThatIsNotAttachedIsToldSo) {
  EXPECT_DEATH({ const String text("on an unknown stack"); },
               "a bare .*String\n.*not attached: hold a tailrace::gc::ThreadScope");
}

#endif

}  // namespace
}  // namespace tailrace::gc
