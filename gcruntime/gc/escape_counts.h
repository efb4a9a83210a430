// What escapes from arenas, counted: by label at every arena's end, and by label, type and place of the store
// at every escape. Read by escape_report.h.
//
// Bounded tables that never shrink; what finds no room in them is counted as "others". Totals by label are
// divided by thread (base/shard.h), so that an arena's end writes no line that others write; escapes are rarer
// and dearer, and count into one table by atomic adds. Any thread; nothing here waits but for a short lock when
// a label is seen first.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/shard.h"
#include "gcruntime/base/spin_lock.h"

namespace tailrace::gc::internal {

// Labels by number. Equal texts have one number, wherever they lie; 0 is all those beyond kMost.
class EscapeLabels {
 public:
  static constexpr unsigned kMost = 255;

  // `label` is never freed.
  unsigned number_of(const char* label) noexcept;
  // Of numbers from 1 to count().
  const char* text(unsigned number) const noexcept;
  unsigned count() const noexcept;

 private:
  // By address, so that a known label is found without a look at its text.
  static constexpr std::size_t kAddresses = 1024;
  static constexpr std::size_t kMostProbes = 16;
  struct Address {
    std::atomic<const char*> label{nullptr};
    unsigned number = 0;  // published by the label's release
  };

  unsigned enter(const char* label, std::size_t first) noexcept;

  std::array<Address, kAddresses> addresses_;
  std::array<const char*, kMost + 1> texts_{};  // published by count_
  std::atomic<unsigned> count_{0};
  base::SpinLock lock_;  // for who enters one
};

// Of arenas that have ended.
struct ArenaSums {
  std::uint64_t arenas = 0;
  std::uint64_t bytes = 0;
  std::uint64_t objects = 0;
  std::uint64_t faded_bytes = 0;
  std::uint64_t faded_objects = 0;
};

// Of the stores by which objects escaped.
struct EscapeSums {
  std::uint64_t stores = 0;
  std::uint64_t bytes = 0;
  std::uint64_t objects = 0;
};
struct EscapePlace {
  unsigned label = 0;  // number
  std::uint16_t type = 0;
  const void* site = nullptr;
};

class EscapeCounts {
 public:
  static constexpr std::size_t kMostPlaces = 1024;
  // How much fades in one shard before who counts it is told to look at the label's sums.
  static constexpr std::uint64_t kLookBytes = 16 * 1024;

  EscapeLabels labels;

  // True: look at sums(label) now.
  bool add_arena(unsigned label, const ArenaSums& arena) noexcept;
  void add_escape(const EscapePlace& key, std::uint64_t bytes, std::uint64_t objects) noexcept;

  ArenaSums sums(unsigned label) const noexcept;
  // Calls f(place, sums) for each; one place may come twice.
  template <typename F>
  void for_each_place(F&& f) const {
    for (const Place& place : places_) {
      // Acquire pairs with add_escape's release.
      if (place.state.load(std::memory_order_acquire) == kKnown) f(place.key, place.read());
    }
  }
  EscapeSums others() const noexcept { return others_.read(); }

 private:
  enum State : std::uint32_t { kFree, kTaken, kKnown };
  struct alignas(64) Place {
    std::atomic<State> state{kFree};
    EscapePlace key;  // published by kKnown
    base::Word stores{0};
    base::Word bytes{0};
    base::Word objects{0};

    EscapeSums read() const noexcept {
      // Relaxed, here and elsewhere: counts order nothing.
      return {stores.load(std::memory_order_relaxed), bytes.load(std::memory_order_relaxed),
              objects.load(std::memory_order_relaxed)};
    }
  };
  static constexpr std::size_t kMostProbes = 64;
  // A line of the shard's thread.
  struct alignas(64) Totals {
    base::Word arenas{0};
    base::Word bytes{0};
    base::Word objects{0};
    base::Word faded_bytes{0};
    base::Word faded_objects{0};
  };

  Place& place_of(const EscapePlace& key) noexcept;

  std::array<std::array<Totals, EscapeLabels::kMost + 1>, base::kShards> totals_;
  std::array<Place, kMostPlaces> places_;
  Place others_;
};

}  // namespace tailrace::gc::internal
