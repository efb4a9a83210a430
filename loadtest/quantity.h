// Rates, durations, sizes and counts as people write and read them.
//
// Pure functions. A parser gives the value or a message that quotes what was written and names what
// was expected; it takes the whole text or nothing, no signs, no blanks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace tailrace::loadtest {

// A second: "7310", "5k", "1.5M", each also with "/s"; from 0.001 to 100M.
std::variant<double, std::string> parse_rate(std::string_view text);
// "10ms", "1.4s", "200us", "50ns", "5m", "1h", "1m30s"; at most 1000h, rounded to the nanosecond.
std::variant<std::int64_t, std::string> parse_duration_ns(std::string_view text);
// "4096", "50KB" (thousands), "64KiB" (1024s), "1.5MiB"; at most 8 PiB, a whole number of bytes.
std::variant<std::uint64_t, std::string> parse_bytes(std::string_view text);
// "1000", "10k", "2M", a whole number; at most 2^53.
std::variant<std::uint64_t, std::string> parse_count(std::string_view text);

// Three significant figures and a unit: "850 ns", "63.0 us", "4.10 ms", "1.40 s", "5.00 min"; "0
// ns", "infinite", and "-" for what is no number.
std::string print_duration(double duration_ns);
// Whole from 1000 on, else at most three significant figures: "7,310", "12.5", "0.5".
std::string print_rate(double rate_per_second);
// "512 B", "50.0 KB", "1.40 GB": thousands, as networks and memory bandwidths are told.
std::string print_bytes(double bytes);
// "1,234,567".
std::string print_count(std::uint64_t count);

}  // namespace tailrace::loadtest
