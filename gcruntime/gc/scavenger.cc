#include "gcruntime/gc/scavenger.h"

#include <pthread.h>

#include <chrono>
#include <new>
#include <system_error>
#include <thread>

#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/huge_pages.h"
#include "gcruntime/heap/page_runs.h"
#include "gcruntime/heap/scavenge.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

// Atomic operations here are relaxed: each word stands for itself.
constexpr auto kRelaxed = std::memory_order_relaxed;
constinit std::atomic<std::uint64_t> released_total{0};
constinit std::atomic<std::uint64_t> background_ns{0};
constinit std::atomic<std::uint64_t> assist_ns{0};

// The thread can be stopped by nobody: who finds the range used up waits for the piece [heap.release].
std::size_t give_piece_back(std::size_t keep_bytes) noexcept {
  heap::Span* run = heap::take_idle_run(keep_bytes);
  if (run == nullptr) return 0;
  const std::size_t bytes = run->bytes();
  heap::take_apart(run->start, bytes);
  heap::give_pages_back(run);
  heap::put_idle_run(run);
  released_total.fetch_add(bytes, kRelaxed);
  return bytes;
}

bool too_much(std::uint64_t goal_bytes) noexcept {
  const heap::HeapLevels levels = heap::levels();
  return levels.idle_bytes - levels.released_bytes >
         heap::idle_bytes_to_keep(levels.inuse_bytes, goal_bytes);
}

std::size_t step_to(std::uint64_t goal_bytes) noexcept {
  return give_piece_back(heap::idle_bytes_to_keep(heap::levels().inuse_bytes, goal_bytes));
}

}  // namespace

std::size_t scavenge_now(std::size_t bytes) noexcept {
  std::size_t released = 0;
  native([&] {
    const std::int64_t begin_ns = os::thread_cpu_ns();
    while (released < bytes) {
      const std::size_t piece = give_piece_back(0);
      if (piece == 0) {
        // What is on its way by others' doing has left when this returns.
        released += heap::await_idle_runs();
        break;
      }
      released += piece;
    }
    assist_ns.fetch_add(static_cast<std::uint64_t>(os::thread_cpu_ns() - begin_ns), kRelaxed);
  });
  return released;
}

ScavengeStats read_scavenge_stats() noexcept {
  return {released_total.load(kRelaxed), background_ns.load(kRelaxed), assist_ns.load(kRelaxed)};
}

Scavenger& Scavenger::instance() {
  // Never destroyed: its thread runs until the process ends.
  alignas(Scavenger) static char memory[sizeof(Scavenger)];
  static Scavenger* const scavenger = ::new (static_cast<void*>(memory)) Scavenger();
  return *scavenger;
}

std::size_t Scavenger::step() noexcept { return step_to(goal_bytes_.load(kRelaxed)); }

void Scavenger::note_swept(std::uint64_t goal_bytes) noexcept {
  goal_bytes_.store(goal_bytes, kRelaxed);
  {
    const std::lock_guard guard(mutex_);
    recent_.note(os::now_ns(), goal_bytes);
  }
  if (too_much(goal_bytes) || heap::huge_pages_apart() != 0) wake();
}

void Scavenger::wake() noexcept {
  {
    const std::lock_guard guard(mutex_);
    due_ = true;
    if (!started_) {
      try {
        std::thread([this] { run(); }).detach();
        started_ = true;
      } catch (const std::system_error&) {
        // No thread to be had now: the next cycle tries again.
      }
    }
  }
  work_.notify_one();
}

void Scavenger::run() {
  ::pthread_setname_np(::pthread_self(), "tailrace-scav");
  heap::ScavengePace pace(os::now_ns());
  std::int64_t cpu_ns = 0;  // up to the last look; what it took to wake is paid for too
  bool later = false;       // there is more, if the goal does not rise again
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto due = [this] { return due_; };
      if (later) {
        work_.wait_for(lock, std::chrono::nanoseconds(heap::RecentGoal::kHalfNs), due);
      } else {
        work_.wait(lock, due);
      }
      due_ = false;
    }
    while (internal::give_back_near_limit()) {
    }
    cpu_ns = os::thread_cpu_ns();  // what the limit asks for is not its own doing
    heap::put_dense_together();
    for (bool more = true; more;) {
      std::uint64_t goal_bytes = 0;
      {
        const std::lock_guard guard(mutex_);
        goal_bytes = recent_.bytes(os::now_ns());
      }
      more = step_to(goal_bytes) != 0;
      const std::int64_t now_cpu_ns = os::thread_cpu_ns();
      const std::int64_t used_ns = now_cpu_ns - cpu_ns;
      cpu_ns = now_cpu_ns;
      background_ns.fetch_add(static_cast<std::uint64_t>(used_ns), kRelaxed);
      const std::int64_t pause_ns = pace.pause_ns(os::now_ns(), used_ns);
      if (pause_ns != 0) std::this_thread::sleep_for(std::chrono::nanoseconds(pause_ns));
    }
    later = too_much(goal_bytes_.load(kRelaxed));
  }
}

}  // namespace tailrace::gc
