// See answer.h.
#include "loadtest/answer.h"

// g++ 12 with sanitizers takes the content of an empty boost::optional for uninitialised.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <boost/beast/http/basic_parser.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <boost/asio/buffer.hpp>
#include <boost/optional.hpp>
#include <cstdint>
#include <optional>
#include <utility>

namespace tailrace::loadtest {
namespace http = boost::beast::http;
namespace {

using boost::beast::error_code;
using boost::beast::string_view;

constexpr std::string_view kClosedEarly = "the server closed before the whole answer";

// Beast's state machine, with nothing kept.
class Parser : public http::basic_parser<false> {
 public:
  explicit Parser(bool head) {
    header_limit(Answer::kHeadMost);
    body_limit(boost::none);
    eager(true);
    skip(head);
  }
  int status() const noexcept { return code_; }

 private:
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int, error_code&) override { code_ = code; }
  void on_field_impl(http::field, string_view, string_view, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override {
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  int code_ = 0;
};

}  // namespace

struct Answer::Reader {
  std::optional<Parser> parser;
};

Answer::Answer() : reader_(std::make_unique<Reader>()) { begin(false); }
Answer::~Answer() = default;
Answer::Answer(Answer&&) noexcept = default;
Answer& Answer::operator=(Answer&&) noexcept = default;

void Answer::begin(bool head) {
  head_ = head;
  reader_->parser.emplace(head);
  held_.clear();
  error_.clear();
  status_ = 0;
  keep_alive_ = false;
}

Answer::State Answer::broken(std::string why) {
  error_ = std::move(why);
  return State::kBroken;
}

Answer::State Answer::whole() {
  status_ = reader_->parser->status();
  // After 101 the connection speaks something else.
  keep_alive_ = reader_->parser->keep_alive() && status_ != 101;
  return State::kWhole;
}

Answer::State Answer::put(std::string_view bytes, std::size_t& unused) {
  if (held_.empty()) return put_all(bytes, unused);
  std::string joined = std::exchange(held_, {});
  joined += bytes;
  return put_all(joined, unused);
}

Answer::State Answer::put_all(std::string_view bytes, std::size_t& unused) {
  unused = 0;
  while (!bytes.empty()) {
    Parser& parser = *reader_->parser;
    error_code error;
    const std::size_t used =
        parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    bytes.remove_prefix(used);
    if (error == http::error::need_more) {
      if (bytes.size() > kHeadMost) {
        return broken("the answer is no HTTP: a line of more than 64 KiB");
      }
      held_ = bytes;
      return State::kMore;
    }
    if (error) return broken("the answer is no HTTP: " + error.message());
    if (parser.is_done()) {
      if (parser.status() / 100 != 1 || parser.status() == 101) {
        unused = bytes.size();
        return whole();
      }
      reader_->parser.emplace(head_);
      continue;
    }
    if (used == 0) return broken("the answer is no HTTP: it does not go on");
  }
  return State::kMore;
}

Answer::State Answer::put_eof() {
  Parser& parser = *reader_->parser;
  if (!parser.got_some() || !held_.empty()) return broken(std::string(kClosedEarly));
  error_code error;
  parser.put_eof(error);
  if (error || !parser.is_done()) return broken(std::string(kClosedEarly));
  return whole();
}

}  // namespace tailrace::loadtest
