// See gate.h.
#include "server/gate.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

namespace tailrace::http {
namespace {

namespace beast_http = boost::beast::http;

constexpr CharacterSet kTargetCharacters([](char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7f && c != '#';
});

// reg-name, IPv4 and IPv6 literals and the port; sub-delims but the comma, which would be a list.
constexpr CharacterSet kHostCharacters([](char c) {
  return is_alphanumeric(c) ||
         (c != '\0' && std::string_view("-._~%!$&'()*+;=:[]").find(c) != std::string_view::npos);
});

// Named here because basic_parser has a private is_digit, which members of Gate would find first.
constexpr CharacterSet kDigits([](char c) { return is_digit(c); });

std::string_view to_std(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

// A name that some proxy or CGI would take for one of the fields that frame or route a message.
bool is_framing_alias(std::string_view name) noexcept {
  static constexpr std::string_view kNames[] = {
      "content-length", "transfer-encoding", "host", "connection", "expect",
      "upgrade",        "trailer",           "te",   "keep-alive"};
  for (const std::string_view framing : kNames) {
    if (name.size() != framing.size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < name.size() && same; ++i) {
      const char c = name[i] == '_' ? '-' : to_lower(name[i]);
      same = c == framing[i];
    }
    if (same) return true;
  }
  return false;
}

// Whether text holds "... HTTP/d.d" as its request line: then it is a version we do not speak.
bool names_a_version(std::string_view text) noexcept {
  const std::string_view line = text.substr(0, text.find('\r'));
  const std::size_t at = line.rfind(' ');
  if (at == std::string_view::npos) return false;
  const std::string_view version = line.substr(at + 1);
  return version.size() == 8 && version.substr(0, 5) == "HTTP/" && is_digit(version[5]) &&
         version[6] == '.' && is_digit(version[7]) && version != "HTTP/1.0" &&
         version != "HTTP/1.1";
}

}  // namespace

bool is_host(std::string_view host) noexcept {
  return !host.empty() && all_of(host, kHostCharacters);
}

Gate::Gate(Head& head, const GateLimits& limits) noexcept : head_(head), limits_(limits) {
  head_.clear();
  // Lengths are judged here and by the session. Beast's own limits stay out of the way.
  body_limit(boost::none);
  header_limit(1u << 20);
}

Gate::Result Gate::parse(std::string_view text) {
  head_.base = text.data();
  end_ = text.data() + text.size();
  error_code error;
  taken_ += put(boost::asio::const_buffer(text.data() + taken_, text.size() - taken_), error);
  if (refusal_.status != 0) return Result::kRefused;
  if (!error) {
    if (taken_ > limits_.header_bytes) {
      refusal_ = {431, "the request head is too large"};
      return Result::kRefused;
    }
    return Result::kDone;
  }
  if (error == beast_http::error::need_more) {
    // Not line_done_: after a first short read Beast looks for the blank line only.
    if (text.size() > limits_.target_bytes + kMaxMethodBytes &&
        text.find('\r') == std::string_view::npos) {
      refusal_ = {414, "the request target is too long"};
    } else if (text.size() >= limits_.header_bytes) {
      refusal_ = {431, "the request head is too large"};
    } else {
      return Result::kNeedMore;
    }
    return Result::kRefused;
  }
  refuse_malformed(text);
  return Result::kRefused;
}

void Gate::refuse(int status, const char* message, error_code& error) noexcept {
  refusal_ = {status, message};
  error = beast_http::error::bad_value;  // any: it only stops the parser
}

// What Beast itself did not take.
void Gate::refuse_malformed(std::string_view text) noexcept {
  if (!line_done_ && names_a_version(text)) {
    refusal_ = {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  } else {
    refusal_ = {400, line_done_ ? "malformed header field" : "malformed request line"};
  }
}

Slice Gate::slice(std::string_view text) const noexcept {
  return {static_cast<std::uint16_t>(text.data() - head_.base),
          static_cast<std::uint16_t>(text.size())};
}

bool Gate::accept_method(verb method, std::string_view name, error_code& error) noexcept {
  switch (method) {
    case verb::get:
      head_.method = Method::kGet;
      return true;
    case verb::head:
      head_.method = Method::kHead;
      return true;
    case verb::post:
      head_.method = Method::kPost;
      return true;
    case verb::put:
      head_.method = Method::kPut;
      return true;
    case verb::delete_:
      head_.method = Method::kDelete;
      return true;
    case verb::patch:
      head_.method = Method::kPatch;
      return true;
    case verb::options:
      head_.method = Method::kOptions;
      return true;
    default:
      break;
  }
  if (name.size() > kMaxMethodBytes ||
      !all_of(name, [](char c) { return is_upper(c) || c == '-'; })) {
    refuse(400, "malformed method", error);
  } else {
    refuse(501, "this method is not implemented", error);
  }
  return false;
}

bool Gate::accept_target(std::string_view target, error_code& error) noexcept {
  if (target.size() > limits_.target_bytes) {
    refuse(414, "the request target is too long", error);
    return false;
  }
  if (!all_of(target, kTargetCharacters)) {
    refuse(400, "the request target holds a byte that must be escaped", error);
    return false;
  }
  if (target.front() != '/') [[unlikely]] {
    if (target == "*") {
      if (head_.method != Method::kOptions) {
        refuse(400, "the target * belongs to OPTIONS", error);
        return false;
      }
      head_.asterisk = true;
      head_.target = head_.path = slice(target);
      return true;
    }
    // absolute-form, RFC 9112 3.2.2: the URI's host counts, whatever Host says.
    const std::size_t scheme = equal_ignoring_case(target.substr(0, 7), "http://")    ? 7
                               : equal_ignoring_case(target.substr(0, 8), "https://") ? 8
                                                                                      : 0;
    const std::string_view rest = target.substr(scheme);
    const std::string_view host = rest.substr(0, rest.find_first_of("/?"));
    if (scheme == 0 || !is_host(host)) {
      refuse(400, "the request target is neither a path nor a http URI", error);
      return false;
    }
    absolute_ = true;
    head_.host = slice(host);
    target = rest.substr(host.size());
    if (target.empty() || target.front() != '/') {
      // An empty path means "/"; the slash in front of the host stands for it.
      head_.target = slice(rest);
      head_.path = slice(std::string_view(host.data() - 1, 1));
      if (!target.empty()) head_.query = slice(target.substr(1));
      return true;
    }
  }
  const std::size_t mark = target.find('?');
  head_.target = slice(target);
  head_.path = slice(target.substr(0, mark));
  if (mark != std::string_view::npos) head_.query = slice(target.substr(mark + 1));
  return true;
}

void Gate::on_request_impl(verb method, string_view name, string_view target, int version,
                           error_code& error) {
  line_done_ = true;
  if (!accept_method(method, to_std(name), error)) return;
  if (!accept_target(to_std(target), error)) return;
  if (version != 10 && version != 11) {
    refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here", error);
    return;
  }
  head_.minor_version = static_cast<std::uint8_t>(version - 10);
}

bool Gate::accept_content_length(std::string_view value, error_code& error) noexcept {
  // 18 digits always fit.
  if (head_.has_content_length || value.empty() || value.size() > 18 || !all_of(value, kDigits)) {
    refuse(400, "Content-Length must be given once, in digits", error);
    return false;
  }
  std::uint64_t length = 0;
  for (const char c : value) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  head_.has_content_length = true;
  head_.content_length = length;
  return true;
}

void Gate::on_field_impl(field id, string_view name_text, string_view value_text,
                         error_code& error) {
  const std::string_view name = to_std(name_text);
  const std::string_view value = to_std(value_text);
  // Only SP and TAB between the colon and the value: a folded value is a copy elsewhere, or, if its
  // first line is empty, lies behind a line's end.
  const char* at = name.data() + name.size() + 1;
  if (value.data() < at || value.data() + value.size() > end_) {
    refuse(400, "folded header fields are obsolete", error);
    return;
  }
  for (; at != value.data(); ++at) {
    if (*at != ' ' && *at != '\t') {
      refuse(400, "folded header fields are obsolete", error);
      return;
    }
  }
  if (head_.fields == kMaxFields) {
    refuse(431, "too many header fields", error);
    return;
  }
  if (static_cast<std::size_t>(value.data() + value.size() - head_.base) > kMaxHeaderBytes) {
    refuse(431, "the request head is too large", error);
    return;
  }
  const std::uint16_t index = head_.fields++;
  head_.table[index] = {slice(name), slice(value)};
  switch (id) {
    case field::host:
      if (has_host_ || !is_host(value)) {
        refuse(400, "Host must be given once and name a host", error);
        return;
      }
      has_host_ = true;
      if (!absolute_) head_.host = head_.table[index].value;
      break;
    case field::content_length:
      accept_content_length(value, error);
      break;
    case field::transfer_encoding:
      if (has_transfer_encoding_ || head_.minor_version == 0 ||
          !equal_ignoring_case(value, "chunked")) {
        refuse(400, "Transfer-Encoding must be chunked, once, in HTTP/1.1", error);
        return;
      }
      has_transfer_encoding_ = true;
      head_.chunked = true;
      break;
    case field::expect:
      if (!equal_ignoring_case(value, "100-continue")) {
        refuse(417, "the only expectation that can be met is 100-continue", error);
        return;
      }
      head_.expect_continue = head_.minor_version == 1;
      break;
    case field::content_type:
      head_.content_type = index;
      break;
    case field::unknown:
      if (name.size() == 12 && equal_ignoring_case(name, "x-request-id")) {
        head_.request_id = index;
      } else if (name.find('_') != std::string_view::npos && is_framing_alias(name)) {
        refuse(400, "a header field with underscores poses as another", error);
      }
      break;
    default:
      break;
  }
}

void Gate::on_header_impl(error_code& error) {
  if (head_.chunked && head_.has_content_length) {
    refuse(400, "Transfer-Encoding and Content-Length exclude each other", error);
  } else if (!has_host_ && head_.minor_version == 1) {
    refuse(400, "Host is missing", error);
  } else {
    head_.keep_alive = keep_alive();
  }
}

}  // namespace tailrace::http
