// See quantity.h.
#include "loadtest/quantity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

namespace tailrace::loadtest {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr Unit kRateUnits[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}};
constexpr Unit kDurationUnits[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                   {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
constexpr Unit kByteUnits[] = {{"", 1},         {"B", 1},       {"KB", 1e3},     {"MB", 1e6},
                               {"GB", 1e9},     {"TB", 1e12},   {"KiB", 0x1p10}, {"MiB", 0x1p20},
                               {"GiB", 0x1p30}, {"TiB", 0x1p40}};

// Takes a number and what follows it, up to the next digit, from the front of `text`.
struct Part {
  double number;
  std::string_view unit;
};
std::optional<Part> take_part(std::string_view& text) {
  // from_chars would take "inf" and a sign.
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  Part part;
  const char* const all_end = text.data() + text.size();
  const auto [end, error] =
      std::from_chars(text.data(), all_end, part.number, std::chars_format::fixed);
  if (error != std::errc() || end[-1] == '.') return std::nullopt;
  const char* const unit_end =
      std::find_if(end, all_end, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  part.unit = std::string_view(end, static_cast<std::size_t>(unit_end - end));
  text.remove_prefix(static_cast<std::size_t>(unit_end - text.data()));
  return part;
}

const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
  const auto found =
      std::find_if(units.begin(), units.end(), [&](const Unit& unit) { return unit.name == name; });
  return found == units.end() ? nullptr : &*found;
}

// A single number with one of the units.
std::optional<double> parse_single(std::string_view text, std::span<const Unit> units) {
  const std::optional<Part> part = take_part(text);
  if (!part || !text.empty()) return std::nullopt;
  const Unit* const unit = find_unit(units, part->unit);
  return unit == nullptr ? std::nullopt : std::optional(part->number * unit->factor);
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kQuotedMost = 60;
  const bool cut = text.size() > kQuotedMost;
  return "\"" + std::string(text.substr(0, kQuotedMost)) + (cut ? "...\"" : "\"");
}

std::variant<std::uint64_t, std::string> parse_whole(std::string_view text,
                                                     std::span<const Unit> units,
                                                     const std::string& expected) {
  const std::optional<double> value = parse_single(text, units);
  if (!value) return quoted(text) + " is no " + expected;
  if (*value > 0x1p53) return quoted(text) + " is too much: at most 2^53";
  // What a person writes with a point is whole after its factor, but for the rounding of the
  // product.
  const double whole = std::round(*value);
  if (std::abs(*value - whole) > 1e-9 * std::max(whole, 1.0)) {
    return quoted(text) + " is not a whole number";
  }
  return static_cast<std::uint64_t>(whole);
}

std::string print_fixed(double value, int decimals) {
  char buffer[64];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed, decimals);
  return error == std::errc() ? std::string(buffer, end) : "-";
}

// To three significant figures.
double rounded(double value) {
  if (value == 0) return 0;
  const double scale = std::pow(10, 2 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

int decimals_of(double value) {
  const double size = std::abs(value);
  return size >= 100 ? 0 : size >= 10 ? 1 : 2;
}

// Three figures and the largest unit that leaves at least 1 before the point. `units`: ascending.
std::string print_scaled(double value, std::span<const Unit> units) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return value > 0 ? "infinite" : "-infinite";
  if (value == 0) return "0 " + std::string(units[0].name);
  const Unit* unit = &units[0];
  double figure = rounded(value / unit->factor);
  for (const Unit& next : units) {
    const double of_next = rounded(value / next.factor);
    if (std::abs(of_next) < 1) break;
    unit = &next;
    figure = of_next;
  }
  return print_fixed(figure, decimals_of(figure)) + " " + std::string(unit->name);
}

std::string grouped(std::string digits) {
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

}  // namespace

std::variant<double, std::string> parse_rate(std::string_view text) {
  std::string_view number = text;
  if (number.ends_with("/s")) number.remove_suffix(2);
  const std::optional<double> rate = parse_single(number, kRateUnits);
  if (!rate)
    return quoted(text) + " is no rate: write requests a second, as 7310, 5k, 1.5M or 5k/s";
  if (*rate < 0.001 || *rate > 100e6) {
    return quoted(text) + " is out of range: a rate is 0.001 to 100M requests a second";
  }
  return *rate;
}

std::variant<std::int64_t, std::string> parse_duration_ns(std::string_view text) {
  constexpr double kMost = 1000 * 3600e9;
  double sum = 0;
  double last_factor = 2 * kMost;
  std::string_view rest = text;
  do {
    const std::optional<Part> part = take_part(rest);
    const Unit* const unit = part ? find_unit(kDurationUnits, part->unit) : nullptr;
    // "1m30s", but not "30s1m" or "1s1s".
    if (unit == nullptr || unit->factor >= last_factor) {
      const bool bare = part && part->unit.empty() && rest.empty();
      return quoted(text) +
             (bare ? " has no unit: write " + std::string(text) + "s or " + std::string(text) + "ms"
                   : " is no duration: write a number and ns, us, ms, s, m or h, as 10ms or 1.4s");
    }
    last_factor = unit->factor;
    sum += part->number * unit->factor;
  } while (!rest.empty());
  if (sum > kMost) return quoted(text) + " is too long: at most 1000h";
  return std::llround(sum);
}

std::variant<std::uint64_t, std::string> parse_bytes(std::string_view text) {
  return parse_whole(text, kByteUnits,
                     "size: write bytes with or without B, KB, MB, GB, TB (thousands) or KiB, MiB, "
                     "GiB, TiB (1024s), as 50KB or 64KiB");
}

std::variant<std::uint64_t, std::string> parse_count(std::string_view text) {
  return parse_whole(text, kRateUnits, "count: write a whole number, as 1000 or 10k");
}

std::string print_duration(double duration_ns) {
  // Minutes from 120 s on: their names in settings ("m") would read as something else in a report.
  static constexpr Unit kShort[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  static constexpr Unit kLong[] = {{"min", 60e9}, {"h", 3600e9}};
  const bool is_short = !(std::abs(duration_ns) >= 120e9) || std::isinf(duration_ns);
  return is_short ? print_scaled(duration_ns, kShort) : print_scaled(duration_ns, kLong);
}

std::string print_rate(double rate_per_second) {
  if (std::isnan(rate_per_second)) return "-";
  if (std::isinf(rate_per_second)) return rate_per_second > 0 ? "infinite" : "-infinite";
  if (std::abs(rate_per_second) >= 999.5)
    return grouped(print_fixed(std::round(rate_per_second), 0));
  const double figure = rounded(rate_per_second);
  char buffer[32];
  // The shortest text that reads back as the same: no trailing zeros.
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof(buffer), figure, std::chars_format::fixed);
  return error == std::errc() ? std::string(buffer, end) : print_fixed(figure, 3);
}

std::string print_bytes(double bytes) {
  static constexpr Unit kUnits[] = {{"B", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
  return print_scaled(bytes, kUnits);
}

std::string print_count(std::uint64_t count) { return grouped(std::to_string(count)); }

}  // namespace tailrace::loadtest
