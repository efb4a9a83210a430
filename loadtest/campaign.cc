// See campaign.h.
#include "loadtest/campaign.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>
#include <utility>

#include "loadtest/host.h"
#include "loadtest/inflection.h"
#include "loadtest/interrupt.h"
#include "loadtest/quantity.h"
#include "loadtest/scrape.h"
#include "loadtest/selfcheck.h"

namespace tailrace::loadtest {
namespace {

// More than this share of all requests lost or of an unexpected status: not a slow server but none, and
// what is quick are its errors.
constexpr double kUnreachableShare = 0.5;
constexpr double kLostShare = 0.2;

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// In short sleeps: Ctrl-C sets a flag and wakes nobody.
void rest(std::int64_t rest_ns) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(rest_ns);
  while (!interrupted() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

double lost_share(const Counts& counts) {
  if (counts.planned == 0) return 0;
  return static_cast<double>(counts.dropped + counts.timed_out + counts.failed) /
         static_cast<double>(counts.planned);
}

Result header_of(const Load& load, const CampaignPlan& plan) {
  Result result;
  result.kind = plan.kind;
  result.tool_version = TAILRACE_VERSION;
  result.started = now_utc();
  result.target = "http://" + load.settings.target.authority() + load.settings.target.target;
  result.scenario = load.scenario.name();
  result.arrival = load.arrival;
  result.workers = load.settings.plan.workers;
  result.connections = load.settings.connections;
  result.timeout_ns = load.settings.timeout_ns;
  result.in_flight_most = load.settings.in_flight_most;
  result.seed = load.settings.plan.seed;
  result.host = read_host();
  return result;
}

// Requests in the busiest second that a trace has within `duration_ns`.
double busiest_second(const std::vector<std::int64_t>& times, std::int64_t duration_ns) {
  std::size_t most = 0;
  auto first = times.begin();
  const auto end = std::lower_bound(first, times.end(), duration_ns);
  for (auto last = first; last != end; ++last) {
    while (*last - *first >= 1'000'000'000) ++first;
    most = std::max(most, static_cast<std::size_t>(last - first) + 1);
  }
  return static_cast<double>(most);
}

// Requests a second at the most, all steps of sessions counted.
double asked_rate(const Load& load, const CampaignPlan& plan) {
  const PlanSettings& arrivals = load.settings.plan;
  const double rate = arrivals.trace != nullptr
                          ? busiest_second(*arrivals.trace, plan.duration_ns)
                          : *std::max_element(plan.rates.begin(), plan.rates.end());
  return rate * load.scenario.requests_per_arrival();
}

// What a generator of this host can do: remembered, or measured now.
std::optional<Refusal> find_ceiling(const Load& load, const CampaignPlan& plan,
                                    const CampaignHooks& hooks, Result& result) {
  SelfcheckSettings settings;
  settings.workers = result.workers;
  settings.idle = load.settings.idle;
  settings.pin = load.settings.pin;
  result.selfcheck = remembered_selfcheck(result.host, settings);
  if (!result.selfcheck) {
    if (hooks.say) hooks.say("selfcheck: what this generator can do (once a day)");
    settings.interrupted = interrupt_flag();
    auto measured = selfcheck(settings);
    if (auto* error = std::get_if<MeasureError>(&measured)) {
      return Refusal{kInvalid, "selfcheck: " + error->message};
    }
    if (interrupted()) return Refusal{kInterrupted, "interrupted before the first request"};
    result.selfcheck = std::get<Selfcheck>(measured);
    remember_selfcheck(result.host, settings, *result.selfcheck);
  }
  const double most = result.selfcheck->most_rate * kShareOfCeiling;
  const double asked = asked_rate(load, plan);
  if (asked <= most) return std::nullopt;
  result.above_ceiling = true;
  if (load.above_ceiling) return std::nullopt;
  return Refusal{
      kInvalid,
      print_rate(asked) + " requests/s are more than 70 % of the " +
          print_rate(result.selfcheck->most_rate) + " that " + std::to_string(result.workers) +
          " worker(s) of this generator can do here: it would measure itself. Take a lower "
          "rate, more workers (-t), or a quieter host; tailrace-load selfcheck measures the "
          "ceiling anew, --above-ceiling goes on and marks the result"};
}

// Null if the server has no metrics and need not have any.
std::variant<std::unique_ptr<Scraper>, Refusal> open_scraper(const Load& load,
                                                             const CampaignHooks& hooks) {
  if (load.metrics_url.empty()) return std::unique_ptr<Scraper>();
  auto scraper = std::make_unique<Scraper>(load.metrics_url);
  const Reading first = scraper->read_once();
  if (first.error.empty()) return scraper;
  if (load.metrics_must_be) {
    return Refusal{kUnreachable, load.metrics_url + ": " + first.error +
                                     "; give the address of its /metrics, or --metrics off"};
  }
  if (hooks.say) hooks.say("no metrics at " + load.metrics_url + ": latencies only");
  return std::unique_ptr<Scraper>();
}

std::variant<Measurement, MeasureError> hold_one(const Load& load, double rate,
                                                 std::int64_t duration_ns, std::size_t step,
                                                 Scraper* scraper, const CampaignHooks& hooks) {
  MeasureSettings settings = load.settings;
  settings.plan.rate_per_second = rate;
  settings.plan.duration_ns = duration_ns;
  settings.plan.seed += step;
  // Of each step a part is its warm-up: counters stay unique over the whole campaign.
  settings.plan.first_number = 2 * step * PlanSettings::kPartNumbers;
  MeasureHooks measured;
  measured.interrupted = interrupt_flag();
  if (scraper != nullptr) {
    measured.on_begin = [&](std::int64_t begin_ns) { scraper->start(begin_ns, duration_ns); };
  }
  if (hooks.progress) {
    measured.progress = [&](const Progress& progress) { hooks.progress(rate, progress); };
  }
  auto outcome = measure(settings, load.scenario, measured);
  if (scraper != nullptr) {
    scraper->stop();
    if (auto* measurement = std::get_if<Measurement>(&outcome)) scraper->annotate(*measurement);
  }
  return outcome;
}

// Of a step that found no server any more: nothing was measured, and the result says so.
Measurement lost_step(double rate, const std::string& why) {
  Measurement measurement;
  measurement.rate_per_second = rate;
  measurement.invalid.push_back("the target was lost: " + why);
  return measurement;
}
bool is_lost_step(const Measurement& measurement) {
  return measurement.duration_ns == 0 && !measurement.interrupted && !measurement.invalid.empty();
}

}  // namespace

std::variant<Result, Refusal> hold_rates(const Load& load, const CampaignPlan& plan,
                                         const CampaignHooks& hooks) {
  Result result = header_of(load, plan);
  if (auto refusal = find_ceiling(load, plan, hooks, result)) return std::move(*refusal);
  auto opened = open_scraper(load, hooks);
  if (auto* refusal = std::get_if<Refusal>(&opened)) return std::move(*refusal);
  Scraper* const scraper = std::get<std::unique_ptr<Scraper>>(opened).get();

  unsigned lost_in_a_row = 0;
  for (std::size_t step = 0; step < plan.rates.size() && !interrupted(); ++step) {
    if (step != 0) rest(plan.rest_ns);
    auto outcome = hold_one(load, plan.rates[step], plan.duration_ns, step, scraper, hooks);
    if (auto* error = std::get_if<MeasureError>(&outcome)) {
      if (result.measurements.empty() || error->kind != MeasureError::Kind::kUnreachable) {
        return Refusal{error->kind == MeasureError::Kind::kUnreachable ? kUnreachable : kInvalid,
                       error->message};
      }
      if (hooks.say) hooks.say("ended early: " + error->message);
      result.measurements.push_back(lost_step(plan.rates[step], error->message));
      break;
    }
    Measurement& measurement = std::get<Measurement>(outcome);
    if (hooks.step_done) hooks.step_done(measurement);
    result.interrupted |= measurement.interrupted;
    for (std::string& sentence : failed(load.thresholds, measurement)) {
      if (plan.rates.size() > 1) sentence += " at " + print_rate(plan.rates[step]) + "/s";
      result.thresholds_failed.push_back(std::move(sentence));
    }
    lost_in_a_row = lost_share(measurement.counts()) > kLostShare ? lost_in_a_row + 1 : 0;
    result.measurements.push_back(std::move(measurement));
    if (plan.stop_when_lost && lost_in_a_row == 2 && step + 1 < plan.rates.size()) {
      if (hooks.say)
        hooks.say("two steps in a row lost a fifth of their requests: no higher rates");
      break;
    }
  }
  result.interrupted |= interrupted();
  if (plan.kind == "ramp") result.inflection = find_inflection(result.measurements);
  return result;
}

ExitCode exit_code_of(const Result& result) {
  if (result.interrupted) return kInterrupted;
  const auto& all = result.measurements;
  const bool most_lost = std::all_of(all.begin(), all.end(), [](const Measurement& measurement) {
    const Counts counts = measurement.counts();
    return is_lost_step(measurement) || static_cast<double>(counts.bad()) >
                                            kUnreachableShare * static_cast<double>(counts.planned);
  });
  if (!all.empty() && (most_lost || is_lost_step(all.back()))) return kUnreachable;
  if (!result.valid()) return kInvalid;
  return result.thresholds_failed.empty() ? kPass : kThresholdFailed;
}

}  // namespace tailrace::loadtest
