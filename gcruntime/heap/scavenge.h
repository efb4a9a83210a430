// How much free memory is kept for the next cycle's growth, and how fast the rest goes back to the OS. Pure
// functions of what they are told; who does it is gc/scavenger.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tailrace::heap {

// What the heap may keep resident: the goal and a tenth, which is what set_roomy_bytes lets spans take
// before memory counts as tight. Less, and each cycle would fault in what was given back after the last.
constexpr std::uint64_t retained_bytes(std::uint64_t goal_bytes) noexcept {
  const std::uint64_t more = goal_bytes / 10;
  return goal_bytes > std::numeric_limits<std::uint64_t>::max() - more
             ? std::numeric_limits<std::uint64_t>::max()
             : goal_bytes + more;
}

// Of the free memory: what is missing to that; and a 32nd of what is in use in any case. Free runs amount to
// that where every huge page is in use but for 64 KiB, and those are not worth the huge page.
constexpr std::uint64_t idle_bytes_to_keep(std::uint64_t inuse_bytes,
                                           std::uint64_t goal_bytes) noexcept {
  const std::uint64_t retained = retained_bytes(goal_bytes);
  return std::max(retained > inuse_bytes ? retained - inuse_bytes : 0, inuse_bytes / 32);
}

// The highest goal of the last one to two seconds. Goals go up and down from cycle to cycle by what happens
// to be alive; what is given back between two of them is faulted in again by the service.
class RecentGoal {
 public:
  static constexpr std::int64_t kHalfNs = 1'000'000'000;

  void note(std::int64_t now_ns, std::uint64_t goal_bytes) noexcept {
    turn(now_ns);
    now_ = std::max(now_, goal_bytes);
    newest_ = goal_bytes;
  }
  std::uint64_t bytes(std::int64_t now_ns) noexcept {
    turn(now_ns);
    return std::max({before_, now_, newest_});
  }

 private:
  void turn(std::int64_t now_ns) noexcept {
    if (now_ns - begun_ns_ < kHalfNs) return;
    before_ = now_ns - begun_ns_ < 2 * kHalfNs ? now_ : 0;
    now_ = 0;
    begun_ns_ = now_ns;
  }
  std::uint64_t before_ = 0;
  std::uint64_t now_ = 0;
  std::uint64_t newest_ = 0;
  std::int64_t begun_ns_ = 0;
};

// A hundredth of one processor. CPU time is granted as time passes, at most a slice in advance; who has used
// up the grant sleeps until a whole slice has come together, so that it wakes ten times a second at most. In
// any time t that is t/100, a slice, and what one piece of work overran it by.
class ScavengePace {
 public:
  static constexpr std::int64_t kSliceNs = 1'000'000;
  static constexpr std::int64_t kShare = 100;

  explicit ScavengePace(std::int64_t now_ns) noexcept : last_ns_(now_ns) {}

  // `cpu_ns` were used since the last call: how long to sleep before more is done; 0: not yet.
  std::int64_t pause_ns(std::int64_t now_ns, std::int64_t cpu_ns) noexcept {
    const std::int64_t passed = std::max<std::int64_t>(now_ns - last_ns_, 0);
    last_ns_ = now_ns;
    grant_ns_ = std::min(grant_ns_ + passed / kShare, kSliceNs) - std::max<std::int64_t>(cpu_ns, 0);
    return grant_ns_ > 0 ? 0 : (kSliceNs - grant_ns_) * kShare;
  }

 private:
  std::int64_t last_ns_;
  std::int64_t grant_ns_ = kSliceNs;
};

}  // namespace tailrace::heap
