// How a select chooses, waits, and leaves the lines that it stood in: [sync.select] in
// channel_core.h.
#include <algorithm>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/worker.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/channel_core.h"

namespace tailrace::fiber::internal {
namespace {

// Of the calling thread, which is a worker's or blocks as itself. Not inlined, so that nobody keeps
// the thread-local's address over a switch [fiber.tls].
TAILRACE_NOINLINE std::uint64_t random_bits() noexcept {
  static thread_local std::uint64_t state = 0;
  if (state == 0) {
    const auto now_ns = static_cast<std::uint64_t>(os::now_ns());
    state = (reinterpret_cast<std::uintptr_t>(&state) ^ now_ns) | 1;
  }
  state ^= state >> 12;  // xorshift64*
  state ^= state << 25;
  state ^= state >> 27;
  return (state * 0x2545F4914F6CDD1Du) >> 32;
}

// The channels of a select, each once, by address.
class LockSet {
 public:
  LockSet(const Case* cases, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      if (cases[i].channel != nullptr) insert(cases[i].channel);
    }
  }
  LockSet(const LockSet& other) noexcept : count_(other.count_) {
    std::copy_n(other.channels_, count_, channels_);
  }
  LockSet& operator=(const LockSet&) = delete;
  void lock() const noexcept {
    for (std::size_t i = 0; i < count_; ++i) channels_[i]->lock();
  }
  void unlock() const noexcept {
    for (std::size_t i = count_; i-- > 0;) channels_[i]->unlock();
  }
  // The same in torture tests' disorder: the select is published, and may be woken in between.
  void unlock_published() const noexcept {
    Worker* const worker = current_worker();
    for (std::size_t i = count_; i-- > 0;) {
      channels_[i]->unlock();
      if (worker != nullptr) worker->perturb().delay();
    }
  }

 private:
  void insert(ChannelCore* channel) noexcept {
    std::size_t at = count_;
    const auto address = reinterpret_cast<std::uintptr_t>(channel);
    while (at > 0 && reinterpret_cast<std::uintptr_t>(channels_[at - 1]) >= address) --at;
    if (at < count_ && channels_[at] == channel) return;
    for (std::size_t i = count_; i > at; --i) channels_[i] = channels_[i - 1];
    channels_[at] = channel;
    ++count_;
  }
  ChannelCore* channels_[kMaxCases];
  std::size_t count_ = 0;
};

struct Selecting {
  Case* cases;
  std::size_t count;
  std::int64_t now_ns;
  const LockSet* locks;
  std::size_t chosen;
  ClaimedWait wait;
  Case* winner = nullptr;
};

bool due(const Case& one, std::int64_t now_ns) noexcept { return one.deadline_ns <= now_ns; }
bool may_be_ready(const Case& one, std::int64_t now_ns) noexcept {
  return due(one, now_ns) || (one.channel != nullptr && one.channel->hint(one.side));
}

// With all locks held: does one that is ready, or returns `count`.
std::size_t attempt(const Selecting& select, ClaimedWait*& wake) noexcept {
  std::uint8_t ready[kMaxCases];
  std::size_t left = 0;
  for (std::size_t i = 0; i < select.count; ++i) {
    if (may_be_ready(select.cases[i], select.now_ns)) ready[left++] = static_cast<std::uint8_t>(i);
  }
  while (left > 0) {
    const std::size_t pick = left == 1 ? 0 : random_bits() % left;
    const std::size_t index = ready[pick];
    Case& one = select.cases[index];
    if (due(one, select.now_ns)) {
      one.status = ChannelStatus::kTimedOut;
      return index;
    }
    one.status = one.channel->try_locked(one.side, one.slot, wake);
    if (one.status != ChannelStatus::kWouldBlock) return index;
    // The hint was about waiters whom somebody else has claimed.
    ready[pick] = ready[--left];
  }
  return select.count;
}

// After the switch: tries again, then joins all lines.
bool commit(void* argument) {
  auto* select = static_cast<Selecting*>(argument);
  // A copy on this stack: nothing of the select's frame is read once it may be woken.
  const LockSet locks = *select->locks;
  ClaimedWait* wake = nullptr;
  locks.lock();
  select->chosen = attempt(*select, wake);
  const bool waits = select->chosen == select->count;
  for (std::size_t i = 0; waits && i < select->count; ++i) {
    if (select->cases[i].channel != nullptr) select->cases[i].channel->join_line(&select->cases[i]);
  }
  if (waits) {
    locks.unlock_published();
    return true;
  }
  locks.unlock();
  if (wake != nullptr) wake->wake();
  return false;
}

// The wait is over: leaves the lines of all cases but the winner's, which whoever claimed it took
// out. Every one of their locks is taken, even if the case has left already: commit may still be
// unlocking, and somebody who took the case out and lost the claim may still look at it.
void leave_lines(const Selecting& select) noexcept {
  for (std::size_t i = 0; i < select.count; ++i) {
    Case& one = select.cases[i];
    if (one.channel == nullptr || &one == select.winner) continue;
    one.channel->lock();
    one.channel->leave_line(&one);
    one.channel->unlock();
  }
}

std::size_t earliest(const Case* cases, std::size_t count) noexcept {
  std::size_t first = count;
  std::int64_t deadline_ns = ClaimedWait::kNever;
  for (std::size_t i = 0; i < count; ++i) {
    if (cases[i].deadline_ns >= deadline_ns) continue;
    deadline_ns = cases[i].deadline_ns;
    first = i;
  }
  return first;
}

std::size_t select_waiting(Selecting& select, std::size_t deadline_case) {
  for (std::size_t i = 0; i < select.count; ++i) {
    select.cases[i].wait = &select.wait;
    select.cases[i].winner = &select.winner;
  }
  const std::int64_t deadline_ns =
      deadline_case == select.count ? ClaimedWait::kNever : select.cases[deadline_case].deadline_ns;
  const bool claimed = select.wait.wait(WaitReason::kChannel, deadline_ns, commit, &select);
  if (select.chosen != select.count) return select.chosen;  // done by commit
  leave_lines(select);
  if (claimed) return static_cast<std::size_t>(select.winner - select.cases);
  select.cases[deadline_case].status = ChannelStatus::kTimedOut;
  return deadline_case;
}

}  // namespace

std::size_t select_cases(Case* cases, std::size_t count, bool has_default) {
  const std::size_t deadline_case = earliest(cases, count);
  const bool timed = deadline_case != count;
  const LockSet locks(cases, count);
  Selecting select{.cases = cases,
                   .count = count,
                   .now_ns = timed ? os::now_ns() : 0,
                   .locks = &locks,
                   .chosen = count,
                   .wait = {}};
  bool try_now = has_default;
  bool can_end = timed || has_default;
  for (std::size_t i = 0; i < count; ++i) {
    try_now = try_now || may_be_ready(cases[i], select.now_ns);
    can_end = can_end || cases[i].channel != nullptr;
  }
  TAILRACE_CHECK(can_end, "a select of which no case can ever be ready");
  if (try_now) {
    ClaimedWait* wake = nullptr;
    locks.lock();
    select.chosen = attempt(select, wake);
    locks.unlock();
    if (wake != nullptr) wake->wake();
    if (select.chosen != count || has_default) return select.chosen;
  }
  return select_waiting(select, deadline_case);
}

}  // namespace tailrace::fiber::internal
