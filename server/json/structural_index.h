// StructuralIndex: where the tokens of a JSON text begin, found by simdjson's first stage, which
// also validates UTF-8, unclosed strings and control characters in strings at about 2 GB/s.
//
// What it holds: the offsets of { } [ ] : , of each opening quote and of the first byte of any
// other run, in order. Between the end of a token and the next offset lies nothing but white space,
// with one exception that readers must check: a run that is no string goes on to the next white
// space, bracket, brace, comma or colon (`1"a"` is one token).
//
// The memory is leased from a pool of the calling OS thread and given back to that of the thread
// that destroys the index; the owner may suspend in between. The only file that knows simdjson is
// the .cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tailrace::json::internal {

class StructuralIndex {
 public:
  enum class Status {
    kOk,
    kEmpty,
    kUtf8,
    kUnclosedString,
    kControlCharacter,
    kTooLarge,
    kNoMemory
  };

  static constexpr std::size_t kMaxBytes = std::size_t{1} << 30;
  static constexpr std::size_t kMaxKeptBytes = std::size_t{1}
                                               << 20;  // of text; the index is 4x that

  explicit StructuralIndex(std::string_view text) noexcept;
  ~StructuralIndex();
  StructuralIndex(const StructuralIndex&) = delete;
  StructuralIndex& operator=(const StructuralIndex&) = delete;

  Status status() const noexcept { return status_; }
  // offsets()[count()] is the length of the text.
  const std::uint32_t* offsets() const noexcept { return offsets_; }
  std::size_t count() const noexcept { return count_; }

  struct Parser;

 private:
  Parser* parser_ = nullptr;
  const std::uint32_t* offsets_ = nullptr;
  std::size_t count_ = 0;
  Status status_ = Status::kEmpty;
};

}  // namespace tailrace::json::internal
