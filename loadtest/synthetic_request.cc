// See synthetic_request.h.
#include "loadtest/synthetic_request.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "loadtest/synthetic.h"

namespace tailrace::loadtest {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::size_t kMostMethod = 32;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool token_char(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), token_char);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

void SyntheticRequest::next() {
  std::string kept = std::move(head_);  // its memory
  kept.clear();
  *this = SyntheticRequest();
  head_ = std::move(kept);
}

SyntheticRequest::State SyntheticRequest::feed(std::string_view& data) {
  if (!head_done_) {
    // Empty lines before a request are allowed, and usual after some clients' bodies.
    while (head_.empty() && (data.starts_with('\r') || data.starts_with('\n'))) {
      data.remove_prefix(1);
    }
    const std::size_t before = head_.size();
    const std::size_t room = SyntheticServer::kMostHeadBytes - before;
    head_.append(data.substr(0, room));
    // The end may straddle what came before.
    const std::size_t end = head_.find(kHeadEnd, before < 3 ? 0 : before - 3);
    if (end == head_.npos) {
      data.remove_prefix(std::min(room, data.size()));
      if (head_.size() < SyntheticServer::kMostHeadBytes) return State::kIncomplete;
      status_ = 431;
      return State::kRefused;
    }
    data.remove_prefix(end + kHeadEnd.size() - before);
    head_.resize(end);
    head_done_ = true;
    if (!parse_head()) return State::kRefused;
  }
  const auto body = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, data.size()));
  data.remove_prefix(body);
  body_left_ -= body;
  return body_left_ == 0 ? State::kComplete : State::kIncomplete;
}

bool SyntheticRequest::parse_head() {
  std::string_view rest = head_;
  bool first = true;
  for (;;) {
    const std::size_t end = std::min(rest.find("\r\n"), rest.size());
    const std::string_view line = rest.substr(0, end);
    if (!(first ? parse_line(line) : parse_field(line))) return false;
    first = false;
    if (end == rest.size()) return true;
    rest.remove_prefix(end + 2);
  }
}

bool SyntheticRequest::parse_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == line.npos ? first : line.find(' ', first + 1);
  if (second == line.npos || first > kMostMethod || !token(line.substr(0, first)) ||
      second == first + 1) {
    return refuse(400);
  }
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (std::any_of(target.begin(), target.end(), [](char c) { return c <= ' ' || c == '\x7f'; })) {
    return refuse(400);
  }
  const std::string_view version = line.substr(second + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return refuse(version.starts_with("HTTP/") ? 505 : 400);
  }
  keep_alive_ = version == "HTTP/1.1";
  method_end_ = first;
  target_end_ = second;
  return true;
}

bool SyntheticRequest::parse_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos || !token(line.substr(0, colon))) return refuse(400);
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same(name, "content-length")) {
    std::uint64_t length = 0;
    const char* const end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, length);
    if (error == std::errc::result_out_of_range) return refuse(413);
    if (error != std::errc() || stop != end || (has_length_ && length != body_left_)) {
      return refuse(400);
    }
    if (length > SyntheticServer::kMostBodyBytes) return refuse(413);
    has_length_ = true;
    body_left_ = length;
  } else if (same(name, "transfer-encoding")) {
    return refuse(411);  // a length is what it wants to be told
  } else if (same(name, "connection")) {
    if (same(value, "close")) keep_alive_ = false;
    if (same(value, "keep-alive")) keep_alive_ = true;
  } else if (same(name, "expect")) {
    if (!same(value, "100-continue")) return refuse(417);
    expects_continue_ = true;
  }
  return true;
}

}  // namespace tailrace::loadtest
