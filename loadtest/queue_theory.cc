// See queue_theory.h.
//
// The textbook law of the M/D/1 wait (Erlang 1909, Crommelin 1932) is a sum of large terms of
// alternating sign, which loses every digit after a few dozen service times. Here nothing is ever
// subtracted: the chances of n customers in the system come from a recursion of positive terms
// (Tijms, A First Course in Stochastic Models, 9.2), and the wait from them by a short Poisson sum
// (Franx 2001).
#include "loadtest/queue_theory.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailrace::loadtest {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMostLoad = 0.999;
// P(Poisson(1) > 30) is below 1e-33: what lies further adds nothing to a double.
constexpr std::size_t kPoissonTerms = 32;
// What is left out of the law beyond the last state kept.
constexpr double kTail = 1e-15;
constexpr std::size_t kMostStates = 100'000;

// The least t >= 0 with cdf(t) >= share, up to the last digits of a double. `scale` > 0 is a first
// guess.
template <typename Cdf>
double least_with(double share, double scale, const Cdf& cdf) {
  if (!(share < 1)) return std::numeric_limits<double>::infinity();
  if (cdf(0.0) >= share) return 0;
  double low = 0;
  double high = scale;
  for (int doubled = 0; cdf(high) < share; ++doubled) {
    if (doubled == 200) return std::numeric_limits<double>::infinity();  // beyond a double's digits
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 100 && high - low > high * 1e-13; ++i) {
    const double middle = low + (high - low) / 2;
    (cdf(middle) < share ? low : high) = middle;
  }
  return high;
}

// more[n]: P(Poisson(mean) > n), each summed from its far end, so that the small ones keep their
// digits.
std::vector<double> poisson_tails(double mean) {
  std::vector<double> more(kPoissonTerms, 0);
  double term = std::exp(-mean);
  std::vector<double> terms;
  for (std::size_t n = 0; n <= 2 * kPoissonTerms; ++n) {
    terms.push_back(term);
    term *= mean / static_cast<double>(n + 1);
  }
  double sum = 0;
  for (std::size_t n = terms.size() - 1; n > 0; --n) {
    sum += terms[n];
    if (n - 1 < kPoissonTerms) more[n - 1] = sum;
  }
  return more;
}

}  // namespace

Md1::Md1(double rate_per_second, double service_ns)
    : service_ns_(service_ns), load_(rate_per_second * service_ns / 1e9) {
  if (!(service_ns > 0) || !(load_ >= 0) || load_ > kMostLoad) {
    load_ = kNaN;
    return;
  }
  // p[n], n customers in the system: p[n] e^-load = p[0] more[n-1] + sum of p[k] more[n-k], 0 < k <
  // n.
  const std::vector<double> more = poisson_tails(load_);
  const double grow = std::exp(load_);
  std::vector<double> p{1 - load_};
  double sum = p[0];
  while (1 - sum > kTail && p.size() < kMostStates) {
    const std::size_t n = p.size();
    double next = n - 1 < kPoissonTerms ? p[0] * more[n - 1] : 0;
    for (std::size_t k = n > kPoissonTerms ? n - kPoissonTerms + 1 : 1; k < n; ++k) {
      next += p[k] * more[n - k];
    }
    next *= grow;
    if (!(next > sum * 1e-18)) break;
    p.push_back(next);
    sum += next;
    // One of them is in service.
    at_most_.push_back(std::min(sum, 1.0));
  }
  if (at_most_.empty()) at_most_.push_back(1);
}

double Md1::mean_wait_ns() const noexcept { return service_ns_ * load_ / (2 * (1 - load_)); }

double Md1::wait_cdf(double t_ns) const noexcept {
  if (std::isnan(load_)) return kNaN;
  if (!(t_ns >= 0)) return 0;
  const double services = t_ns / service_ns_;
  const double whole = std::floor(services) + 1;  // (whole - 1) <= services < whole
  if (!(whole < static_cast<double>(at_most_.size() + kPoissonTerms))) return 1;
  const auto k = static_cast<std::size_t>(whole);
  const double mean = load_ * (whole - services);
  double term = std::exp(-mean);
  double sum = 0;
  for (std::size_t j = 0; j < std::min(k, kPoissonTerms); ++j) {
    sum += term * at_most_[std::min(k - 1 - j, at_most_.size() - 1)];
    term *= mean / static_cast<double>(j + 1);
  }
  return std::min(sum, 1.0);
}

double Md1::wait_percentile_ns(double percent) const noexcept {
  if (std::isnan(load_)) return kNaN;
  return least_with(percent / 100, service_ns_, [this](double t) { return wait_cdf(t); });
}

double Md1::sojourn_percentile_ns(double percent) const noexcept {
  return wait_percentile_ns(percent) + service_ns_;
}

Mmc::Mmc(double rate_per_second, unsigned servers, double service_mean_ns)
    : service_ns_(service_mean_ns),
      servers_(servers),
      load_(rate_per_second * service_mean_ns / 1e9 / servers),
      wait_probability_(kNaN) {
  if (servers == 0 || !(service_mean_ns > 0) || !(load_ >= 0) || load_ >= 1) {
    load_ = kNaN;
    return;
  }
  // Erlang B by its recursion, then C.
  const double offered = load_ * servers_;
  double blocked = 1;
  for (unsigned n = 1; n <= servers; ++n) blocked = offered * blocked / (n + offered * blocked);
  wait_probability_ = blocked / (1 - load_ * (1 - blocked));
}

double Mmc::mean_sojourn_ns() const noexcept {
  return service_ns_ * (1 + wait_probability_ / (servers_ * (1 - load_)));
}

double Mmc::sojourn_cdf(double t_ns) const noexcept {
  if (std::isnan(load_)) return kNaN;
  if (!(t_ns > 0)) return 0;
  // In units of the mean service time. Those who wait do so exponentially, at rate `drain`, and are
  // then served; where drain is 1 the plain formula is 0/0, hence the series of (1 - e^-z) / z.
  const double t = t_ns / service_ns_;
  const double drain = servers_ * (1 - load_);
  const double served = std::exp(-t);
  const double z = (drain - 1) * t;
  const double waited = std::abs(z) < 1e-3 ? served * (1 + t * (1 - z / 2 + z * z / 6))
                                           : (drain * served - std::exp(-drain * t)) / (drain - 1);
  return 1 - (1 - wait_probability_) * served - wait_probability_ * waited;
}

double Mmc::sojourn_percentile_ns(double percent) const noexcept {
  if (std::isnan(load_)) return kNaN;
  return least_with(percent / 100, service_ns_, [this](double t) { return sojourn_cdf(t); });
}

std::vector<std::int64_t> lindley(const std::vector<std::int64_t>& due_ns,
                                  std::int64_t service_ns) {
  std::vector<std::int64_t> sojourns;
  sojourns.reserve(due_ns.size());
  std::int64_t free_at = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t due : due_ns) {
    free_at = std::max(free_at, due) + service_ns;
    sojourns.push_back(free_at - due);
  }
  return sojourns;
}

}  // namespace tailrace::loadtest
