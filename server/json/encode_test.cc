// The encoder: golden texts of the service's values, escapes, every kind of member, bounds.
#include "server/json/encode.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/mutator.h"
#include "server/json/minify.h"
#include "server/json/test_values.h"

namespace tailrace::json {

namespace encoding {

struct Nothing {};
BOOST_DESCRIBE_STRUCT(Nothing, (), ())

struct Base {
  std::int32_t inherited = 1;
};
BOOST_DESCRIBE_STRUCT(Base, (), (inherited))
struct Derived : Base {
  gc::String own = "x";
};
BOOST_DESCRIBE_STRUCT(Derived, (Base), (own))

class Private {
 public:
  std::int32_t shown = 1;

 private:
  std::int32_t hidden_ = 2;
  BOOST_DESCRIBE_CLASS(Private, (), (shown), (), (hidden_))
};

struct Plain {
  std::string text = "heap text, longer than sixteen bytes";
  std::string_view view = "view";
  const char* literal = "literal";
  const char* none = nullptr;
  std::vector<std::int32_t> numbers{1, -2, 3};
  std::map<std::string, bool> flags{{"a", true}, {"b", false}};
  char letter = 'A';
};
BOOST_DESCRIBE_STRUCT(Plain, (), (text, view, literal, none, numbers, flags, letter))

}  // namespace encoding

namespace {

using testing::Color;
using testing::Node;

template <typename T>
std::string encoded(const T& value) {
  http::Buffer out;
  EXPECT_TRUE(encode(value, out));
  return std::string(out.view());
}

class Encode : public ::testing::Test {
 protected:
  gc::ThreadScope attached_;
};

TEST_F(Encode, UserOfTheContract) {
  EXPECT_EQ(encoded(*testing::make_demo_user(7)), testing::kUser7);
}

TEST_F(Encode, EventOfTheContract) {
  testing::Event event;
  event.id = "ev-1";
  event.type = "click";
  event.user_id = 7;
  event.ts = 1700000000;
  event.tags = {"a", "b"};
  event.payload["k"] = "v";
  EXPECT_EQ(encoded(event), testing::kEvent1);
}

TEST_F(Encode, EveryKindOfMember) {
  testing::Kinds kinds;
  kinds.i8 = -128;
  kinds.u8 = 255;
  kinds.i32 = -2147483648;
  kinds.u64 = std::numeric_limits<std::uint64_t>::max();
  kinds.f = 0.1F;
  kinds.d = -0.25;
  kinds.b = true;
  kinds.color = Color::blue;
  kinds.maybe_text = gc::String("some");
  kinds.three = {1, 2, 3};
  kinds.counts["one"] = 1;
  kinds.matrix = {{1, 2.5}, {}, {-3}};
  kinds.at = Timestamp{1709208000500000000};
  kinds.inline_address.city = "Springfield";
  EXPECT_EQ(encoded(kinds),
            R"({"i8":-128,"u8":255,"i32":-2147483648,"u64":18446744073709551615,"f":0.1,"d":-0.25,)"
            R"("b":true,"color":"blue","maybe":null,"maybe_text":"some","three":[1,2,3],)"
            R"("counts":{"one":1},"matrix":[[1,2.5],[],[-3]],"at":"2024-02-29T12:00:00.500Z",)"
            R"("inline_address":{"street":"","city":"Springfield","country":"","zip":""}})");
}

TEST_F(Encode, TypesThatAreNotManaged) {
  EXPECT_EQ(encoded(encoding::Plain()),
            R"({"text":"heap text, longer than sixteen bytes","view":"view","literal":"literal",)"
            R"("none":null,"numbers":[1,-2,3],"flags":{"a":true,"b":false},"letter":65})");
}

TEST_F(Encode, EmptyInheritedAndPrivate) {
  EXPECT_EQ(encoded(encoding::Nothing()), "{}");
  EXPECT_EQ(encoded(encoding::Derived()), R"({"inherited":1,"own":"x"})");
  EXPECT_EQ(encoded(encoding::Private()), R"({"shown":1})");
  EXPECT_EQ(encoded(gc::Vector<gc::String>()), "[]");
  EXPECT_EQ(encoded(gc::Map<gc::String, bool>()), "{}");
}

TEST_F(Encode, ValuesWithoutAStruct) {
  EXPECT_EQ(encoded(true), "true");
  EXPECT_EQ(encoded(false), "false");
  EXPECT_EQ(encoded(-1), "-1");
  EXPECT_EQ(encoded("text"), "\"text\"");
  EXPECT_EQ(encoded(gc::String("text")), "\"text\"");
  EXPECT_EQ(encoded(gc::Member<Node>()), "null");
  EXPECT_EQ(encoded(std::optional<bool>()), "null");
  EXPECT_EQ(encoded(static_cast<Color>(77)), "77");
  EXPECT_EQ(encoded(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(encoded(-std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(encoded(std::numeric_limits<float>::infinity()), "null");
}

TEST_F(Encode, AppendsAndLeavesTheBufferAloneWhenItFails) {
  http::Buffer out;
  ASSERT_TRUE(out.append("before "));
  EXPECT_TRUE(encode(gc::String("x"), out));
  EXPECT_EQ(out.view(), "before \"x\"");
  Node* cycle = gc::make<Node>();
  cycle->next = cycle;
  EXPECT_FALSE(encode(*cycle, out));
  EXPECT_EQ(out.view(), "before \"x\"");
}

std::string naive_escape(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    static constexpr std::string_view kShort = "\"\\\b\f\n\r\t";
    static constexpr std::string_view kNames = "\"\\bfnrt";
    const std::size_t found = kShort.find(c);
    if (found != std::string_view::npos) {
      result += '\\';
      result += kNames[found];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      result += escape;
    } else {
      result += c;
    }
  }
  return result + '"';
}

// Every byte value of ASCII at every place of every length around the 16-byte blocks, as an inline
// or long String and as a view.
TEST_F(Encode, EscapesAnywhere) {
  for (std::size_t size = 1; size <= 50; ++size) {
    for (std::size_t at = 0; at<size; at += size> 20 ? 3 : 1) {
      for (int c = 0; c < 0x80; ++c) {
        std::string text(size, 'a');
        text[at] = static_cast<char>(c);
        const std::string expected = naive_escape(text);
        ASSERT_EQ(encoded(std::string_view(text)), expected);
        ASSERT_EQ(encoded(gc::String(text)), expected);
      }
    }
  }
}

TEST_F(Encode, NeverReadsBehindAString) {
  // Exact blocks of malloc: AddressSanitizer sees a byte too far.
  for (std::size_t size = 0; size <= 70; ++size) {
    const std::vector<char> exact(size, 'x');
    EXPECT_EQ(encoded(std::string_view(exact.data(), exact.size())),
              "\"" + std::string(size, 'x') + "\"");
  }
}

TEST_F(Encode, KeepsUtf8AndReplacesWhatIsNone) {
  const struct {
    std::string text;
    std::string expected;
  } cases[] = {
      {"\xCF\x80 \xE2\x82\xAC \xF0\x9D\x84\x9E", "\xCF\x80 \xE2\x82\xAC \xF0\x9D\x84\x9E"},
      {"\xE2\x80\xA8\xE2\x80\xA9", "\xE2\x80\xA8\xE2\x80\xA9"},
      {"\x7F", "\x7F"},
      {"a\xFFz", "a\xEF\xBF\xBDz"},
      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xE2\x82", "\xEF\xBF\xBD"},
      {"\xE2\x82z", "\xEF\xBF\xBDz"},
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xF0\x9D\x84", "\xEF\xBF\xBD"},
  };
  for (const auto& [text, expected] : cases) {
    // Also where it crosses a block.
    for (std::size_t before = 0; before < 40; ++before) {
      const std::string head(before, '.');
      EXPECT_EQ(encoded(gc::String(head + text)), "\"" + head + expected + "\"");
      EXPECT_EQ(encoded(gc::String(head + text + head)), "\"" + head + expected + head + "\"");
    }
  }
}

TEST_F(Encode, RandomBytesGiveValidJson) {
  std::uint64_t state = 1;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    for (std::size_t size = static_cast<std::size_t>(i) % 97; size > 0; --size) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      bytes += static_cast<char>(state >> 56);
    }
    const testing::Padded text(encoded(gc::String(bytes)));
    http::Buffer out;
    const std::optional<Error> error = minify(text, out);
    ASSERT_FALSE(error) << error->text();
    ASSERT_EQ(out.view(), text.view());
  }
}

TEST_F(Encode, LongTextsAndManyElementsGrowTheBuffer) {
  const std::string plain(300000, 'p');
  EXPECT_EQ(encoded(gc::String(plain)), "\"" + plain + "\"");
  std::string quotes(100000, '"');
  std::string expected = "\"";
  for (int i = 0; i < 100000; ++i) expected += "\\\"";
  EXPECT_EQ(encoded(gc::String(quotes)), expected + "\"");
  gc::Vector<gc::Vector<std::int64_t>> rows;
  std::string all = "[";
  for (std::int64_t i = 0; i < 20000; ++i) {
    rows.push_back({i, -i});
    all += (i == 0 ? "[" : ",[") + std::to_string(i) + "," + std::to_string(-i) + "]";
  }
  EXPECT_EQ(encoded(rows), all + "]");
}

// Sizes around the end of a buffer's room, so that each check of room is the one that grows.
TEST_F(Encode, GrowsAtEveryPlace) {
  testing::User& user = *testing::make_demo_user(7);
  const std::string one(testing::kUser7);
  http::Buffer probe;
  ASSERT_NE(probe.reserve(1), nullptr);
  const std::size_t room = probe.room();
  for (std::size_t left = 0; left < 700; ++left) {
    http::Buffer out;
    ASSERT_TRUE(out.append(std::string(room - left, ' ')));
    ASSERT_TRUE(encode(user, out));
    ASSERT_EQ(out.view().substr(room - left), one);
  }
}

TEST_F(Encode, TakesNoManagedMemory) {
  testing::User& user = *testing::make_demo_user(7);
  http::Buffer out;
  ASSERT_TRUE(encode(user, out));
  const gc::AllocCounts before = fiber::alloc_counts();
  for (int i = 0; i < 100; ++i) {
    out.clear();
    ASSERT_TRUE(encode(user, out));
  }
  EXPECT_EQ((fiber::alloc_counts() - before).objects, 0u);
}

Node* list_of(int nodes, std::string& expected) {
  Node* list = nullptr;
  expected = "null";
  for (int i = 0; i < nodes; ++i) {
    Node* node = gc::make<Node>();
    node->value = i;
    node->next = list;
    list = node;
    expected = "{\"value\":" + std::to_string(i) + ",\"next\":" + expected + ",\"children\":[]}";
  }
  return list;
}

TEST_F(Encode, Allows1024LevelsAndNoMore) {
  // The innermost list of children is a level too.
  std::string expected;
  http::Buffer out;
  EXPECT_TRUE(encode(*list_of(1024, expected), out));
  EXPECT_TRUE(out.view() == expected);
  EXPECT_FALSE(encode(*list_of(1025, expected), out));
}

TEST(EncodeOnAFiber, DeepListsFitItsStackOrAreRefused) {
  fiber::Scheduler scheduler(fiber::SchedulerOptions{});
  scheduler.start();
  scheduler.run([] {
    std::string expected;
    Node* list = list_of(1024, expected);
    http::Buffer out;
    const bool done = encode(*list, out);
    if (done) {
      EXPECT_TRUE(out.view() == expected);
    }
#if defined(NDEBUG) && !TAILRACE_ASAN && !TAILRACE_TSAN
    EXPECT_TRUE(done);
#endif
    list->next = list;
    EXPECT_FALSE(encode(*list, out));
  });
  scheduler.stop();
}

}  // namespace
}  // namespace tailrace::json
