// The marker's inner loops: from objects to the words in them, from those to mark bits, and back.
#include <algorithm>
#include <bit>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/gc/mark_words.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {

using internal::Cage;
using internal::is_object;
using internal::load_word;
using internal::lowest;
using internal::turn_bit;

namespace {

constexpr std::uintptr_t kNearBytes = 1024;  // so close, objects are likely to be in one group
constexpr std::size_t kDeadlineWork = 256;   // between looks at the clock: objects, about

}  // namespace

// A pointer to a small object, whose mark word has been sent for.
struct Marker::Target {
  std::uintptr_t slot;
  std::atomic<std::uint64_t>* mark_word;
  std::uint32_t shift;
  std::uint32_t size_and_kind;  // bytes of the slot, plus one if it is noscan
};

ScannedObject read_scanned_object(std::uintptr_t slot) noexcept {
  const auto* words = reinterpret_cast<const std::uintptr_t*>(slot);
  const std::uint64_t header = load_word(words);
  if (header == 0) return {};
  ScannedObject object;
  object.type = type_info(Header::type(header));
  TAILRACE_CHECK_VALUE(object.type != nullptr,
                       "an object's header was overwritten; its slot:", slot);
  object.count = Header::count(header);
  object.payload = words + ((Header::flags(header) & Header::kAligned16) != 0 ? 2 : 1);
  return object;
}

// --- Pointers, a buffer full at a time ---------------------------------------------------------

// Where the collected words lead to, in `targets`: how many. Large objects are turned at once.
TAILRACE_ALWAYS_INLINE std::size_t Marker::resolve_words(Target* targets) noexcept {
  std::size_t count = 0;
  const heap::PageMap& map = heap::page_map;
  const std::uintptr_t base = map.base;
  for (std::size_t i = 0; i < word_count_; ++i) {
    const std::uintptr_t word = words_[i];
    if (TAILRACE_DCHECKS && !is_object(word)) continue;
    const std::size_t page = (word - base) / heap::kPageBytes;
    const std::uint32_t info = heap::page_info(page);
    if (heap::PageInfo::kind(info) != heap::PageInfo::kSmall) [[unlikely]] {
      // Large, or where no span is: text that looks like an address.
      const heap::ObjectPlace place = heap::find_object(word);
      if (place.slot != 0) mark_found(place);
      continue;
    }
    const std::size_t first = page - heap::PageInfo::index(info);
    const heap::SizeClass& size = heap::kSizeClassTable[heap::PageInfo::size_class(info)];
    const std::uintptr_t start = base + first * heap::kPageBytes;
    const std::size_t index = ((word - start) * std::uint64_t{size.reciprocal}) >> 32;
    if (index >= size.slots) [[unlikely]]
      continue;  // the unused tail of the span
    Target& target = targets[count++];
    target.slot = start + index * size.bytes;
    target.mark_word = &map.slot_bits[first].mark[index / 64];
    target.shift = static_cast<std::uint32_t>(index % 64);
    target.size_and_kind = size.bytes | static_cast<std::uint32_t>(heap::PageInfo::noscan(info));
    __builtin_prefetch(target.mark_word, 1);
  }
  word_count_ = 0;
  return count;
}

// Turns what the collected words point to, and empties the buffer.
void Marker::flush_words() noexcept {
  Target targets[kWords];
  const std::size_t count = resolve_words(targets);
  // Most may be marked already, and in no order that a branch could guess: the white ones are gathered first.
  std::size_t white = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Target target = targets[i];
    // Relaxed: turn_bit looks again.
    const std::uint64_t word = target.mark_word->load(std::memory_order_relaxed);
    targets[white] = target;
    white += ~(word >> target.shift) & 1;
  }
  std::uint64_t marked_bytes = 0;
  // Backwards: the first word of the first object is to be on top, as what was allocated one after the other
  // is then scanned in that order.
  while (white > 0) {
    const std::size_t end = white - std::min<std::size_t>(white, room());
    Grey* top = chunk_->entries + chunk_->count;
    while (white > end) {
      const Target& target = targets[--white];
      const bool turned = turn_bit(*target.mark_word, std::uint64_t{1} << target.shift);
      marked_bytes += turned ? target.size_and_kind & ~1u : 0;
      *top = {target.slot, 0};
      top += static_cast<std::uint32_t>(turned) & ~target.size_and_kind & 1;
    }
    chunk_->count = static_cast<std::uint32_t>(top - chunk_->entries);
  }
  stats_.marked_bytes += marked_bytes;
}

// --- Scanning ----------------------------------------------------------------------------------

// The next objects, sent for.
TAILRACE_ALWAYS_INLINE void Marker::fill(Batch& batch) noexcept {
  const std::uint32_t left = chunk_ == nullptr ? 0 : chunk_->count;
  const std::uint32_t count = std::min<std::uint32_t>(left, kBatch);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Grey grey = chunk_->entries[left - 1 - i];
    __builtin_prefetch(reinterpret_cast<const void*>(grey.slot));
    batch.objects[i] = grey;
  }
  if (count > 0) chunk_->count -= count;
  batch.count = count;
}

// Any object or piece: what it costs, in objects. Learns the shape of a common one.
TAILRACE_NOINLINE std::size_t Marker::scan_any(Grey grey) noexcept {
  const ScannedObject object = read_scanned_object(grey.slot);
  if (object.type == nullptr) return 1;
  const TypeInfo& type = *object.type;
  const std::size_t words = std::size_t{type.words} * object.count;
  const auto header_words =
      static_cast<std::size_t>(object.payload - reinterpret_cast<std::uintptr_t*>(grey.slot));
  if (grey.first_word == 0) {
    ++stats_.objects;
    stats_.bytes += (header_words + words) * 8;
    if (!type.maybe && header_words + words <= 64) learn_shape(object, header_words);
  }
  std::size_t count = words - grey.first_word;
  if (count > kPieceWords) {
    count = kPieceWords;
    push({grey.slot, grey.first_word + kPieceWords});
  }
  scan_piece(object.payload, type, grey.first_word, count);
  return 1 + count / 64;
}

// The slots of equal headers are scanned without a look at the type from now on.
void Marker::learn_shape(const ScannedObject& object, std::size_t header_words) noexcept {
  const TypeInfo& type = *object.type;
  Shape shape{
      *(object.payload - header_words), 0,
      static_cast<std::uint32_t>((header_words + std::size_t{type.words} * object.count) * 8), 0,
      0};
  for (std::uint32_t i = 0; i < object.count; ++i) {
    shape.bitmap |= type.bitmap[0] << (header_words + std::size_t{i} * type.words);
  }
  if (shape.bitmap != 0) {
    shape.first = static_cast<std::uint16_t>(lowest(shape.bitmap));
    const std::uint64_t run = shape.bitmap >> shape.first;
    if ((run & (run + 1)) == 0) shape.run = static_cast<std::uint16_t>(std::popcount(run));
  }
  shape_of(shape.header) = shape;
}

TAILRACE_ALWAYS_INLINE void Marker::scan(const Batch& batch) noexcept {
  const Cage cage;
  std::uint64_t scanned = 0;
  std::uint64_t scanned_bytes = 0;
  for (std::size_t i = 0; i < batch.count; ++i) {
    const std::uintptr_t slot = batch.objects[i].slot;
    const auto* const words = reinterpret_cast<const std::uintptr_t*>(slot);
    const std::uint64_t header = load_word(words);
    const Shape& shape = shape_of(header);
    if (shape.header != header) [[unlikely]] {
      work_ += scan_any(batch.objects[i]);
      continue;
    }
    if (word_count_ > kWords - 64) flush_words();
    std::uintptr_t* const begin = words_ + word_count_;
    std::uintptr_t* end = begin;
    for (std::uint64_t bits = shape.bitmap; bits != 0; bits &= bits - 1) {
      const std::uintptr_t word = load_word(words + lowest(bits));
      *end = word;
      end += cage.holds(word);
    }
    // Its first or its last pointer leads to a neighbour: probably more do.
    if (end != begin &&
        (*begin - slot + kNearBytes < 2 * kNearBytes ||
         end[-1] - slot + kNearBytes < 2 * kNearBytes) &&
        !heap::in_arena_range(slot)) {
      sweep_from(slot);
      if (work_ < kSweepWork) continue;
      // Enough for now. The others go back: a group or less of each would be out of order.
      for (std::size_t back = batch.count; --back > i;) push(batch.objects[back]);
      break;
    }
    ++scanned;
    scanned_bytes += shape.bytes;
    word_count_ = static_cast<std::size_t>(end - words_);
  }
  stats_.objects += scanned;
  stats_.bytes += scanned_bytes;
  work_ += scanned;
  flush_words();
}

void Marker::scan_root_object(std::uintptr_t slot) noexcept {
  const ScannedObject object = read_scanned_object(slot);
  if (object.type == nullptr) return;
  enter();
  scan_piece(object.payload, *object.type, 0, std::size_t{object.type->words} * object.count);
}

void Marker::scan_piece(const std::uintptr_t* words, const TypeInfo& type, std::size_t first,
                        std::size_t count) noexcept {
  // Element by element; `first` and `count` are words of the whole payload.
  const std::size_t end = first + count;
  for (std::size_t base = first / type.words * type.words; base < end; base += type.words) {
    for (std::size_t group = 0; group * 64 < type.words; ++group) {
      for (std::uint64_t bits = type.bitmap[group]; bits != 0; bits &= bits - 1) {
        const std::size_t index =
            base + group * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        if (index < first || index >= end) continue;
        const std::uintptr_t word = load_word(words + index);
        if (type.maybe) {
          mark_conservatively(word);
          continue;
        }
        if (word_count_ == kWords) flush_words();
        words_[word_count_] = word;
        word_count_ += Cage().holds(word);
      }
    }
  }
}

// --- A run -------------------------------------------------------------------------------------

// Marks until neither this marker nor the queue has an entry (true: counted out), or to the deadline.
bool Marker::mark_local(std::int64_t deadline_ns) noexcept {
  flush_words();  // of roots
  Batch batches[2];
  Batch* coming = &batches[0];
  Batch* here = &batches[1];
  for (;;) {
    if (queue_.wanted()) [[unlikely]]
      share();
    fill(*coming);
    scan(*here);
    std::swap(coming, here);
    coming->count = 0;
    if (here->count == 0 && !find_chunk()) return true;
    if (work_ >= kDeadlineWork) [[unlikely]] {
      work_ = 0;
      if (deadline_ns != kNoDeadline && os::now_ns() >= deadline_ns) {
        for (std::size_t i = 0; i < here->count; ++i) push(here->objects[i]);
        return false;
      }
    }
  }
}

}  // namespace tailrace::gc
