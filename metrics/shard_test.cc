// Cells that belong to one shard.
#include "metrics/shard.h"

#include <gtest/gtest.h>

#include <barrier>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace tailrace::metrics {
namespace {

TEST(ShardedWords, CountsStayWhenAThreadsShardIsLeasedAgain) {
  ShardedWords words(1);
  for (int i = 0; i < 200; ++i) {  // more threads than shards, one after the other
    std::jthread([&] {
      const Shard shard = current_shard();
      bump(*words.of(shard), 1, shard);
    }).join();
  }
  EXPECT_EQ(words.sum(0), 200u);
}

TEST(ShardedWords, CellsOfTwoShardsShareNoCacheLine) {
  ShardedWords words(3);
  std::set<std::uintptr_t> lines;
  std::barrier everyone(4);
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Word* const cells = words.of(current_shard());
      {
        const std::lock_guard lock(mutex);
        lines.insert(reinterpret_cast<std::uintptr_t>(cells) / 64);
        lines.insert(reinterpret_cast<std::uintptr_t>(cells + 2) / 64);
      }
      everyone.arrive_and_wait();
    });
  }
  threads.clear();
  EXPECT_EQ(lines.size(), 4u);
}

TEST(ShardedWords, SumsEachWord) {
  ShardedWords words(3);
  const Shard shard = current_shard();
  for (unsigned i = 0; i < 3; ++i) {
    bump(words.of(shard)[i], i + 1, shard);
  }
  std::jthread([&] {
    const Shard other = current_shard();
    bump(words.of(other)[1], 10, other);
  }).join();
  std::uint64_t sums[3] = {};
  words.sum(sums);
  EXPECT_EQ(sums[0], 1u);
  EXPECT_EQ(sums[1], 12u);
  EXPECT_EQ(sums[2], 3u);
}

}  // namespace
}  // namespace tailrace::metrics
