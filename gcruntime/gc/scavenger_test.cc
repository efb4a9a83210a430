// Free memory goes back to the OS beside the program: as much as the goal lets go, in bounded pieces, and
// nobody who allocates meanwhile fails or finds his memory gone.
#include "gcruntime/gc/scavenger.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_resident_memory.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_runs.h"
#include "gcruntime/heap/pages.h"
#include "gcruntime/heap/scavenge.h"

namespace tailrace::gc {
namespace {

using test::in_own_frame;
using test::Node;
using test::resident_bytes;

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
// Full of pointers: ThreadSanitizer keeps some hundred bytes for each word that an atomic operation has touched.
constexpr std::uint64_t kSpikeBytes = (TAILRACE_TSAN ? 32 : 300) * kMebibyte;
constexpr std::uint64_t kPieceBytes = heap::PageRuns::kReleasePages * heap::kPageBytes;

std::uint64_t held_bytes(const MemStats& stats) { return stats.heap_sys - stats.heap_released; }

// All that the scavenger would do, at once. Returns its steps.
int scavenge_all() {
  int steps = 0;
  native([&] {
    while (Scavenger::instance().step() != 0) ++steps;
  });
  return steps;
}

struct Blob {
  Vector<Member<Blob>> block;
};
BOOST_DESCRIBE_STRUCT(Blob, (), (block))

// Its words are written: the pages are there.
Blob* make_blob(std::size_t bytes) {
  auto* blob = make<Blob>();
  blob->block.resize(bytes / sizeof(Member<Blob>));
  for (Member<Blob>& word : blob->block) word = blob;
  return blob;
}

// In pieces: a stale word on the stack keeps one of them at most.
void make_garbage(int mebibytes) {
  in_own_frame([&] {
    for (int i = 0; i < mebibytes; ++i) make_blob(kMebibyte);
  });
}

class ScavengerTest : public testing::Test {
 protected:
  ScavengerTest() : percent_(set_percent(100)) { free_os_memory(); }
  ~ScavengerTest() override {
    set_percent(percent_);
    collect();  // so that none runs into the next test
  }

  // Of blocks and nodes, all alive at once; one in ten of the blocks lives on.
  void spike(Root<Vector<Member<Blob>>>& kept) {
    in_own_frame([&] {
      Root<Vector<Member<Blob>>> blobs;
      Root<Vector<Member<Node>>> nodes;
      std::mt19937_64 random(base::test_seed());
      std::uint64_t bytes = 0;
      for (std::size_t i = 0; bytes < kSpikeBytes; ++i) {
        const std::size_t size = std::size_t{16 * 1024} << random() % 7;
        bytes += size;
        blobs->push_back(make_blob(size));
        if (i % 10 == 0) kept->push_back(blobs->back());
        for (int n = 0; n < 100; ++n) nodes->push_back(make<Node>());
        bytes += 100 * 32;
      }
      peak_ = held_bytes(read_mem_stats());
      peak_resident_ = resident_bytes();
    });
  }

  std::uint64_t peak_ = 0;
  std::uint64_t peak_resident_ = 0;

 private:
  ThreadScope scope_;
  int percent_;
};

// The promise: a tenth over live and goal, in a number of steps that follows from the bytes.
TEST_F(ScavengerTest, ResidentMemoryFallsBackAfterASpike) {
  SCOPED_TRACE("seed " + std::to_string(base::test_seed()));
  const std::uint64_t beside =
      resident_bytes() - std::min(resident_bytes(), held_bytes(read_mem_stats()));
  Root<Vector<Member<Blob>>> kept;
  spike(kept);
  ASSERT_GE(peak_, kSpikeBytes);
  if (peak_resident_ != 0) {
    ASSERT_GE(peak_resident_, kSpikeBytes);
  }
  collect();
  const int steps = scavenge_all();
  const MemStats after = read_mem_stats();
  const std::uint64_t promised = (after.heap_live + after.next_gc) / 10 * 11;
  EXPECT_LE(held_bytes(after), promised);
  EXPECT_LT(after.next_gc, kSpikeBytes / 5 * 2);
  // Whole huge pages, and what is left in runs of all lengths between the survivors.
  EXPECT_LE(steps, static_cast<int>(2 * peak_ / kPieceBytes + 2 * kept->size() + 64));
  if (peak_resident_ != 0) {
    // Tables and the mark queue grew with the heap: a 50th of it.
    EXPECT_LE(resident_bytes(), beside + promised + peak_ / 50 + 4 * kMebibyte);
  }
  EXPECT_EQ(scavenge_all(), 0) << "and there it ends";
  for (Member<Blob>& blob : *kept) ASSERT_EQ(blob->block.back().get(), blob.get());
}

TEST_F(ScavengerTest, WhatTheGoalNeedsIsKept) {
  Root<Vector<Member<Blob>>> kept;
  spike(kept);
  collect();
  scavenge_all();
  const MemStats after = read_mem_stats();
  const std::uint64_t retained = heap::retained_bytes(after.next_gc);
  if (after.heap_inuse < retained) {
    // No further below than what was on its way at once: a piece of ours, one of the thread's.
    EXPECT_GE(held_bytes(after) + 2 * kPieceBytes, retained);
  }
  const ScavengeStats before = read_scavenge_stats();
  EXPECT_EQ(scavenge_all(), 0);
  EXPECT_EQ(read_scavenge_stats().released_bytes, before.released_bytes);
}

TEST_F(ScavengerTest, WithoutAGoalNothingIsGivenBack) {
  set_percent(-1);
  make_garbage(64);
  collect();
  const MemStats before = read_mem_stats();
  EXPECT_EQ(scavenge_all(), 0);
  EXPECT_EQ(read_mem_stats().heap_released, before.heap_released);
}

TEST_F(ScavengerTest, OnDemandItGivesWhatIsAskedFor) {
  set_percent(-1);  // the thread gives nothing back of its own accord
  collect();
  make_garbage(64);
  collect();
  const MemStats before = read_mem_stats();
  const std::size_t released = scavenge_now(10 * kMebibyte);
  EXPECT_GE(released, 10 * kMebibyte);
  EXPECT_LE(released, 10 * kMebibyte + kPieceBytes);
  EXPECT_EQ(read_mem_stats().heap_released, before.heap_released + released);
  EXPECT_GE(scavenge_now(SIZE_MAX), 50 * kMebibyte);
  const MemStats after = read_mem_stats();
  EXPECT_EQ(after.heap_released, after.heap_idle);
  EXPECT_EQ(scavenge_now(SIZE_MAX), 0u);
  EXPECT_EQ(scavenge_now(0), 0u);
}

TEST_F(ScavengerTest, ItsWorkIsCounted) {
  const ScavengeStats before = read_scavenge_stats();
  set_percent(-1);
  make_garbage(32);
  collect();
  const std::size_t released = scavenge_now(SIZE_MAX);
  const ScavengeStats after = read_scavenge_stats();
  EXPECT_GE(after.released_bytes, before.released_bytes + released);
  EXPECT_GT(after.assist_cpu_ns, before.assist_cpu_ns);
  EXPECT_GE(after.background_cpu_ns, before.background_cpu_ns);
}

// A piece is on its way all the time; nobody is kept in a section by it who could not have it anyway.
TEST_F(ScavengerTest, AtTheLimitNobodyWaitsInASectionForWhatIsOnItsWay) {
  constexpr std::size_t kPages =
      (std::size_t{1} << 30) / heap::kPageBytes;  // no free run is as long
  set_percent(-1);
  make_garbage(16);
  collect();
  std::counting_semaphore<2> returned{0};
  native([&] {
    heap::Span* const run = heap::take_idle_run(0);
    ASSERT_NE(run, nullptr);
    heap::set_resident_ceiling(0);
    std::thread other([&] {
      const ThreadScope scope;
      for (const heap::SpanState state : {heap::SpanState::kSmall, heap::SpanState::kLarge}) {
        heap::Allowance allowance;
        const Section section;
        EXPECT_EQ(heap::allocate_pages(state, kPages, /*may_grow=*/true, &allowance), nullptr);
        EXPECT_TRUE(allowance.refused);
        returned.release();
      }
    });
    // A bound for the failure only: it waits for the run, which is put back below.
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(returned.try_acquire_for(std::chrono::seconds(10)));
    heap::set_resident_ceiling(UINT64_MAX);
    heap::give_pages_back(run);
    heap::put_idle_run(run);
    other.join();
  });
}

// Threads fill objects of all sizes and read them again, cycles free them, and whatever is free is given back
// all the time: who gets such memory finds it his alone, zeroed where it must be.
TEST_F(ScavengerTest, NobodyLosesMemoryMeanwhile) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int kThreads = 3;
  constexpr int kRounds = TAILRACE_TSAN ? 150 : 600;
  std::atomic<int> running{kThreads};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
      Root<Vector<Member<Vector<std::uint64_t>>>> live;
      live->resize(16);
      for (int round = 0; round < kRounds; ++round) {
        auto* words = make<Vector<std::uint64_t>>();
        words->resize(std::size_t{16} << random() % 14);  // to 1 MiB
        for (const std::uint64_t word : *words) wrong += word != 0;
        for (std::size_t i = 0; i < words->size(); ++i)
          (*words)[i] = i * 3 + static_cast<unsigned>(t);
        Member<Vector<std::uint64_t>>& place = (*live)[random() % 16];
        if (place) {
          for (std::size_t i = 0; i < place->size(); ++i) {
            wrong += (*place)[i] != i * 3 + static_cast<unsigned>(t);
          }
        }
        place = words;
        test::poll_without_stop_signals();
        if (round % 64 == 0) collect();
      }
      running.fetch_sub(1);
    });
  }
  while (running.load() != 0) {
    scavenge_now(SIZE_MAX);
    native([] { std::this_thread::yield(); });
  }
  for (std::thread& thread : threads) test::join(thread);
  EXPECT_EQ(wrong.load(), 0);
}

#if !TAILRACE_ASAN && !TAILRACE_TSAN

// In a process of its own. Returns how often it was refused.
int allocate_while_all_is_released() {
  const rlimit limit{std::size_t{1} << 30, std::size_t{1} << 30};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::abort();
  const ThreadScope scope;
  set_percent(-1);
  // False: refused.
  const auto allocate = [](std::size_t bytes) {
    bool had = false;
    in_own_frame([&] {
      try {
        auto* object = static_cast<char*>(allocate_noscan(bytes));
        for (std::size_t at = 0; at < bytes; at += 4096) object[at] = 1;
        had = true;
      } catch (const std::bad_alloc&) {
      }
    });
    return had;
  };
  std::size_t bytes = 100 * kMebibyte;  // more than half of the range
  while (!allocate(bytes)) bytes /= 2;
  std::atomic<bool> stop{false};
  std::thread releaser([&] {
    while (!stop.load()) scavenge_now(SIZE_MAX);
  });
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    collect();  // the last one is free from here on
    if (!allocate(bytes)) ++refused;
  }
  stop.store(true);
  test::join(releaser);
  return refused;
}

// The range for large objects is 64 MiB or 128, and one object takes most of it: whenever it is made again,
// its pages may just be on their way to the kernel. It is waited for, not refused.
TEST(ScavengerOutOfRoomTest, AllocationWaitsForWhatIsOnItsWay) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        const int refused = allocate_while_all_is_released();
        std::fprintf(stderr, "refused %d times", refused);
        std::_Exit(refused == 0 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "refused 0 times");
}

#endif

}  // namespace
}  // namespace tailrace::gc
