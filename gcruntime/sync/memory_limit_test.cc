// The memory limit as the program meets it: allocation waits for cycles, is refused when live data leaves no
// room, and goes on when there is some again. Beside: what counts, who may pass the limit, what ends a wait.
#include "gcruntime/gc/memory_limit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/test_no_descriptors.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/sync/context.h"
#include "gcruntime/sync/memory_bounds.h"

namespace tailrace::fiber {
namespace {

using gc::MemoryLimitExceeded;
using Why = MemoryLimitExceeded::Why;

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

struct Block {
  gc::Member<Block> next;
  std::array<std::int64_t, 120> words{};
};
BOOST_DESCRIBE_STRUCT(Block, (), (next, words))

// What a test keeps alive.
class Kept {
 public:
  Kept() = default;
  ~Kept() { drop(); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  void add() {
    Block* const block = gc::make<Block>();
    block->words[0] = count_++;
    block->next = first_.get();
    first_ = block;
  }
  // Takes it apart, so that a stale word on a stack keeps one block and not all.
  void drop() {
    while (Block* const block = first_.get()) {
      first_ = block->next.get();
      block->next = nullptr;
    }
    count_ = 0;
  }
  bool intact() const {
    std::int64_t expected = count_;
    for (const Block* block = first_.get(); block != nullptr; block = block->next.get()) {
      if (block->words[0] != --expected) return false;
    }
    return expected == 0;
  }
  std::int64_t count() const { return count_; }

 private:
  gc::Root<Block> first_;
  std::int64_t count_ = 0;
};

class MemoryLimitTest : public FiberTest {
 protected:
  void SetUp() override {
    const gc::ThreadScope scope;
    gc::free_os_memory();
  }
  void TearDown() override {
    gc::set_memory_limit(gc::kNoMemoryLimit);
    gc::set_percent(100);
    FiberTest::TearDown();
  }

  // A limit with so much room for managed memory.
  static std::uint64_t leave_room(std::uint64_t bytes) {
    gc::refresh_accounts();
    const std::uint64_t limit = gc::accounted_bytes() + bytes;
    gc::set_memory_limit(limit);
    return limit;
  }
  // What may be accounted for: a fiftieth more, or two huge pages, of which the kernel backs the whole when one
  // page is touched.
  static std::uint64_t most_of(std::uint64_t limit) {
    return limit + std::max(limit / 50, 4 * kMebibyte);
  }
  // Fills the room with live data; why that ended.
  static Why fill(Kept& kept) {
    try {
      for (;;) kept.add();
    } catch (const MemoryLimitExceeded& thrown) {
      return thrown.why();
    }
  }
  // Until an allocation of that size succeeds.
  static bool allocates_again(std::size_t bytes) {
    return yield_until([bytes] {
      try {
        gc::allocate_noscan(bytes);
        return true;
      } catch (const MemoryLimitExceeded&) {
        return false;
      }
    });
  }
};
TAILRACE_FIBER_TESTS(MemoryLimitTest);

TEST_P(MemoryLimitTest, IsSetAndRead) {
  EXPECT_EQ(gc::set_memory_limit(std::uint64_t{1} << 40), gc::kNoMemoryLimit);
  EXPECT_EQ(gc::memory_limit(), std::uint64_t{1} << 40);
  EXPECT_EQ(gc::read_mem_stats().memory_limit, std::uint64_t{1} << 40);
  EXPECT_EQ(gc::set_memory_limit(gc::kNoMemoryLimit), std::uint64_t{1} << 40);
  run([] { gc::make<Block>(); });
  EXPECT_GT(gc::accounted_bytes(), gc::non_heap_bytes());
}

#if !TAILRACE_ASAN && !TAILRACE_TSAN
TEST_P(MemoryLimitTest, MallocCounts) {
  // malloc is asked seldom enough that this costs little.
  const auto comes_to = [](auto&& expected) {
    return spin_until([&] {
      gc::refresh_accounts();
      return expected(gc::read_memory_limit_stats().malloc_bytes);
    });
  };
  EXPECT_TRUE(comes_to([](std::uint64_t bytes) { return bytes < 48 * kMebibyte; }));
  const std::uint64_t before = gc::non_heap_bytes();
  const std::unique_ptr<char[]> memory(new char[64 * kMebibyte]);
  std::memset(memory.get(), 1, 64 * kMebibyte);
  asm volatile("" : : "r"(memory.get()) : "memory");  // or clang++ sees that nobody reads it
  EXPECT_TRUE(comes_to([](std::uint64_t bytes) { return bytes >= 64 * kMebibyte; }));
  EXPECT_GE(gc::non_heap_bytes(), before + 60 * kMebibyte);
}
#endif

#if !TAILRACE_ASAN && !TAILRACE_TSAN
TEST_P(MemoryLimitTest, WithoutADescriptorTheProcessCountsAsBefore) {
  gc::refresh_accounts();
  const std::uint64_t before = gc::non_heap_bytes();
  ASSERT_GT(gc::read_memory_limit_stats().resident_bytes, 0u);
  {
    const base::NoDescriptors none;
    gc::refresh_accounts();
  }
  EXPECT_GT(gc::read_memory_limit_stats().resident_bytes, 0u);
  EXPECT_GE(gc::non_heap_bytes(), before - before / 4) << "the image and other mappings";
}
#endif

// The verifier's own tables are malloc's, as large as the heap, and grow with it while the limit is looked at
// ten times a second only.
#if !defined(TAILRACE_VERIFY)
// Garbage of all sizes from several fibers, forty times the room: with live data far below the limit nobody
// is refused, and the limit holds, which is the nearer goal for any percent: much is alive.
TEST_P(MemoryLimitTest, HoldsUnderPressure) {
  for (const int percent : {-1, 100}) {
    gc::set_percent(percent);
    std::uint64_t limit = 0;
    std::uint64_t cycles = 0;
    std::atomic<std::uint64_t> most{0};
    std::atomic<std::uint64_t> refused{0};
    run([&] {
      void* const alive = gc::allocate_noscan(128 * kMebibyte);
      gc::free_os_memory();
      limit = leave_room(64 * kMebibyte);
      EXPECT_LE(gc::read_mem_stats().next_gc, 192 * kMebibyte) << "the limit's";
      cycles = gc::read_mem_stats().num_gc;
      std::vector<JoinHandle> handles;
      for (int number = 0; number < 6; ++number) {
        handles.push_back(spawn([&, number] {
          Kept kept;
          std::uint64_t allocated = 0;
          for (std::uint64_t i = 0; allocated < 100 * kMebibyte; ++i) {
            try {
              const std::size_t bytes = i % 64 == 0 ? 40'000 * (1 + i / 64 % 16) : 1000;
              if (i % 512 == static_cast<unsigned>(number)) kept.add();
              gc::allocate_noscan(bytes);
              allocated += bytes;
            } catch (const MemoryLimitExceeded&) {
              refused.fetch_add(1);
              break;
            }
            const std::uint64_t now = gc::accounted_bytes();
            std::uint64_t known = most.load();
            while (now > known && !most.compare_exchange_weak(known, now)) {
            }
          }
          EXPECT_TRUE(kept.intact());
        }));
      }
      for (JoinHandle& handle : handles) handle.join();
      asm volatile("" : : "r"(alive));  // on this stack until here
    });
    EXPECT_EQ(refused.load(), 0u) << "percent " << percent;
    EXPECT_GE(gc::read_mem_stats().num_gc, cycles + 5) << "percent " << percent;
    EXPECT_LE(most.load(), most_of(limit)) << "percent " << percent;
    gc::set_memory_limit(gc::kNoMemoryLimit);
  }
}
#endif

TEST_P(MemoryLimitTest, NearItIdlePagesAreGivenBack) {
  gc::set_percent(-1);
  const std::uint64_t limit = leave_room(64 * kMebibyte);
  run([&] {
    while (gc::accounted_bytes() + 2 * kMebibyte < limit) gc::allocate_noscan(kMebibyte);
    gc::collect();
    EXPECT_LE(gc::accounted_bytes(), limit / 100 * 95 + kMebibyte);
  });
}

TEST_P(MemoryLimitTest, LiveDataBeyondItIsRefusedAndTheRestGoesOn) {
  gc::set_percent(-1);
  const std::uint64_t limit = leave_room(16 * kMebibyte);
  run([&] {
    std::atomic<bool> over{false};
    std::uint64_t turns = 0;
    JoinHandle other = spawn([&] {
      while (!over.load()) {
        ++turns;
        yield();
      }
    });
    Kept kept;
    std::string text;
    std::uint64_t live = 0;
    try {
      for (;;) kept.add();
    } catch (const MemoryLimitExceeded& thrown) {
      text = thrown.what();
      live = thrown.live_bytes();
      EXPECT_EQ(thrown.why(), Why::kLiveData);
      EXPECT_EQ(thrown.limit_bytes(), limit);
    }
    EXPECT_TRUE(kept.intact());
    EXPECT_GE(kept.count(), 8000);
    EXPECT_GE(live, 8 * kMebibyte);
    EXPECT_NE(text.find("memory limit of"), std::string::npos) << text;
    EXPECT_NE(text.find("MiB are live"), std::string::npos) << text;
    EXPECT_NE(text.find("--memory-limit"), std::string::npos) << text;
    EXPECT_TRUE(gc::read_memory_limit_stats().exhausted);
    const std::uint64_t turns_before = turns;
    EXPECT_EQ(fill(kept), Why::kLiveData) << "at once";
    EXPECT_TRUE(kept.intact());
    EXPECT_LE(gc::accounted_bytes(), most_of(limit));
    // Recovery needs nothing but the data's end.
    kept.drop();
    EXPECT_TRUE(allocates_again(kMebibyte));
    EXPECT_TRUE(yield_until([] { return !gc::read_memory_limit_stats().exhausted; }));
    EXPECT_TRUE(yield_until([&] { return turns > turns_before; }));
    const std::int64_t again = kept.count();
    for (int i = 0; i < 1000; ++i) kept.add();
    EXPECT_EQ(kept.count(), again + 1000);
    over.store(true);
    other.join();
    // The fiber waited for its cycles, and that stands among the holds.
    EXPECT_GT(gc::read_memory_limit_stats().stalls, 0u);
  });
}

TEST_P(MemoryLimitTest, WhatNoCycleCouldMakeRoomForIsRefusedAtOnce) {
  const std::uint64_t limit = leave_room(64 * kMebibyte);
  run([&] {
    const std::uint64_t stalls = gc::read_memory_limit_stats().stalls;
    EXPECT_THROW(gc::allocate_noscan(limit), MemoryLimitExceeded);
    EXPECT_EQ(gc::read_memory_limit_stats().stalls, stalls);
    EXPECT_NO_THROW(gc::allocate_noscan(kMebibyte));
  });
}

TEST_P(MemoryLimitTest, ARaisedLimitEndsTheStateAtOnce) {
  gc::set_percent(-1);
  const std::uint64_t limit = leave_room(8 * kMebibyte);
  run([&] {
    Kept kept;
    EXPECT_EQ(fill(kept), Why::kLiveData);
    gc::set_memory_limit(limit + 16 * kMebibyte);
    EXPECT_NO_THROW(gc::allocate_noscan(4 * kMebibyte));
    gc::set_memory_limit(gc::kNoMemoryLimit);
    EXPECT_NO_THROW(gc::allocate_noscan(32 * kMebibyte));
  });
}

TEST_P(MemoryLimitTest, ContainersThatCannotGrowAreAsTheyWere) {
  gc::set_percent(-1);
  const std::uint64_t limit = leave_room(12 * kMebibyte);
  run([&] {
    gc::Vector<std::int64_t> numbers;
    gc::Vector<gc::String> texts;
    gc::Map<std::int64_t, gc::String> map;
    std::int64_t in_vector = 0;
    std::int64_t in_texts = 0;
    std::int64_t in_map = 0;
    EXPECT_THROW(for (;;) numbers.push_back(in_vector++), MemoryLimitExceeded);
    --in_vector;
    EXPECT_THROW(
        for (;;) {
          texts.push_back(gc::String("text number " + std::to_string(in_texts)));
          ++in_texts;
        },
        MemoryLimitExceeded);
    EXPECT_THROW(
        for (;;) {
          map.insert(in_map, gc::String(std::to_string(in_map)));
          ++in_map;
        },
        MemoryLimitExceeded);
    const auto check = [&](std::int64_t more) {
      ASSERT_EQ(numbers.size(), static_cast<std::size_t>(in_vector + more));
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        ASSERT_EQ(numbers[i], static_cast<std::int64_t>(i));
      }
      ASSERT_EQ(texts.size(), static_cast<std::size_t>(in_texts + more));
      for (std::size_t i = 0; i < texts.size(); ++i) {
        ASSERT_EQ(texts[i].view(), "text number " + std::to_string(i));
      }
      ASSERT_EQ(map.size(), static_cast<std::size_t>(in_map + more));
      std::size_t met = 0;
      for (const auto& entry : map) {
        ASSERT_EQ(entry.value.view(), std::to_string(entry.key));
        ++met;
      }
      ASSERT_EQ(met, map.size());
    };
    check(0);
    EXPECT_GT(in_vector, 1000);
    gc::set_memory_limit(limit + 64 * kMebibyte);
    numbers.push_back(in_vector);
    texts.push_back(gc::String("text number " + std::to_string(in_texts)));
    map.insert(in_map, gc::String(std::to_string(in_map)));
    check(1);
  });
}

#if !defined(TAILRACE_VERIFY)  // as above
TEST_P(MemoryLimitTest, WhoReleasesMayPassItByAHundredth) {
  gc::set_percent(-1);
  const std::uint64_t limit = leave_room(96 * kMebibyte);
  run([&] {
    Kept kept;
    EXPECT_EQ(fill(kept), Why::kLiveData);
    const std::size_t bytes = limit / 800;
    EXPECT_THROW(gc::allocate_noscan(bytes), MemoryLimitExceeded);
    {
      const gc::MemoryReserve reserve;
      EXPECT_NO_THROW(gc::allocate_noscan(bytes));
      yield();
      EXPECT_NO_THROW(gc::allocate_noscan(bytes)) << "wherever the fiber runs now";
      EXPECT_THROW(gc::allocate_noscan(limit / 16), MemoryLimitExceeded);
    }
    EXPECT_THROW(gc::allocate_noscan(bytes), MemoryLimitExceeded);
    EXPECT_LE(gc::accounted_bytes(), most_of(limit));
  });
}
#endif

// Where nothing can be released that would help: who lowers or raises the limit by request is served.
TEST_P(MemoryLimitTest, WhoReleasesIsServedWhereTheRestFillsTheLimit) {
  gc::set_percent(-1);
  run([&] {
    Kept kept;
    while (kept.count() < 16'000) kept.add();
    gc::set_memory_limit(1);
    EXPECT_THROW(gc::allocate_noscan(40'000), MemoryLimitExceeded);
    {
      const gc::MemoryReserve reserve;
      EXPECT_NO_THROW(gc::allocate_noscan(40'000));
      EXPECT_NO_THROW(gc::allocate_noscan(40'000));
      const std::uint64_t before = gc::accounted_bytes();
      for (int i = 0; i < 40; ++i) {
        EXPECT_THROW(for (;;) kept.add(), MemoryLimitExceeded);
        gc::refresh_accounts();  // what was drawn does not become what there is
      }
      EXPECT_LE(gc::accounted_bytes(), most_of(before));
    }
    EXPECT_THROW(gc::allocate_noscan(40'000), MemoryLimitExceeded);
    EXPECT_TRUE(kept.intact());
  });
}

// Whoever lowers it gives a part of what is idle back, and the scavenger's thread the rest.
TEST_P(MemoryLimitTest, ALoweredLimitLetsIdlePagesGo) {
  gc::set_percent(-1);
  run([&] {
    for (int i = 0; i < 256; ++i) gc::allocate_noscan(kMebibyte);
    gc::collect();
    gc::refresh_accounts();
    const std::uint64_t limit = gc::accounted_bytes() - 200 * kMebibyte;
    gc::set_memory_limit(limit);
    EXPECT_TRUE(yield_until([&] { return gc::accounted_bytes() <= limit / 100 * 95 + kMebibyte; }))
        << gc::accounted_bytes() / kMebibyte << " of " << limit / kMebibyte;
  });
}

TEST_P(MemoryLimitTest, AThreadWithoutAFiberWaitsAndIsRefusedToo) {
  gc::set_percent(-1);
  leave_room(8 * kMebibyte);
  const gc::ThreadScope scope;
  {
    Kept kept;
    EXPECT_EQ(fill(kept), Why::kLiveData);
    EXPECT_TRUE(kept.intact());
    kept.drop();
  }
  gc::collect();
  for (int i = 0; i < 64; ++i) EXPECT_NO_THROW(gc::allocate_noscan(kMebibyte));
}

// While no cycle can end, only its bound ends a wait.
TEST_P(MemoryLimitTest, TheDeadlineOfTheWorkEndsAWait) {
  gc::set_percent(-1);
  leave_room(8 * kMebibyte);
  run([&] {
    Kept kept;
    const gc::test::NoCycleEnds none;
    const CancelScope context = with_timeout(Context(), 20'000'000);
    const MemoryWaitsUnder bounded(context);
    EXPECT_EQ(fill(kept), Why::kEnded);
    EXPECT_TRUE(context.done());
    EXPECT_TRUE(kept.intact());
  });
}

TEST_P(MemoryLimitTest, ACancellationEndsAWait) {
  gc::set_percent(-1);
  leave_room(8 * kMebibyte);
  run([&] {
    const gc::test::NoCycleEnds none;
    CancelScope context = with_cancel(Context());
    const std::uint64_t stalls = gc::read_memory_limit_stats().stalls;
    JoinHandle waiter = spawn([&] {
      Kept kept;
      const MemoryWaitsUnder bounded(context);
      EXPECT_EQ(fill(kept), Why::kEnded);
    });
    EXPECT_TRUE(yield_until([&] { return gc::read_memory_limit_stats().stalls > stalls; }));
    context.cancel();
    waiter.join();
  });
}

#if defined(TAILRACE_VERIFY) && !TAILRACE_ASAN && !TAILRACE_TSAN
TEST(MemoryLimitDeathTest, ALockHeldOverAllocationIsTold) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        Scheduler scheduler({.workers = 1});
        scheduler.start();
        scheduler.run([] {
          std::mutex mutex;
          const std::lock_guard guard(mutex);
          for (int i = 0; i < 100'000; ++i) gc::make<Block>();
        });
      },
      "allocates managed memory.*std::mutex");
}
#endif

}  // namespace
}  // namespace tailrace::fiber
