// A handshake is answered by threads of all kinds, by each for itself, and never inside a section.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "gcruntime/base/thread_state.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/world.h"

namespace tailrace::gc {
namespace {

// The test's own thread is the asking one and not attached. None of its threads touches managed memory while
// a phase is on that no cycle has switched on.
class HandshakeTest : public testing::Test {
 protected:
  HandshakeTest() { configure({.percent = -1}); }
  ~HandshakeTest() override {
    ask(kPhaseOff);
    {
      const std::lock_guard guard(mutex_);
      stop_.store(true);
    }
    ended_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    configure({});
  }

  static void ask(std::uint8_t phase) {
    World::instance().handshake({.phase = phase}, nullptr, nullptr, false);
  }

  // Runs `turn` over and over on a thread of its own; returns when it has begun.
  template <typename Turn>
  volatile std::uint8_t* start(Turn turn) {
    std::atomic<volatile std::uint8_t*> phase{nullptr};
    threads_.emplace_back([this, turn, &phase] {
      const ThreadScope attached;
      phase.store(base::phase_of_this_thread());
      while (!stop_.load(std::memory_order_relaxed)) turn();
    });
    while (phase.load() == nullptr) std::this_thread::yield();
    return phase.load();
  }

  // What the threads use: they run until the fixture ends.
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> turns_{0};
  std::atomic<int> changes_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<std::thread> threads_;
};

// What leaves no poll, and is left only for the test's end.
void spin_for(int turns) {
  for (int i = 0; i < turns; ++i) __builtin_ia32_pause();
}

TEST_F(HandshakeTest, EveryKindOfThreadHasThePhaseWhenItReturns) {
  std::vector<volatile std::uint8_t*> phases;
  phases.push_back(start([] { poll(); }));
  phases.push_back(start([] {
    {
      const Section section;
      spin_for(100);
    }
    test::poll_without_stop_signals();
  }));
  phases.push_back(start([] { native([] { spin_for(100); }); }));
  phases.push_back(start([this] {
    native([this] {
      std::unique_lock lock(mutex_);
      ended_.wait(lock, [this] { return stop_.load(); });
    });
  }));
  if (!TAILRACE_TSAN) phases.push_back(start([] { spin_for(1000); }));
  for (int i = 0; i < 200; ++i) {
    const std::uint8_t phase = i % 2 == 0 ? kPhaseBarrier : kPhaseOff;
    ask(phase);
    for (const volatile std::uint8_t* each : phases) ASSERT_EQ(*each, phase) << "handshake " << i;
  }
}

// Its answers are all by signal: it never polls, and it ends only after them.
TEST_F(HandshakeTest, AThreadThatSpinsIsAnsweredBySignal) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  const volatile std::uint8_t* phase = start([this] {
    while (!stop_.load(std::memory_order_relaxed)) turns_.fetch_add(1, std::memory_order_relaxed);
  });
  for (int i = 0; i < 50; ++i) {
    ask(kPhaseBarrier);
    ASSERT_EQ(*phase, kPhaseBarrier);
    ask(kPhaseOff);
    ASSERT_EQ(*phase, kPhaseOff);
  }
  // Nobody stopped it.
  const std::uint64_t before = turns_.load();
  while (turns_.load() == before) std::this_thread::yield();
}

TEST_F(HandshakeTest, ThePhaseNeverChangesInsideASection) {
  start([this] {
    {
      const Section section;
      const std::uint8_t before = base::phase();
      spin_for(5000);  // longer than it takes until a signal comes
      if (base::phase() != before) changes_.fetch_add(1);
      turns_.fetch_add(1);
    }
    test::poll_without_stop_signals();
  });
  for (int i = 0; i < 100; ++i) ask(i % 2 == 0 ? kPhaseBarrier : kPhaseOff);
  EXPECT_EQ(changes_.load(), 0);
  EXPECT_GT(turns_.load(), 0u);
}

TEST_F(HandshakeTest, ThreadsComeAndGoMeanwhile) {
  for (int i = 0; i < 3; ++i) {
    threads_.emplace_back([this] {
      while (!stop_.load(std::memory_order_relaxed)) {
        const ThreadScope attached;
        turns_.fetch_add(1);
        poll();
      }
    });
  }
  for (int i = 0; i < 200 || turns_.load() < 20; ++i) {
    const std::uint8_t phase = i % 2 == 0 ? kPhaseBarrier : kPhaseOff;
    ask(phase);
    // Who comes now knows what all others were asked for, and takes it along when it goes.
    std::uint8_t inside = 255;
    std::uint8_t after = 255;
    std::thread([&] {
      {
        const ThreadScope attached;
        inside = base::phase();
      }
      after = base::phase();
    }).join();
    ASSERT_EQ(inside, phase);
    ASSERT_EQ(after, kPhaseOff);
  }
}

// One parked stack of the deepest sort, which each round lacks.
class DeepSource final : public StackSource {
 public:
  DeepSource() { add_stack_source(this); }
  ~DeepSource() { remove_stack_source(this); }
  int scans() const { return scans_; }

  void for_each_parked_stack(Visit visit, void* visitor) noexcept override {
    visit(visitor, words_.data(), words_.data() + words_.size());
  }
  void for_each_clean_stack(Visit, void*) noexcept override {}
  void begin_round() noexcept override { lacks_ = true; }
  Walk scan_some(std::uint64_t, Visit visit, void* visitor) noexcept override {
    if (std::exchange(lacks_, false)) {
      for_each_parked_stack(visit, visitor);
      ++scans_;
    }
    return Walk::kDone;
  }
  bool has_idle_thread() const noexcept override { return false; }
  void stack_bytes(std::uint64_t&, std::uint64_t&) const noexcept override {}

 private:
  std::vector<std::uintptr_t> words_ = std::vector<std::uintptr_t>(kBytes / sizeof(std::uintptr_t));
  bool lacks_ = false;  // both the collector's, under the world's lock
  int scans_ = 0;
  static constexpr std::size_t kBytes = std::size_t{8} << 20;
};

// A copy has room for the part of one of them.
TEST(ParkedStacksTest, SeveralSourcesOfDeepStacksAreCopiedOneByOne) {
  const ThreadScope attached;
  const std::array<DeepSource, 3> sources;
  collect();
  for (const DeepSource& each : sources) EXPECT_GE(each.scans(), 1);
}

constexpr std::uintptr_t kMagic = 0x7a11'ace0'51ab'1e55;

struct Search {
  int found = 0;
};
TAILRACE_NO_SANITIZE bool search(void* result, const void* low, const void* high) {
  bool any = false;
  for (auto* at = static_cast<const std::uintptr_t*>(low); at < high; ++at) any |= *at == kMagic;
  if (any) ++static_cast<Search*>(result)->found;
  return any;
}

TEST_F(HandshakeTest, ARoundShowsTheStacksOfRunningAndOfNativeThreads) {
  const auto with_magic = [&](auto&& turn) {
    start([turn] {
      volatile std::uintptr_t word = kMagic;
      turn();
      asm volatile("" : : "m"(word));
    });
  };
  // Each keeps the word on its stack until the end.
  with_magic([this] {
    while (!stop_.load(std::memory_order_relaxed)) poll();
  });
  with_magic([this] {
    native([this] {
      while (!stop_.load(std::memory_order_relaxed)) std::this_thread::yield();
    });
  });
  std::size_t expected = 2;
  if (!TAILRACE_TSAN) {
    ++expected;
    with_magic([this] {
      while (!stop_.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    });
  }
  // The word is there soon after start() returned.
  Search last;
  for (int i = 0; i < 10'000 && last.found < static_cast<int>(expected); ++i) {
    last = {};
    World::instance().handshake({.phase = kPhaseOff, .round = 1}, search, &last, false);
    std::this_thread::yield();
  }
  EXPECT_EQ(last.found, static_cast<int>(expected));
  // All of them are to be held at the next one; released, they go on.
  Search again;
  EXPECT_EQ(World::instance().handshake({.phase = kPhaseOff, .round = 2}, search, &again, true),
            expected);
  ask(kPhaseOff);
  World::instance().release_held();
}

}  // namespace
}  // namespace tailrace::gc
