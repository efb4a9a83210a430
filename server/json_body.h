// JSON in and out of handlers: request.json<T>() and request.json_into(value); json(value).
#pragma once

#include <new>
#include <string>
#include <utility>

#include "server/ascii.h"
#include "server/json/decode.h"
#include "server/json/encode.h"
#include "server/request.h"
#include "server/response.h"

namespace tailrace::http {

namespace internal {
// application/json, with or without parameters, or anything +json; throws the 415.
void require_json(const Request& request);
[[noreturn]] void throw_decode_error(const tailrace::json::Error& error);
}  // namespace internal

template <typename T>
T* Request::json() {
  internal::require_json(*this);
  tailrace::json::Decoded<T> decoded = tailrace::json::decode<T>(body());
  if (!decoded) internal::throw_decode_error(decoded.error);
  return decoded.value;
}

template <typename T>
void Request::json_into(T& value) {
  internal::require_json(*this);
  if (const auto error = tailrace::json::decode_into(body(), value)) {
    internal::throw_decode_error(*error);
  }
}

// Encoded at once, so the value need not outlive the call. Throws std::bad_alloc if the text would
// pass the Buffer's bound.
template <typename T>
Response json(const T& value, int status = 200) {
  Response response(status, kJsonType);
  if (!tailrace::json::encode(value, response.body())) throw std::bad_alloc();
  return response;
}

// 201 with the new resource and where it is.
template <typename T>
Response created(std::string_view location, const T& value) {
  Response response = json(value, 201);
  response.header("Location", location);
  return response;
}

}  // namespace tailrace::http
