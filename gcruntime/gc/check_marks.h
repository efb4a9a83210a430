// gccheckmark=1: marks once more, by other means, and compares. With the world stopped, all marked and the
// phase still on; the marks themselves are only read.
//
// Whatever is reached from a root, from a stack that has not run since it was scanned, or from another
// object must be marked, or the program stops and names the object, and the parent and member that lead to
// it. A word of a stack that ran since may be stale (a hole of a frame, a register that was spilled long
// ago): an unmarked object that only such a word leads to is a suspect. It is counted and goes no further.
//
// Its bits and its stack are address space of their own, backed where they are used: neither malloc nor
// stdio. No prefetch, so it is slower than marking. The collector's thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::gc {

struct MarkCheck {
  std::uint64_t objects = 0;      // reached, by any way
  std::uint64_t suspects = 0;     // unmarked, and known to words of stacks that ran only
  std::uint64_t stack_words = 0;  // looked at
};
// all_scanned: no stack has run since it was scanned (the world has been stopped all along).
MarkCheck check_marks(bool all_scanned) noexcept;

// Of all checks so far. Any thread.
struct MarkChecks {
  std::uint64_t checks = 0;
  std::uint64_t objects = 0;
  std::uint64_t suspects = 0;
  std::uint64_t checks_with_suspects = 0;
  std::uint64_t total_ns = 0;
};
MarkChecks read_mark_checks() noexcept;

}  // namespace tailrace::gc
