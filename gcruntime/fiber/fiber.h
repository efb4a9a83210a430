// Fibers: user threads, multiplexed on worker threads. The calls of everyday use.
//
// A fiber may resume on another worker after every call marked "suspends". Plain locals are safe
// across that; addresses of thread_locals and `errno` are not.
//
// [gc.shared] A managed pointer that one fiber writes into another's frame (a result by reference) is a
// gc::Member or a handle there, not a raw pointer: the collector may have scanned that frame already.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "gcruntime/fiber/label.h"
#include "gcruntime/gc/mem_stats.h"

namespace tailrace::fiber {

class Fiber;
class Scheduler;

// Why a fiber waits; for statistics and the fiber dump.
enum class WaitReason : std::uint8_t {
  kNone,
  kIo,
  kMutex,
  kTimer,
  kJoin,
  kChannel,
  kIdle,
  kOther,
  kBlocking,
  kMemory
};

struct SpawnOptions {
  std::size_t stack_bytes = 0;  // 0: the scheduler's default; else rounded up to a stack size class
  const char* name = "fiber";   // a literal, or text that outlives the fiber
};

class JoinHandle;
namespace internal {
struct Closure;
JoinHandle spawn(Scheduler& scheduler, const SpawnOptions& options, const Closure& closure,
                 void* source);
}  // namespace internal

// Waits for a fiber's end. Movable; dropping it leaves the fiber running. The callable's exceptions
// do not pass: one that leaves a fiber ends the process with a message that names the fiber.
class JoinHandle {
 public:
  JoinHandle() = default;
  JoinHandle(JoinHandle&& other) noexcept : control_(std::exchange(other.control_, nullptr)) {}
  JoinHandle& operator=(JoinHandle&& other) noexcept;
  ~JoinHandle();

  bool joinable() const noexcept { return control_ != nullptr; }
  // Suspends when called on a fiber; on a thread without a fiber it blocks that thread (in a native
  // scope if the thread is attached).
  void join();

 private:
  friend JoinHandle internal::spawn(Scheduler&, const SpawnOptions&, const internal::Closure&,
                                    void*);
  explicit JoinHandle(void* control) : control_(control) {}
  void* control_ = nullptr;
};

namespace internal {
// The closure is moved to the base of the new fiber's own stack, where the collector's scan of that
// stack sees what it captured.
struct Closure {
  std::size_t bytes;
  std::size_t alignment;
  void (*move_to)(void* destination, void* source);
  void (*run_and_destroy)(void* closure);
};
Scheduler& current_scheduler();

template <typename F>
JoinHandle spawn_on(Scheduler& scheduler, const SpawnOptions& options, F&& function) {
  using Stored = std::decay_t<F>;
  Stored stored(std::forward<F>(function));
  static constexpr Closure kClosure{sizeof(Stored), alignof(Stored),
                                    [](void* destination, void* source) {
                                      ::new (destination)
                                          Stored(std::move(*static_cast<Stored*>(source)));
                                    },
                                    [](void* closure) {
                                      Stored* callable = static_cast<Stored*>(closure);
                                      (*callable)();
                                      callable->~Stored();
                                    }};
  return spawn(scheduler, options, kClosure, &stored);
}
}  // namespace internal

// Starts a fiber on the scheduler of the calling fiber. Does not suspend.
template <typename F>
JoinHandle spawn(F&& function) {
  return internal::spawn_on(internal::current_scheduler(), SpawnOptions{},
                            std::forward<F>(function));
}
template <typename F>
JoinHandle spawn(const SpawnOptions& options, F&& function) {
  return internal::spawn_on(internal::current_scheduler(), options, std::forward<F>(function));
}

// The fiber that runs, or null on a thread without one.
Fiber* current() noexcept;
// Says what the calling fiber is at, a request's route for instance, in up to 31 bytes; stands in
// overflow messages, long slices and dumps until the next call or the fiber's end. On a thread
// without a fiber it does nothing.
void set_label(std::string_view text) noexcept;
// The same in a dozen instructions, for a text that was cut beforehand.
void set_label(const LabelText& text) noexcept;
void clear_label() noexcept;
// Suspends: lets others run; goes to the tail of the queue.
void yield();
// Suspends for at least that long. Timers are kept per worker; resolution is about 1 ms.
void sleep_for_ns(std::int64_t duration_ns);
// Fibers alive (spawned and not ended, parked ones included); idle warm fibers are not counted.
std::size_t count() noexcept;

// The lowest level, for those who build primitives (Mutex, the netpoll's sessions).
//
// park: suspends the calling fiber. Once it is wholly switched out, `commit(fiber, argument)` runs
// on the worker's scheduler context: it publishes the fiber to whoever will call ready (for
// instance by unlocking the lock that guards a wait list). If it returns false the fiber goes on at
// once. So a wake can never come before the switch. `argument` may live on the fiber's stack.
// commit must neither suspend nor allocate managed memory, and must not touch the argument after
// publishing.
void park(WaitReason reason, bool (*commit)(Fiber* fiber, void* argument), void* argument);
// Makes a parked fiber runnable: pushed to the calling worker's queue (woken with a sleeper if need
// be), or to the global queue when the caller is not a worker. Exactly one call per park. Any
// thread.
void ready(Fiber* fiber);

// What the calling fiber (or, without one, the calling attached thread) has allocated since it
// began. Exact; a difference of two readings is what lay between them.
gc::AllocCounts alloc_counts() noexcept;

}  // namespace tailrace::fiber
