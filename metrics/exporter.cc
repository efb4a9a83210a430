// Between our families and prometheus-cpp's.
#include "metrics/exporter.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <optional>
#include <utility>

#include "gcruntime/base/check.h"
#include "metrics/names.h"

namespace tailrace::metrics {
namespace {

prometheus::MetricType to_prometheus(Kind kind) {
  switch (kind) {
    case Kind::kCounter:
      return prometheus::MetricType::Counter;
    case Kind::kGauge:
      return prometheus::MetricType::Gauge;
    case Kind::kHistogram:
      return prometheus::MetricType::Histogram;
    case Kind::kSummary:
      return prometheus::MetricType::Summary;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric to_prometheus(const Series& series, Kind kind) {
  prometheus::ClientMetric metric;
  metric.label.reserve(series.labels.size());
  for (const Label& label : series.labels) {
    prometheus::ClientMetric::Label copy;
    copy.name = label.name;
    copy.value = label.value;
    metric.label.push_back(std::move(copy));
  }
  switch (kind) {
    case Kind::kCounter:
      metric.counter.value = series.value;
      break;
    case Kind::kGauge:
      metric.gauge.value = series.value;
      break;
    case Kind::kHistogram:
      metric.histogram.sample_count = series.count;
      metric.histogram.sample_sum = series.sum;
      metric.histogram.bucket.reserve(series.buckets.size());
      for (const auto& [bound, count] : series.buckets) {
        prometheus::ClientMetric::Bucket bucket;
        bucket.upper_bound = bound;
        bucket.cumulative_count = count;
        metric.histogram.bucket.push_back(bucket);
      }
      break;
    case Kind::kSummary:
      metric.summary.sample_count = series.count;
      metric.summary.sample_sum = series.sum;
      for (const auto& [quantile, value] : series.quantiles) {
        prometheus::ClientMetric::Quantile copy;
        copy.quantile = quantile;
        copy.value = value;
        metric.summary.quantile.push_back(copy);
      }
      break;
  }
  return metric;
}

std::vector<prometheus::MetricFamily> to_prometheus(const std::vector<Family>& families) {
  std::vector<prometheus::MetricFamily> result;
  result.reserve(families.size());
  for (const Family& family : families) {
    prometheus::MetricFamily copy;
    copy.name = family.name;
    copy.help = family.help;
    copy.type = to_prometheus(family.kind);
    copy.metric.reserve(family.series.size());
    for (const Series& series : family.series) {
      copy.metric.push_back(to_prometheus(series, family.kind));
    }
    result.push_back(std::move(copy));
  }
  return result;
}

// Nothing for a name that would spoil the scrape, and for types that we have no equal of (untyped
// counts as a gauge).
std::optional<Family> from_prometheus(const prometheus::MetricFamily& family) {
  if (!valid_metric_name(family.name)) {
    return std::nullopt;
  }
  Family result{family.name, family.help, Kind::kGauge, {}};
  if (family.type == prometheus::MetricType::Counter) {
    result.kind = Kind::kCounter;
  } else if (family.type == prometheus::MetricType::Histogram) {
    result.kind = Kind::kHistogram;
  } else if (family.type == prometheus::MetricType::Summary) {
    result.kind = Kind::kSummary;
  } else if (family.type != prometheus::MetricType::Gauge &&
             family.type != prometheus::MetricType::Untyped) {
    return std::nullopt;
  }
  for (const prometheus::ClientMetric& metric : family.metric) {
    Series series;
    for (const prometheus::ClientMetric::Label& label : metric.label) {
      series.labels.push_back({label.name, clean_label_value(label.value)});
    }
    switch (result.kind) {
      case Kind::kCounter:
        series.value = metric.counter.value;
        break;
      case Kind::kGauge:
        series.value = family.type == prometheus::MetricType::Gauge ? metric.gauge.value
                                                                    : metric.untyped.value;
        break;
      case Kind::kHistogram:
        series.count = metric.histogram.sample_count;
        series.sum = metric.histogram.sample_sum;
        for (const prometheus::ClientMetric::Bucket& bucket : metric.histogram.bucket) {
          series.buckets.emplace_back(bucket.upper_bound, bucket.cumulative_count);
        }
        break;
      case Kind::kSummary:
        series.count = metric.summary.sample_count;
        series.sum = metric.summary.sample_sum;
        for (const prometheus::ClientMetric::Quantile& quantile : metric.summary.quantile) {
          series.quantiles.emplace_back(quantile.quantile, quantile.value);
        }
        break;
    }
    result.series.push_back(std::move(series));
  }
  return result;
}

// The serializer writes help texts as they are, and a line break there would end the scrape.
void escape_help(std::vector<Family>& families) {
  for (Family& family : families) {
    std::string escaped;
    for (const char c : family.help) {
      if (c == '\\') {
        escaped += "\\\\";
      } else if (c == '\n') {
        escaped += "\\n";
      } else {
        escaped += c;
      }
    }
    family.help = std::move(escaped);
  }
}

class OurCollectable final : public prometheus::Collectable {
 public:
  explicit OurCollectable(Registry& registry) : registry_(registry) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<Family> families = registry_.gather();
    escape_help(families);
    return to_prometheus(families);
  }

 private:
  Registry& registry_;
};

}  // namespace

std::string Exporter::scrape() {
  std::vector<Family> families = registry_.gather();
  append_collectables(families);
  escape_help(families);
  return prometheus::TextSerializer().Serialize(to_prometheus(families));
}

void Exporter::append_collectables(std::vector<Family>& families) {
  std::vector<std::shared_ptr<const prometheus::Collectable>> alive;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(collectables_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : collectables_) {
      if (auto strong = weak.lock()) {
        alive.push_back(std::move(strong));
      }
    }
  }
  if (alive.empty()) {
    return;
  }
  for (const auto& collectable : alive) {
    try {
      for (const prometheus::MetricFamily& family : collectable->Collect()) {
        if (auto converted = from_prometheus(family)) {
          families.push_back(std::move(*converted));
        } else {
          registry_.collect_errors().add();
        }
      }
    } catch (...) {  // the user's code: our numbers are still wanted
      registry_.collect_errors().add();
    }
  }
  registry_.collect_errors().add(arrange(families));
}

void Exporter::add(std::weak_ptr<const prometheus::Collectable> collectable) {
  const std::lock_guard lock(mutex_);
  TAILRACE_CHECK(collectables_.size() < kMaxCollectables,
                 "too many Collectables; one prometheus::Registry holds many metrics");
  collectables_.push_back(std::move(collectable));
}

std::shared_ptr<prometheus::Collectable> Exporter::collectable() {
  return std::make_shared<OurCollectable>(registry_);
}

}  // namespace tailrace::metrics
