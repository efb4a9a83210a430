// Decoding into a value that is used again.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/gc/mutator.h"
#include "server/json/decode.h"
#include "server/json/test_values.h"

namespace tailrace::json {
namespace {

using testing::Padded;
using testing::Person;

TEST(DecodeInto, UsesTheRoomThatIsThere) {
  const gc::ThreadScope attached;
  const Padded three(R"([{"name":"a","age":1},{"name":"b","age":2},{"name":"c","age":3}])");
  auto& people = *gc::make<gc::Vector<Person>>();
  ASSERT_FALSE(decode_into(three, people));
  const Person* const room = people.data();
  people.clear();
  const gc::AllocCounts before = fiber::alloc_counts();
  ASSERT_FALSE(decode_into(Padded(R"([{"name":"d","age":4}])"), people));
  EXPECT_EQ((fiber::alloc_counts() - before).objects, 0u);
  ASSERT_EQ(people.size(), 1u);
  EXPECT_EQ(people.data(), room);
  EXPECT_EQ(people[0].name, "d");

  const std::optional<Error> refused = decode_into(Padded(R"([{"name":"e","age":-1}])"), people);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 422);
  EXPECT_EQ(refused->path, "/0");
  EXPECT_EQ(decode_into(three, people, Limits{.max_bytes = 6})->status, 413);
}

}  // namespace
}  // namespace tailrace::json
