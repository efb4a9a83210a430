// What people write is read exactly, what they mistype is refused with the remedy, what they read
// has three figures.
#include "loadtest/quantity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tailrace::loadtest {
namespace {

template <typename T>
void refused(const std::variant<T, std::string>& parsed, std::string_view text,
             std::string_view expected) {
  const auto* message = std::get_if<std::string>(&parsed);
  ASSERT_NE(message, nullptr) << text << " was taken";
  EXPECT_NE(message->find(expected), std::string::npos) << *message;
  const std::string start = "\"" + std::string(text.substr(0, 60));
  EXPECT_TRUE(message->starts_with(start)) << *message;
}

TEST(Quantity, Rates) {
  for (const auto& [text, rate] : {std::pair{"7310", 7310.0},
                                   {"5k", 5000.0},
                                   {"5k/s", 5000.0},
                                   {"1.5M", 1.5e6},
                                   {"12.5/s", 12.5},
                                   {"0.001", 0.001},
                                   {"100M", 100e6},
                                   {"0.1k", 100.0}}) {
    EXPECT_EQ(parse_rate(text), (std::variant<double, std::string>(rate))) << text;
  }
  for (const char* bad : {"", "k", "/s", "5 k", "5K", "-1", "+1", "5k/m", "5/s/s", "0x10", "inf",
                          "nan", "1e5", "5.", ".5", "5k5", "5,000", "5kk"}) {
    refused(parse_rate(bad), bad, "is no rate: write requests a second, as 7310, 5k");
  }
  for (const char* bad : {"0", "0.0009", "100.1M", "99999999999999999999"}) {
    refused(parse_rate(bad), bad, "out of range");
  }
}

TEST(Quantity, Durations) {
  using Ns = std::variant<std::int64_t, std::string>;
  for (const auto& [text, ns] : {std::pair{"60s", 60'000'000'000},
                                 {"1.4s", 1'400'000'000},
                                 {"10ms", 10'000'000},
                                 {"200us", 200'000},
                                 {"50ns", 50},
                                 {"5m", 300'000'000'000},
                                 {"1h", 3'600'000'000'000},
                                 {"1m30s", 90'000'000'000},
                                 {"1h0.5m1ns", 3'630'000'000'001},
                                 {"0s", 0},
                                 {"0.1s", 100'000'000},
                                 {"0.0000000014s", 1},
                                 {"0.0000000016s", 2},
                                 {"1000h", 3'600'000'000'000'000}}) {
    EXPECT_EQ(parse_duration_ns(text), Ns(ns)) << text;
  }
  refused(parse_duration_ns("1m30"), "1m30", "has no unit: write 1m30s or");
  refused(parse_duration_ns("60"), "60", "has no unit: write 60s or 60ms");
  for (const char* bad :
       {"", "s", "60 s", "-1s", "60S", "1min", "30s1m", "1s1s", "1.s", "1e3s", "1ss", "infs"}) {
    refused(parse_duration_ns(bad), bad,
            "is no duration: write a number and ns, us, ms, s, m or h");
  }
  refused(parse_duration_ns("1000.1h"), "1000.1h", "at most 1000h");
  refused(parse_duration_ns("9999999999999999999h"), "9999999999999999999h", "at most 1000h");
}

TEST(Quantity, Bytes) {
  using Bytes = std::variant<std::uint64_t, std::string>;
  for (const auto& [text, bytes] : {std::pair{"0", 0ull},
                                    {"4096", 4096ull},
                                    {"17B", 17ull},
                                    {"50KB", 50'000ull},
                                    {"64KiB", 65'536ull},
                                    {"1.5MiB", 1'572'864ull},
                                    {"1.1KB", 1100ull},
                                    {"2GB", 2'000'000'000ull},
                                    {"1GiB", 1ull << 30},
                                    {"1TB", 1'000'000'000'000ull},
                                    {"8192TiB", 1ull << 53}}) {
    EXPECT_EQ(parse_bytes(text), Bytes(bytes)) << text;
  }
  for (const char* bad : {"", "B", "50K", "50kB", "50 KB", "-1", "1KBs", "64kib", "0x40"}) {
    refused(parse_bytes(bad), bad, "is no size: write bytes with or without B, KB");
  }
  refused(parse_bytes("1.5"), "1.5", "is not a whole number");
  refused(parse_bytes("1.0001KB"), "1.0001KB", "is not a whole number");
  refused(parse_bytes("8193TiB"), "8193TiB", "too much");
}

TEST(Quantity, Counts) {
  using Count = std::variant<std::uint64_t, std::string>;
  EXPECT_EQ(parse_count("0"), Count(0u));
  EXPECT_EQ(parse_count("1000"), Count(1000u));
  EXPECT_EQ(parse_count("10k"), Count(10'000u));
  EXPECT_EQ(parse_count("2.5M"), Count(2'500'000u));
  EXPECT_EQ(parse_count("9007199254740992"), Count(1ull << 53));
  for (const char* bad : {"", "-1", "1KB", "1s", "one"}) {
    refused(parse_count(bad), bad, "is no count: write a whole number, as 1000 or 10k");
  }
  refused(parse_count("1.5"), "1.5", "not a whole number");
  refused(parse_count("9007199254740994"), "9007199254740994", "too much");
  // A message stays short, whatever was written.
  const std::string long_text(10'000, 'x');
  refused(parse_count(long_text), long_text, "...\"");
  EXPECT_LT(std::get<std::string>(parse_count(long_text)).size(), 200u);
}

TEST(Quantity, PrintsDurations) {
  for (const auto& [ns, text] : {std::pair{0.0, "0 ns"},
                                 {2.4, "2.40 ns"},
                                 {850.0, "850 ns"},
                                 {999.4, "999 ns"},
                                 {999.6, "1.00 us"},
                                 {63'000.0, "63.0 us"},
                                 {4.1e6, "4.10 ms"},
                                 {9.996e6, "10.0 ms"},
                                 {999.6e6, "1.00 s"},
                                 {1.4e9, "1.40 s"},
                                 {60e9, "60.0 s"},
                                 {119e9, "119 s"},
                                 {120e9, "2.00 min"},
                                 {300e9, "5.00 min"},
                                 {7200e9, "2.00 h"},
                                 {3600e9 * 1000, "1000 h"},
                                 {-1.4e9, "-1.40 s"},
                                 {0.001, "0.00 ns"}}) {
    EXPECT_EQ(print_duration(ns), text) << ns;
  }
  EXPECT_EQ(print_duration(std::numeric_limits<double>::infinity()), "infinite");
  EXPECT_EQ(print_duration(std::nan("")), "-");
}

TEST(Quantity, PrintsRatesBytesAndCounts) {
  for (const auto& [rate, text] : {std::pair{0.0, "0"},
                                   {0.5, "0.5"},
                                   {12.5, "12.5"},
                                   {12.34, "12.3"},
                                   {100.0, "100"},
                                   {999.4, "999"},
                                   {999.6, "1,000"},
                                   {7310.2, "7,310"},
                                   {1.5e6, "1,500,000"},
                                   {-7310.0, "-7,310"},
                                   {-999'999.0, "-999,999"}}) {
    EXPECT_EQ(print_rate(rate), text) << rate;
  }
  EXPECT_EQ(print_rate(std::nan("")), "-");
  EXPECT_EQ(print_rate(std::numeric_limits<double>::infinity()), "infinite");
  for (const auto& [bytes, text] : {std::pair{0.0, "0 B"},
                                    {512.0, "512 B"},
                                    {50'000.0, "50.0 KB"},
                                    {1.4e9, "1.40 GB"},
                                    {498.4e6, "498 MB"},
                                    {2e15, "2000 TB"}}) {
    EXPECT_EQ(print_bytes(bytes), text) << bytes;
  }
  EXPECT_EQ(print_count(0), "0");
  EXPECT_EQ(print_count(999), "999");
  EXPECT_EQ(print_count(1000), "1,000");
  EXPECT_EQ(print_count(UINT64_MAX), "18,446,744,073,709,551,615");
}

}  // namespace
}  // namespace tailrace::loadtest
