// See selfcheck.h.
#include "loadtest/selfcheck.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "loadtest/host.h"
#include "loadtest/null_server.h"
#include "loadtest/quantity.h"

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr double kEasyRate = 1000;
// What a worker cannot send waits for a connection and is taken up in time, so lateness alone would let a
// rate pass that it never sends.
constexpr double kQueueMostNs = 5e6;

double clock_cost_ns() {
  constexpr int kReads = 200'000;
  const auto begin = std::chrono::steady_clock::now();
  auto last = begin;
  for (int i = 0; i < kReads; ++i) last = std::chrono::steady_clock::now();
  return std::chrono::duration<double, std::nano>(last - begin).count() / kReads;
}

class Check {
 public:
  Check(const SelfcheckSettings& settings, std::uint16_t port) : settings_(settings) {
    url_.host = "127.0.0.1";
    url_.port = port;
    scenario_ = Scenario::of_url(url_);
  }

  std::variant<Measurement, MeasureError> hold(double rate, std::int64_t duration_ns) const {
    MeasureSettings measured;
    measured.target = url_;
    measured.plan.rate_per_second = rate;
    measured.plan.duration_ns = duration_ns;
    measured.plan.workers = 1;
    measured.warm_up_ns = 100 * kMillisecond;
    measured.connections = 64;
    measured.timeout_ns = 1000 * kMillisecond;
    measured.idle = settings_.idle;
    measured.pin = settings_.pin;
    MeasureHooks hooks;
    hooks.interrupted = settings_.interrupted;
    return measure(measured, scenario_, hooks);
  }

 private:
  const SelfcheckSettings& settings_;
  Url url_;
  Scenario scenario_ = Scenario::of_url(Url{});
};

}  // namespace

bool keeps_up(const Measurement& measurement) {
  const Counts counts = measurement.counts();
  return counts.completed >= counts.planned * 98 / 100 &&
         measurement.lateness(/*with_voided=*/true).percentile_ns(99) <=
             static_cast<double>(kMillisecond) &&
         measurement.client_queue(/*with_voided=*/true).percentile_ns(99) <= kQueueMostNs;
}

double ceiling_of(double most_rate_per_worker, unsigned workers, unsigned cpus) noexcept {
  return most_rate_per_worker * std::min(workers, std::max(cpus, 1U));
}

char grade_of(const Selfcheck& measured) noexcept {
  struct Grade {
    char name;
    double p50_ns, p99_ns, steal;
  };
  constexpr Grade kGrades[] = {{'A', 20e3, 200e3, 0},
                               {'B', 50e3, 1e6, 0.001},
                               {'C', 100e3, 2e6, 0.01},
                               {'D', 1e6, 10e6, 0.05}};
  for (const Grade& grade : kGrades) {
    if (measured.lateness_p50_ns <= grade.p50_ns && measured.lateness_p99_ns <= grade.p99_ns &&
        measured.steal <= grade.steal) {
      return grade.name;
    }
  }
  return 'F';
}

std::variant<Selfcheck, MeasureError> selfcheck(const SelfcheckSettings& settings) {
  NullServer server;
  const Check check(settings, server.port());
  const auto say = [&](const std::string& what) {
    if (settings.progress) settings.progress(what);
  };
  Selfcheck result;
  result.workers = settings.workers;
  result.clock_cost_ns = clock_cost_ns();

  say("lateness at " + print_rate(kEasyRate) + "/s");
  auto easy = check.hold(kEasyRate, 1000 * kMillisecond);
  if (auto* error = std::get_if<MeasureError>(&easy)) return std::move(*error);
  const auto& measurement = std::get<Measurement>(easy);
  const Latencies lateness = measurement.lateness(/*with_voided=*/true);
  result.lateness_p50_ns = lateness.percentile_ns(50);
  result.lateness_p99_ns = lateness.percentile_ns(99);
  result.lateness_most_ns = lateness.percentile_ns(100);
  for (const Second& second : measurement.seconds) {
    result.steal = std::max(result.steal, second.steal);
  }

  // Up until it falls behind twice at one rate, then half-way back as often as is worth the time.
  double good = 0;
  double bad = 0;
  for (double rate = 10'000; bad == 0 || bad / good > 1.1;
       rate = bad == 0 ? rate * 1.5 : (good + bad) / 2) {
    if (settings.interrupted != nullptr && settings.interrupted->load(std::memory_order_relaxed)) {
      break;
    }
    say("a worker at " + print_rate(rate) + "/s");
    bool kept = false;
    for (int tries = 0; tries < 2 && !kept; ++tries) {
      auto held = check.hold(rate, 400 * kMillisecond);
      if (auto* error = std::get_if<MeasureError>(&held)) return std::move(*error);
      kept = keeps_up(std::get<Measurement>(held));
    }
    (kept ? good : bad) = rate;
    // A worker that cannot hold the first rate is looked for below it.
    if (!kept && good == 0) {
      if (rate < 100) break;
      bad = 0;
      rate /= 4;
    }
  }
  result.most_rate_per_worker = good;
  result.most_rate =
      ceiling_of(good, settings.workers, static_cast<unsigned>(allowed_cpus().size()));
  result.grade = grade_of(result);
  return result;
}

}  // namespace tailrace::loadtest
