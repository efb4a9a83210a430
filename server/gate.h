// The gate: Beast's basic_parser splits a request's head, and what may pass is decided here, in its
// callbacks. Nothing rests on Beast's policy, which differs between versions (345 takes
// "Transfer-Encoding: xchunked" for an empty body); see server/DESIGN.md [http.gate] for the list.
//
// One Gate parses one head; it is made anew for each, in place. It keeps views as offsets from the
// address of the first byte it is given: the bytes must not move before the head is done.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/head.h"

namespace tailrace::http {

struct GateLimits {
  std::size_t header_bytes;
  std::size_t target_bytes;
};

// Why a request was refused; the connection closes after the reply.
struct Refusal {
  int status = 0;
  const char* message = "";
};

class Gate final : public boost::beast::http::basic_parser<true> {
 public:
  enum class Result { kNeedMore, kDone, kRefused };

  Gate(Head& head, const GateLimits& limits) noexcept;

  // `text`: everything received of this message so far; begins at the same address at each call.
  Result parse(std::string_view text);
  // After kDone: what follows is the body.
  std::size_t head_bytes() const noexcept { return taken_; }
  const Refusal& refusal() const noexcept { return refusal_; }

 private:
  using verb = boost::beast::http::verb;
  using field = boost::beast::http::field;
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;

  // The callbacks of basic_parser. Those of bodies are never reached: the server reads bodies
  // itself.
  void on_request_impl(verb method, string_view name, string_view target, int version,
                       error_code& error) override;
  void on_field_impl(field id, string_view name, string_view value, error_code& error) override;
  void on_header_impl(error_code& error) override;
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}
  // Beast has this from 359 on, pure; before, it is just a function. So no `override`.
  void on_trailer_field_impl(field, string_view, string_view, error_code&) {}

  void refuse(int status, const char* message, error_code& error) noexcept;
  void refuse_malformed(std::string_view text) noexcept;
  Slice slice(std::string_view text) const noexcept;
  bool accept_method(verb method, std::string_view name, error_code& error) noexcept;
  bool accept_target(std::string_view target, error_code& error) noexcept;
  bool accept_content_length(std::string_view value, error_code& error) noexcept;

  Head& head_;
  const GateLimits limits_;
  const char* end_ = nullptr;  // of what has been received
  std::size_t taken_ = 0;
  Refusal refusal_;
  bool line_done_ = false;
  bool has_transfer_encoding_ = false;
  bool has_host_ = false;
  bool absolute_ = false;
};

// "host", "host:port", "[v6]:port"; not empty.
bool is_host(std::string_view host) noexcept;

}  // namespace tailrace::http
