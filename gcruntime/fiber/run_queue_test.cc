#include "gcruntime/fiber/run_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gcruntime/fiber/global_queue.h"

namespace tailrace::fiber {
namespace {

TEST(RunQueue, FirstInFirstOutUntilFull) {
  auto queue = std::make_unique<RunQueue>();
  EXPECT_EQ(queue->pop(), 0u);
  for (Entry round = 0; round < 5; ++round) {
    for (Entry i = 1; i <= RunQueue::kCapacity; ++i) {
      EXPECT_TRUE(queue->push(round * 1000 + i, std::memory_order_release));
    }
    EXPECT_FALSE(queue->push(1, std::memory_order_release));
    EXPECT_EQ(queue->size(), RunQueue::kCapacity);
    for (Entry i = 1; i <= RunQueue::kCapacity; ++i) EXPECT_EQ(queue->pop(), round * 1000 + i);
    EXPECT_TRUE(queue->empty());
  }
}

TEST(RunQueue, StealsTheOlderHalfRoundedUp) {
  auto queue = std::make_unique<RunQueue>();
  Entry stolen[RunQueue::kHalf];
  EXPECT_EQ(queue->steal(stolen), 0u);
  for (Entry i = 1; i <= 5; ++i) queue->push(i, std::memory_order_release);
  ASSERT_EQ(queue->steal(stolen), 3u);
  EXPECT_EQ(stolen[0], 1u);
  EXPECT_EQ(stolen[2], 3u);
  EXPECT_EQ(queue->pop(), 4u);
  ASSERT_EQ(queue->steal(stolen), 1u);
  EXPECT_EQ(stolen[0], 5u);
  EXPECT_TRUE(queue->empty());
}

TEST(RunQueue, TakesHalfWhenFull) {
  auto queue = std::make_unique<RunQueue>();
  for (Entry i = 1; i <= RunQueue::kCapacity; ++i) queue->push(i, std::memory_order_release);
  Entry batch[RunQueue::kHalf];
  EXPECT_EQ(queue->take_half(batch), RunQueue::kHalf);
  EXPECT_EQ(batch[0], 1u);
  EXPECT_EQ(queue->pop(), Entry{RunQueue::kHalf + 1});
}

// Positions run over 2^32: with few entries in it, with a full ring, and for each way out.
TEST(RunQueue, PositionsRunOver) {
  Entry out[RunQueue::kHalf];
  for (std::uint32_t before = 0; before <= RunQueue::kCapacity + 3; ++before) {
    auto queue = std::make_unique<RunQueue>(0u - before);
    EXPECT_TRUE(queue->empty());
    EXPECT_EQ(queue->pop(), 0u);
    EXPECT_EQ(queue->steal(out), 0u);
    for (Entry i = 1; i <= RunQueue::kCapacity; ++i) {
      ASSERT_TRUE(queue->push(i, std::memory_order_release)) << before;
      ASSERT_EQ(queue->size(), i);
    }
    ASSERT_FALSE(queue->push(1, std::memory_order_release)) << before;
    ASSERT_EQ(queue->take_half(out), RunQueue::kHalf);
    for (Entry i = 0; i < RunQueue::kHalf; ++i) ASSERT_EQ(out[i], i + 1) << before;
    Entry next = RunQueue::kHalf + 1;
    ASSERT_EQ(queue->pop(), next++);
    while (const std::uint32_t count = queue->steal(out)) {
      for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(out[i], next++) << before;
    }
    EXPECT_EQ(next, RunQueue::kCapacity + 1);
    EXPECT_TRUE(queue->empty());
  }
}

// Each entry comes out exactly once, whoever takes it; positions run over on the way.
TEST(RunQueue, NothingIsLostOrDoubledAmongThieves) {
  constexpr Entry kEntries = 400'000;
  auto queue = std::make_unique<RunQueue>(0u - 100'000u);
  std::vector<std::atomic<std::uint8_t>> seen(kEntries + 1);
  std::atomic<Entry> taken{0};
  const auto take = [&](Entry entry) {
    ++seen[entry];
    ++taken;
  };
  std::vector<std::thread> thieves;
  for (int i = 0; i < 3; ++i) {
    thieves.emplace_back([&] {
      Entry batch[RunQueue::kHalf];
      while (taken < kEntries) {
        const std::uint32_t count = queue->steal(batch);
        for (std::uint32_t k = 0; k < count; ++k) take(batch[k]);
        if (count == 0) std::this_thread::yield();
      }
    });
  }
  Entry batch[RunQueue::kHalf];
  for (Entry next = 1; next <= kEntries;) {
    for (int i = 0; i < 100 && next <= kEntries; ++i) {
      if (queue->push(next, std::memory_order_release)) {
        ++next;
      } else {
        const std::uint32_t count = queue->take_half(batch);
        for (std::uint32_t k = 0; k < count; ++k) take(batch[k]);
      }
    }
    for (int i = 0; i < 30; ++i) {
      if (const Entry entry = queue->pop()) take(entry);
    }
  }
  while (const Entry entry = queue->pop()) take(entry);
  for (std::thread& thief : thieves) thief.join();
  for (Entry entry = 1; entry <= kEntries; ++entry) ASSERT_EQ(seen[entry], 1) << "entry " << entry;
}

TEST(GlobalQueue, GrowsAndKeepsOrder) {
  GlobalQueue queue;
  Entry out[64];
  EXPECT_EQ(queue.pop(out, 64), 0u);
  Entry next_in = 1;
  Entry next_out = 1;
  for (int round = 0; round < 200; ++round) {
    Entry batch[129];
    for (Entry& entry : batch) entry = next_in++;
    queue.push(batch, 129);
    const std::size_t count = queue.pop(out, 64);
    ASSERT_EQ(count, 64u);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], next_out++);
  }
  while (const std::size_t count = queue.pop(out, 64)) {
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], next_out++);
  }
  EXPECT_EQ(next_in, next_out);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace tailrace::fiber
