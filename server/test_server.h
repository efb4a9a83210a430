// A server for the tests of this folder: on its own thread, on free ports, drained at the end. It
// fails the test if connections, fibers or requests in flight are left behind.
#pragma once

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "gcruntime/gc/mutator.h"
#include "metrics/exporter.h"
#include "metrics/instruments.h"
#include "server/config.h"
#include "server/server.h"
#include "server/test_client.h"

namespace tailrace::http {

class TestServer {
 public:
  using Tune = std::function<void(Config&)>;
  using Routes = std::function<void(Router&)>;

  explicit TestServer(unsigned workers, const Routes& routes = {}, const Tune& tune = {}) {
    config_.listen.port = 0;
    config_.admin->port = 0;
    config_.max_procs = workers;
    config_.access_log = AccessLogMode::kOff;
    config_.drain_delay_ns = 0;
    config_.drain_deadline_ns = 15'000'000'000;
    if (tune) tune(config_);
    std::promise<void> listening;
    thread_ = std::thread([this, &routes, &listening] {
      const gc::ThreadScope attached;
      metrics::Registry registry;
      metrics::Exporter exporter(registry);
      Server server(config_, registry, exporter, log_ends_[1]);
      if (routes) routes(server.router());
      server.start_workers();
      if (const auto error = server.listen()) {
        ADD_FAILURE() << *error;
        listening.set_value();
        return;
      }
      port_ = server.address().port;
      if (const auto admin = server.admin_address()) admin_port_ = admin->port;
      server_ = &server;
      registry_ = &registry;
      listening.set_value();
      finished_ = server.run();
      EXPECT_EQ(server.connections(), 0u);
      EXPECT_EQ(value("http_requests_in_flight"), 0);
    });
    listening.get_future().wait();
  }
  ~TestServer() {
    drain();
    wait();
    ::close(log_ends_[0]);
    ::close(log_ends_[1]);
  }

  std::uint16_t port() const noexcept { return port_; }
  std::uint16_t admin_port() const noexcept { return admin_port_; }
  TestClient client() const { return TestClient(port_); }
  Server& server() noexcept { return *server_; }
  void drain() {
    if (thread_.joinable()) server_->request_drain();
  }
  // For the end of the drain.
  void wait() {
    if (!thread_.joinable()) return;
    thread_.join();
    EXPECT_EQ(finished_, expect_finished_);
  }
  void expect_cut_off() { expect_finished_ = false; }

  // The sum over all series of a family that have the label value, 0 if there are none. Counters
  // and gauges by value, histograms by count. Without those that have the value `but_not`.
  double value(const std::string& family, const std::string& label_value = {},
               const std::string& but_not = {}) const {
    double sum = 0;
    for (const metrics::Family& candidate : registry_->gather()) {
      if (candidate.name != family) continue;
      for (const metrics::Series& series : candidate.series) {
        bool matches = label_value.empty();
        for (const metrics::Label& label : series.labels) {
          matches = matches || label.value == label_value;
        }
        for (const metrics::Label& label : series.labels) {
          matches = matches && (but_not.empty() || label.value != but_not);
        }
        if (!matches) continue;
        sum += candidate.kind == metrics::Kind::kHistogram ? static_cast<double>(series.count)
                                                           : series.value;
      }
    }
    return sum;
  }
  // As /metrics shows it: `series` is its name with all its labels. -1: there is none.
  double metric(const std::string& series) const {
    const std::string wanted = "\n" + series + " ";
    const std::string text = client().get("/metrics")->body;
    const std::size_t at = text.find(wanted);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + wanted.size()));
  }
  // What the access log has written so far.
  std::string log() const {
    ::fcntl(log_ends_[0], F_SETFL, O_NONBLOCK);
    std::string text;
    char block[4096];
    for (ssize_t got; (got = ::read(log_ends_[0], block, sizeof block)) > 0;) {
      text.append(block, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
    int operator[](int index) const { return ends[index]; }
    int ends[2];
  };

  Config config_;
  Pipe log_ends_;
  std::uint16_t port_ = 0;
  std::uint16_t admin_port_ = 0;
  Server* server_ = nullptr;
  metrics::Registry* registry_ = nullptr;
  bool finished_ = false;
  bool expect_finished_ = true;
  std::thread thread_;
};

// Waits, without a bound of its own (the test's runner has one), until `condition` holds.
template <typename Condition>
void wait_until(Condition condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

}  // namespace tailrace::http
