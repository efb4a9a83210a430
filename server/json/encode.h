// encode: a described value as JSON text, appended to a Buffer.
//
// Every described struct becomes straight-line code at compile time: key literals `,"name":` padded
// to whole 16 bytes (copied with a constant size), one check of the buffer's room for everything of
// fixed size, one for each long text. What may be encoded: described structs (public members,
// inherited ones first), bool, integers, float, double, described enums (as strings), String,
// std::string, std::string_view, const char*, Member and pointers (null or the value),
// std::optional, Vector, std::vector, std::array, Map and maps of std with text keys, and types
// with a TextCodec.
//
// Never writes invalid JSON: NaN and infinities become null, an enumerator without a name its
// number, ill-formed UTF-8 U+FFFD; control characters, quote and backslash are escaped, U+2028 and
// U+2029 are not. Takes no managed memory.
#pragma once

#include <array>
#include <concepts>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/buffer.h"
#include "server/json/describe.h"
#include "server/json/number_format.h"
#include "server/json/writer.h"

namespace tailrace::json {

namespace internal {

template <typename T>
concept Text = std::is_convertible_v<const T&, std::string_view>;
template <typename T>
concept Pointer =
    std::is_pointer_v<T> || kIsSpecialization<T, gc::Member> || kIsSpecialization<T, gc::Atomic>;
template <typename T>
concept Mapping = kIsSpecialization<T, gc::Map> || requires {
  typename T::key_type;
  typename T::mapped_type;
};
template <typename T>
concept Sequence = !Text<T> && !Mapping<T> && requires(const T& sequence) {
  sequence.begin();
  sequence.end();
  sequence.size();
};

constexpr std::size_t padded_to_16(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

// `{"name":` for the first member, `,"name":` for the others.
template <typename T, std::size_t I>
struct Key {
  static constexpr std::string_view kName = Fields<T>::template kName<I>;
  static constexpr std::size_t kBytes = kName.size() + 4;
  static constexpr std::size_t kPaddedBytes = padded_to_16(kBytes);
  static constexpr std::array<char, kPaddedBytes> make() {
    std::array<char, kPaddedBytes> text{};
    std::size_t at = 0;
    text[at++] = I == 0 ? '{' : ',';
    text[at++] = '"';
    for (const char c : kName) text[at++] = c;
    text[at++] = '"';
    text[at++] = ':';
    return text;
  }
  alignas(16) static constexpr std::array<char, kPaddedBytes> kText = make();
};

// Room that the caller makes for a T: all of it where the size is bounded, what comes before the
// first check of its own where it is not.
template <typename T>
constexpr std::size_t fixed_bytes();

// The fixed part of the members from I on, keys and the closing brace included.
template <typename T, std::size_t I>
constexpr std::size_t fixed_bytes_from() {
  if constexpr (I == Fields<T>::kCount) {
    return 2;
  } else {
    return Key<T, I>::kPaddedBytes + fixed_bytes<typename Fields<T>::template Type<I>>() +
           fixed_bytes_from<T, I + 1>();
  }
}

template <typename T>
constexpr std::size_t fixed_bytes() {
  if constexpr (HasTextCodec<T>) {
    return TextCodec<T>::kMaxBytes + 2;
  } else if constexpr (std::is_same_v<T, bool>) {
    return 5;
  } else if constexpr (std::is_floating_point_v<T>) {
    return kMaxDoubleBytes;
  } else if constexpr (std::is_integral_v<T>) {
    return kMaxIntegerBytes;
  } else if constexpr (DescribedEnum<T>) {
    return Enumerators<T>::kLongest + 2 > kMaxIntegerBytes ? Enumerators<T>::kLongest + 2
                                                           : kMaxIntegerBytes;
  } else if constexpr (Text<T>) {
    return kFixedTextBytes;
  } else if constexpr (kIsSpecialization<T, std::optional>) {
    constexpr std::size_t kBytes = fixed_bytes<typename T::value_type>();
    return kBytes > 4 ? kBytes : 4;
  } else if constexpr (DescribedStruct<T>) {
    return fixed_bytes_from<T, 0>();
  } else {
    return 4;  // null, or an opening bracket
  }
}

inline char* write_null(char* at) noexcept {
  std::memcpy(at, "null", 4);
  return at + 4;
}
inline char* write_bool(char* at, bool value) noexcept {
  // Room for 5 bytes is there in both cases.
  std::memcpy(at, value ? "true " : "false", 5);
  return at + (value ? 4 : 5);
}

template <typename T>
char* write_value(Writer& out, char* at, const T& value, std::size_t after);

template <DescribedEnum E>
char* write_enum(char* at, E value) noexcept {
  for (std::size_t i = 0; i < Enumerators<E>::kCount; ++i) {
    if (Enumerators<E>::kValues[i] == value) {
      const std::string_view name = Enumerators<E>::kNames[i];
      *at++ = '"';
      std::memcpy(at, name.data(), name.size());
      at += name.size();
      *at++ = '"';
      return at;
    }
  }
  return write_int64(at, static_cast<std::int64_t>(value));
}

template <typename T, std::size_t I>
TAILRACE_ALWAYS_INLINE char* write_member(Writer& out, char* at, const T& object,
                                          std::size_t after) {
  std::memcpy(at, Key<T, I>::kText.data(), Key<T, I>::kPaddedBytes);
  at += Key<T, I>::kBytes;
  return write_value(out, at, object.*Fields<T>::template kPointer<I>,
                     after + fixed_bytes_from<T, I + 1>());
}

template <DescribedStruct T>
char* write_struct(Writer& out, char* at, const T& object, std::size_t after) {
  if constexpr (Fields<T>::kCount == 0) {
    *at++ = '{';
  } else {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((at = write_member<T, I>(out, at, object, after)), ...);
    }
    (std::make_index_sequence<Fields<T>::kCount>());
  }
  *at++ = '}';
  return at;
}

template <typename T>
char* write_sequence(Writer& out, char* at, const T& sequence, std::size_t after) {
  using Element = std::remove_cvref_t<decltype(*sequence.begin())>;
  out.enter();
  *at++ = '[';
  for (const auto& element : sequence) {
    at = out.ensure(at, fixed_bytes<Element>() + 2 + after);
    if (at[-1] != '[') *at++ = ',';  // no value ends in a bracket that opens
    at = write_value<Element>(out, at, element, after + 1);
  }
  *at++ = ']';
  out.leave();
  return at;
}

template <typename T>
char* write_map(Writer& out, char* at, const T& map, std::size_t after) {
  out.enter();
  *at++ = '{';
  const auto write_entry = [&](const auto& key, const auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    static_assert(Text<std::remove_cvref_t<decltype(key)>>, "JSON members are named by text");
    constexpr std::size_t kEntryBytes = fixed_bytes<Value>() + 3;
    at = out.ensure(at, kFixedTextBytes + kEntryBytes + after);
    if (at[-1] != '{') *at++ = ',';
    at = out.text(at, key, kEntryBytes + after);
    *at++ = ':';
    at = write_value<Value>(out, at, value, after + 1);
  };
  for (const auto& entry : map) {
    if constexpr (requires { entry.key; }) {
      write_entry(entry.key, entry.value);
    } else {
      write_entry(entry.first, entry.second);
    }
  }
  *at++ = '}';
  out.leave();
  return at;
}

template <typename T>
char* write_pointer(Writer& out, char* at, const T& pointer, std::size_t after) {
  const auto* object = [&] {
    if constexpr (std::is_pointer_v<T>) {
      return pointer;
    } else if constexpr (requires { pointer.load(); }) {  // tidy: gc::Atomic
      return pointer.load();                              // tidy: gc::Atomic
    } else {
      return pointer.get();
    }
  }();
  if (object == nullptr) return write_null(at);
  using Value = std::remove_cvref_t<decltype(*object)>;
  out.enter();
  at = out.ensure(at, fixed_bytes<Value>() + after);
  at = write_value<Value>(out, at, *object, after);
  out.leave();
  return at;
}

template <typename T>
char* write_value(Writer& out, char* at, const T& value, std::size_t after) {
  if constexpr (HasTextCodec<T>) {
    *at++ = '"';
    at += TextCodec<T>::format(value, at);
    *at++ = '"';
    return at;
  } else if constexpr (std::is_same_v<T, bool>) {
    return write_bool(at, value);
  } else if constexpr (std::is_same_v<T, float>) {
    return write_float(at, value);
  } else if constexpr (std::is_floating_point_v<T>) {
    static_assert(sizeof(T) == sizeof(double),
                  "JSON numbers are doubles; long double would lose digits");
    return write_double(at, value);
  } else if constexpr (std::is_integral_v<T>) {
    static_assert(sizeof(T) <= 8);
    if constexpr (std::is_signed_v<T>) return write_int64(at, value);
    return write_uint64(at, static_cast<std::uint64_t>(value));
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(DescribedEnum<T>, "describe the enum with BOOST_DESCRIBE_ENUM");
    return write_enum(at, value);
  } else if constexpr (std::is_same_v<T, const char*> || std::is_same_v<T, char*>) {
    return value == nullptr ? write_null(at) : out.text(at, std::string_view(value), after);
  } else if constexpr (std::is_same_v<T, gc::String>) {
    return out.text(at, value, after);
  } else if constexpr (Text<T>) {
    return out.text(at, std::string_view(value), after);
  } else if constexpr (kIsSpecialization<T, std::optional>) {
    return value.has_value() ? write_value(out, at, *value, after) : write_null(at);
  } else if constexpr (Pointer<T>) {
    return write_pointer(out, at, value, after);
  } else if constexpr (Mapping<T>) {
    return write_map(out, at, value, after);
  } else if constexpr (DescribedStruct<T>) {
    return write_struct(out, at, value, after);
  } else if constexpr (Sequence<T>) {
    return write_sequence(out, at, value, after);
  } else {
    static_assert(kAlwaysFalse<T>,
                  "this type has no JSON form: describe it, or give it a TextCodec");
  }
}

}  // namespace internal

// Appends the value to `out`. False, and `out` as it was, if it would pass Buffer::kMaxBytes, if
// there is no memory, or if the value nests deeper than 1024 pointers and containers (a cycle
// does).
template <typename T>
[[nodiscard]] bool encode(const T& value, http::Buffer& out) {
  const std::size_t before = out.size();
  try {
    internal::Writer writer(out);
    // Arrays in C's sense are texts.
    using Value = std::conditional_t<std::is_array_v<T>, const char*, T>;
    char* at = writer.start(internal::fixed_bytes<Value>());
    at = internal::write_value<Value>(writer, at, value, 0);
    writer.finish(at);
    return true;
  } catch (const internal::EncodeFailure&) {
    out.truncate(before);
    return false;
  }
}

}  // namespace tailrace::json
