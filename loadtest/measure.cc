// See measure.h. The caller's thread samples the host, collects what the workers hand over, and
// tells of progress; the workers share nothing.
#include "loadtest/measure.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "loadtest/clock.h"
#include "loadtest/collector.h"
#include "loadtest/host.h"
#include "loadtest/worker.h"

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kStartUpNs =
    100 * kMillisecondNs;                              // from "all are ready" to the first due time
constexpr std::int64_t kLookNs = 20 * kMillisecondNs;  // how often the caller's thread looks around
constexpr std::int64_t kGraceNs = kSecondNs;           // of an interrupted run
constexpr std::int64_t kResolveMostNs = 5 * kSecondNs;
constexpr unsigned kConnectionsLeast = 16;
constexpr unsigned kConnectionsMost = 1000;
constexpr double kInFlightMost = 1 << 20;
constexpr std::int64_t kNoRun = std::numeric_limits<std::int64_t>::min();

class Run {
 public:
  Run(const MeasureSettings& settings, const Scenario& scenario, const MeasureHooks& hooks)
      : settings_(settings),
        scenario_(scenario),
        hooks_(hooks),
        collector_(settings.plan.workers, settings.timeout_ns) {}
  ~Run() {
    if (!started_) start_.set_value(kNoRun);
    for (std::thread& thread : threads_) thread.join();
  }

  std::variant<Measurement, MeasureError> measure();

 private:
  MeasureError unreachable(std::string message) const {
    return {MeasureError::Kind::kUnreachable, std::move(message)};
  }
  double rate() const;
  WorkerSettings worker_settings(unsigned index, const Endpoint& endpoint) const;
  void start_threads(const Endpoint& endpoint);
  std::string wait_for_connections();
  void look_at_interrupt(std::int64_t now);
  void look_on();
  void on_second(std::int64_t number);
  void collect();
  bool wait_for_end_until(std::int64_t time_ns);
  Measurement result();

  MeasureSettings settings_;
  const Scenario& scenario_;
  const MeasureHooks& hooks_;
  Collector collector_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::future<std::string>> opened_;
  std::promise<std::int64_t> start_;
  bool started_ = false;
  std::int64_t origin_ns_ = 0;
  bool interrupted_ = false;
  std::int64_t stopped_ns_ = 0;

  std::mutex mutex_;
  std::condition_variable ended_;
  unsigned running_ = 0;  // guarded by mutex_
  std::vector<std::thread> threads_;
};

double Run::rate() const {
  const PlanSettings& plan = settings_.plan;
  if (plan.kind != ArrivalKind::kTrace) return plan.rate_per_second;
  if (plan.trace == nullptr || plan.duration_ns <= 0) return 0;
  const auto within = std::lower_bound(plan.trace->begin(), plan.trace->end(), plan.duration_ns) -
                      plan.trace->begin();
  return static_cast<double>(within) * static_cast<double>(kSecondNs) /
         static_cast<double>(plan.duration_ns);
}

// What the caller left open.
MeasureSettings completed(MeasureSettings settings) {
  PlanSettings& plan = settings.plan;
  plan.workers = std::max(plan.workers, 1U);
  if (plan.kind == ArrivalKind::kTrace && plan.duration_ns == 0 && plan.trace != nullptr &&
      !plan.trace->empty()) {
    plan.duration_ns = plan.trace->back() + 1;
  }
  settings.timeout_ns = std::max<std::int64_t>(settings.timeout_ns, kMillisecondNs);
  return settings;
}

WorkerSettings Run::worker_settings(unsigned index, const Endpoint& endpoint) const {
  const unsigned workers = settings_.plan.workers;
  const auto share = [&](std::uint64_t all) {
    return std::max<std::uint64_t>(1, all / workers + (index < all % workers ? 1 : 0));
  };
  WorkerSettings worker;
  worker.index = index;
  worker.endpoint = endpoint;
  worker.authority = settings_.target.authority();
  worker.connections = static_cast<unsigned>(share(settings_.connections));
  worker.duration_ns = settings_.plan.duration_ns;
  worker.timeout_ns = settings_.timeout_ns;
  worker.in_flight_most = share(settings_.in_flight_most);
  worker.requests_per_connection = settings_.requests_per_connection;
  worker.idle = settings_.idle;
  if (settings_.pin) {
    const std::vector<int> cpus = allowed_cpus();
    if (!cpus.empty()) worker.cpu = cpus[index % cpus.size()];
  }
  return worker;
}

void Run::start_threads(const Endpoint& endpoint) {
  const std::vector<double> weights = scenario_.weights();
  std::shared_future<std::int64_t> start = start_.get_future().share();
  running_ = settings_.plan.workers;
  for (unsigned i = 0; i < settings_.plan.workers; ++i) {
    Schedule schedule(settings_.plan, settings_.warm_up_ns, weights, i);
    workers_.push_back(
        std::make_unique<Worker>(worker_settings(i, endpoint), scenario_, std::move(schedule)));
  }
  for (auto& each : workers_) {
    std::promise<std::string> opened;
    opened_.push_back(opened.get_future());
    threads_.emplace_back([this, worker = each.get(), start, opened = std::move(opened)]() mutable {
      std::string error = worker->open_connections();
      const bool good = error.empty();
      opened.set_value(std::move(error));
      const std::int64_t origin = start.get();
      if (good && origin != kNoRun) worker->run(origin);
      const std::lock_guard lock(mutex_);
      --running_;
      ended_.notify_one();
    });
  }
}

std::string Run::wait_for_connections() {
  std::string error;
  for (auto& opened : opened_) {
    while (opened.wait_for(std::chrono::nanoseconds(kLookNs)) != std::future_status::ready) {
      look_at_interrupt(now_ns());
    }
    std::string why = opened.get();
    if (error.empty()) error = std::move(why);
  }
  return error;
}

std::variant<Measurement, MeasureError> Run::measure() {
  settings_ = completed(settings_);
  const double per_second = rate() * scenario_.requests_per_arrival();
  if (settings_.connections == 0) {
    settings_.connections = static_cast<unsigned>(
        std::clamp<double>(per_second / 50, kConnectionsLeast, kConnectionsMost));
  }
  settings_.connections = std::max(settings_.connections, settings_.plan.workers);
  if (settings_.in_flight_most == 0) {
    const double wanted = 4 * per_second * static_cast<double>(settings_.timeout_ns) / 1e9;
    settings_.in_flight_most = static_cast<std::uint64_t>(
        std::clamp<double>(wanted, settings_.connections, kInFlightMost));
  }

  auto resolved = resolve(settings_.target, std::min(settings_.timeout_ns, kResolveMostNs));
  if (auto* error = std::get_if<std::string>(&resolved)) return unreachable(std::move(*error));
  const auto& endpoint = std::get<Endpoint>(resolved);
  SocketNeeds needs;
  needs.connections = settings_.connections;
  needs.others = 2 * settings_.plan.workers;
  needs.loopback = endpoint.loopback();
  if (settings_.requests_per_connection != 0) {
    needs.closes_per_second = per_second / static_cast<double>(settings_.requests_per_connection);
  }
  if (std::string error = check_sockets(needs); !error.empty()) {
    return MeasureError{MeasureError::Kind::kNoResources, std::move(error)};
  }

  start_threads(endpoint);
  const std::string error = wait_for_connections();
  if (interrupted_) return result();
  if (!error.empty()) {
    return unreachable(error + ": is the server running, is this its port, and does it take " +
                       std::to_string(settings_.connections) + " connections (-c)?");
  }
  origin_ns_ = now_ns() + kStartUpNs + std::max<std::int64_t>(settings_.warm_up_ns, 0);
  started_ = true;
  start_.set_value(origin_ns_);
  look_on();
  return result();
}

bool Run::wait_for_end_until(std::int64_t time_ns) {
  std::unique_lock lock(mutex_);
  const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(time_ns)};
  return ended_.wait_until(lock, until, [this] { return running_ == 0; });
}

void Run::look_at_interrupt(std::int64_t now) {
  // A flag alone, set by a signal handler: pairs with nothing.
  if (interrupted_ || hooks_.interrupted == nullptr ||
      !hooks_.interrupted->load(std::memory_order_relaxed)) {
    return;
  }
  interrupted_ = true;
  stopped_ns_ = now + kLookNs;  // the same for all workers
  for (auto& worker : workers_) worker->stop(stopped_ns_, stopped_ns_ + kGraceNs);
}

void Run::look_on() {
  StealMeter steal;
  bool begun = false;
  // The first edge is the one at which the warm-up's last, or the measured part's first, second
  // begins.
  std::int64_t edge = origin_ns_ + second_of(now_ns(), origin_ns_) * kSecondNs;
  std::int64_t told = edge;
  while (true) {
    const std::int64_t now = now_ns();
    if (!begun && !interrupted_ && now >= origin_ns_ - kStartUpNs) {
      begun = true;
      if (hooks_.on_begin) hooks_.on_begin(origin_ns_);
    }
    look_at_interrupt(now);
    if (now >= edge) {
      const double share = steal.share();
      for (; edge <= now; edge += kSecondNs) {
        if (edge > origin_ns_) collector_.add_steal(share);
      }
    }
    collect();
    // A little after the edge, when the workers have handed over theirs.
    if (now >= told + kSecondNs + 2 * kLookNs) {
      told += kSecondNs * ((now - told) / kSecondNs);
      on_second(second_of(told, origin_ns_) - 1);
    }
    if (wait_for_end_until(std::min(edge, now + kLookNs))) break;
  }
  collector_.add_steal(steal.share());  // of the last one, which may be no whole second
  collect();
}

void Run::collect() {
  for (auto& worker : workers_) collector_.take(worker->handover());
}

void Run::on_second(std::int64_t number) {
  if (!hooks_.progress) return;
  Progress progress;
  progress.second = number;
  for (auto& worker : workers_) {
    Handover& handover = worker->handover();
    const std::lock_guard lock(handover.mutex);
    progress.counts += handover.so_far;
    progress.in_flight += handover.in_flight;
  }
  progress.p50_ns = collector_.p50_ns();
  progress.p99_ns = collector_.p99_ns();
  hooks_.progress(progress);
}

Measurement Run::result() {
  for (auto& worker : workers_) collector_.add_totals(worker->recorder());
  Measurement measurement = collector_.finish();
  const PlanSettings& plan = settings_.plan;
  measurement.rate_per_second = rate();
  measurement.duration_ns = plan.duration_ns;
  if (interrupted_) {
    measurement.interrupted = true;
    measurement.duration_ns =
        started_ ? std::clamp<std::int64_t>(stopped_ns_ - origin_ns_, 0, plan.duration_ns) : 0;
  }
  if (!interrupted_ && measurement.counts().planned == 0) {
    measurement.invalid.emplace_back(
        "no request was due in the measured part: raise the rate (-r) or the duration (-d)");
  }
  measurement.seed = plan.seed;
  measurement.plan_digest = plan_digest(plan, scenario_.weights());
  for (std::size_t i = 0; i < measurement.routes.size(); ++i) {
    measurement.routes[i].name = scenario_.routes()[i].name;
  }
  return measurement;
}

}  // namespace

std::variant<Measurement, MeasureError> measure(const MeasureSettings& settings,
                                                const Scenario& scenario,
                                                const MeasureHooks& hooks) {
  return Run(settings, scenario, hooks).measure();
}

}  // namespace tailrace::loadtest
