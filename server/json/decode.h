// decode<T>: a managed T from JSON text; decode_into: the same into one that is there.
//
// T is a described struct, a Vector, a Map with String keys, or anything else that may be a member:
// bool, integers, float, double, described enums (by name), String, Member (null or the value),
// std::optional (null or missing: none), std::array (exact length), types with a TextCodec. null is
// taken only where it means something.
//
// Refused with 400: anything that RFC 8259 does not allow anywhere in the text, a byte order mark,
// text behind the document, values of the wrong type, integers with a fraction or exponent, numbers
// out of range, duplicate members (and map keys), missing members (describe.h says which may be
// missing). With 422: more than Limits::max_elements elements, and whatever the type's own
// validation says:
//   std::optional<std::string> validate(const T&);   // found by argument-dependent look-up
// is called after the members of each T were read; a message refuses it.
// Members that T does not have are checked like everything else and dropped.
//
// What is being built is held by the fiber's stack, so decoding may be interrupted by a collection
// at each allocation, and the fiber may go on on another thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "gcruntime/gc/make.h"
#include "server/json/cursor.h"
#include "server/json/describe.h"
#include "server/json/error.h"

namespace tailrace::json {

// A value, or why there is none. Lives on a stack: the pointer is raw.
template <typename T>
struct Decoded {
  T* value = nullptr;
  Error error;  // if value is null

  explicit operator bool() const noexcept { return value != nullptr; }
  T& operator*() const noexcept { return *value; }
  T* operator->() const noexcept { return value; }
};

namespace internal {

template <typename T>
concept SelfValidating = requires(const T& value) {
  { validate(value) } -> std::convertible_to<std::optional<std::string>>;
};

// Inlined into the readers of structs and containers: a level of nesting then costs one frame.
template <typename T>
TAILRACE_ALWAYS_INLINE Position read_value(Cursor& in, Position at, T& value);

template <typename T, std::size_t I>
inline constexpr NamePattern<Fields<T>::template kName<I>.size() + 1> kNamePattern{
    Fields<T>::template kName<I>};

// Finds a member by name: open addressing at compile time, one probe mostly. (A struct has at most
// 52 members of its own.)
template <typename T>
class FieldTable {
 public:
  static constexpr std::size_t kNotFound = SIZE_MAX;

  static std::size_t find(std::string_view name) noexcept {
    for (std::size_t slot = hash(name) % kSlots;; slot = (slot + 1) % kSlots) {
      const std::size_t field = kTable[slot];
      if (field == kEmpty) return kNotFound;
      if (Fields<T>::kNames[field] == name) return field;
    }
  }

 private:
  static constexpr std::size_t kSlots = std::bit_ceil(Fields<T>::kCount * 4 + 1);
  static constexpr std::uint8_t kEmpty = UINT8_MAX;
  static_assert(Fields<T>::kCount <= 64, "a decoded struct has at most 64 members");

  static constexpr std::size_t hash(std::string_view name) noexcept {
    if (name.empty()) return 0;
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(name[i]); };
    return name.size() * 7 + byte(0) * 31u + byte(name.size() / 2) * 5u +
           byte(name.size() - 1) * 17u;
  }
  static constexpr std::array<std::uint8_t, kSlots> make() {
    std::array<std::uint8_t, kSlots> table{};
    for (auto& slot : table) slot = kEmpty;
    for (std::size_t i = 0; i < Fields<T>::kCount; ++i) {
      std::size_t slot = hash(Fields<T>::kNames[i]) % kSlots;
      while (table[slot] != kEmpty) slot = (slot + 1) % kSlots;
      table[slot] = static_cast<std::uint8_t>(i);
    }
    return table;
  }
  static constexpr std::array<std::uint8_t, kSlots> kTable = make();
};

template <typename T>
constexpr std::uint64_t required_fields() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return ((kIsSpecialization<typename Fields<T>::template Type<I>, std::optional> ||
                     MemberRules<T>::is_optional(Fields<T>::kNames[I])
                 ? std::uint64_t{0}
                 : std::uint64_t{1} << I) |
            ... | std::uint64_t{0});
  }
  (std::make_index_sequence<Fields<T>::kCount>());
}

template <typename T, std::size_t I>
TAILRACE_ALWAYS_INLINE Position read_field_inline(Cursor& in, Position at, T& object) {
  const Position behind = read_value(in, at, object.*Fields<T>::template kPointer<I>);
  if (behind == nullptr) [[unlikely]]
    return in.in_member(Fields<T>::kNames[I]);
  return behind;
}
template <typename T, std::size_t I>
Position read_field(Cursor& in, Position at, T& object) {
  return read_field_inline<T, I>(in, at, object);
}

template <typename T>
inline constexpr auto kFieldReaders = []<std::size_t... I>(std::index_sequence<I...>) {
  return std::array<Position (*)(Cursor&, Position, T&), sizeof...(I)>{&read_field<T, I>...};
}
(std::make_index_sequence<Fields<T>::kCount>());

// What a look at one member in any order found.
enum class Found { kField, kNothing, kFailed };

// Takes the name of the next member. kField: a value of T's member `field` comes. kNothing: it was
// an unknown one, which has been walked. This and not its caller holds the frame that looking
// takes, so that nested values do not stand on it.
template <typename T>
TAILRACE_NOINLINE Found find_field(Cursor& in, Position& at, std::uint64_t& seen,
                                   std::size_t& field) {
  const Position name_at = at;
  std::string_view name;
  at = in.read_name(at, name);
  if (at == nullptr) return Found::kFailed;
  field = FieldTable<T>::find(name);
  if (field == FieldTable<T>::kNotFound) {
    if (MemberRules<T>::refuse_unknown()) {
      in.fail(name_at, "unknown member");
      in.in_member(name);
      return Found::kFailed;
    }
    at = in.skip_value(at);
    if (at != nullptr) return Found::kNothing;
    in.in_member(name);
    return Found::kFailed;
  }
  if ((seen >> field & 1) != 0) {
    in.fail(name_at, "duplicate member");
    in.in_member(name);
    return Found::kFailed;
  }
  seen |= std::uint64_t{1} << field;
  return Found::kField;
}

// Members in any order, from the place where they stopped coming as declared. Behind the object.
template <typename T>
TAILRACE_ALWAYS_INLINE Position read_fields_in_any_order(Cursor& in, Position at, T& object,
                                                         std::uint64_t& seen) {
  for (;;) {
    std::size_t field = 0;
    const Found found = find_field<T>(in, at, seen, field);
    if (found == Found::kFailed) return nullptr;
    if constexpr (Fields<T>::kCount > 0) {
      if (found == Found::kField) {
        at = kFieldReaders<T>[field](in, at, object);
        if (at == nullptr) return nullptr;
      }
    }
    const char separator = in.token(at);
    if (separator == '}') return in.close(at);
    if (separator != ',') return in.fail_separator(at, '}');
    ++at;
  }
}

// Members as long as they come in declared order: straight-line code, names compared as whole
// words. Behind the object.
template <typename T>
TAILRACE_ALWAYS_INLINE Position read_fields(Cursor& in, Position at, T& object,
                                            std::uint64_t& seen) {
  bool closed = false;
  // False when there is no next member to read here: an error, the end, or another name.
  const auto read_next = [&]<std::size_t I>() __attribute__((always_inline)) {
    if (!in.name_is(at, kNamePattern<T, I>)) [[unlikely]]
      return false;
    seen |= std::uint64_t{1} << I;
    at = read_field_inline<T, I>(in, at + 2, object);
    if (at == nullptr) [[unlikely]]
      return false;
    const char separator = in.token(at);
    if (separator == ',') {
      ++at;
      return true;
    }
    closed = separator == '}';
    at = closed ? in.close(at) : in.fail_separator(at, '}');
    return false;
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    static_cast<void>((read_next.template operator()<I>() && ...));
  }
  (std::make_index_sequence<Fields<T>::kCount>());
  if (closed || at == nullptr) return at;
  return read_fields_in_any_order(in, at, object, seen);
}

template <typename T>
[[gnu::cold]] TAILRACE_NOINLINE Position fail_missing(Cursor& in, Position object_at,
                                                      std::uint64_t missing) {
  in.fail(object_at, "missing member");
  return in.in_member(Fields<T>::kNames[static_cast<std::size_t>(std::countr_zero(missing))]);
}

template <DescribedStruct T>
TAILRACE_NOINLINE Position read_struct(Cursor& in, Position object_at, T& object) {
  Position at = in.open(object_at, '{');
  if (at == nullptr) return nullptr;
  std::uint64_t seen = 0;
  at = in.token(at) == '}' ? in.close(at) : read_fields(in, at, object, seen);
  if (at == nullptr) return nullptr;
  constexpr std::uint64_t kRequired = required_fields<T>();
  if ((seen & kRequired) != kRequired) [[unlikely]] {
    return fail_missing<T>(in, object_at, kRequired & ~seen);
  }
  if constexpr (SelfValidating<T>) {
    std::optional<std::string> refusal = validate(std::as_const(object));
    if (refusal) return in.fail(object_at, 422, std::move(*refusal));
  }
  return at;
}

[[gnu::cold]] inline Position fail_too_many(Cursor& in, Position at) {
  return in.fail(at, 422, "more than " + std::to_string(in.limits().max_elements) + " elements");
}

template <typename E>
inline constexpr bool kIsOneToken = std::is_arithmetic_v<E> || std::is_enum_v<E> ||
                                    std::is_same_v<E, gc::String> || HasTextCodec<E>;

template <typename E>
TAILRACE_NOINLINE Position read_vector(Cursor& in, Position array_at, gc::Vector<E>& elements) {
  Position at = in.open(array_at, '[');
  if (at == nullptr) return nullptr;
  elements.clear();
  const std::size_t expected = kIsOneToken<E> ? in.count_scalars(at) : in.expect_elements(at);
  if (expected == 0) return in.close(at);
  const std::size_t most = in.limits().max_elements;
  if (kIsOneToken<E> && expected > most) return fail_too_many(in, array_at);
  elements.reserve(std::min(expected, most));
  for (;;) {
    at = read_value(in, at, elements.emplace_back());
    if (at == nullptr) return in.in_element(elements.size() - 1);
    const char separator = in.token(at);
    if (separator == ']') return in.close(at);
    if (separator != ',') return in.fail_separator(at, ']');
    if (elements.size() == most) return fail_too_many(in, array_at);
    ++at;
  }
}

template <typename E, std::size_t N>
Position read_array(Cursor& in, Position array_at, std::array<E, N>& elements) {
  Position at = in.open(array_at, '[');
  if (at == nullptr) return nullptr;
  for (std::size_t i = 0; i < N; ++i) {
    if (in.token(at) == ']') break;
    at = read_value(in, at, elements[i]);
    if (at == nullptr) return in.in_element(i);
    if (in.token(at) == ']' && i + 1 == N) return in.close(at);
    if (in.token(at) != ',') {
      if (in.token(at) != ']') return in.fail_separator(at, ']');
      break;
    }
    ++at;
  }
  if (N == 0 && in.token(at) == ']') return in.close(at);
  return in.fail(array_at, 400, "expected an array of " + std::to_string(N) + " elements");
}

template <typename V>
TAILRACE_NOINLINE Position read_map(Cursor& in, Position object_at, gc::Map<gc::String, V>& map) {
  Position at = in.open(object_at, '{');
  if (at == nullptr) return nullptr;
  map.clear();
  if (in.token(at) == '}') return in.close(at);
  const std::size_t most = in.limits().max_elements;
  for (;;) {
    if (map.size() == most) return fail_too_many(in, object_at);
    const Position name_at = at;
    gc::String key;
    at = in.read_name(at, key);
    if (at == nullptr) return nullptr;
    const auto [value, added] = map.try_emplace(key);
    if (!added) {
      in.fail(name_at, "duplicate member");
      return in.in_member(key);
    }
    at = read_value(in, at, *value);
    if (at == nullptr) return in.in_member(key);
    const char separator = in.token(at);
    if (separator == '}') return in.close(at);
    if (separator != ',') return in.fail_separator(at, '}');
    ++at;
  }
}

template <DescribedEnum E>
Position read_enum(Cursor& in, Position at, E& value) {
  std::string_view name;
  const Position behind = in.read_short_string(at, "the name of an enumerator", name);
  if (behind == nullptr) return nullptr;
  for (std::size_t i = 0; i < Enumerators<E>::kCount; ++i) {
    if (Enumerators<E>::kNames[i] == name) {
      value = Enumerators<E>::kValues[i];
      return behind;
    }
  }
  std::string message = "expected one of";
  const char* separator = " ";
  for (const std::string_view allowed : Enumerators<E>::kNames) {
    message += separator;
    message += allowed;
    separator = ", ";
  }
  return in.fail(at, 400, std::move(message));
}

template <typename T>
Position read_text(Cursor& in, Position at, T& value) {
  std::string_view text;
  const Position behind = in.read_short_string(at, TextCodec<T>::kExpected, text);
  if (behind == nullptr || TextCodec<T>::parse(text, value)) return behind;
  return in.fail(at, 400, std::string("expected ") + TextCodec<T>::kExpected);
}

template <typename T>
TAILRACE_ALWAYS_INLINE Position read_integer(Cursor& in, Position at, T& value) {
  if constexpr (std::is_signed_v<T>) {
    std::int64_t number = 0;
    at = in.read_signed(at, number, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
    value = static_cast<T>(number);
  } else {
    std::uint64_t number = 0;
    at = in.read_unsigned(at, number, std::numeric_limits<T>::max());
    value = static_cast<T>(number);
  }
  return at;
}

template <typename T>
TAILRACE_ALWAYS_INLINE Position read_value(Cursor& in, Position at, T& value) {
  if constexpr (HasTextCodec<T>) {
    return read_text(in, at, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return in.read_bool(at, value);
  } else if constexpr (std::is_same_v<T, float>) {
    return in.read_float(at, value);
  } else if constexpr (std::is_floating_point_v<T>) {
    static_assert(std::is_same_v<T, double>,
                  "JSON numbers are doubles; long double would be a promise");
    return in.read_double(at, value);
  } else if constexpr (std::is_integral_v<T>) {
    static_assert(sizeof(T) <= 8);
    return read_integer(in, at, value);
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(DescribedEnum<T>, "describe the enum with BOOST_DESCRIBE_ENUM");
    return read_enum(in, at, value);
  } else if constexpr (std::is_same_v<T, gc::String>) {
    return in.read_string(at, value);
  } else if constexpr (kIsSpecialization<T, std::optional>) {
    if (in.is_null(at)) {
      value.reset();
      return at + 1;
    }
    return read_value(in, at, value.emplace());
  } else if constexpr (kIsSpecialization<T, gc::Member>) {
    if (in.is_null(at)) {
      value = nullptr;
      return at + 1;
    }
    using Pointee = std::remove_reference_t<decltype(*value)>;
    Pointee* const object = gc::make<Pointee>();
    value = object;
    return read_value(in, at, *object);
  } else if constexpr (DescribedStruct<T>) {
    return read_struct(in, at, value);
  } else if constexpr (kIsSpecialization<T, gc::Vector>) {
    return read_vector(in, at, value);
  } else if constexpr (requires { typename T::Entry; }) {
    return read_map(in, at, value);
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    return read_array(in, at, value);
  } else {
    static_assert(
        kAlwaysFalse<T>,
        "this type cannot be decoded: describe it, or give it a TextCodec (Atomic, pairs and "
        "variants have no JSON form)");
  }
}

// `place` says where the value goes, once the text is known to be worth it.
template <typename Place>
std::optional<Error> decode_at(std::string_view padded_text, const Limits& limits, Place place) {
  // A text over the bound is not even looked at.
  const StructuralIndex index(padded_text.size() > limits.max_bytes ? std::string_view()
                                                                    : padded_text);
  Cursor in(padded_text, index, limits);
  if (in.ok()) {
    const Position behind = read_value(in, in.begin(), place());
    if (behind != nullptr && in.finish(behind)) return std::nullopt;
  }
  return in.take_error();
}

}  // namespace internal

// `padded_text` is followed by at least 64 readable bytes (Buffer::kPaddingBytes). May suspend.
template <typename T>
[[nodiscard]] Decoded<T> decode(std::string_view padded_text, const Limits& limits = {}) {
  T* value = nullptr;
  std::optional<Error> error = internal::decode_at(
      padded_text, limits, [&value]() -> T& { return *(value = gc::make<T>()); });
  if (error) return {nullptr, *std::move(error)};
  return {value, {}};
}

// The same into a T that is there, for values that are used again (gc/pool.h): a Vector keeps its room.
// Other members that the text leaves out stay as they are, so `value` is as T() made it. After an error it
// holds anything.
template <typename T>
[[nodiscard]] std::optional<Error> decode_into(std::string_view padded_text, T& value,
                                               const Limits& limits = {}) {
  return internal::decode_at(padded_text, limits, [&value]() -> T& { return value; });
}

}  // namespace tailrace::json
