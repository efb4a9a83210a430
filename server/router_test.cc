// The route table: what wins, what is left for the next branch, what is 404 and what 405.
#include "server/router.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "server/request.h"

namespace tailrace::http {
namespace {

Response nothing(Request&) { return no_content(); }

class RouterTest : public testing::Test {
 protected:
  void add(const char* pattern, Method method = Method::kGet) {
    router_.add(method, pattern, nothing);
  }
  // The pattern that takes the path, or what came of it.
  std::string find(std::string_view path, Method method = Method::kGet) {
    const Router::Match match = router_.match(method, path, scratch_, params_);
    switch (match.outcome) {
      case Router::Outcome::kRoute:
        return match.route->pattern;
      case Router::Outcome::kNotFound:
        return "404";
      case Router::Outcome::kMethodNotAllowed:
        return "405 " + std::string(match.allow);
      case Router::Outcome::kOptions:
        return "options " + std::string(match.allow);
      case Router::Outcome::kBadEscape:
        return "400";
    }
    return "";
  }

  Router router_;
  Buffer scratch_;
  PathParams params_;
};

TEST_F(RouterTest, StaticWinsOverTypedOverAny) {
  add("/users/me");
  add("/users/{id:int}");
  add("/users/{name}");
  EXPECT_EQ(find("/users/me"), "/users/me");
  EXPECT_EQ(find("/users/7"), "/users/{id:int}");
  EXPECT_EQ(find("/users/-7"), "/users/{id:int}");
  EXPECT_EQ(find("/users/7x"), "/users/{name}");
  EXPECT_EQ(find("/users/9223372036854775808"), "/users/{name}");
  EXPECT_EQ(params_.values[0].view(), "9223372036854775808");
}

TEST_F(RouterTest, ABranchThatEndsNowhereIsLeft) {
  add("/a/b/c");
  add("/a/{x}/d");
  add("/{w}/b/e");
  EXPECT_EQ(find("/a/b/c"), "/a/b/c");
  EXPECT_EQ(find("/a/b/d"), "/a/{x}/d");
  EXPECT_EQ(params_.count, 1u);
  EXPECT_EQ(params_.values[0].view(), "b");
  EXPECT_EQ(find("/a/b/e"), "/{w}/b/e");
  EXPECT_EQ(params_.values[0].view(), "a");
  EXPECT_EQ(find("/a/b"), "404");
  EXPECT_EQ(find("/a/b/f"), "404");
}

TEST_F(RouterTest, SlashesAreExact) {
  add("/");
  add("/a");
  add("/b/");
  EXPECT_EQ(find("/"), "/");
  EXPECT_EQ(find("/a"), "/a");
  EXPECT_EQ(find("/a/"), "404");
  EXPECT_EQ(find("/b"), "404");
  EXPECT_EQ(find("/b/"), "/b/");
  EXPECT_EQ(find("//a"), "404");
}

TEST_F(RouterTest, ParametersAreNotEmpty) {
  add("/x/{id}/y");
  EXPECT_EQ(find("/x//y"), "404");
  EXPECT_EQ(find("/x/1/y"), "/x/{id}/y");
}

TEST_F(RouterTest, SegmentsAreDecodedOneByOne) {
  add("/files/{name}");
  add("/a b");
  EXPECT_EQ(find("/files/a%2Fb%20c"), "/files/{name}");
  EXPECT_EQ(params_.values[0].view(), "a/b c");
  EXPECT_EQ(find("/%66iles/x"), "/files/{name}");
  EXPECT_EQ(find("/a%20b"), "/a b");
  EXPECT_EQ(find("/files/a+b"), "/files/{name}");
  EXPECT_EQ(params_.values[0].view(), "a+b");
  for (const char* bad : {"/files/%", "/files/%2", "/files/%zz", "/files/%00"}) {
    EXPECT_EQ(find(bad), "400") << bad;
  }
}

TEST_F(RouterTest, HeadIsAnsweredByGetAndOptionsByTheTable) {
  add("/x");
  add("/x", Method::kPost);
  add("/y", Method::kDelete);
  EXPECT_EQ(find("/x", Method::kHead), "/x");
  EXPECT_EQ(find("/x", Method::kOptions), "options GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(find("/x", Method::kPut), "405 GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(find("/y", Method::kHead), "405 DELETE, OPTIONS");
  EXPECT_EQ(find("/z", Method::kOptions), "404");
  EXPECT_EQ(router_.allow(), "OPTIONS, GET, HEAD, POST, DELETE");
}

TEST_F(RouterTest, ARouteOfAnotherShapeMayKnowTheMethod) {
  add("/users/me");
  add("/users/{id}", Method::kDelete);
  EXPECT_EQ(find("/users/me", Method::kDelete), "/users/{id}");
  EXPECT_EQ(find("/users/me", Method::kPut), "405 GET, HEAD, OPTIONS");
}

TEST_F(RouterTest, DeepPathsAreBounded) {
  add("/a");
  std::string deep;
  for (unsigned i = 0; i < kMaxSegments + 1; ++i) deep += "/a";
  EXPECT_EQ(find(deep), "404");
}

TEST_F(RouterTest, RefusesBadPatterns) {
  add("/taken/{a}");
  for (const char* bad : {"", "x", "/{", "/{}", "/a{b}", "/{a}b", "/{a:float}", "/{a}/{a}",
                          "/{:int}", "/taken/{b}"}) {
    EXPECT_THROW(add(bad), std::invalid_argument) << bad;
  }
}

}  // namespace
}  // namespace tailrace::http
