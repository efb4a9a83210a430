#include "gcruntime/gc/stale_words.h"

#if defined(TAILRACE_VERIFY)

#include <algorithm>
#include <atomic>

#include "gcruntime/base/check.h"
#include "gcruntime/gc/malloc_blocks.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/poison.h"
#include "gcruntime/heap/quarantine.h"

namespace tailrace::gc::internal {
namespace {

struct Finding {
  MallocBlock block;
  std::size_t offset;
  std::uintptr_t slot;
  Origin object;
  std::uint64_t cycle;
  bool quarantined;
};
// Written with the world stopped, printed when it runs, both by the collector's thread.
constinit Finding findings[kMostReportsACycle];
constinit std::size_t finding_count = 0;
constinit std::size_t reports = 0;

// Relaxed, all: statistics; only the collector's thread writes them.
constinit std::atomic<std::uint64_t> words{0};
constinit std::atomic<std::uint64_t> pairs{0};
constinit std::atomic<std::uint64_t> quarantined{0};
constinit std::atomic<std::uint64_t> no_room{0};
void count(std::atomic<std::uint64_t>& counter) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Pairs of stacks that were reported, each as one number that is not zero. With kMostPairs all others
// count as known.
constexpr std::size_t kPairPlaces = 4096;
constexpr std::size_t kMostPairs = kPairPlaces / 2;
constinit std::uint64_t known_pairs[kPairPlaces] = {};

// Its place; null: known already, or no room.
std::uint64_t* new_pair(std::uint64_t pair) noexcept {
  if (pairs.load(std::memory_order_relaxed) == kMostPairs) return nullptr;
  std::size_t place = (pair * 0x9e3779b97f4a7c15u >> 32) % kPairPlaces;
  while (known_pairs[place] != 0) {
    if (known_pairs[place] == pair) return nullptr;
    place = (place + 1) % kPairPlaces;
  }
  return &known_pairs[place];
}

std::uintptr_t load_word(std::uintptr_t address) noexcept {
  // Relaxed: threads that are not stopped may be writing their blocks.
  return __atomic_load_n(reinterpret_cast<const std::uintptr_t*>(address), __ATOMIC_RELAXED);
}
std::uintptr_t first_word(const MallocBlock& block) noexcept {
  return (block.address + 7) & ~std::uintptr_t{7};
}
std::uintptr_t end_of_words(const MallocBlock& block) noexcept {
  return (block.address + block.bytes) & ~std::uintptr_t{7};
}

// A slot's first byte may be meant as the end of the object before: nothing points to a scanned object's
// header, and beside the end of a live array its begin is kept.
bool past_the_end(const MallocBlock& block, std::uintptr_t value,
                  const heap::ObjectPlace& place) noexcept {
  if (value != place.slot) return false;
  if (!place.noscan) return true;
  if (!heap::contains(value - 1)) return false;
  const heap::ObjectPlace before = heap::find_object(value - 1);
  if (before.slot == 0 || !before.allocated() || !before.marked()) return false;
  for (std::uintptr_t at = first_word(block); at < end_of_words(block); at += 8) {
    const std::uintptr_t other = load_word(at);
    if (other >= before.slot && other < value) return true;
  }
  return false;
}

void note(const MallocBlock& block, std::size_t offset, std::uintptr_t slot, bool held,
          std::uint64_t cycle) noexcept {
  const Origin object = origin_of(slot);
  // Bit 63: not zero.
  std::uint64_t* pair =
      new_pair(std::uint64_t{1} << 63 | std::uint64_t{block.stack} << 32 | object.stack);
  // What finds no room now is new in the next cycle that finds it.
  if (pair == nullptr || finding_count == kMostReportsACycle) return;
  *pair = std::uint64_t{1} << 63 | std::uint64_t{block.stack} << 32 | object.stack;
  count(pairs);
  findings[finding_count++] = {block, offset, slot, object, cycle, held};
}

void look_at(const MallocBlock& block, std::uint64_t cycle) noexcept {
  for (std::uintptr_t at = first_word(block); at < end_of_words(block); at += 8) {
    const std::uintptr_t value = load_word(at);
    // What died in an arena has no slot to withhold; its memory is poisoned until it is used again.
    if (!heap::contains(value) || heap::in_arena_range(value)) continue;
    const heap::ObjectPlace place = heap::find_object(value);
    if (place.slot == 0) continue;
    if (heap::Quarantined* known = heap::find_quarantined(place.slot)) {
      if (known->seen_cycle != cycle) known->seen_cycle = cycle;
      note(block, at - block.address, place.slot, true, cycle);
      continue;
    }
    if (!place.allocated() || place.marked() || past_the_end(block, value, place)) continue;
    count(words);
    const bool held =
        heap::quarantine({place.slot, place.slot_bytes, cycle, block.address, block.stack});
    count(held ? quarantined : no_room);
    note(block, at - block.address, place.slot, held, cycle);
  }
}

[[noreturn, gnu::cold]] void fail_written(const heap::Quarantined& entry) noexcept {
  put("heap verifier: a freed object was written to\n  a word that pointed to it stood in the "
      "block at ");
  put_hexadecimal(entry.block);
  put(", allocated by:\n");
  print_stack(entry.block_stack);
  print_origin("the object", entry.slot);
  base::check_failed_value(
      __FILE__, __LINE__, "the object's poison",
      "a quarantined object was written to: a pointer to it was kept in malloc "
      "memory, where the collector does not look: keep a Root<T> there; its slot:",
      entry.slot);
}

void look_at_quarantine(std::uint64_t cycle) noexcept {
  const bool tight = static_cast<std::size_t>(heap::quarantined_end() - heap::quarantined_begin()) >
                         heap::kMostQuarantined / 2 ||
                     heap::quarantined_bytes() > heap::kMostQuarantinedBytes / 2;
  const std::uint64_t stay = tight ? 1 : kQuarantineCycles;
  for (heap::Quarantined* entry = heap::quarantined_begin(); entry != heap::quarantined_end();) {
    if (!heap::poison_intact(entry->slot, entry->slot_bytes)) fail_written(*entry);
    if (cycle - entry->seen_cycle > stay) {
      heap::leave_quarantine(entry);  // another takes its place
    } else {
      ++entry;
    }
  }
}

void print(const Finding& finding) noexcept {
  put("heap verifier: a word in malloc memory points to an object that cycle ");
  put_decimal(finding.object.freed_cycle != 0 ? finding.object.freed_cycle : finding.cycle);
  put(" freed\n  the block at ");
  put_hexadecimal(finding.block.address);
  put(", ");
  put_decimal(finding.block.bytes);
  put(" bytes, its byte ");
  put_decimal(finding.offset);
  put(", allocated by:\n");
  print_stack(finding.block.stack);
  print_origin("the object", finding.slot, finding.object);
  put("  The collector does not look into malloc memory. If the pointer is still in use keep a "
      "tailrace::gc::Root<T> there; if not, it is harmless.\n");
  put(finding.quarantined
          ? "  The object is poisoned, and nobody gets its slot while a block points to it.\n"
          : "  The object is poisoned; the quarantine is full, so its slot will be given out "
            "again.\n");
}

}  // namespace

void find_stale_words(std::uint64_t cycle) noexcept {
  finding_count = 0;
  look_at_quarantine(cycle);
  for_each_malloc_block(
      [](void* number, const MallocBlock& block) {
        look_at(block, *static_cast<const std::uint64_t*>(number));
      },
      &cycle);
}

void report_stale_words() noexcept {
  for (std::size_t i = 0; i < finding_count && reports < kMostReports; ++i) {
    print(findings[i]);
    if (++reports == kMostReports) {
      put("heap verifier: further words in malloc memory are only counted\n");
    }
  }
}

StaleWordCounts stale_word_counts() noexcept {
  // Relaxed, all: a snapshot.
  return {words.load(std::memory_order_relaxed), pairs.load(std::memory_order_relaxed),
          quarantined.load(std::memory_order_relaxed), no_room.load(std::memory_order_relaxed)};
}

}  // namespace tailrace::gc::internal

#endif
