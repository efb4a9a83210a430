// A request's head as the gate has accepted it: plain records of offsets into the connection's
// buffer.
//
// Offsets and not views, so that the buffer may move while a body is read: only `base` is set anew.
// The field table is not cleared between requests; `fields` says how much of it counts.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "server/ascii.h"
#include "server/limits.h"
#include "server/method.h"

namespace tailrace::http {

// Trivial, so that a table of them is not cleared.
struct Slice {
  std::uint16_t offset;
  std::uint16_t bytes;
};

struct Field {
  Slice name;
  Slice value;
};

struct Head {
  static constexpr std::uint16_t kNoField = UINT16_MAX;

  Head() noexcept {}  // NOLINT: nothing is set before the gate's clear()
  // Everything but the table.
  void clear() noexcept {
    content_length = 0;
    fields = 0;
    content_type = kNoField;
    request_id = kNoField;
    method = Method::kOther;
    minor_version = 1;
    has_content_length = chunked = expect_continue = keep_alive = asterisk = false;
    target = path = query = host = Slice{0, 0};
  }

  std::string_view view(Slice slice) const noexcept { return {base + slice.offset, slice.bytes}; }
  // Empty if there is none; the first if there are several.
  std::string_view field(std::string_view name) const noexcept {
    for (unsigned i = 0; i < fields; ++i) {
      if (equal_ignoring_case(view(table[i].name), name)) return view(table[i].value);
    }
    return {};
  }
  std::string_view field_at(std::uint16_t index) const noexcept {
    return index == kNoField ? std::string_view() : view(table[index].value);
  }

  const char* base;
  std::uint64_t content_length;
  std::uint16_t fields;
  std::uint16_t content_type;  // indexes into the table
  std::uint16_t request_id;
  Method method;
  std::uint8_t minor_version;  // of HTTP/1
  bool has_content_length;
  bool chunked;
  bool expect_continue;
  bool keep_alive;
  bool asterisk;  // OPTIONS *
  Slice target;   // origin form, path and query
  Slice path;
  Slice query;  // without the question mark
  Slice host;   // of the target's URI if it had one, else of the Host field
  Field table[kMaxFields];
};
static_assert(std::is_trivially_default_constructible_v<Field>);

}  // namespace tailrace::http
