// Numbers for people.
#include "loadtest/report_format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace tailrace::loadtest {
namespace {

struct Unit {
  const char* name;
  double size;
};

// Three significant digits, of a value that is shown below 1000.
std::string three_digits(double value) {
  // What rounds to 10 or 100 has the digits of those.
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

template <std::size_t N>
std::string with_unit(double value, const std::array<Unit, N>& units, double whole_below) {
  std::size_t i = 0;
  // 999.6 us is 1.00 ms.
  while (i + 1 < N && value / units[i].size >= units[i + 1].size / units[i].size - 0.5) ++i;
  const double shown = value / units[i].size;
  const std::string digits =
      value < whole_below || shown >= 999.5
          ? format_count(static_cast<std::uint64_t>(std::llround(std::min(shown, 1e18))))
          : three_digits(shown);
  return digits + " " + units[i].name;
}

}  // namespace

std::string format_duration(double ns) {
  if (std::isnan(ns)) return "-";
  if (std::isinf(ns)) return "never";
  static constexpr std::array<Unit, 4> kUnits = {{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};
  if (ns < 0) return "-" + format_duration(-ns);
  if (ns >= 600e9) return three_digits(std::min(ns / 60e9, 1e18)) + " min";
  return with_unit(ns, kUnits, 1e3);
}

std::string format_latency(double ns, std::int64_t timeout_ns) {
  if (!std::isinf(ns)) return format_duration(ns);
  if (timeout_ns <= 0) return ">timeout";
  return ">" + format_setting(timeout_ns) + " timeout";
}

std::string format_setting(std::int64_t ns) {
  const std::string text = format_duration(static_cast<double>(ns));
  const std::size_t space = text.find(' ');
  std::string digits = text.substr(0, space);
  while (digits.find('.') != std::string::npos && (digits.back() == '0' || digits.back() == '.')) {
    const bool point = digits.back() == '.';
    digits.pop_back();
    if (point) break;
  }
  return digits + text.substr(space);
}

std::string format_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string format_number(double value) {
  if (std::isnan(value)) return "-";
  if (value < 0) return "-" + format_number(-value);
  if (std::isinf(value)) return "infinite";
  if (value == std::floor(value) && value < 1e15) {
    return format_count(static_cast<std::uint64_t>(value));
  }
  if (value < 999.5) return three_digits(value);
  return format_count(static_cast<std::uint64_t>(std::llround(std::min(value, 1e18))));
}

std::string format_bytes(double bytes) {
  if (std::isnan(bytes)) return "-";
  if (bytes < 0) return "-" + format_bytes(-bytes);
  static constexpr std::array<Unit, 5> kUnits = {
      {{"B", 1}, {"KiB", 1024}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}}};
  return with_unit(bytes, kUnits, 1024);
}

std::string format_percent(double share) {
  if (std::isnan(share)) return "-";
  if (share == 0) return "0 %";
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %%",
                share < 0.001    ? 3
                : share < 0.01   ? 2
                : share < 0.9995 ? 1
                                 : 0,
                std::min(share, 1e6) * 100);
  return text;
}

}  // namespace tailrace::loadtest
