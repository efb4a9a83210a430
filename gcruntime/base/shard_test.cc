// Leases of shards.
#include "gcruntime/base/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <set>
#include <thread>
#include <vector>

namespace tailrace::base {
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
  std::vector<Word> words(kShards);
  std::barrier everyone(kThreads);
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const Shard shard = current_shard();
      shards[static_cast<std::size_t>(i)] = shard.index();
      everyone.arrive_and_wait();  // all leases are held together
      for (std::uint64_t n = 0; n < kAdds; ++n) bump(words[shard.index()], 1, shard);
    });
  }
  threads.clear();
  EXPECT_GE(std::count(shards.begin(), shards.end(), kCommonShard), kThreads - 63);
  std::uint64_t sum = 0;
  for (const Word& word : words) sum += word.load(std::memory_order_relaxed);
  EXPECT_EQ(sum, kThreads * kAdds);
}

TEST(Shard, AThreadsShardIsLeasedAgain) {
  std::set<unsigned> seen;
  for (int i = 0; i < 200; ++i) {  // more threads than shards, one after the other
    std::jthread([&] { seen.insert(current_shard().index()); }).join();
  }
  EXPECT_LT(seen.size(), 8u);
  EXPECT_FALSE(seen.contains(kCommonShard));
}

}  // namespace
}  // namespace tailrace::base
