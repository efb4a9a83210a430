// A parked fiber's stack while marking is on: scanned under a claim that a resume waits for, or by whoever
// resumes it if the open round lacks it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/late_copies.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/world.h"

namespace tailrace::fiber {
namespace {

using gc::ScanWord;
using gc::test::ask_phase;
using gc::test::is_marked;
using gc::test::make_node;

// A round is open that no cycle has opened.
class OpenRound {
 public:
  explicit OpenRound(std::uint64_t round) : before_(gc::rounds.first.load()) {
    gc::rounds.first.store(round);
    gc::rounds.open.store(round);
  }
  ~OpenRound() {
    gc::rounds.open.store(0);
    gc::rounds.first.store(before_);
    gc::rounds.walked.store(0);
  }

 private:
  const std::uint64_t before_;
};

// Far beyond those of the cycles before.
constexpr std::uint64_t kRound = std::uint64_t{1} << 40;

class ClaimTest : public testing::Test {
 protected:
  ClaimTest() { gc::configure({.percent = -1}); }
  ~ClaimTest() override {
    // What was shaded here and stands in the mark queue is looked at and forgotten.
    gc::collect();
    gc::configure({});
  }

  // Enters a stack that consists of `words`, in the given state; returns the word it has then.
  template <typename Words>
  static std::uint64_t enter(std::uint64_t word, const Words& words, bool shared) {
    std::atomic<std::uint64_t> scan{word};
    ask_phase(gc::kPhaseBarrier);
    {
      const gc::Section section;
      gc::enter_stack(*gc::mutator(), scan, words.data(), words.data() + words.size(), shared);
    }
    ask_phase(gc::kPhaseOff);
    return scan.load();
  }

  const gc::ThreadScope attached_;
};

TEST_F(ClaimTest, WhoResumesALateStackShowsIt) {
  const OpenRound round(kRound);
  const std::array<void*, 2> words{make_node(1), nullptr};
  EXPECT_EQ(enter(ScanWord::pack(kRound - 1, ScanWord::kClean), words, false),
            ScanWord::pack(kRound, ScanWord::kRan))
      << "clean, but in an earlier cycle";
  EXPECT_TRUE(is_marked(words[0]));
}

TEST_F(ClaimTest, WhatTheRoundHasScannedIsNotScannedAgain) {
  const OpenRound round(kRound);
  const std::array<void*, 1> words{make_node(1)};
  EXPECT_EQ(enter(ScanWord::pack(kRound, ScanWord::kClean), words, false),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_FALSE(is_marked(words[0]));
}

TEST_F(ClaimTest, WhatOthersMayHaveWrittenToIsScannedThoughItIsClean) {
  const OpenRound round(kRound);
  gc::rounds.open.store(kRound + 1);
  const std::array<void*, 1> clean{make_node(1)};
  EXPECT_EQ(enter(ScanWord::pack(kRound, ScanWord::kClean), clean, false),
            ScanWord::pack(kRound + 1, ScanWord::kRan));
  EXPECT_FALSE(is_marked(clean[0]));
  const std::array<void*, 1> shared{make_node(2)};
  EXPECT_EQ(enter(ScanWord::pack(kRound, ScanWord::kClean), shared, true),
            ScanWord::pack(kRound + 1, ScanWord::kRan));
  EXPECT_TRUE(is_marked(shared[0]));
}

TEST_F(ClaimTest, WhatOthersMayHaveWrittenToIsScannedAgainUntilTheRoundHasSeenAll) {
  const OpenRound round(kRound);
  const std::array<void*, 1> before{make_node(1)};
  EXPECT_EQ(enter(ScanWord::pack(kRound, ScanWord::kClean), before, true),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_TRUE(is_marked(before[0]));
  gc::rounds.walked.store(kRound);
  const std::array<void*, 1> after{make_node(2)};
  EXPECT_EQ(enter(ScanWord::pack(kRound, ScanWord::kClean), after, true),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_FALSE(is_marked(after[0]));
  EXPECT_EQ(enter(ScanWord::pack(kRound - 1, ScanWord::kRan), after, true),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_TRUE(is_marked(after[0])) << "of an earlier round";
}

// A deep stack: nothing but one node's address.
std::vector<void*> deep_words(std::size_t bytes) {
  return std::vector<void*>(bytes / sizeof(void*), make_node(1));
}
// As a round does; how many words it took.
std::size_t scan_late_copies() {
  std::size_t words = 0;
  gc::native([&] {
    gc::Marker marker;
    gc::LateCopies::instance().take([&](const std::uintptr_t* low, const std::uintptr_t* high) {
      words += static_cast<std::size_t>(high - low);
      marker.scan_stack(low, high);
    });
  });
  return words;
}

TEST_F(ClaimTest, ADeepStackIsCopiedAndLeftToTheCollector) {
  const OpenRound round(kRound);
  const std::vector<void*> words = deep_words(256 * 1024);
  EXPECT_EQ(enter(ScanWord::pack(kRound - 1, ScanWord::kRan), words, false),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_FALSE(is_marked(words[0])) << "scanned in the switch's section";
  EXPECT_EQ(scan_late_copies(), words.size());
  EXPECT_TRUE(is_marked(words[0]));
}

TEST_F(ClaimTest, OfADeepStackWhatCannotBeCopiedIsScannedAtOnce) {
  const OpenRound round(kRound);
  const std::vector<void*> room(gc::LateCopies::kChunks * gc::LateCopies::kChunkBytes /
                                sizeof(void*));
  enter(ScanWord::pack(kRound - 1, ScanWord::kRan), room, false);
  const std::vector<void*> words = deep_words(64 * 1024);
  EXPECT_EQ(enter(ScanWord::pack(kRound - 1, ScanWord::kRan), words, false),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_TRUE(is_marked(words[0]));
  EXPECT_EQ(scan_late_copies(), room.size());
  gc::World::instance().trim_copies();
}

TEST_F(ClaimTest, ACopyOutlivesItsThreadAndNotItsCycle) {
  gc::test::Disguised node;
  bool marked = true;
  std::thread thread([&] {
    const gc::ThreadScope attached;
    const OpenRound round(kRound);
    const std::vector<void*> words = deep_words(64 * 1024);
    enter(0, words, false);
    node = gc::test::Disguised(words[0]);
    marked = is_marked(words[0]);
  });
  gc::test::join(thread);
  EXPECT_FALSE(marked);
  gc::collect();
  EXPECT_TRUE(gc::test::is_allocated(node)) << "the copy held it";
  gc::collect();
  EXPECT_FALSE(gc::test::is_allocated(node));
}

TEST_F(ClaimTest, WithNoRoundOpenNothingIsScanned) {
  const std::array<void*, 1> words{make_node(1)};
  EXPECT_EQ(enter(ScanWord::pack(kRound, ScanWord::kClean), words, false),
            ScanWord::pack(kRound, ScanWord::kRan));
  EXPECT_FALSE(is_marked(words[0]));
}

TEST_F(ClaimTest, AClaimIsWaitedFor) {
  const OpenRound round(kRound);
  ask_phase(gc::kPhaseBarrier);
  std::atomic<std::uint64_t> scan{ScanWord::pack(kRound, ScanWord::kClaimed)};
  std::atomic<bool> entering{false};
  std::atomic<bool> entered{false};
  std::thread resumer([&] {
    const gc::ThreadScope attached;
    const gc::Section section;
    entering.store(true);
    gc::enter_stack(*gc::mutator(), scan, nullptr, nullptr, false);
    entered.store(true);
  });
  gc::native([&] {
    while (!entering.load()) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) {
      std::this_thread::yield();
      ASSERT_FALSE(entered.load());
    }
    scan.store(ScanWord::pack(kRound, ScanWord::kClean));
    resumer.join();
  });
  EXPECT_EQ(scan.load(), ScanWord::pack(kRound, ScanWord::kRan));
  ask_phase(gc::kPhaseOff);
}

// --- The registry's side -------------------------------------------------------------------------

class ClaimedFiberTest : public FiberTest {};

struct Parked {
  std::atomic<Fiber*> fiber{nullptr};
  std::atomic<bool> ran{false};
};
bool publish(Fiber* self, void* parked) {
  static_cast<Parked*>(parked)->fiber.store(self);
  return true;
}

// Under the claim it is woken (by another thread, as the registry's lock is held here), and does not run.
struct Visitor {
  Parked* parked = nullptr;
  std::atomic<bool> wake{false};
  std::size_t visits = 0;
  bool ran_inside = false;
};
void visit(void* argument, const void* low, const void* high) {
  auto* visitor = static_cast<Visitor*>(argument);
  Fiber* const fiber = visitor->parked->fiber.load();
  if (fiber == nullptr || low >= high || high != fiber->base()) return;
  if (++visitor->visits > 1) return;
  visitor->wake.store(true);
  for (int i = 0; i < 1000; ++i) {
    std::this_thread::yield();
    visitor->ran_inside |= visitor->parked->ran.load();
  }
}

TEST_P(ClaimedFiberTest, AResumeWaitsUntilTheStackIsRead) {
  gc::configure({.percent = -1});
  std::uint64_t word = 0;
  Visitor visitor{};
  run([&] {
    Parked parked;
    visitor.parked = &parked;
    JoinHandle handle = spawn([&] {
      park(WaitReason::kOther, publish, &parked);
      parked.ran.store(true);
      word = current()->scan.load();
    });
    ASSERT_TRUE(yield_until([&] { return parked.fiber.load() != nullptr; }));
    ask_phase(gc::kPhaseBarrier);
    gc::native([&] {
      std::thread waker([&] {
        while (!visitor.wake.load()) std::this_thread::yield();
        ready(parked.fiber.load());
      });
      std::thread([&] {
        const OpenRound round(kRound);
        gc::World& world = gc::World::instance();
        world.handshake(
            {.phase = gc::kPhaseBarrier, .round = kRound},
            [](void*, const void*, const void*) { return false; }, nullptr, false);
        world.begin_round();
        while (world.scan_parked(kRound, visit, &visitor) != gc::StackSource::Walk::kDone) {
          std::this_thread::yield();
        }
        visitor.wake.store(true);
      }).join();
      waker.join();
    });
    handle.join();
    ask_phase(gc::kPhaseOff);
  });
  EXPECT_EQ(visitor.visits, 1u);
  EXPECT_FALSE(visitor.ran_inside);
  EXPECT_EQ(word, ScanWord::pack(kRound, ScanWord::kRan));
  scheduler().run([] { gc::collect(); });
  gc::configure({});
}
INSTANTIATE_TEST_SUITE_P(Workers, ClaimedFiberTest, testing::Values(1u, 2u, 4u), worker_name);

}  // namespace
}  // namespace tailrace::fiber
