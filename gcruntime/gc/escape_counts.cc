#include "gcruntime/gc/escape_counts.h"

#include <cstring>
#include <mutex>

#include "gcruntime/gc/hash.h"

namespace tailrace::gc::internal {

unsigned EscapeLabels::number_of(const char* label) noexcept {
  const std::size_t first =
      fold_multiply(reinterpret_cast<std::uintptr_t>(label), kHashMultiplier) % kAddresses;
  for (std::size_t i = 0; i < kMostProbes; ++i) {
    const Address& address = addresses_[(first + i) % kAddresses];
    // Acquire pairs with enter's release: the number is there.
    const char* known = address.label.load(std::memory_order_acquire);
    if (known == label) return address.number;
    if (known == nullptr) break;
  }
  return enter(label, first);
}

unsigned EscapeLabels::enter(const char* label, std::size_t first) noexcept {
  const std::lock_guard guard(lock_);
  // Relaxed, here and below: the lock's holder is the only writer.
  const unsigned known = count_.load(std::memory_order_relaxed);
  unsigned number = 1;
  while (number <= known && std::strcmp(texts_[number], label) != 0) ++number;
  if (number > kMost) {
    number = 0;
  } else if (number > known) {
    texts_[number] = label;
    // Release pairs with count's acquire.
    count_.store(number, std::memory_order_release);
  }
  for (std::size_t i = 0; i < kMostProbes; ++i) {
    Address& address = addresses_[(first + i) % kAddresses];
    const char* there = address.label.load(std::memory_order_relaxed);
    if (there == label) break;
    if (there != nullptr) continue;
    address.number = number;
    // Release pairs with number_of's acquire.
    address.label.store(label, std::memory_order_release);
    break;
  }
  return number;
}

const char* EscapeLabels::text(unsigned number) const noexcept { return texts_[number]; }
// Acquire pairs with enter's release.
unsigned EscapeLabels::count() const noexcept { return count_.load(std::memory_order_acquire); }

bool EscapeCounts::add_arena(unsigned label, const ArenaSums& arena) noexcept {
  const base::Shard shard = base::current_shard();
  Totals& totals = totals_[shard.index()][label];
  base::bump(totals.arenas, arena.arenas, shard);
  base::bump(totals.bytes, arena.bytes, shard);
  base::bump(totals.objects, arena.objects, shard);
  if (arena.faded_bytes == 0) return false;
  const std::uint64_t before = totals.faded_bytes.load(std::memory_order_relaxed);
  base::bump(totals.faded_bytes, arena.faded_bytes, shard);
  base::bump(totals.faded_objects, arena.faded_objects, shard);
  return before / kLookBytes != (before + arena.faded_bytes) / kLookBytes;
}

ArenaSums EscapeCounts::sums(unsigned label) const noexcept {
  ArenaSums sums;
  for (const auto& shard : totals_) {
    const Totals& totals = shard[label];
    sums.arenas += totals.arenas.load(std::memory_order_relaxed);
    sums.bytes += totals.bytes.load(std::memory_order_relaxed);
    sums.objects += totals.objects.load(std::memory_order_relaxed);
    sums.faded_bytes += totals.faded_bytes.load(std::memory_order_relaxed);
    sums.faded_objects += totals.faded_objects.load(std::memory_order_relaxed);
  }
  return sums;
}

EscapeCounts::Place& EscapeCounts::place_of(const EscapePlace& key) noexcept {
  const std::uint64_t kind = std::uint64_t{key.label} << 16 | key.type;
  const std::uint64_t hash = fold_multiply(
      reinterpret_cast<std::uintptr_t>(key.site) ^ kHashMultiplier * kind, kHashMultiplier);
  for (std::size_t i = 0; i < kMostProbes; ++i) {
    Place& place = places_[(hash + i) % kMostPlaces];
    State state = place.state.load(std::memory_order_acquire);
    if (state == kFree &&
        place.state.compare_exchange_strong(state, kTaken, std::memory_order_acquire)) {
      place.key = key;
      // Release pairs with the acquires above and of readers.
      place.state.store(kKnown, std::memory_order_release);
      return place;
    }
    // One that another thread just fills in is passed: it may be this one, which then comes twice.
    if (state == kKnown && place.key.label == key.label && place.key.type == key.type &&
        place.key.site == key.site) {
      return place;
    }
  }
  return others_;
}

void EscapeCounts::add_escape(const EscapePlace& key, std::uint64_t bytes,
                              std::uint64_t objects) noexcept {
  Place& place = place_of(key);
  place.stores.fetch_add(1, std::memory_order_relaxed);
  place.bytes.fetch_add(bytes, std::memory_order_relaxed);
  place.objects.fetch_add(objects, std::memory_order_relaxed);
}

}  // namespace tailrace::gc::internal
