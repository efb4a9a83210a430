// See server.h.
#include "server/server.h"

#include <sys/resource.h>
#include <algorithm>
#include <chrono>
#include <thread>

#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/clock.h"
#include "server/endpoints.h"
#include "server/session.h"

namespace tailrace::http {
namespace {

using boost::system::error_code;

// How often the drain looks for connections that have become idle.
constexpr std::chrono::milliseconds kDrainTick{10};
// What is left after the deadline has its streams ended and this long to notice.
constexpr std::int64_t kCutOffNs = 1'000'000'000;

fiber::SchedulerOptions scheduler_options(const Config& config, Netpoll& netpoll) {
  fiber::SchedulerOptions options;
  options.workers = config.max_procs;
  options.most_workers = config.most_procs;
  options.netpoll = &netpoll;
  options.steal = config.steal;
  options.rescue = config.rescue;
  options.long_slice_ns = config.timeouts.long_slice_ns;
  options.trace_every_ns = config.sched_trace_ns;
  return options;
}

Config with_connections(Config config) {
  config.limits.connections = allowed_connections(config.limits.connections);
  return config;
}

}  // namespace

std::size_t allowed_connections(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur == RLIM_INFINITY) return wanted;
  const std::size_t free = limit.rlim_cur > 2 * kReservedDescriptors
                               ? limit.rlim_cur - kReservedDescriptors
                               : limit.rlim_cur / 2;
  return std::clamp<std::size_t>(wanted, 1, free);
}

Server::Server(const Config& config, metrics::Registry& registry, metrics::Exporter& exporter,
               int log_descriptor)
    : config_(with_connections(config)),
      registry_(registry),
      http_instruments_(registry),
      scrape_instruments_(registry),
      worker_states_(config.worker_capacity()),
      access_log_(
          config.access_log, config.worker_capacity(), config.timeouts.slow_request_ns,
          log_descriptor,
          registry.counter({.name = "tailrace_access_log_dropped_total",
                            .help = "Access log records dropped because the ring was full."})),
      shared_{config_.limits,
              config_.timeouts,
              worker_states_,
              access_log_,
              http_instruments_.in_flight(),
              registry.counter({.name = "tailrace_http_handler_exceptions_total",
                                .help = "Requests answered 500 because the handler threw."}),
              registry.counter({.name = "tailrace_http_refused_requests_total",
                                .help = "Requests refused before their handler: malformed, too "
                                        "large or too slow."})},
      netpoll_(config_.limits.connections, &Session::run),
      scheduler_(std::make_unique<fiber::Scheduler>(scheduler_options(config_, netpoll_))) {
  add_endpoints(public_router_, shared_, exporter, scrape_instruments_);
  add_endpoints(admin_router_, shared_, exporter, scrape_instruments_);
  add_debug_routes(admin_router_, gc_settings_);
}

Server::~Server() = default;

void Server::start_workers() {
  public_service_.emplace(shared_, public_router_, http_instruments_);
  admin_service_.emplace(shared_, admin_router_, http_instruments_);
  runtime_collector_.emplace(registry_, scheduler_.get());
  scheduler_->start();
  connections_gauge_.emplace(
      registry_.callback({.name = "tailrace_http_connections", .help = "Open connections."},
                         [this] { return static_cast<double>(netpoll_.connections()); }));
}

std::optional<std::string> Server::listen() {
  const ListenerInstruments instruments{
      registry_.counter(
          {.name = "tailrace_http_accepted_connections_total", .help = "Connections accepted."}),
      registry_.counter({.name = "tailrace_http_refused_connections_total",
                         .help = "Connections answered 503 because the limit was reached."}),
      registry_.counter({.name = "tailrace_http_accept_errors_total",
                         .help = "Failures of accept, for lack of descriptors or memory mostly."})};
  public_listener_.emplace(context_, netpoll_, *public_service_, instruments);
  if (auto error = public_listener_->open(config_.listen.host, config_.listen.port)) {
    return "--listen: " + *error;
  }
  if (config_.admin) {
    admin_listener_.emplace(context_, netpoll_, *admin_service_, instruments);
    if (auto error = admin_listener_->open(config_.admin->host, config_.admin->port)) {
      return "--admin: " + *error;
    }
    if (!admin_listener_->endpoint().address().is_loopback()) {
      if (config_.admin_token.empty() && config_.admin_allow.empty()) {
        return "--admin: " + to_string(*config_.admin) +
               " is not on loopback, so /debug needs protection: set TAILRACE_ADMIN_TOKEN or give "
               "--admin-allow CIDR";
      }
      admin_service_->set_guard(make_debug_guard(config_.admin_token, config_.admin_allow));
    }
  }
  public_listener_->start();
  if (admin_listener_) admin_listener_->start();
  shared_.ready.store(true, std::memory_order_relaxed);
  return std::nullopt;
}

HostPort Server::address() const {
  return {public_listener_->endpoint().address().to_string(), public_listener_->endpoint().port()};
}

std::optional<HostPort> Server::admin_address() const {
  if (!admin_listener_) return std::nullopt;
  return HostPort{admin_listener_->endpoint().address().to_string(),
                  admin_listener_->endpoint().port()};
}

bool Server::run() {
  // Blocking here must not hold up a collection.
  gc::native([this] { context_.run(); });
  if (cut_off_) return false;
  // The connections are gone; fibers that the program itself has spawned get what is left of the
  // time.
  while (scheduler_->stats().fibers != 0) {
    if (os::now_ns() > drain_deadline_ns_) return false;
    gc::native([] { std::this_thread::sleep_for(kDrainTick); });
  }
  gc::native([this] { scheduler_->stop(); });
  return true;
}

void Server::request_drain() {
  boost::asio::post(context_, [this] { begin_drain(); });
}

void Server::begin_drain() {
  if (draining_) return;
  draining_ = true;
  shared_.ready.store(false, std::memory_order_relaxed);
  shared_.draining.store(true, std::memory_order_relaxed);
  drain_timer_.expires_after(std::chrono::nanoseconds(config_.effective_drain_delay_ns()));
  drain_timer_.async_wait([this](const error_code&) { close_listeners(); });
}

void Server::close_listeners() {
  if (public_listener_) public_listener_->close();
  if (admin_listener_) admin_listener_->close();
  drain_deadline_ns_ = os::now_ns() + config_.drain_deadline_ns;
  wait_for_connections();
}

void Server::wait_for_connections() {
  // Again and again: one that was busy at the last look may be idle now.
  netpoll_.close_idle();
  if (netpoll_.connections() == 0) {
    context_.stop();
    return;
  }
  const std::int64_t now_ns = os::now_ns();
  if (now_ns > drain_deadline_ns_ && !cut_off_) {
    cut_off_ = true;
    netpoll_.shutdown_all();
  }
  if (now_ns > drain_deadline_ns_ + kCutOffNs) {
    context_.stop();
    return;
  }
  drain_timer_.expires_after(kDrainTick);
  drain_timer_.async_wait([this](const error_code&) { wait_for_connections(); });
}

}  // namespace tailrace::http
