// Sizes, durations and addresses as people write them.
#include "server/units.h"

#include <gtest/gtest.h>

namespace tailrace::http {
namespace {

TEST(Units, Sizes) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("17B"), 17u);
  EXPECT_EQ(parse_size("1KiB"), 1024u);
  EXPECT_EQ(parse_size("512MiB"), 512u << 20);
  EXPECT_EQ(parse_size("3GiB"), std::uint64_t{3} << 30);
  EXPECT_EQ(parse_size("1TiB"), std::uint64_t{1} << 40);
  for (const char* bad : {"", "B", "1KB", "1kib", "1 KiB", "-1", "1.5GiB", "99999999TiB", "0x10"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(1536), "1536B");
  EXPECT_EQ(format_size(512u << 20), "512MiB");
  EXPECT_EQ(readable_size(0), "0B");
  EXPECT_EQ(readable_size(1023), "1023B");
  EXPECT_EQ(readable_size(1536), "1.5KiB");
  EXPECT_EQ(readable_size(241591910), "230.4MiB");
  EXPECT_EQ(readable_size(std::uint64_t{5} << 40), "5.0TiB");
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("0s"), 0);
  EXPECT_EQ(parse_duration("250ms"), 250'000'000);
  EXPECT_EQ(parse_duration("2m"), 120'000'000'000);
  for (const char* bad : {"", "5", "s", "5us", "-1s", "25h", "1.5s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  EXPECT_EQ(format_duration(75'000'000'000), "75s");
  EXPECT_EQ(format_duration(500'000'000), "500ms");
  EXPECT_EQ(format_duration(0), "0ms");
}

TEST(Units, Addresses) {
  EXPECT_EQ(parse_host_port("127.0.0.1:80"), (HostPort{"127.0.0.1", 80}));
  EXPECT_EQ(parse_host_port("[::1]:0"), (HostPort{"::1", 0}));
  EXPECT_EQ(parse_host_port(":8080"), (HostPort{"0.0.0.0", 8080}));
  EXPECT_EQ(parse_host_port("localhost:1"), (HostPort{"localhost", 1}));
  for (const char* bad : {"", "80", "a:", "a:65536", "a:-1", "::1:80", "[]:1", "[::1:80", "a:8x"}) {
    EXPECT_FALSE(parse_host_port(bad)) << bad;
  }
  EXPECT_EQ(to_string(HostPort{"::1", 5}), "[::1]:5");
}

}  // namespace
}  // namespace tailrace::http
