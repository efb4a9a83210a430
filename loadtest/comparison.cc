// See comparison.h.
//
// A draw is a weight for each second. Its percentile is found by bisection over the buckets, in a
// table of how many requests of each second lie below each bucket: some hundred additions, where
// merging histograms would take a hundred thousand.
#include "loadtest/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <utility>

#include "loadtest/quantity.h"

namespace tailrace::loadtest {
namespace {

constexpr std::array<double, 3> kPercents = {50, 99, 99.9};
// Of all three intervals together, so that one more percentile is not one more chance to be wrong.
constexpr double kConfidence = 0.95;
constexpr double kOutside = (1 - kConfidence) / kPercents.size() / 2;
// A bootstrap of few things knows less of their spread than it thinks: Student's t instead of a
// normal law, and n - 1 for n. Between 10 and 30 things both together come to 1 + 2 / n, nearly.
constexpr double kSmallSample = 2;
constexpr double kSameRate = 0.01;
constexpr std::size_t kFewestSeconds = 10;
constexpr std::size_t kFewestRuns = 3;
// Of longer runs neighbouring seconds are taken together, lest the table have no bound.
constexpr std::size_t kMostBlocks = 4096;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// By bucket, as its highest value; what never ended is at kNever.
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
using Buckets = std::map<std::uint64_t, std::uint64_t>;

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : engine_(seed) {}
  // 0 to count - 1; the bias of the product is below 2^-32 x count.
  std::size_t below(std::size_t count) {
    return static_cast<std::size_t>(((engine_() >> 32) * static_cast<std::uint64_t>(count)) >> 32);
  }

 private:
  std::mt19937_64 engine_;
};

// Seconds that are drawn together, as neighbours are alike: the cube root of their number.
std::size_t stretch_of(std::size_t count) {
  return static_cast<std::size_t>(std::ceil(std::cbrt(static_cast<double>(count))));
}

// One side: its blocks of seconds, by run.
class Side {
 public:
  // False if a second's histogram is not what the tool writes.
  bool add(const Measurement& run, std::size_t seconds_a_block) {
    const std::size_t first = blocks_.size();
    std::size_t in_block = seconds_a_block;
    for (const Second& second : run.seconds) {
      if (!second.voided.empty()) continue;
      ++seconds_;
      if (in_block == seconds_a_block) {
        blocks_.emplace_back();
        in_block = 0;
      }
      ++in_block;
      if (!add_second(second.response, blocks_.back())) return false;
    }
    if (blocks_.size() > first) runs_.emplace_back(first, blocks_.size());
    return true;
  }

  void finish() {
    Buckets all;
    for (const Buckets& block : blocks_) {
      for (const auto& [value, count] : block) all[value] += count;
    }
    for (const auto& entry : all) values_.push_back(entry.first);
    below_.assign(values_.size() * blocks_.size(), 0);
    for (std::size_t block = 0; block < blocks_.size(); ++block) {
      std::uint64_t sum = 0;
      auto next = blocks_[block].begin();
      for (std::size_t i = 0; i < values_.size(); ++i) {
        if (next != blocks_[block].end() && next->first == values_[i]) sum += (next++)->second;
        below_[i * blocks_.size() + block] = sum;
      }
    }
    weights_.assign(blocks_.size(), 1);
  }

  std::size_t seconds() const { return seconds_; }
  std::size_t runs() const { return runs_.size(); }
  // How many things are drawn: runs, or stretches of seconds.
  double drawn(bool by_runs) const {
    if (by_runs) return static_cast<double>(runs_.size());
    const std::size_t count = blocks_.size();
    return static_cast<double>(count) / static_cast<double>(stretch_of(count));
  }
  bool empty() const { return values_.empty(); }

  void draw(Draws& draws, bool by_runs) {
    std::fill(weights_.begin(), weights_.end(), 0);
    if (!by_runs) return draw_from(draws, 0, weights_.size());
    for (std::size_t run = 0; run < runs_.size(); ++run) {
      const auto [from, to] = runs_[draws.below(runs_.size())];
      draw_from(draws, from, to);
    }
  }

  // As Latencies::percentile_ns, under the weights of the last draw; at first each second counts
  // once.
  double percentile_ns(double percent) const {
    const std::uint64_t all = up_to(values_.size() - 1);
    const double exact = std::ceil(percent * static_cast<double>(all) / 100);
    const std::uint64_t rank = std::clamp<std::uint64_t>(
        static_cast<std::uint64_t>(std::max(exact, 1.0)), 1, std::max<std::uint64_t>(all, 1));
    std::size_t low = 0;
    std::size_t high = values_.size() - 1;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (up_to(middle) < rank) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return values_[low] == kNever ? kInfinity : static_cast<double>(values_[low]);
  }

 private:
  // As many of [from, to) as there are, in stretches of neighbours, the first one following the
  // last.
  void draw_from(Draws& draws, std::size_t from, std::size_t to) {
    const std::size_t count = to - from;
    const std::size_t stretch = stretch_of(count);
    std::size_t at = 0;
    for (std::size_t i = 0; i < count; ++i) {
      at = i % stretch == 0 ? draws.below(count) : (at + 1) % count;
      ++weights_[from + at];
    }
  }

  static bool add_second(const SparseHistogram& sparse, Buckets& block) {
    if (!sparse.text.empty()) {
      const std::optional<Histogram> histogram = Histogram::parse(sparse.text);
      if (!histogram) return false;
      histogram->for_each([&](std::uint64_t, std::uint64_t highest, std::uint64_t count) {
        block[highest] += count;
      });
    }
    if (sparse.infinite != 0) block[kNever] += sparse.infinite;
    return true;
  }

  std::uint64_t up_to(std::size_t bucket) const {
    const std::uint64_t* const row = below_.data() + bucket * weights_.size();
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) sum += weights_[i] * row[i];
    return sum;
  }

  std::vector<Buckets> blocks_;
  std::vector<std::pair<std::size_t, std::size_t>> runs_;  // of blocks: from, to
  std::vector<std::uint64_t> values_;                      // of all blocks' buckets, ascending
  std::vector<std::uint64_t> below_;  // [value][block]: requests at most that slow
  std::vector<std::uint64_t> weights_;
  std::size_t seconds_ = 0;
};

// Two infinities are alike: neither side answered.
double ratio_of(double a, double b) {
  if (a == b) return 1;
  return a == 0 ? kInfinity : b / a;
}

Change change_of(const Difference& d, double smallest_effect) {
  const double up = 1 + smallest_effect;
  if (d.low > 1 && d.ratio >= up) return Change::kWorse;
  if (d.high < 1 && d.ratio <= 1 / up) return Change::kBetter;
  return d.low >= 1 / up && d.high <= up ? Change::kSame : Change::kUnclear;
}

// The end of an interval, so much further from the ratio, in logs.
double widened(double end, double ratio, double factor) {
  const double widened = ratio * std::pow(end / ratio, factor);
  return std::isfinite(widened) ? widened : end;
}

std::string refusal_of(const std::vector<const Measurement*>& runs, const char* side,
                       std::size_t& seconds) {
  const std::string name = side;
  if (runs.empty()) return name + " has no measurement at this rate";
  for (const Measurement* run : runs) {
    if (!run->invalid.empty()) {
      return name + " is invalid (" + run->invalid.front() + "); measure it again";
    }
    if (run->interrupted) return name + " was interrupted; let it run to its end";
    for (const Second& second : run->seconds) seconds += second.voided.empty() ? 1 : 0;
  }
  if (seconds < kFewestSeconds) {
    return name + " has " + std::to_string(seconds) + " clean seconds, " +
           std::to_string(kFewestSeconds) + " are wanted; run longer or on a quieter machine";
  }
  return "";
}

bool same_rate(double a, double b) {
  return std::abs(a - b) <= kSameRate * std::max(std::abs(a), std::abs(b)) * (1 + 1e-12);
}

// All rates alike, of both sides.
std::string rates_differ(const std::vector<const Measurement*>& a,
                         const std::vector<const Measurement*>& b) {
  for (const auto* side : {&a, &b}) {
    for (const Measurement* run : *side) {
      if (!same_rate(run->rate_per_second, a.front()->rate_per_second)) {
        return "the rates differ by more than 1 %: " + print_rate(a.front()->rate_per_second) +
               "/s and " + print_rate(run->rate_per_second) + "/s; hold both sides at one";
      }
    }
  }
  return "";
}

bool fill(Side& side, const std::vector<const Measurement*>& runs, std::size_t seconds) {
  const std::size_t block = (seconds + kMostBlocks - 1) / kMostBlocks;
  for (const Measurement* run : runs) {
    if (!side.add(*run, block)) return false;
  }
  side.finish();
  return true;
}

std::vector<Difference> differences_of(Side& a, Side& b, const ComparisonSettings& settings) {
  std::vector<Difference> result(kPercents.size());
  std::array<std::vector<double>, kPercents.size()> ratios;
  for (std::size_t i = 0; i < kPercents.size(); ++i) {
    result[i].percent = kPercents[i];
    result[i].a_ns = a.percentile_ns(kPercents[i]);
    result[i].b_ns = b.percentile_ns(kPercents[i]);
    result[i].ratio = ratio_of(result[i].a_ns, result[i].b_ns);
  }
  const unsigned resamples = std::max(settings.resamples, 100U);
  const bool by_runs = a.runs() >= kFewestRuns && b.runs() >= kFewestRuns;
  Draws draws(settings.seed);
  for (unsigned n = 0; n < resamples; ++n) {
    a.draw(draws, by_runs);
    b.draw(draws, by_runs);
    for (std::size_t i = 0; i < kPercents.size(); ++i) {
      ratios[i].push_back(ratio_of(a.percentile_ns(kPercents[i]), b.percentile_ns(kPercents[i])));
    }
  }
  const double factor = 1 + kSmallSample / std::min(a.drawn(by_runs), b.drawn(by_runs));
  const auto outside = static_cast<std::size_t>(kOutside * resamples);
  for (std::size_t i = 0; i < kPercents.size(); ++i) {
    std::sort(ratios[i].begin(), ratios[i].end());
    result[i].low = widened(ratios[i][outside], result[i].ratio, factor);
    result[i].high = widened(ratios[i][resamples - 1 - outside], result[i].ratio, factor);
    result[i].change = change_of(result[i], settings.smallest_effect);
  }
  return result;
}

}  // namespace

const char* change_name(Change change) noexcept {
  switch (change) {
    case Change::kSame:
      return "same";
    case Change::kUnclear:
      return "unclear";
    case Change::kBetter:
      return "better";
    default:
      return "worse";
  }
}

Change Comparison::change() const noexcept {
  const auto any = [this](Change change) {
    return std::any_of(differences.begin(), differences.end(),
                       [&](const Difference& d) { return d.change == change; });
  };
  if (differences.empty()) return Change::kUnclear;
  for (const Change change : {Change::kWorse, Change::kBetter, Change::kUnclear}) {
    if (any(change)) return change;
  }
  return Change::kSame;
}

Comparison compare(const std::vector<const Measurement*>& a,
                   const std::vector<const Measurement*>& b, const ComparisonSettings& settings) {
  Comparison result;
  if (!a.empty()) result.rate_per_second = a.front()->rate_per_second;
  result.refused = refusal_of(a, "A", result.a_seconds);
  if (result.refused.empty()) result.refused = refusal_of(b, "B", result.b_seconds);
  if (result.refused.empty()) result.refused = rates_differ(a, b);
  if (!result.refused.empty()) return result;
  Side side_a;
  Side side_b;
  if (!fill(side_a, a, result.a_seconds) || !fill(side_b, b, result.b_seconds)) {
    result.refused = "a histogram is damaged; measure again";
  } else if (side_a.empty() || side_b.empty()) {
    result.refused = "no requests in the clean seconds; hold a higher rate or run longer";
  } else {
    result.differences = differences_of(side_a, side_b, settings);
  }
  return result;
}

ResultComparison compare(const Result& a, const Result& b, const ComparisonSettings& settings) {
  ResultComparison result;
  if (a.host.fingerprint() != b.host.fingerprint()) {
    result.refused = "the hosts differ: " + a.host.fingerprint() + " and " + b.host.fingerprint() +
                     "; measure both on one machine";
    return result;
  }
  std::vector<const Measurement*> left;
  for (const Measurement& m : a.measurements) left.push_back(&m);
  std::vector<const Measurement*> right;
  for (const Measurement& m : b.measurements) right.push_back(&m);
  const auto by_rate = [](const Measurement* x, const Measurement* y) {
    return x->rate_per_second < y->rate_per_second;
  };
  std::stable_sort(left.begin(), left.end(), by_rate);
  std::stable_sort(right.begin(), right.end(), by_rate);
  // Takes from the front what was held at `rate`.
  const auto take = [](std::vector<const Measurement*>& runs, double rate) {
    const auto end = std::find_if(runs.begin(), runs.end(), [&](const Measurement* run) {
      return !same_rate(run->rate_per_second, rate);
    });
    std::vector<const Measurement*> taken(runs.begin(), end);
    runs.erase(runs.begin(), end);
    return taken;
  };
  while (!left.empty() && !right.empty()) {
    const double rate = left.front()->rate_per_second;
    const double other = right.front()->rate_per_second;
    if (same_rate(rate, other)) {
      const auto taken = take(left, rate);
      result.rates.push_back(compare(taken, take(right, rate), settings));
    } else {
      result.unmatched.push_back(std::min(rate, other));
      take(rate < other ? left : right, std::min(rate, other));
    }
  }
  for (auto* rest : {&left, &right}) {
    while (!rest->empty()) {
      result.unmatched.push_back(rest->front()->rate_per_second);
      take(*rest, result.unmatched.back());
    }
  }
  std::sort(result.unmatched.begin(), result.unmatched.end());
  if (result.rates.empty()) {
    result.refused = "the rates differ by more than 1 % everywhere; hold both sides at one";
  }
  return result;
}

}  // namespace tailrace::loadtest
