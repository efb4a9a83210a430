// Sweeping over neighbours: objects that lie as they were allocated are scanned group by group, upwards. A
// group is the slots that share a word of mark bits. It is left with every bit turned of what was scanned.
#include <algorithm>
#include <bit>
#include <utility>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/mark_words.h"
#include "gcruntime/gc/marker.h"

namespace tailrace::gc {

using internal::Cage;
using internal::is_object;
using internal::load_word;
using internal::lowest;

namespace {

constexpr std::uintptr_t kAheadBytes = 1024;  // sent for ahead of the scan

}  // namespace

// The slots of a small span that share a word of mark bits, and how far a sweep is with them.
struct Marker::Group {
  std::uintptr_t base = 0;
  std::size_t bytes = 0;
  std::uint32_t slot_bytes = 0;
  std::uint32_t reciprocal = 0;
  std::atomic<std::uint64_t>* mark_word = nullptr;
  std::uint64_t found = 0;  // what leads here was seen
  std::uint64_t white = 0;  // neither marked when the sweep came nor scanned by it

  // That of a slot, which is what was found of it.
  TAILRACE_ALWAYS_INLINE explicit Group(std::uintptr_t slot) noexcept {
    const std::size_t page = heap::page_of(slot);
    const std::uint32_t info = heap::page_info(page);
    const std::size_t first = page - heap::PageInfo::index(info);
    const heap::SizeClass& size = heap::kSizeClassTable[heap::PageInfo::size_class(info)];
    const std::uintptr_t start = heap::page_address(first);
    const std::size_t index = ((slot - start) * std::uint64_t{size.reciprocal}) >> 32;
    const std::size_t word = index / 64;
    base = start + word * 64 * size.bytes;
    bytes = std::min<std::size_t>(64, size.slots - word * 64) * size.bytes;
    slot_bytes = size.bytes;
    reciprocal = size.reciprocal;
    mark_word = &heap::page_map.slot_bits[first].mark[word];
    found = std::uint64_t{1} << (index % 64);
  }

  // 1 if a word points into the group, else 0. Odd, an inline String: rotated, it is too far away.
  TAILRACE_ALWAYS_INLINE std::uint64_t holds(std::uintptr_t word) const noexcept {
    return static_cast<std::uint64_t>(std::rotr(word - base, 1) < bytes / 2);
  }
  // `near`, what holds() said, as the bit of the slot.
  TAILRACE_ALWAYS_INLINE std::uint64_t bit_of(std::uintptr_t word,
                                              std::uint64_t near) const noexcept {
    return near << (std::rotr(word - base, 1) * reciprocal >> 31 & 63);
  }
  std::uint64_t coming() const noexcept { return found & white; }

  // The first slot behind the group, in its span or the next; 0: there are no objects with pointers. The
  // pages' purpose stays while somebody marks [heap.sweep].
  std::uintptr_t next_slot() const noexcept {
    const std::size_t page = heap::page_of(base);
    const std::uint32_t info = heap::page_info(page);
    const std::size_t first = page - heap::PageInfo::index(info);
    const heap::SizeClass& size = heap::kSizeClassTable[heap::PageInfo::size_class(info)];
    const std::uintptr_t next = base + bytes;
    if (next < heap::page_address(first) + std::size_t{size.slots} * size.bytes) return next;
    const std::uintptr_t behind = heap::page_address(first + size.pages);
    if (behind - heap::page_map.base >= heap::page_map.small_bytes) return 0;
    const std::uint32_t there = heap::page_info(first + size.pages);
    const bool scanned =
        heap::PageInfo::kind(there) == heap::PageInfo::kSmall && !heap::PageInfo::noscan(there);
    return scanned ? behind : 0;
  }
};

// Of the words from that one on, those that are managed pointers stay.
void Marker::keep_pointers(std::size_t from) noexcept {
  const Cage cage;
  std::size_t kept = from;
  for (std::size_t i = from; i < word_count_; ++i) {
    const std::uintptr_t word = words_[i];
    words_[kept] = word;
    kept += cage.holds(word);
  }
  word_count_ = kept;
}

// Scans what is to come of a group, as long as it is of that shape and there is room for its words: how many
// objects. Upwards, and the next slot by a branch of its own: where objects lie as they were allocated that
// one is guessed right, so their addresses do not wait for each other's words. Words that lead out of the
// group stay in the buffer, whatever they are, but for nulls.
template <std::size_t kPointers>  // that many, one behind the other; 0: what the bitmap says
TAILRACE_NOINLINE std::size_t Marker::sweep_shape(Group& group, const Shape& shape) noexcept {
  Group copy = group;  // in registers
  const std::uint64_t white_before = copy.white;
  const std::uint64_t header = shape.header;
  const std::size_t first = shape.first;
  std::size_t count = word_count_;
  while (copy.coming() != 0) {
    const std::size_t index = lowest(copy.coming());
    std::uint64_t bit = std::uint64_t{1} << index;
    std::uintptr_t slot = copy.base + index * copy.slot_bytes;
    do {
      __builtin_prefetch(reinterpret_cast<const void*>(slot + kAheadBytes));
      const auto* const words = reinterpret_cast<const std::uintptr_t*>(slot);
      if (load_word(words) != header || count > kWords - 64) [[unlikely]]
        goto out;
      copy.white ^= bit;
      const auto visit = [&](std::uintptr_t word) __attribute__((always_inline)) {
        const std::uint64_t near = copy.holds(word);
        if (TAILRACE_DCHECKS && near != 0 && !is_object(word)) return;
        copy.found |= copy.bit_of(word, near);
        words_[count] = word;
        count += static_cast<std::size_t>(word != 0);
        count -= near;
      };
      if constexpr (kPointers != 0) {
        [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) __attribute__((always_inline)) {
          (visit(load_word(words + first + kIndex)), ...);
        }
        (std::make_index_sequence<kPointers>());
      } else {
        for (std::uint64_t bits = shape.bitmap; bits != 0; bits &= bits - 1) {
          visit(load_word(words + lowest(bits)));
        }
      }
      bit <<= 1;
      slot += copy.slot_bytes;
    } while ((copy.coming() & bit) != 0);
  }
out:
  word_count_ = count;
  group.found = copy.found;
  group.white = copy.white;
  return static_cast<std::size_t>(std::popcount(white_before & ~copy.white));
}

// All that is to come of a group. The buffer's words from `from` on are from this sweep; where they are
// now, if it had to be emptied.
std::size_t Marker::sweep_group(Group& group, std::size_t from) noexcept {
  while (group.coming() != 0) {
    const std::size_t index = lowest(group.coming());
    const std::uintptr_t slot = group.base + index * group.slot_bytes;
    const std::uint64_t header = load_word(reinterpret_cast<const std::uintptr_t*>(slot));
    const Shape& shape = shape_of(header);
    if (shape.header != header) [[unlikely]] {
      group.white ^= std::uint64_t{1} << index;
      keep_pointers(from);
      work_ += scan_any({slot, 0});
      from = std::min(from, word_count_);
      continue;
    }
    std::size_t scanned = 0;
    switch (shape.run) {
      case 1:
        scanned = sweep_shape<1>(group, shape);
        break;
      case 2:
        scanned = sweep_shape<2>(group, shape);
        break;
      case 4:
        scanned = sweep_shape<4>(group, shape);
        break;
      default:
        scanned = sweep_shape<0>(group, shape);
    }
    stats_.objects += scanned;
    stats_.bytes += scanned * shape.bytes;
    work_ += scanned;
    if (word_count_ > kWords - 64) {
      keep_pointers(from);
      if (word_count_ > kWords - 64) flush_words();
      from = std::min(from, word_count_);
    }
  }
  return from;
}

// An object and what it leads to among the 64 slots that share its mark word, then what that leads to among
// the 64 behind, and so on. What was allocated one after the other costs neither a look-up nor an atomic
// operation nor an entry each, and memory is read in the order in which the hardware expects it.
//
// [gc.group] A group's bits are turned together, after its scan. Another marker or a barrier may turn some
// of them meanwhile and make entries: such objects are scanned twice, which is harmless, and counted once,
// by who turned the bit. Nobody relies on the bit being set before the words are read: the barrier shades
// what is stored whatever the colour of the object that it is stored into. [gc.mark.late] Nor does anybody
// conclude that marking has ended: this marker is counted in, and holds nothing late when it leaves a sweep.
void Marker::sweep_from(std::uintptr_t slot) noexcept {
  for (std::uintptr_t line = slot + 64; line < slot + kAheadBytes; line += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(line));
  }
  const Cage cage;
  Group group(slot);
  std::uint64_t own = group.found;  // turned when the entry was made
  std::size_t from = word_count_;
  for (;;) {
    // Relaxed: those that are marked by now are somebody else's.
    group.white = ~group.mark_word->load(std::memory_order_relaxed) | own;
    if (group.coming() == 0) break;
    const std::uint64_t white_before = group.white & ~own;
    // Of the next span, if this one has one page.
    __builtin_prefetch(reinterpret_cast<const char*>(group.mark_word) + sizeof(heap::SlotBits), 1);
    from = sweep_group(group, from);
    turn_group(*group.mark_word, white_before & ~group.white, group.slot_bytes);
    if (work_ >= kSweepWork) break;
    const std::uintptr_t next = group.next_slot();
    if (next == 0) break;
    group = Group(next);
    group.found = own = 0;
    // What leads there is taken out of the buffer.
    std::size_t kept = from;
    for (std::size_t i = from; i < word_count_; ++i) {
      const std::uintptr_t word = words_[i];
      const std::uint64_t near = group.holds(word);
      if (TAILRACE_DCHECKS && near != 0 && !is_object(word)) continue;
      group.found |= group.bit_of(word, near);
      words_[kept] = word;
      kept += cage.holds(word) & ~near;
    }
    word_count_ = kept;
    if (base::mutant(base::Mutant::kSweepForgets)) break;
  }
  keep_pointers(from);
  // The last found lie nearest, as a rule: they are to be first.
  std::reverse(words_ + from, words_ + word_count_);
}

void Marker::turn_group(std::atomic<std::uint64_t>& mark_word, std::uint64_t bits,
                        std::size_t slot_bytes) noexcept {
  if (bits == 0) return;
  // Relaxed: as in turn_bit.
  const std::uint64_t twice = bits & mark_word.fetch_or(bits, std::memory_order_relaxed);
  stats_.marked_bytes += static_cast<std::uint64_t>(std::popcount(bits & ~twice)) * slot_bytes;
  stats_.objects -= static_cast<std::uint64_t>(std::popcount(twice));
}

}  // namespace tailrace::gc
