#include "gcruntime/gc/holds.h"

#include <sys/resource.h>

#include <atomic>
#include <cerrno>

#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

// Atomic operations here are relaxed: each word stands for itself, and a reading is rough anyway.
constexpr auto kRelaxed = std::memory_order_relaxed;

struct Kind {
  std::atomic<std::uint64_t> counts[HoldCounts::kBuckets];
  std::atomic<std::uint64_t> total_ns;
  std::atomic<std::int64_t> max_ns;
};
struct alignas(64) Shard {
  Kind kinds[kHoldKinds];
};

// Eight, as many threads are seldom held in one moment; 90 KiB, of which untouched pages cost nothing.
constexpr std::size_t kShards = 8;
constinit Shard shards[kShards];
constinit Shard preempted;

alignas(64) constinit std::atomic<std::int64_t> longest_of_cycle{0};
constinit std::atomic<std::int64_t> longest_of_part{0};
constinit std::atomic<bool> preemption_measured{false};

// By the thread's control block. Any shard is right, the thread's own is only faster.
Shard& shard_here() noexcept {
  std::uintptr_t thread;
  asm volatile("movq %%fs:0, %0" : "=r"(thread));
  return shards[(thread >> 6) * 0x9E3779B97F4A7C15u >> 61];
}
static_assert(kShards == 1u << (64 - 61));

void raise(std::atomic<std::int64_t>& longest, std::int64_t ns) noexcept {
  std::int64_t known = longest.load(kRelaxed);
  while (ns > known && !longest.compare_exchange_weak(known, ns, kRelaxed)) {
  }
}

void note(Shard& shard, HoldKind kind, std::int64_t ns) noexcept {
  if (ns < 0) ns = 0;
  Kind& into = shard.kinds[static_cast<std::size_t>(kind)];
  into.counts[HoldCounts::bucket_of(ns)].fetch_add(1, kRelaxed);
  into.total_ns.fetch_add(static_cast<std::uint64_t>(ns), kRelaxed);
  raise(into.max_ns, ns);
  if (kind == HoldKind::kHandshake || kind == HoldKind::kClaim) {
    raise(longest_of_cycle, ns);
    raise(longest_of_part, ns);
  }
}

void add(HoldCounts& sum, const Shard& shard, HoldKind kind) noexcept {
  const Kind& from = shard.kinds[static_cast<std::size_t>(kind)];
  for (std::size_t i = 0; i < HoldCounts::kBuckets; ++i) {
    sum.counts[i] += from.counts[i].load(kRelaxed);
  }
  sum.total_ns += from.total_ns.load(kRelaxed);
  const std::int64_t max_ns = from.max_ns.load(kRelaxed);
  if (max_ns > sum.max_ns) sum.max_ns = max_ns;
}

std::int64_t preemptions() noexcept {
  const int saved = errno;
  rusage usage;
  const bool known = ::getrusage(RUSAGE_THREAD, &usage) == 0;
  errno = saved;
  return known ? usage.ru_nivcsw : -1;
}

}  // namespace

std::uint64_t HoldCounts::count() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : counts) sum += each;
  return sum;
}

std::uint64_t HoldCounts::count_up_to(std::int64_t ns) const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBuckets && bound_ns(i) <= ns; ++i) sum += counts[i];
  return sum;
}

std::int64_t HoldCounts::quantile(double q) const noexcept {
  const std::uint64_t all = count();
  if (all == 0) return 0;
  const double wanted = q * static_cast<double>(all);
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    passed += counts[i];
    if (counts[i] == 0 || static_cast<double>(passed) < wanted) continue;
    const std::int64_t low = i == 0 ? 0 : bound_ns(i - 1);
    const std::int64_t high = bound_ns(i) < max_ns ? bound_ns(i) : max_ns;
    return low < high ? low + (high - low) / 2 : high;
  }
  return max_ns;
}

HoldCounts& HoldCounts::operator+=(const HoldCounts& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) counts[i] += other.counts[i];
  total_ns += other.total_ns;
  if (other.max_ns > max_ns) max_ns = other.max_ns;
  return *this;
}

void note_hold(HoldKind kind, std::int64_t ns) noexcept { note(shard_here(), kind, ns); }
void note_preempted_hold(HoldKind kind, std::int64_t ns) noexcept { note(preempted, kind, ns); }

HoldCounts read_holds(HoldKind kind) noexcept {
  HoldCounts sum;
  for (const Shard& shard : shards) add(sum, shard, kind);
  return sum;
}
HoldCounts read_preempted_holds(HoldKind kind) noexcept {
  HoldCounts sum;
  add(sum, preempted, kind);
  return sum;
}

std::int64_t longest_hold_ns() noexcept { return longest_of_cycle.load(kRelaxed); }
std::int64_t begin_cycle_holds() noexcept { return longest_of_cycle.exchange(0, kRelaxed); }
std::int64_t take_longest_hold_ns() noexcept { return longest_of_part.exchange(0, kRelaxed); }

void set_preemption_measured(bool measured) noexcept {
  preemption_measured.store(measured, kRelaxed);
}

HoldTimer::HoldTimer(HoldKind kind) noexcept
    : begin_ns_(0),
      preemptions_(preemption_measured.load(kRelaxed) ? preemptions() : -1),
      kind_(kind) {
  begin_ns_ = os::now_ns();  // the system call before is no part of it
}

HoldTimer::~HoldTimer() {
  const std::int64_t ns = os::now_ns() - begin_ns_;
  if (preemptions_ >= 0 && preemptions() != preemptions_) {
    note_preempted_hold(kind_, ns);
  } else {
    note_hold(kind_, ns);
  }
}

}  // namespace tailrace::gc
