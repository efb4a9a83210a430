// Map<K, V>: a hash map, 16 bytes: {backing, count, used}. Open addressing with linear probing in one
// managed backing object, zeroed and traced over its full capacity.
//
// An entry's state is one word: 0 empty, 1 erased, else the key's hash with the highest bit set
// (so that no state looks like an address). `used` counts
// entries that are not empty; the map grows, or is rehashed in place of its erased entries, at 3/4.
// Under churn the backing stays in proportion to the count: erased places are used again, and a rehash makes
// room for twice the count, which may be less than before. A map that only shrinks keeps its backing.
//
// Pointers to values are valid until the next insertion of a new key; after it they lead to the old backing,
// which they keep alive and which nobody else sees. Iteration: in no order; erasing any entry on the way is
// fine (an erased one is not visited later); an insertion on the way may or may not be visited, and when it
// rehashes the iterator goes on over the old backing, whose entries are as they were. Not for writing by
// several fibers at once.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "gcruntime/gc/hash.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/string.h"

namespace tailrace::gc {

namespace internal {
class Publisher;
}

template <typename K, typename V>
struct MapEntry {
  std::uint64_t state;
  K key;
  V value;
};
template <typename K, typename V>
struct Trace<MapEntry<K, V>, std::enable_if_t<Traceable<K> && Traceable<V>>> {
  static constexpr bool kKnown = true;
  static constexpr std::size_t align_up(std::size_t offset, std::size_t alignment) {
    return (offset + alignment - 1) / alignment * alignment;
  }
  static constexpr std::size_t kKey = align_up(8, alignof(K));
  static constexpr std::size_t kValue = align_up(kKey + sizeof(K), alignof(V));
  static constexpr void words(WordSet& set, std::size_t offset) {
    Trace<K>::words(set, offset + kKey);
    Trace<V>::words(set, offset + kValue);
  }
};

template <typename K, typename V>
class Map {
 public:
  using Entry = MapEntry<K, V>;

  // Visits the entries that are in use.
  template <bool kConst>
  class Iterator {
   public:
    using EntryRef = std::conditional_t<kConst, const Entry&, Entry&>;
    Iterator(Entry* at, Entry* end) noexcept : at_(at), end_(end) { skip(); }
    EntryRef operator*() const noexcept { return *at_; }
    std::remove_reference_t<EntryRef>* operator->() const noexcept { return at_; }
    Iterator& operator++() noexcept {
      ++at_;
      skip();
      return *this;
    }
    // An iterator at the end of the backing that it walks is at the end, whatever the map has now.
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
      return a.at_ == b.at_ || (a.at_ == a.end_ && b.at_ == b.end_);
    }

   private:
    void skip() noexcept {
      while (at_ != end_ && at_->state < kFirstHash) ++at_;
    }
    Entry* at_;
    Entry* end_;
  };

  Map() noexcept = default;
  Map(const Map& other) {
    reserve(other.size());
    for (const Entry& entry : other) insert_or_assign(entry.key, entry.value);
  }
  Map(Map&& other) noexcept : backing_(other.backing_), count_(other.count_), used_(other.used_) {
    other.forget();
  }
  Map& operator=(const Map& other) {
    if (this != &other) {
      Map copy(other);
      *this = std::move(copy);
    }
    return *this;
  }
  Map& operator=(Map&& other) noexcept {
    if (this != &other) {
      backing_ = other.backing_;
      count_ = other.count_;
      used_ = other.used_;
      other.forget();
    }
    return *this;
  }
  ~Map() = default;

  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  Iterator<false> begin() noexcept { return {entries(), entries() + capacity()}; }
  Iterator<false> end() noexcept { return {entries() + capacity(), entries() + capacity()}; }
  Iterator<true> begin() const noexcept { return {entries(), entries() + capacity()}; }
  Iterator<true> end() const noexcept { return {entries() + capacity(), entries() + capacity()}; }

  // The value, or null. Q is comparable with K and hashes alike (std::string_view for String).
  template <typename Q>
  V* find(const Q& key) noexcept {
    Entry* entry = find_entry(key);
    return entry == nullptr ? nullptr : &entry->value;
  }
  template <typename Q>
  const V* find(const Q& key) const noexcept {
    return const_cast<Map*>(this)->find(key);
  }
  template <typename Q>
  bool contains(const Q& key) const noexcept {
    return find(key) != nullptr;
  }
  // True if the key was new. An existing value stays.
  bool insert(const K& key, const V& value) {
    auto [entry, inserted] = find_or_add(key);
    if (inserted) entry->value = value;
    return inserted;
  }
  // True if the key was new.
  bool insert_or_assign(const K& key, const V& value) {
    auto [entry, inserted] = find_or_add(key);
    entry->value = value;
    return inserted;
  }
  // The value, and whether the key was new; then it is value-initialised.
  std::pair<V*, bool> try_emplace(const K& key) {
    auto [entry, inserted] = find_or_add(key);
    // Zeros are a fresh V for all but types with initialisers of their own.
    if constexpr (!kZeroIsFresh) {
      if (inserted) entry->value = V();
    }
    return {&entry->value, inserted};
  }
  V& operator[](const K& key) { return *try_emplace(key).first; }
  template <typename Q>
  bool erase(const Q& key) noexcept {
    Entry* entry = find_entry(key);
    if (entry == nullptr) return false;
    clear_range(entry, sizeof(Entry) / 8);
    entry->state = kErased;
    --count_;
    forget_erased_before_empty(entry);
    return true;
  }
  void clear() noexcept { forget(); }
  void reserve(std::size_t count) {
    if (count + count / 2 > capacity()) rehash(count);
  }

 private:
  friend class internal::Publisher;

  static constexpr std::uint64_t kEmpty = 0;
  static constexpr std::uint64_t kErased = 1;
  static constexpr std::uint64_t kFirstHash = std::uint64_t{1} << 63;
  static constexpr bool kZeroIsFresh = std::is_arithmetic_v<V> || std::is_enum_v<V>;

  Entry* entries() const noexcept { return static_cast<Entry*>(backing_.get()); }
  // A power of two. It stands in the word before the entries: the object's header counts its elements;
  // a noscan backing has no header and begins with such a word of its own.
  std::size_t capacity() const noexcept {
    const Entry* all = entries();
    return all == nullptr ? 0 : Header::count(reinterpret_cast<const std::uint64_t*>(all)[-1]);
  }
  void forget() noexcept {
    backing_ = nullptr;
    count_ = used_ = 0;
  }
  template <typename Q>
  static std::uint64_t hash_of(const Q& key) noexcept {
    // A key and what it is looked up by must hash alike: both as text, or both as K.
    if constexpr (std::is_convertible_v<const Q&, std::string_view>) {
      return hash_bytes(key) | kFirstHash;
    } else {
      return Hash<K>()(static_cast<const K&>(key)) | kFirstHash;
    }
  }
  template <typename Q>
  Entry* find_entry(const Q& key) const noexcept {
    if (count_ == 0) return nullptr;
    Entry* all = entries();
    const std::size_t mask = capacity() - 1;
    const std::uint64_t hash = hash_of(key);
    for (std::size_t i = (hash >> 8) & mask;; i = (i + 1) & mask) {
      if (all[i].state == kEmpty) return nullptr;
      if (all[i].state == hash && all[i].key == key) return &all[i];
    }
  }
  // One walk finds the key, or the first place where it may stand.
  std::pair<Entry*, bool> find_or_add(const K& key) {
    const std::uint64_t hash = hash_of(key);
    const std::size_t entries_now = capacity();
    Entry* place = nullptr;
    if (entries_now != 0) {
      Entry* all = entries();
      const std::size_t mask = entries_now - 1;
      for (std::size_t i = (hash >> 8) & mask;; i = (i + 1) & mask) {
        Entry& entry = all[i];
        if (entry.state == hash && entry.key == key) return {&entry, false};
        if (entry.state < kFirstHash && place == nullptr) place = &entry;
        if (entry.state == kEmpty) break;
      }
      if (place->state == kErased) return {fill(place, key, hash), true};
    }
    if ((used_ + std::size_t{1}) * 4 > entries_now * 3) {
      const K copy(key);  // `key` may lie in the backing that is about to be left
      rehash(count_ + std::size_t{1});
      ++used_;
      return {fill(free_entry(entries(), capacity(), hash), copy, hash), true};
    }
    ++used_;
    return {fill(place, key, hash), true};
  }
  Entry* fill(Entry* place, const K& key, std::uint64_t hash) noexcept {
    place->key = key;
    place->state = hash;
    ++count_;
    return place;
  }
  // No probe needs to pass an erased place behind which nothing stands: it is empty again, and so are those
  // right before it.
  void forget_erased_before_empty(Entry* entry) noexcept {
    Entry* all = entries();
    const std::size_t mask = capacity() - 1;
    auto at = static_cast<std::size_t>(entry - all);
    if (all[(at + 1) & mask].state != kEmpty) return;
    for (; all[at].state == kErased; at = (at - 1) & mask) {
      all[at].state = kEmpty;
      --used_;
    }
  }
  static Entry* free_entry(Entry* all, std::size_t capacity, std::uint64_t hash) noexcept {
    const std::size_t mask = capacity - 1;
    std::size_t i = (hash >> 8) & mask;
    while (all[i].state >= kFirstHash) i = (i + 1) & mask;
    return &all[i];
  }
  // A new backing with room for `count` entries at most half full. The entries are copied as words: the
  // old backing stays as it was for references into it (map.insert(key, *map.find(other))).
  void rehash(std::size_t count) {
    static_assert(Traceable<K> && Traceable<V>,
                  "a Map's keys and values are handles, numbers or described structs");
    static_assert(std::is_trivially_destructible_v<K> && std::is_trivially_destructible_v<V>,
                  "a Map's keys and values have trivial destructors: the collector runs none");
    static_assert(alignof(Entry) == 8, "a Map's keys and values are aligned to 8 bytes at most");
    const std::size_t larger_capacity = std::bit_ceil(count * 2 < 4 ? std::size_t{4} : count * 2);
    TAILRACE_CHECK_VALUE(larger_capacity <= UINT32_MAX / 2, "a Map holds less than 2^30 entries",
                         larger_capacity);
    Entry* larger = allocate_entries(larger_capacity, place_for(this));
    internal::before_move(backing_.get());
    for (Entry& entry : *this) {
      Entry* place = free_entry(larger, larger_capacity, entry.state);
      store_range(place, &entry, sizeof(Entry) / 8);
    }
    backing_ = larger;
    used_ = count_;
  }
  static Entry* allocate_entries(std::size_t capacity, Place place) {
    const auto count = static_cast<std::uint32_t>(capacity);
    // One byte more: a past-the-end pointer must lie within the object.
    const std::size_t bytes = capacity * sizeof(Entry) + 1;
    if constexpr (kNoscan<Entry>) {
      auto* words = static_cast<std::uint64_t*>(allocate_noscan(kHeaderBytes + bytes, place));
      words[0] = Header::pack(0, 0, count);
      std::memset(words + 1, 0, capacity * sizeof(Entry));
      return reinterpret_cast<Entry*>(words + 1);
    } else {
      return static_cast<Entry*>(allocate_scanned(bytes, kTypeNumber<Entry>, count, place));
    }
  }

  [[no_unique_address]] internal::HandlePlace<Map> place_;
  Member<void> backing_;
  std::uint32_t count_ = 0;
  std::uint32_t used_ = 0;
};

template <typename K, typename V>
struct Trace<Map<K, V>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add(offset); }
};

}  // namespace tailrace::gc
