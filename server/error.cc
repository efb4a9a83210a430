// See error.h.
#include "server/error.h"

#include <array>
#include <memory>

namespace tailrace::http {
namespace {

constexpr std::string_view phrase(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

// All status lines, made once.
class StatusLines {
 public:
  StatusLines() {
    for (int status = 100; status < 600; ++status) {
      std::string& line = lines_[static_cast<std::size_t>(status - 100)];
      line = "HTTP/1.1 " + std::to_string(status) + " ";
      line += phrase(status);
      line += "\r\n";
    }
  }
  std::string_view operator[](int status) const noexcept {
    return lines_[static_cast<std::size_t>(status - 100)];
  }

 private:
  std::array<std::string, 500> lines_;
};

const StatusLines kStatusLines;

}  // namespace

HttpError::HttpError(int status, std::string message)
    : HttpError(status, std::string(code_of_status(status)), std::move(message)) {}

std::string_view code_of_status(int status) noexcept {
  switch (status) {
    case 400:
      return "bad_request";
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 408:
      return "request_timeout";
    case 409:
      return "conflict";
    case 411:
      return "length_required";
    case 413:
      return "payload_too_large";
    case 414:
      return "uri_too_long";
    case 415:
      return "unsupported_media_type";
    case 417:
      return "expectation_failed";
    case 422:
      return "unprocessable";
    case 429:
      return "too_many_requests";
    case 431:
      return "header_fields_too_large";
    case 501:
      return "not_implemented";
    case 503:
      return "unavailable";
    case 505:
      return "http_version_not_supported";
    default:
      return status < 500 ? "error" : "internal";
  }
}

std::string_view status_line(int status) noexcept {
  return kStatusLines[status >= 100 && status < 600 ? status : 500];
}

}  // namespace tailrace::http
