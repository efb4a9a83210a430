// Every document that must be accepted is, and every one that must be refused is: by minify, and as
// an unknown member of a struct, where a decoder that skips would let it pass.
#include "server/json/conformance_cases.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tailrace::json
