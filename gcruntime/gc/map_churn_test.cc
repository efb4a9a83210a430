// Maps that live long: bounded size, unbounded traffic, cycles all the while. Against std::unordered_map.
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {
namespace {

using test::Node;

class MapChurnTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

// Entries that the backing has room for, by its slot. 0: no entries, so no address in the backing.
template <typename K, typename V>
std::size_t room(const Map<K, V>& map) {
  if (map.empty()) return 0;
  const auto address = reinterpret_cast<std::uintptr_t>(&*map.begin());
  return heap::find_object(address).slot_bytes / sizeof(MapEntry<K, V>);
}

// A backing has room for at most four times the entries that there ever were at once: it doubles when three
// quarters are used, by live ones or not, and slots are at most an eighth larger than what is asked for.
std::size_t most_room(std::size_t most_entries) {
  return std::bit_ceil(2 * most_entries + 2) * 9 / 8 + heap::kPageBytes / sizeof(std::uint64_t);
}

// A queue's pattern: the oldest goes, a new key comes, for ever.
TEST_F(MapChurnTest, AWindowOfKeysKeepsItsBacking) {
  constexpr std::int64_t kWindow = 700;
  Map<std::int64_t, std::int64_t> map;
  for (std::int64_t i = 0; i < 300'000; ++i) {
    ASSERT_TRUE(map.insert(i, i));
    if (i >= kWindow) {
      ASSERT_TRUE(map.erase(i - kWindow));
    }
    if (i % 1000 == 0) {
      ASSERT_LE(room(map), most_room(kWindow + 1)) << i;
    }
  }
  ASSERT_EQ(map.size(), static_cast<std::size_t>(kWindow));
}

// What is looked for and is not there must not walk over all that ever was.
TEST_F(MapChurnTest, ErasingAllLeavesNothingBehind) {
  Map<std::int64_t, std::int64_t> map;
  const AllocCounts before = thread_alloc_counts();
  for (std::int64_t round = 0; round < 2000; ++round) {
    for (std::int64_t i = 0; i < 12; ++i) map.insert(round * 100 + i, i);
    for (std::int64_t i = 0; i < 12; ++i) map.erase(round * 100 + i);
    ASSERT_TRUE(map.empty());
  }
  // Few rehashes: most erased places are empty again at once.
  EXPECT_LE((thread_alloc_counts() - before).objects, 500u);
}

TEST_F(MapChurnTest, AgreesWithStdUnorderedMapWhileCyclesRun) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::atomic<bool> stop{false};
  std::thread cycles([&] {
    const ThreadScope scope;
    while (!stop.load(std::memory_order_relaxed)) collect();
  });
  std::mt19937_64 random(seed);
  constexpr std::size_t kMost = 1500;
  Root<Map<String, Member<Node>>> map;
  std::unordered_map<std::string, std::int64_t> expected;
  std::size_t most = 0;
  for (std::int64_t step = 0; step < 60'000; ++step) {
    // Some keys inline, most not.
    const std::string key = (random() % 4 == 0 ? "k" : "a key with a text of its own ") +
                            std::to_string(random() % (2 * kMost));
    // Grows for a while, then shrinks for a while.
    const bool grow = random() % 8 < (step / 10'000 % 2 == 0 ? 5u : 3u);
    if (grow && expected.size() < kMost) {
      Node* node = make<Node>();
      node->next = node;
      node->value = step;
      ASSERT_EQ(map->insert_or_assign(String{std::string_view(key)}, node),
                expected.count(key) == 0);
      expected[key] = step;
    } else {
      ASSERT_EQ(map->erase(key), expected.erase(key) != 0);
    }
    most = std::max(most, expected.size());
    const Member<Node>* found = map->find(key);
    ASSERT_EQ(found != nullptr, expected.count(key) != 0);
    if (found != nullptr) {
      ASSERT_EQ((*found)->next.get(), found->get());
      ASSERT_EQ((*found)->value, step);
    }
    if (step % 5000 == 0) {
      ASSERT_LE(room(*map), most_room(most));
    }
  }
  std::size_t visited = 0;
  for (const auto& entry : *map) {
    const auto known = expected.find(std::string(entry.key.view()));
    ASSERT_NE(known, expected.end());
    ASSERT_EQ(entry.value->value, known->second);
    ASSERT_EQ(entry.value->next.get(), entry.value.get());
    ++visited;
  }
  EXPECT_EQ(visited, expected.size());
  stop.store(true, std::memory_order_relaxed);
  native([&] { cycles.join(); });
}

TEST_F(MapChurnTest, EveryEntryMayBeErasedOnTheWay) {
  Map<std::int64_t, std::int64_t> map;
  for (std::int64_t i = 0; i < 1000; ++i) map.insert(i, i);
  std::unordered_set<std::int64_t> visited;
  for (const auto& entry : map) {
    const std::int64_t key = entry.key;
    ASSERT_TRUE(visited.insert(key).second);
    ASSERT_TRUE(map.erase(key));
    if (key % 2 == 0) map.erase(key + 1);  // another one, before it was visited or after
  }
  EXPECT_TRUE(map.empty());
  EXPECT_GE(visited.size(), 500u);
}

// A rehash in the middle of an iteration: the old backing's entries are all visited, as they were.
TEST_F(MapChurnTest, AnIterationOutlivesARehash) {
  Map<std::int64_t, std::int64_t> map;
  for (std::int64_t i = 0; i < 100; ++i) map.insert(i, i);
  std::unordered_set<std::int64_t> visited;
  std::int64_t next = 1000;
  for (auto at = map.begin(); at != map.end(); ++at) {  // end() asked for anew each time
    ASSERT_EQ(at->key, at->value);
    visited.insert(at->key);
    if (next < 3000) {
      for (int i = 0; i < 20; ++i, ++next) map.insert(next, next);
      if (next % 200 == 0) collect();
    }
  }
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(visited.count(i), 1u) << i;
}

}  // namespace
}  // namespace tailrace::gc
