// See recorder.h.
#include "loadtest/recorder.h"

#include <algorithm>
#include <utility>

namespace tailrace::loadtest {
namespace {

constexpr int kBlankAtStart = 3;

}  // namespace

void RecordedSecond::clear() noexcept {
  number = 0;
  counts = {};
  response.clear();
  lateness.clear();
  client_queue.clear();
  service.clear();
  in_flight_most = 0;
  busy = 0;
  held_most_ns = 0;
  overdue = 0;
}

void RecordedSecond::merge(const RecordedSecond& other) noexcept {
  counts += other.counts;
  response.merge(other.response);
  lateness.merge(other.lateness);
  client_queue.merge(other.client_queue);
  service.merge(other.service);
  in_flight_most += other.in_flight_most;
  busy = std::max(busy, other.busy);
  held_most_ns = std::max(held_most_ns, other.held_most_ns);
  overdue += other.overdue;
}

Recorder::Recorder(std::size_t routes) {
  for (int i = 0; i < kBlankAtStart; ++i) blank_.push_back(std::make_unique<RecordedSecond>());
  for (std::size_t i = 0; i < routes; ++i) routes_.push_back(std::make_unique<RecordedRoute>());
}

std::unique_ptr<RecordedSecond> Recorder::blank() {
  if (blank_.empty()) return std::make_unique<RecordedSecond>();
  auto second = std::move(blank_.back());
  blank_.pop_back();
  return second;
}

void Recorder::open_until(std::int64_t number) {
  while (last_ < number) {
    ++last_;
    open_.push_back({blank(), 0});
    open_.back().second->number = last_;
  }
}

void Recorder::begin_second(std::int64_t number) {
  open_until(number);
  begun_ = std::max(begun_, number);
}

void Recorder::end_seconds() noexcept { begun_ = last_ + 1; }

Recorder::Open* Recorder::open(std::int64_t second) noexcept {
  const std::int64_t first = last_ + 1 - static_cast<std::int64_t>(open_.size());
  if (second < first || second > last_) return nullptr;
  return &open_[static_cast<std::size_t>(second - first)];
}

void Recorder::planned(const Request& request) noexcept {
  Open* const open = this->open(request.second);
  if (open == nullptr) return;
  ++open->pending;
  ++open->second->counts.planned;
  ++routes_[request.due.route]->counts.planned;
}

Recorder::Ending Recorder::ending(const Request& request) noexcept {
  Open* const open = this->open(request.second);
  if (open == nullptr) return {nullptr, nullptr};
  --open->pending;
  return {open->second.get(), routes_[request.due.route].get()};
}

void Recorder::completed(const Request& request, std::int64_t ended_ns, int status, bool succeeded,
                         std::uint64_t bytes_sent, std::uint64_t bytes_received) noexcept {
  const auto [second, route] = ending(request);
  if (second == nullptr) return;
  second->lateness.record(request.taken_up_ns - request.due.due_ns);
  second->client_queue.record(request.written_ns - request.taken_up_ns);
  second->service.record(ended_ns - request.written_ns);
  second->response.record(ended_ns - request.due.due_ns);
  route->response.record(ended_ns - request.due.due_ns);
  for (Counts* counts : {&second->counts, &route->counts}) {
    ++counts->sent;
    ++counts->completed;
    counts->succeeded += succeeded ? 1 : 0;
    counts->bytes_sent += bytes_sent;
    counts->bytes_received += bytes_received;
  }
  ++statuses_[static_cast<std::size_t>(std::clamp(status, 0, 999))];
}

void Recorder::infinite(const Request& request, std::uint64_t Counts::*kind,
                        std::uint64_t bytes_sent, std::uint64_t bytes_received) noexcept {
  const auto [second, route] = ending(request);
  if (second == nullptr) return;
  const bool sent = request.written_ns != 0;
  second->lateness.record(request.taken_up_ns - request.due.due_ns);
  if (sent) {
    second->client_queue.record(request.written_ns - request.taken_up_ns);
    second->service.record_infinite();
  } else {
    second->client_queue.record_infinite();
  }
  second->response.record_infinite();
  route->response.record_infinite();
  for (Counts* counts : {&second->counts, &route->counts}) {
    ++(counts->*kind);
    counts->sent += sent ? 1 : 0;
    counts->bytes_sent += bytes_sent;
    counts->bytes_received += bytes_received;
  }
}

void Recorder::dropped(const Request& request) noexcept {
  infinite(request, &Counts::dropped, 0, 0);
}

void Recorder::timed_out(const Request& request, std::uint64_t bytes_sent,
                         std::uint64_t bytes_received, bool overdue) noexcept {
  if (overdue) {
    if (Open* const open = this->open(request.second)) ++open->second->overdue;
  }
  infinite(request, &Counts::timed_out, bytes_sent, bytes_received);
}

void Recorder::failed(const Request& request, std::uint64_t bytes_sent,
                      std::uint64_t bytes_received) noexcept {
  infinite(request, &Counts::failed, bytes_sent, bytes_received);
}

void Recorder::left_out(const Request& request) noexcept {
  const auto [second, route] = ending(request);
  if (second == nullptr) return;
  ++left_out_;
  --second->counts.planned;
  --route->counts.planned;
}

void Recorder::error(const std::string& message) {
  const auto found = errors_.find(message);
  if (found != errors_.end()) {
    ++found->second;
  } else {
    ++errors_[errors_.size() + 1 < kErrorsMost ? message : kOtherErrors];
  }
}

void Recorder::in_flight(std::int64_t second, std::uint64_t now) noexcept {
  if (Open* const open = this->open(second)) {
    open->second->in_flight_most = std::max(open->second->in_flight_most, now);
  }
}

void Recorder::busy(std::int64_t second, double share) noexcept {
  if (Open* const open = this->open(second)) {
    open->second->busy = std::max(open->second->busy, share);
  }
}

void Recorder::held(std::int64_t second, std::int64_t held_ns) noexcept {
  if (Open* const open = this->open(second)) {
    open->second->held_most_ns = std::max(open->second->held_most_ns, held_ns);
  }
}

bool Recorder::hand_over(Handover& handover, std::uint64_t in_flight) {
  const std::unique_lock lock(handover.mutex, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  while (!open_.empty() && open_.front().pending == 0 && open_.front().second->number < begun_) {
    handed_over_ += open_.front().second->counts;
    handover.ended.push_back(std::move(open_.front().second));
    open_.pop_front();
  }
  for (auto& each : handover.blank) blank_.push_back(std::move(each));
  handover.blank.clear();
  handover.so_far = handed_over_;
  for (const Open& each : open_) handover.so_far += each.second->counts;
  handover.in_flight = in_flight;
  return true;
}

std::map<int, std::uint64_t> Recorder::statuses() const {
  std::map<int, std::uint64_t> result;
  for (std::size_t i = 0; i < statuses_.size(); ++i) {
    if (statuses_[i] != 0) result[static_cast<int>(i)] = statuses_[i];
  }
  return result;
}

}  // namespace tailrace::loadtest
