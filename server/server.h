// The server: workers with their netpoll, the two listeners, and the drain. App is one way to start
// it, tests are another.
//
// Threads: start_workers(), listen() and run() on one thread, which must be attached to the
// collector when routes' closures hold managed memory; request_drain() and the observers on any.
// Routers are filled before start_workers() and only read afterwards.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gcruntime/fiber/scheduler.h"
#include "metrics/exporter.h"
#include "metrics/http_instruments.h"
#include "metrics/runtime_collector.h"
#include "metrics/scrape_instruments.h"
#include "server/access_log.h"
#include "server/admin.h"
#include "server/config.h"
#include "server/listener.h"
#include "server/netpoll.h"
#include "server/router.h"
#include "server/service.h"
#include "server/worker_state.h"

namespace tailrace::http {

class Server {
 public:
  // The config is complete: max_procs is set. `log_descriptor` takes the access log.
  Server(const Config& config, metrics::Registry& registry, metrics::Exporter& exporter,
         int log_descriptor = 2);
  // After run(), or without start_workers().
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Router& router() noexcept { return public_router_; }
  Router& admin_router() noexcept { return admin_router_; }
  GcSettings& gc_settings() noexcept { return gc_settings_; }
  fiber::Scheduler& scheduler() noexcept { return *scheduler_; }
  boost::asio::io_context& context() noexcept { return context_; }

  // From here on fibers run (App::on_start).
  void start_workers();
  // Binds both; an error is a message that names the remedy.
  std::optional<std::string> listen();
  HostPort address() const;
  std::optional<HostPort> admin_address() const;
  // Takes connections and serves them until the drain has ended. True if every request could
  // finish; false if the deadline cut some off, and then fibers may still run: leave by std::_Exit.
  bool run();
  // Any thread. Twice is once.
  void request_drain();

  std::size_t connections() const noexcept { return netpoll_.connections(); }

 private:
  void begin_drain();
  void close_listeners();
  void wait_for_connections();

  const Config config_;
  metrics::Registry& registry_;
  metrics::HttpInstruments http_instruments_;
  metrics::ScrapeInstruments scrape_instruments_;
  WorkerStates worker_states_;
  AccessLog access_log_;
  Shared shared_;
  GcSettings gc_settings_;
  Router public_router_;
  Router admin_router_;
  Netpoll netpoll_;
  std::unique_ptr<fiber::Scheduler> scheduler_;
  std::optional<metrics::RuntimeCollector> runtime_collector_;
  std::optional<metrics::Registration> connections_gauge_;
  // On the main thread's context only.
  boost::asio::io_context context_{1};
  boost::asio::steady_timer drain_timer_{context_};
  std::optional<Service> public_service_;
  std::optional<Service> admin_service_;
  std::optional<Listener> public_listener_;
  std::optional<Listener> admin_listener_;
  bool draining_ = false;
  std::int64_t drain_deadline_ns_ = 0;
  bool cut_off_ = false;
};

// The connections that descriptors allow: raises the soft limit to the hard one first.
std::size_t allowed_connections(std::size_t wanted);

}  // namespace tailrace::http
