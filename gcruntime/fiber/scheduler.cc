#include "gcruntime/fiber/scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <system_error>

#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/fiber/join.h"
#include "gcruntime/fiber/memory_wait.h"
#include "gcruntime/fiber/scheduler_impl.h"
#include "gcruntime/gc/allocs_per_run.h"

namespace tailrace::fiber {
namespace {

// All schedulers, for count(). Never destroyed: a scheduler may live in a static.
struct AllSchedulers {
  std::mutex mutex;
  std::vector<Scheduler::Impl*> list;
};
AllSchedulers& all_schedulers() {
  static AllSchedulers* const all = new AllSchedulers;
  return *all;
}

}  // namespace

Scheduler::Impl::Impl(Scheduler* owner, const SchedulerOptions& the_options)
    : self(owner),
      options(the_options),
      default_class(StackPool::class_of(the_options.stack_bytes)),
      registry(this, default_class),
      sleepers(std::max(the_options.workers, the_options.most_workers)) {
  const unsigned most = std::max(options.workers, options.most_workers);
  for (unsigned i = 0; i < most; ++i) {
    workers.push_back(std::make_unique<Worker>(*this, i, options.perturb_seed));
  }
}

void Scheduler::Impl::submit(Entry entry) {
  if (Worker* worker = own_worker()) {
    worker->submit(entry);
    return;
  }
  // The entry keeps the scheduler alive only until it has run: stop() waits for this count, too.
  external_calls.fetch_add(1, std::memory_order_seq_cst);
  // Relaxed: a choice.
  if (external_samples.fetch_add(1, std::memory_order_relaxed) % kWaitSample == 0) {
    stamp_ready(entry);
  }
  int unfenced = -1;
  if (base::mutant(base::Mutant::kNoWakeFence)) {
    unfenced = sleepers.claim_for_wake();
    base::mutant_delay();
  }
  global.push(&entry, 1);
  if (base::mutant(base::Mutant::kNoWakeFence)) {
    if (unfenced >= 0) workers[static_cast<unsigned>(unfenced)]->ring();
  } else if (wake_one()) {
    external_wakes.fetch_add(1, std::memory_order_relaxed);
  }
  // Release: pairs with stop()'s acquire.
  external_calls.fetch_sub(1, std::memory_order_release);
}

bool Scheduler::Impl::wake_one() noexcept {
  const int worker = sleepers.claim_for_wake();
  if (worker < 0) return false;
  workers[static_cast<unsigned>(worker)]->ring();
  return true;
}

bool Scheduler::Impl::work_visible(const Worker& worker) const noexcept {
  if (!global.empty()) return true;
  if (!options.steal) return !worker.queue().empty();
  const unsigned count = started.load(std::memory_order_seq_cst);
  for (unsigned i = 0; i < count; ++i) {
    if (!workers[i]->queue().empty()) return true;
  }
  return false;
}

void Scheduler::Impl::ring_all() noexcept {
  for (const auto& worker : workers) worker->ring();
}

// It sits on the bench until set_active counts it, so nobody looks at it before its `thread` is set.
void Scheduler::Impl::start_thread() {
  const unsigned index = started.load(std::memory_order_relaxed);  // under the mutex
  Worker& worker = *workers[index];
  worker.thread = std::thread(&Worker::main, &worker);
  started.store(index + 1, std::memory_order_seq_cst);
}

void Scheduler::Impl::set_active(unsigned count) noexcept {
  const unsigned before = active.load(std::memory_order_relaxed);  // under the mutex
  if (count == before) return;
  if (options.netpoll != nullptr) options.netpoll->set_active(count);
  active.store(count, std::memory_order_seq_cst);
  // Those that are to sit down may sleep, where a submitter would still claim them.
  for (unsigned i = std::min(before, count); i < std::max(before, count); ++i) workers[i]->ring();
}

// [fiber.stop] `finished` first: between the two sums is a moment t at which at least those had
// ended and at most those had begun. So 0 means that at t nothing was alive, and what is dead stays
// dead.
std::uint64_t Scheduler::Impl::alive() const noexcept {
  std::uint64_t finished = 0;
  for (const auto& worker : workers) finished += worker->counters().finished.read();
  std::uint64_t begun = external_spawned.load(std::memory_order_seq_cst);
  for (const auto& worker : workers) {
    begun += worker->counters().spawned.read() + worker->counters().jobs_started.read();
  }
  return begun - finished;
}

std::uint64_t Scheduler::Impl::outstanding() const noexcept {
  std::uint64_t finished = 0;
  for (const auto& worker : workers) finished += worker->counters().finished.read();
  std::uint64_t begun = external_spawned.load(std::memory_order_seq_cst) +
                        external_jobs.load(std::memory_order_seq_cst);
  for (const auto& worker : workers) {
    begun += worker->counters().spawned.read() + worker->counters().jobs_submitted.read();
  }
  return begun - finished;
}

void Scheduler::Impl::note_quiescent() noexcept {
  // Release: pairs with stop()'s acquire.
  quiescent.store(1, std::memory_order_release);
  futex_wake(quiescent);
}

Scheduler::Scheduler(const SchedulerOptions& options) {
  TAILRACE_CHECK_VALUE(options.workers >= 1 && options.workers <= 64 && options.most_workers <= 64,
                       "a scheduler has 1 to 64 workers",
                       std::max(options.workers, options.most_workers));
  impl_ = new Impl(this, options);
  gc::internal::set_own_alloc_counts(&alloc_counts);
  install_memory_waits();
  gc::add_stack_source(&impl_->registry);
  AllSchedulers& all = all_schedulers();
  std::lock_guard lock(all.mutex);
  all.list.push_back(impl_);
}

Scheduler::~Scheduler() {
  stop();
  {
    AllSchedulers& all = all_schedulers();
    std::lock_guard lock(all.mutex);
    std::erase(all.list, impl_);
  }
  gc::remove_stack_source(&impl_->registry);
  delete impl_;
}

void Scheduler::start() {
  TAILRACE_CHECK(impl_->phase == Impl::Phase::kNew, "a scheduler is started once");
  if (impl_->options.netpoll != nullptr) impl_->options.netpoll->start(workers());
  {
    const std::lock_guard lock(impl_->resize_mutex);
    impl_->phase = Impl::Phase::kRunning;
    const unsigned count = impl_->options.workers;
    for (unsigned i = 0; i < count; ++i) {
      try {
        impl_->start_thread();
      } catch (const std::system_error& error) {
        std::fprintf(
            stderr,
            "worker %u of %u cannot be started: %s; start fewer workers (--max-procs) or raise "
            "the limit on threads (ulimit -u, pids.max of the cgroup)\n",
            i, count, error.what());
        std::abort();
      }
    }
    impl_->set_active(count);
  }
  impl_->monitor.start();
  impl_->registry.trimmer().start(impl_->options.trim_every_ns, impl_->options.perturb_seed);
}

void Scheduler::stop() {
  if (impl_->phase == Impl::Phase::kStopped) return;
  TAILRACE_CHECK(fiber::current() == nullptr && fiber::current_worker() == nullptr,
                 "a scheduler was stopped by a fiber, which would wait for itself");
  const bool started = impl_->phase == Impl::Phase::kRunning;
  gc::native([this] {
    const std::lock_guard lock(impl_->resize_mutex);
    impl_->phase = Impl::Phase::kStopped;
  });
  if (!started) {
    TAILRACE_CHECK(impl_->outstanding() == 0, "a scheduler with fibers was never started");
    return;
  }
  gc::native([this] {
    impl_->stopping.store(true, std::memory_order_seq_cst);
    impl_->ring_all();
    // Acquire: pairs with note_quiescent's release.
    while (impl_->quiescent.load(std::memory_order_acquire) == 0) futex_wait(impl_->quiescent, 0);
    impl_->monitor.stop();  // while the threads that it signals exist
    impl_->ended.store(true, std::memory_order_seq_cst);
    impl_->ring_all();
    for (const auto& worker : impl_->workers) {
      if (worker->thread.joinable()) worker->thread.join();
    }
    impl_->registry.trimmer().stop();
    // Relaxed: its users were fibers, which have ended. It exists no more after this.
    delete impl_->blocking_service.exchange(nullptr, std::memory_order_relaxed);
    // The last step of a call from outside, whose fiber has run already. Acquire: pairs with
    // submit's release.
    while (impl_->external_calls.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  });
}

SchedulerService& Scheduler::blocking_service(SchedulerService* (*make)()) {
  // Acquire: pairs with the exchange below, which publishes what make() built.
  SchedulerService* service = impl_->blocking_service.load(std::memory_order_acquire);
  if (service != nullptr) return *service;
  SchedulerService* made = make();
  if (impl_->blocking_service.compare_exchange_strong(service, made, std::memory_order_acq_rel,
                                                      std::memory_order_acquire)) {
    return *made;
  }
  delete made;
  return *service;
}

SchedulerService* Scheduler::made_blocking_service() const noexcept {
  // Acquire: pairs with the exchange above.
  return impl_->blocking_service.load(std::memory_order_acquire);
}

unsigned Scheduler::workers() const noexcept {
  return static_cast<unsigned>(impl_->workers.size());
}

unsigned Scheduler::active_workers() const noexcept {
  // Relaxed: a statistic. 0 before start().
  const unsigned active = impl_->active.load(std::memory_order_relaxed);
  return active == 0 ? impl_->options.workers : active;
}

unsigned Scheduler::set_active_workers(unsigned count) {
  TAILRACE_CHECK_VALUE(count >= 1 && count <= workers(),
                       "active workers are 1 to those of the scheduler's options", count);
  gc::native([this, &count] {
    const std::lock_guard lock(impl_->resize_mutex);
    if (impl_->phase != Impl::Phase::kRunning) return;
    // Relaxed: under the mutex.
    while (impl_->started.load(std::memory_order_relaxed) < count) {
      try {
        impl_->start_thread();
      } catch (const std::system_error& error) {
        count = impl_->started.load(std::memory_order_relaxed);
        std::fprintf(
            stderr,
            "tailrace: no thread for worker %u: %s; raise the limit on threads (ulimit -u, "
            "pids.max of the cgroup)\n",
            count, error.what());
      }
    }
    impl_->set_active(count);
  });
  return active_workers();
}

Netpoll* Scheduler::netpoll() const noexcept { return impl_->options.netpoll; }

SchedulerStats Scheduler::stats() const noexcept {
  SchedulerStats stats;
  stats.workers = active_workers();
  stats.fibers = impl_->alive();
  stats.fibers_runnable = impl_->global.size();
  // Relaxed: statistics.
  stats.fibers_created = impl_->external_spawned.load(std::memory_order_relaxed);
  stats.wakes = impl_->external_wakes.load(std::memory_order_relaxed);
  std::uint64_t stacks_returned = 0;
  std::uint64_t stacks_taken = 0;
  std::size_t warm = impl_->registry.warm();
  for (const auto& worker : impl_->workers) {
    const WorkerCounters& counters = std::as_const(*worker).counters();
    stacks_returned += counters.stack_bytes_returned.read();
    if (worker->current() != nullptr) ++stats.fibers_running;
    stats.fibers_runnable += worker->queue().size();
    stats.fibers_created += counters.spawned.read() + counters.jobs_started.read();
    stats.switches += counters.switches.read();
    stats.jobs += counters.jobs_started.read();
    stats.steals += counters.steals.read();
    stats.steal_misses += counters.steal_misses.read();
    stats.wakes += counters.wakes.read();
    stats.sleeps += counters.sleeps.read();
    stats.polls += counters.polls.read();
    stats.rescues += counters.rescues.read();
    stats.rescue_misses += counters.rescue_misses.read();
    warm += worker->warm();
    worker->wait_times().add_to(stats.waits, stats.waits_total_ns);
  }
  // After what was returned, so that the difference is not negative.
  stacks_taken = impl_->external_stack_bytes.load(std::memory_order_relaxed);
  for (const auto& worker : impl_->workers) {
    stacks_taken += std::as_const(*worker).counters().stack_bytes_taken.read();
  }
  stats.long_slices = impl_->monitor.long_slices();
  const StackCounts& stacks = impl_->registry.stack_counts();
  stats.stack_faults = stacks.faults.load(std::memory_order_relaxed);
  stats.stacks_trimmed = stacks.trims.load(std::memory_order_relaxed);
  stats.stack_bytes_trimmed = stacks.trimmed_bytes.load(std::memory_order_relaxed);
  stats.stacks_unguarded = StackPool::instance().unguarded();
  stats.stack_bytes_in_use = stacks_taken - stacks_returned;
  stats.stack_bytes_cached = warm * StackPool::class_bytes(impl_->default_class);
  return stats;
}

std::vector<FiberInfo> Scheduler::dump(std::size_t most) const {
  return impl_->registry.dump(most);
}

void Scheduler::submit(Job* job) {
  if (Worker* worker = impl_->own_worker()) {
    worker->counters().jobs_submitted.add();
  } else {
    impl_->external_jobs.fetch_add(1, std::memory_order_seq_cst);
  }
  impl_->submit(entry_of(job));
}

int Scheduler::current_worker() noexcept {
  Worker* worker = fiber::current_worker();
  return worker == nullptr ? -1 : static_cast<int>(worker->index());
}

Scheduler* Scheduler::current() noexcept {
  Worker* worker = fiber::current_worker();
  return worker == nullptr ? nullptr : worker->scheduler().self;
}

std::size_t count() noexcept {
  AllSchedulers& all = all_schedulers();
  std::lock_guard lock(all.mutex);
  std::size_t fibers = 0;
  for (Scheduler::Impl* scheduler : all.list) fibers += scheduler->alive();
  return fibers;
}

}  // namespace tailrace::fiber
