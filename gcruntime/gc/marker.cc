#include "gcruntime/gc/marker.h"

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/gc/referents.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

constexpr std::int64_t kPatienceNs = 20'000;  // for other markers to give something away
// Entries that a marker has when it puts half of them where others may find them. Few: what a sweep leaves of
// a tree is an entry for each level, and each leads to as much as the sweep has done.
constexpr std::uint32_t kWorthGiving = 4;
constexpr std::int64_t kForEverNs = INT64_MAX;

}  // namespace

bool mark_object(const heap::ObjectPlace& place) noexcept {
  return internal::turn_bit(*place.mark_word, place.bit);
}

Marker::Marker(MarkQueue& queue) noexcept : queue_(queue) {
  // No header is all ones.
  std::memset(shapes_, 0xff, sizeof(shapes_));
}

// --- The stack of what is grey -----------------------------------------------------------------

void Marker::enter() noexcept {
  if (entered_) return;
  queue_.enter();
  entered_ = true;
}

// How many entries the top chunk takes; at least one.
std::uint32_t Marker::room() noexcept {
  if (chunk_ == nullptr) {
    chunk_ = queue_.take_empty();
  } else if (chunk_->count == queue_.capacity()) {
    if (spare_ != nullptr && spare_->count > 0) {
      queue_.give(spare_);
      spare_ = nullptr;
    }
    if (spare_ == nullptr) spare_ = queue_.take_empty();
    std::swap(chunk_, spare_);
  }
  return queue_.capacity() - chunk_->count;
}

void Marker::push(Grey grey) noexcept {
  room();
  chunk_->entries[chunk_->count++] = grey;
}

// A top chunk with entries, if this marker or the queue has one. False: counted out.
bool Marker::find_chunk() noexcept {
  if (chunk_ != nullptr && chunk_->count > 0) return true;
  if (spare_ != nullptr && spare_->count > 0) {
    std::swap(chunk_, spare_);
    return true;
  }
  MarkQueue::Chunk* taken = queue_.take_or_leave();
  if (taken == nullptr) {
    entered_ = false;
    return false;
  }
  if (chunk_ != nullptr) queue_.give_empty(chunk_);
  chunk_ = taken;
  return true;
}

// Half of what is here, for markers that have nothing. The lower half: what was found first leads to most.
void Marker::share() noexcept {
  if (spare_ != nullptr && spare_->count > 0) {
    stats_.given_away += spare_->count;
    queue_.give(spare_);
    spare_ = nullptr;
    return;
  }
  // For workers that may come by, of what is worth it; for one that waits, of anything.
  const std::uint32_t least = queue_.hungry() ? 2 : kWorthGiving;
  if (chunk_ == nullptr || chunk_->count < least) return;
  MarkQueue::Chunk* half = spare_ != nullptr ? spare_ : queue_.take_empty();
  spare_ = nullptr;
  half->count = chunk_->count / 2;
  chunk_->count -= half->count;
  std::copy_n(chunk_->entries, half->count, half->entries);
  std::copy_n(chunk_->entries + half->count, chunk_->count, chunk_->entries);
  stats_.given_away += half->count;
  queue_.give(half);
}

void Marker::stop() noexcept {
  flush_words();
  for (MarkQueue::Chunk** each : {&chunk_, &spare_}) {
    if (*each == nullptr) continue;
    if ((*each)->count > 0) {
      queue_.give(*each);
    } else {
      queue_.give_empty(*each);
    }
    *each = nullptr;
  }
  if (entered_) queue_.leave();
  entered_ = false;
}

// --- Shading -----------------------------------------------------------------------------------

// True: turned from white. The entry is the caller's to make.
bool Marker::set_mark(const heap::ObjectPlace& place) noexcept {
  if (!internal::turn_bit(*place.mark_word, place.bit)) return false;
  stats_.marked_bytes += place.slot_bytes;
  return true;
}

// True: an object with pointers turned grey.
bool Marker::mark_found(const heap::ObjectPlace& place) noexcept {
  if (!set_mark(place) || place.noscan) return false;
  enter();
  push({place.slot, 0});
  return true;
}

bool Marker::mark_conservatively(std::uintptr_t word) noexcept {
  bool turned = false;
  for_each_referent(word, [&](const heap::ObjectPlace& place) {
    ++stats_.conservative_hits;
    turned |= mark_found(place);
  });
  return turned;
}

void Marker::shade_conservatively(std::uintptr_t word) noexcept { mark_conservatively(word); }

TAILRACE_NO_SANITIZE std::size_t Marker::scan_stack(const void* low, const void* high) noexcept {
  const auto* word = static_cast<const volatile std::uintptr_t*>(low);
  const auto* end = static_cast<const volatile std::uintptr_t*>(high);
  std::size_t turned = 0;
  for (; word < end; ++word) turned += mark_conservatively(*word) ? 1 : 0;
  stats_.stack_words +=
      static_cast<std::uint64_t>(end - static_cast<const volatile std::uintptr_t*>(low));
  return turned;
}

void Marker::shade(void* object) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  if (!heap::contains(address)) return;
#if defined(TAILRACE_VERIFY)
  const heap::ObjectPlace place = heap::find_object(address);
  TAILRACE_CHECK_VALUE(place.slot == 0 || place.allocated(),
                       "a Root points to a free slot:", address);
#endif
  enter();
  if (word_count_ == kWords) flush_words();
  words_[word_count_++] = address;
}

// --- Runs --------------------------------------------------------------------------------------

// By a marker that is counted out. False: none was to be had for a while, or ever.
bool Marker::wait_for_chunk(std::int64_t give_up_ns) noexcept {
  queue_.begin_hunger();
  MarkQueue::Chunk* taken = nullptr;
  for (int i = 0;; ++i) {
    if (queue_.has_chunks() && (taken = queue_.take_and_enter()) != nullptr) break;
    if (queue_.drained()) break;
    if (i % 16 != 15) {
      __builtin_ia32_pause();
      continue;
    }
    if (os::now_ns() >= give_up_ns) break;
    if (i > 256) ::sched_yield();
  }
  queue_.end_hunger();
  if (taken == nullptr) return false;
  entered_ = true;
  if (chunk_ != nullptr) queue_.give_empty(chunk_);
  chunk_ = taken;
  return true;
}

bool Marker::run(std::int64_t deadline_ns) noexcept {
  // Not counted in without an entry: whoever looks would take the queue for busy.
  if (!entered_ && !wait_for_chunk(std::min(os::now_ns() + kPatienceNs, deadline_ns))) return true;
  for (;;) {
    enter();
    if (!mark_local(deadline_ns)) {
      stop();
      return false;
    }
    const std::int64_t now = os::now_ns();
    if (now >= deadline_ns || !wait_for_chunk(std::min(now + kPatienceNs, deadline_ns))) break;
  }
  stop();
  return true;
}

void Marker::drain() noexcept {
  do {
    enter();
    mark_local(kNoDeadline);
  } while (wait_for_chunk(kForEverNs));
  stop();
}

}  // namespace tailrace::gc
