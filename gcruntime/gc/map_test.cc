// Map against std::unordered_map, and what its backing keeps alive.
#include "gcruntime/gc/map.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::is_allocated;
using test::make_node;
using test::Node;

class MapTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

template <typename K, typename V, typename Oracle>
void expect_same(const Map<K, V>& map, const Oracle& expected) {
  ASSERT_EQ(map.size(), expected.size());
  std::size_t visited = 0;
  for (const auto& entry : map) {
    const auto found = expected.find(entry.key);
    ASSERT_NE(found, expected.end());
    ASSERT_EQ(entry.value, found->second);
    ++visited;
  }
  ASSERT_EQ(visited, expected.size());
}

// Keys from a small range, so that erased places are met and used again all the time.
TEST_F(MapTest, ChurnAgreesWithStdUnorderedMap) {
  for (std::uint64_t seed = base::test_seed(); seed < base::test_seed() + 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Map<std::int64_t, std::int64_t> map;
    std::unordered_map<std::int64_t, std::int64_t> expected;
    const std::uint64_t range = std::uint64_t{1} << (3 + random() % 10);
    for (std::int64_t step = 0; step < 20'000; ++step) {
      const auto key = static_cast<std::int64_t>(random() % range) - 7;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          ASSERT_EQ(map.erase(key), expected.erase(key) != 0);
          break;
        case 3:
          ASSERT_EQ(map.insert(key, step), expected.emplace(key, step).second);
          break;
        case 4: {
          const bool is_new = expected.count(key) == 0;
          ASSERT_EQ(map.insert_or_assign(key, step), is_new);
          expected[key] = step;
          break;
        }
        case 5:
          map[key] += step;
          expected[key] += step;
          break;
        case 6:
          if (random() % 500 == 0) {
            map.clear();
            expected.clear();
          } else if (random() % 100 == 0) {
            map.reserve(random() % 2000);
          } else if (random() % 100 == 0) {
            const Map<std::int64_t, std::int64_t> copy(map);
            map = copy;
          } else if (random() % 100 == 0) {
            Map<std::int64_t, std::int64_t> moved(std::move(map));
            ASSERT_EQ(map.size(), 0u);  // NOLINT(bugprone-use-after-move): that is what is tested
            map = std::move(moved);
          }
          break;
        default: {
          const std::int64_t* found = map.find(key);
          const auto known = expected.find(key);
          ASSERT_EQ(found != nullptr, known != expected.end());
          ASSERT_EQ(map.contains(key), found != nullptr);
          if (found != nullptr) {
            ASSERT_EQ(*found, known->second);
          }
        }
      }
      ASSERT_EQ(map.size(), expected.size());
    }
    expect_same(map, expected);
  }
}

TEST_F(MapTest, ManyStringKeys) {
  Map<String, std::int64_t> map;
  constexpr std::int64_t kKeys = 20'000;
  for (std::int64_t i = 0; i < kKeys; ++i)
    ASSERT_TRUE(map.insert(concat("key ", std::to_string(i)), i));
  for (std::int64_t i = 0; i < kKeys; i += 2) ASSERT_TRUE(map.erase("key " + std::to_string(i)));
  for (std::int64_t i = 0; i < kKeys; ++i) {
    const std::string key = "key " + std::to_string(i);
    const std::int64_t* found = map.find(std::string_view(key));
    ASSERT_EQ(found != nullptr, i % 2 == 1);
    if (found != nullptr) {
      ASSERT_EQ(*found, i);
    }
    ASSERT_EQ(map.find(key), found);
    ASSERT_EQ(map.find(key.c_str()), found);
    ASSERT_EQ(map.find(String{std::string_view(key)}), found);
  }
}

// Erased places do not pile up: a map of few entries stays small however many have passed through.
TEST_F(MapTest, ErasedPlacesAreUsedAgain) {
  Map<std::int64_t, std::int64_t> map;
  for (int i = 0; i < 10; ++i) map.insert(i, i);
  const AllocCounts before = thread_alloc_counts();
  for (std::int64_t i = 10; i < 100'010; ++i) {
    map.insert(i, i);
    map.erase(i - 10);
    ASSERT_EQ(map.size(), 10u);
  }
  const AllocCounts used = thread_alloc_counts() - before;
  EXPECT_EQ(used.large_bytes, 0u);
  EXPECT_LE(used.bytes / (used.objects + 1), 2048u) << "the backing grew";
}

// A search must end when all places but one are in use or erased.
TEST_F(MapTest, AbsentKeysAreFoundAbsentInAMapOfErasedPlaces) {
  Map<std::int64_t, std::int64_t> map;
  for (std::int64_t i = 0; i < 1000; ++i) {
    map.insert(i, i);
    if (i % 8 != 0) map.erase(i);
    ASSERT_EQ(map.find(-i - 1), nullptr);
  }
  map.clear();
  EXPECT_EQ(map.find(0), nullptr);
  EXPECT_EQ(map.begin(), map.end());
}

// A reference into the map is a fair argument, over a rehash too.
TEST_F(MapTest, InsertingAnOwnValueSurvivesTheRehash) {
  Map<std::int64_t, Vector<int>> map;
  map.insert(0, Vector<int>{1, 2, 3});
  for (std::int64_t i = 1; i < 500; ++i) {
    ASSERT_TRUE(map.insert(i, *map.find(i - 1)));
    ASSERT_EQ(map.find(i)->size(), 3u) << i;
    ASSERT_EQ(map.find(i - 1)->size(), 3u) << i;
    (*map.find(i))[0] = static_cast<int>(1000 + i);
    ASSERT_NE((*map.find(i - 1))[0], static_cast<int>(1000 + i)) << "copies are deep";
  }
  Map<String, String> strings;
  strings.insert("0", "a text of more than fifteen bytes");
  for (int i = 1; i < 200; ++i) {
    // Key and value both from within.
    const String& value = *strings.find(std::to_string(i - 1));
    strings.insert_or_assign(String(std::to_string(i)), value);
    for (const auto& entry : strings) strings.insert_or_assign(entry.key, entry.value);
    ASSERT_EQ(*strings.find(std::to_string(i)), "a text of more than fifteen bytes");
  }
}

struct Seven {
  std::int64_t value = 7;
};
BOOST_DESCRIBE_STRUCT(Seven, (), (value))

TEST_F(MapTest, AMissingKeysValueIsInitialised) {
  Map<int, Seven> sevens;
  EXPECT_EQ(sevens[1].value, 7);
  sevens[1].value = 8;
  EXPECT_EQ(sevens[1].value, 8);
  sevens.erase(1);
  EXPECT_EQ(sevens[1].value, 7);
  Map<int, int> numbers;
  EXPECT_EQ(numbers[5], 0);
  numbers[5] = 3;
  numbers.erase(5);
  EXPECT_EQ(numbers[5], 0);
}

enum class Colour : std::uint8_t { kRed, kGreen };

TEST_F(MapTest, KeysOfAllKinds) {
  Map<Colour, int> colours;
  colours.insert(Colour::kGreen, 2);
  EXPECT_EQ(*colours.find(Colour::kGreen), 2);
  EXPECT_EQ(colours.find(Colour::kRed), nullptr);
  Map<std::uint64_t, int> extremes;
  for (const std::uint64_t key : {std::uint64_t{0}, UINT64_MAX, std::uint64_t{1} << 63}) {
    extremes.insert(key, 1);
    EXPECT_TRUE(extremes.contains(key));
  }
  EXPECT_EQ(extremes.size(), 3u);
  Map<std::int64_t, int> narrow;
  narrow.insert(-1, 5);
  EXPECT_TRUE(narrow.contains(-1)) << "an int finds the key that a long was";
}

TEST_F(MapTest, IsSixteenBytesAndEmptyWhenZero) {
  static_assert(sizeof(Map<String, String>) == 16);
  static_assert(std::is_trivially_destructible_v<Map<String, String>>);
  alignas(Map<int, int>) char memory[sizeof(Map<int, int>)] = {};
  const auto* map = reinterpret_cast<const Map<int, int>*>(memory);
  EXPECT_EQ(map->size(), 0u);
  EXPECT_EQ(map->find(1), nullptr);
  EXPECT_EQ(map->begin(), map->end());
}

TEST_F(MapTest, KeysAndValuesSurviveCyclesAndErasedOnesDoNot) {
  Root<Map<String, Member<Node>>> map;
  std::vector<Disguised> nodes;
  in_own_frame([&] {
    for (int i = 0; i < 1000; ++i) {
      Node* node = make_node(i);
      nodes.emplace_back(node);
      map->insert(concat("a key of more than fifteen bytes ", std::to_string(i)), node);
    }
    for (int i = 0; i < 1000; i += 3)
      map->erase("a key of more than fifteen bytes " + std::to_string(i));
  });
  for (int i = 0; i < 3; ++i) collect();
  for (int i = 0; i < 1000; ++i) {
    const Member<Node>* found = map->find("a key of more than fifteen bytes " + std::to_string(i));
    ASSERT_EQ(found != nullptr, i % 3 != 0);
    ASSERT_EQ(is_allocated(nodes[static_cast<std::size_t>(i)]), i % 3 != 0) << i;
    if (found != nullptr) {
      ASSERT_EQ((*found)->value, i);
    }
  }
}

TEST_F(MapTest, ReservedRoomIsOneAllocation) {
  EXPECT_EQ(allocs_per_run(
                1,
                [] {
                  Map<int, int> map;
                  map.reserve(1000);
                  for (int i = 0; i < 1000; ++i) map.insert(i, i);
                }).objects +
                allocs_per_run(1,
                               [] {
                                 Map<int, int> map;
                                 map.reserve(1000);
                                 for (int i = 0; i < 1000; ++i) map.insert(i, i);
                               })
                    .large_objects,
            1u);
}

// Hashes are seeded and spread: no long runs for keys that differ in their high or low bits only.
TEST_F(MapTest, RegularKeysSpread) {
  for (const int shift : {0, 8, 16, 32, 48}) {
    std::vector<int> buckets(256);
    for (std::uint64_t i = 0; i < 4096; ++i)
      ++buckets[(Hash<std::uint64_t>()(i << shift) >> 8) & 255];
    for (const int count : buckets) ASSERT_LE(count, 64) << "shift " << shift;
  }
}

}  // namespace
}  // namespace tailrace::gc
