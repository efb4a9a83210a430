// Errors as clients see them: a status, a code (one word, stable) and a message, sent as
// {"error":"code","message":"..."}. Handlers return the expected ones (not_found()) and throw
// HttpError for the rest; what else they throw is a 500 whose text goes to the log and not to the
// client.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace tailrace::http {

class HttpError : public std::exception {
 public:
  HttpError(int status, std::string code, std::string message)
      : status_(status), code_(std::move(code)), message_(std::move(message)) {}
  // With the status' own code.
  HttpError(int status, std::string message);

  int status() const noexcept { return status_; }
  const std::string& code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  int status_;
  std::string code_;
  std::string message_;
};

// A parameter, header or body that does not say what it should: 400.
class BadRequest : public HttpError {
 public:
  explicit BadRequest(std::string message) : HttpError(400, "bad_request", std::move(message)) {}
};

// "bad_request" for 400, "internal" for what has no code of its own.
std::string_view code_of_status(int status) noexcept;
// "HTTP/1.1 200 OK\r\n"; for a status without a known phrase the phrase is empty. 100 <= status <=
// 599.
std::string_view status_line(int status) noexcept;

}  // namespace tailrace::http
