// String: what is inline, what is shared, what the marker sees.
#include "gcruntime/gc/string.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

using test::in_own_frame;

// Which bytes, and a length: "0123456789abc..." from `from` on.
std::string text_of(std::size_t bytes, std::size_t from = 0) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>('!' + (i + from) % 90);
  return text;
}

class StringTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

TEST_F(StringTest, AllLengthsRoundTrip) {
  for (std::size_t bytes = 0; bytes <= 300; ++bytes) {
    const std::string text = text_of(bytes);
    const String string{std::string_view(text)};
    ASSERT_EQ(string.size(), bytes);
    ASSERT_EQ(string.empty(), bytes == 0);
    ASSERT_EQ(string.view(), text);
    ASSERT_EQ(std::string_view(string.data(), string.size()), text);
    const String copy(string);
    ASSERT_EQ(copy, string);
    String assigned{std::string_view("something else, of more than fifteen bytes")};
    assigned = string;
    ASSERT_EQ(assigned.view(), text);
    assigned = std::string_view("x");
    ASSERT_EQ(assigned, "x");
  }
}

TEST_F(StringTest, AssigningPaddedTextTakesNoByteOfThePadding) {
  for (std::size_t bytes = 0; bytes <= 60; ++bytes) {
    const std::string text = text_of(bytes);
    const std::string padded = text + std::string(16, '\xff');
    String string("before");
    string.assign_padded(std::string_view(padded.data(), bytes));
    ASSERT_EQ(string.view(), text);
    ASSERT_EQ(string, String{std::string_view(text)});
    if (bytes <= String::kInlineBytes) {
      const String plain{std::string_view(text)};
      ASSERT_EQ(
          std::memcmp(static_cast<const void*>(&string), static_cast<const void*>(&plain), 16), 0);
    }
  }
}

TEST_F(StringTest, EveryByteValueIsText) {
  for (const std::size_t bytes : {1, 7, 8, 15, 16, 40}) {
    for (int value = 0; value < 256; ++value) {
      const std::string text(bytes, static_cast<char>(value));
      ASSERT_EQ(String{std::string_view(text)}.view(), text);
    }
  }
}

TEST_F(StringTest, AllZeroMemoryIsTheEmptyString) {
  alignas(String) char memory[sizeof(String)] = {};
  const auto* string = reinterpret_cast<const String*>(memory);
  EXPECT_TRUE(string->empty());
  EXPECT_EQ(string->view(), "");
  EXPECT_EQ(*string, String());
  // And the other way: empty strings are all zero, however they came about.
  for (const String& empty :
       {String(), String(std::string_view()), String(""), String::literal("")}) {
    EXPECT_EQ(std::memcmp(static_cast<const void*>(&empty), memory, sizeof(String)), 0);
  }
}

TEST_F(StringTest, ShortTextAllocatesNothingAndLongTextOnce) {
  const std::string text = text_of(60);
  for (std::size_t bytes = 0; bytes <= 60; ++bytes) {
    const std::string_view view(text.data(), bytes);
    EXPECT_EQ(allocs_per_run(3, [&] { String string(view); }).objects, bytes <= 15 ? 0u : 1u)
        << bytes;
    const String string(view);
    EXPECT_EQ(allocs_per_run(3, [&] { String copy(string); }).objects, 0u);
  }
}

TEST_F(StringTest, CopiesShareTheText) {
  const String string{std::string_view(text_of(40))};
  const String copy(string);
  EXPECT_EQ(copy.data(), string.data());
  const String inline_string("short");
  const String inline_copy(inline_string);
  EXPECT_NE(inline_copy.data(), inline_string.data());
}

TEST_F(StringTest, ALiteralIsNotCopied) {
  alignas(2) static constexpr char kEven[] = "a literal of more than fifteen bytes";
  EXPECT_EQ(String::literal(kEven).data(), kEven);
  EXPECT_EQ(allocs_per_run(1, [] { String::literal(kEven); }).objects, 0u);
  // At an odd address it is: the lowest bit is the tag.
  alignas(2) static constexpr char kBoth[] = "xa literal of more than fifteen bytes";
  const auto& odd = *reinterpret_cast<const char(*)[sizeof(kBoth) - 1]>(kBoth + 1);
  const String copied = String::literal(odd);
  EXPECT_NE(copied.data(), odd);
  EXPECT_EQ(copied, "a literal of more than fifteen bytes");
  EXPECT_EQ(String::literal("short"), "short");
}

TEST_F(StringTest, ComparesAsBytes) {
  EXPECT_LT(String("a"), String("b"));
  EXPECT_LT(String("a"), String("aa"));
  EXPECT_LT(String(""), String("a"));
  EXPECT_GT(String("\x80"), String("a"));
  EXPECT_EQ(String("a text of sixteen"), String("a text of sixteen"));
  EXPECT_FALSE(String("a text of sixteen") == String("a text of sixteeN"));
  EXPECT_TRUE(String("x") == std::string_view("x"));
}

TEST_F(StringTest, HashesLikeItsText) {
  for (std::size_t i = 0; i < 100; ++i) {
    const std::string text = text_of(i);
    EXPECT_EQ(std::hash<String>()(String{std::string_view(text)}),
              std::hash<std::string_view>()(text));
  }
  EXPECT_EQ(std::hash<String>()(String("key")), std::hash<std::string_view>()("key"));
}

struct Holder {
  String text;
  std::int64_t other = 0;
};
BOOST_DESCRIBE_STRUCT(Holder, (), (text, other))

// Inline text may look like anything, pointers included; long text stays as long as a String refers to it.
TEST_F(StringTest, TextSurvivesCyclesWhereverTheStringIs) {
  Root<Vector<String>> strings;
  Root<Holder> holder(make<Holder>());
  in_own_frame([&] {
    for (std::size_t i = 0; i < 500; ++i) {
      strings->push_back(String{std::string_view(text_of(i % 50, i))});
    }
    holder->text = String{std::string_view(text_of(1000))};
  });
  const String on_stack{std::string_view(text_of(77))};
  for (int round = 0; round < 3; ++round) {
    collect();
    in_own_frame([] {
      for (int i = 0; i < 5000; ++i)
        String{std::string_view(text_of(16 + static_cast<std::size_t>(i % 60), 7))};
    });
  }
  for (std::size_t i = 0; i < 500; ++i) ASSERT_EQ((*strings)[i].view(), text_of(i % 50, i));
  EXPECT_EQ(holder->text.view(), text_of(1000));
  EXPECT_EQ(on_stack.view(), text_of(77));
}

// Words of text that are addresses of objects, even and odd, free and in use.
TEST_F(StringTest, TextThatLooksLikeAPointerDoesNoHarm) {
  Root<Vector<String>> strings;
  std::vector<std::string> expected;
  in_own_frame([&] {
    for (int i = 0; i < 300; ++i) {
      const auto address =
          reinterpret_cast<std::uintptr_t>(make<Holder>()) + static_cast<unsigned>(i % 3);
      // At each place where a word of the String could hold it.
      // (But not word 1 in the verify build, which takes it for a number that is used as a pointer.)
#if defined(TAILRACE_VERIFY)
      constexpr std::size_t kLast = 6;
#else
      constexpr std::size_t kLast = 7;
#endif
      for (std::size_t before = 0; before <= kLast; ++before) {
        std::string text(before, 'x');
        text.append(reinterpret_cast<const char*>(&address), 8);
        strings->push_back(String{std::string_view(text)});
        expected.push_back(text);
      }
    }
  });
  for (int i = 0; i < 3; ++i) collect();
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ((*strings)[i].view(), expected[i]);
}

TEST_F(StringTest, TheBuilderAppendsLikeStdString) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    StringBuilder builder(random() % 3 == 0 ? random() % 100 : 0);
    std::string expected;
    for (int i = 0; i < 20; ++i) {
      switch (random() % 4) {
        case 0: {
          const std::string piece = text_of(random() % 40, random() % 90);
          builder.append(piece);
          expected += piece;
          break;
        }
        case 1: {
          const auto number = static_cast<std::int64_t>(random() >> random() % 64);
          builder.append(number);
          expected += std::to_string(number);
          break;
        }
        case 2:
          builder.append('c');
          expected += 'c';
          break;
        default:  // its own text
          builder.append(builder.view());
          expected += std::string(expected);
          if (expected.size() > 100'000) {
            builder = StringBuilder();
            expected.clear();
          }
      }
      ASSERT_EQ(builder.view(), expected);
    }
    ASSERT_EQ(builder.finish().view(), expected);
    ASSERT_EQ(builder.view(), "");
  }
  StringBuilder extremes;
  extremes.append(INT64_MIN);
  extremes.append(INT64_MAX);
  EXPECT_EQ(extremes.finish(), "-92233720368547758089223372036854775807");
}

TEST_F(StringTest, ConcatAllocatesOnce) {
  const String name("a name of some length");
  EXPECT_EQ(concat("user:", name, ":", std::string_view("tail")),
            "user:a name of some length:tail");
  EXPECT_EQ(concat("", String()), "");
  EXPECT_EQ(allocs_per_run(3, [&] { concat("user:", name, ":", name); }).objects, 1u);
}

}  // namespace
}  // namespace tailrace::gc
