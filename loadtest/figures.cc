// Percentiles with enough behind them, rates, stretches of time.
#include "loadtest/figures.h"

#include <algorithm>
#include <cmath>

namespace tailrace::loadtest {
namespace {

void add(double& sum, double value) {
  if (std::isnan(value)) return;
  sum = std::isnan(sum) ? value : sum + value;
}

void add(ServerFigures& sum, const ServerFigures& one) {
  add(sum.seconds, one.seconds);
  add(sum.requests, one.requests);
  add(sum.gc_cycles, one.gc_cycles);
  add(sum.gc_cpu_seconds, one.gc_cpu_seconds);
  add(sum.gc_hold_seconds, one.gc_hold_seconds);
  add(sum.alloc_bytes, one.alloc_bytes);
  add(sum.heap_alloc_bytes, one.heap_alloc_bytes);
  add(sum.cpu_seconds, one.cpu_seconds);
  // Gauges: the last known value.
  if (!std::isnan(one.heap_live_bytes)) sum.heap_live_bytes = one.heap_live_bytes;
  if (!std::isnan(one.resident_bytes)) sum.resident_bytes = one.resident_bytes;
}

void add(Spans& sum, const Second& second) {
  second.response.add_to(sum.response);
  second.lateness.add_to(sum.lateness);
  second.client_queue.add_to(sum.client_queue);
  second.service.add_to(sum.service);
}

Stretch stretch_of(const std::vector<Second>& seconds, std::size_t begin, std::size_t end) {
  Stretch stretch;
  stretch.begin_second = seconds[begin].number;
  stretch.seconds = std::max<std::int64_t>(1, seconds[end - 1].number - stretch.begin_second + 1);
  const bool all_voided = std::all_of(seconds.begin() + static_cast<std::ptrdiff_t>(begin),
                                      seconds.begin() + static_cast<std::ptrdiff_t>(end),
                                      [](const Second& second) { return !second.voided.empty(); });
  for (std::size_t i = begin; i < end; ++i) {
    const Second& second = seconds[i];
    stretch.counts += second.counts;
    add(stretch.server, second.server);
    stretch.steal = std::max(stretch.steal, second.steal);
    stretch.generator_busy = std::max(stretch.generator_busy, second.generator_busy);
    if (second.voided.empty() || all_voided) add(stretch.spans, second);
    if (all_voided && stretch.voided.find(second.voided) == std::string::npos) {
      stretch.voided += (stretch.voided.empty() ? "" : "; ") + second.voided;
    }
  }
  return stretch;
}

}  // namespace

double beyond(std::uint64_t count, double percent) {
  return static_cast<double>(count) * (100 - percent) / 100;
}

double percentile_ns(const Latencies& latencies, double percent) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (latencies.count() == 0) return kNone;
  // 100 - 99.99 is a little more than 0.01, and 10,000 requests are enough.
  if (percent < 100 && beyond(latencies.count(), percent) < 1 - 1e-9) return kNone;
  if (percent >= 100 && latencies.infinite() == 0) {
    return static_cast<double>(latencies.finite().max());
  }
  return latencies.percentile_ns(percent);
}

bool ServerRates::known() const {
  return !std::isnan(gc_cycles_per_second) || !std::isnan(alloc_bytes_per_request) ||
         !std::isnan(cpu_ns_per_request);
}

ServerRates server_rates(const ServerFigures& server, double seconds) {
  ServerRates rates;
  // Its readings may lie further apart than the time they are of.
  if (server.seconds > 0) seconds = server.seconds;
  if (seconds > 0) {
    rates.gc_cycles_per_second = server.gc_cycles / seconds;
    rates.alloc_bytes_per_second = server.alloc_bytes / seconds;
  }
  if (server.requests > 0) {
    rates.alloc_bytes_per_request = server.alloc_bytes / server.requests;
    rates.heap_bytes_per_request = server.heap_alloc_bytes / server.requests;
    rates.cpu_ns_per_request = server.cpu_seconds * 1e9 / server.requests;
  }
  if (server.cpu_seconds > 0) rates.gc_cpu_share = server.gc_cpu_seconds / server.cpu_seconds;
  return rates;
}

MeasurementFigures figures_of(const Measurement& measurement) {
  MeasurementFigures figures;
  figures.all_voided =
      !measurement.seconds.empty() && measurement.voided_seconds() == measurement.seconds.size();
  for (const Second& second : measurement.seconds) {
    if (second.voided.empty() || figures.all_voided) add(figures.spans, second);
    figures.steal_most = std::max(figures.steal_most, second.steal);
    figures.generator_busy_most = std::max(figures.generator_busy_most, second.generator_busy);
    figures.in_flight_most = std::max(figures.in_flight_most, second.in_flight_most);
  }
  figures.counts = measurement.counts();
  figures.seconds = static_cast<double>(measurement.duration_ns) / 1e9;
  if (figures.seconds > 0) {
    figures.sent_per_second = static_cast<double>(figures.counts.sent) / figures.seconds;
    figures.completed_per_second = static_cast<double>(figures.counts.completed) / figures.seconds;
  }
  if (figures.counts.planned != 0) {
    figures.bad_share =
        static_cast<double>(figures.counts.bad()) / static_cast<double>(figures.counts.planned);
  }
  figures.server = server_rates(measurement.server, figures.seconds);
  return figures;
}

std::vector<Stretch> stretches_of(const Measurement& measurement, std::size_t most) {
  std::vector<Stretch> stretches;
  const std::vector<Second>& seconds = measurement.seconds;
  if (seconds.empty() || most == 0) return stretches;
  const std::size_t each = (seconds.size() + most - 1) / most;
  for (std::size_t begin = 0; begin < seconds.size(); begin += each) {
    stretches.push_back(stretch_of(seconds, begin, std::min(begin + each, seconds.size())));
  }
  return stretches;
}

std::vector<const Measurement*> by_rate(const Result& result) {
  std::vector<const Measurement*> steps;
  for (const Measurement& measurement : result.measurements) steps.push_back(&measurement);
  std::stable_sort(steps.begin(), steps.end(), [](const Measurement* a, const Measurement* b) {
    return a->rate_per_second < b->rate_per_second;
  });
  return steps;
}

std::string shape_name(Inflection::Shape shape) {
  switch (shape) {
    case Inflection::Shape::kStep:
      return "step";
    case Inflection::Shape::kSmooth:
      return "smooth";
    case Inflection::Shape::kFlat:
      return "flat";
    case Inflection::Shape::kTooFew:
      return "too_few";
  }
  return "too_few";
}

}  // namespace tailrace::loadtest
