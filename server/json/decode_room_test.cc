// How much room a decoder makes for the elements of an array before it reads them: the first ones tell for a
// long document, and where they mislead, what is decoded and refused is the same.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/gc/mutator.h"
#include "server/json/decode.h"
#include "server/json/test_values.h"

namespace tailrace::json {
namespace {

using testing::Address;
using testing::Node;
using testing::Padded;

constexpr const char* kLeaf = R"({"value":1})";
const std::string kTree = R"({"value":2,"children":[{"value":3},{"value":4},{"value":5},)"
                          R"({"value":6},{"value":7},{"value":8},{"value":9},{"value":10}]})";

std::string array_of(std::size_t leaves, std::size_t trees, bool trees_first) {
  std::string text = "[";
  const auto add = [&](std::size_t count, const std::string& one) {
    for (std::size_t i = 0; i < count; ++i) text += one + ",";
  };
  if (trees_first) add(trees, kTree);
  add(leaves, kLeaf);
  if (!trees_first) add(trees, kTree);
  text.back() = ']';
  return text;
}

TEST(DecodeRoom, OneBackingForElementsThatAreAlike) {
  const gc::ThreadScope attached;
  std::string text = "[";
  for (int i = 0; i < 1000; ++i) {
    text += R"({"street":"a","city":"b","country":"[,]","zip":"\","},)";
  }
  text.back() = ']';
  const Padded padded(text);
  const gc::AllocCounts before = fiber::alloc_counts();
  const auto addresses = decode<gc::Vector<Address>>(padded);
  const gc::AllocCounts used = fiber::alloc_counts() - before;
  ASSERT_TRUE(addresses) << addresses.error.text();
  EXPECT_EQ(addresses->size(), 1000u);
  EXPECT_LE(addresses->capacity(), 1200u);
  EXPECT_EQ(used.objects + used.large_objects, 2u);  // the Vector and one backing
}

// The first elements are a tenth of the others, or ten times as long.
TEST(DecodeRoom, FirstElementsThatMislead) {
  const gc::ThreadScope attached;
  for (const bool trees_first : {false, true}) {
    const Padded padded(array_of(50, 50, trees_first));
    const auto nodes = decode<gc::Vector<Node>>(padded);
    ASSERT_TRUE(nodes) << nodes.error.text();
    ASSERT_EQ(nodes->size(), 100u);
    for (std::size_t i = 0; i < 100; ++i) {
      const bool tree = (i < 50) == trees_first;
      ASSERT_EQ((*nodes)[i].value, tree ? 2 : 1);
      ASSERT_EQ((*nodes)[i].children.size(), tree ? 8u : 0u);
    }
    // No text that decodes makes room for more than its tokens could be.
    EXPECT_LE(nodes->capacity() * 3, padded.view().size());
  }
}

TEST(DecodeRoom, TheBoundIsOfElementsAndNotOfRoom) {
  const gc::ThreadScope attached;
  for (const bool trees_first : {false, true}) {
    const Padded padded(array_of(50, 50, trees_first));
    EXPECT_TRUE(decode<gc::Vector<Node>>(padded, Limits{.max_elements = 100}));
    const auto refused = decode<gc::Vector<Node>>(padded, Limits{.max_elements = 99});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error.status, 422);
  }
}

// What is within another array is counted; a text that ends too early is refused as ever.
TEST(DecodeRoom, ArraysWithinAndTextsThatEnd) {
  const gc::ThreadScope attached;
  const Padded nested("[" + array_of(40, 0, false) + "," + array_of(0, 30, false) + "]");
  const auto both = decode<gc::Vector<gc::Vector<Node>>>(nested);
  ASSERT_TRUE(both) << both.error.text();
  EXPECT_EQ((*both)[0].size(), 40u);
  EXPECT_LE((*both)[0].capacity(), 48u);  // counted, and what the slot has besides
  EXPECT_EQ((*both)[1].size(), 30u);
  std::string cut = array_of(200, 0, false);
  cut.pop_back();
  const auto refused = decode<gc::Vector<Node>>(Padded(cut));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error.status, 400);
}

}  // namespace
}  // namespace tailrace::json
