// For tests that choose at random: the seed, so that a failure can be run again. Print it on failure, by
// SCOPED_TRACE for instance.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace tailrace::base {

// TAILRACE_SEED, or else `otherwise`.
inline std::uint64_t test_seed(std::uint64_t otherwise = 1) {
  const char* text = std::getenv("TAILRACE_SEED");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace tailrace::base
