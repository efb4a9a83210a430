// Hashing: every byte, every bit and the length count.
#include "gcruntime/gc/hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string>

namespace tailrace::gc {
namespace {

TEST(Hash, LengthAndEveryByteCount) {
  std::set<std::uint64_t> seen;
  std::size_t texts = 0;
  const auto add = [&](const std::string& text) {
    seen.insert(hash_bytes(text));
    ++texts;
  };
  for (std::size_t bytes = 0; bytes <= 40; ++bytes) {
    add(std::string(bytes, '\0'));  // zeros of all lengths
    for (std::size_t at = 0; at < bytes; ++at) {
      std::string text(bytes, '\0');
      text[at] = 1;
      add(text);
      text[at] = '\x80';
      add(text);
    }
  }
  EXPECT_EQ(seen.size(), texts);
}

TEST(Hash, OneBitOfTheKeyChangesHalfOfTheHash) {
  double changed = 0;
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t key = 0x123456789abcdef0;
    changed += std::popcount(Hash<std::uint64_t>()(key) ^
                             Hash<std::uint64_t>()(key ^ std::uint64_t{1} << bit));
  }
  EXPECT_NEAR(changed / 64, 32, 8);
}

TEST(Hash, TextHashesAlikeHoweverItIsHeld) {
  const std::string text = "some text";
  EXPECT_EQ(Hash<std::string>()(text), hash_bytes("some text"));
  EXPECT_EQ(Hash<std::string_view>()(text), hash_bytes(text));
}

}  // namespace
}  // namespace tailrace::gc
