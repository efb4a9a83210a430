// The registry: every instrument of the process, ours and the user's, with its name, unit and help.
//
// Instruments are made at start (a lock is taken) and their addresses kept by who records; they
// live as long as the registry. A family with labels has one child for each combination of label
// values; children are bounded: beyond the cap all share the child "(other)", and
// tailrace_metrics_dropped_children_total{family} counts what was folded into it. Asking again with
// the same description gives the same family; a name that is not in the Prometheus grammar, or that
// stands for something else already, is a bug and stops the program with a message.
//
// Any thread may call anything. Callbacks run under the registry's lock, on the scraping thread:
// they must not suspend the fiber, allocate managed memory, or call the registry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/bucket_bounds.h"
#include "metrics/bucket_histogram.h"
#include "metrics/counter.h"
#include "metrics/family.h"
#include "metrics/gauge.h"

namespace tailrace::metrics {

struct Description {
  std::string name;  // with its suffix: http_requests_total, process_cpu_seconds_total
  std::string help;
  Unit unit = Unit::kNone;  // of the numbers recorded; nanoseconds are exported as seconds
  std::vector<std::string> labels{};
  std::size_t max_children = 1000;
};

namespace internal {

class AnyFamily {
 public:
  AnyFamily(Description description, Kind kind);
  virtual ~AnyFamily() = default;
  virtual Family collect() const = 0;
  const Description& description() const noexcept { return description_; }
  Kind kind() const noexcept { return kind_; }

 protected:
  Family empty_family() const;
  std::vector<Label> labels(const std::vector<std::string>& values) const;
  const Description description_;
  const Kind kind_;
};

}  // namespace internal

// One instrument for each combination of label values. T: Counter, Gauge, RealGauge,
// BucketHistogram.
template <typename T>
class Labelled final : public internal::AnyFamily {
 public:
  using Make = std::function<std::unique_ptr<T>()>;

  Labelled(Description description, Kind kind, Make make, Counter* dropped);

  // Takes a lock and hashes nothing: keep the reference. As many values as there are labels.
  T& with(std::span<const std::string_view> values);
  T& with(std::initializer_list<std::string_view> values) {
    return with(std::span<const std::string_view>(values.begin(), values.size()));
  }

  Family collect() const override;

 private:
  const Make make_;
  Counter* const dropped_;  // null: not counted
  mutable std::mutex mutex_;
  // Guarded by mutex_; children are never removed.
  std::map<std::vector<std::string>, std::unique_ptr<T>> children_;
};

extern template class Labelled<Counter>;
extern template class Labelled<Gauge>;
extern template class Labelled<RealGauge>;
extern template class Labelled<BucketHistogram>;

class Registry;

// A callback's stay in a registry. When it ends the callback is gone and does not run any more, so
// hold it beside what the callback reads. Must end before the registry.
class [[nodiscard]] Registration final {
 public:
  Registration() = default;
  Registration(Registration&& other) noexcept;
  Registration& operator=(Registration&& other) noexcept;
  ~Registration() { remove(); }
  void remove() noexcept;

 private:
  friend class Registry;
  Registration(Registry* registry, std::uint64_t id) : registry_(registry), id_(id) {}
  Registry* registry_ = nullptr;
  std::uint64_t id_ = 0;
};

class Registry final {
 public:
  static constexpr std::size_t kMaxFamilies = 4096;
  static constexpr std::size_t kMaxCallbacks = 4096;

  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Without labels.
  Counter& counter(Description description);
  Gauge& gauge(Description description);
  RealGauge& real_gauge(Description description);
  BucketHistogram& histogram(Description description, const BucketBounds& bounds);
  // With labels.
  Labelled<Counter>& counters(Description description);
  Labelled<Gauge>& gauges(Description description);
  Labelled<RealGauge>& real_gauges(Description description);
  Labelled<BucketHistogram>& histograms(Description description, const BucketBounds& bounds);

  // A gauge that is asked at each scrape, in base units. A callback that throws is left out and
  // counted in tailrace_metrics_collect_errors_total.
  Registration callback(Description description, std::function<double()> read);
  // Any number of families, appended at each scrape.
  Registration source(std::function<void(std::vector<Family>&)> append);

  // Counts children that `family` folded into "(other)"; for those who bound children themselves.
  Counter& dropped_children(std::string_view family);
  // Counts callbacks, sources and Collectables that threw.
  Counter& collect_errors() noexcept { return *collect_errors_; }

  // Every family: go_info first, the others by name; those of one name and kind merged. What
  // clashes with an earlier name of another kind, or an earlier series, is left out and counted as
  // an error.
  std::vector<Family> gather();

 private:
  friend class Registration;
  void remove(std::uint64_t id) noexcept;
  template <typename T>
  Labelled<T>& family(Description description, Kind kind, typename Labelled<T>::Make make);

  std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, std::unique_ptr<internal::AnyFamily>, std::less<>> families_;
  std::map<std::string, BucketBounds, std::less<>> bounds_;  // of the histograms among them
  std::map<std::uint64_t, std::function<void(std::vector<Family>&)>> sources_;
  std::uint64_t next_id_ = 1;

  // Immutable after construction; they live in families_.
  Labelled<Counter>* dropped_ = nullptr;
  Counter* collect_errors_ = nullptr;
};

// Sorts and merges as gather() does; returns how many families and series were left out because
// their name or labels were taken.
std::size_t arrange(std::vector<Family>& families);

// The series of a histogram whose buckets (not cumulative, +Inf's last) and sum are in `unit`s.
Series histogram_series(std::vector<Label> labels, const BucketBounds& bounds, Unit unit,
                        std::span<const std::uint64_t> buckets, std::uint64_t sum);

}  // namespace tailrace::metrics
