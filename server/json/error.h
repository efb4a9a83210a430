// What the decoder and minify say when they refuse a text, and the bounds they work within.
#pragma once

#include <cstddef>
#include <string>

namespace tailrace::json {

struct Limits {
  std::size_t max_bytes = std::size_t{64} << 20;  // of the text: 413
  // Of arrays and objects; at most 1024. Decoding a recursive type recurses and also stops, with
  // the same error, before the stack it runs on is used up: a fiber's default stack holds 1024
  // levels.
  std::size_t max_depth = 1024;
  std::size_t max_elements = 1'000'000;  // of each decoded array and map: 422
};

struct Error {
  int status = 0;  // 400 malformed or of the wrong shape, 413 too large, 422 refused by a rule
  std::size_t offset = 0;  // in bytes, of the offending token
  std::string path;        // of the member, as in "/3/tags/1"; empty for the whole document
  std::string message;     // "expected a string"

  // "/3/tags/1 at byte 57: expected a string"
  std::string text() const {
    std::string result = path;
    if (!result.empty()) result += ' ';
    return result + "at byte " + std::to_string(offset) + ": " + message;
  }
};

}  // namespace tailrace::json
