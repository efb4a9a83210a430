// publish(x): a deep copy of what lies in the request's arena, on the collected heap, for keeping.
//
//   store->current.store(publish(update));
//
//   publish(const T*)                    null, and what is the collector's already, as it is (shared); else a
//                                        copy, with all that it reaches in the arena
//                                        (of a type with a destructor: itself, faded)
//   publish(String), (Vector), (Map)     a value whose text or elements are on the heap
//
// What is published is immutable from then on, for the request too: outside an arena, and in one that has faded
// as a whole, it is the original.
//
// It copies by description, as trace.h walks it: numbers, Opaque and padding as bytes (no constructor runs),
// texts in the arena, elements of Vectors and Maps into backings of just that size, what Members and Atomics
// point to. What several pointers share is copied once, and cycles stay cycles. A pointer to something else
// than the whole object of its type (an element, a base class; anything behind Member<void>) is not followed:
// that object fades.
//
// Allocates, so it is a suspension point and throws MemoryLimitExceeded; what was copied until then is garbage.
// By the arena's own fiber, like all that reads unfaded objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/arena_blocks.h"

namespace tailrace::gc {

namespace internal {

// One call of publish. Lives on a stack.
//
// [publish.list] Each object found is given its memory at once, and its place in the pointer that led to it;
// it is filled in its turn, from a list that is also the identity of copies. So no chain of objects is a chain
// of frames, and every copy can be reached from the first, which is on the stack: the list, whose longer form
// is malloc's, keeps nothing alive. Nested containers are filled on the way, and from a depth on by the list.
class Publisher {
 public:
  Publisher() noexcept = default;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // What a copy's pointer is, for one that led to `from`.
  template <typename T>
  T* follow(T* from) {
    using Object = std::remove_cv_t<T>;
    if (from == nullptr || !is_unfaded(from)) return from;
    // The store fades what is not copied: what has a destructor too, which is to run once. No object in an
    // arena is of an abstract type.
    if constexpr (!Traceable<Object> || !std::is_trivially_destructible_v<Object> ||
                  std::is_abstract_v<Object>) {
      return from;
    } else {
      if (!is_whole<Object>(from)) return from;
      void* known = find(from);
      return known != nullptr ? static_cast<T*>(known) : copy<Object>(from);
    }
  }

  // The copy of a whole object.
  template <typename T>
  T* copy(const T* from) {
    // Zeroed, if the collector looks into it.
    T* to = static_cast<T*>(allocate_for<T>(Place::kHeap));
    add({from, to, &fill_listed<T>});
    return to;
  }
  // All of a T: `to` is fresh memory on the heap.
  template <typename T>
  void fill(T* to, const T* from) {
    copy_other_words(to, from, sizeof(T), kWordSet<T>);
    fill_handles(*to, *from);
  }
  void finish() {
    for (; filled_ < count_; ++filled_) {
      const Copy next = many_.empty() ? few_[filled_] : many_[filled_];
      next.fill(*this, next.to, next.from);
    }
  }

  // What a copy's String is. Long texts that several share stay one.
  String follow(const String& text) {
    if (text.size() <= String::kInlineBytes || !is_unfaded(text.data())) return text;
    return text.size() < kSharedTextBytes ? copy_of_text(text) : shared_text(text);
  }

 private:
  using Fill = void (*)(Publisher& publisher, void* to, const void* from);
  struct Copy {
    const void* from;
    void* to;
    Fill fill;
  };
  static constexpr std::size_t kFew = 16;
  static constexpr std::size_t kSharedTextBytes = 1024;
  static constexpr unsigned kMostNested = 16;

  void add(const Copy& copy) {
    if (count_ >= kFew) {
      add_to_many(copy);
    } else {
      few_[count_++] = copy;
    }
  }
  // An object and its first member have one address, and so have their copies.
  void* find(const void* from) const noexcept {
    if (!many_.empty()) return find_in_many(from);
    for (std::size_t i = 0; i < count_; ++i) {
      if (few_[i].from == from) return few_[i].to;
    }
    return nullptr;
  }
  void add_to_many(const Copy& copy);
  static String copy_of_text(const String& text);
  String shared_text(const String& text);
  void* find_in_many(const void* from) const noexcept;
  std::size_t place_in_index(const void* from) const noexcept;

  template <typename T>
  static void fill_listed(Publisher& publisher, void* to, const void* from) {
    publisher.fill(static_cast<T*>(to), static_cast<const T*>(from));
  }

  // Numbers, lengths, vptrs, padding: the words that hold no pointer.
  TAILRACE_ALWAYS_INLINE static void copy_other_words(void* to, const void* from, std::size_t bytes,
                                                      const WordSet& pointers) {
    if (!pointers.any) {
      std::memcpy(to, from, bytes);
      return;
    }
    auto* out = static_cast<char*>(to);
    const auto* in = static_cast<const char*>(from);
    for (std::size_t word = 0; word < bytes / 8; ++word) {
      if ((pointers.bits[word / 64] >> word % 64 & 1) == 0) {
        std::memcpy(out + word * 8, in + word * 8, 8);
      }
    }
    std::memcpy(out + bytes / 8 * 8, in + bytes / 8 * 8, bytes % 8);
  }

  // The words that hold pointers.
  template <typename T>
  void fill_handles(T& to, const T& from) {
    if constexpr (!kNoscan<T>) {
      static_assert(Described<T>, "publish knows described structs, and what may stand in them");
      boost::mp11::mp_for_each<Members<T>>([&](auto d) {
        using M = std::remove_cv_t<MemberType<decltype(d)>>;
        fill_handles(const_cast<M&>(to.*decltype(d)::pointer), from.*decltype(d)::pointer);
      });
    }
  }
  template <typename T>
  void fill_handles(Member<T>& to, const Member<T>& from) {
    ::new (&to) Member<T>(follow(from.get()));
  }
  template <typename T>
  void fill_handles(Atomic<T>& to, const Atomic<T>& from) {
    ::new (&to) Atomic<T>(follow(from.load()));
  }
  void fill_handles(String& to, const String& from) { ::new (&to) String(follow(from)); }
  template <typename T, std::size_t N>
  void fill_handles(std::array<T, N>& to, const std::array<T, N>& from) {
    for (std::size_t i = 0; i < N; ++i) fill_handles(to[i], from[i]);
  }
  template <typename A, typename B>
  void fill_handles(std::pair<A, B>& to, const std::pair<A, B>& from) {
    fill_handles(to.first, from.first);
    fill_handles(to.second, from.second);
  }
  template <typename T>
  void fill_handles(std::optional<T>& to, const std::optional<T>& from) {
    // That it is engaged is copied already.
    if (from.has_value()) fill_handles(*to, *from);
  }

  template <typename... Ts>
  void fill_handles(std::variant<Ts...>& to, const std::variant<Ts...>& from) {
    TAILRACE_CHECK(!from.valueless_by_exception(), "publish of a variant that has no value");
    boost::mp11::mp_with_index<sizeof...(Ts)>(from.index(), [&](auto index) {
      using T = std::variant_alternative_t<index(), std::variant<Ts...>>;
      static_assert(std::is_default_constructible_v<T>,
                    "publish makes the alternatives of a variant afresh: give this one a default "
                    "constructor");
      ::new (&to) std::variant<Ts...>(std::in_place_index<index()>);
      fill(&std::get<index()>(to), &std::get<index()>(from));
    });
  }
  template <typename T>
  void fill_handles(Vector<T>& to, const Vector<T>& from) {
    ::new (&to) Vector<T>();  // on the heap, and so is its backing
    if (from.empty()) return;
    if (nested(&to, &from)) return;
    to.reserve(from.size());
    to.size_ = from.size_;
    if constexpr (kNoscan<T>) {
      std::memcpy(to.data(), from.data(), from.size() * sizeof(T));
    } else {
      for (std::size_t i = 0; i < from.size(); ++i) fill(&to[i], &from[i]);
    }
    --depth_;
  }
  template <typename K, typename V>
  void fill_handles(Map<K, V>& to, const Map<K, V>& from) {
    static_assert(hashes_alike(std::type_identity<K>()),
                  "publish of a Map whose keys hold pointers: a copied key might hash differently");
    ::new (&to) Map<K, V>();
    if (from.empty()) return;
    if (nested(&to, &from)) return;
    to.reserve(from.size());
    for (const auto& entry : from) {
      // Its state is its key's hash, and that of the copy.
      auto* place = to.free_entry(to.entries(), to.capacity(), entry.state);
      fill(place, &entry);
    }
    to.count_ = to.used_ = from.count_;
    --depth_;
  }
  template <typename K, typename V>
  void fill_handles(MapEntry<K, V>& to, const MapEntry<K, V>& from) {
    fill_handles(to.key, from.key);
    fill_handles(to.value, from.value);
  }
  // A key whose copy is equal to it, and hashes alike.
  template <typename T>
  static constexpr bool hashes_alike(std::type_identity<T>) {
    bool alike = kNoscan<T> || Described<T>;
    if constexpr (!kNoscan<T> && Described<T>) {
      boost::mp11::mp_for_each<Members<T>>([&](auto d) {
        using M = std::remove_cv_t<MemberType<decltype(d)>>;
        alike = alike && hashes_alike(std::type_identity<M>());
      });
    }
    return alike;
  }
  static constexpr bool hashes_alike(std::type_identity<String>) { return true; }
  template <typename T>
  static constexpr bool hashes_alike(std::type_identity<Vector<T>>) {
    return hashes_alike(std::type_identity<T>());
  }
  template <typename T, std::size_t N>
  static constexpr bool hashes_alike(std::type_identity<std::array<T, N>>) {
    return hashes_alike(std::type_identity<T>());
  }
  template <typename T>
  static constexpr bool hashes_alike(std::type_identity<std::optional<T>>) {
    return hashes_alike(std::type_identity<T>());
  }
  template <typename A, typename B>
  static constexpr bool hashes_alike(std::type_identity<std::pair<A, B>>) {
    return hashes_alike(std::type_identity<A>()) && hashes_alike(std::type_identity<B>());
  }

  // One container deeper, or for the list.
  template <typename T>
  bool nested(T* to, const T* from) {
    if (depth_ < kMostNested) {
      ++depth_;
      return false;
    }
    add({from, to, &fill_listed<T>});
    return true;
  }

  // `object` is unfaded and the whole of a T: the header before its payload says so. Before an element or a
  // member stands some other word; should that look like a T's header, it is copied instead of faded.
  template <typename T>
  static bool is_whole(const T* object) noexcept {
    if constexpr (std::is_polymorphic_v<T>) {
      if (typeid(*object) != typeid(T)) return false;
    }
    const std::uint64_t header = word_before(object);
    if constexpr (kNoscan<T>) {
      return heap::ArenaHeader::noscan(header) && Header::count(header) == sizeof(T);
    } else {
      return Header::type(header) == kTypeNumber<T> && Header::count(header) == 1;
    }
  }
  static std::uint64_t word_before(const void* object) noexcept;

  std::size_t count_ = 0;
  std::size_t filled_ = 0;
  unsigned depth_ = 0;  // of containers
  Copy few_[kFew];
  std::vector<Copy> many_;            // all of them, when they are more than that
  std::vector<std::uint32_t> index_;  // of many_, by address: number + 1, or 0
};

// `from` lies anywhere.
template <typename Container>
Container publish_container(const Container& from) {
  if (from.empty()) return {};
  // Boxed: the backing of a container on the stack would be in the arena.
  auto* box = heap_make<Container>();
  Publisher publisher;
  publisher.fill(box, &from);
  publisher.finish();
  return std::move(*box);
}

}  // namespace internal

template <typename T>
T* publish(const T* object) {
  using Object = std::remove_cv_t<T>;
  static_assert(Traceable<Object>, "describe the type with BOOST_DESCRIBE_STRUCT");
  static_assert(!internal::kMayBeOdd<Object>,
                "publish of a single byte: publish the object that it is part of, or a String");
  if (object == nullptr) return nullptr;
  const bool managed = heap::contains(reinterpret_cast<std::uintptr_t>(object));
  if constexpr (kFinalized<Object>) {
    TAILRACE_CHECK(managed, "publish of an object on the stack that has a destructor: make() it");
    // There is one destructor to run: it is this object that others get.
    internal::fade(object);
    return const_cast<T*>(object);
  }
  if (managed && !internal::is_unfaded(object)) return const_cast<T*>(object);
  internal::Publisher publisher;
  // One that lies on the stack is copied too.
  T* copy = managed ? publisher.follow(const_cast<T*>(object)) : publisher.copy<Object>(object);
  if (copy == object) internal::fade(object);
  publisher.finish();
  return copy;
}
inline String publish(const String& text) { return internal::Publisher().follow(text); }
template <typename T>
Vector<T> publish(const Vector<T>& vector) {
  return internal::publish_container(vector);
}
template <typename K, typename V>
Map<K, V> publish(const Map<K, V>& map) {
  return internal::publish_container(map);
}

}  // namespace tailrace::gc
