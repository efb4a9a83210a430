// LateCopies: what is added is taken once, whole; the pool is bounded and gives its memory back.
#include "gcruntime/gc/late_copies.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using Words = std::vector<std::uintptr_t>;

constexpr std::size_t kChunkWords = LateCopies::kChunkBytes / sizeof(std::uintptr_t);

class LateCopiesTest : public testing::Test {
 protected:
  LateCopiesTest() { copies_->reserve(); }
  // How many of the words were copied.
  std::size_t add(const Words& words) {
    const auto low = reinterpret_cast<std::uintptr_t>(words.data());
    const Section section;
    return (copies_->add(low, low + words.size() * sizeof(std::uintptr_t)) - low) /
           sizeof(std::uintptr_t);
  }
  Words take() {
    Words taken;
    copies_->take([&](const std::uintptr_t* low, const std::uintptr_t* high) {
      taken.insert(taken.end(), low, high);
    });
    return taken;
  }

  const ThreadScope attached_;
  const std::unique_ptr<LateCopies> copies_ = std::make_unique<LateCopies>();
};

Words numbered(std::size_t count) {
  Words words(count);
  std::iota(words.begin(), words.end(), 1);
  return words;
}

TEST_F(LateCopiesTest, WhatIsAddedIsTakenOnce) {
  const Words words = numbered(3 * kChunkWords + 5);
  EXPECT_EQ(add(words), words.size());
  EXPECT_EQ(take(), words);
  EXPECT_EQ(take(), Words());
  EXPECT_FALSE(copies_->take([](const std::uintptr_t*, const std::uintptr_t*) {}));
}

TEST_F(LateCopiesTest, WhatFindsNoRoomIsLeftToTheCaller) {
  const Words words = numbered((LateCopies::kChunks - 1) * kChunkWords);
  EXPECT_EQ(add(words), words.size());
  const Words more = numbered(2 * kChunkWords);
  EXPECT_EQ(add(more), kChunkWords);
  EXPECT_EQ(add(more), 0u);
  EXPECT_EQ(take().size(), words.size() + kChunkWords);
  EXPECT_EQ(add(more), more.size()) << "what was taken is free again";
  EXPECT_EQ(take(), more);
}

TEST_F(LateCopiesTest, WithoutAReservationThereIsNoRoom) {
  LateCopies none;
  const Section section;
  EXPECT_EQ(none.add(64, 128), 64u);
}

TEST_F(LateCopiesTest, ManyAddWhileOneTakesAndAnotherTrims) {
  constexpr std::size_t kAdders = 3;
  constexpr std::size_t kEach = 200;
  constexpr std::size_t kCount = kChunkWords + 7;
  std::atomic<std::size_t> copied{0};
  std::atomic<unsigned> ended{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kAdders; ++i) {
    threads.emplace_back([&] {
      const ThreadScope attached;
      const Words words(kCount, 1);
      // On until some found room: who trims has all of it in his hands at times.
      for (std::size_t j = 0; j < kEach || copied.load() == 0; ++j) copied.fetch_add(add(words));
      ended.fetch_add(1);
    });
  }
  threads.emplace_back([&] {
    const ThreadScope attached;
    while (ended.load() < kAdders) {
      copies_->trim();
      poll();
    }
  });
  std::size_t sum = 0;
  const auto count = [&](const std::uintptr_t* low, const std::uintptr_t* high) {
    sum = std::accumulate(low, high, sum);
  };
  native([&] {
    while (ended.load() < kAdders) {
      if (!copies_->take(count)) std::this_thread::yield();
    }
    for (std::thread& each : threads) each.join();
  });
  copies_->take(count);
  EXPECT_EQ(sum, copied.load()) << "words that were lost, or that others wrote over";
  EXPECT_GT(sum, 0u);
}

}  // namespace
}  // namespace tailrace::gc
