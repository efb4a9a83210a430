#include "gcruntime/gc/cpu_limiter.h"

#include <algorithm>

namespace tailrace::gc {

void CpuLimiter::configure(unsigned procs, double share) noexcept {
  capacity_ns_ = static_cast<double>(kBucketNsPerProc) * std::max(procs, 1u);
  share_ = std::max(share, 0.0);
  fill_ns_ = std::min(fill_ns_, capacity_ns_ * (1 + kOverBrim));
  if (share_ >= 1 || fill_ns_ < capacity_ns_) on_ = false;
}

void CpuLimiter::add(std::int64_t gc_ns, std::int64_t program_ns) noexcept {
  if (share_ >= 1) return;
  const auto gc = static_cast<double>(std::max<std::int64_t>(gc_ns, 0));
  const auto program = static_cast<double>(std::max<std::int64_t>(program_ns, 0));
  // With a half: what collection took less what the program took.
  fill_ns_ = std::clamp(fill_ns_ + 2 * (gc * (1 - share_) - program * share_), 0.0,
                        capacity_ns_ * (1 + kOverBrim));
  const bool full = fill_ns_ >= capacity_ns_;
  if (full && !on_) ++times_on_;
  on_ = full;
}

}  // namespace tailrace::gc
