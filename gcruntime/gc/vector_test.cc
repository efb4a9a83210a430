// Vector against std::vector, and what its backing keeps alive.
#include "gcruntime/gc/vector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::is_allocated;
using test::make_node;
using test::Node;

struct Point {
  std::int32_t x = 0;
  std::int32_t y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};
BOOST_DESCRIBE_STRUCT(Point, (), (x, y))

class VectorTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

template <typename T, typename Make>
void churn_against_std(Make&& make_element) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Vector<T> vector;
  // Strings may not be bare in a std container: their oracle is text.
  using Model = std::conditional_t<std::is_same_v<T, String>, std::string, T>;
  const auto model = [](const T& element) {
    if constexpr (std::is_same_v<T, Model>) {
      return element;
    } else {
      return std::string(element.view());
    }
  };
  std::vector<Model> expected;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 16) {
      default:
        vector.push_back(make_element(step));
        expected.push_back(model(make_element(step)));
        break;
      case 8:
      case 9:
      case 10:
        if (!expected.empty()) {
          vector.pop_back();
          expected.pop_back();
        }
        break;
      case 11:
        if (!expected.empty()) {
          const std::size_t index = random() % expected.size();
          vector.erase(index);
          expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(index));
        }
        break;
      case 12:
        if (random() % 50 == 0) {
          vector.clear();
          expected.clear();
        }
        break;
      case 13: {
        const std::size_t size = random() % (expected.size() + 10);
        vector.resize(size);
        expected.resize(size);
        break;
      }
      case 14: {
        Vector<T> copy(vector);
        ASSERT_TRUE(copy == vector);
        Vector<T> moved(std::move(copy));
        ASSERT_TRUE(copy.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
        vector = std::move(moved);
        break;
      }
      case 15:
        if (!expected.empty()) {  // an element of its own, over a growth or not
          vector.push_back(vector[0]);
          expected.push_back(Model(expected[0]));
        }
        break;
    }
    ASSERT_EQ(vector.size(), expected.size());
    ASSERT_GE(vector.capacity(), vector.size());
  }
  ASSERT_TRUE(std::equal(vector.begin(), vector.end(), expected.begin(), expected.end()));
}

TEST_F(VectorTest, ChurnAgreesWithStdVectorOfInts) {
  churn_against_std<int>([](int step) { return step; });
}
TEST_F(VectorTest, ChurnAgreesWithStdVectorOfBytes) {
  churn_against_std<char>([](int step) { return static_cast<char>(step); });
}
TEST_F(VectorTest, ChurnAgreesWithStdVectorOfPoints) {
  churn_against_std<Point>([](int step) { return Point{step, -step}; });
}
TEST_F(VectorTest, ChurnAgreesWithStdVectorOfStrings) {
  churn_against_std<String>([](int step) {
    return String(std::to_string(step) + (step % 2 == 0 ? "" : " and then more than is inline"));
  });
}

TEST_F(VectorTest, IsSixteenBytesAndEmptyWhenZero) {
  static_assert(sizeof(Vector<int>) == 16 && sizeof(Vector<String>) == 16);
  static_assert(std::is_trivially_destructible_v<Vector<String>>);
  static_assert(!std::is_trivially_copyable_v<Vector<int>>);
  alignas(Vector<int>) char memory[sizeof(Vector<int>)] = {};
  const auto* vector = reinterpret_cast<const Vector<int>*>(memory);
  EXPECT_EQ(vector->size(), 0u);
  EXPECT_EQ(vector->begin(), vector->end());
}

TEST_F(VectorTest, ConstructionFromAList) {
  const Vector<int> numbers{3, 1, 2};
  EXPECT_EQ(std::accumulate(numbers.begin(), numbers.end(), 0), 6);
  EXPECT_EQ(numbers.front(), 3);
  EXPECT_EQ(numbers.back(), 2);
  EXPECT_TRUE(numbers == (Vector<int>{3, 1, 2}));
  EXPECT_FALSE(numbers == (Vector<int>{3, 1}));
  EXPECT_FALSE(numbers == (Vector<int>{3, 1, 4}));
}

TEST_F(VectorTest, EmplaceBackBuildsAggregatesAndRefersToItsOwnElements) {
  Vector<Point> points;
  points.emplace_back(1, 2);
  for (int i = 0; i < 100; ++i) points.emplace_back(points[0].x, points.back().y + 1);
  EXPECT_EQ(points.back(), (Point{1, 102}));
}

// An element that goes in whole while the backing it lies in is left.
TEST_F(VectorTest, PushingAnOwnElementSurvivesTheGrowth) {
  for (std::size_t size = 1; size <= 200; ++size) {
    Vector<Vector<int>> vectors;
    vectors.reserve(size);
    while (vectors.size() < vectors.capacity()) {
      vectors.push_back(Vector<int>{static_cast<int>(vectors.size()), 7});
    }
    vectors.push_back(vectors[0]);
    ASSERT_EQ(vectors.back().size(), 2u);
    ASSERT_EQ(vectors.back()[1], 7);
    ASSERT_EQ(vectors[0].size(), 2u);
  }
}

TEST_F(VectorTest, GrowthIsGeometric) {
  // From 0 to 1000 ints: 16, 32, ... bytes.
  const AllocCounts counts = allocs_per_run(1, [] {
    Vector<int> numbers;
    for (int i = 0; i < 1000; ++i) numbers.push_back(i);
  });
  EXPECT_LE(counts.objects, 10u);
  EXPECT_LE(counts.bytes, 3u * 4096u);
  EXPECT_EQ(allocs_per_run(1,
                           [] {
                             Vector<int> numbers;
                             numbers.reserve(1000);
                             for (int i = 0; i < 1000; ++i) numbers.push_back(i);
                           })
                .objects,
            1u);
}

TEST_F(VectorTest, CopiesAreDeepAndMovesTakeTheBacking) {
  Vector<int> numbers{1, 2, 3};
  Vector<int> copy(numbers);
  copy[0] = 9;
  EXPECT_EQ(numbers[0], 1);
  const int* data = numbers.data();
  Vector<int> moved(std::move(numbers));
  EXPECT_EQ(moved.data(), data);
  Vector<int> assigned{4};
  assigned = copy;
  assigned[1] = 8;
  EXPECT_EQ(copy[1], 2);
  const Vector<int>& self = assigned;
  assigned = self;
  EXPECT_EQ(assigned.size(), 3u);
  assigned = std::move(moved);
  EXPECT_EQ(assigned.data(), data);
}

// pop_back, clear, erase and resize vacate: what was there is no longer kept.
TEST_F(VectorTest, VacatedElementsKeepNothingAlive) {
  Root<Vector<Member<Node>>> vector;
  std::vector<Disguised> nodes;
  in_own_frame([&] {
    for (int i = 0; i < 10; ++i) {
      Node* node = make_node(i);
      nodes.emplace_back(node);
      vector->push_back(node);
    }
    vector->pop_back();                  // 9
    vector->erase(0);                    // 0
    vector->resize(vector->size() - 2);  // 8, 7
  });
  collect();
  std::vector<int> alive;
  for (int i = 0; i < 10; ++i) {
    if (is_allocated(nodes[static_cast<std::size_t>(i)])) alive.push_back(i);
  }
  EXPECT_EQ(alive, (std::vector<int>{1, 2, 3, 4, 5, 6}));
  in_own_frame([&] { vector->clear(); });
  collect();
  for (const Disguised node : nodes) EXPECT_FALSE(is_allocated(node));
}

// Iterators are raw pointers; while they are on a stack their backing lives, past the end included.
TEST_F(VectorTest, AnOldBackingLivesAsLongAsItsIterators) {
  Vector<std::int64_t> numbers;
  while (numbers.size() < 100 || numbers.size() < numbers.capacity()) {
    numbers.push_back(static_cast<std::int64_t>(numbers.size()));
  }
  const std::int64_t* at = numbers.begin();
  const std::int64_t* const end = numbers.end();
  numbers.push_back(-1);  // grows
  numbers = Vector<std::int64_t>();
  for (int i = 0; i < 3; ++i) {
    collect();
    in_own_frame([] {
      for (int j = 0; j < 100; ++j) Vector<std::int64_t>().resize(100);
    });
  }
  for (std::int64_t expected = 0; at != end; ++at) ASSERT_EQ(*at, expected++);
}

TEST_F(VectorTest, OptionalElementsThatAreResetDoNotDangle) {
  Root<Vector<std::optional<Member<Node>>>> vector;
  in_own_frame([&] {
    for (int i = 0; i < 100; ++i) vector->push_back(Member<Node>(make_node(i)));
    for (std::size_t i = 0; i < 100; i += 2) (*vector)[i].reset();
  });
  for (int i = 0; i < 3; ++i) {
    collect();
    in_own_frame([] {
      for (int j = 0; j < 1000; ++j) make_node(-1);
    });
  }
  for (std::size_t i = 1; i < 100; i += 2) {
    ASSERT_EQ((*(*vector)[i])->value, static_cast<std::int64_t>(i));
  }
}

#if TAILRACE_DCHECKS
TEST_F(VectorTest, IndicesOutOfRangeStop) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        Vector<int> numbers{1};
        static_cast<void>(numbers[1]);
      },
      "index out of range");
  EXPECT_DEATH(Vector<int>().pop_back(), "pop_back of an empty Vector");
}
#endif

}  // namespace
}  // namespace tailrace::gc
