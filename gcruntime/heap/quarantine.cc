#include "gcruntime/heap/quarantine.h"

#if defined(TAILRACE_VERIFY)

#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/span.h"

namespace tailrace::heap {
namespace {

// An open table of twice the size leads from a slot to its entry; entries are dense. The table is made
// anew when one leaves, which is rare.
constexpr std::size_t kPlaces = 2 * kMostQuarantined;
constinit Quarantined entries[kMostQuarantined];
constinit std::size_t entry_count = 0;
constinit std::size_t entry_bytes = 0;
constinit std::uint16_t places[kPlaces] = {};  // number of the entry + 1; 0: free

std::size_t place_of(std::uintptr_t slot) noexcept {
  return static_cast<std::size_t>((slot >> 4) * 0x9e3779b97f4a7c15u >> 32) % kPlaces;
}

void enter(std::size_t number) noexcept {
  std::size_t place = place_of(entries[number].slot);
  while (places[place] != 0) place = (place + 1) % kPlaces;
  places[place] = static_cast<std::uint16_t>(number + 1);
}

Span* span_of(std::uintptr_t slot) noexcept {
  const std::size_t page = page_of(slot);
  const std::uint32_t info = page_info(page);
  const bool small = PageInfo::kind(info) == PageInfo::kSmall;
  return span_of_page(small ? page - PageInfo::index(info) : page);
}

}  // namespace

bool quarantine(const Quarantined& entry) noexcept {
  if (entry_count == kMostQuarantined || entry.slot_bytes > kMostQuarantinedBytes - entry_bytes) {
    return false;
  }
  entries[entry_count] = entry;
  enter(entry_count++);
  entry_bytes += entry.slot_bytes;
  ++span_of(entry.slot)->quarantined;
  return true;
}

Quarantined* find_quarantined(std::uintptr_t slot) noexcept {
  for (std::size_t place = place_of(slot); places[place] != 0; place = (place + 1) % kPlaces) {
    Quarantined& entry = entries[places[place] - 1u];
    if (entry.slot == slot) return &entry;
  }
  return nullptr;
}

void leave_quarantine(const Quarantined* entry) noexcept {
  --span_of(entry->slot)->quarantined;
  entry_bytes -= entry->slot_bytes;
  entries[entry - entries] = entries[--entry_count];
  for (std::uint16_t& place : places) place = 0;
  for (std::size_t i = 0; i < entry_count; ++i) enter(i);
}

Quarantined* quarantined_begin() noexcept { return entries; }
Quarantined* quarantined_end() noexcept { return entries + entry_count; }
std::size_t quarantined_bytes() noexcept { return entry_bytes; }

std::uint64_t quarantined_slots(const Span& span, std::size_t word) noexcept {
  if (span.quarantined == 0) return 0;
  const std::size_t slot_bytes = kSizeClassTable[span.size_class].bytes;
  const std::uintptr_t begin = span.start + word * 64 * slot_bytes;
  std::uint64_t bits = 0;
  for (const Quarantined* entry = entries; entry != entries + entry_count; ++entry) {
    const std::uintptr_t offset = entry->slot - begin;
    if (offset < 64 * slot_bytes) bits |= std::uint64_t{1} << (offset / slot_bytes);
  }
  return bits;
}

}  // namespace tailrace::heap

#endif
