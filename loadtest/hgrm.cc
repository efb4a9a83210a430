// The percentile text format: five lines for each halving of what is left to 100 %.
#include "loadtest/hgrm.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace tailrace::loadtest {
namespace {

constexpr int kTicksPerHalving = 5;

std::string row(double value_ms, double share, std::uint64_t total) {
  char text[128];
  if (share < 1) {
    std::snprintf(text, sizeof text, "%12.6f %14.12f %10llu %14.2f\n", value_ms, share,
                  static_cast<unsigned long long>(total), 1 / (1 - share));
  } else {
    std::snprintf(text, sizeof text, "%12.6f %14.12f %10llu\n", value_ms, share,
                  static_cast<unsigned long long>(total));
  }
  return text;
}

struct Moments {
  double mean_ms = 0;
  double deviation_ms = 0;
  double max_ms = 0;
};

Moments moments_of(const Latencies& latencies, double timeout_ns) {
  Moments moments;
  const auto all = static_cast<double>(latencies.count());
  if (all == 0) return moments;
  double sum = 0;
  double squares = 0;
  latencies.finite().for_each([&](std::uint64_t low, std::uint64_t high, std::uint64_t times) {
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    sum += middle * static_cast<double>(times);
  });
  const auto infinite = static_cast<double>(latencies.infinite());
  const double mean = (sum + timeout_ns * infinite) / all;
  latencies.finite().for_each([&](std::uint64_t low, std::uint64_t high, std::uint64_t times) {
    const double away = (static_cast<double>(low) + static_cast<double>(high)) / 2 - mean;
    squares += away * away * static_cast<double>(times);
  });
  squares += (timeout_ns - mean) * (timeout_ns - mean) * infinite;
  moments.mean_ms = mean / 1e6;
  moments.deviation_ms = std::sqrt(squares / all) / 1e6;
  moments.max_ms = static_cast<double>(latencies.finite().max()) / 1e6;
  if (infinite > 0) moments.max_ms = std::max(moments.max_ms, timeout_ns / 1e6);
  return moments;
}

}  // namespace

std::string write_hgrm(const Latencies& latencies, std::int64_t timeout_ns) {
  // What ended after the timeout was ending already when it came: the order must not break.
  const double timeout =
      std::max(static_cast<double>(timeout_ns), static_cast<double>(latencies.finite().max()));
  std::string text = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
  const std::uint64_t all = latencies.count();
  const auto value_ms = [&](double percent) {
    const double ns = latencies.percentile_ns(percent);
    return (std::isinf(ns) ? timeout : ns) / 1e6;
  };
  // How many are at or below the rank's value: what the format's third column says.
  const auto total = [&](double percent) {
    const double ns = latencies.percentile_ns(percent);
    return std::isinf(ns) ? all
                          : latencies.finite().count_at_or_below(static_cast<std::uint64_t>(ns));
  };
  double left = 1;
  for (int tick = 0; all != 0; ++tick) {
    if (tick == kTicksPerHalving) {
      tick = 0;
      left /= 2;
    }
    const double share = 1 - left * (1 - static_cast<double>(tick) / (2 * kTicksPerHalving));
    // Beyond the last request but one there is only the last.
    if (left * static_cast<double>(all) < 0.5 || total(share * 100) == all) break;
    text += row(value_ms(share * 100), share, total(share * 100));
  }
  if (all != 0) text += row(value_ms(100), 1, all);
  const Moments moments = moments_of(latencies, timeout);
  char footer[256];
  std::snprintf(footer, sizeof footer,
                "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n"
                "#[Max     = %12.3f, Total count    = %12llu]\n"
                "#[Buckets = %12d, SubBuckets     = %12d]\n",
                moments.mean_ms, moments.deviation_ms, moments.max_ms,
                static_cast<unsigned long long>(all), 34, 128);
  return text + footer;
}

}  // namespace tailrace::loadtest
