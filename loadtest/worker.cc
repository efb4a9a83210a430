// See worker.h.
#include "loadtest/worker.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "loadtest/clock.h"

namespace tailrace::loadtest {
namespace {

constexpr int kDueAtOnce = 16;   // taken up before events are looked at
constexpr int kDuePerEvent = 2;  // taken up between two events
constexpr std::size_t kScratchBytes = 64 << 10;
constexpr std::int64_t kBackoffLeastNs = 10 * kMillisecondNs;
constexpr std::int64_t kBackoffMostNs = kSecondNs;
constexpr std::int64_t kConnectMostNs = 10 * kSecondNs;
constexpr std::int64_t kGapLeastNs = kMillisecondNs;  // one request's work takes some microseconds
constexpr std::size_t kConnectingAtOnce = 64;         // a listener's queue is short

std::int64_t cpu_ns() noexcept {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return spent.tv_sec * kSecondNs + spent.tv_nsec;
}

// In (0, 1]: a draw of its own for each step.
double uniform(std::uint64_t draw, std::uint32_t step) noexcept {
  std::uint64_t z = draw + (std::uint64_t{step} + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return static_cast<double>(((z ^ (z >> 31)) >> 11) + 1) * 0x1p-53;
}

}  // namespace

Worker::Worker(const WorkerSettings& settings, const Scenario& scenario, Schedule schedule)
    : settings_(settings),
      scenario_(scenario),
      schedule_(std::move(schedule)),
      recorder_(scenario.routes().size()),
      waiter_(settings.idle),
      scratch_(kScratchBytes) {
  for (unsigned i = 0; i < settings.connections; ++i) {
    lines_.emplace_back().connection = std::make_unique<Connection>(waiter_.epoll(), i);
  }
}

void Worker::set_up_thread() const {
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
  ::pthread_setname_np(::pthread_self(), ("load-" + std::to_string(settings_.index)).c_str());
  if (settings_.cpu >= 0) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(settings_.cpu), &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
}

std::string Worker::open_connections() {
  set_up_thread();
  const std::int64_t patience = std::min(settings_.timeout_ns, kConnectMostNs);
  std::int64_t progress = now_ns();
  std::size_t begun = 0;
  const auto failed = [&](const std::string& why) {
    return std::to_string(idle_.size()) + " of " + std::to_string(lines_.size()) +
           " connections to " + settings_.endpoint.text() + " opened, then: " + why;
  };
  while (idle_.size() < lines_.size()) {
    while (begun < lines_.size() && begun - idle_.size() < kConnectingAtOnce) {
      Connection& connection = *lines_[begun++].connection;
      if (connection.open(settings_.endpoint, now_ns()) == Connection::Outcome::kBroken) {
        return failed(connection.error());
      }
    }
    const std::int64_t now = now_ns();
    if (now - progress > patience) return failed("no answer");
    for (const epoll_event& event : waiter_.wait(now, progress + patience + 1)) {
      if (event.data.u64 == Waiter::kWakeTag) {
        waiter_.woken();
        return failed("interrupted");
      }
      Connection& connection = *lines_[static_cast<std::uint32_t>(event.data.u64)].connection;
      if (event.data.u64 != connection.tag()) continue;
      switch (connection.on_event(event.events, scratch_)) {
        case Connection::Outcome::kConnected:
          progress = now_ns();
          recorder_.connected(progress - connection.opened_ns());
          idle_.push_back(connection.index());
          break;
        case Connection::Outcome::kNothing:
          break;
        case Connection::Outcome::kIdleClosed:
          return failed("the server closed one at once");
        case Connection::Outcome::kAnswered:
        case Connection::Outcome::kBroken:
          return failed(connection.error());
      }
    }
  }
  return {};
}

void Worker::run(std::int64_t origin_ns) {
  origin_ns_ = origin_ns;
  end_ns_ = origin_ns + settings_.duration_ns;
  schedule_.end_at(end_ns_);
  schedule_.start(origin_ns);
  std::int64_t now = now_ns();
  last_tick_ns_ = now;
  last_cpu_ns_ = cpu_ns();
  next_tick_ns_ = origin_ns + (second_of(now, origin_ns) + 1) * kSecondNs;
  while (true) {
    look_at_stop();
    now = take_up_due(now, kDueAtOnce);
    give_up_late(now);
    run_timers(now);
    if (now >= next_tick_ns_ || hand_over_again_) tick(now);
    if (finished(now)) break;
    const std::int64_t until = std::max(now, next_wake());
    wait_ns_ = now;
    const auto events = waiter_.wait(now, until);
    woke_ns_ = now = now_ns();
    if (events.empty() && woke_ns_ - until > kGapLeastNs) {
      gap_begin_ns_ = until;
      gap_end_ns_ = woke_ns_;
    }
    for (const epoll_event& event : events) {
      now = handle_event(event, now);
      now = take_up_due(now, kDuePerEvent);
    }
  }
  account(now, last_second());
  recorder_.end_seconds();
  while (!recorder_.hand_over(handover_, 0)) ::sched_yield();
  for (Line& line : lines_) line.connection->close();
}

bool Worker::finished(std::int64_t now) const noexcept {
  return now >= end_ns_ && in_flight_ == 0 && schedule_.next_ns() == Schedule::kNever;
}

void Worker::stop(std::int64_t end_ns, std::int64_t leave_ns) {
  stop_leave_ns_.store(leave_ns, std::memory_order_relaxed);
  // Pairs with the acquire load in look_at_stop(): who sees the end sees the time to leave.
  stop_end_ns_.store(end_ns, std::memory_order_release);
  waiter_.wake();
}

void Worker::look_at_stop() {
  // Pairs with the release store in stop().
  const std::int64_t end = stop_end_ns_.load(std::memory_order_acquire);
  if (end == Schedule::kNever) return;
  leave_ns_ = stop_leave_ns_.load(std::memory_order_relaxed);
  end_ns_ = std::min(end_ns_, end);
  schedule_.end_at(end_ns_);
}

std::int64_t Worker::take_up_due(std::int64_t now, int most) {
  for (; most > 0 && schedule_.next_ns() <= now; --most) {
    take_up(schedule_.pop(), now);
    now = look(now);
  }
  return now;
}

void Worker::take_up(const Due& due, std::int64_t now) {
  Request fresh;
  fresh.due = due;
  fresh.second = second_of(due.due_ns, origin_ns_);
  fresh.taken_up_ns = now;
  recorder_.begin_second(fresh.second);
  recorder_.planned(fresh);
  if (now - due.due_ns > settings_.timeout_ns) {
    recorder_.timed_out(fresh, 0, 0, /*overdue=*/true);
    return;
  }
  if (in_flight_ >= settings_.in_flight_most) {
    recorder_.dropped(fresh);
    return;
  }
  Request* const request = allocate();
  *request = fresh;
  link(request);
  recorder_.in_flight(request->second, in_flight_);
  if (idle_.empty()) {
    queue_.push_back(request);
    return;
  }
  Line& line = lines_[idle_.front()];
  idle_.pop_front();
  write(line, request, now);
}

void Worker::write(Line& line, Request* request, std::int64_t now) {
  line.request = request;
  request->line = line.connection->index();
  request->written_ns = now;
  const Due& due = request->due;
  text_.clear();
  scenario_.write(text_, due.route, due.step, settings_.authority, due.draw, due.number,
                  settings_.index);
  const bool head = scenario_.routes()[due.route].steps[due.step].method == "HEAD";
  const Connection::Outcome outcome = line.connection->send(text_, head, scratch_);
  const std::int64_t sent = look(now);
  recorder_.held(request->second, sent - now);
  if (outcome != Connection::Outcome::kNothing) handle(line, outcome, sent);
}

void Worker::give_up_late(std::int64_t now) {
  while (oldest_ != nullptr && now - oldest_->due.due_ns > settings_.timeout_ns) {
    time_out(oldest_, now);
  }
  if (now >= leave_ns_) leave_out_all();
}

void Worker::time_out(Request* request, std::int64_t now) {
  if (request->written_ns == 0) {
    recorder_.timed_out(*request, 0, 0);
    // The oldest of all that wait, as they wait in the order of their due times.
    queue_.pop_front();
  } else {
    Line& line = lines_[request->line];
    // Its answer may have come in time, and nobody looked.
    recorder_.held(request->second, held_since(request->due.due_ns + settings_.timeout_ns));
    recorder_.timed_out(*request, line.connection->bytes_sent(), line.connection->bytes_received());
    line.request = nullptr;
    line.connection->close();
    open_later(line, now);
  }
  release(request);
}

void Worker::leave_out_all() {
  queue_.clear();
  while (oldest_ != nullptr) {
    recorder_.left_out(*oldest_);
    if (oldest_->written_ns != 0) {
      lines_[oldest_->line].request = nullptr;
      lines_[oldest_->line].connection->close();
    }
    release(oldest_);
  }
}

std::int64_t Worker::handle_event(const epoll_event& event, std::int64_t now) {
  if (event.data.u64 == Waiter::kWakeTag) {
    waiter_.woken();
    return now;
  }
  Line& line = lines_[static_cast<std::uint32_t>(event.data.u64)];
  if (event.data.u64 != line.connection->tag()) return now;
  const Connection::Outcome outcome = line.connection->on_event(event.events, scratch_);
  now = look(now);
  handle(line, outcome, now);
  return now;
}

void Worker::handle(Line& line, Connection::Outcome outcome, std::int64_t now) {
  Connection& connection = *line.connection;
  switch (outcome) {
    case Connection::Outcome::kNothing:
      return;
    case Connection::Outcome::kConnected:
      recorder_.connected(now - connection.opened_ns());
      ready(line, now);
      return;
    case Connection::Outcome::kAnswered:
      answered(line, now);
      return;
    case Connection::Outcome::kIdleClosed:
      not_idle(connection.index());
      break;
    case Connection::Outcome::kBroken:
      recorder_.error(connection.error());
      if (line.request != nullptr) {
        recorder_.failed(*line.request, connection.bytes_sent(), connection.bytes_received());
        release(line.request);
        line.request = nullptr;
      } else {
        not_idle(connection.index());
      }
      break;
  }
  open_later(line, now);
}

void Worker::answered(Line& line, std::int64_t now) {
  Connection& connection = *line.connection;
  Request* const request = line.request;
  line.request = nullptr;
  line.failures = 0;
  if (connection.arrived_ns() != 0) {
    recorder_.held(request->second, held_since(connection.arrived_ns()));
  }
  const bool in_time = now - request->due.due_ns <= settings_.timeout_ns;
  if (in_time) {
    const bool succeeded = scenario_.succeeded(request->due.route, connection.status());
    recorder_.completed(*request, now, connection.status(), succeeded, connection.bytes_sent(),
                        connection.bytes_received());
    if (succeeded) next_step(*request, now);
  } else {
    recorder_.timed_out(*request, connection.bytes_sent(), connection.bytes_received());
  }
  release(request);
  if (!connection.error().empty()) recorder_.error(connection.error());
  const std::uint64_t most = settings_.requests_per_connection;
  if (!connection.reusable() || (most != 0 && connection.answers() >= most)) {
    open(line, now);
  } else {
    ready(line, now);
  }
}

// A session goes on only after a success.
void Worker::next_step(const Request& request, std::int64_t now) {
  const std::vector<Step>& steps = scenario_.routes()[request.due.route].steps;
  Due next = request.due;
  if (++next.step >= steps.size()) return;
  const Step& step = steps[next.step];
  double think = static_cast<double>(step.think_mean_ns);
  if (step.think_exponential) think *= -std::log(uniform(next.draw, next.step));
  next.due_ns = now + static_cast<std::int64_t>(think);
  if (!schedule_.think(next)) recorder_.error("too many sessions think: the rest end early");
}

void Worker::ready(Line& line, std::int64_t now) {
  while (!queue_.empty()) {
    Request* const request = queue_.front();
    if (now - request->due.due_ns > settings_.timeout_ns) {
      time_out(request, now);
      continue;
    }
    queue_.pop_front();
    write(line, request, now);
    return;
  }
  idle_.push_back(line.connection->index());
}

void Worker::not_idle(std::uint32_t index) {
  const auto found = std::find(idle_.begin(), idle_.end(), index);
  if (found != idle_.end()) idle_.erase(found);
}

void Worker::open(Line& line, std::int64_t now) {
  if (line.connection->open(settings_.endpoint, now) == Connection::Outcome::kBroken) {
    recorder_.error(line.connection->error());
    open_later(line, now);
    return;
  }
  timers_.push({now + std::min(settings_.timeout_ns, kConnectMostNs), line.connection->tag()});
}

// At once after an answer, then slower and slower.
void Worker::open_later(Line& line, std::int64_t now) {
  const unsigned failures = line.failures++;
  if (failures == 0 && line.connection->opened_ns() != now) {
    open(line, now);
    return;
  }
  const std::int64_t wait = std::min(kBackoffMostNs, kBackoffLeastNs << std::min(failures, 10U));
  timers_.push({now + wait, line.connection->tag()});
}

void Worker::run_timers(std::int64_t now) {
  while (!timers_.empty() && timers_.top().at_ns <= now) {
    const std::uint64_t tag = timers_.top().tag;
    timers_.pop();
    Line& line = lines_[static_cast<std::uint32_t>(tag)];
    if (tag != line.connection->tag()) continue;
    if (line.connection->state() == Connection::State::kConnecting) {
      line.connection->close();
      recorder_.error("connect: no answer");
      open_later(line, now);
    } else if (line.connection->state() == Connection::State::kClosed) {
      open(line, now);
    }
  }
}

std::int64_t Worker::next_wake() const noexcept {
  std::int64_t wake = std::min(next_tick_ns_, schedule_.next_ns());
  if (oldest_ != nullptr) {
    wake = std::min({wake, oldest_->due.due_ns + settings_.timeout_ns + 1, leave_ns_});
  } else {
    wake = std::min(wake, end_ns_);
  }
  if (!timers_.empty()) wake = std::min(wake, timers_.top().at_ns);
  return wake;
}

// Of the measured part; -1 if there is none.
std::int64_t Worker::last_second() const noexcept {
  return end_ns_ > origin_ns_ ? second_of(end_ns_ - 1, origin_ns_) : -1;
}

// Of the time since the last call, which reaches into second `until` at most.
void Worker::account(std::int64_t now, std::int64_t until) {
  until = std::min(until, last_second());
  recorder_.open_until(until);
  const std::int64_t cpu = cpu_ns();
  const std::int64_t worked =
      std::max<std::int64_t>(cpu - last_cpu_ns_ - waiter_.take_spun_ns(), 0);
  const double busy = static_cast<double>(worked) /
                      static_cast<double>(std::max<std::int64_t>(now - last_tick_ns_, 1));
  for (std::int64_t each = second_of(last_tick_ns_, origin_ns_); each <= until; ++each) {
    recorder_.busy(each, std::min(busy, 1.0));
    recorder_.in_flight(each, in_flight_);
  }
  last_tick_ns_ = now;
  last_cpu_ns_ = cpu;
}

// On the edge of each second.
void Worker::tick(std::int64_t now) {
  if (now >= next_tick_ns_) {
    const std::int64_t begun = second_of(now, origin_ns_);
    account(now, begun - 1);
    const std::int64_t next = second_of(std::min(now, schedule_.next_ns()), origin_ns_);
    recorder_.begin_second(std::min(next, last_second()));
    next_tick_ns_ = origin_ns_ + (begun + 1) * kSecondNs;
  }
  hand_over_again_ = !recorder_.hand_over(handover_, in_flight_);
}

std::int64_t Worker::look(std::int64_t before) noexcept {
  const std::int64_t now = now_ns();
  if (now - before > kGapLeastNs) {
    gap_begin_ns_ = before;
    gap_end_ns_ = now;
  }
  return now;
}

// What waits behind others while the thread works is not held: a burst of answers after a stop of
// the server must not void the seconds that show the stop.
std::int64_t Worker::held_since(std::int64_t since) const noexcept {
  return std::max<std::int64_t>(woke_ns_ - std::max(since, wait_ns_), 0) +
         std::max<std::int64_t>(gap_end_ns_ - std::max(since, gap_begin_ns_), 0);
}

Request* Worker::allocate() {
  if (unused_.empty()) return &requests_.emplace_back();
  Request* const request = unused_.back();
  unused_.pop_back();
  return request;
}

void Worker::link(Request* request) noexcept {
  request->before = newest_;
  request->after = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->after) = request;
  newest_ = request;
  ++in_flight_;
}

void Worker::release(Request* request) noexcept {
  (request->before == nullptr ? oldest_ : request->before->after) = request->after;
  (request->after == nullptr ? newest_ : request->after->before) = request->before;
  unused_.push_back(request);
  --in_flight_;
}

}  // namespace tailrace::loadtest
