// Responses: what handlers may set, error bodies, escaping.
#include "server/response.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "server/error.h"
#include "server/escape.h"

namespace tailrace::http {
namespace {

TEST(Response, KeepsFieldsOverAMove) {
  Response first = Response::text(201, "body").header("Location", "/x").header("X-A", "1");
  Response second(std::move(first));
  Response third;
  third = std::move(second);
  EXPECT_EQ(third.status(), 201);
  EXPECT_EQ(third.fields(), "Location: /x\r\nX-A: 1\r\n");
  EXPECT_EQ(third.body().view(), "body");
}

TEST(Response, MayBeEmpty) {
  const Response response = Response::text(200, "");
  EXPECT_EQ(response.body().size(), 0u);
}

TEST(Response, RefusesFieldsThatWouldSplitIt) {
  Response response;
  EXPECT_THROW(response.header("X", "a\r\nSet-Cookie: b"), std::invalid_argument);
  EXPECT_THROW(response.header("X\r\nY", "a"), std::invalid_argument);
  EXPECT_THROW(response.header("X Y", "a"), std::invalid_argument);
  EXPECT_THROW(response.header("", "a"), std::invalid_argument);
  EXPECT_THROW(response.header("X", std::string_view("a\0b", 3)), std::invalid_argument);
  EXPECT_EQ(response.fields(), "");
}

TEST(Response, KeepsTheServersFieldsToTheServer) {
  Response response;
  for (const char* name : {"Date", "content-length", "Transfer-Encoding", "CONNECTION",
                           "X-Request-ID", "Content-Type"}) {
    EXPECT_THROW(response.header(name, "x"), std::invalid_argument) << name;
  }
}

TEST(Response, BoundsItsFields) {
  Response response;
  const std::string value(200, 'v');
  response.header("A", value).header("B", value).header("C", value);
  EXPECT_THROW(response.header("D", value), std::length_error);
  EXPECT_LE(response.fields().size(), Response::kMaxFieldBytes);
}

TEST(Response, ErrorsAreJson) {
  const Response response = error(404, "no \"such\" user\n\xc3\xa4");
  EXPECT_EQ(response.content_type(), kJsonType);
  EXPECT_EQ(response.body().view(),
            "{\"error\":\"not_found\",\"message\":\"no \\\"such\\\" user\\n\xc3\xa4\"}");
  EXPECT_EQ(error(409, "duplicate", "x").body().view(),
            "{\"error\":\"duplicate\",\"message\":\"x\"}");
}

TEST(Error, HasTheContractsCodes) {
  const std::pair<int, const char*> kCodes[] = {
      {400, "bad_request"},        {404, "not_found"},
      {405, "method_not_allowed"}, {408, "request_timeout"},
      {411, "length_required"},    {413, "payload_too_large"},
      {414, "uri_too_long"},       {415, "unsupported_media_type"},
      {422, "unprocessable"},      {431, "header_fields_too_large"},
      {500, "internal"},           {501, "not_implemented"},
      {503, "unavailable"},        {505, "http_version_not_supported"}};
  for (const auto& [status, code] : kCodes) EXPECT_EQ(code_of_status(status), code);
  EXPECT_EQ(HttpError(413, "x").code(), "payload_too_large");
  EXPECT_EQ(status_line(404), "HTTP/1.1 404 Not Found\r\n");
  EXPECT_EQ(status_line(299), "HTTP/1.1 299 \r\n");
}

TEST(Escape, MakesAsciiOfAnything) {
  std::string out;
  append_json_string(out, std::string_view("a\"\\\n\x1b[31m\x7f\xc3\0z", 13));
  EXPECT_EQ(out, "\"a\\\"\\\\\\u000a\\u001b[31m\\u007f\\u00c3\\u0000z\"");
}

}  // namespace
}  // namespace tailrace::http
