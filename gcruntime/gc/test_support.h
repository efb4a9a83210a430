// For tests of the collector: what must be unreachable really is. Stacks are scanned conservatively, so a
// dead frame or a spilled register that still holds a pointer keeps its object.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"

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

// The header of a small scanned object. By way of a number: compilers know that no T stands before a T.
inline std::uint64_t* header_of(const void* object) {
  auto address = reinterpret_cast<std::uintptr_t>(object) - 8;
  asm volatile("" : "+r"(address));
  return reinterpret_cast<std::uint64_t*>(address);
}

}  // namespace tailrace::gc::test
