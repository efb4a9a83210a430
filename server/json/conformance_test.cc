// Every document that must be accepted is, and every one that must be refused is: by minify, and as
// an unknown member of a struct, where a decoder that skips would let it pass.
#include "server/json/conformance_cases.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "gcruntime/gc/mutator.h"
#include "server/json/decode.h"
#include "server/json/minify.h"
#include "server/json/test_values.h"

namespace tailrace::json {

namespace conformance {
struct Empty {
  bool known = false;
};
BOOST_DESCRIBE_STRUCT(Empty, (), (known))
}  // namespace conformance

namespace {

using testing::Padded;

TEST(Conformance, HasAsManyCasesAsTheKnownSuites) {
  EXPECT_GE(accept_cases().size(), 95u);
  EXPECT_GE(reject_cases().size(), 188u);
}

void expect_minified(const AcceptCase& accepted) {
  for (const char behind : {'7', '}', '"', 'e', '\0', ' '}) {
    const Padded text(accepted.text, behind);
    http::Buffer out;
    const std::optional<Error> error = minify(text, out);
    EXPECT_FALSE(error) << accepted.text << ": " << error->text();
    EXPECT_EQ(out.view(), accepted.minified.empty() ? accepted.text : accepted.minified);
  }
}

void expect_refused(const std::string& refused) {
  // What stands behind the text must not help it: a bracket could close what is open.
  for (const char behind : {'7', '}', ']', '"', 'e', '\0', ' '}) {
    const Padded text(refused, behind);
    http::Buffer out;
    const std::optional<Error> error = minify(text, out);
    ASSERT_TRUE(error) << "accepted: " << refused << " as " << out.view();
    EXPECT_EQ(error->status, 400);
    EXPECT_LE(error->offset, refused.size());
    EXPECT_FALSE(error->message.empty());
    EXPECT_TRUE(out.empty());
  }
}

TEST(Conformance, MinifyAccepts) {
  for (const AcceptCase& accepted : accept_cases()) expect_minified(accepted);
}
TEST(Conformance, MinifyRefuses) {
  for (const std::string& refused : reject_cases()) expect_refused(refused);
}
TEST(Conformance, MinifyAcceptsByChoice) {
  for (const AcceptCase& accepted : chosen_accept_cases()) expect_minified(accepted);
}
TEST(Conformance, MinifyRefusesByChoice) {
  for (const std::string& refused : chosen_reject_cases()) expect_refused(refused);
}

TEST(Conformance, UnknownMembersAreCheckedLikeDocuments) {
  const gc::ThreadScope attached;
  for (const AcceptCase& accepted : accept_cases()) {
    const Padded text("{\"unknown\":" + accepted.text + ",\"known\":true}");
    const auto decoded = decode<conformance::Empty>(text);
    ASSERT_TRUE(decoded) << accepted.text << ": " << decoded.error.text();
    EXPECT_TRUE(decoded->known);
  }
  for (const auto& cases : {reject_cases(), chosen_reject_cases()}) {
    for (const std::string& refused : cases) {
      const Padded text("{\"unknown\":" + refused + ",\"known\":true}");
      const auto decoded = decode<conformance::Empty>(text);
      EXPECT_FALSE(decoded) << "accepted as an unknown member: " << refused;
    }
  }
}

TEST(Conformance, EveryPrefixOfADocumentIsRefused) {
  const std::string whole(testing::kUser7);
  for (std::size_t size = 0; size < whole.size(); ++size) expect_refused(whole.substr(0, size));
  expect_minified({whole, ""});
}

// Two walks over one grammar, the decoder's and minify's: what the decoder takes is a document, and what is
// minified stays as it is.
TEST(Conformance, MutatedDocumentsNeverSplitTheReaders) {
  const gc::ThreadScope attached;
  std::mt19937 random(17);
  const std::string alphabet = "{}[]:,\"\\0123456789-+.eEtrufalsn \n\x01\xFF";
  const std::string seeds[] = {std::string(testing::kUser7),
                               "[" + std::string(testing::kEvent1) + "]"};
  std::size_t decoded = 0;
  std::size_t accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = seeds[random() % 2];
    for (unsigned n = random() % 3; n > 0; --n) {
      const std::size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      if (random() % 3 == 0) {
        text.erase(at, 1);
      } else if (random() % 2 == 0) {
        text.insert(at, 1, c);
      } else {
        text[at] = c;
      }
    }
    const Padded padded(text, alphabet[random() % alphabet.size()]);
    http::Buffer out;
    const bool valid = !minify(padded, out);
    if (valid) {
      ++accepted;
      const Padded once(out.view());
      http::Buffer twice;
      ASSERT_FALSE(minify(once, twice)) << text;
      ASSERT_EQ(twice.view(), once.view());
    }
    const bool user = static_cast<bool>(decode<testing::User>(padded));
    const bool events = static_cast<bool>(decode<gc::Vector<testing::Event>>(padded));
    ASSERT_TRUE(valid || !(user || events)) << text;
    decoded += user || events;
  }
  // Both outcomes were seen often.
  EXPECT_GT(decoded, 5000u);
  EXPECT_GT(accepted, decoded);
  EXPECT_LT(accepted, 19000u);
}

}  // namespace
}  // namespace tailrace::json
