// What a handler answers: a status, a content type, a few more fields, and a body in a pooled
// Buffer whose head room takes the head, so that both leave in one send.
//
// Movable; a move copies only the fields in use. The server adds Date, Content-Length, X-Request-ID
// and Connection; a field of that name set here is refused. Owned by one fiber.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "server/buffer.h"

namespace tailrace::http {

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kTextType = "text/plain; charset=utf-8";

class Response {
 public:
  // Bytes of all further fields, separators included: a head is at most 1024 bytes (the Buffer's
  // head room), of which the server's own fields and the content type take less than 384.
  static constexpr std::size_t kMaxFieldBytes = 640;
  static constexpr std::size_t kMaxTypeBytes = 96;

  explicit Response(int status = 200, std::string_view content_type = {},
                    Buffer body = {}) noexcept;
  Response(Response&& other) noexcept
      : body_(std::move(other.body_)),
        content_type_(other.content_type_),
        status_(other.status_),
        field_bytes_(other.field_bytes_) {
    std::memcpy(fields_, other.fields_, field_bytes_);
  }
  Response& operator=(Response&& other) noexcept {
    body_ = std::move(other.body_);
    content_type_ = other.content_type_;
    status_ = other.status_;
    field_bytes_ = other.field_bytes_;
    if (this != &other) std::memcpy(fields_, other.fields_, field_bytes_);
    return *this;
  }

  // Copies the body. The content type is a literal or lives until the reply is written.
  static Response text(int status, std::string_view body,
                       std::string_view content_type = kTextType);

  // Adds a field. Throws std::invalid_argument for a name that is no token or belongs to the
  // server, or a value with a control character, and std::length_error when the fields do not fit.
  Response& header(std::string_view name, std::string_view value) &;
  Response&& header(std::string_view name, std::string_view value) && {
    return std::move(header(name, value));
  }

  int status() const noexcept { return status_; }
  std::string_view content_type() const noexcept { return content_type_; }
  // "Name: value\r\n" for each.
  std::string_view fields() const noexcept { return {fields_, field_bytes_}; }
  Buffer& body() noexcept { return body_; }
  const Buffer& body() const noexcept { return body_; }

 private:
  Buffer body_;
  std::string_view content_type_;
  int status_;
  std::uint16_t field_bytes_ = 0;
  char fields_[kMaxFieldBytes];  // written as far as field_bytes_
};

// The contract's error body. `code` empty: the status' own.
Response error(int status, std::string_view code, std::string_view message);
Response error(int status, std::string_view message);
Response bad_request(std::string_view message);
Response not_found(std::string_view message);
Response no_content();

}  // namespace tailrace::http
