// See units.h.
#include "server/units.h"

#include <charconv>
#include <cstdio>

namespace tailrace::http {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kSizeUnits[] = {{"TiB", std::uint64_t{1} << 40},
                               {"GiB", std::uint64_t{1} << 30},
                               {"MiB", std::uint64_t{1} << 20},
                               {"KiB", std::uint64_t{1} << 10},
                               {"B", 1}};
constexpr Unit kDurationUnits[] = {
    {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}};

// Digits, then one of the units.
template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const Unit (&units)[N],
                                             bool unit_needed) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (rest.empty()) return unit_needed ? std::nullopt : std::optional(number);
  for (const Unit& unit : units) {
    if (rest != unit.name) continue;
    std::uint64_t product;
    if (__builtin_mul_overflow(number, unit.factor, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string format_with_unit(std::uint64_t value, const Unit (&units)[N]) {
  for (const Unit& unit : units) {
    if (value % unit.factor == 0 && (value != 0 || &unit == &units[N - 1])) {
      return std::to_string(value / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(value);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  const std::optional<std::uint64_t> size = parse_with_unit(text, kSizeUnits, false);
  // Go's limits are signed too; and UINT64_MAX means off.
  if (size && *size > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return size;
}

std::optional<std::int64_t> parse_duration(std::string_view text) noexcept {
  const std::optional<std::uint64_t> ns = parse_with_unit(text, kDurationUnits, true);
  if (!ns || *ns > 24 * kDurationUnits[0].factor) return std::nullopt;
  return static_cast<std::int64_t>(*ns);
}

std::optional<std::uint64_t> parse_count(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<HostPort> parse_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::optional<std::uint64_t> port = parse_count(text.substr(colon + 1));
  if (!port || *port > 65535) return std::nullopt;
  if (!host.empty() && host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return std::nullopt;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // a v6 address needs its brackets
  }
  return HostPort{host.empty() ? "0.0.0.0" : std::string(host), static_cast<std::uint16_t>(*port)};
}

std::string to_string(const HostPort& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

std::string format_size(std::uint64_t bytes) { return format_with_unit(bytes, kSizeUnits); }

std::string readable_size(std::uint64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    if (bytes < unit.factor || unit.factor == 1) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%.1f",
                  static_cast<double>(bytes) / static_cast<double>(unit.factor));
    return text + std::string(unit.name);
  }
  return std::to_string(bytes) + "B";
}

std::string format_duration(std::int64_t duration_ns) {
  return format_with_unit(static_cast<std::uint64_t>(duration_ns), kDurationUnits);
}

}  // namespace tailrace::http
