#include "gcruntime/gc/stack_copy.h"

#include <algorithm>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

constexpr std::size_t kReadyBytes = 32 * 1024;

}  // namespace

void StackCopy::reserve(std::size_t bytes) noexcept {
  words_ = static_cast<std::uintptr_t*>(os::reserve_memory(bytes, os::kPageBytes));
  TAILRACE_CHECK(words_ != nullptr, "no address space for a copy of stacks: raise ulimit -v");
  capacity_ = bytes / sizeof(std::uintptr_t);
  for (std::size_t at = 0; at < std::min(bytes, kReadyBytes); at += os::kPageBytes) {
    reinterpret_cast<volatile char*>(words_)[at] = 0;
  }
}

void StackCopy::release() noexcept {
  os::release_reservation(words_, capacity_ * sizeof(std::uintptr_t));
}

void StackCopy::trim() noexcept {
  const std::size_t held =
      (deepest_ * sizeof(std::uintptr_t) + os::kPageBytes - 1) / os::kPageBytes * os::kPageBytes;
  count_ = 0;
  deepest_ = 0;
  if (held <= kReadyBytes) return;
  os::decommit_memory(reinterpret_cast<char*>(words_) + kReadyBytes, held - kReadyBytes);
}

// NOLINTNEXTLINE(readability-non-const-parameter): the instruction writes there
TAILRACE_NO_SANITIZE void copy_stack_words(std::uintptr_t* to, std::uintptr_t low,
                                           std::size_t words) noexcept {
  // By an instruction, as sanitizers watch memcpy: a stack has red zones of theirs in it.
  asm volatile("rep movsq" : "+D"(to), "+S"(low), "+c"(words) : : "memory");
}

void StackCopy::append(std::uintptr_t low, std::uintptr_t high) noexcept {
  low &= ~std::uintptr_t{7};
  if (low >= high) return;
  const std::size_t words = (high - low) / sizeof(std::uintptr_t);
  TAILRACE_CHECK_VALUE(words <= capacity_ - count_,
                       "a stack is deeper than the collector can copy: run it on a smaller one; "
                       "words:",
                       words);
  copy_stack_words(words_ + count_, low, words);
  count_ += words;
  deepest_ = std::max(deepest_, count_);
}

}  // namespace tailrace::gc
