// What is to happen when a managed object has become unreachable, for what it holds outside the heap.
//
//   add_cleanup(buffer, [](int fd) { ::close(fd); }, fd);
//
// calls the function once with that argument, plain data, after a cycle has found the object unreachable.
// The object is freed meanwhile; any number of cleanups may stand on one.
//
//   struct File {
//     using finalized = void;             // or: template <> inline constexpr bool kFinalized<File> = true;
//     int fd = -1;
//     Opaque<std::string> path;           // Opaque: what the collector must not look into
//     ~File();
//   };
//   BOOST_DESCRIBE_STRUCT(File, (), (fd, path))
//
// opts in to a destructor: make<File>() is allowed, and ~File runs once. In an arena that is when the arena ends,
// on its own fiber (arena_destructors.h). On the heap, or when the object has left its arena, it is after a
// cycle has found it unreachable; the object and all that it reaches stay for that, and are freed by a later
// cycle.
//
// What a cycle has found runs one after the other on a thread of their own (or where set_finalizer_runner puts them), in no
// section and attached: they may allocate, lock and wait, but all others wait for them. What one cycle
// found runs in the reverse order of making, as destructors of locals do. So a destructor may use what is
// its own, and read the managed objects that it reaches, but of those the finalized ones may be destroyed
// already. An exception that escapes stops the program. At the end of the process nothing is run: what must
// not be lost is closed by who uses it. Objects found by no cycle are never found; collect() finds them all
// but does not wait for what they run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "gcruntime/base/check.h"
#include "gcruntime/gc/handle_place.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {

class Marker;
class Cleanup;

// Opts a managed type in to its destructor.
template <typename T>
inline constexpr bool kFinalized = requires {
  typename T::finalized;
};

namespace internal {
struct WatchedObject;

// Calls what is to be done. `object` is null for a cleanup.
using FinalizerCall = void (*)(void* object, void* argument);
inline constexpr std::size_t kFinalizerArgumentBytes = 48;
Cleanup watch(void* object, bool finalizer, FinalizerCall call, const void* argument,
              std::size_t argument_bytes);
}  // namespace internal

// A cleanup that stands. Copies stand for the same one.
class Cleanup {
 public:
  Cleanup() = default;
  // True if the cleanup will not run; false if it runs, has run or was stopped before.
  bool stop() noexcept;

 private:
  friend Cleanup internal::watch(void*, bool, internal::FinalizerCall, const void*, std::size_t);

  internal::WatchedObject* watched_ = nullptr;
  std::uint64_t number_ = 0;  // of the watch; never reused
};

// `object` may also point into a managed object. The calling thread must be attached.
template <typename T, typename Arg>
Cleanup add_cleanup(T* object, std::type_identity_t<void (*)(Arg)> function, Arg argument) {
  struct Bound {
    void (*function)(Arg);
    Arg argument;
  };
  static_assert(std::is_trivially_copyable_v<Arg> && !internal::kIsBareHandle<Arg>,
                "a cleanup's argument is plain data, which the collector does not look into");
  static_assert(sizeof(Bound) <= internal::kFinalizerArgumentBytes && alignof(Bound) <= 16,
                "a cleanup's argument has at most 40 bytes: pass a pointer to malloc memory");
  if constexpr (std::is_pointer_v<Arg> && !std::is_function_v<std::remove_pointer_t<Arg>>) {
    TAILRACE_CHECK(!heap::contains(reinterpret_cast<std::uintptr_t>(argument)),
                   "a cleanup's argument points to a managed object, which nothing keeps: pass "
                   "what the cleanup needs of it");
  }
  const Bound bound{function, argument};
  return internal::watch(
      const_cast<std::remove_cv_t<T>*>(object), false,
      [](void*, void* at) {
        const Bound& of = *static_cast<const Bound*>(at);
        of.function(of.argument);
      },
      &bound, sizeof bound);
}

// Instead of the thread "tailrace-final": `runner` is called with what is to be run, on the collector's
// thread when a cycle has found something; it hands that to an attached thread or a fiber and returns. It
// must not touch managed memory or wait for a cycle. Null: the thread again. Any thread.
using RunReady = void (*)();
void set_finalizer_runner(void (*runner)(RunReady run_ready)) noexcept;

struct FinalizerStats {
  std::uint64_t watched = 0;  // destructors and cleanups that stand
  std::uint64_t finalizers_queued = 0;
  std::uint64_t finalizers_executed = 0;
  std::uint64_t cleanups_queued = 0;
  std::uint64_t cleanups_executed = 0;
  std::uint64_t table_bytes = 0;
};
// Any thread. Executed never exceeds queued.
FinalizerStats read_finalizer_stats() noexcept;

// --- The collector's hooks, in the order of a cycle; its thread only -----------------------------------

// With the roots: objects whose destructor has not run yet though a cycle found them dead.
void for_each_finalizer_root(VisitRoot visit, void* visitor) noexcept;
// After clear_dead_weak(), with nothing grey and all of the unmarked dead: shades the dead objects that
// have destructors, which then go on the ready queue. Returns how many; the caller drains the marker, and
// needs no further round [gc.finalizer].
std::size_t queue_dead_finalizable(Marker& marker) noexcept;
// After that drain: the cleanups of dead objects go on the ready queue.
std::size_t queue_dead_cleanups() noexcept;
// After the cycle, with the world running: sees to it that what is ready is run.
void notify_finalizers() noexcept;

}  // namespace tailrace::gc
