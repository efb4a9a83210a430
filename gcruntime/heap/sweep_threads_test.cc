// Several threads allocate and sweep at once, through many cycles, while one plays the collector. Each object
// carries its address, its owner and a number, so a slot that is handed out twice, freed while it is alive or
// swept twice shows in a pattern or in the counts.
//
// The cycle is the collector's: the threads turn black one by one, what they hold then is marked, the rest is
// what they have let go; the marking ends while they go on allocating; they answer one by one; the sweep.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/sweep.h"
#include "gcruntime/heap/sweep_test_support.h"

namespace tailrace::heap {
namespace {

constexpr int kThreads = 3;
constexpr std::uint64_t kCycles = 25;

struct Object {
  std::uint64_t address;
  std::uint64_t number;
};

class Worker {
 public:
  Worker(std::uint64_t seed, std::uint64_t owner) : random_(seed), next_number_(owner << 48) {
    thread_.cache.generation = generation();
  }

  // Requests, set by the collector and taken back by the worker's answer.
  std::atomic<bool> turn_black{false};
  std::atomic<bool> turn_off{false};
  std::atomic<bool> stop{false};

  std::vector<Object*> live;      // read by the collector once the thread is black
  std::vector<Object*> snapshot;  // alive when it turned black
  std::uint64_t dead =
      0;  // let go since it was black the last time, and not counted by the cycle yet
  std::uint64_t dead_in_cycle = 0;
  std::uint64_t black_objects = 0;  // allocated while black
  std::uint64_t faults = 0;

  void run() {
    while (!stop.load(std::memory_order_acquire)) {
      for (int i = 0; i < 200; ++i) step();
      answer();
    }
    return_cache(thread_.cache);
  }

 private:
  void step() {
    constexpr std::size_t kSizes[] = {16, 64, 64, 208, 1024, 9000, 32768};
    const std::uint64_t r = random_();
    if (live.size() > 3000 || (!live.empty() && r % 5 < 2)) {
      // Lets go of one; it has been what it is until now. What was alive when the thread turned black is
      // marked, so it counts as dead in the next cycle only.
      const std::size_t at = (r >> 8) % live.size();
      check(live[at]);
      live[at] = live.back();
      live.pop_back();
      ++(thread_.black ? dead_later_ : dead);
      return;
    }
    void* slot = nullptr;
    if (r % 400 == 7) {
      slot = thread_.take_large(33'000 + (r >> 16) % 100'000);
    } else {
      slot = thread_.take(size_class_of(kSizes[(r >> 8) % std::size(kSizes)]), (r >> 20) % 2 != 0);
    }
    if (slot == nullptr) {
      ++faults;
      return;
    }
    auto* object = static_cast<Object*>(slot);
    *object = {reinterpret_cast<std::uintptr_t>(slot), next_number_++};
    live.push_back(object);
    if (thread_.black) ++black_objects;
    if (r % 64 == 0) sweep_for(32 * 1024);
    if (r % 97 == 0) sweep_some(4);
  }

  void check(const Object* object) {
    if (object->address != reinterpret_cast<std::uintptr_t>(object)) ++faults;
    if (!is_allocated(object)) ++faults;
  }

  void answer() {
    if (turn_black.load(std::memory_order_acquire)) {
      thread_.black = true;
      blacken_cache(thread_.cache);
      snapshot = live;
      dead_in_cycle = dead;
      dead = 0;
      black_objects = 0;
      turn_black.store(false, std::memory_order_release);
    }
    if (turn_off.load(std::memory_order_acquire)) {
      return_cache(thread_.cache);
      thread_.cache.generation = generation();
      thread_.black = false;
      dead = dead_later_;
      dead_later_ = 0;
      for (const Object* object : live) check(object);
      turn_off.store(false, std::memory_order_release);
    }
  }

  std::mt19937_64 random_;
  std::uint64_t next_number_;
  std::uint64_t dead_later_ = 0;
  HandMadeThread thread_;
};

// Nobody waits in a loop of its own for long: the machine may have fewer cores than threads.
void wait_for_answers(std::vector<std::unique_ptr<Worker>>& workers,
                      std::atomic<bool> Worker::*request) {
  for (auto& worker : workers) ((*worker).*request).store(true, std::memory_order_release);
  for (auto& worker : workers) {
    while (((*worker).*request).load(std::memory_order_acquire)) std::this_thread::yield();
  }
}

void finish_sweep() {
  while (sweep_some(16)) std::this_thread::yield();
}

TEST(SweepThreads, EverySlotIsOneObjectsAtATime) {
  initialise();
  const std::uint64_t seed = base::test_seed(1);
  SCOPED_TRACE(seed);
  // What others have left in the heap stays, and counts as alive.
  finish_sweep();
  std::vector<ObjectPlace> strangers;
  for_each_allocated([&](const ObjectPlace& place) { strangers.push_back(place); });

  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    workers.push_back(std::make_unique<Worker>(seed * 1000 + i, i));
  }
  for (auto& worker : workers) threads.emplace_back([&worker] { worker->run(); });

  // One that is not attached: no handshake waits for it, a sweep of its may last into the next cycle's begin.
  std::atomic<bool> stop{false};
  std::thread background([&] {
    while (!stop.load(std::memory_order_acquire)) {
      sweep_some(3);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });

  std::uint64_t sweeps_that_allocation_finished = 0;
  for (std::uint64_t cycle = 0; cycle < kCycles; ++cycle) {
    const SweepTotals before = sweep_totals();
    wait_for_answers(workers, &Worker::turn_black);
    std::uint64_t marked = strangers.size();
    std::uint64_t dead = 0;
    for (const ObjectPlace& place : strangers) mark(place);
    for (auto& worker : workers) {
      for (const Object* object : worker->snapshot) mark(place_of(object));
      marked += worker->snapshot.size();
      dead += worker->dead_in_cycle;
    }
    const std::uint32_t next = end_marking();
    ASSERT_FALSE(swept());
    ASSERT_TRUE(sweep_some(100));
    ASSERT_EQ(generation(), next);
    wait_for_answers(workers, &Worker::turn_off);
    ASSERT_EQ(sweep_totals().freed_objects, before.freed_objects) << "swept before all answered";
    set_sweep_budget(std::uint64_t{4} << 20);
    allow_sweep();
    if (cycle % 2 == 0) {
      for (int i = 0; i < 2000 && !swept(); ++i) std::this_thread::yield();
      if (swept()) ++sweeps_that_allocation_finished;
    }
    finish_sweep();
    // Complete the moment it is said to be.
    const SweepTotals after = sweep_totals();
    for (auto& worker : workers) marked += worker->black_objects;
    ASSERT_EQ(after.freed_objects - before.freed_objects, dead) << "cycle " << cycle;
    ASSERT_EQ(after.live_objects, marked) << "cycle " << cycle;
  }

  for (auto& worker : workers) worker->stop.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  stop.store(true, std::memory_order_release);
  background.join();
  std::uint64_t live = strangers.size();
  for (auto& worker : workers) {
    EXPECT_EQ(worker->faults, 0u);
    live += worker->live.size() + worker->dead;
  }
  std::uint64_t allocated = 0;
  std::uint64_t marks = 0;
  for_each_allocated([&](const ObjectPlace& place) {
    ++allocated;
    marks += place.marked();
  });
  EXPECT_EQ(allocated, live) << "what the threads hold or have let go since";
  EXPECT_EQ(marks, 0u) << "marks survived the sweep";
  EXPECT_GT(sweeps_that_allocation_finished, 0u);

  // All but the strangers go.
  for (const ObjectPlace& place : strangers) mark(place);
  end_marking();
  allow_sweep();
  finish_sweep();
  EXPECT_EQ(sweep_totals().live_objects, strangers.size());
}

}  // namespace
}  // namespace tailrace::heap
