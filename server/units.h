// Settings as people write them: sizes, durations, counts, addresses. Pure functions; nullopt for
// what is malformed or out of range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailrace::http {

// "off" as a value of its own.
inline constexpr std::uint64_t kOff = UINT64_MAX;

// "512MiB", "1GiB", "4096", "17B": a whole number and B, KiB, MiB, GiB or TiB.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;
// "250ms", "10s", "2m", "1h", "0s", in ns; at most a day.
std::optional<std::int64_t> parse_duration(std::string_view text) noexcept;
std::optional<std::uint64_t> parse_count(std::string_view text) noexcept;

struct HostPort {
  std::string host;  // without brackets
  std::uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};
// "127.0.0.1:8080", "[::1]:0", "localhost:80"; ":8080" is every address.
std::optional<HostPort> parse_host_port(std::string_view text);
// With brackets around a v6 address.
std::string to_string(const HostPort& address);

// "512MiB", the largest unit that divides it.
std::string format_size(std::uint64_t bytes);
// "230.4MiB", for messages: one decimal of the largest unit that is not larger.
std::string readable_size(std::uint64_t bytes);
std::string format_duration(std::int64_t duration_ns);

}  // namespace tailrace::http
