// Address blocks.
#include "server/cidr.h"

#include <gtest/gtest.h>

namespace tailrace::http {
namespace {

bool contains(const char* block, const char* address) {
  const auto parsed = parse_cidr(block);
  const auto bytes = parse_address(address);
  EXPECT_TRUE(parsed && bytes) << block << " " << address;
  return parsed && bytes && parsed->contains(*bytes);
}

TEST(Cidr, Contains) {
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(contains("192.168.4.0/22", "192.168.7.255"));
  EXPECT_FALSE(contains("192.168.4.0/22", "192.168.8.0"));
  EXPECT_TRUE(contains("10.1.2.3", "10.1.2.3"));
  EXPECT_FALSE(contains("10.1.2.3", "10.1.2.4"));
  EXPECT_TRUE(contains("0.0.0.0/0", "1.2.3.4"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("fd00::/8", "fdab::1"));
  EXPECT_FALSE(contains("fd00::/8", "fe80::1"));
  EXPECT_TRUE(contains("::/0", "fe80::1"));
  EXPECT_TRUE(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
}

TEST(Cidr, RefusesWhatIsNone) {
  for (const char* bad : {"", "10", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "a/8", "10.0.0.0/8x"}) {
    EXPECT_FALSE(parse_cidr(bad)) << bad;
  }
}

TEST(Cidr, KnowsLoopback) {
  EXPECT_TRUE(is_loopback(*parse_address("127.9.9.9")));
  EXPECT_TRUE(is_loopback(*parse_address("::1")));
  EXPECT_TRUE(is_loopback(*parse_address("::ffff:127.0.0.1")));
  EXPECT_FALSE(is_loopback(*parse_address("10.0.0.1")));
  EXPECT_FALSE(is_loopback(*parse_address("::")));
}

}  // namespace
}  // namespace tailrace::http
