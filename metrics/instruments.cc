// Registering, creating children, gathering.
#include "metrics/instruments.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>
#include <type_traits>
#include <utility>

#include "gcruntime/base/check.h"
#include "metrics/names.h"

namespace tailrace::metrics {
namespace {

// A registration is written by hand, so a wrong one is a bug; the name tells where.
[[noreturn, gnu::cold]] void stop(const std::string& name, const char* why) {
  std::fprintf(stderr, "metric '%s': %s\n", name.c_str(), why);
  base::check_failed(__FILE__, __LINE__, "description", "a metric is described wrongly");
}

void check(const Description& description, Kind kind) {
  const std::string& name = description.name;
  if (!valid_metric_name(name)) {
    stop(name, "the name is not [a-zA-Z_:][a-zA-Z0-9_:]*");
  }
  if (description.help.empty()) {
    stop(name, "it needs a help text");
  }
  if (kind == Kind::kHistogram && (name.ends_with("_bucket") || name.ends_with("_count") ||
                                   name.ends_with("_sum") || name.ends_with("_total"))) {
    stop(name, "a histogram's name takes no suffix");
  }
  for (std::size_t i = 0; i < description.labels.size(); ++i) {
    const std::string& label = description.labels[i];
    if (!valid_label_name(label)) {
      stop(name, "a label name is not [a-zA-Z_][a-zA-Z0-9_]*, or is reserved");
    }
    if (std::find(description.labels.begin(), description.labels.begin() + static_cast<long>(i),
                  label) != description.labels.begin() + static_cast<long>(i)) {
      stop(name, "a label name stands there twice");
    }
  }
  if (description.max_children == 0) {
    stop(name, "max_children is 0");
  }
}

bool same(const Description& a, const Description& b) {
  return a.help == b.help && a.unit == b.unit && a.labels == b.labels;
}

}  // namespace

namespace internal {

AnyFamily::AnyFamily(Description description, Kind kind)
    : description_(std::move(description)), kind_(kind) {}

Family AnyFamily::empty_family() const { return {description_.name, description_.help, kind_, {}}; }

std::vector<Label> AnyFamily::labels(const std::vector<std::string>& values) const {
  std::vector<Label> result;
  result.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    result.push_back({description_.labels[i], values[i]});
  }
  return result;
}

}  // namespace internal

template <typename T>
Labelled<T>::Labelled(Description description, Kind kind, Make make, Counter* dropped)
    : AnyFamily(std::move(description), kind), make_(std::move(make)), dropped_(dropped) {}

template <typename T>
T& Labelled<T>::with(std::span<const std::string_view> values) {
  TAILRACE_CHECK_VALUE(values.size() == description_.labels.size(),
                       "a child needs one value for each label", values.size());
  std::vector<std::string> key;
  key.reserve(values.size());
  for (const std::string_view value : values) {
    key.push_back(clean_label_value(value));
  }
  const std::lock_guard lock(mutex_);
  auto child = children_.find(key);
  if (child == children_.end() && children_.size() >= description_.max_children) {
    if (dropped_ != nullptr) {
      dropped_->add();
    }
    key.assign(values.size(), std::string(kOther));
    child = children_.find(key);
  }
  if (child == children_.end()) {
    child = children_.emplace(std::move(key), make_()).first;
  }
  return *child->second;
}

template <typename T>
Family Labelled<T>::collect() const {
  Family family = empty_family();
  const std::lock_guard lock(mutex_);
  family.series.reserve(children_.size());
  for (const auto& [values, child] : children_) {
    if constexpr (std::is_same_v<T, BucketHistogram>) {
      const BucketHistogram::Snapshot snapshot = child->snapshot();
      family.series.push_back(histogram_series(labels(values), child->bounds(), description_.unit,
                                               snapshot.buckets, snapshot.sum));
    } else {
      add(family, labels(values), to_base(static_cast<double>(child->value()), description_.unit));
    }
  }
  return family;
}

template class Labelled<Counter>;
template class Labelled<Gauge>;
template class Labelled<RealGauge>;
template class Labelled<BucketHistogram>;

Registration::Registration(Registration&& other) noexcept
    : registry_(std::exchange(other.registry_, nullptr)), id_(other.id_) {}

Registration& Registration::operator=(Registration&& other) noexcept {
  if (this != &other) {
    remove();
    registry_ = std::exchange(other.registry_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

void Registration::remove() noexcept {
  if (registry_ != nullptr) {
    std::exchange(registry_, nullptr)->remove(id_);
  }
}

Registry::Registry() {
  dropped_ = &family<Counter>({.name = "tailrace_metrics_dropped_children_total",
                               .help = "Requests for children beyond a family's cap, which share "
                                       "the child (other).",
                               .labels = {"family"},
                               .max_children = kMaxFamilies + kMaxCallbacks},
                              Kind::kCounter, [] { return std::make_unique<Counter>(); });
  collect_errors_ = &counter(
      {.name = "tailrace_metrics_collect_errors_total",
       .help = "Sources of metrics that failed, or whose names clashed, during a scrape."});
}

Registry::~Registry() {
  TAILRACE_CHECK(sources_.empty(), "a metrics Registration outlives its registry");
}

template <typename T>
Labelled<T>& Registry::family(Description description, Kind kind, typename Labelled<T>::Make make) {
  check(description, kind);
  const std::lock_guard lock(mutex_);
  const auto found = families_.find(description.name);
  if (found != families_.end()) {
    auto* const existing = dynamic_cast<Labelled<T>*>(found->second.get());
    if (existing == nullptr || existing->kind() != kind ||
        !same(existing->description(), description)) {
      stop(description.name, "the name stands for something else already");
    }
    return *existing;
  }
  if (families_.size() >= kMaxFamilies) {
    stop(description.name, "there are too many families; use labels");
  }
  const std::string name = description.name;
  Counter* const dropped =
      dropped_ == nullptr || description.labels.empty() ? nullptr : &dropped_children(name);
  auto fresh =
      std::make_unique<Labelled<T>>(std::move(description), kind, std::move(make), dropped);
  Labelled<T>& result = *fresh;
  families_.emplace(name, std::move(fresh));
  return result;
}

Labelled<Counter>& Registry::counters(Description description) {
  return family<Counter>(std::move(description), Kind::kCounter,
                         [] { return std::make_unique<Counter>(); });
}

Labelled<Gauge>& Registry::gauges(Description description) {
  return family<Gauge>(std::move(description), Kind::kGauge,
                       [] { return std::make_unique<Gauge>(); });
}

Labelled<RealGauge>& Registry::real_gauges(Description description) {
  return family<RealGauge>(std::move(description), Kind::kGauge,
                           [] { return std::make_unique<RealGauge>(); });
}

Labelled<BucketHistogram>& Registry::histograms(Description description,
                                                const BucketBounds& bounds) {
  const std::string name = description.name;
  Labelled<BucketHistogram>& result =
      family<BucketHistogram>(std::move(description), Kind::kHistogram,
                              [bounds] { return std::make_unique<BucketHistogram>(bounds); });
  const std::lock_guard lock(mutex_);
  if (bounds_.try_emplace(name, bounds).first->second != bounds) {
    stop(name, "the histogram has other bounds already");
  }
  return result;
}

Counter& Registry::counter(Description description) {
  return counters(std::move(description)).with({});
}

Gauge& Registry::gauge(Description description) { return gauges(std::move(description)).with({}); }

RealGauge& Registry::real_gauge(Description description) {
  return real_gauges(std::move(description)).with({});
}

BucketHistogram& Registry::histogram(Description description, const BucketBounds& bounds) {
  return histograms(std::move(description), bounds).with({});
}

Counter& Registry::dropped_children(std::string_view family) { return dropped_->with({family}); }

Registration Registry::callback(Description description, std::function<double()> read) {
  check(description, Kind::kGauge);
  if (!description.labels.empty()) {
    stop(description.name, "a callback has no labels; use a source");
  }
  return source([name = std::move(description.name), help = std::move(description.help),
                 read = std::move(read)](std::vector<Family>& families) {
    families.push_back(single(name, help, Kind::kGauge, read()));
  });
}

Registration Registry::source(std::function<void(std::vector<Family>&)> append) {
  const std::lock_guard lock(mutex_);
  TAILRACE_CHECK(sources_.size() < kMaxCallbacks,
                 "too many metric callbacks; one source may append many families");
  const std::uint64_t id = next_id_++;
  sources_.emplace(id, std::move(append));
  return Registration(this, id);
}

void Registry::remove(std::uint64_t id) noexcept {
  const std::lock_guard lock(mutex_);
  sources_.erase(id);
}

std::vector<Family> Registry::gather() {
  std::vector<Family> families;
  {
    const std::lock_guard lock(mutex_);
    families.reserve(families_.size() + 128);
    for (const auto& [name, family] : families_) {
      families.push_back(family->collect());
    }
    for (const auto& [id, append] : sources_) {
      const std::size_t before = families.size();
      try {
        append(families);
      } catch (...) {  // the user's code: the others' numbers are still wanted
        families.resize(before);
        collect_errors_->add();
      }
    }
  }
  collect_errors_->add(arrange(families));
  return families;
}

namespace {

std::string key_of(const Series& series) {
  std::string key;
  for (const Label& label : series.labels) {
    key.append(label.name).append(1, '\0').append(label.value).append(1, '\0');
  }
  return key;
}

// Appends the series of `from` whose labels `into` has not; returns how many it has.
std::size_t merge(Family& into, Family& from) {
  std::set<std::string> taken;
  for (const Series& series : into.series) {
    taken.insert(key_of(series));
  }
  std::size_t left_out = 0;
  for (Series& series : from.series) {
    if (taken.insert(key_of(series)).second) {
      into.series.push_back(std::move(series));
    } else {
      ++left_out;
    }
  }
  return left_out;
}

}  // namespace

std::size_t arrange(std::vector<Family>& families) {
  // Stable: of two families that clash, the one that was there first stays.
  std::stable_sort(families.begin(), families.end(), [](const Family& a, const Family& b) {
    const bool a_first = a.name == "go_info";
    const bool b_first = b.name == "go_info";
    return a_first != b_first ? a_first : a.name < b.name;
  });
  std::size_t left_out = 0;
  std::vector<Family> arranged;
  arranged.reserve(families.size());
  for (Family& family : families) {
    if (family.series.empty()) {
      continue;  // a HELP line alone tells nobody anything
    }
    if (arranged.empty() || arranged.back().name != family.name) {
      arranged.push_back(std::move(family));
    } else if (arranged.back().kind == family.kind) {
      left_out += merge(arranged.back(), family);
    } else {
      ++left_out;
    }
  }
  families = std::move(arranged);
  return left_out;
}

Series histogram_series(std::vector<Label> labels, const BucketBounds& bounds, Unit unit,
                        std::span<const std::uint64_t> buckets, std::uint64_t sum) {
  TAILRACE_CHECK(buckets.size() == bounds.buckets(), "a histogram has one bucket more than bounds");
  Series series;
  series.labels = std::move(labels);
  series.sum = to_base(static_cast<double>(sum), unit);
  series.buckets.reserve(buckets.size());
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    series.count += buckets[i];
    const double bound = i < bounds.size() ? to_base(static_cast<double>(bounds[i]), unit)
                                           : std::numeric_limits<double>::infinity();
    series.buckets.emplace_back(bound, series.count);
  }
  return series;
}

}  // namespace tailrace::metrics
