// Sums over what was measured. Histograms are merged, never averaged: a percentile of the whole is that of
// all requests together.
#include "loadtest/result.h"

#include <algorithm>

namespace tailrace::loadtest {
namespace {

Latencies merged(const std::vector<Second>& seconds, SparseHistogram Second::*part,
                 bool with_voided) {
  Latencies all;
  for (const Second& second : seconds) {
    if (with_voided || second.voided.empty()) (second.*part).add_to(all);
  }
  return all;
}

}  // namespace

SparseHistogram SparseHistogram::of(const Histogram& histogram) {
  SparseHistogram sparse;
  if (histogram.count() != 0) sparse.text = histogram.serialise();
  return sparse;
}

SparseHistogram SparseHistogram::of(const Latencies& latencies) {
  SparseHistogram sparse = of(latencies.finite());
  sparse.infinite = latencies.infinite();
  return sparse;
}

bool SparseHistogram::add_to(Latencies& latencies) const {
  if (!text.empty()) {
    const std::optional<Histogram> histogram = Histogram::parse(text);
    if (!histogram) return false;
    latencies.finite().merge(*histogram);
  }
  latencies.record_infinite(infinite);
  return true;
}

Latencies SparseHistogram::latencies() const {
  Latencies result;
  add_to(result);
  return result;
}

Counts& Counts::operator+=(const Counts& other) noexcept {
  planned += other.planned;
  sent += other.sent;
  completed += other.completed;
  succeeded += other.succeeded;
  dropped += other.dropped;
  timed_out += other.timed_out;
  failed += other.failed;
  bytes_sent += other.bytes_sent;
  bytes_received += other.bytes_received;
  return *this;
}

Counts Measurement::counts() const {
  Counts sum;
  for (const Second& second : seconds) sum += second.counts;
  return sum;
}

Latencies Measurement::response(bool with_voided) const {
  return merged(seconds, &Second::response, with_voided);
}
Latencies Measurement::lateness(bool with_voided) const {
  return merged(seconds, &Second::lateness, with_voided);
}
Latencies Measurement::client_queue(bool with_voided) const {
  return merged(seconds, &Second::client_queue, with_voided);
}
Latencies Measurement::service(bool with_voided) const {
  return merged(seconds, &Second::service, with_voided);
}

std::size_t Measurement::voided_seconds() const {
  return static_cast<std::size_t>(std::count_if(
      seconds.begin(), seconds.end(), [](const Second& second) { return !second.voided.empty(); }));
}

double Measurement::clean_seconds() const {
  double sum = 0;
  for (const Second& second : seconds) {
    if (!second.voided.empty()) continue;
    // The last second may be a part of one.
    const double left = static_cast<double>(duration_ns) / 1e9 - static_cast<double>(second.number);
    sum += std::clamp(left, 0.0, 1.0);
  }
  return sum;
}

double Measurement::median_of_seconds_ns(double percent) const {
  std::vector<double> values;
  for (const Second& second : seconds) {
    if (!second.voided.empty()) continue;
    const Latencies latencies = second.response.latencies();
    if (latencies.count() != 0) values.push_back(latencies.percentile_ns(percent));
  }
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string Host::fingerprint() const {
  // Memory in whole GiB: kernels keep a little more or less of it for themselves.
  const std::uint64_t gib = (memory_bytes + (std::uint64_t{1} << 29)) >> 30;
  return cpu_model + " | " + std::to_string(cpus_allowed) + " CPUs | " + std::to_string(gib) +
         " GiB | " + kernel + " | " + governor + " | " + hypervisor;
}

bool Result::valid() const {
  const auto invalid = static_cast<std::size_t>(
      std::count_if(measurements.begin(), measurements.end(),
                    [](const Measurement& measurement) { return !measurement.invalid.empty(); }));
  if (measurements.empty()) return false;
  // Steps of a ramp that are invalid are left out where its rates are compared; the others still say
  // something while they are the most.
  return kind == "ramp" ? 2 * invalid < measurements.size() : invalid == 0;
}

}  // namespace tailrace::loadtest
