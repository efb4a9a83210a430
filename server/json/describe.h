// What the encoder and the decoder read out of a BOOST_DESCRIBE description, at compile time, and
// the traits by which a type says more about its JSON form than the description can.
//
// JSON has the public members, inherited ones first; private members are traced by the collector
// but never shown to clients.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "gcruntime/gc/map.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::json {

// How the decoder treats the members of T. Specialise it, or write into the struct:
//   static constexpr std::array<std::string_view, 1> json_optional{"id"};   // may be missing
//   static constexpr bool json_refuse_unknown = true;                      // unknown members: 400
// A missing optional member keeps its initial value. Members of type std::optional may always be
// missing.
template <typename T>
struct MemberRules {
  static constexpr bool is_optional(std::string_view name) {
    if constexpr (requires { T::json_optional; }) {
      for (const std::string_view listed : T::json_optional) {
        if (listed == name) return true;
      }
    }
    return false;
  }
  static constexpr bool refuse_unknown() {
    if constexpr (requires { T::json_refuse_unknown; }) {
      return T::json_refuse_unknown;
    } else {
      return false;
    }
  }
};

// A type that is a JSON string of its own form. Specialise with
//   static constexpr std::size_t kMaxBytes;                  // of the text
//   static std::size_t format(const T& value, char* to);     // text that needs no escapes
//   static bool parse(std::string_view text, T& value);
//   static constexpr const char* kExpected = "a date as in 2024-02-29T12:00:00Z";
template <typename T>
struct TextCodec;

namespace internal {

template <typename T>
concept HasTextCodec = requires {
  TextCodec<T>::kMaxBytes;
};

template <typename T>
concept DescribedStruct =
    boost::describe::has_describe_members<T>::value && std::is_class_v<T> && !std::is_union_v<T> &&
    !HasTextCodec<T>;
template <typename T>
concept DescribedEnum = std::is_enum_v<T> && boost::describe::has_describe_enumerators<T>::value;

template <typename T>
inline constexpr bool kAlwaysFalse = false;

template <typename T, template <typename...> typename Of>
inline constexpr bool kIsSpecialization = false;
template <template <typename...> typename Of, typename... Args>
inline constexpr bool kIsSpecialization<Of<Args...>, Of> = true;

template <typename T>
using MemberList = boost::describe::describe_members<T, boost::describe::mod_public |
                                                            boost::describe::mod_inherited>;

template <auto kPointer>
struct MemberTypeOf;
template <typename C, typename M, M C::*kPointer>
struct MemberTypeOf<kPointer> {
  using type = M;
};

// Members of T by number.
template <typename T>
struct Fields {
  using List = MemberList<T>;
  static constexpr std::size_t kCount = boost::mp11::mp_size<List>::value;
  template <std::size_t I>
  using Descriptor = boost::mp11::mp_at_c<List, I>;
  template <std::size_t I>
  using Type = std::remove_cv_t<typename MemberTypeOf<Descriptor<I>::pointer>::type>;
  template <std::size_t I>
  static constexpr auto kPointer = Descriptor<I>::pointer;
  template <std::size_t I>
  static constexpr std::string_view kName{Descriptor<I>::name};

  static constexpr auto make_names() {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<std::string_view, kCount>{kName<I>...};
    }
    (std::make_index_sequence<kCount>());
  }
  static constexpr std::array<std::string_view, kCount> kNames = make_names();
};

// Enumerators of E in the order of description.
template <typename E>
struct Enumerators {
  using List = boost::describe::describe_enumerators<E>;
  static constexpr std::size_t kCount = boost::mp11::mp_size<List>::value;
  static constexpr auto make_names() {
    return []<typename... Ds>(boost::mp11::mp_list<Ds...>) {
      return std::array<std::string_view, sizeof...(Ds)>{std::string_view(Ds::name)...};
    }(boost::mp11::mp_rename<List, boost::mp11::mp_list>());
  }
  static constexpr auto make_values() {
    return []<typename... Ds>(boost::mp11::mp_list<Ds...>) {
      return std::array<E, sizeof...(Ds)>{Ds::value...};
    }(boost::mp11::mp_rename<List, boost::mp11::mp_list>());
  }
  static constexpr std::array<std::string_view, kCount> kNames = make_names();
  static constexpr std::array<E, kCount> kValues = make_values();
  static constexpr std::size_t kLongest = [] {
    std::size_t longest = 0;
    for (const std::string_view name : kNames)
      longest = name.size() > longest ? name.size() : longest;
    return longest;
  }();
};

}  // namespace internal
}  // namespace tailrace::json
