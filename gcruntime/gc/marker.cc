#include "gcruntime/gc/marker.h"

#include <atomic>
#include <bit>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

// Objects' words are read while others may write them (not yet: the world is stopped; but a word that a
// mutator was stopped in the middle of writing is a whole word all the same).
TAILRACE_ALWAYS_INLINE std::uintptr_t load_word(const std::uintptr_t* word) noexcept {
  // Acquire pairs with gc::store's release: the object's header and contents are visible.
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

}  // namespace

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

Marker::Marker() {
  std::size_t entries = kQueueEntries;
  // Address space may be short (a limit, an emulator): the queue is as deep as it can be had.
  while (queue_ == nullptr && entries > 4096) {
    queue_ = static_cast<Grey*>(os::reserve_memory(entries * sizeof(Grey), os::kPageBytes));
    queue_capacity_ = entries;
    entries /= 2;
  }
  TAILRACE_CHECK(queue_ != nullptr, "no address space for the mark queue");
}

Marker::~Marker() { os::release_reservation(queue_, queue_capacity_ * sizeof(Grey)); }

TAILRACE_ALWAYS_INLINE void Marker::push(Grey grey) noexcept {
  TAILRACE_CHECK(queue_size_ < queue_capacity_,
                 "the mark queue is full: allow the process more address space (ulimit -v)");
  queue_[queue_size_++] = grey;
}

TAILRACE_ALWAYS_INLINE void Marker::set_mark(const heap::ObjectPlace& place) noexcept {
  // Relaxed: one marker, and the sweep comes after it.
  const std::uint64_t word = place.mark_word->load(std::memory_order_relaxed);
  if ((word & place.bit) != 0) return;
  place.mark_word->store(word | place.bit, std::memory_order_relaxed);
  if (!place.noscan) push({place.slot, 0});
}

void Marker::shade_conservatively(std::uintptr_t word) noexcept {
  if (!heap::contains(word)) return;
  const heap::ObjectPlace place = heap::find_object(word);
  shade_found(place);
  if ((word == place.slot || place.slot == 0) && heap::contains(word - 1)) {
    // Past the end of the slot before? Compilers keep an array by its end alone.
    const heap::ObjectPlace before = heap::find_object(word - 1);
    if (before.slot + before.slot_bytes == word) shade_found(before);
  }
}

void Marker::shade_found(const heap::ObjectPlace& place) noexcept {
  // A free slot's bits may be anything: only what is allocated is an object.
  if (place.slot == 0 || !place.allocated()) return;
  ++stats_.conservative_hits;
  set_mark(place);
}

TAILRACE_NO_SANITIZE void Marker::scan_stack(const void* low, const void* high) noexcept {
  const auto* word = static_cast<const volatile std::uintptr_t*>(low);
  const auto* end = static_cast<const volatile std::uintptr_t*>(high);
  for (; word < end; ++word) shade_conservatively(*word);
  stats_.stack_words +=
      static_cast<std::uint64_t>(end - static_cast<const volatile std::uintptr_t*>(low));
}

void Marker::shade(void* object) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  if (!heap::contains(address)) return;
#if defined(TAILRACE_VERIFY)
  const heap::ObjectPlace place = heap::find_object(address);
  TAILRACE_CHECK_VALUE(place.slot == 0 || place.allocated(),
                       "a Root points to a free slot:", address);
#endif
  enqueue_pointer(address);
}

TAILRACE_ALWAYS_INLINE void Marker::enqueue_pointer(std::uintptr_t word) noexcept {
  const heap::ObjectPlace place = heap::find_object(word);
  if (place.slot == 0)
    return;  // the cage contains it, no span does: text that looks like an address
#if defined(TAILRACE_VERIFY)
  // The verifier, which comes next, tells whose word it is and where both objects came from.
  if (!place.allocated()) return;
#else
  TAILRACE_DCHECK(place.allocated(), "a traced word points to a free slot: its object was lost");
#endif
  __builtin_prefetch(place.mark_word, 1);
  if (pointer_count_ == kFifo) {
    set_mark(pointers_[pointer_head_]);
    pointers_[pointer_head_] = place;
    pointer_head_ = (pointer_head_ + 1) % kFifo;
  } else {
    pointers_[(pointer_head_ + pointer_count_) % kFifo] = place;
    ++pointer_count_;
  }
}

void Marker::flush_pointers() noexcept {
  for (; pointer_count_ > 0; --pointer_count_) {
    set_mark(pointers_[pointer_head_]);
    pointer_head_ = (pointer_head_ + 1) % kFifo;
  }
}

TAILRACE_ALWAYS_INLINE void Marker::visit_word(const std::uintptr_t* at, bool maybe) noexcept {
  const std::uintptr_t word = load_word(at);
  if (!heap::contains(word)) return;
  if (maybe) {
    shade_conservatively(word);
  } else if ((word & 1) == 0) {  // odd: an inline String
    enqueue_pointer(word);
  }
}

void Marker::scan_words(const std::uintptr_t* words, const std::uint64_t* bitmap, std::size_t first,
                        std::size_t count, std::size_t type_words, bool maybe) noexcept {
  // Element by element; `first` and `count` are words of the whole payload.
  std::size_t element = first / type_words;
  const std::size_t end = first + count;
  for (std::size_t base = element * type_words; base < end; base += type_words) {
    for (std::size_t chunk = 0; chunk * 64 < type_words; ++chunk) {
      for (std::uint64_t bits = bitmap[chunk]; bits != 0; bits &= bits - 1) {
        const std::size_t index =
            base + chunk * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        if (index < first || index >= end) continue;
        visit_word(words + index, maybe);
      }
    }
  }
}

void Marker::scan(Grey grey) noexcept {
  const ScannedObject object = read_scanned_object(grey.slot);
  if (object.type == nullptr) return;
  const std::size_t type_words = object.type->words;
  const std::size_t words = type_words * object.count;
  if (grey.first_word == 0) {
    ++stats_.objects;
    stats_.bytes += words * 8;
  }
  if (object.count == 1 && type_words <= 64) {  // most objects
    for (std::uint64_t bits = object.type->bitmap[0]; bits != 0; bits &= bits - 1) {
      visit_word(object.payload + std::countr_zero(bits), object.type->maybe);
    }
    return;
  }
  std::size_t count = words - grey.first_word;
  if (count > kPieceWords) {
    count = kPieceWords;
    push({grey.slot, grey.first_word + kPieceWords});
  }
  scan_words(object.payload, object.type->bitmap, grey.first_word, count, type_words,
             object.type->maybe);
}

void Marker::drain() noexcept {
  Grey objects[kFifo];  // second queue
  std::size_t head = 0;
  std::size_t count = 0;
  for (;;) {
    while (count < kFifo && queue_size_ > 0) {
      if (queue_size_ > deepest_) deepest_ = queue_size_;
      const Grey grey = queue_[--queue_size_];
      __builtin_prefetch(reinterpret_cast<const void*>(grey.slot));
      objects[(head + count++) % kFifo] = grey;
    }
    if (count == 0) {
      flush_pointers();
      if (queue_size_ == 0) return;
      continue;
    }
    const Grey next = objects[head];
    head = (head + 1) % kFifo;
    --count;
    scan(next);
  }
}

}  // namespace tailrace::gc
