// See response.h.
#include "server/response.h"

#include <new>
#include <stdexcept>
#include <string>

#include "gcruntime/base/check.h"
#include "server/ascii.h"
#include "server/error.h"
#include "server/json/encode.h"

namespace tailrace::http {
namespace {

struct ErrorBody {
  std::string_view error;
  std::string_view message;
};
BOOST_DESCRIBE_STRUCT(ErrorBody, (), (error, message))

bool belongs_to_server(std::string_view name) noexcept {
  switch (name.size()) {
    case 4:
      return equal_ignoring_case(name, "date");
    case 10:
      return equal_ignoring_case(name, "connection");
    case 12:
      return equal_ignoring_case(name, "content-type") || equal_ignoring_case(name, "x-request-id");
    case 14:
      return equal_ignoring_case(name, "content-length");
    case 17:
      return equal_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
}

bool is_field_value(std::string_view value) noexcept {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

}  // namespace

Response::Response(int status, std::string_view content_type, Buffer body) noexcept
    : body_(std::move(body)), content_type_(content_type), status_(status) {
  TAILRACE_CHECK_VALUE(status >= 200 && status < 600, "a final status is 200 to 599", status);
  // The usual ones are known to be sound by their address.
  TAILRACE_CHECK(content_type.data() == kJsonType.data() ||
                     content_type.data() == kTextType.data() ||
                     (content_type.size() <= kMaxTypeBytes && is_field_value(content_type)),
                 "a content type is at most 96 bytes without control characters");
}

Response Response::text(int status, std::string_view body, std::string_view content_type) {
  Response response(status, content_type);
  // A Buffer without memory cannot tell an empty append from a failed one.
  if (!body.empty() && !response.body_.append(body)) throw std::bad_alloc();
  return response;
}

Response& Response::header(std::string_view name, std::string_view value) & {
  if (name.empty() || !all_of(name, is_token) || belongs_to_server(name)) {
    throw std::invalid_argument(
        "this response field's name is not a token, or the server sets it: " + std::string(name));
  }
  if (!is_field_value(value)) {
    throw std::invalid_argument("control character in the value of response field " +
                                std::string(name));
  }
  const std::size_t bytes = name.size() + 2 + value.size() + 2;
  if (field_bytes_ + bytes > kMaxFieldBytes) {
    throw std::length_error("response fields exceed 640 bytes at " + std::string(name));
  }
  char* to = fields_ + field_bytes_;
  std::memcpy(to, name.data(), name.size());
  to += name.size();
  *to++ = ':';
  *to++ = ' ';
  std::memcpy(to, value.data(), value.size());
  to += value.size();
  *to++ = '\r';
  *to++ = '\n';
  field_bytes_ = static_cast<std::uint16_t>(field_bytes_ + bytes);
  return *this;
}

Response error(int status, std::string_view code, std::string_view message) {
  Response response(status, kJsonType);
  if (!json::encode(ErrorBody{code.empty() ? code_of_status(status) : code, message},
                    response.body())) {
    throw std::bad_alloc();
  }
  return response;
}

Response error(int status, std::string_view message) { return error(status, {}, message); }
Response bad_request(std::string_view message) { return error(400, message); }
Response not_found(std::string_view message) { return error(404, message); }
Response no_content() { return Response(204); }

}  // namespace tailrace::http
