// A cache key out of its parts, "tenant:users:7:page:2".
//
// bad: grows the key by concatenation, so every part copies all that stands before it into a new
// object.
// good: adds up the sizes and writes the parts into one builder.
#pragma once

#include <span>
#include <string_view>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

namespace bad {
gc::String cache_key(std::span<const std::string_view> parts);
}
namespace good {
gc::String cache_key(std::span<const std::string_view> parts);
}

}  // namespace tailrace::patterns
