// Sentences about a result.
#include "loadtest/verdict.h"

#include <algorithm>
#include <cmath>

#include "loadtest/report_format.h"

namespace tailrace::loadtest {
namespace {

std::string rate_text(double rate) { return format_number(rate) + " requests/s"; }

std::string latency_text(const Latencies& latencies, double percent, const Result& result) {
  return format_latency(percentile_ns(latencies, percent), result.timeout_ns);
}

std::string run_sentence(const Result& result) {
  const Measurement& measurement = result.measurements.front();
  const MeasurementFigures figures = figures_of(measurement);
  if (figures.counts.planned == 0) return "nothing was sent";
  std::string text = measurement.rate_per_second > 0
                         ? rate_text(measurement.rate_per_second) + " asked, "
                         : std::string("a trace, ");
  text += format_number(std::round(figures.completed_per_second)) + "/s completed for " +
          format_duration(static_cast<double>(measurement.duration_ns)) + ": ";
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
  return std::to_string(steps.size()) + (steps.size() == 1 ? " step" : " steps") + " from " +
         format_number(steps.front()->rate_per_second) + " to " +
         rate_text(steps.back()->rate_per_second) + ": " + inflection_sentence(result);
}

void add_invalid(const Result& result, std::vector<std::string>& reasons) {
  for (const Measurement& measurement : result.measurements) {
    for (const std::string& reason : measurement.invalid) {
      reasons.push_back(result.measurements.size() == 1
                            ? reason
                            : "step of " + rate_text(measurement.rate_per_second) +
                                  " left out: " + reason);
    }
  }
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
  return "too few steps to say where P99 inflects";
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
  for (const std::string& reason : measurement.invalid) add("invalid: " + reason);
  return marks;
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
  items.push_back("voided " + std::to_string(voided) + " of " + std::to_string(seconds) + " s");
  items.push_back(result.selfcheck ? std::string("host grade ") + result.selfcheck->grade
                                   : std::string("host not graded (tailrace-load selfcheck does)"));
  if (result.above_ceiling) items.emplace_back("ABOVE THE CEILING of this host");
  return items;
}

}  // namespace tailrace::loadtest
