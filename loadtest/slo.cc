// See slo.h.
#include "loadtest/slo.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "loadtest/quantity.h"

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kMostThresholds = 32;

std::string refused(std::string_view part, std::string_view why) {
  return "threshold \"" + std::string(part) + "\": " + std::string(why) +
         "; write p50<2ms, p99.9<20ms, max<1s, mean<1ms or err<0.1%, with commas between";
}

// The number at the text's begin that leaves exactly `rest` behind it.
std::optional<double> number_before(std::string_view text, std::string_view rest) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  if (text.substr(static_cast<std::size_t>(end - text.data())) != rest) return std::nullopt;
  return value;
}

std::variant<Threshold, std::string> parse_one(std::string_view part) {
  Threshold threshold;
  threshold.text = part;
  const std::size_t less = part.find('<');
  if (less == part.npos) return refused(part, "there is no '<'");
  const std::string_view name = part.substr(0, less);
  std::string_view bound = part.substr(less + 1);
  if (bound.starts_with('=')) bound.remove_prefix(1);
  if (name == "err") {
    threshold.of = Threshold::Of::kErrors;
    const std::optional<double> percent = number_before(bound, "%");
    if (!percent || *percent < 0 || *percent > 100) return refused(part, "expected a percentage");
    threshold.bound = *percent / 100;
    return threshold;
  }
  if (name == "max") {
    threshold.of = Threshold::Of::kMost;
  } else if (name == "mean") {
    threshold.of = Threshold::Of::kMean;
  } else {
    const std::optional<double> percent =
        name.starts_with('p') ? number_before(name.substr(1), "") : std::nullopt;
    if (!percent || *percent <= 0 || *percent >= 100) return refused(part, "unknown figure");
    threshold.percent = *percent;
  }
  const auto duration = parse_duration_ns(bound);
  if (const auto* message = std::get_if<std::string>(&duration)) return refused(part, *message);
  threshold.bound = static_cast<double>(std::get<std::int64_t>(duration));
  return threshold;
}

double value_of(const Threshold& threshold, const Measurement& measurement) {
  const Latencies response = measurement.response();
  switch (threshold.of) {
    case Threshold::Of::kPercentile:
      return response.percentile_ns(threshold.percent);
    case Threshold::Of::kMost:
      return response.percentile_ns(100);
    case Threshold::Of::kMean:
      return response.infinite() > 0 ? std::numeric_limits<double>::infinity()
                                     : response.finite().mean();
    case Threshold::Of::kErrors: {
      const Counts counts = measurement.counts();
      return counts.planned == 0
                 ? 0
                 : static_cast<double>(counts.bad()) / static_cast<double>(counts.planned);
    }
  }
  return 0;
}

}  // namespace

std::variant<std::vector<Threshold>, std::string> parse_thresholds(std::string_view text) {
  std::vector<Threshold> all;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    auto one = parse_one(text.substr(0, end));
    if (auto* message = std::get_if<std::string>(&one)) return std::move(*message);
    all.push_back(std::move(std::get<Threshold>(one)));
    if (all.size() > kMostThresholds) return std::string("more than 32 thresholds");
    text.remove_prefix(end);
    if (text.starts_with(',')) {
      text.remove_prefix(1);
      if (text.empty()) return refused("", "nothing behind the last comma");
    }
  }
  return all;
}

std::vector<std::string> failed(const std::vector<Threshold>& thresholds,
                                const Measurement& measurement) {
  std::vector<std::string> sentences;
  for (const Threshold& threshold : thresholds) {
    if (measurement.clean_seconds() == 0) {
      sentences.push_back(threshold.text + ": there is no clean second to judge it by");
      continue;
    }
    if (measurement.response().count() == 0) {
      sentences.push_back(threshold.text + ": there is no request to judge it by");
      continue;
    }
    const double value = value_of(threshold, measurement);
    const bool errors = threshold.of == Threshold::Of::kErrors;
    // No error at all keeps err<0%.
    if (errors ? value <= threshold.bound : value < threshold.bound) continue;
    if (errors) {
      char share[32];
      std::snprintf(share, sizeof share, "%.3g %%", value * 100);
      sentences.push_back(threshold.text + ": " + share);
    } else {
      sentences.push_back(
          threshold.text + ": " +
          (std::isinf(value) ? std::string("more than the timeout") : print_duration(value)));
    }
  }
  return sentences;
}

}  // namespace tailrace::loadtest
