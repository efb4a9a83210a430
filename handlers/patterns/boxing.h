// A helper that takes values of any type: the mean of some latencies, and the fields of a log line.
//
// bad: boxes. Each number becomes an object of its own behind a pointer (Boxed), each text a
// std::any with a copy. (A std::any or std::function may not hold a managed handle at all: its
// memory comes from malloc, which the collector does not look into.)
// good: templates. The values stay where they are.
#pragma once

#include <any>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gcruntime/gcruntime.h"

namespace tailrace::patterns {

// What an `any` of managed memory looks like.
struct Boxed {
  enum class Kind : std::int64_t { kInteger, kText };
  Kind kind = Kind::kInteger;
  std::int64_t integer = 0;
  gc::String text;
};
BOOST_DESCRIBE_STRUCT(Boxed, (), (kind, integer, text))

namespace bad {
double mean(std::span<const std::int64_t> latencies_us);
// "message field=1 field=two"; fields are std::int64_t or std::string.
gc::String log_line(std::string_view message, const std::vector<std::any>& fields);
}  // namespace bad

namespace good {
template <std::integral Integer>
double mean(std::span<const Integer> values) {
  double sum = 0;
  for (const Integer value : values) sum += static_cast<double>(value);
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

template <typename... Fields>
gc::String log_line(std::string_view message, const Fields&... fields) {
  gc::StringBuilder line(120);
  line.append(message);
  const auto put = [&line](const auto& field) {
    line.append(" field=");
    if constexpr (std::integral<std::decay_t<decltype(field)>>) {
      line.append(static_cast<std::int64_t>(field));
    } else {
      line.append(std::string_view(field));
    }
  };
  (put(fields), ...);
  return line.finish();
}
}  // namespace good

}  // namespace tailrace::patterns
