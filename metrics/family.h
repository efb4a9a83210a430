// What a scrape is made of: families of series, as plain values. Between those who know numbers
// (instruments, collectors) and the one who writes them out (exporter.cc).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailrace::metrics {

enum class Kind { kCounter, kGauge, kHistogram, kSummary };

struct Label {
  std::string name;
  std::string value;
  friend bool operator==(const Label&, const Label&) = default;
};

struct Series {
  std::vector<Label> labels;
  double value = 0;         // counters and gauges
  std::uint64_t count = 0;  // histograms and summaries, in base units like all that follows
  double sum = 0;
  // Histogram: {upper bound, values at or below it}; ends with +Inf and count.
  std::vector<std::pair<double, std::uint64_t>> buckets;
  // Summary: {quantile, value}.
  std::vector<std::pair<double, double>> quantiles;
};

struct Family {
  std::string name;
  std::string help;
  Kind kind = Kind::kGauge;
  std::vector<Series> series;
};

// Adds a counter's or gauge's number.
template <typename Number>
void add(Family& family, std::vector<Label> labels, Number value) {
  Series series;
  series.labels = std::move(labels);
  series.value = static_cast<double>(value);
  family.series.push_back(std::move(series));
}

// A counter or gauge without labels.
template <typename Number>
Family single(std::string name, std::string help, Kind kind, Number value) {
  Family family{std::move(name), std::move(help), kind, {}};
  add(family, {}, value);
  return family;
}

// What the numbers of an instrument count. Instruments hold whole units; Prometheus wants base
// units, so nanoseconds leave as seconds.
enum class Unit { kNone, kBytes, kNanoseconds };

// Divided and not multiplied by 1e-9, so that 100000 ns is written as 0.0001.
constexpr double to_base(double value, Unit unit) noexcept {
  return unit == Unit::kNanoseconds ? value / 1e9 : value;
}

// The family with this name, or null.
inline const Family* find_family(const std::vector<Family>& families, std::string_view name) {
  for (const Family& family : families) {
    if (family.name == name) {
      return &family;
    }
  }
  return nullptr;
}

}  // namespace tailrace::metrics
