// A short text that the program gives to what runs on a fiber, a request's route for instance. It
// stands in overflow messages, long slices and fiber dumps.
//
// It is a copy, cut at 31 bytes, in four words: written by the own fiber, read by anybody at any
// time, signal handlers included. A reader that meets a writer sees a mixture of two texts, which
// is still a text.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tailrace::fiber {

// A label cut to its size beforehand, for those who set the same one again and again.
class LabelText {
 public:
  static constexpr std::size_t kBytes = 32;  // with the closing zero

  constexpr LabelText() noexcept = default;
  explicit LabelText(std::string_view text) noexcept {
    std::memcpy(words_.data(), text.data(), text.size() < kBytes ? text.size() : kBytes - 1);
  }

 private:
  friend class Label;
  std::array<std::uint64_t, kBytes / sizeof(std::uint64_t)> words_{};
};

class Label {
 public:
  static constexpr std::size_t kBytes = LabelText::kBytes;

  // All loads and stores are relaxed: a text for people, which orders nothing.
  void clear() noexcept { words_[0].store(0, std::memory_order_relaxed); }
  void set(const LabelText& text) noexcept {
    // Written out: as a loop it is twice the instructions, and every request pays them.
    static_assert(kWords == 4);
    words_[0].store(text.words_[0], std::memory_order_relaxed);
    words_[1].store(text.words_[1], std::memory_order_relaxed);
    words_[2].store(text.words_[2], std::memory_order_relaxed);
    words_[3].store(text.words_[3], std::memory_order_relaxed);
  }
  void copy_to(char (&text)[kBytes]) const noexcept {
    std::uint64_t words[kWords];
    for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_relaxed);
    std::memcpy(text, words, kBytes);
    text[kBytes - 1] = 0;
  }

 private:
  static constexpr std::size_t kWords = kBytes / sizeof(std::uint64_t);
  std::atomic<std::uint64_t> words_[kWords]{};
};

}  // namespace tailrace::fiber
