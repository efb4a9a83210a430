// What the workers of one scheduler share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/global_queue.h"
#include "gcruntime/fiber/monitor.h"
#include "gcruntime/fiber/registry.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/fiber/sleepers.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {

struct Scheduler::Impl {
  Impl(Scheduler* owner, const SchedulerOptions& the_options);

  // --- Constant after construction. ---
  Scheduler* const self;
  const SchedulerOptions options;
  const unsigned default_class;  // of stacks
  std::vector<std::unique_ptr<Worker>> workers;

  // --- [fiber.bench] Written under resize_mutex. ---
  std::mutex resize_mutex;
  // Those with a thread. Seq_cst: what a worker pushes into its ring follows the store that counts it,
  // so whoever looks at the rings before it sleeps sees either both or is seen asleep [fiber.sleep].
  std::atomic<unsigned> started{0};
  // Those that may run fibers, the first ones; at most `started`. Seq_cst: stored before the ring that a
  // benched worker waits for.
  std::atomic<unsigned> active{0};

  // --- Shared, each with its own rules. ---
  Registry registry;
  GlobalQueue global;
  Sleepers sleepers;

  Monitor monitor{*this};

  // Release by whoever makes it, acquire by its users.
  std::atomic<SchedulerService*> blocking_service{nullptr};

  // --- Life. ---
  enum class Phase : std::uint32_t { kNew, kRunning, kStopped };
  Phase phase = Phase::kNew;  // written by the thread that starts and stops, under resize_mutex
  // [fiber.stop] Seq_cst, with the counters and the sleepers' announcement.
  std::atomic<bool> stopping{false};
  std::atomic<bool> ended{false};
  std::atomic<std::uint32_t> quiescent{0};  // futex of stop()

  // --- Threads that are not workers of this scheduler. ---
  // Spawned, submitted and readied by them; calls under way, which stop() outwaits.
  std::atomic<std::uint64_t> external_spawned{0};
  std::atomic<std::uint64_t> external_jobs{0};
  std::atomic<std::uint64_t> external_stack_bytes{0};
  std::atomic<std::uint64_t> external_wakes{0};
  std::atomic<std::uint64_t> external_calls{0};
  std::atomic<std::uint32_t> external_samples{0};  // relaxed: chooses whose wait is measured

  // The calling worker, if it is one of this scheduler; else null.
  Worker* own_worker() const noexcept {
    Worker* worker = fiber::current_worker();
    return worker != nullptr && &worker->scheduler() == this ? worker : nullptr;
  }
  // Queues an entry from any thread.
  void submit(Entry entry);
  // Rings a sleeper if there is one and nobody searches. True if it did.
  bool wake_one() noexcept;
  // Any entry that `worker` could take, in any queue. Seq_cst: step W3 of [fiber.sleep].
  bool work_visible(const Worker& worker) const noexcept;
  void ring_all() noexcept;
  // Under resize_mutex. Throws std::system_error if a thread cannot be had.
  void start_thread();
  void set_active(unsigned count) noexcept;

  // Fibers alive; and with queued jobs, which stop() waits for too.
  std::uint64_t alive() const noexcept;
  std::uint64_t outstanding() const noexcept;
  // Called by a worker about to sleep while stopping.
  void note_quiescent() noexcept;
};

}  // namespace tailrace::fiber
