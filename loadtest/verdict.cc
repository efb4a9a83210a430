// Sentences about a result.
#include "loadtest/verdict.h"

#include <algorithm>
#include <cmath>

#include "loadtest/report_format.h"

namespace tailrace::loadtest {
namespace {

std::string rate_text(double rate) { return format_number(rate) + " requests/s"; }

// More than this many steps are told in one sentence.
constexpr std::size_t kMostStepReasons = 3;

// A reason is "what is wrong: what to do about it".
std::string remedy_of(const std::string& reason) {
  const std::size_t colon = reason.rfind(": ");
  return colon == std::string::npos ? "" : reason.substr(colon + 2);
}
std::string without_remedy(const std::string& reason) {
  return reason.substr(0, reason.rfind(": "));
}

bool left_out(const Measurement& measurement) { return !measurement.invalid.empty(); }

std::string latency_text(const Latencies& latencies, double percent, const Result& result) {
  return format_latency(percentile_ns(latencies, percent), result.timeout_ns);
}

// More requests than any plan of single requests has: each arrival was a session of several.
bool sent_sessions(const Measurement& measurement, const Counts& counts) {
  const double arrivals =
      measurement.rate_per_second * static_cast<double>(measurement.duration_ns) / 1e9;
  const auto planned = static_cast<double>(counts.planned);
  return planned > 1.2 * arrivals && planned > arrivals + 10 * std::sqrt(arrivals + 1);
}

std::string asked_text(const Measurement& measurement, const Counts& counts) {
  if (!(measurement.rate_per_second > 0)) return "a trace";
  return format_number(measurement.rate_per_second) +
         (sent_sessions(measurement, counts) ? " sessions/s" : " requests/s") + " asked";
}

std::string run_sentence(const Result& result) {
  const Measurement& measurement = result.measurements.front();
  const MeasurementFigures figures = figures_of(measurement);
  if (figures.counts.planned == 0) return "nothing was sent";
  const bool sessions = sent_sessions(measurement, figures.counts);
  std::string text = asked_text(measurement, figures.counts) + ", " +
                     format_number(std::round(figures.completed_per_second)) +
                     (sessions ? " requests/s" : "/s") + " completed for " +
                     format_setting(measurement.duration_ns) + ": ";
  const Latencies& response = figures.spans.response;
  std::string separator;
  for (const char* name : {"P50", "P99", "P99.9"}) {
    const auto percentile =
        std::find_if(kPercentiles.begin(), kPercentiles.end(),
                     [name](const Percentile& one) { return one.name == name; });
    if (std::isnan(percentile_ns(response, percentile->percent))) continue;
    text += separator + name + " " + latency_text(response, percentile->percent, result);
    separator = ", ";
  }
  return text + separator + format_count(figures.counts.bad()) + " bad of " +
         format_count(figures.counts.planned);
}

std::string ramp_sentence(const Result& result) {
  const std::vector<const Measurement*> steps = by_rate(result);
  const std::string rates = steps.size() == 1
                                ? "1 step at " + rate_text(steps.front()->rate_per_second)
                                : std::to_string(steps.size()) + " steps from " +
                                      format_number(steps.front()->rate_per_second) + " to " +
                                      rate_text(steps.back()->rate_per_second);
  return rates + ": " + inflection_sentence(result);
}

void add_invalid(const Result& result, std::vector<std::string>& reasons) {
  const auto steps = static_cast<std::size_t>(
      std::count_if(result.measurements.begin(), result.measurements.end(), left_out));
  if (steps > kMostStepReasons && result.kind == "ramp") {
    std::string rates;
    std::string remedies;
    for (const Measurement* step : by_rate(result)) {
      if (!left_out(*step)) continue;
      rates += (rates.empty() ? "" : ", ") + format_number(step->rate_per_second);
      for (const std::string& reason : step->invalid) {
        const std::string remedy = remedy_of(reason);
        if (remedy.empty() || remedies.find(remedy) != std::string::npos) continue;
        remedies += (remedies.empty() ? ": " : "; ") + remedy;
      }
    }
    reasons.push_back(std::to_string(steps) + " of " + std::to_string(result.measurements.size()) +
                      " steps left out (" + rates + ")" + remedies);
    return;
  }
  for (const Measurement& measurement : result.measurements) {
    for (const std::string& reason : measurement.invalid) {
      reasons.push_back(result.measurements.size() == 1
                            ? reason
                            : "step of " + rate_text(measurement.rate_per_second) +
                                  " left out: " + reason);
    }
  }
}

// A valid measurement of a service that fails is no good news: it must not look like any.
void add_losses(const Result& result, Verdict& verdict) {
  constexpr double kWorthTelling = 0.01;
  if (result.kind == "ramp" || result.measurements.empty()) return;
  const MeasurementFigures figures = figures_of(result.measurements.front());
  if (!(figures.bad_share > kWorthTelling)) return;
  std::string text = format_percent(figures.bad_share) + " of the requests were not served:";
  std::string separator = " ";
  for (const std::string& loss : losses_of(figures.counts)) {
    text += separator + loss;
    separator = ", ";
  }
  verdict.reasons.push_back(text);
  verdict.lossy = true;
}

}  // namespace

Verdict verdict_of(const Result& result) {
  Verdict verdict;
  if (result.measurements.empty()) {
    verdict.sentence = "nothing was measured";
  } else {
    verdict.sentence = result.kind == "ramp" ? ramp_sentence(result) : run_sentence(result);
  }
  add_invalid(result, verdict.reasons);
  for (const std::string& threshold : result.thresholds_failed) {
    verdict.reasons.push_back("threshold failed: " + threshold);
  }
  add_losses(result, verdict);
  if (result.above_ceiling) {
    verdict.reasons.emplace_back(
        "asked for more than 70 % of what selfcheck measured on this host: "
        "the generator may be what is slow");
  }
  if (result.interrupted) {
    verdict.kind = Verdict::Kind::kInterrupted;
    verdict.word = "PARTIAL";
    verdict.reasons.insert(verdict.reasons.begin(),
                           "interrupted: this is what was measured until then");
  } else if (!result.valid()) {
    verdict.kind = Verdict::Kind::kInvalid;
    verdict.word = "INVALID";
  } else if (!result.thresholds_failed.empty()) {
    verdict.kind = Verdict::Kind::kFailed;
    verdict.word = "FAILED";
  } else {
    verdict.word = "VALID";
  }
  return verdict;
}

std::string inflection_sentence(const Result& result) {
  if (!result.inflection) return "not looked for an inflection of P99";
  const Inflection& inflection = *result.inflection;
  const auto latency = [&](double ns) { return format_latency(ns, result.timeout_ns); };
  switch (inflection.shape) {
    case Inflection::Shape::kStep:
      return "P99 inflects between " + format_number(inflection.last_low_rate) + " and " +
             rate_text(inflection.first_high_rate) + ": " + latency(inflection.before_ns) +
             " before, " + latency(inflection.after_ns) + " after";
    case Inflection::Shape::kSmooth: {
      std::string text = "smooth, no step: P99 follows a queue's curve";
      if (std::isfinite(inflection.capacity_rate) && inflection.capacity_rate > 0) {
        text += " with a capacity of about " + rate_text(std::round(inflection.capacity_rate));
      }
      return text;
    }
    case Inflection::Shape::kFlat:
      return "flat: P99 does not change over these rates";
    case Inflection::Shape::kTooFew:
      break;
  }
  const std::size_t all = result.measurements.size();
  const auto bad = static_cast<std::size_t>(
      std::count_if(result.measurements.begin(), result.measurements.end(), left_out));
  if (bad == 0) return "too few steps to say where P99 inflects: it takes 5";
  return "too few steps to say where P99 inflects: it takes 5, and " + std::to_string(all - bad) +
         " of " + std::to_string(all) + " can be used";
}

std::string overload_note(const Result& result) {
  // Half of the answers took so long that those of the end came after it.
  constexpr double kShareOfStep = 0.05;
  const bool queued =
      std::any_of(result.measurements.begin(), result.measurements.end(), [](const auto& step) {
        const Latencies response = step.response(/*with_voided=*/true);
        return response.count() != 0 &&
               response.percentile_ns(50) > kShareOfStep * static_cast<double>(step.duration_ns);
      });
  if (!queued) return "";
  return "Where P50 is long a queue grew: completed/s counts answers after the step's end too and "
         "is no throughput";
}

std::string few_requests_note(std::uint64_t count) {
  if (count == 0) return "";
  std::string note;
  for (const Percentile& percentile : kPercentiles) {
    const double left = beyond(count, percentile.percent);
    if (percentile.percent >= 100 || left >= kFewBeyond) continue;
    std::string text;
    if (left < 1 - 1e-9) {
      const double needed = std::round(100 / (100 - percentile.percent));
      text = std::string(percentile.name) + " needs " +
             format_count(static_cast<std::uint64_t>(needed)) + " requests and there were " +
             format_count(count);
    } else {
      const double requests = std::floor(left + 1e-9);
      text = std::string(percentile.name) + " rests on " + format_number(requests) +
             (requests == 1 ? " request" : " requests") + ": another run may well give another";
    }
    note += (note.empty() ? "" : "; ") + text;
  }
  return note;
}

std::vector<std::string> losses_of(const Counts& counts) {
  std::vector<std::string> losses;
  const auto add = [&losses](std::uint64_t count, const char* what) {
    if (count != 0) losses.push_back(format_count(count) + " " + what);
  };
  add(counts.dropped, "dropped (never sent: the in-flight cap was reached)");
  add(counts.timed_out, "timed out");
  add(counts.failed, "failed");
  add(counts.completed - std::min(counts.succeeded, counts.completed), "with an unexpected status");
  return losses;
}

std::string marks_of(const Measurement& measurement) {
  std::string marks;
  const auto add = [&marks](const std::string& mark) {
    marks += (marks.empty() ? "" : "; ") + mark;
  };
  if (measurement.interrupted) add("interrupted");
  for (const std::string& reason : measurement.invalid) add("invalid: " + without_remedy(reason));
  return marks;
}

namespace {

// Why the second with the largest lateness was voided; the others stand in the tables.
std::string worst_text(const Result& result) {
  const Second* worst = nullptr;
  std::uint64_t most = 0;
  for (const Measurement& measurement : result.measurements) {
    for (const Second& second : measurement.seconds) {
      if (second.voided.empty()) continue;
      const std::uint64_t late = second.lateness.latencies().finite().max();
      if (worst != nullptr && late <= most) continue;
      worst = &second;
      most = late;
    }
  }
  return worst == nullptr
             ? ""
             : " (the worst: " + worst->voided.substr(0, worst->voided.find("; ")) + ")";
}

}  // namespace

std::vector<std::string> plan_items(const Result& result) {
  std::vector<std::string> items;
  if (!result.scenario.empty()) items.push_back("scenario " + result.scenario);
  items.push_back(result.arrival + " arrivals");
  items.push_back("seed " + std::to_string(result.seed));
  items.push_back(std::to_string(result.workers) + (result.workers == 1 ? " worker" : " workers"));
  if (result.connections != 0) items.push_back(format_count(result.connections) + " connections");
  items.push_back(result.target);
  return items;
}

std::vector<std::string> trust_items(const Result& result) {
  Latencies lateness;
  std::size_t seconds = 0;
  std::size_t voided = 0;
  double steal = 0;
  double busy = 0;
  for (const Measurement& measurement : result.measurements) {
    lateness.merge(measurement.lateness(true));
    seconds += measurement.seconds.size();
    voided += measurement.voided_seconds();
    for (const Second& second : measurement.seconds) {
      steal = std::max(steal, second.steal);
      busy = std::max(busy, second.generator_busy);
    }
  }
  std::vector<std::string> items;
  if (lateness.count() != 0) {
    items.push_back("own lateness P50 " + format_duration(lateness.percentile_ns(50)) + ", P99 " +
                    format_duration(lateness.percentile_ns(99)));
    items.push_back("steal up to " + format_percent(steal));
    items.push_back("generator busy up to " + format_percent(busy));
  }
  items.push_back("voided " + std::to_string(voided) + " of " + std::to_string(seconds) + " s" +
                  worst_text(result));
  items.push_back(result.selfcheck ? std::string("host grade ") + result.selfcheck->grade
                                   : std::string("host not graded (tailrace-load selfcheck does)"));
  if (result.above_ceiling) items.emplace_back("ABOVE THE CEILING of this host");
  return items;
}

}  // namespace tailrace::loadtest
