// What the program `windows` is played on: the graph, the cues that actor, prompter and receivers share, and
// how a move leaves no copy of a pointer behind. Included by windows.cc only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/torture/item.h"

namespace tailrace::torture::staged {

struct Link {
  gc::Member<Link> next;
  gc::Member<Item> child;
};
BOOST_DESCRIBE_STRUCT(Link, (), (next, child))

struct Stage {
  gc::Member<Item> early;    // scanned among the first
  gc::Atomic<Item> newborn;  // the prompter's: born when its thread had become black
  gc::Member<Link> list;
  gc::Vector<gc::Member<Item>> array;
};
BOOST_DESCRIBE_STRUCT(Stage, (), (early, newborn, list, array))

constexpr std::size_t kLinks = TAILRACE_TSAN || TAILRACE_ASAN ? 20'000 : 60'000;
constexpr std::size_t kElements = 256 * 1024;

enum Move : unsigned {
  kHideout,   // in a register, half a vector register or the red zone of a running fiber
  kParked,    // on a stack that is left for a parked one's after its scan
  kClaimed,   // and resumed just when the next round reads it
  kWoken,     // on a deep stack that is left for one that is resumed before the next round reads it
  kLate,      // on a stack that is left, deep, just before the first round
  kMail,      // written into a parked fiber's stack that was scanned
  kChannel,   // the same by a channel's direct hand-over
  kStore,     // stored into an object that was scanned
  kCopy,      // by a copy that may have begun before the cycle
  kShade,     // stored when the barrier has just gone on
  kStranger,  // under another thread's new object, while this one may not know of the cycle
  kMoves
};
constexpr const char* kMoveNames[kMoves] = {"hideout", "parked", "claimed", "woken",
                                            "late",    "mail",   "channel", "store",
                                            "copy",    "shade",  "stranger"};

struct Box {
  Item* letter = nullptr;
};

// What actor, prompter and receivers share. Relaxed where nothing is said: cues, not data.
struct Cues {
  std::atomic<std::uint64_t> first{0};  // the cycle's first round; 0: the actor waits for nothing
  std::atomic<fiber::Fiber*> actor{
      nullptr};                       // parked; release by its commit, acquire by the prompter
  std::atomic<bool> at_claim{false};  // wake it when it is claimed
  std::atomic<bool> in_walk{false};   // or when the prompter's thread has answered the next round
  std::atomic<int> release{0};
  std::atomic<fiber::Fiber*> mail_receiver{nullptr};  // parked; as actor
  std::atomic<Box*> box{nullptr};
  std::atomic<fiber::Fiber*> channel_receiver{nullptr};
  std::atomic<bool> over{false};
};

// The registers that a function may leave anything in.
TAILRACE_ALWAYS_INLINE void scrub_registers() noexcept {
  asm volatile(
      "xorl %%eax, %%eax\n xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n xorl %%esi, %%esi\n"
      "xorl %%edi, %%edi\n xorl %%r8d, %%r8d\n xorl %%r9d, %%r9d\n xorl %%r10d, %%r10d\n"
      "xorl %%r11d, %%r11d\n pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1"
      :
      :
      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "memory",
        "cc");
}
// And the stack below.
TAILRACE_NOINLINE TAILRACE_NO_SANITIZE inline void scrub() noexcept {
  volatile std::uintptr_t frame[512];
  for (volatile std::uintptr_t& word : frame) word = 0;
  scrub_registers();
}

inline bool open_since(std::uint64_t first) noexcept {
  return gc::rounds.open.load(std::memory_order_acquire) != 0 &&
         gc::rounds.first.load(std::memory_order_relaxed) == first;
}
// That round has scanned the stack.
inline bool scanned(const fiber::Fiber* fiber, std::uint64_t round) noexcept {
  const std::uint64_t word = fiber->scan.load(std::memory_order_acquire);
  return gc::ScanWord::round(word) == round && gc::ScanWord::state(word) != gc::ScanWord::kClaimed;
}

}  // namespace tailrace::torture::staged
