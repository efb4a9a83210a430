// A model of a queue that makes results: exponential service, now and then a stall.
#include "loadtest/test_results.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace tailrace::loadtest::test_results {
namespace {

// splitmix64: small, and the same everywhere (std's distributions are not).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  double uniform() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  double exponential(double mean) { return -mean * std::log1p(-uniform()); }

 private:
  std::uint64_t state_;
};

struct Model {
  double rate = 2000;
  int seconds = 60;
  double floor_ns = 180'000;
  double mean_ns = 90'000;   // above the floor
  double slow_share = 0.02;  // of requests that meet the collector
  double slow_mean_ns = 900'000;
  int stall_second = -1;
  double stall_ns = 0;
  double infinite_share = 0;
  double dropped_share = 0;
  double cycles_per_second = 3;
  double bytes_per_request = 24'000;
  std::uint64_t seed = 1;
};

struct Row {
  Latencies response, lateness, client_queue, service;
};

double service_ns(const Model& model, Random& random) {
  double ns = model.floor_ns + random.exponential(model.mean_ns);
  if (random.uniform() < model.slow_share) ns += random.exponential(model.slow_mean_ns);
  return ns;
}

void one_request(const Model& model, Random& random, int number, double at, Row& row,
                 Counts& counts) {
  ++counts.planned;
  if (random.uniform() < model.dropped_share) {
    ++counts.dropped;
    row.response.record_infinite();
    return;
  }
  ++counts.sent;
  const double late = 4'000 + random.exponential(6'000);
  const double queue = random.uniform() < 0.05 ? random.exponential(20'000) : 0;
  row.lateness.record(static_cast<std::int64_t>(late));
  row.client_queue.record(static_cast<std::int64_t>(queue));
  if (random.uniform() < model.infinite_share) {
    ++counts.timed_out;
    row.response.record_infinite();
    row.service.record_infinite();
    return;
  }
  double service = service_ns(model, random);
  if (model.stall_second >= 0) {
    const double end = model.stall_second * 1e9 + model.stall_ns;
    const double due = number * 1e9 + at * 1e9;
    if (due >= model.stall_second * 1e9 && due < end) service += end - due;
  }
  ++counts.completed;
  ++counts.succeeded;
  counts.bytes_sent += 180;
  counts.bytes_received += 2'300;
  row.service.record(static_cast<std::int64_t>(service));
  row.response.record(static_cast<std::int64_t>(service + late + queue));
}

Second second_of(const Model& model, Random& random, int number) {
  Second second;
  Row row;
  second.number = number;
  for (double at = random.exponential(1 / model.rate); at < 1;
       at += random.exponential(1 / model.rate)) {
    one_request(model, random, number, at, row, second.counts);
  }
  second.response = SparseHistogram::of(row.response);
  second.lateness = SparseHistogram::of(row.lateness);
  second.client_queue = SparseHistogram::of(row.client_queue);
  second.service = SparseHistogram::of(row.service);
  second.in_flight_most = static_cast<std::uint64_t>(4 + random.uniform() * 12);
  second.generator_busy = 0.2 + 0.1 * random.uniform();
  second.steal = 0.002 * random.uniform();
  const auto completed = static_cast<double>(second.counts.completed);
  ServerFigures& server = second.server;
  server.seconds = 1;
  server.requests = completed;
  server.gc_cycles = std::floor(model.cycles_per_second + random.uniform());
  server.gc_cpu_seconds = 0.01 * server.gc_cycles;
  server.gc_hold_seconds = 20e-6 * server.gc_cycles;
  server.alloc_bytes = completed * model.bytes_per_request;
  server.heap_alloc_bytes = completed * model.bytes_per_request / 4;
  server.cpu_seconds = completed * 60e-6;
  server.heap_live_bytes = 48e6 + 8e6 * random.uniform();
  server.resident_bytes = 160e6;
  return second;
}

void add(ServerFigures& sum, const ServerFigures& one, bool first) {
  const auto plus = [first](double& a, double b) { a = first ? b : a + b; };
  plus(sum.seconds, one.seconds);
  plus(sum.requests, one.requests);
  plus(sum.gc_cycles, one.gc_cycles);
  plus(sum.gc_cpu_seconds, one.gc_cpu_seconds);
  plus(sum.gc_hold_seconds, one.gc_hold_seconds);
  plus(sum.alloc_bytes, one.alloc_bytes);
  plus(sum.heap_alloc_bytes, one.heap_alloc_bytes);
  plus(sum.cpu_seconds, one.cpu_seconds);
  sum.heap_live_bytes = one.heap_live_bytes;
  sum.resident_bytes = one.resident_bytes;
}

Measurement measurement_of(const Model& model) {
  Random random(model.seed);
  Measurement measurement;
  measurement.rate_per_second = model.rate;
  measurement.duration_ns = std::int64_t{model.seconds} * 1'000'000'000;
  measurement.seed = model.seed;
  measurement.plan_digest = 0x1234567890abcdef ^ model.seed;
  for (int i = 0; i < model.seconds; ++i) {
    measurement.seconds.push_back(second_of(model, random, i));
    add(measurement.server, measurement.seconds.back().server, i == 0);
  }
  const Counts counts = measurement.counts();
  measurement.statuses[200] = counts.succeeded;
  if (counts.timed_out != 0) {
    measurement.errors["no answer within the timeout"] = counts.timed_out;
  }
  Latencies connect;
  for (int i = 0; i < 64; ++i)
    connect.record(static_cast<std::int64_t>(random.exponential(90'000)));
  measurement.connect = SparseHistogram::of(connect);
  return measurement;
}

// The first of two routes has two thirds of all.
void split_routes(Measurement& measurement) {
  Latencies all = measurement.response(true);
  Latencies fast;
  Latencies slow;
  all.finite().for_each([&](std::uint64_t, std::uint64_t high, std::uint64_t times) {
    fast.finite().record(high, times - times / 3);
    slow.finite().record(high, times / 3);
  });
  slow.record_infinite(all.infinite());
  RouteFigures get{"GET /api/users/{id}", {}, SparseHistogram::of(fast)};
  get.counts.planned = get.counts.sent = get.counts.completed = get.counts.succeeded = fast.count();
  RouteFigures post{"POST /api/orders", {}, SparseHistogram::of(slow)};
  post.counts.planned = post.counts.sent = slow.count();
  post.counts.completed = post.counts.succeeded = slow.finite().count();
  measurement.routes = {get, post};
}

Result result_of(const std::string& kind) {
  Result result;
  result.kind = kind;
  result.tool_version = "tailrace-load 0.4.0";
  result.command = {
      "tailrace-load", kind, "http://127.0.0.1:8080/api/users/7", "-r", "2k", "-d", "60s"};
  result.started = "2026-11-21T08:30:00Z";
  result.target = "http://127.0.0.1:8080/api/users/7";
  result.scenario = "service mix";
  result.arrival = "poisson";
  result.workers = 2;
  result.connections = 64;
  result.timeout_ns = 10'000'000'000;
  result.in_flight_most = 4096;
  result.seed = 42;
  result.host = {"Intel Xeon 2.5 GHz", 4, "6.1.0-42-amd64", "none", "kvm", std::uint64_t{16} << 30};
  Selfcheck selfcheck;
  selfcheck.most_rate_per_worker = 52'300;
  selfcheck.workers = 2;
  selfcheck.most_rate = 104'600;
  selfcheck.lateness_p50_ns = 7'600;
  selfcheck.lateness_p99_ns = 48'000;
  selfcheck.lateness_most_ns = 1'900'000;
  selfcheck.clock_cost_ns = 48;
  selfcheck.steal = 0.004;
  selfcheck.grade = 'B';
  result.selfcheck = selfcheck;
  return result;
}

Result run_of(const Model& model) {
  Result result = result_of("run");
  result.measurements.push_back(measurement_of(model));
  split_routes(result.measurements.front());
  return result;
}

Result ramp_of(bool step) {
  Result result = result_of("ramp");
  for (int i = 1; i <= 12; ++i) {
    Model model;
    model.rate = 500.0 * i;
    model.seconds = 5;
    model.seed = static_cast<std::uint64_t>(i);
    model.cycles_per_second = 1.5 * i;
    if (step && i > 9) {
      model.slow_share = 0.08;
      model.slow_mean_ns = 14e6 * (i - 8.5);
      model.infinite_share = i == 12 ? 0.03 : 0;
    } else if (!step) {
      model.mean_ns = 120'000 / (1.02 - i / 12.0);
      model.slow_share = 0;
    }
    result.measurements.push_back(measurement_of(model));
  }
  return result;
}

}  // namespace

Result quiet() { return run_of({}); }

Result stalled() {
  Model model;
  model.stall_second = 20;
  model.stall_ns = 1.4e9;
  Result result = run_of(model);
  std::vector<Second>& seconds = result.measurements.front().seconds;
  seconds[34].voided = "lateness P99 3.1 ms";
  seconds[35].voided = "steal 6 %";
  seconds[35].steal = 0.06;
  return result;
}

Result overloaded() {
  Model model;
  model.rate = 9'000;
  model.seconds = 20;
  model.mean_ns = 400e6;
  model.infinite_share = 0.22;
  model.dropped_share = 0.12;
  model.cycles_per_second = 22;
  Result result = run_of(model);
  result.measurements.front().errors["connection reset by peer"] = 12;
  result.thresholds_failed = {"p99<10ms: >10 s timeout", "err<0.1%: 31.4 %"};
  result.above_ceiling = true;
  result.measurements.front().invalid = {
      "the generator was busy 97 % of the time: use more workers"};
  return result;
}

Result step_ramp() {
  Result result = ramp_of(true);
  Inflection inflection;
  inflection.shape = Inflection::Shape::kStep;
  inflection.last_low_rate = 4'500;
  inflection.first_high_rate = 5'000;
  inflection.before_ns = 1.2e6;
  inflection.after_ns = 31e6;
  inflection.bic_gain = 18.5;
  result.inflection = inflection;
  result.measurements[3].seconds[2].voided = "lateness P99 2.4 ms";
  for (Second& second : result.measurements[6].seconds) second.voided = "steal 4 %";
  result.measurements[6].invalid = {"no clean second"};
  return result;
}

Result smooth_ramp() {
  Result result = ramp_of(false);
  Inflection inflection;
  inflection.shape = Inflection::Shape::kSmooth;
  inflection.capacity_rate = 6'120;
  result.inflection = inflection;
  return result;
}

Result empty() {
  Result result = result_of("run");
  result.interrupted = true;
  Measurement measurement;
  measurement.rate_per_second = 2'000;
  measurement.interrupted = true;
  result.measurements.push_back(measurement);
  result.selfcheck.reset();
  return result;
}

Result one_second() {
  Model model;
  model.seconds = 1;
  return run_of(model);
}

Result busy_minute() {
  Model model;
  model.rate = 10'000;
  return run_of(model);
}

Result hour() {
  Model model;
  model.rate = 100;
  model.seconds = 3600;
  return run_of(model);
}

Result hostile() {
  Model model;
  model.seconds = 3;
  model.rate = 500;
  Result result = run_of(model);
  const std::string evil =
      "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&\x01\xff,\n=1+1";
  result.tool_version = result.started = result.target = result.scenario = result.arrival = evil;
  result.command.push_back(evil);
  result.thresholds_failed = {evil};
  result.host.cpu_model = result.host.kernel = result.host.governor = result.host.hypervisor = evil;
  Measurement& measurement = result.measurements.front();
  measurement.errors[evil] = 3;
  measurement.invalid = {evil};
  measurement.routes.front().name = evil;
  measurement.seconds[1].voided = evil;
  return result;
}

}  // namespace tailrace::loadtest::test_results
