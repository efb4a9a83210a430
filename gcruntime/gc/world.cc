#include "gcruntime/gc/world.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <new>

#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/collector.h"
#include "gcruntime/gc/handle_place.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/world_wait.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/os/reserved_memory.h"

#if TAILRACE_ASAN
// The scan reads the real stacks; fake ones (the default from g++ 13 on) would hide locals from it.
extern "C" [[gnu::weak, gnu::visibility("default")]] const char* __asan_default_options() {
  return "detect_stack_use_after_return=0";
}
#endif

namespace tailrace::gc {

// Also the word that stopped threads wait on.
constinit std::atomic<std::uint32_t> stop_request{0};

namespace {

constexpr std::int64_t kLetPassNs = 1'000'000;
constexpr std::size_t kSignalStackBytes = 64 * 1024;
// Of address space, for a copy of the largest fiber's or the thread's own stack. Threads may be given
// stacks without a bound.
// (TSan's shadow of it is cleared when a thread ends, page by page.)
constexpr std::size_t kLeastCopyBytes = std::size_t{TAILRACE_TSAN ? 2 : 16} << 20;
constexpr std::size_t kMostCopyBytes = std::size_t{TAILRACE_TSAN ? 2 : 256} << 20;

int stop_signal() { return SIGRTMIN + 5; }

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected,
            nullptr, nullptr, 0);
}
void futex_wake_all(std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, INT_MAX,
            nullptr, nullptr, 0);
}

// A stack pointer below everything that the caller keeps, its spilled registers included.
TAILRACE_ALWAYS_INLINE std::uintptr_t stack_pointer() noexcept {
  std::uintptr_t sp;
  asm volatile("movq %%rsp, %0" : "=r"(sp));
  return sp;
}

void signal_trampoline(int number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  World::on_signal(number, info, context);
  errno = saved_errno;
}

}  // namespace

World& World::instance() {
  // Never destroyed: threads may be stopped while the process exits.
  alignas(World) static char memory[sizeof(World)];
  static World* const world = ::new (static_cast<void*>(memory)) World();
  return *world;
}

void World::install_handler() {
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_sigaction = signal_trampoline;
  // On the alternate stack: a fiber's stack has no room for the vector state (AT_MINSIGSTKSZ 3632).
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigfillset(&action.sa_mask);
  TAILRACE_CHECK(::sigaction(stop_signal(), &action, nullptr) == 0, "sigaction(SIGRTMIN+5)");
}

void World::attach_current_thread() {
  TAILRACE_CHECK(base::current_mutator() == nullptr, "the thread is attached already");
  heap::initialise();
  auto* self = new Mutator();
  pthread_attr_t attributes;
  TAILRACE_CHECK(::pthread_getattr_np(::pthread_self(), &attributes) == 0, "pthread_getattr_np");
  void* low = nullptr;
  std::size_t bytes = 0;
  ::pthread_attr_getstack(&attributes, &low, &bytes);
  ::pthread_attr_destroy(&attributes);
  self->thread_stack_low_ = reinterpret_cast<std::uintptr_t>(low);
  self->thread_stack_high_ = self->thread_stack_low_ + bytes;
  self->stack_low_ = self->thread_stack_low_;
  self->stack_high_ = self->thread_stack_high_;
  self->copy_.reserve(std::clamp(2 * bytes, kLeastCopyBytes, kMostCopyBytes) / os::kPageBytes *
                      os::kPageBytes);
  self->phase_ = base::phase_of_this_thread();
  self->thread_id_ = static_cast<int>(::syscall(SYS_gettid));

  void* stack = ::mmap(nullptr, kSignalStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  TAILRACE_CHECK(stack != MAP_FAILED, "no memory for a signal stack");
  self->signal_stack_ = stack;
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = kSignalStackBytes;
  stack_t previous{};
  TAILRACE_CHECK(::sigaltstack(&alternate, &previous) == 0, "sigaltstack");
  self->previous_signal_stack_ = previous.ss_sp;
  self->previous_signal_stack_bytes_ = previous.ss_size;
  self->previous_signal_stack_flags_ = previous.ss_flags;
  // Threads inherit their creator's mask, and masking everything is common.
  sigset_t ours;
  ::sigemptyset(&ours);
  ::sigaddset(&ours, stop_signal());
  ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);

  {
    // Waits while the world is stopped.
    const std::lock_guard guard(mutex_);
    if (first_ == nullptr) install_handler();
    self->next_ = first_;
    first_ = self;
    // What the others have been asked for counts for this one too: no handshake is under way.
    *self->phase_ = asked_.phase;
    self->cache.generation = generation_;
    self->answered_.store(asked_number_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    base::set_current_mutator(self);
  }
  internal::add_handle_range(low, static_cast<const char*>(low) + bytes);
  Collector::instance().ensure_started();
}

void World::detach_current_thread() {
  Mutator* self = mutator();
  // Threads that come and go must still add up to a cycle.
  internal::flush_counts(*self);
  // A native scope: the mutex may be held by a collector that waits for this very thread.
  native([&] { mutex_.lock(); });
  // Nobody stops the world now, and a late signal finds the request withdrawn.
  enter_section();
  // No handshake is under way. What it shaded and allocated counts for the cycle all the same.
  add_black(*self);
  self->greys.flush(MarkQueue::instance());
  heap::return_cache(self->cache);
  *self->phase_ = kPhaseOff;
  base::clear_section();
  base::set_pending(false);
  internal::trim_arena_blocks(*self, 0);
  internal::give_up_arena_records(*self);
  ended_ = ended_ + self->cache.counts;
  add_counts(ended_arenas_, self->arena_counts);
  for (Mutator** link = &first_; *link != nullptr; link = &(*link)->next_) {
    if (*link == self) {
      *link = self->next_;
      break;
    }
  }
  base::set_current_mutator(nullptr);
  mutex_.unlock();
  internal::remove_handle_range(reinterpret_cast<const void*>(self->thread_stack_low_));
  stack_t previous{};
  previous.ss_sp = self->previous_signal_stack_;
  previous.ss_size = self->previous_signal_stack_bytes_;
  previous.ss_flags = self->previous_signal_stack_flags_;
  ::sigaltstack(&previous, nullptr);
  ::munmap(self->signal_stack_, kSignalStackBytes);
  self->copy_.release();
  delete self;
}

bool World::stopped(Mutator& each) noexcept {
  // [gc.stop] A2. Seq_cst against stop()'s store of the request; acquire with the release in
  // wait_until_started, on_signal and run_native: registers and bounds are visible.
  return each.status_.load(std::memory_order_seq_cst) != Mutator::Status::kRunning;
}

std::int64_t World::stop() {
  mutex_.lock();
  let_held_pass();
  const std::int64_t begin = os::now_ns();
  // [gc.stop] A1.
  stop_request.store(kAskStop, std::memory_order_seq_cst);
  wait_for_all([](Mutator& each) { return stopped(each); });
  return os::now_ns() - begin;
}

// False: the process's signal queue is full (EAGAIN); to be tried again.
bool World::send_signal(const Mutator& each) noexcept {
  if (::syscall(SYS_tgkill, ::getpid(), each.thread_id_, stop_signal()) == 0) return true;
  TAILRACE_CHECK_VALUE(
      errno == EAGAIN,
      "an attached thread ended inside its ThreadScope; its thread id:", each.thread_id_);
  return false;
}

void World::start() {
  // Seq_cst as the other half of [gc.stop]; what the collector wrote is released to the threads that
  // read 0 here.
  stop_request.store(0, std::memory_order_seq_cst);
  futex_wake_all(stop_request);
  mutex_.unlock();
}

// The thread's registers and bounds are published; waits. Async-signal-safe.
void World::wait_until_started(Mutator& self) noexcept {
  // Relaxed: see leave_stop. Before the status, which is what lets the collector go on.
  self.held_.store(true, std::memory_order_relaxed);
  // Release pairs with stopped()'s load.
  self.status_.store(Mutator::Status::kStopped, std::memory_order_seq_cst);
  leave_stop(self);
}

// From native or stopped back to running, in a section. A handshake that was asked for meanwhile is
// answered afterwards: by the poll that follows, or its signal.
void World::leave_stop(Mutator& self) noexcept {
  // Relaxed: World::stop only waits for it, and goes by the status. Where nothing is asked for, as at most
  // ends of a native scope, there is nothing to tell.
  if (stop_request.load(std::memory_order_relaxed) == kAskStop) {
    self.held_.store(true, std::memory_order_relaxed);
  }
  std::int64_t claimed_ns = 0;
  for (;;) {
    // Acquire pairs with start()'s store: the sweep's results are visible.
    while (stop_request.load(std::memory_order_acquire) == kAskStop)
      futex_wait(stop_request, kAskStop);
    // [gc.stop] [gc.handshake] B1, B2. Acquire: what the claimer wrote in this thread's place.
    Mutator::Status status = self.status_.load(std::memory_order_relaxed);
    if (status == Mutator::Status::kClaimed ||
        !self.status_.compare_exchange_strong(status, Mutator::Status::kRunning,
                                              std::memory_order_seq_cst,
                                              std::memory_order_relaxed)) {
      // A copy of one stack; or the claimer has lost its processor.
      if (claimed_ns == 0) claimed_ns = os::now_ns();
      if (os::now_ns() - claimed_ns < 20'000) {
        __builtin_ia32_pause();
      } else {
        ::sched_yield();
      }
      continue;
    }
    if (stop_request.load(std::memory_order_seq_cst) != kAskStop) break;
    self.held_.store(true, std::memory_order_relaxed);
    self.status_.store(Mutator::Status::kStopped, std::memory_order_seq_cst);
  }
  if (claimed_ns != 0) note_hold(HoldKind::kClaim, os::now_ns() - claimed_ns);
  self.held_.store(false, std::memory_order_relaxed);
}

// [gc.fair] A thread that waits for the end of a stop needs microseconds to wake; cycles asked for back to
// back would find it waiting for ever. So a stop begins when those whom the last one held have passed.
void World::let_held_pass() noexcept {
  const std::int64_t begin = os::now_ns();
  for (Mutator* each = first_; each != nullptr; each = each->next_) {
    // Relaxed: see leave_stop.
    while (each->held_.load(std::memory_order_relaxed)) {
      // With more threads than cores some get none for long: they have had their chance, and have it again
      // before each stop.
      const std::int64_t waited = os::now_ns() - begin;
      if (waited > kLetPassNs) return;
      if (waited < kLetPassNs / 20) {
        __builtin_ia32_pause();
      } else {
        // Not a yield: where cores are short that may cost a whole slice of somebody else's.
        const timespec while_ns{0, kLetPassNs / 20};
        ::nanosleep(&while_ns, nullptr);
      }
    }
  }
}

// Scanning from a stack pointer to another stack's end would read whatever lies between.
void World::check_on_known_stack(const Mutator& self, std::uintptr_t sp) noexcept {
  TAILRACE_CHECK_VALUE(sp > self.stack_low_ && sp < self.stack_high_,
                       "an attached thread runs on a stack that the collector does not know (a "
                       "coroutine library's?): use fibers; the stack pointer:",
                       sp);
}

// The frame of the function that spills stays until the thread is started again; what lies below its
// stack pointer holds nothing of the caller's.
TAILRACE_NOINLINE void World::poll_slow() noexcept {
  Mutator* self = base::current_mutator();
  if (self == nullptr) return;
  __builtin_unwind_init();  // spills every callee-saved register into this frame
  do {
    base::set_section();  // a signal that comes now only leaves a mark
    const bool signalled = base::pending();
    base::set_pending(false);
    const std::uint32_t request = stop_request.load(std::memory_order_acquire);
    if (base::mutant(base::Mutant::kOffInOne) && request != kAskStop && !signalled &&
        asked_.phase == kPhaseOff && self->thread_id_ % 2 != 0) {
      base::clear_section();
      return;  // one more window, of 100 us: answers when it is signalled
    }
    if (request != 0 &&
        self->status_.load(std::memory_order_relaxed) == Mutator::Status::kRunning) {
      self->scan_low_ = stack_pointer();
      check_on_known_stack(*self, self->scan_low_);
      self->signal_context_ = nullptr;
      if (request == kAskStop) {
        wait_until_started(*self);
      } else {
        answer(*self);
      }
    }
    base::clear_section();
    // The mark may be that of the next stop, whose signal comes once: look again. From here on a
    // signal's handler stops the thread itself.
  } while (base::pending());
}

TAILRACE_NOINLINE void World::run_native(void (*function)(void*), void* argument) noexcept {
  Mutator* self = base::current_mutator();
  if (self == nullptr ||
      // Relaxed: only the own thread writes it.
      self->status_.load(std::memory_order_relaxed) != Mutator::Status::kRunning) {
    function(argument);
    return;
  }
  TAILRACE_CHECK(!base::in_section(), "a native scope inside a flagged section");
  __builtin_unwind_init();
  // In a section until the status says native, so that no signal stops the thread half-way.
  base::set_section();
  self->scan_low_ = stack_pointer();
  check_on_known_stack(*self, self->scan_low_);
  self->signal_context_ = nullptr;
  self->status_.store(Mutator::Status::kNative, std::memory_order_seq_cst);
  base::clear_section();
  function(argument);
  base::set_section();
  leave_stop(*self);
  base::clear_section();
  // Relaxed: as in poll().
  if (base::pending() || stop_request.load(std::memory_order_relaxed) != 0) poll_slow();
}

TAILRACE_NO_SANITIZE void World::on_signal(int, void*, void* context) noexcept {
  Mutator* self = base::current_mutator();
  if (self == nullptr) return;
  if (base::in_section()) {
    base::set_pending(true);
    return;
  }
  // Native: counted as stopped already. A late signal: nothing is asked for.
  if (self->status_.load(std::memory_order_relaxed) != Mutator::Status::kRunning) return;
  const std::uint32_t request = stop_request.load(std::memory_order_acquire);
  if (request == 0) return;
  auto* interrupted = static_cast<ucontext_t*>(context);
  const auto sp = static_cast<std::uintptr_t>(interrupted->uc_mcontext.gregs[REG_RSP]);
  if (sp - reinterpret_cast<std::uintptr_t>(self->signal_stack_) < kSignalStackBytes) {
    // In the middle of another signal's handler (a profiler's): the managed frames are out of sight. The
    // signal comes again when that handler returns, as it is blocked until then.
    ::sigaddset(&interrupted->uc_sigmask, stop_signal());
    // If the queue is full, stop() sends it again.
    if (!send_signal(*self)) self->signal_sent_.store(false, std::memory_order_relaxed);
    return;
  }
  TAILRACE_CHECK(
      reinterpret_cast<std::uintptr_t>(context) -
              reinterpret_cast<std::uintptr_t>(self->signal_stack_) <
          kSignalStackBytes,
      "an attached thread's alternate signal stack was replaced (sigaltstack): its registers "
      "cannot be scanned");
  check_on_known_stack(*self, sp);
  // A leaf function may keep values in the 128 bytes below its stack pointer; not in the guard.
  const std::uintptr_t red_zone = std::min<std::uintptr_t>(sp - self->stack_low_, 128);
  self->scan_low_ = base::mutant(base::Mutant::kNoRedZone) ? sp : sp - red_zone;
  self->signal_context_ = context;
  // Flagged, as at a poll: what the answer locks is taken in sections. Signals are masked here.
  base::set_section();
  if (request == kAskStop) {
    wait_until_started(*self);
  } else {
    World::instance().answer(*self);
  }
  base::clear_section();
  self->signal_context_ = nullptr;
}

// All of an interrupted thread's registers, vector state included: the kernel's frame holds them on the
// signal stack, from the context to the stack's end at the most.
bool World::signal_frame(const Mutator& each, std::uintptr_t& low, std::uintptr_t& high) noexcept {
  if (each.signal_context_ == nullptr || base::mutant(base::Mutant::kNoRegisterScan)) return false;
  low = reinterpret_cast<std::uintptr_t>(each.signal_context_) & ~std::uintptr_t{7};
  high = base::mutant(base::Mutant::kNoVectorScan)
             ? low + offsetof(ucontext_t, uc_mcontext.fpregs)
             : reinterpret_cast<std::uintptr_t>(each.signal_stack_) + kSignalStackBytes;
  return true;
}

void World::for_each_stack(StackSource::Visit visit, void* visitor) {
  const auto words = [](std::uintptr_t address) { return reinterpret_cast<const void*>(address); };
  for_each_mutator([&](Mutator& each) {
    visit(visitor, words(each.scan_low_ & ~std::uintptr_t{7}), words(each.stack_high_));
    if (each.thread_frames_ != 0) {
      visit(visitor, words(each.thread_frames_), words(each.thread_stack_high_));
    }
    std::uintptr_t low = 0;
    std::uintptr_t high = 0;
    if (signal_frame(each, low, high)) visit(visitor, words(low), words(high));
  });
  for (StackSource* source : sources_) {
    if (source != nullptr) source->for_each_parked_stack(visit, visitor);
  }
}

void World::for_each_clean_stack(StackSource::Visit visit, void* visitor) {
  for (StackSource* source : sources_) {
    if (source != nullptr) source->for_each_clean_stack(visit, visitor);
  }
}

AllocCounts World::counts() {
  AllocCounts sum;
  native([&] {
    const std::lock_guard guard(mutex_);
    sum = ended_;
    // Each count is a word that only its thread writes; a snapshot may lag.
    for_each_mutator([&](Mutator& each) { sum = sum + read_counts(each.cache.counts); });
  });
  return sum;
}

std::size_t World::mutator_count() {
  std::size_t count = 0;
  native([&] {
    const std::lock_guard guard(mutex_);
    for_each_mutator([&](Mutator&) { ++count; });
  });
  return count;
}

void World::stack_bytes(std::uint64_t& inuse, std::uint64_t& sys) {
  native([&] {
    const std::lock_guard guard(mutex_);
    for (StackSource* source : sources_) {
      if (source != nullptr) source->stack_bytes(inuse, sys);
    }
  });
}

void World::add_source(StackSource* source) {
  native([&] {
    const std::lock_guard guard(mutex_);
    for (StackSource*& place : sources_) {
      if (place == nullptr) {
        place = source;
        return;
      }
    }
    TAILRACE_CHECK(false, "more than 64 schedulers at once");
  });
}

void World::remove_source(StackSource* source) {
  native([&] {
    const std::lock_guard guard(mutex_);
    for (StackSource*& place : sources_) {
      if (place == source) place = nullptr;
    }
  });
}

void poll_slow() noexcept { World::instance().poll_slow(); }
void run_native(void (*function)(void*), void* argument) noexcept {
  World::instance().run_native(function, argument);
}
void add_stack_source(StackSource* source) { World::instance().add_source(source); }
void remove_stack_source(StackSource* source) { World::instance().remove_source(source); }

ThreadScope::ThreadScope() : outermost_(base::current_mutator() == nullptr) {
  if (outermost_) World::instance().attach_current_thread();
}
ThreadScope::~ThreadScope() {
  if (outermost_) World::instance().detach_current_thread();
}

}  // namespace tailrace::gc
