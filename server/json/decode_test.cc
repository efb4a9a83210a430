// The decoder: values, errors with their paths, rules, depth, allocation counts, collections in
// between.
#include "server/json/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "server/json/encode.h"
#include "server/json/test_values.h"

namespace tailrace::json {

namespace decoding {

using testing::Person;

struct Strict {
  std::int64_t a = 0;
  std::int64_t b = 0;
  static constexpr bool json_refuse_unknown = true;
};
BOOST_DESCRIBE_STRUCT(Strict, (), (a, b))

struct Group {
  gc::Vector<Person> people;
  gc::Member<Person> leader;
};
BOOST_DESCRIBE_STRUCT(Group, (), (people, leader))

// Collects, and makes garbage, in the middle of the decoding of what holds it.
struct Churning {
  gc::String text;
  gc::Vector<gc::String> parts;
};
BOOST_DESCRIBE_STRUCT(Churning, (), (text, parts))

std::optional<std::string> validate(const Churning&) {
  for (int i = 0; i < 100; ++i) gc::make<Person>()->name = gc::String(std::string(100, 'g'));
  gc::collect();
  for (int i = 0; i < 100; ++i) gc::make<Person>()->name = gc::String(std::string(100, 'h'));
  return std::nullopt;
}

struct Holder {
  gc::Vector<Churning> list;
  gc::Map<gc::String, Churning> map;
  gc::Member<Churning> member;
  std::optional<Churning> maybe;
  Churning inside;
};
BOOST_DESCRIBE_STRUCT(Holder, (), (list, map, member, maybe, inside))

struct Base {
  std::int32_t inherited = 0;
};
BOOST_DESCRIBE_STRUCT(Base, (), (inherited))
struct Derived : Base {
  std::int32_t own = 0;
};
BOOST_DESCRIBE_STRUCT(Derived, (Base), (own))

struct OddNames {
  std::int32_t a = 0;
  std::int32_t ab = 0;
  std::int32_t a_name_that_is_longer_than_any_block_of_the_vector_unit_or_two = 0;
  static constexpr std::array<std::string_view, 1> json_optional{
      "a_name_that_is_longer_than_any_block_of_the_vector_unit_or_two"};
};
BOOST_DESCRIBE_STRUCT(OddNames, (),
                      (a, ab, a_name_that_is_longer_than_any_block_of_the_vector_unit_or_two))

}  // namespace decoding

namespace {

using testing::Event;
using testing::Kinds;
using testing::Node;
using testing::Padded;
using testing::Person;
using testing::User;

class Decode : public ::testing::Test {
 protected:
  gc::ThreadScope attached_;
};

template <typename T>
Error error_of(std::string_view text, const Limits& limits = {}) {
  const Padded padded(text);
  const Decoded<T> decoded = decode<T>(padded, limits);
  EXPECT_FALSE(decoded) << "accepted: " << text;
  return decoded ? Error{} : decoded.error;
}

template <typename T>
std::string encoded(const T& value) {
  http::Buffer out;
  EXPECT_TRUE(encode(value, out));
  return std::string(out.view());
}

// Decoded and encoded again.
template <typename T>
std::string again(std::string_view text) {
  const Padded padded(text);
  const Decoded<T> decoded = decode<T>(padded);
  EXPECT_TRUE(decoded) << decoded.error.text();
  return decoded ? encoded(*decoded) : "";
}

TEST_F(Decode, UserOfTheContract) { EXPECT_EQ(again<User>(testing::kUser7), testing::kUser7); }

TEST_F(Decode, EventOfTheContract) {
  const Padded text(testing::kEvent1);
  const auto event = decode<Event>(text);
  ASSERT_TRUE(event) << event.error.text();
  EXPECT_EQ(event->id, "ev-1");
  EXPECT_EQ(event->type, "click");
  EXPECT_EQ(event->user_id, 7);
  EXPECT_EQ(event->ts, 1700000000);
  ASSERT_EQ(event->tags.size(), 2u);
  EXPECT_EQ(event->tags[1], "b");
  ASSERT_NE(event->payload.find("k"), nullptr);
  EXPECT_EQ(*event->payload.find("k"), "v");
}

TEST_F(Decode, EveryKindOfMember) {
  const std::string text =
      R"({"i8":-128,"u8":255,"i32":-2147483648,"u64":18446744073709551615,"f":0.1,"d":-0.25,)"
      R"("b":true,"color":"blue","maybe":null,"maybe_text":"some text that is not inline",)"
      R"("three":[1,2,3],"counts":{"one":1},"matrix":[[1,2.5],[],[-3]],)"
      R"("at":"2024-02-29T12:00:00.500Z",)"
      R"("inline_address":{"street":"","city":"Springfield","country":"","zip":""}})";
  EXPECT_EQ(again<Kinds>(text), text);
}

TEST_F(Decode, ValuesWithoutAStruct) {
  EXPECT_EQ(again<gc::Vector<std::int64_t>>(" [ 1 , 2 ] "), "[1,2]");
  EXPECT_EQ(again<gc::Vector<std::int64_t>>("[]"), "[]");
  EXPECT_EQ(again<std::int64_t>("42"), "42");
  EXPECT_EQ(again<double>("-0"), "-0");
  EXPECT_EQ(again<bool>("true"), "true");
  EXPECT_EQ(again<gc::String>("\"x\""), "\"x\"");
  EXPECT_EQ((again<gc::Map<gc::String, bool>>("{\"a\":false}")), "{\"a\":false}");
  EXPECT_EQ(again<gc::Member<Node>>("null"), "null");
}

TEST_F(Decode, MembersInAnyOrderWithUnknownOnesBetween) {
  const std::string reversed =
      R"({"tags":["alpha","beta","tag-7"],"x":{"y":[1,{"z":null}]},)"
      R"("address":{"zip":"00007","country":"Freedonia","city":"Springfield","street":"7 High Street"},)"
      R"("roles":["reader","writer","team-7"],"score":8.75,"active":false,"y":"\u0041",)"
      R"("email":"user7@example.com","name":"User Number 7","id":7,"":0})";
  EXPECT_EQ(again<User>(reversed), testing::kUser7);
  std::string spaced(testing::kUser7);
  for (const char c : {',', ':', '{', '}', '[', ']'}) {
    for (std::size_t at = 0; (at = spaced.find(c, at)) != std::string::npos; at += 4) {
      spaced.replace(at, 1, std::string(" \n") + c + "\t");
    }
  }
  EXPECT_EQ(again<User>(spaced), testing::kUser7);
}

TEST_F(Decode, EscapedNamesAndValues) {
  const Padded text(R"({"n\u0061me":"\u0055ser \"7\" \ud83d\ude39","\u0061ge":7})");
  const auto person = decode<Person>(text);
  ASSERT_TRUE(person) << person.error.text();
  EXPECT_EQ(person->name, "User \"7\" \xF0\x9F\x98\xB9");
  EXPECT_EQ(person->age, 7);
  // Long ones, around the memory that is kept for short ones.
  for (const std::size_t size : {13u, 14u, 15u, 16u, 250u, 256u, 300u, 5000u}) {
    const std::string plain(size, 'p');
    const Padded longer("{\"name\":\"" + plain + "\\n\",\"age\":1}");
    const auto decoded = decode<Person>(longer);
    ASSERT_TRUE(decoded) << decoded.error.text();
    EXPECT_EQ(decoded->name, plain + "\n");
  }
  // A name that is unknown, escaped and longer than any that could be known.
  const Padded odd("{\"" + std::string(600, 'x') + "\\u0041\":1,\"name\":\"a\",\"age\":1}");
  EXPECT_TRUE(decode<Person>(odd));
  const Padded bad("{\"" + std::string(600, 'x') + "\\u00\":1,\"name\":\"a\",\"age\":1}");
  EXPECT_FALSE(decode<Person>(bad));
}

TEST_F(Decode, NamesThatBeginAlike) {
  const Padded text(
      R"({"a":1,"ab":2,"a_name_that_is_longer_than_any_block_of_the_vector_unit_or_two":3})");
  const auto names = decode<decoding::OddNames>(text);
  ASSERT_TRUE(names) << names.error.text();
  EXPECT_EQ(names->a_name_that_is_longer_than_any_block_of_the_vector_unit_or_two, 3);
  EXPECT_EQ(error_of<decoding::OddNames>("{\"ab\":1}").path, "/a");
  EXPECT_EQ(error_of<decoding::OddNames>("{\"a\":1,\"a\\u0062c\":1}").path, "/ab");
}

TEST_F(Decode, InheritedMembersComeFirst) {
  EXPECT_EQ(again<decoding::Derived>("{\"own\":2,\"inherited\":1}"), "{\"inherited\":1,\"own\":2}");
}

struct ErrorCase {
  std::string text;
  int status;
  std::string path;
  std::size_t offset;
  std::string message;
};
template <typename T>
void expect_errors(std::initializer_list<ErrorCase> cases) {
  for (const ErrorCase& expected : cases) {
    const Error error = error_of<T>(expected.text);
    EXPECT_EQ(error.status, expected.status) << expected.text;
    EXPECT_EQ(error.path, expected.path) << expected.text;
    EXPECT_EQ(error.offset, expected.offset) << expected.text << error.message;
    EXPECT_EQ(error.message, expected.message) << expected.text;
  }
}

TEST_F(Decode, ErrorsNameThePathAndTheOffset) {
  expect_errors<Person>({
      {"", 400, "", 0, "the document is empty"},
      {"[]", 400, "", 0, "expected an object, found an array"},
      {"\xEF\xBB\xBF{}", 400, "", 0,
       "the text begins with a byte order mark: send UTF-8 without one"},
      {"{}", 400, "/name", 0, "missing member"},
      {"{\"name\":\"a\"}", 400, "/age", 0, "missing member"},
      {"{\"name\":1,\"age\":1}", 400, "/name", 8, "expected a string, found a number"},
      {"{\"name\":null,\"age\":1}", 400, "/name", 8, "expected a string, found null"},
      {"{\"age\":\"1\"}", 400, "/age", 7, "expected an integer, found a string"},
      {"{\"age\":1.0}", 400, "/age", 7,
       "expected an integer, found a number with a fraction or an exponent"},
      {"{\"age\":1e2}", 400, "/age", 7,
       "expected an integer, found a number with a fraction or an exponent"},
      {"{\"age\":2147483648}", 400, "/age", 7, "number out of range: -2147483648 to 2147483647"},
      {"{\"age\":01}", 400, "/age", 7, "malformed number"},
      {"{\"age\":-}", 400, "/age", 7, "malformed number"},
      {"{\"age\":tru}", 400, "/age", 7, "expected an integer, found something that is not JSON"},
      {"{\"name\":\"a\",\"name\":\"b\",\"age\":1}", 400, "/name", 12, "duplicate member"},
      {"{\"name\":\"a\",\"n\\u0061me\":\"b\"}", 400, "/name", 12, "duplicate member"},
      {"{\"name\":\"a\",\"age\":1,}", 400, "", 20, "expected a member name, found a closing brace"},
      {"{\"name\":\"a\" \"age\":1}", 400, "", 12,
       "expected a comma or a closing brace, found a string"},
      {"{\"name\" \"a\"}", 400, "", 8, "expected a colon, found a string"},
      {"{\"name\":\"a\\x\"}", 400, "/name", 10,
       "malformed escape in a string (or half of a surrogate pair)"},
      {"{\"name\":\"a\",\"age\":1} {}", 400, "", 21, "text follows the document"},
      {"{\"name\":\"a\",\"age\":1}}", 400, "", 20, "text follows the document"},
      {"{\"name\":\"a\",\"age\":1", 400, "", 19,
       "expected a comma or a closing brace, found the end of the text"},
      {"{\"name\":\"a\",\"age\":-1}", 422, "", 0, "age must not be negative"},
      {"{\"a/~b\":nope}", 400, "/a~1~0b", 8, "expected a value, found something that is not JSON"},
      {"{\"x\":{\"y\":[1,2,}]}", 400, "/x", 15, "expected a value, found a closing brace"},
  });
  expect_errors<gc::Vector<Event>>({
      {"{}", 400, "", 0, "expected an array, found an object"},
      {"[{\"id\":\"a\",\"type\":\"b\",\"user_id\":1,\"ts\":1,\"tags\":[\"x\",2],\"payload\":{}}]",
       400, "/0/tags/1", 53, "expected a string, found a number"},
      {"[{\"id\":\"a\",\"type\":\"b\",\"user_id\":1,\"ts\":1,\"tags\":[],\"payload\":{\"k\":1}}]",
       400, "/0/payload/k", 66, "expected a string, found a number"},
      {"[{\"id\":\"a\",\"type\":\"b\",\"user_id\":1,\"ts\":1,\"tags\":[],\"payload\":{\"k\":\"\","
       "\"k\":\"\"}}]",
       400, "/0/payload/k", 69, "duplicate member"},
      {"[1,]", 400, "/0", 1, "expected an object, found a number"},
      {"[", 400, "/0", 1, "expected an object, found the end of the text"},
  });
  expect_errors<decoding::Group>({
      {"{\"people\":[{\"name\":\"a\",\"age\":1},{\"name\":\"b\",\"age\":-1}],\"leader\":null}", 422,
       "/people/1", 32, "age must not be negative"},
      {"{\"people\":[],\"leader\":{\"name\":\"b\"}}", 400, "/leader/age", 22, "missing member"},
  });
  expect_errors<decoding::Strict>({
      {"{\"a\":1,\"b\":2,\"c\":3}", 400, "/c", 13, "unknown member"},
      {"{\"b\":2}", 400, "/a", 0, "missing member"},
  });
  expect_errors<Kinds>({
      {"{\"i8\":128}", 400, "/i8", 6, "number out of range: -128 to 127"},
      {"{\"u8\":-1}", 400, "/u8", 6, "number out of range: 0 to 255"},
      {"{\"u64\":18446744073709551616}", 400, "/u64", 7,
       "number out of range: 0 to 18446744073709551615"},
      {"{\"d\":1e999}", 400, "/d", 5, "number out of range of a double"},
      {"{\"d\":null}", 400, "/d", 5, "expected a number, found null"},
      {"{\"f\":1e39}", 400, "/f", 5, "number out of range of a float"},
      {"{\"b\":1}", 400, "/b", 5, "expected true or false, found a number"},
      {"{\"color\":\"pink\"}", 400, "/color", 9, "expected one of red, green, blue"},
      {"{\"color\":1}", 400, "/color", 9, "expected the name of an enumerator, found a number"},
      {"{\"three\":[1,2]}", 400, "/three", 9, "expected an array of 3 elements"},
      {"{\"three\":[1,2,3,4]}", 400, "/three", 9, "expected an array of 3 elements"},
      {"{\"three\":[]}", 400, "/three", 9, "expected an array of 3 elements"},
      {"{\"matrix\":[[1],[2,\"x\"]]}", 400, "/matrix/1/1", 18, "expected a number, found a string"},
      {"{\"at\":\"yesterday\"}", 400, "/at", 6, "expected a time as in 2024-02-29T12:00:00.5Z"},
      {"{\"maybe\":\"x\"}", 400, "/maybe", 9, "expected an integer, found a string"},
  });
  EXPECT_EQ(error_of<gc::Vector<Event>>("[1]").text(),
            "/0 at byte 1: expected an object, found a number");
}

TEST_F(Decode, IntegersAtTheirExtremes) {
  EXPECT_EQ(again<std::int64_t>("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(again<std::int64_t>("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(again<std::uint64_t>("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(again<std::int64_t>("-0"), "0");
  EXPECT_EQ(again<std::uint64_t>("-0"), "0");
  error_of<std::int64_t>("9223372036854775808");
  error_of<std::int64_t>("-9223372036854775809");
  error_of<std::int64_t>("18446744073709551615");
  error_of<std::int64_t>("99999999999999999999999");
  error_of<std::uint64_t>("-1");
  for (const char* text : {"127", "-128"}) EXPECT_EQ(again<std::int8_t>(text), text);
  for (const char* text : {"128", "-129"}) error_of<std::int8_t>(text);
  EXPECT_EQ(again<std::uint16_t>("65535"), "65535");
  error_of<std::uint16_t>("65536");
}

TEST_F(Decode, BoundsElements) {
  const Limits limits{.max_elements = 3};
  EXPECT_TRUE(decode<gc::Vector<std::int64_t>>(Padded("[1,2,3]"), limits));
  const Error error = error_of<gc::Vector<std::int64_t>>("[1,2,3,4]", limits);
  EXPECT_EQ(error.status, 422);
  EXPECT_EQ(error.message, "more than 3 elements");
  EXPECT_EQ((error_of<gc::Map<gc::String, bool>>(R"({"a":true,"b":true,"c":true,"d":true})", limits)
                 .status),
            422);
  EXPECT_EQ(error_of<gc::Vector<std::int64_t>>("[1,2,3]", Limits{.max_bytes = 6}).status, 413);
}

TEST_F(Decode, AllocatesWhatItKeepsAndNothingElse) {
  const auto objects_for = [](auto decode_once) {
    decode_once();
    const gc::AllocCounts before = fiber::alloc_counts();
    decode_once();
    const gc::AllocCounts used = fiber::alloc_counts() - before;
    return used.objects + used.large_objects;
  };
  const Padded event(testing::kEvent1);
  // The event, the backing of its tags, the backing of its payload.
  EXPECT_EQ(objects_for([&] { ASSERT_TRUE(decode<Event>(event)); }), 3u);
  const Padded user(testing::kUser7);
  // The user, its address, two backings, one text of more than 15 bytes.
  EXPECT_EQ(objects_for([&] { ASSERT_TRUE(decode<User>(user)); }), 5u);
  std::string twenty = "[";
  for (int i = 0; i < 20; ++i) twenty += std::string(testing::kEvent1) + ",";
  twenty.back() = ']';
  const Padded events(twenty);
  EXPECT_EQ(objects_for([&] { ASSERT_TRUE(decode<gc::Vector<Event>>(events)); }), 42u);
}

TEST_F(Decode, SurvivesCollectionsAtEveryStep) {
  const std::string one = R"({"text":"a text that is longer than fifteen bytes","parts":)"
                          R"(["short","and a part that is long enough to be an object"]})";
  const std::string text = "{\"list\":[" + one + "," + one + "," + one +
                           "],\"map\":{\"a key that is long\":" + one + "},\"member\":" + one +
                           ",\"maybe\":" + one + ",\"inside\":" + one + "}";
  const Padded padded(text);
  for (int i = 0; i < 5; ++i) {
    const auto holder = decode<decoding::Holder>(padded);
    ASSERT_TRUE(holder) << holder.error.text();
    gc::collect();
    ASSERT_EQ(encoded(*holder), text);
  }
}

TEST_F(Decode, CollectionsBetweenDocuments) {
  const Padded text(testing::kUser7);
  gc::Root<gc::Vector<gc::Member<User>>> kept;
  for (int i = 0; i < 300; ++i) {
    const auto user = decode<User>(text);
    ASSERT_TRUE(user);
    if (i % 10 == 0) kept->push_back(user.value);
    if (i % 25 == 0) gc::collect();
  }
  gc::collect();
  for (const gc::Member<User>& user : *kept) ASSERT_EQ(encoded(*user), testing::kUser7);
}

std::string nested_nodes(std::size_t levels) {
  std::string text;
  for (std::size_t i = 1; i < levels; ++i) text += "{\"next\":";
  text += "{\"value\":5}";
  return text + std::string(levels - 1, '}');
}
std::string nested_children(std::size_t pairs) {
  std::string text;
  for (std::size_t i = 0; i < pairs; ++i) text += "{\"children\":[";
  for (std::size_t i = 0; i < pairs; ++i) text += "]}";
  return text;
}

TEST_F(Decode, Allows1024LevelsAndNoMore) {
  // On a thread's large stack, so that levels are what counts.
  EXPECT_TRUE(decode<Node>(Padded(nested_nodes(1024))));
  EXPECT_TRUE(decode<Node>(Padded(nested_children(512))));
  const Error error = error_of<Node>(nested_nodes(1025));
  EXPECT_EQ(error.message, "nested too deeply");
  EXPECT_EQ(error.offset, 1024 * 8u);
  EXPECT_LE(error.path.size(), 1024u);
  EXPECT_EQ(error.path.substr(0, 10), "/next/next");
  error_of<Node>(nested_children(513));
  // Unknown members: without recursion.
  const auto unknown = [](std::size_t levels) {
    return "{\"x\":" + std::string(levels, '[') + std::string(levels, ']') + ",\"value\":1}";
  };
  EXPECT_TRUE(decode<Node>(Padded(unknown(1023))));
  EXPECT_EQ(error_of<Node>(unknown(1024)).message, "nested too deeply");
}

TEST(DecodeOnAFiber, DeepDocumentsFitItsStackOrAreRefused) {
  fiber::Scheduler scheduler(fiber::SchedulerOptions{});
  scheduler.start();
  scheduler.run([] {
    const std::string texts[] = {nested_nodes(1024), nested_children(512)};
    for (const std::string& text : texts) {
      const Padded padded(text);
      const auto decoded = decode<Node>(padded);
#if defined(NDEBUG) && !TAILRACE_ASAN && !TAILRACE_TSAN
      EXPECT_TRUE(decoded) << decoded.error.message;
#else
      if (!decoded) {
        EXPECT_EQ(decoded.error.message, "nested too deeply");
      }
#endif
    }
    EXPECT_EQ(error_of<Node>(nested_nodes(100000)).message, "nested too deeply");
  });
  scheduler.stop();
}

// Two fibers of one worker, each suspended in the middle of the other's document.
TEST(DecodeOnAFiber, InterleavedDecodersDoNotShareAnIndex) {
  fiber::Scheduler scheduler(fiber::SchedulerOptions{});
  scheduler.start();
  scheduler.run([] {
    std::string rows = "[";
    for (int i = 0; i < 2000; ++i) rows += "[" + std::to_string(i) + "],";
    rows.back() = ']';
    const Padded padded(rows);
    const internal::StructuralIndex outer(padded);
    ASSERT_EQ(outer.status(), internal::StructuralIndex::Status::kOk);
    const std::vector<std::uint32_t> before(outer.offsets(), outer.offsets() + outer.count());
    fiber::JoinHandle other = fiber::spawn([&] {
      for (int i = 0; i < 20; ++i) {
        const Padded user(testing::kUser7);
        EXPECT_EQ(again<User>(user), testing::kUser7);
        fiber::yield();
      }
    });
    for (int i = 0; i < 20; ++i) fiber::yield();
    EXPECT_TRUE(std::equal(before.begin(), before.end(), outer.offsets()));
    other.join();
  });
  scheduler.stop();
}

}  // namespace
}  // namespace tailrace::json
