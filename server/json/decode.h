// decode<T>: a managed T from JSON text.
//
// T is a described struct, a Vector, a Map with String keys, or anything else that may be a member: bool,
// integers, float, double, described enums (by name), String, Member (null or the value), std::optional
// (null or missing: none), std::array (exact length), types with a TextCodec. null is taken only where
// it means something.
//
// Refused with 400: anything that RFC 8259 does not allow anywhere in the text, a byte order mark, text
// behind the document, values of the wrong type, integers with a fraction or exponent, numbers out of
// range, duplicate members (and map keys), missing members (describe.h says which may be missing). With
// 422: more than Limits::max_elements elements, and whatever the type's own validation says:
//   std::optional<std::string> validate(const T&);   // found by argument-dependent look-up
// is called after the members of each T were read; a message refuses it.
// Members that T does not have are checked like everything else and dropped.
//
// What is being built is held by the fiber's stack, so decoding may be interrupted by a collection at
// each allocation, and the fiber may go on on another thread.
#pragma once

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

template <typename T>
bool read_value(Cursor& in, T& value);

// `name"`: what stands behind the opening quote of the member's name.
template <typename T, std::size_t I>
inline constexpr auto kNameAndQuote = [] {
  constexpr std::string_view kName = Fields<T>::template kName<I>;
  std::array<char, kName.size() + 1> text{};
  for (std::size_t i = 0; i < kName.size(); ++i) text[i] = kName[i];
  text[kName.size()] = '"';
  return text;
}();

// Finds a member by name: open addressing at compile time, one probe mostly. (A struct has at most 52
// members of its own.)
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
    return name.size() * 7 + byte(0) * 31u + byte(name.size() / 2) * 5u + byte(name.size() - 1) * 17u;
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
  }(std::make_index_sequence<Fields<T>::kCount>());
}

template <typename T, std::size_t I>
bool read_field(Cursor& in, T& object) {
  return read_value(in, object.*Fields<T>::template kPointer<I>) ||
         in.in_member(Fields<T>::kNames[I]);
}

template <typename T>
inline constexpr auto kFieldReaders = []<std::size_t... I>(std::index_sequence<I...>) {
  return std::array<bool (*)(Cursor&, T&), sizeof...(I)>{&read_field<T, I>...};
}(std::make_index_sequence<Fields<T>::kCount>());

// Members in any order, from the place where they stopped coming as declared.
template <typename T>
TAILRACE_NOINLINE bool read_fields_in_any_order(Cursor& in, T& object, std::uint64_t& seen) {
  for (;;) {
    const std::size_t name_offset = in.offset();
    std::string_view name;
    if (!in.read_name(name)) return false;
    const std::size_t field = FieldTable<T>::find(name);
    if (field == FieldTable<T>::kNotFound) {
      if (MemberRules<T>::refuse_unknown()) {
        in.fail_at(name_offset, 400, "unknown member");
        return in.in_member(name);
      }
      if (!in.skip_value()) return in.in_member(name);
    } else {
      if ((seen >> field & 1) != 0) {
        in.fail_at(name_offset, 400, "duplicate member");
        return in.in_member(name);
      }
      seen |= std::uint64_t{1} << field;
      if constexpr (Fields<T>::kCount > 0) {
        if (!kFieldReaders<T>[field](in, object)) return false;
      }
    }
    const Cursor::Next next = in.after_value('}');
    if (next != Cursor::Next::kMore) return next == Cursor::Next::kDone;
  }
}

// Members as long as they come in declared order: straight-line code, names compared as whole words.
template <typename T>
bool read_fields(Cursor& in, T& object, std::uint64_t& seen) {
  Cursor::Next next = Cursor::Next::kMore;
  const auto read_next = [&]<std::size_t I>() {
    if (!in.try_name(kNameAndQuote<T, I>)) return false;
    seen |= std::uint64_t{1} << I;
    next = read_field<T, I>(in, object) ? in.after_value('}') : Cursor::Next::kFailed;
    return next == Cursor::Next::kMore;
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    static_cast<void>((read_next.template operator()<I>() && ...));
  }(std::make_index_sequence<Fields<T>::kCount>());
  if (next == Cursor::Next::kMore) return read_fields_in_any_order(in, object, seen);
  return next == Cursor::Next::kDone;
}

template <typename T>
[[gnu::cold]] TAILRACE_NOINLINE bool fail_missing(Cursor& in, std::size_t offset,
                                                  std::uint64_t missing) {
  in.fail_at(offset, 400, "missing member");
  return in.in_member(Fields<T>::kNames[static_cast<std::size_t>(std::countr_zero(missing))]);
}

template <DescribedStruct T>
TAILRACE_NOINLINE bool read_struct(Cursor& in, T& object) {
  const std::size_t offset = in.offset();
  if (!in.open('{')) return false;
  std::uint64_t seen = 0;
  if (!in.try_close('}') && !read_fields(in, object, seen)) return false;
  constexpr std::uint64_t kRequired = required_fields<T>();
  if ((seen & kRequired) != kRequired) [[unlikely]] {
    return fail_missing<T>(in, offset, kRequired & ~seen);
  }
  if constexpr (SelfValidating<T>) {
    std::optional<std::string> refusal = validate(std::as_const(object));
    if (refusal) return in.fail_at(offset, 422, std::move(*refusal));
  }
  return true;
}

[[gnu::cold]] inline bool fail_too_many(Cursor& in, std::size_t offset) {
  return in.fail_at(offset, 422,
                    "more than " + std::to_string(in.limits().max_elements) + " elements");
}

template <typename E>
TAILRACE_NOINLINE bool read_vector(Cursor& in, gc::Vector<E>& elements) {
  const std::size_t offset = in.offset();
  if (!in.open('[')) return false;
  elements.clear();
  if (in.try_close(']')) return true;
  const std::size_t counted = in.count_elements();
  if (counted > in.limits().max_elements) return fail_too_many(in, offset);
  elements.reserve(counted);
  for (std::size_t i = 0;; ++i) {
    if (i == in.limits().max_elements) return fail_too_many(in, offset);
    if (!read_value(in, elements.emplace_back())) return in.in_element(i);
    const Cursor::Next next = in.after_value(']');
    if (next != Cursor::Next::kMore) return next == Cursor::Next::kDone;
  }
}

template <typename E, std::size_t N>
bool read_array(Cursor& in, std::array<E, N>& elements) {
  const std::size_t offset = in.offset();
  if (!in.open('[')) return false;
  Cursor::Next next = in.try_close(']') ? Cursor::Next::kDone : Cursor::Next::kMore;
  std::size_t i = 0;
  for (; i < N && next == Cursor::Next::kMore; ++i) {
    if (!read_value(in, elements[i])) return in.in_element(i);
    next = in.after_value(']');
  }
  if (next == Cursor::Next::kFailed) return false;
  if (i == N && next == Cursor::Next::kDone) return true;
  return in.fail_at(offset, 400, "expected an array of " + std::to_string(N) + " elements");
}

template <typename V>
TAILRACE_NOINLINE bool read_map(Cursor& in, gc::Map<gc::String, V>& map) {
  const std::size_t offset = in.offset();
  if (!in.open('{')) return false;
  map.clear();
  if (in.try_close('}')) return true;
  for (std::size_t i = 0;; ++i) {
    if (i == in.limits().max_elements) return fail_too_many(in, offset);
    const std::size_t name_offset = in.offset();
    gc::String key;
    if (!in.read_name(key)) return false;
    if (map.contains(key)) {
      in.fail_at(name_offset, 400, "duplicate member");
      return in.in_member(key);
    }
    if (!read_value(in, map[key])) return in.in_member(key);
    const Cursor::Next next = in.after_value('}');
    if (next != Cursor::Next::kMore) return next == Cursor::Next::kDone;
  }
}

template <DescribedEnum E>
bool read_enum(Cursor& in, E& value) {
  const std::size_t offset = in.offset();
  std::string_view name;
  if (!in.read_short_string("the name of an enumerator", name)) return false;
  for (std::size_t i = 0; i < Enumerators<E>::kCount; ++i) {
    if (Enumerators<E>::kNames[i] == name) {
      value = Enumerators<E>::kValues[i];
      return true;
    }
  }
  std::string message = "expected one of";
  const char* separator = " ";
  for (const std::string_view allowed : Enumerators<E>::kNames) {
    message += separator;
    message += allowed;
    separator = ", ";
  }
  return in.fail_at(offset, 400, std::move(message));
}

template <typename T>
bool read_text(Cursor& in, T& value) {
  const std::size_t offset = in.offset();
  std::string_view text;
  if (!in.read_short_string(TextCodec<T>::kExpected, text)) return false;
  return TextCodec<T>::parse(text, value) || in.fail_expected_at(offset, TextCodec<T>::kExpected);
}

template <typename T>
bool read_integer(Cursor& in, T& value) {
  if constexpr (std::is_signed_v<T>) {
    std::int64_t number;
    if (!in.read_signed(number, std::numeric_limits<T>::min(), std::numeric_limits<T>::max())) {
      return false;
    }
    value = static_cast<T>(number);
  } else {
    std::uint64_t number;
    if (!in.read_unsigned(number, std::numeric_limits<T>::max())) return false;
    value = static_cast<T>(number);
  }
  return true;
}

template <typename T>
bool read_value(Cursor& in, T& value) {
  if constexpr (HasTextCodec<T>) {
    return read_text(in, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return in.read_bool(value);
  } else if constexpr (std::is_same_v<T, float>) {
    return in.read_float(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    static_assert(std::is_same_v<T, double>, "JSON numbers are doubles; long double would be a promise");
    return in.read_double(value);
  } else if constexpr (std::is_integral_v<T>) {
    static_assert(sizeof(T) <= 8);
    return read_integer(in, value);
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(DescribedEnum<T>, "describe the enum with BOOST_DESCRIBE_ENUM");
    return read_enum(in, value);
  } else if constexpr (std::is_same_v<T, gc::String>) {
    return in.read_string(value);
  } else if constexpr (kIsSpecialization<T, std::optional>) {
    if (in.try_null()) {
      value.reset();
      return true;
    }
    return read_value(in, value.emplace());
  } else if constexpr (kIsSpecialization<T, gc::Member>) {
    if (in.try_null()) {
      value = nullptr;
      return true;
    }
    using Pointee = std::remove_reference_t<decltype(*value)>;
    Pointee* const object = gc::make<Pointee>();
    value = object;
    return read_value(in, *object);
  } else if constexpr (DescribedStruct<T>) {
    return read_struct(in, value);
  } else if constexpr (kIsSpecialization<T, gc::Vector>) {
    return read_vector(in, value);
  } else if constexpr (requires { typename T::Entry; }) {
    return read_map(in, value);
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    return read_array(in, value);
  } else {
    static_assert(kAlwaysFalse<T>,
                  "this type cannot be decoded: describe it, or give it a TextCodec (Atomic, pairs and "
                  "variants have no JSON form)");
  }
}

}  // namespace internal

// `padded_text` is followed by at least 64 readable bytes (Buffer::kPaddingBytes). May suspend.
template <typename T>
[[nodiscard]] Decoded<T> decode(std::string_view padded_text, const Limits& limits = {}) {
  Decoded<T> result;
  // A text over the bound is not even looked at.
  const internal::StructuralIndex index(padded_text.size() > limits.max_bytes ? std::string_view()
                                                                              : padded_text);
  internal::Cursor in(padded_text, index, limits);
  if (in.ok()) {
    T* const value = gc::make<T>();
    if (internal::read_value(in, *value) && in.finish()) {
      result.value = value;
      return result;
    }
  }
  result.error = in.take_error();
  return result;
}

}  // namespace tailrace::json
