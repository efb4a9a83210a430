// Timestamps as one line of comma separated values.
//
// bad: makes a text of each number and appends the text. (A gc::String keeps up to 15 bytes in
// itself, so small numbers cost no object; a timestamp in nanoseconds has 19 digits.)
// good: writes the digits where they belong.
#pragma once

#include <cstdint>
#include <span>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

namespace bad {
gc::String to_csv(std::span<const std::int64_t> unix_ns);
}
namespace good {
gc::String to_csv(std::span<const std::int64_t> unix_ns);
}

}  // namespace tailrace::patterns
