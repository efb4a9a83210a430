// See collector.h.
#include "loadtest/collector.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tailrace::loadtest {
namespace {

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}
std::string percent(double share) { return number("%.3g %%", share * 100); }
std::string milliseconds(double ns) { return number("%.3g ms", ns / 1e6); }

}  // namespace

std::string void_reason(const SecondFaults& faults) {
  const double most_ns =
      std::max(static_cast<double>(kLatenessMostNs), kLatenessShareMost * faults.p99_ns);
  const auto late_ns = static_cast<double>(faults.lateness_most_ns);
  const auto held_ns = static_cast<double>(faults.held_most_ns);
  std::string reason;
  const auto add = [&reason](const std::string& why) {
    if (!reason.empty()) reason += "; ";
    reason += why;
  };
  if (late_ns > most_ns) add("the generator was " + milliseconds(late_ns) + " late");
  if (held_ns > most_ns) {
    add("the generator was held up for " + milliseconds(held_ns) +
        " with an answer to read or a request to write");
  }
  if (faults.steal > kStealMost) {
    add("the hypervisor took " + percent(faults.steal) + " of the CPU time");
  }
  if (faults.busy > kBusyMost) add("a worker was " + percent(faults.busy) + " busy");
  return reason;
}

void Collector::take(Handover& handover) {
  std::vector<std::unique_ptr<RecordedSecond>> ended;
  {
    const std::lock_guard lock(handover.mutex);
    ended.swap(handover.ended);
  }
  if (ended.empty()) return;
  for (auto& second : ended) {
    const std::size_t index = static_cast<std::size_t>(second->number) - seconds_.size();
    while (partial_.size() <= index) partial_.emplace_back();
    Partial& partial = partial_[index];
    ++partial.workers;
    if (partial.sum == nullptr) {
      partial.sum = std::move(second);
      if (spare_.empty()) spare_.push_back(std::make_unique<RecordedSecond>());
      second = std::move(spare_.back());
      spare_.pop_back();
    } else {
      partial.sum->merge(*second);
      second->clear();
    }
  }
  {
    const std::lock_guard lock(handover.mutex);
    for (auto& second : ended) handover.blank.push_back(std::move(second));
  }
  pack(/*without_steal=*/false);
}

void Collector::pack(bool without_steal) {
  while (!partial_.empty() && partial_.front().workers == workers_) {
    const std::size_t index = seconds_.size();
    if (index >= steal_.size() && !without_steal) return;
    RecordedSecond& sum = *partial_.front().sum;
    Second second;
    second.number = sum.number;
    second.counts = sum.counts;
    second.response = SparseHistogram::of(sum.response);
    second.lateness = SparseHistogram::of(sum.lateness);
    second.client_queue = SparseHistogram::of(sum.client_queue);
    second.service = SparseHistogram::of(sum.service);
    second.in_flight_most = sum.in_flight_most;
    second.generator_busy = sum.busy;
    second.steal = index < steal_.size() ? steal_[index] : 0;
    second.voided = void_reason(
        {.lateness_most_ns = static_cast<std::int64_t>(sum.lateness.finite().max()),
         .held_most_ns = sum.held_most_ns,
         .p99_ns = std::min(sum.response.percentile_ns(99), static_cast<double>(timeout_ns_)),
         .steal = second.steal,
         .busy = second.generator_busy});
    p50_ns_ = sum.response.percentile_ns(50);
    p99_ns_ = sum.response.percentile_ns(99);
    overdue_ += sum.overdue;
    busy_sum_ += sum.busy;
    seconds_.push_back(std::move(second));
    sum.clear();
    spare_.push_back(std::move(partial_.front().sum));
    partial_.pop_front();
  }
}

void Collector::add_totals(const Recorder& recorder) {
  routes_.resize(recorder.routes().size());
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    routes_[i].counts += recorder.routes()[i]->counts;
    routes_[i].response.merge(recorder.routes()[i]->response);
  }
  for (const auto& [status, times] : recorder.statuses()) statuses_[status] += times;
  for (const auto& [message, times] : recorder.errors()) {
    const bool room = errors_.size() + 1 < Recorder::kErrorsMost || errors_.contains(message);
    errors_[room ? message : Recorder::kOtherErrors] += times;
  }
  connect_.merge(recorder.connect());
  left_out_ += recorder.left_out();
}

Measurement Collector::finish() {
  pack(/*without_steal=*/true);
  Measurement measurement;
  measurement.seconds = std::move(seconds_);
  for (const RecordedRoute& route : routes_) {
    measurement.routes.push_back({"", route.counts, SparseHistogram::of(route.response)});
  }
  measurement.statuses = std::move(statuses_);
  measurement.errors = std::move(errors_);
  measurement.connect = SparseHistogram::of(connect_);
  measurement.invalid = invalid_reasons(measurement);
  return measurement;
}

std::vector<std::string> Collector::invalid_reasons(const Measurement& measurement) const {
  std::vector<std::string> reasons;
  const Counts counts = measurement.counts();
  const auto planned = static_cast<double>(counts.planned);
  const double offered = planned - static_cast<double>(overdue_);
  if (offered < kOfferedLeast * planned) {
    reasons.push_back("the generator offered " + percent(offered / planned) +
                      " of the plan: give it more workers (-t) or lower the rate");
  }
  if (left_out_ != 0) {
    reasons.push_back("interrupted with " + std::to_string(left_out_) +
                      " request(s) unanswered for a second and more: they are left out, and the "
                      "figures are better than what users saw");
  }
  const Latencies response = measurement.response();
  const double late = measurement.lateness().percentile_ns(99);
  const double waited = response.percentile_ns(99);
  if (response.count() != 0 && late > kLatenessIgnoredNs && late > kGeneratorShareMost * waited) {
    reasons.push_back("the generator's own lateness at P99, " + milliseconds(late) + ", is " +
                      percent(late / waited) +
                      " of the response time: give it a core of its own, or lower the rate");
  }
  const auto all = static_cast<double>(measurement.seconds.size());
  const auto voided = static_cast<double>(measurement.voided_seconds());
  if (voided > kVoidedMost * all) {
    reasons.push_back(number("%.0f", voided) + " of " + number("%.0f", all) +
                      " seconds are voided: use a quieter host");
  }
  if (all > 0 && busy_sum_ / all > kBusyMeanMost) {
    reasons.push_back("the busiest worker was " + percent(busy_sum_ / all) +
                      " busy: give it more workers (-t) or lower the rate");
  }
  return reasons;
}

}  // namespace tailrace::loadtest
