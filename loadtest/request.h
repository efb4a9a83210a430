// A request from the moment it is taken up until it has ended.
#pragma once

#include <cstdint>

#include "loadtest/clock.h"

namespace tailrace::loadtest {

// Which request and when, on the steady clock.
struct Due {
  std::int64_t due_ns = 0;
  std::uint64_t draw = 0;
  std::uint64_t number = 0;
  std::uint32_t route = 0;
  std::uint32_t step = 0;
};

struct Request {
  Due due;
  std::int64_t second = 0;  // in which it was due; negative in the warm-up
  std::int64_t taken_up_ns = 0;
  std::int64_t written_ns = 0;  // when its first byte was handed to the kernel; 0: not yet
  std::uint32_t line = 0;       // its connection's index, once it is written
  // Of all in flight, in the order of their due times.
  Request* before = nullptr;
  Request* after = nullptr;
};

// Floor: due times before `origin_ns` have negative seconds.
inline std::int64_t second_of(std::int64_t time_ns, std::int64_t origin_ns) noexcept {
  const std::int64_t since = time_ns - origin_ns;
  return since >= 0 ? since / kSecondNs : -((-since + kSecondNs - 1) / kSecondNs);
}

}  // namespace tailrace::loadtest
