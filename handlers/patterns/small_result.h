// The byte range that a request asks for, "bytes=0-499".
//
// bad: returns a pointer to a new object, so that null can mean "none".
// good: returns the value; 24 bytes travel on the stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
BOOST_DESCRIBE_STRUCT(ByteRange, (), (first, last))

namespace bad {
ByteRange* parse_range(std::string_view text);
}
namespace good {
std::optional<ByteRange> parse_range(std::string_view text);
}

}  // namespace tailrace::patterns
