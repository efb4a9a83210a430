// The one clock of a run: CLOCK_MONOTONIC in nanoseconds, tens of nanoseconds a read.
#pragma once

#include <chrono>
#include <cstdint>

namespace tailrace::loadtest {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;
inline constexpr std::int64_t kMillisecondNs = 1'000'000;

inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace tailrace::loadtest
