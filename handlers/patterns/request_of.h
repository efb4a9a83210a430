// A GET request without a connection, to call a handler with. For the test and the benchmark.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "server/head.h"
#include "server/request.h"

namespace tailrace::patterns {

class RequestOf {
 public:
  explicit RequestOf(std::string target)
      : target_(std::move(target)), head_(head_of(target_)), request_(head_) {}
  RequestOf(const RequestOf&) = delete;
  RequestOf& operator=(const RequestOf&) = delete;

  http::Request& get() const noexcept { return request_; }

 private:
  static http::Head head_of(std::string_view target) {
    http::Head head;
    head.clear();
    head.base = target.data();
    head.method = http::Method::kGet;
    head.target = {0, static_cast<std::uint16_t>(target.size())};
    head.path = {0, static_cast<std::uint16_t>(target.substr(0, target.find('?')).size())};
    return head;
  }

  const std::string target_;
  const http::Head head_;
  mutable http::Request request_;
};

}  // namespace tailrace::patterns
