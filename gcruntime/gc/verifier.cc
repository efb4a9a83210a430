#include "gcruntime/gc/verifier.h"

#include <unistd.h>

#include <bit>
#include <cstring>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/arena_blocks.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/span.h"

namespace tailrace::gc {
namespace {

// Names the object's type and member, and where both objects came from, before the check that stops:
// write(2) only, the world is stopped. `word` counts from the payload.
[[noreturn, gnu::cold]] void fail(const char* what, const TypeInfo* type, std::uintptr_t slot,
                                  std::size_t word, std::uintptr_t value) {
  const auto put = [](const char* text) {
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) __builtin_trap();
  };
  put("heap verifier: in an object of type ");
  put(type != nullptr ? type->name : "(no pointers)");
  put("\n");
#if defined(TAILRACE_VERIFY)
  if (type != nullptr) {
    const std::size_t element = word / type->words;
    const std::size_t offset = word % type->words * 8;
    char path[256] = "";
    if (type->member_path != nullptr) type->member_path(offset, path, sizeof(path));
    char number[2][24];
    const auto decimal = [](std::size_t n, char* text) {
      char* at = text + 23;
      *at = 0;
      do {
        *--at = static_cast<char>('0' + n % 10);
        n /= 10;
      } while (n != 0);
      return at;
    };
    put("  member ");
    put(path[0] != 0 ? path : "(not described)");
    put(", byte ");
    put(decimal(offset, number[0]));
    put(" of element ");
    put(decimal(element, number[1]));
    put("\n");
  }
  internal::print_origin("the object", slot);
  if (heap::contains(value)) {
    const heap::ObjectPlace place = heap::find_object(value);
    if (place.slot != 0) internal::print_origin("what it points to", place.slot);
  }
#endif
  base::check_failed_object(what, slot, word, value);
}

struct Totals {
  std::uint64_t marked_scanned = 0;
};

bool traced(const TypeInfo& type, std::size_t word) {
  const std::size_t index = word % type.words;
  return (type.bitmap[index / 64] >> (index % 64) & 1) != 0;
}

TAILRACE_NO_SANITIZE void verify_object(std::uintptr_t slot, std::size_t slot_bytes,
                                        Totals& totals) {
  ++totals.marked_scanned;
  const ScannedObject object = read_scanned_object(slot);
  if (object.type == nullptr) {
    --totals.marked_scanned;
    return;
  }
  const TypeInfo& type = *object.type;
  const std::size_t traced_words = std::size_t{type.words} * object.count;
  const std::size_t slot_words =
      slot_bytes / 8 -
      static_cast<std::size_t>(object.payload - reinterpret_cast<std::uintptr_t*>(slot));
  if (traced_words > slot_words)
    fail("header count over the slot's size", &type, slot, 0, object.count);
  for (std::size_t word = 0; word < slot_words; ++word) {
    const std::uintptr_t value = object.payload[word];
    if (!heap::contains(value)) continue;
    const heap::ObjectPlace place = heap::find_object(value);
    const bool exact = word < traced_words && traced(type, word) && !type.maybe && (value & 1) == 0;
    if (exact && place.slot == 0 && heap::in_arena_range(value)) {
      fail(
          "traced word points into a request arena, to what has not faded: a store passed its "
          "barrier by",
          &type, slot, word, value);
    }
    if (place.slot == 0) continue;
    if (exact && !place.allocated())
      fail("traced word points to a free slot", &type, slot, word, value);
    if (place.allocated() && !place.marked()) {
      fail(exact
               ? "traced word points to an unmarked object: the marker missed it"
               : "word that is not traced points to an unmarked object: is a member not described, "
                 "or an integer used as a pointer?",
           &type, slot, word, value);
    }
  }
}

void verify_slot(std::uintptr_t slot, std::size_t slot_bytes, bool noscan, bool allocated,
                 bool marked, Totals& totals) {
  if (marked && !allocated) fail("free slot is marked", nullptr, slot, 0, 0);
  if (marked && !noscan) verify_object(slot, slot_bytes, totals);
}

// Returns the pages to step over.
std::size_t verify_span(std::size_t page, std::uint32_t info, Totals& totals) {
  const heap::Span* span = heap::span_of_page(page);
  TAILRACE_CHECK_VALUE(span != nullptr && span->start == heap::page_address(page),
                       "a page in use is not the first of its span; page", page);
  TAILRACE_CHECK_VALUE(span->noscan == heap::PageInfo::noscan(info),
                       "span and page info disagree; page", page);
  if (heap::PageInfo::kind(info) == heap::PageInfo::kLarge) {
    TAILRACE_CHECK(span->state == heap::SpanState::kLarge, "span and page info disagree");
    verify_slot(span->start, span->bytes(), span->noscan,
                span->large_alloc.load(std::memory_order_relaxed) != 0,
                span->large_mark.load(std::memory_order_relaxed) != 0, totals);
    return span->pages;
  }
  TAILRACE_CHECK(span->state == heap::SpanState::kSmall &&
                     span->size_class == heap::PageInfo::size_class(info) && !span->cached,
                 "span and page info disagree, or a cache was not flushed");
  const heap::SizeClass& size = heap::kSizeClassTable[span->size_class];
  const heap::SlotBits& bits = heap::page_map.slot_bits[page];
  for (std::size_t index = 0; index < heap::kMaxSlots; ++index) {
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    const bool allocated = (bits.alloc[index / 64].load(std::memory_order_relaxed) & bit) != 0;
    const bool marked = (bits.mark[index / 64].load(std::memory_order_relaxed) & bit) != 0;
    if (index >= size.slots) {
      TAILRACE_CHECK(!allocated && !marked, "bits are set behind a span's last slot");
      continue;
    }
    verify_slot(span->start + index * size.bytes, size.bytes, span->noscan, allocated, marked,
                totals);
  }
  return span->pages;
}

}  // namespace

void verify_heap(std::uint64_t marked_objects) noexcept {
  Totals totals;
  const heap::GrownPages grown = heap::grown_pages();
  const auto walk = [&](std::size_t begin, std::size_t end) {
    for (std::size_t page = begin; page < end;) {
      const std::uint32_t info = heap::page_info(page);
      page +=
          heap::PageInfo::kind(info) == heap::PageInfo::kFree ? 1 : verify_span(page, info, totals);
    }
  };
  walk(0, grown.small_end);
  walk(grown.large_begin, grown.large_end);
  heap::for_each_faded(
      [](void* all, const heap::ObjectPlace& place) {
        verify_slot(place.slot, place.slot_bytes, place.noscan, true, place.marked(),
                    *static_cast<Totals*>(all));
      },
      &totals);
  TAILRACE_CHECK_VALUE(marked_objects == 0 || totals.marked_scanned == marked_objects,
                       "the marker scanned another number of objects than are marked; it says",
                       marked_objects);
}

}  // namespace tailrace::gc
