#include "gcruntime/gc/pacer.h"

#include <algorithm>
#include <limits>

#include "gcruntime/gc/mark_rate.h"

namespace tailrace::gc {
namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t kSmallestHeapBytes = 4 * kMebibyte;  // at a percent of 100
constexpr std::uint64_t kLeastHeadroomBytes = kMebibyte;
constexpr std::uint64_t kHeadroomPercent = 3;
// What is allocated in the milliseconds that a small cycle takes for its handshakes.
constexpr std::uint64_t kLeastOvershootBytes = 8 * kMebibyte;
constexpr double kEarliest = 0.70;
constexpr double kLatest = 0.95;
constexpr double kMostOvershoot = 1.1;
constexpr auto kLeastWork = static_cast<double>(kLeastWorkBytes);
constexpr double kMostBytes = 9e18;  // what a double may be and still be turned into bytes

std::uint64_t bytes_of(double bytes) noexcept {
  return bytes <= 0 ? 0 : static_cast<std::uint64_t>(std::min(bytes, kMostBytes));
}

double part(std::uint64_t bytes, int percent) noexcept {
  return static_cast<double>(bytes) * percent / 100;
}

std::uint64_t room_bytes(const Survivors& left, int percent) noexcept {
  return bytes_of(part(left.found_bytes + left.stack_bytes + left.root_bytes, percent));
}

}  // namespace

std::uint64_t percent_goal(const Survivors& left, int percent) noexcept {
  if (percent < 0) return UINT64_MAX;
  const std::uint64_t room = room_bytes(left, percent);
  const std::uint64_t most = left.found_bytes + room + room / 4;
  return std::max({std::min(left.live_bytes + room, most), left.live_bytes + room / 4,
                   bytes_of(part(kSmallestHeapBytes, percent))});
}

std::uint64_t heap_backstop(const Survivors& left, int percent, std::uint64_t goal_bytes) noexcept {
  if (goal_bytes == UINT64_MAX) return UINT64_MAX;
  std::uint64_t most = goal_bytes + goal_bytes / 10;
  if (percent >= 0) {
    const std::uint64_t room = room_bytes(left, percent);
    const std::uint64_t over = room / 5 * 2;
    most = std::min(left.found_bytes + room + over, goal_bytes + over);
  }
  return std::max(goal_bytes, most) + kLeastOvershootBytes;
}

std::uint64_t limit_goal(const Survivors& left, const PacerSettings& settings,
                         std::uint64_t non_heap_bytes) noexcept {
  if (settings.memory_limit_bytes == UINT64_MAX) return UINT64_MAX;
  std::uint64_t goal =
      settings.memory_limit_bytes - std::min(settings.memory_limit_bytes, non_heap_bytes);
  // The goal is passed now and then, and what is not heap grows: the limit is not for use to the last byte.
  const std::uint64_t headroom = std::max(goal / 100 * kHeadroomPercent, kLeastHeadroomBytes);
  goal -= std::min(goal, headroom);
  // An off percent has no minimum that it could be pushed below.
  const int least = settings.percent < 0 ? settings.min_percent
                                         : std::min(settings.min_percent, settings.percent);
  return std::max(goal, left.live_bytes + bytes_of(part(left.found_bytes, std::max(least, 0))));
}

std::uint64_t heap_goal(const Survivors& left, const PacerSettings& settings,
                        std::uint64_t non_heap_bytes) noexcept {
  return std::min(percent_goal(left, settings.percent), limit_goal(left, settings, non_heap_bytes));
}

// A cycle that took less than its share was slow for other reasons (handshakes, rounds, a busy machine),
// and the next one will be no faster: it counts as one that took all of it.
void ConsMark::note(const MarkingFacts& facts, double share) noexcept {
  if (facts.work_bytes == 0) return;
  const double used = std::clamp(facts.utilisation, share, 0.99);
  last_[next_] = static_cast<double>(facts.allocated_bytes) * used /
                 (static_cast<double>(facts.work_bytes) * (1 - used));
  next_ = (next_ + 1) % kCycles;
}

double ConsMark::value() const noexcept { return *std::max_element(last_.begin(), last_.end()); }

std::uint64_t runway_bytes(double cons_mark, std::uint64_t work_bytes, double share) noexcept {
  return bytes_of(cons_mark * (1 - share) / share * static_cast<double>(work_bytes));
}

std::uint64_t heap_trigger(std::uint64_t live_bytes, std::uint64_t goal_bytes,
                           std::uint64_t runway) noexcept {
  if (goal_bytes == UINT64_MAX) return UINT64_MAX;
  if (live_bytes >= goal_bytes) return goal_bytes;
  const auto way = static_cast<double>(goal_bytes - live_bytes);
  const std::uint64_t earliest = live_bytes + bytes_of(way * kEarliest);
  std::uint64_t latest = live_bytes + bytes_of(way * kLatest);
  // Five percent of a large heap is more than a cycle needs that allocates little.
  if (goal_bytes > kSmallestHeapBytes) latest = std::max(latest, goal_bytes - kSmallestHeapBytes);
  return std::clamp(goal_bytes - std::min(runway, goal_bytes), earliest,
                    std::max(latest, earliest));
}

double assist_ratio(const CyclePlan& plan, std::uint64_t heap_bytes,
                    std::uint64_t done_bytes) noexcept {
  if (plan.goal_bytes == UINT64_MAX) return 0;
  const auto begin = static_cast<double>(plan.begin_bytes);
  const auto heap = static_cast<double>(heap_bytes);
  const auto done = static_cast<double>(done_bytes);
  const auto most_work = static_cast<double>(std::max(plan.most_work_bytes, plan.expected_bytes));
  auto goal = static_cast<double>(plan.goal_bytes);
  double work = static_cast<double>(plan.expected_bytes);
  if (done > work) {
    // The live heap has grown: the same pace to a goal that is further away, as the heap will have earned
    // more room than was known, but no further than if all of the goal were alive.
    const double stretched =
        begin + std::max(goal - begin, 0.0) / std::max(work, kLeastWork) * most_work;
    const double hardest = std::min(goal * (1 + std::max(plan.percent, 0) / 100.0),
                                    static_cast<double>(plan.limit_goal_bytes));
    goal = std::max(goal, std::min(stretched, hardest));
    work = most_work;
  }
  if (heap > goal) {
    goal *= kMostOvershoot;
    work = most_work;
  }
  return std::max(work - done, kLeastWork) / std::max(goal - heap, 1.0);
}

std::int64_t assist_allowance_ns(const AllocCounts& own) noexcept {
  constexpr double kFirstNs = 1e6;
  constexpr double kNsPerByte = 250e3 / static_cast<double>(kMebibyte);
  const double allowed = kFirstNs + kNsPerByte * static_cast<double>(all_bytes(own));
  return static_cast<std::int64_t>(std::max(allowed - static_cast<double>(own.assist_ns), 0.0));
}

double sustainable_alloc_rate(const Survivors& left, std::uint64_t goal_bytes,
                              const MarkRate& rate) noexcept {
  if (goal_bytes == UINT64_MAX) return std::numeric_limits<double>::infinity();
  if (goal_bytes <= left.live_bytes || rate.bytes_per_core_second <= 0) return 0;
  const double work = std::max(static_cast<double>(left.work_bytes()), kLeastWork);
  const double seconds = work / (rate.bytes_per_core_second * rate.procs * rate.share);
  return static_cast<double>(goal_bytes - left.live_bytes) / seconds;
}

}  // namespace tailrace::gc
