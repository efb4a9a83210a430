// For tests of the collector: what must be unreachable really is. Stacks are scanned conservatively, so a
// dead frame or a spilled register that still holds a pointer keeps its object. And the plain object that
// most of them make, how they see what has become of it, how they wait for threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/span.h"

// First in a test in which an attached thread neither polls nor is native for as long as others collect:
// without signals the world is never stopped.
#define TAILRACE_SKIP_WITHOUT_STOP_SIGNALS() \
  if (TAILRACE_TSAN) GTEST_SKIP() << "under ThreadSanitizer threads are stopped at polls only"

namespace tailrace::gc::test {

// Zeroes 64 KiB of dead stack below the caller.
TAILRACE_NOINLINE inline void overwrite_dead_frames() {
  volatile char bytes[64 * 1024];
  for (volatile char& byte : bytes) byte = 0;
}

// Calls f in frames that begin 4 KiB below the caller's, so that no other function's few words of frame
// are all that overwrites them.
template <typename F>
TAILRACE_NOINLINE void call_deep(F& f) {
  volatile char pad[4096];
  pad[0] = 0;
  f();
  asm volatile("" : : "r"(pad) : "memory");  // no tail call
}

// Runs f and overwrites its frames.
template <typename F>
TAILRACE_NOINLINE void in_own_frame(F&& f) {
  call_deep(f);
  overwrite_dead_frames();
}

// Of request memory, faded or not.
inline bool in_arena_range(const void* object) {
  return heap::in_arena_range(reinterpret_cast<std::uintptr_t>(object));
}

// An address that no scan takes for a pointer, to see later what has become of an object. Look only with
// heap::find_object: the object may be gone.
class Disguised {
 public:
  Disguised() = default;
  explicit Disguised(const void* object) : bits_(~reinterpret_cast<std::uintptr_t>(object)) {}
  std::uintptr_t address() const { return ~bits_; }

 private:
  std::uintptr_t bits_ = 0;
};

// While it lives no cycle ends: a thread is in a flagged section.
class NoCycleEnds {
 public:
  NoCycleEnds() {
    thread_ = std::thread([this] {
      const ThreadScope scope;
      const Section section;
      // Relaxed, both: flags of their own.
      in_.store(true, std::memory_order_relaxed);
      while (!out_.load(std::memory_order_relaxed)) std::this_thread::yield();
    });
    while (!in_.load(std::memory_order_relaxed)) std::this_thread::yield();
  }
  ~NoCycleEnds() {
    out_.store(true, std::memory_order_relaxed);
    thread_.join();
  }
  NoCycleEnds(const NoCycleEnds&) = delete;
  NoCycleEnds& operator=(const NoCycleEnds&) = delete;

 private:
  std::atomic<bool> in_{false};
  std::atomic<bool> out_{false};
  std::thread thread_;
};

struct Node {
  Member<Node> next;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Node, (), (next, value))

inline Node* make_node(std::int64_t value) {
  Node* node = make<Node>();
  node->value = value;
  return node;
}

// Looks from frames below all that the next cycle scans: in the caller's a word of the answer, the slot's
// address, would stay and keep the object.
inline bool is_allocated(Disguised object) {
  bool allocated = false;
  auto look = [&] {
    const heap::ObjectPlace place = heap::find_object(object.address());
    allocated = place.slot != 0 && place.allocated();
  };
  call_deep(look);
  return allocated;
}

inline bool is_marked(const void* object) {
  return heap::find_object(reinterpret_cast<std::uintptr_t>(object)).marked();
}
// Puts all threads into that phase, without a cycle. From an attached thread; no cycle may run.
inline void ask_phase(std::uint8_t phase) {
  native(
      [phase] { std::thread([phase] { World::instance().handshake({.phase = phase}); }).join(); });
}

// In a loop that is to be stopped anywhere, where that can be; see TAILRACE_SKIP_WITHOUT_STOP_SIGNALS.
inline void poll_without_stop_signals() {
  if (TAILRACE_TSAN) poll();
}

// Holds up no cycle meanwhile.
inline void join(std::thread& thread) {
  native([&] { thread.join(); });
}
// Runs f on an attached thread whose stack is gone afterwards: no stale word of it keeps anything.
template <typename F>
void on_own_thread(F&& f) {
  std::thread thread([&f] {
    const ThreadScope scope;
    f();
  });
  join(thread);
}

// The header of a small scanned object. By way of a number: compilers know that no T stands before a T.
inline std::uint64_t* header_of(const void* object) {
  auto address = reinterpret_cast<std::uintptr_t>(object) - 8;
  asm volatile("" : "+r"(address));
  return reinterpret_cast<std::uint64_t*>(address);
}

}  // namespace tailrace::gc::test
