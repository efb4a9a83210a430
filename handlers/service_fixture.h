// Starts the real tailrace-api on free ports for a test, and ends it by SIGTERM: it must drain and exit
// with 0, or the test fails.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tailrace::api {

class ServiceFixture {
 public:
  ServiceFixture(unsigned workers, std::int64_t demo_users,
                 std::vector<std::string> more_arguments = {});
  ~ServiceFixture();
  ServiceFixture(const ServiceFixture&) = delete;
  ServiceFixture& operator=(const ServiceFixture&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  std::uint16_t admin_port() const noexcept { return admin_port_; }
  // The value of one series at /metrics, 0 if it is not there yet.
  double metric(std::string_view series) const;
  // Forces a collection cycle.
  void collect() const;

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::uint16_t admin_port_ = 0;
};

}  // namespace tailrace::api
