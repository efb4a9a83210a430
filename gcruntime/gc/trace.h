// From a type's description to its trace: which of its words may hold a managed pointer. All of it at
// compile time, from BOOST_DESCRIBE_STRUCT/CLASS; a member that the collector could not see is a
// compile error that names the type.
//
// What a described member may be: a handle (Member, String, Vector, Map, Atomic), a number, an enum,
// bool, another described struct, std::array/optional/pair/variant of these, or Opaque<T>. A raw
// pointer, a std::string or an undescribed struct is refused.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "gcruntime/gc/member.h"
#include "gcruntime/gc/type_info.h"

namespace tailrace::gc {

template <typename T>
class Root;

// The words of one type. Filled by Trace<T>::words.
class WordSet {
 public:
  static constexpr std::size_t kMaxBytes = 16384;

  constexpr void add(std::size_t byte_offset) {
    bits[byte_offset / 8 / 64] |= std::uint64_t{1} << (byte_offset / 8 % 64);
    any = true;
  }
  constexpr void add_maybe(std::size_t byte_offset) {
    add(byte_offset);
    maybe = true;
  }

  std::uint64_t bits[kMaxBytes / 8 / 64]{};
  bool any = false;
  bool maybe = false;  // a word may hold an integer: resolve it as conservatively as a stack word
};

// A value that the collector must not look into: it holds no managed pointer, its owner's word.
template <typename T>
struct Opaque {
  static_assert(!internal::kIsBareHandle<T>,
                "Opaque hides this handle from the collector: make it a member as it is");
  T value;
};

// Trace<T>::words(set, offset) adds the words of a T that lies at that byte offset.
template <typename T, typename = void>
struct Trace {
  static constexpr bool kKnown = false;
};

template <typename T>
concept Traceable = Trace<std::remove_cv_t<T>>::kKnown;

template <typename T>
requires(std::is_arithmetic_v<T> || std::is_enum_v<T> ||
         std::is_same_v<T, std::monostate>) struct Trace<T> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet&, std::size_t) {}
};
template <typename T>
struct Trace<Opaque<T>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet&, std::size_t) {}
};
template <typename T>
struct Trace<Member<T>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add(offset); }
};
template <typename T>
struct Trace<Atomic<T>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add(offset); }
};
template <typename T, std::size_t N>
struct Trace<std::array<T, N>, std::enable_if_t<Traceable<T>>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) {
    for (std::size_t i = 0; i < N; ++i) Trace<T>::words(set, offset + i * sizeof(T));
  }
};
// The payload keeps its bits after reset(): traced always, which may keep an object but loses none.
template <typename T>
struct Trace<std::optional<T>, std::enable_if_t<Traceable<T>>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { Trace<T>::words(set, offset); }
};
// A word is a pointer or an integer, and which of them cannot be read without tearing: maybe.
template <typename... Ts>
struct Trace<std::variant<Ts...>, std::enable_if_t<(Traceable<Ts> && ...)>> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) {
    WordSet inner;
    (Trace<Ts>::words(inner, 0), ...);
    if (!inner.any) return;
    for (std::size_t byte = 0; byte + 8 <= sizeof(std::variant<Ts...>); byte += 8) {
      set.add_maybe(offset + byte);
    }
  }
};
template <typename A, typename B>
struct Trace<std::pair<A, B>, std::enable_if_t<Traceable<A> && Traceable<B>>> {
  static constexpr bool kKnown = true;
  static constexpr std::size_t kSecond = (sizeof(A) + alignof(B) - 1) / alignof(B) * alignof(B);
  static constexpr void words(WordSet& set, std::size_t offset) {
    Trace<A>::words(set, offset);
    Trace<B>::words(set, offset + kSecond);
  }
};

// --- Described structs ---------------------------------------------------------------------------

namespace internal {

// Never defined: only its members' addresses are compared, in constant expressions. (bit_cast of a
// member pointer and arithmetic on void* are refused there.)
template <typename T>
union Probe {
  constexpr Probe() {}
  constexpr ~Probe() {}
  char bytes[sizeof(T)];
  T object;
};
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif
template <typename T>
struct ProbeHolder {
  static Probe<T> probe;
};

template <typename T, typename D>
constexpr std::size_t member_offset(std::size_t from) {
  for (std::size_t i = from; i < sizeof(T); ++i) {
    if (static_cast<const void*>(&ProbeHolder<T>::probe.bytes[i]) ==
        static_cast<const void*>(&(ProbeHolder<T>::probe.object.*D::pointer))) {
      return i;
    }
  }
  return sizeof(T);
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

template <typename T>
using Members = boost::describe::describe_members<T, boost::describe::mod_any_access |
                                                         boost::describe::mod_inherited>;

template <auto kPointer>
struct MemberTypeOf;
template <typename C, typename M, M C::*kPointer>
struct MemberTypeOf<kPointer> {
  using type = M;
};
template <typename D>
using MemberType = typename MemberTypeOf<D::pointer>::type;

template <typename T>
inline constexpr bool kIsRoot = false;
template <typename T>
inline constexpr bool kIsRoot<Root<T>> = true;

// One error line that names the struct and the member's type, and says what to write instead.
template <typename Struct, typename Type>
struct CheckMember {
  static constexpr bool kPointer = std::is_pointer_v<Type> || std::is_member_pointer_v<Type>;
  static constexpr bool kOwner = !Traceable<Type> && !std::is_trivially_destructible_v<Type>;
  static_assert(
      !kPointer,
      "a raw pointer in a described struct: the collector does not follow it; use Member<T>, "
      "or Opaque<T*> if what it points to is not managed");
  static_assert(
      !kIsRoot<Type>,
      "a Root in a managed object keeps what it points to for ever, itself included if there "
      "is a cycle: use Member<T>");
  static_assert(
      !kOwner || kIsRoot<Type>,
      "this member owns memory that the collector does not see, and its destructor would never "
      "run: use String, Vector, Map or Member<T>, or keep it outside the managed object");
  static_assert(
      Traceable<Type> || kPointer || kOwner,
      "this member of the described struct cannot be traced: use Member<T>, String, Vector, "
      "Map, a number, a described struct, or Opaque<T> if it holds no managed pointer");
  static constexpr bool kChecked = true;
};

template <typename T>
struct Coverage {
  bool words[WordSet::kMaxBytes / 8]{};
};

// Types may say that a word which no member covers is padding (alignas), or a second base's vptr, by
// specialising this.
template <typename T>
inline constexpr bool kAllowUndescribedWords = false;

template <typename T>
constexpr bool covers_every_word() {
  Coverage<T> covered;
  covered.words[0] = std::is_polymorphic_v<T>;  // the vptr
  boost::mp11::mp_for_each<Members<T>>([&](auto d) {
    using D = decltype(d);
    const std::size_t offset = member_offset<T, D>(0);
    const std::size_t end = offset + sizeof(MemberType<D>);
    for (std::size_t word = offset / 8; word < (end + 7) / 8; ++word) covered.words[word] = true;
  });
  for (std::size_t word = 0; word < sizeof(T) / 8; ++word) {
    if (!covered.words[word]) return false;
  }
  return true;
}

}  // namespace internal

template <typename T>
concept Described =
    boost::describe::has_describe_members<T>::value && std::is_class_v<T> && !std::is_union_v<T>;

template <typename T>
requires Described<T>
struct Trace<T> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) {
    static_assert(sizeof(T) <= WordSet::kMaxBytes, "a managed struct is at most 16 KiB");
    std::size_t from = 0;
    boost::mp11::mp_for_each<internal::Members<T>>([&](auto d) {
      using D = decltype(d);
      using M = internal::MemberType<D>;
      static_assert(internal::CheckMember<T, M>::kChecked);
      std::size_t at = internal::member_offset<T, D>(from);
      if (at == sizeof(T)) at = internal::member_offset<T, D>(0);  // bases, reordered descriptions
      // Refused above with one clear line; a second error would bury it.
      if constexpr (Traceable<M>) Trace<std::remove_cv_t<M>>::words(set, offset + at);
      from = at + 1;
    });
    static_assert(internal::kAllowUndescribedWords<T> || internal::covers_every_word<T>(),
                  "a word of this struct is covered by no described member: describe every member, "
                  "bases included");
  }
};

// --- Type infos ----------------------------------------------------------------------------------

namespace internal {

template <typename T>
constexpr WordSet word_set() {
  WordSet set;
  if constexpr (Traceable<T>) Trace<T>::words(set, 0);  // else refused where it is used
  return set;
}
template <typename T>
inline constexpr WordSet kWordSet = word_set<T>();

// The name within the function's own signature; a literal, so it costs nothing at run time.
template <typename T>
constexpr const char* type_name() {
  return __PRETTY_FUNCTION__;
}

template <typename T>
inline constexpr std::size_t kWords = (sizeof(T) + 7) / 8;
template <typename T>
struct Bitmap {
  static constexpr auto make() {
    std::array<std::uint64_t, (kWords<T> + 63) / 64> bits{};
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = kWordSet<T>.bits[i];
    return bits;
  }
  static constexpr auto kBits = make();
};

#if defined(TAILRACE_VERIFY)
// Appends text as far as there is room; what lies before is a string.
inline void append_text(char* text, std::size_t room, const char* more) noexcept {
  std::size_t at = 0;
  while (at < room && text[at] != 0) ++at;
  for (; at + 1 < room && *more != 0; ++at) text[at] = *more++;
  if (at < room) text[at] = 0;
}
template <typename T>
void member_path(std::size_t offset, char* text, std::size_t room) {
  if constexpr (Described<T>) {
    boost::mp11::mp_for_each<Members<T>>([&](auto d) {
      using D = decltype(d);
      using M = std::remove_cv_t<MemberType<D>>;
      const std::size_t at = member_offset<T, D>(0);
      if (offset < at || offset >= at + sizeof(M)) return;
      if (text[0] != 0) append_text(text, room, ".");
      append_text(text, room, D::name);
      member_path<M>(offset - at, text, room);
    });
  }
}
template <typename T>
inline constexpr auto kMemberPath = &member_path<T>;
#else
template <typename T>
inline constexpr std::nullptr_t kMemberPath = nullptr;
#endif

template <typename T>
inline constexpr TypeInfo kTypeInfo{
    type_name<T>(),          sizeof(T),         static_cast<std::uint32_t>(kWords<T>),
    Bitmap<T>::kBits.data(), kWordSet<T>.maybe, kMemberPath<T>};

}  // namespace internal

// True if objects of T need no scan.
template <typename T>
inline constexpr bool kNoscan = !internal::kWordSet<T>.any;

template <typename T>
inline const std::uint16_t kTypeNumber = register_type(&internal::kTypeInfo<T>);

}  // namespace tailrace::gc
