// Leases of shards, and cells that belong to one shard.
#include "metrics/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace tailrace::metrics {
namespace {

TEST(Shard, StaysTheSameForAThread) {
  const unsigned first = current_shard().index();
  EXPECT_EQ(current_shard().index(), first);
  EXPECT_LT(first, kShards);
}

TEST(Shard, ThreadsAliveTogetherHaveDifferentShards) {
  constexpr int kThreads = 16;
  std::vector<unsigned> shards(kThreads);
  std::barrier everyone(kThreads);
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      shards[static_cast<std::size_t>(i)] = current_shard().index();
      everyone.arrive_and_wait();
    });
  }
  threads.clear();
  EXPECT_EQ(std::set(shards.begin(), shards.end()).size(), shards.size());
}

TEST(Shard, MoreThreadsThanShardsShareTheCommonOneAndLoseNothing) {
  constexpr int kThreads = 80;
  constexpr std::uint64_t kAdds = 2000;
  std::vector<unsigned> shards(kThreads);
  std::barrier everyone(kThreads);
  ShardedWords words(1);
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const Shard shard = current_shard();
      shards[static_cast<std::size_t>(i)] = shard.index();
      everyone.arrive_and_wait();  // all leases are held together
      for (std::uint64_t n = 0; n < kAdds; ++n) {
        bump(*words.of(shard), 1, shard);
      }
    });
  }
  threads.clear();
  EXPECT_GE(std::count(shards.begin(), shards.end(), kCommonShard), kThreads - 63);
  EXPECT_EQ(words.sum(0), kThreads * kAdds);
}

TEST(Shard, AThreadsShardIsLeasedAgainAndItsCountsStay) {
  ShardedWords words(1);
  std::set<unsigned> seen;
  for (int i = 0; i < 200; ++i) {  // more threads than shards, one after the other
    std::jthread([&] {
      const Shard shard = current_shard();
      seen.insert(shard.index());
      bump(*words.of(shard), 1, shard);
    }).join();
  }
  EXPECT_EQ(words.sum(0), 200u);
  EXPECT_LT(seen.size(), 8u);
  EXPECT_FALSE(seen.contains(kCommonShard));
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
