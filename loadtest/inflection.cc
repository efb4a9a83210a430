// See inflection.h.
#include "loadtest/inflection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kFewestPoints = 5;
constexpr std::size_t kFewestOnASide = 2;
constexpr double kFlatRatio = 1.5;
constexpr double kStepRatio = 2;
// Near the fewest points two lines fit anything: more is asked of them.
double bic_gain_wanted(std::size_t points) {
  const double beyond = static_cast<double>(points + 1 - kFewestPoints);
  return 6 + 20 / (beyond * beyond);
}
// No P99 is known better than this, in log: what lies closer is not evidence.
constexpr double kLeastNoise = 0.03;
// An infinite P99 stands for this many times the worst finite one.
constexpr double kInfiniteFactor = 10;
constexpr double kUnknownHeldNs = 1e18;
constexpr std::size_t kBegins = 8;
constexpr int kLineParameters = 2;
constexpr int kCurveParameters = 3;
constexpr int kTwoLinesParameters = 5;  // with the change point
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Point {
  double rate;
  double log_p99;
  bool infinite;
};

// Small samples: the noise is what is left over the degrees of freedom, so that a law with as many
// parameters as points is not taken for a perfect one.
double bic(double residual_sum, std::size_t points, int parameters) {
  const auto n = static_cast<double>(points);
  const double noise = residual_sum / std::max(n - parameters, 1.0);
  return n * std::log(std::max(noise, kLeastNoise * kLeastNoise)) + parameters * std::log(n);
}

struct Line {
  double slope = 0;
  double mean_rate = 0;
  double mean_log = 0;
  double residual = 0;  // the squares that it leaves
  double at(double rate) const { return mean_log + slope * (rate - mean_rate); }
};

// Through points[from, to).
Line fit_line(const std::vector<Point>& points, std::size_t from, std::size_t to) {
  const double n = static_cast<double>(to - from);
  Line line;
  for (std::size_t i = from; i < to; ++i) {
    line.mean_rate += points[i].rate / n;
    line.mean_log += points[i].log_p99 / n;
  }
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (std::size_t i = from; i < to; ++i) {
    const double x = points[i].rate - line.mean_rate;
    const double y = points[i].log_p99 - line.mean_log;
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  if (xx > 0) line.slope = xy / xx;
  line.residual = std::max(yy - line.slope * xy, 0.0);
  return line;
}

// The best change point at which P99 doubles, as it does not by going on as before: it lies before
// points[right].
struct TwoLines {
  double residual = kInfinity;
  std::size_t right = 0;
};

TwoLines fit_two_lines(const std::vector<Point>& points) {
  TwoLines best;
  for (std::size_t right = kFewestOnASide; right + kFewestOnASide <= points.size(); ++right) {
    const Point& low = points[right - 1];
    const Point& high = points[right];
    const Line left = fit_line(points, 0, right);
    const double before = std::max(low.log_p99, left.at(high.rate));
    if (low.rate >= high.rate || high.log_p99 - before < std::log(kStepRatio)) continue;
    const double residual = left.residual + fit_line(points, right, points.size()).residual;
    if (residual < best.residual) best = {residual, right};
  }
  return best;
}

// ---- The queue's curve ----

// Below its capacity and for ever: a + b / (1 - rate / capacity). In a limited time the queue does
// not get to the end of that: its length w obeys w^2 / held + (1 - rate / capacity) w = b, which is
// the same for short queues, grows as the root of the time at the capacity, and beyond it with what
// comes too much.
struct Curve {
  std::array<double, kCurveParameters> log_abc{};  // a, b in ns; capacity
  double residual = kInfinity;
  double capacity() const { return std::exp(log_abc[2]); }
};

double curve_log(const std::array<double, kCurveParameters>& log_abc, double rate, double held) {
  const double b = std::exp(log_abc[1]);
  const double room = 1 - rate / std::exp(log_abc[2]);
  const double root = std::sqrt(room * room + 4 * b / held);
  const double length = room > 0 ? 2 * b / (room + root) : held / 2 * (root - room);
  return std::log(std::exp(log_abc[0]) + length);
}

double curve_miss(const std::array<double, kCurveParameters>& log_abc, const Point& point,
                  double held) {
  const double miss = point.log_p99 - curve_log(log_abc, point.rate, held);
  // Infinity only says "at least so much".
  return point.infinite ? std::max(miss, 0.0) : miss;
}

double curve_residual(const std::array<double, kCurveParameters>& log_abc,
                      const std::vector<Point>& points, double held) {
  double sum = 0;
  for (const Point& point : points) {
    const double miss = curve_miss(log_abc, point, held);
    sum += miss * miss;
  }
  if (!std::isfinite(sum)) return kInfinity;
  return sum;
}

using Matrix = std::array<std::array<double, kCurveParameters + 1>, kCurveParameters>;

// Solves the 3 x 3 system by elimination with pivots; false if it has no one solution.
bool solve(Matrix m, std::array<double, kCurveParameters>& x) {
  for (std::size_t column = 0; column < kCurveParameters; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < kCurveParameters; ++row) {
      if (std::abs(m[row][column]) > std::abs(m[pivot][column])) pivot = row;
    }
    if (!(std::abs(m[pivot][column]) > 0)) return false;
    std::swap(m[pivot], m[column]);
    for (std::size_t row = 0; row < kCurveParameters; ++row) {
      if (row == column) continue;
      const double factor = m[row][column] / m[column][column];
      for (std::size_t i = column; i <= kCurveParameters; ++i) m[row][i] -= factor * m[column][i];
    }
  }
  for (std::size_t i = 0; i < kCurveParameters; ++i) x[i] = m[i][kCurveParameters] / m[i][i];
  return true;
}

// One step of Levenberg and Marquardt's method; false when it no longer gets better.
bool improve(Curve& curve, double& damping, const std::vector<Point>& points, double held) {
  constexpr double kDelta = 1e-6;
  Matrix normal{};
  for (const Point& point : points) {
    const double miss = curve_miss(curve.log_abc, point, held);
    std::array<double, kCurveParameters> slope{};
    for (std::size_t i = 0; i < kCurveParameters; ++i) {
      auto moved = curve.log_abc;
      moved[i] += kDelta;
      slope[i] = (miss - curve_miss(moved, point, held)) / kDelta;
    }
    for (std::size_t i = 0; i < kCurveParameters; ++i) {
      for (std::size_t j = 0; j < kCurveParameters; ++j) normal[i][j] += slope[i] * slope[j];
      normal[i][kCurveParameters] += slope[i] * miss;
    }
  }
  for (int attempt = 0; attempt < 12; ++attempt, damping *= 4) {
    Matrix damped = normal;
    for (std::size_t i = 0; i < kCurveParameters; ++i) {
      damped[i][i] += damping * (normal[i][i] + 1e-9);
    }
    std::array<double, kCurveParameters> step{};
    if (!solve(damped, step)) continue;
    Curve next = curve;
    for (std::size_t i = 0; i < kCurveParameters; ++i) {
      next.log_abc[i] += std::clamp(step[i], -1.0, 1.0);
    }
    next.residual = curve_residual(next.log_abc, points, held);
    if (next.residual < curve.residual) {
      const bool much = next.residual < curve.residual * (1 - 1e-4);
      curve = next;
      damping = std::max(damping / 8, 1e-9);
      return much;
    }
  }
  return false;
}

// From many beginnings: the residual has several valleys, by which rates lie beyond the capacity.
Curve fit_curve(const std::vector<Point>& points, double held) {
  const double least = std::min_element(points.begin(), points.end(), [](auto& a, auto& b) {
                         return a.log_p99 < b.log_p99;
                       })->log_p99;
  std::vector<double> capacities;
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].rate > points[i - 1].rate) {
      capacities.push_back((points[i].rate + points[i - 1].rate) / 2);
    }
  }
  for (const double factor : {1.01, 1.05, 1.2, 1.6, 3.0}) {
    capacities.push_back(points.back().rate * factor);
  }
  std::vector<Curve> begins;
  for (const double capacity : capacities) {
    for (const double share : {0.03, 0.3, 2.0}) {
      Curve curve;
      curve.log_abc = {least, least + std::log(share), std::log(capacity)};
      curve.residual = curve_residual(curve.log_abc, points, held);
      begins.push_back(curve);
    }
  }
  const auto tried = begins.begin() + static_cast<std::ptrdiff_t>(std::min(kBegins, begins.size()));
  std::partial_sort(begins.begin(), tried, begins.end(),
                    [](auto& a, auto& b) { return a.residual < b.residual; });
  begins.erase(tried, begins.end());
  Curve best;
  for (Curve& curve : begins) {
    double damping = 1e-2;
    for (int i = 0; i < 40 && improve(curve, damping, points, held); ++i) {
    }
    if (curve.residual < best.residual) best = curve;
  }
  return best;
}

// A queue rises before it runs over: flat P99s and then nothing but infinite ones are no queue's.
bool flat_then_infinite(const std::vector<Point>& points) {
  const auto first = std::find_if(points.begin(), points.end(), [](auto& p) { return p.infinite; });
  if (first == points.end() || first == points.begin() ||
      !std::all_of(first, points.end(), [](auto& p) { return p.infinite; })) {
    return false;
  }
  const auto [low, high] = std::minmax_element(
      points.begin(), first, [](auto& a, auto& b) { return a.log_p99 < b.log_p99; });
  return high->log_p99 - low->log_p99 < std::log(kFlatRatio);
}

}  // namespace

Inflection find_inflection(std::vector<RatePoint> points, std::int64_t held_ns) {
  std::erase_if(points,
                [](const RatePoint& p) { return !(p.p99_ns > 0 && p.rate_per_second > 0); });
  std::stable_sort(points.begin(), points.end(), [](const RatePoint& a, const RatePoint& b) {
    return a.rate_per_second < b.rate_per_second;
  });
  Inflection result;
  if (points.size() < kFewestPoints) return result;
  double least = kInfinity;
  double most = 0;
  double worst_finite = 0;
  for (const RatePoint& p : points) {
    least = std::min(least, p.p99_ns);
    most = std::max(most, p.p99_ns);
    if (std::isfinite(p.p99_ns)) worst_finite = std::max(worst_finite, p.p99_ns);
  }
  result.before_ns = points.front().p99_ns;
  result.after_ns = points.back().p99_ns;
  result.shape = Inflection::Shape::kFlat;
  if (std::isinf(least) || most < kFlatRatio * least) return result;

  std::vector<Point> logs;
  logs.reserve(points.size());
  for (const RatePoint& p : points) {
    const bool infinite = std::isinf(p.p99_ns);
    logs.push_back({p.rate_per_second,
                    std::log(infinite ? worst_finite * kInfiniteFactor : p.p99_ns), infinite});
  }
  const double held = held_ns > 0 ? static_cast<double>(held_ns) : kUnknownHeldNs;
  const double line = bic(fit_line(logs, 0, logs.size()).residual, logs.size(), kLineParameters);
  const Curve curve = flat_then_infinite(logs) ? Curve() : fit_curve(logs, held);
  const double curved = bic(curve.residual, logs.size(), kCurveParameters);
  const TwoLines two = fit_two_lines(logs);
  result.bic_gain = std::min(line, curved) - bic(two.residual, logs.size(), kTwoLinesParameters);
  if (two.right != 0 && result.bic_gain > bic_gain_wanted(logs.size())) {
    result.shape = Inflection::Shape::kStep;
    result.last_low_rate = points[two.right - 1].rate_per_second;
    result.first_high_rate = points[two.right].rate_per_second;
    result.before_ns = points[two.right - 1].p99_ns;
    result.after_ns = points[two.right].p99_ns;
    return result;
  }
  result.shape = Inflection::Shape::kSmooth;
  // Without a place where P99 doubles there was nothing to compare.
  if (two.right == 0) result.bic_gain = 0;
  // A capacity far beyond what was tried is a guess.
  if (curved < line && curve.capacity() < 2 * logs.back().rate) {
    result.capacity_rate = curve.capacity();
  }
  return result;
}

Inflection find_inflection(const std::vector<Measurement>& measurements) {
  std::vector<RatePoint> points;
  std::int64_t held_ns = std::numeric_limits<std::int64_t>::max();
  for (const Measurement& m : measurements) {
    if (!m.invalid.empty() || m.interrupted || m.clean_seconds() <= 0) continue;
    points.push_back({m.rate_per_second, m.response().percentile_ns(99)});
    held_ns = std::min(held_ns, m.duration_ns);
  }
  if (points.empty()) held_ns = 0;
  return find_inflection(std::move(points), held_ns);
}

}  // namespace tailrace::loadtest
