// Numbers for people: three significant digits, a unit that fits, thousands apart.
//
// ASCII only, so that any terminal shows them; the page puts in what it can do better. NaN is "-".
#pragma once

#include <cstdint>
#include <string>

namespace tailrace::loadtest {

// "870 ns", "12.3 us", "1.24 ms", "3.00 s", "12.5 min".
std::string format_duration(double ns);
// Infinity as ">10 s timeout".
std::string format_latency(double ns, std::int64_t timeout_ns);
// What was asked for: "10 s" and not "10.0 s".
std::string format_setting(std::int64_t ns);
// "1,234,567".
std::string format_count(std::uint64_t count);
// Up to 999 with three significant digits, above whole: "0.50", "12.3", "4,500".
std::string format_number(double value);
// "512 B", "24.3 KiB", "1.50 MiB".
std::string format_bytes(double bytes);
// Of a share from 0 to 1: "0 %", "0.012 %", "12.5 %".
std::string format_percent(double share);

}  // namespace tailrace::loadtest
