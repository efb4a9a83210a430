// Request arenas beside cycles: marking ends though requests fade all the time, and what fades where a thread knows
// less of the cycle than another is neither freed nor forgotten.
//
// Two of the tests hold a thread where it has left marking and has not adopted the new generation. All signals are
// blocked there, the collector's too, so that the thread answers at its next poll and not before.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "gcruntime/base/thread_state.h"
#include "gcruntime/fiber/fake_netpoll.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/root.h"

namespace tailrace::fiber {
namespace {

using gc::with_arena;
using gc::test::Disguised;
using gc::test::is_allocated;
using gc::test::make_node;
using gc::test::Node;

constexpr bool kSanitized = TAILRACE_ASAN || TAILRACE_TSAN;

void mask_signals(int how) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(how, &all, nullptr);
}
// True: the thread's phase is that, and stays so until it polls or unmasks its signals.
bool stay_in(std::uint8_t phase) {
  if (base::phase() != phase) return false;
  mask_signals(SIG_BLOCK);
  if (base::phase() == phase) return true;
  mask_signals(SIG_UNBLOCK);
  return false;
}

// From when it is told to until it is told to end, cycle after cycle.
class Collecting {
 public:
  Collecting() {
    thread_ = std::thread([this] {
      const gc::ThreadScope scope;
      gc::native([this] { begin_.wait(false); });
      while (!end_.load()) gc::collect();
    });
  }
  ~Collecting() {
    end();
    begin();
    gc::test::join(thread_);
  }
  Collecting(const Collecting&) = delete;
  Collecting& operator=(const Collecting&) = delete;

  void begin() {
    begin_.store(true);
    begin_.notify_one();
  }
  // The cycle under way is the last one.
  void end() { end_.store(true); }

 private:
  std::atomic<bool> begin_{false};
  std::atomic<bool> end_{false};
  std::thread thread_;
};

// --- Marking ends ------------------------------------------------------------------------------------

class ArenaCycleTest : public FiberTest {
  const gc::test::NoCycles no_cycles_;
};

// [arena.fade] Were what fades grey, each of these requests would take the cycle under way another round; the
// requests are counted, so that it would end with them.
TEST_P(ArenaCycleTest, MarkingEndsWhileRequestsFade) {
  constexpr int kCycles = 5;
  constexpr std::uint64_t kMostRounds = 100;
  constexpr int kMostRequests = kSanitized ? 5'000 : 20'000;
  const gc::ThreadScope attached;
  SchedulerOptions options;
  options.long_slice_ns = 0;
  Scheduler& on = start(options);
  std::atomic<bool> begun{false};
  std::atomic<bool> over{false};
  std::vector<JoinHandle> fibers;
  for (unsigned i = 0; i < 2 * workers(); ++i) {
    fibers.push_back(on.spawn([&begun, &over] {
      const gc::Root<Node> kept(gc::heap_make<Node>());
      for (int request = 0; request < kMostRequests && !over.load(); ++request) {
        with_arena([&] {
          Node* const node = make_node(request);
          node->next = make_node(-request);
          kept->next = node;
          yield();
          EXPECT_EQ(kept->next->next->value, -request);
        });
        begun.store(true);
      }
    }));
  }
  EXPECT_TRUE(spin_until([&] { return begun.load(); }));
  std::uint64_t most_rounds = 0;  // of a cycle
  for (int i = 0; i < kCycles; ++i) {
    gc::collect();
    most_rounds = std::max(most_rounds, gc::read_cycle_stats().last_rounds);
  }
  over.store(true);
  for (JoinHandle& fiber : fibers) fiber.join();
  EXPECT_LE(most_rounds, kMostRounds);
}

TAILRACE_FIBER_PEERS_TESTS(ArenaCycleTest);

// --- Between two generations -------------------------------------------------------------------------

// Of two workers the one that does not run the request is held in its poller, from when it has left marking until
// the request is ready to move there.
class ArenaGenerationTest : public testing::Test, protected Netpoll {
 protected:
  // Not in the constructor: workers poll it while a derived class's would still run.
  void SetUp() override {
    SchedulerOptions options;
    options.workers = 2;
    options.netpoll = this;
    options.long_slice_ns = 0;
    scheduler_ = std::make_unique<Scheduler>(options);
    scheduler_->start();
  }
  void TearDown() override { scheduler_->stop(); }

  // On the request's fiber: returns when the other worker is held.
  void hold_other() {
    own_.store(Scheduler::current_worker());
    watching_.store(true);
    // Each brings it to its poller once, and none is left to be run there later.
    int probes = 0;
    EXPECT_TRUE(spin_until([&] {
      if (held_.load()) return true;
      if (probed_.load() == probes) {
        ++probes;
        spawn([this] { probed_.fetch_add(1); });
      }
      return false;
    }));
    EXPECT_TRUE(yield_until([&] { return probed_.load() == probes; }));
  }
  // And moves there, as the own worker has something else to do.
  void move_to_other() {
    spawn([this] {
      let_go_.store(true);
      EXPECT_TRUE(spin_until([this] { return back_.load(); }));
    });
    EXPECT_TRUE(yield_until([this] { return Scheduler::current_worker() != own_.load(); }));
  }
  // There, at the end of what is to be seen.
  void release_other() {
    mask_signals(SIG_UNBLOCK);
    back_.store(true);
  }

  void start(unsigned workers) override { fake_.start(workers); }
  void poll(unsigned worker, std::int64_t timeout_ns, ReadyList& ready) override {
    if (timeout_ns == 0 && watching_.load() && !held_.load() &&
        static_cast<int>(worker) != own_.load()) {
      EXPECT_TRUE(spin_until([] { return stay_in(gc::kPhaseLeaving); }));
      held_.store(true);
      // Without a poll, which would answer the collector.
      while (!let_go_.load()) std::this_thread::yield();
    }
    fake_.poll(worker, timeout_ns, ready);
  }
  bool rescue(unsigned worker, ReadyList& ready) override { return fake_.rescue(worker, ready); }
  void wake(unsigned worker) noexcept override { fake_.wake(worker); }

  std::unique_ptr<Scheduler> scheduler_;

 private:
  const gc::test::NoCycles no_cycles_;
  const gc::ThreadScope attached_;
  FakeNetpoll fake_;
  std::atomic<int> own_{-1};
  std::atomic<bool> watching_{false};
  std::atomic<bool> held_{false};
  std::atomic<bool> let_go_{false};
  std::atomic<bool> back_{false};
  std::atomic<int> probed_{0};
};

// [arena.fade] It is white, as no cycle marks any more where it fades, and the sweep that is to come takes the block
// for one that was left before, if only the thread is asked on which the arena ends.
TEST_F(ArenaGenerationTest, FadesWhereTheGenerationIsNewAndEndsWhereItIsOld) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  const gc::Root<Node> kept(gc::heap_make<Node>());
  Disguised faded;
  {
    Collecting collecting;
    scheduler_->run([&] {
      with_arena([&] {
        Node* const node = make_node(4711);
        faded = Disguised(node);
        collecting.begin();
        hold_other();
        collecting.end();
        EXPECT_TRUE(spin_until([] {
          gc::poll();
          return base::phase() == gc::kPhaseOff;
        }));
        kept->next = node;
        move_to_other();
        EXPECT_EQ(base::phase(), gc::kPhaseLeaving);
      });
      release_other();
    });
  }
  ASSERT_TRUE(is_allocated(faded)) << "freed, though the heap refers to it";
  gc::collect();
  ASSERT_TRUE(is_allocated(faded));
  EXPECT_EQ(kept->next->value, 4711);
}

// --- Destructors -------------------------------------------------------------------------------------

struct Closing {
  using finalized = void;
  ~Closing() { destroyed.fetch_add(1); }
  gc::Member<Closing> next;
  static inline std::atomic<int> destroyed{0};
};
BOOST_DESCRIBE_STRUCT(Closing, (), (next))

// [arena.destructors] They faded and died, and the cycle has decided without them who is dead, as the arena's end
// only tells the collector of their destructors. Its sweep must leave them to the next one.
TEST(ArenaDestructorsAtTheEnd, WatchedBehindTheDecision) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  constexpr int kObjects = 50;
  const gc::ThreadScope attached;
  const gc::test::NoCycles no_cycles;
  gc::collect();  // none is under way
  const gc::Root<Closing> kept(gc::heap_make<Closing>());
  {
    Collecting collecting;
    with_arena([&] {
      gc::test::in_own_frame([&] {
        for (int i = 0; i < kObjects; ++i) {
          kept->next = gc::make<Closing>();
          kept->next = nullptr;
        }
      });
      collecting.begin();
      EXPECT_TRUE(spin_until([] { return stay_in(gc::kPhaseLeaving); }));
      collecting.end();
    });
    mask_signals(SIG_UNBLOCK);
  }
  EXPECT_EQ(Closing::destroyed.load(), 0);
  EXPECT_TRUE(spin_until([] {
    gc::test::in_own_frame([] { gc::collect(); });
    return Closing::destroyed.load() >= kObjects;
  }));
  gc::collect();
  EXPECT_EQ(Closing::destroyed.load(), kObjects);
}

}  // namespace
}  // namespace tailrace::fiber
