// Reads the requests of one connection of the synthetic server: HTTP/1.1 heads, bodies of a stated
// length that are counted and thrown away. Bounded: a head is kept whole, a body never.
//
// Not synchronised: the connection's owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace tailrace::loadtest {

class SyntheticRequest {
 public:
  enum class State { kIncomplete, kComplete, kRefused };

  // Takes bytes up to the request's end, which `data` then begins behind. Not after kRefused.
  State feed(std::string_view& data);
  // Forgets the request that was complete.
  void next();

  std::string_view method() const { return std::string_view(head_).substr(0, method_end_); }
  // Path and query.
  std::string_view target() const {
    return std::string_view(head_).substr(method_end_ + 1, target_end_ - method_end_ - 1);
  }
  bool keep_alive() const { return keep_alive_; }
  // True once, of a client that waits for a go-ahead before it sends its body.
  bool take_expects_continue() { return std::exchange(expects_continue_, false); }
  // Of kRefused.
  int status() const { return status_; }

 private:
  bool parse_head();
  bool parse_line(std::string_view line);
  bool parse_field(std::string_view line);
  bool refuse(int status) {
    status_ = status;
    return false;
  }

  std::string head_;
  bool head_done_ = false;
  std::size_t method_end_ = 0;
  std::size_t target_end_ = 0;
  bool keep_alive_ = true;
  bool expects_continue_ = false;
  bool has_length_ = false;
  std::uint64_t body_left_ = 0;
  int status_ = 0;
};

}  // namespace tailrace::loadtest
