// String: immutable text, 16 bytes; up to 15 bytes inline, longer text in a noscan managed object or in
// memory that is never freed (literals).
//
//   inline: word 0 = text[0..6] and (length << 1 | 1) in its lowest byte, word 1 = text[7..14]
//   long:   word 0 = pointer (even), word 1 = length
// Tag and pointer share a word, so the marker tells them apart by one atomic load. All-zero memory is
// the empty string. Copying copies 16 bytes: the text itself is shared and never changes. Not
// null-terminated. At most 4 GiB - 1.
//
// A String that several fibers write at once tears (16 bytes): publish the object that holds it
// through Atomic<T> instead.
#pragma once

#include <compare>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/trace.h"

namespace tailrace::gc {

namespace internal {
// memcpy may not be given the null pointer of an empty view.
TAILRACE_ALWAYS_INLINE void copy_bytes(char* to, const char* from, std::size_t bytes) noexcept {
  if (bytes != 0) std::memcpy(to, from, bytes);
}
}  // namespace internal

class String {
 public:
  static constexpr std::size_t kInlineBytes = 15;
  static constexpr std::size_t kMaxBytes = UINT32_MAX;

  String() noexcept { assign_words(0, 0); }
  // Copies the text; allocates when it is longer than 15 bytes.
  explicit String(std::string_view text) {
    if (text.size() <= kInlineBytes) {
      assign_inline(text.data(), text.size());
    } else {
      assign_long(copy_text(text, place_for(this)), text.size());
    }
  }
  // NOLINTNEXTLINE(google-explicit-constructor)
  String(const char* text) : String(std::string_view(text)) {}
  String(const String& other) noexcept { assign_words(other.word(0), other.word(1)); }
  String& operator=(const String& other) noexcept {
    assign_words(other.word(0), other.word(1));
    return *this;
  }
  String& operator=(std::string_view text) { return *this = String(text); }
  String& operator=(const char* text) { return *this = String(std::string_view(text)); }
  ~String() = default;

  // The same as *this = String(text), for text behind which 16 bytes can be read (JSON bodies): short
  // text is masked out of two words instead of being copied by parts.
  void assign_padded(std::string_view text) {
    if (text.size() > kInlineBytes)
      return assign_long(copy_text(text, place_for(this)), text.size());
    std::uint64_t low;
    std::uint64_t high;
    std::memcpy(&low, text.data(), 8);
    std::memcpy(&high, text.data() + 8, 8);
    const std::size_t bits = text.size() * 8;
    // Shifts of 64 and more mean nothing to the processor, so each is kept below.
    high = bits > 64 ? high & ((std::uint64_t{1} << (bits & 63)) - 1) : 0;
    low = bits >= 64 ? low : low & ((std::uint64_t{1} << (bits & 63)) - 1);
    assign_words(bits == 0 ? 0 : low << 8 | (text.size() << 1 | 1), high << 8 | low >> 56);
  }

  // Refers to text that is never freed, without a copy.
  template <std::size_t N>
  static String literal(const char (&text)[N]) noexcept {
    String result;
    if (N - 1 <= kInlineBytes) {
      result.assign_inline(text, N - 1);
    } else if ((reinterpret_cast<std::uintptr_t>(text) & 1) == 0) {
      result.assign_long(text, N - 1);
    } else {
      return String(std::string_view(text, N - 1));
    }
    return result;
  }
  // Text that the caller has just written into managed memory from allocate_noscan and gives up.
  // Short text is copied inline.
  static String adopt(const char* text, std::size_t bytes) noexcept {
    String result;
    if (bytes <= kInlineBytes) {
      result.assign_inline(text, bytes);
    } else {
      result.assign_long(text, bytes);
    }
    return result;
  }

  std::size_t size() const noexcept {
    const std::uintptr_t first = word(0);
    return (first & 1) != 0 ? (first & 0xff) >> 1 : word(1);
  }
  bool empty() const noexcept { return size() == 0; }
  // Valid as long as this String stays where it is (inline text lies in it).
  const char* data() const noexcept {
    const std::uintptr_t first = word(0);
    return (first & 1) != 0 ? reinterpret_cast<const char*>(words_) + 1
                            : reinterpret_cast<const char*>(first);
  }
  std::string_view view() const noexcept {
    const std::uintptr_t first = word(0);
    if ((first & 1) != 0) {
      return {reinterpret_cast<const char*>(words_) + 1, (first & 0xff) >> 1};
    }
    return {reinterpret_cast<const char*>(first), word(1)};
  }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::string_view() const noexcept { return view(); }

  friend bool operator==(const String& a, const String& b) noexcept { return a.view() == b.view(); }
  friend bool operator==(const String& a, std::string_view b) noexcept { return a.view() == b; }
  friend bool operator==(const String& a, const char* b) noexcept { return a.view() == b; }
  friend auto operator<=>(const String& a, const String& b) noexcept {
    return a.view() <=> b.view();
  }

 private:
  std::uintptr_t word(int index) const noexcept {
    return std::atomic_ref<std::uintptr_t>(words_[index]).load(std::memory_order_relaxed);
  }
  // The length first: a marker that sees the new pointer needs nothing of word 1, and a String is not
  // shared for writing.
  void assign_words(std::uintptr_t first, std::uintptr_t second) noexcept {
    std::atomic_ref<std::uintptr_t>(words_[1]).store(second, std::memory_order_relaxed);
    store(reinterpret_cast<char**>(&words_[0]), reinterpret_cast<char*>(first));
  }
  void assign_inline(const char* text, std::size_t bytes) noexcept {
    char image[16] = {};
    image[0] = static_cast<char>(bytes << 1 | 1);
    internal::copy_bytes(image + 1, text, bytes);
    std::uintptr_t words[2];
    std::memcpy(words, image, sizeof(words));
    assign_words(bytes == 0 ? 0 : words[0], words[1]);
  }
  void assign_long(const char* text, std::size_t bytes) noexcept {
    assign_words(reinterpret_cast<std::uintptr_t>(text), bytes);
  }
  static const char* copy_text(std::string_view text, Place place) {
    TAILRACE_CHECK_VALUE(text.size() <= kMaxBytes, "a String holds less than 4 GiB", text.size());
    // One byte more: a past-the-end pointer must lie within the object.
    char* copy = static_cast<char*>(allocate_noscan(text.size() + 1, place));
    std::memcpy(copy, text.data(), text.size());
    return copy;
  }

  [[no_unique_address]] internal::HandlePlace<String> place_;
  alignas(8) mutable std::uintptr_t words_[2];
};
static_assert(sizeof(String) == 16 && !std::is_trivially_copyable_v<String> &&
              std::is_trivially_destructible_v<String>);

template <>
struct Trace<String> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add(offset); }
};

// Builds a String piece by piece in a managed buffer; nothing is copied when it is finished, except
// text of up to 15 bytes.
class StringBuilder {
 public:
  explicit StringBuilder(std::size_t reserve_bytes = 0) {
    if (reserve_bytes > 0) grow(reserve_bytes);
  }
  void append(std::string_view text) {
    if (text.size() > capacity_ - size_) grow(size_ + text.size());
    internal::copy_bytes(buffer_ + size_, text.data(), text.size());
    size_ += text.size();
  }
  void append(char c) { append(std::string_view(&c, 1)); }
  // In decimal.
  void append(std::int64_t number);
  std::string_view view() const noexcept { return {buffer_, size_}; }
  // The text so far; the builder is empty afterwards.
  String finish() {
    String result = size_ == 0 ? String() : String::adopt(buffer_, size_);
    buffer_ = nullptr;
    size_ = capacity_ = 0;
    return result;
  }

 private:
  void grow(std::size_t at_least_bytes);

  char* buffer_ = nullptr;  // lives on stacks only: a raw pointer is seen there
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Joins pieces with one allocation, or none if the result is at most 15 bytes.
template <typename... Pieces>
String concat(const Pieces&... pieces) {
  const std::size_t bytes = (std::string_view(pieces).size() + ... + 0);
  if (bytes <= String::kInlineBytes) {
    char text[String::kInlineBytes];
    char* at = text;
    const auto put = [&at](std::string_view piece) {
      internal::copy_bytes(at, piece.data(), piece.size());
      at += piece.size();
    };
    (put(std::string_view(pieces)), ...);
    return String(std::string_view(text, bytes));
  }
  StringBuilder builder(bytes);
  (builder.append(std::string_view(pieces)), ...);
  return builder.finish();
}

}  // namespace tailrace::gc

template <>
struct std::hash<tailrace::gc::String> {
  std::size_t operator()(const tailrace::gc::String& text) const noexcept {
    return std::hash<std::string_view>()(text.view());
  }
};
