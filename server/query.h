// Percent-decoding, and the query string as a bounded table of decoded pairs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/buffer.h"
#include "server/limits.h"

namespace tailrace::http {

// Appends the decoded text. False for an escape that is no two hex digits, or that makes a NUL.
bool percent_decode(std::string_view text, bool plus_is_space, Buffer& out);

// Parsed at the first look and only then. Views point into the query itself, or into `decoded` if
// anything in it was escaped.
class Query {
 public:
  enum class Result { kOk, kBadEscape, kTooManyPairs };

  // Before the first parse().
  void set_text(std::string_view text) noexcept { text_ = text; }

  Result parse();
  // The first value of that name; parse() has said kOk.
  std::optional<std::string_view> find(std::string_view name) const noexcept;

 private:
  struct Pair {
    std::uint16_t name_offset, name_bytes, value_offset, value_bytes;
  };

  bool add(std::string_view name, std::string_view value);

  std::string_view text_;
  Buffer decoded_{BufferUse::kConnection};
  const char* base_ = nullptr;
  bool parsed_ = false;
  Result result_ = Result::kOk;
  std::uint16_t count_ = 0;
  Pair pairs_[kMaxQueryPairs];  // not cleared; count_ of them
};

}  // namespace tailrace::http
