// Buffer: contents over growth, head room, bounds, and what the pools keep and drop.
#include "server/buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/pool/pool_stats.h"

namespace tailrace::http {
namespace {

using gc::PoolStats;

PoolStats sums() { return buffer_pool_stats(BufferUse::kEncoder); }

PoolStats operator-(const PoolStats& a, const PoolStats& b) {
  return {.name = a.name,
          .hits = a.hits - b.hits,
          .misses = a.misses - b.misses,
          .kept = a.kept - b.kept,
          .dropped_size = a.dropped_size - b.dropped_size,
          .dropped_full = a.dropped_full - b.dropped_full,
          .bytes = a.bytes - b.bytes};
}

// Pools belong to workers, so what concerns them runs on a fiber.
template <typename F>
void on_one_worker(F&& function) {
  fiber::Scheduler scheduler(fiber::SchedulerOptions{});
  scheduler.start();
  scheduler.run(std::forward<F>(function));
  scheduler.stop();
}

TEST(Buffer, StartsWithoutMemory) {
  Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.room(), 0u);
  EXPECT_FALSE(buffer.prepend("x"));
  buffer.clear();
  EXPECT_EQ(buffer.size(), 0u);
}

TEST(Buffer, FirstReserveLeavesHeadRoomAndPadding) {
  Buffer buffer;
  ASSERT_NE(buffer.reserve(1), nullptr);
  EXPECT_EQ(buffer.room(), Buffer::kFirstBytes - Buffer::kHeadRoomBytes - Buffer::kPaddingBytes);
  ASSERT_TRUE(buffer.append("body"));
  EXPECT_TRUE(buffer.prepend("head "));
  EXPECT_EQ(buffer.view(), "head body");
  EXPECT_TRUE(buffer.append(std::string_view()));
  EXPECT_TRUE(buffer.prepend(std::string_view()));
  EXPECT_EQ(buffer.view(), "head body");
  EXPECT_FALSE(buffer.prepend(std::string(Buffer::kHeadRoomBytes, 'x')));
  EXPECT_TRUE(buffer.prepend(std::string(Buffer::kHeadRoomBytes - 5, 'x')));
  EXPECT_FALSE(buffer.prepend("x"));
}

TEST(Buffer, PaddingIsReadableBehindAFullBuffer) {
  Buffer buffer;
  ASSERT_NE(buffer.reserve(1), nullptr);
  ASSERT_TRUE(buffer.append(std::string(buffer.room(), 'x')));
  EXPECT_EQ(buffer.room(), 0u);
  volatile char sum = 0;
  for (std::size_t i = 0; i < Buffer::kPaddingBytes; ++i) {
    sum = static_cast<char>(sum + buffer.data()[buffer.size() + i]);
  }
}

TEST(Buffer, GrowthKeepsTheContentsAndTheHeadRoom) {
  std::mt19937 random(7);
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string piece(random() % 700, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(buffer.append(piece));
    expected += piece;
    if (i % 3 == 0) {
      const std::size_t eaten = random() % (expected.size() + 1) / 4;
      buffer.consume(eaten);
      expected.erase(0, eaten);
    }
    ASSERT_EQ(buffer.size(), expected.size());
  }
  EXPECT_EQ(buffer.view(), expected);
}

TEST(Buffer, ConsumedBytesAreReusedInsteadOfGrowing) {
  Buffer buffer;
  const PoolStats before = sums();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(buffer.append(std::string(1000, 'x')));
    buffer.consume(1000);
  }
  EXPECT_EQ((sums() - before).misses, 1u);
}

TEST(Buffer, EachUseIsListedAsAPoolOfItsOwn) {
  const auto listed = [](std::string_view name) {
    std::vector<PoolStats> found;
    for (const PoolStats& pool : gc::read_pool_stats()) {
      if (pool.name == name) found.push_back(pool);
    }
    EXPECT_EQ(found.size(), 1u) << name;
    return found.empty() ? PoolStats{} : found[0];
  };
  const PoolStats encoder = listed("json_encoder");
  const PoolStats connection = listed("connection");
  Buffer input(BufferUse::kConnection);
  ASSERT_TRUE(input.append("something"));
  EXPECT_EQ(listed("json_encoder").gets(), encoder.gets());
  EXPECT_EQ(listed("connection").gets(), connection.gets() + 1);
  EXPECT_EQ(listed("connection").in_use, connection.in_use + 1);
  // The memory goes back where it came from, wherever the buffer was moved.
  Buffer other;
  ASSERT_TRUE(other.append("else"));
  other = std::move(input);
  input = Buffer();
  EXPECT_EQ(listed("json_encoder").puts(), encoder.puts() + 1);
  EXPECT_EQ(listed("connection").puts(), connection.puts());
  other = Buffer();
  EXPECT_EQ(listed("connection").puts(), connection.puts() + 1);
  EXPECT_EQ(listed("connection").in_use, connection.in_use);
}

TEST(Buffer, RefusesToGrowBeyondItsBound) {
  Buffer buffer;
  ASSERT_TRUE(buffer.append("kept"));
  EXPECT_EQ(buffer.reserve(Buffer::kMaxBytes), nullptr);
  EXPECT_EQ(buffer.reserve(SIZE_MAX), nullptr);
  EXPECT_EQ(buffer.view(), "kept");
}

TEST(Buffer, MovesAndSwaps) {
  Buffer a;
  ASSERT_TRUE(a.append("one"));
  Buffer b(std::move(a));
  EXPECT_EQ(b.view(), "one");
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): empty by contract
  Buffer c;
  ASSERT_TRUE(c.append("two"));
  c = std::move(b);
  EXPECT_EQ(c.view(), "one");
  c.truncate(1);
  EXPECT_EQ(c.view(), "o");
}

TEST(BufferPool, SteadyStateTakesNothingFromMalloc) {
  on_one_worker([] {
    const auto round = [] {
      Buffer small;
      Buffer large;
      ASSERT_TRUE(small.append("x"));
      ASSERT_TRUE(large.append(std::string(60000, 'y')));
    };
    round();
    const PoolStats before = sums();
    for (int i = 0; i < 1000; ++i) round();
    const PoolStats delta = sums() - before;
    EXPECT_EQ(delta.misses, 0u);
    EXPECT_EQ(delta.hits, 2000u);
    EXPECT_EQ(delta.kept, 2000u);
    EXPECT_EQ(delta.dropped_size + delta.dropped_full, 0u);
    EXPECT_EQ(delta.bytes, 0u);
  });
}

TEST(BufferPool, OversizedMemoryIsNeverKept) {
  on_one_worker([] {
    const PoolStats before = sums();
    {
      Buffer buffer;
      ASSERT_TRUE(buffer.append(std::string(100000, 'x')));
      ASSERT_TRUE(buffer.append(std::string(1000000, 'x')));
    }
    const PoolStats delta = sums() - before;
    EXPECT_EQ(delta.kept, 0u);
    EXPECT_EQ(delta.dropped_size, 1u);
    EXPECT_EQ(delta.bytes, 0u);
  });
}

TEST(BufferPool, KeepsAtMostItsCap) {
  on_one_worker([] {
    const PoolStats before = sums();
    constexpr std::size_t kBuffers = Buffer::kMaxPoolBytes / Buffer::kMaxPooledBytes + 10;
    {
      std::vector<Buffer> many(kBuffers);
      for (Buffer& buffer : many) ASSERT_NE(buffer.reserve(40000), nullptr);
    }
    const PoolStats delta = sums() - before;
    EXPECT_GE(delta.dropped_full, 10u);
    EXPECT_EQ(delta.hits + delta.misses, kBuffers);
    EXPECT_EQ(delta.kept + delta.dropped_full, kBuffers);
    EXPECT_LE(delta.bytes, Buffer::kMaxPoolBytes);
  });
}

TEST(BufferPool, ABurstOfLargeBuffersLeavesRoomForSmallOnes) {
  on_one_worker([] {
    {
      std::vector<Buffer> many(Buffer::kMaxPoolBytes / Buffer::kMaxPooledBytes + 10);
      for (Buffer& buffer : many) ASSERT_NE(buffer.reserve(40000), nullptr);
    }
    const auto round = [] {
      Buffer small;
      ASSERT_TRUE(small.append("x"));
    };
    round();
    const PoolStats before = sums();
    for (int i = 0; i < 100; ++i) round();
    EXPECT_EQ((sums() - before).hits, 100u);
  });
}

TEST(BufferPool, ThreadsWithoutAWorkerKeepNothing) {
  const PoolStats before = sums();
  std::thread([] {
    Buffer buffer;
    ASSERT_TRUE(buffer.append("x"));
  }).join();
  const PoolStats delta = sums() - before;
  EXPECT_EQ(delta.misses, 1u);
  EXPECT_EQ(delta.kept, 0u);
  EXPECT_EQ(delta.dropped_full, 1u);
}

TEST(BufferPool, TwoSchedulersAtOnceDoNotShareAPool) {
  const auto churn = [] {
    fiber::Scheduler scheduler(fiber::SchedulerOptions{});
    scheduler.start();
    scheduler.run([] {
      for (int i = 0; i < 20000; ++i) {
        Buffer buffer;
        ASSERT_TRUE(buffer.append("mine"));
        ASSERT_EQ(buffer.view(), "mine");
      }
    });
    scheduler.stop();
  };
  std::thread other(churn);
  churn();
  other.join();
}

TEST(BufferPool, PooledMemoryIsPoisonedUnderAddressSanitizer) {
#if TAILRACE_ASAN
  on_one_worker([] {
    const char* stale = nullptr;
    {
      Buffer buffer;
      ASSERT_TRUE(buffer.append("x"));
      stale = buffer.data();
    }
    EXPECT_TRUE(__asan_address_is_poisoned(stale));
  });
#else
  GTEST_SKIP() << "needs AddressSanitizer";
#endif
}

}  // namespace
}  // namespace tailrace::http
