// A copy of the words of stacks: what marking reads, so that nobody waits for marking. [gc.scan]
//
// Memory of its own, which grows with the deepest stack that it has held. Filled by whoever shows a stack,
// then read by the collector; never both at once. Not freed but by release(), nor given back but by trim().
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::gc {

// Async-signal-safe; both ranges are whole words.
void copy_stack_words(std::uintptr_t* to, std::uintptr_t low, std::size_t words) noexcept;

class StackCopy {
 public:
  // Room for so many bytes, of address space; the first few pages are touched at once, as a page that an
  // answer touches anew costs it 10 us. Stops the program with a message if there is none.
  void reserve(std::size_t bytes) noexcept;
  void release() noexcept;
  // Forgets what it holds, and gives all but those first pages back to the kernel.
  void trim() noexcept;

  void clear() noexcept { count_ = 0; }
  // The whole words of [low, high). Async-signal-safe. What does not fit stops the program.
  void append(std::uintptr_t low, std::uintptr_t high) noexcept;

  bool empty() const noexcept { return count_ == 0; }
  const std::uintptr_t* begin() const noexcept { return words_; }
  const std::uintptr_t* end() const noexcept { return words_ + count_; }

 private:
  std::uintptr_t* words_ = nullptr;
  std::size_t capacity_ = 0;  // words
  std::size_t count_ = 0;
  std::size_t deepest_ = 0;  // words that it has held since it was trimmed
};

}  // namespace tailrace::gc
