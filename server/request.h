// A request as handlers see it: views into the connection's buffer, valid until the handler
// returns.
//
// Owned by the fiber that serves it. What a parameter of the path or the query does not fulfil is
// thrown as HttpError and becomes the reply.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/spawn_account.h"
#include "gcruntime/gc/mem_stats.h"
#include "server/buffer.h"
#include "server/error.h"
#include "server/head.h"
#include "server/method.h"
#include "server/query.h"
#include "server/router.h"

namespace tailrace::http {

namespace internal {

// The whole text as a T. Views and strings take anything.
template <typename T>
std::optional<T> convert(std::string_view text) {
  if constexpr (std::is_same_v<T, std::string_view> || std::is_same_v<T, std::string>) {
    return T(text);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    return std::nullopt;
  } else {
    static_assert(std::is_arithmetic_v<T>, "a parameter is a number, a bool or text");
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  }
}

}  // namespace internal

class Request {
 public:
  // `head` outlives the request.
  explicit Request(const Head& head) noexcept : head_(head) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Method method() const noexcept { return head_.method; }
  // Path and query as sent, still escaped.
  std::string_view target() const noexcept { return head_.view(head_.target); }
  std::string_view path() const noexcept { return head_.view(head_.path); }
  std::string_view query_string() const noexcept { return head_.view(head_.query); }
  std::string_view host() const noexcept { return head_.view(head_.host); }
  // The name in any case; the first if there are several, empty if there is none.
  std::string_view header(std::string_view name) const noexcept { return head_.field(name); }
  std::string_view content_type() const noexcept { return head_.field_at(head_.content_type); }
  // Contiguous, followed by at least 64 readable bytes.
  std::string_view body() const noexcept { return body_; }
  std::string_view request_id() const noexcept { return {request_id_, request_id_bytes_}; }
  // What this request has allocated so far, and those of the fibers that it has spawned which have ended (or
  // said done() to a WaitGroup).
  gc::AllocCounts alloc() const noexcept {
    const gc::AllocCounts own = own_alloc();
    return spawned_ == nullptr || spawned_->empty() ? own : own + spawned_->settled();
  }
  int peer_socket() const noexcept { return fd_; }

  // A parameter of the route's pattern. A segment that is no T makes the path unknown: 404. A name
  // that the pattern does not have is a bug (500).
  template <typename T>
  T param(std::string_view name) const {
    if (std::optional<T> value = internal::convert<T>(param_text(name))) return *std::move(value);
    throw_no_such_path();
  }

  // A parameter of the query, percent-decoded; nullopt if absent, 400 if it is no T.
  template <typename T>
  std::optional<T> query(std::string_view name) {
    const std::optional<std::string_view> text = query_text(name);
    if (!text) return std::nullopt;
    if (std::optional<T> value = internal::convert<T>(*text)) return value;
    throw_bad_query(name);
  }

  // The body decoded into a managed T; throws HttpError for what is no JSON (400), no T (400, 422),
  // or declared as another type (415). Defined in server/json_body.h.
  template <typename T>
  T* json();
  // The same into a T as T() makes it, for values that are used again.
  template <typename T>
  void json_into(T& value);

 private:
  friend class Session;

  gc::AllocCounts own_alloc() const noexcept { return fiber::alloc_counts() - alloc_at_start_; }
  // alloc() for the last time: what its fibers allocate from now on is late.
  gc::AllocCounts close_alloc() const noexcept {
    const bool spawned = spawned_ != nullptr && spawned_->close();
    return spawned ? own_alloc() + spawned_->settled() : own_alloc();
  }
  // The buffer may have moved since the route was matched.
  void settle(const char* old_base) noexcept;
  std::string_view param_text(std::string_view name) const;
  std::optional<std::string_view> query_text(std::string_view name);
  [[noreturn]] static void throw_no_such_path();
  [[noreturn]] static void throw_bad_query(std::string_view name);

  const Head& head_;
  const Route* route_ = nullptr;
  std::string_view body_;
  gc::AllocCounts alloc_at_start_;
  fiber::SpawnAccount* spawned_ = nullptr;  // while the handler runs
  int fd_ = -1;
  std::uint8_t request_id_bytes_ = 0;
  char request_id_[kMaxRequestIdBytes];
  PathParams params_;
  Buffer decoded_path_{BufferUse::kConnection};  // no memory unless the path was escaped
  Query query_;
};

}  // namespace tailrace::http
