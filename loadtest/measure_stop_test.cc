// A server that stops for 1.4 s in an open-loop run. Every due time is known from the plan, so what
// users waited can be computed by hand: who was due while it stood still waited at least until it
// went on. The measurement has to say the same, and the closed loop's way of looking at it has to
// hide it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "loadtest/measure.h"
#include "loadtest/null_server.h"
#include "loadtest/test_measurement.h"

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kStopNs = 1'400 * kMillisecondNs;
constexpr std::int64_t kStopAfterNs = 300 * kMillisecondNs;

struct Stop {
  std::int64_t begin_ns = 0;    // from then on it surely stood still
  std::int64_t end_ns = 0;      // until then
  std::int64_t drained_ns = 0;  // everything that had come until then was answered; 0: not observed
};

MeasureSettings stop_settings(std::uint16_t port) {
  MeasureSettings settings = settings_for(port);
  settings.plan.rate_per_second = 300;
  settings.plan.duration_ns = 2'200 * kMillisecondNs;
  settings.connections = 3;
  settings.idle = Idle::kHybrid;
  return settings;
}

// What each request waited at least, ascending.
std::vector<double> least_by_hand(const MeasureSettings& settings, std::int64_t origin_ns,
                                  const Stop& stop) {
  std::vector<double> waited;
  Plan plan(settings.plan, {1}, 0);
  for (Arrival arrival; plan.next(arrival);) {
    const std::int64_t due = origin_ns + arrival.due_ns;
    const bool stood = due >= stop.begin_ns && due < stop.end_ns;
    waited.push_back(stood ? static_cast<double>(stop.end_ns - due) : 0);
  }
  std::sort(waited.begin(), waited.end());
  return waited;
}

double percentile(const std::vector<double>& ascending, double percent) {
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent * static_cast<double>(ascending.size()) / 100));
  return ascending.at(std::max<std::size_t>(rank, 1) - 1);
}

void expect_as_by_hand(const Measurement& measurement, const MeasureSettings& settings,
                       std::int64_t origin_ns, const Stop& stop) {
  expect_exact_books(measurement);
  const std::vector<double> by_hand = least_by_hand(settings, origin_ns, stop);
  const Latencies response = measurement.response(/*with_voided=*/true);
  const Latencies service = measurement.service(/*with_voided=*/true);
  ASSERT_EQ(response.count(), by_hand.size());
  EXPECT_EQ(measurement.counts().succeeded, by_hand.size());
  // What came on top of it: the server's working off of the queue, as far as it was observed, and
  // the generator's own lateness, which it tells of itself. A tenth for what neither can see.
  const double drain =
      stop.drained_ns == 0 ? 0 : static_cast<double>(stop.drained_ns - stop.end_ns);
  const double late = measurement.lateness(true).percentile_ns(100);
  for (const double percent : {75.0, 90.0, 95.0, 99.0}) {
    const double least = percentile(by_hand, percent);
    const double measured = response.percentile_ns(percent);
    ASSERT_GT(least, 100e6) << "the stop covers it";
    EXPECT_GE(measured, least) << "P" << percent;
    EXPECT_LE(measured, (least * 1.1 + drain + late) * (1 + 1.0 / 128)) << "P" << percent;
    std::printf(
        "P%-3g by hand at least %7.1f ms, measured %7.1f ms (from when it was sent %.3f ms)\n",
        percent, least / 1e6, measured / 1e6, service.percentile_ns(percent) / 1e6);
  }
  // From when it was sent, as a closed loop records it: only what was on the three connections at
  // that time shows the stop, and P99 knows nothing of it.
  const std::uint64_t half = static_cast<std::uint64_t>(kStopNs) / 2;
  EXPECT_LE(service.count() - service.finite().count_at_or_below(half), settings.connections);
  EXPECT_LT(service.percentile_ns(95) * 10, response.percentile_ns(95));
  EXPECT_LT(service.percentile_ns(99) * 10, response.percentile_ns(99));
  EXPECT_GT(service.finite().max(), half);
}

TEST(MeasureStopTest, AServerThatSleepsIsMeasuredAsByHand) {
  std::atomic<std::int64_t> stop_at{Schedule::kNever};
  std::mutex mutex;
  std::vector<std::int64_t> answered;
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      const std::int64_t begin = stop_at.load(std::memory_order_relaxed);
      if (begin != Schedule::kNever && now_ns() >= begin) sleep_until(begin + kStopNs);
      peer.write(kOkAnswer);
      const std::lock_guard lock(mutex);
      answered.push_back(now_ns());
    }
  });
  const MeasureSettings settings = stop_settings(server.port());
  std::int64_t origin = 0;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t begin_ns) {
    origin = begin_ns;
    stop_at.store(begin_ns + kStopAfterNs, std::memory_order_relaxed);
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  Stop stop{.begin_ns = origin + kStopAfterNs,
            .end_ns = origin + kStopAfterNs + kStopNs,
            .drained_ns = 0};
  // The queue is first in, first out: when as many were answered as were due until the end of the
  // stop, it was worked off.
  std::size_t due = 0;
  Plan plan(settings.plan, {1}, 0);
  for (Arrival arrival; plan.next(arrival) && origin + arrival.due_ns < stop.end_ns;) ++due;
  server.finish();
  std::sort(answered.begin(), answered.end());
  ASSERT_GE(answered.size(), due);
  stop.drained_ns = std::max(answered.at(due - 1), stop.end_ns);
  expect_as_by_hand(measurement, settings, origin, stop);
}

// A null server in a process of its own, before there are threads in this one.
class ServerProcess {
 public:
  ServerProcess() {
    int ends[2];
    if (::pipe(ends) != 0) return;
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const NullServer server;
      const std::uint16_t port = server.port();
      if (::write(ends[1], &port, sizeof port) != sizeof port) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ends[1]);
    if (::read(ends[0], &port_, sizeof port_) != sizeof port_) port_ = 0;
    ::close(ends[0]);
  }
  ~ServerProcess() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::uint16_t port() const { return port_; }
  // Returns when it stands still.
  void stop() const {
    ::kill(child_, SIGSTOP);
    int status = 0;
    ::waitpid(child_, &status, WUNTRACED);
    EXPECT_TRUE(WIFSTOPPED(status));
  }
  void go_on() const { ::kill(child_, SIGCONT); }

 private:
  pid_t child_ = -1;
  std::uint16_t port_ = 0;
};

TEST(MeasureStopTest, AServerStoppedBySigstopIsMeasuredAsByHand) {
  const ServerProcess server;
  ASSERT_NE(server.port(), 0);
  const MeasureSettings settings = stop_settings(server.port());
  Stop stop;
  std::int64_t origin = 0;
  std::thread stopper;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t begin_ns) {
    origin = begin_ns;
    stopper = std::thread([&, begin_ns] {
      sleep_until(begin_ns + kStopAfterNs);
      server.stop();
      stop.begin_ns = now_ns();
      sleep_until(stop.begin_ns + kStopNs);
      stop.end_ns = now_ns();
      server.go_on();
    });
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  stopper.join();
  expect_as_by_hand(measurement, settings, origin, stop);
}

// Holds up the thread it is sent to.
std::atomic<std::int64_t> held_begin{0};
std::atomic<std::int64_t> held_end{0};
void hold_up(int) {
  held_begin.store(now_ns(), std::memory_order_relaxed);
  sleep_until(now_ns() + kStopNs / 4);
  held_end.store(now_ns(), std::memory_order_relaxed);
}

pid_t worker_thread() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    if (name == "load-0") return std::stoi(task.path().filename());
  }
  return -1;
}

TEST(MeasureStopTest, AGeneratorThatStoodStillSaysSo) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = stop_settings(server.port());
  settings.plan.duration_ns = 700 * kMillisecondNs;
  struct sigaction action {};
  action.sa_handler = hold_up;
  ASSERT_EQ(::sigaction(SIGUSR2, &action, nullptr), 0);
  std::int64_t origin = 0;
  std::thread holder;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t begin_ns) {
    origin = begin_ns;
    holder = std::thread([begin_ns] {
      sleep_until(begin_ns + kStopAfterNs / 2);
      ::syscall(SYS_tgkill, ::getpid(), worker_thread(), SIGUSR2);
    });
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  holder.join();
  expect_exact_books(measurement);
  const Stop stop{.begin_ns = held_begin.load(std::memory_order_relaxed),
                  .end_ns = held_end.load(std::memory_order_relaxed)};
  const std::vector<double> by_hand = least_by_hand(settings, origin, stop);
  for (const double percent : {75.0, 90.0, 99.0}) {
    const double least = percentile(by_hand, percent);
    ASSERT_GT(least, 10e6) << "the stop covers it";
    EXPECT_GE(measurement.lateness(true).percentile_ns(percent), least) << "P" << percent;
    EXPECT_GE(measurement.response(true).percentile_ns(percent), least) << "P" << percent;
  }
  ASSERT_EQ(measurement.seconds.size(), 1U);
  EXPECT_NE(measurement.seconds[0].voided.find("late"), std::string::npos);
  EXPECT_FALSE(measurement.invalid.empty());
}

// At a low rate nothing is due while the generator stands still, so that nothing is sent late: only
// the answer is read late, and looks like slow service.
TEST(MeasureStopTest, AGeneratorThatReadLateSaysSo) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) {
      sleep_until(now_ns() + kStopNs / 20);
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = stop_settings(server.port());
  settings.plan.kind = ArrivalKind::kConstant;
  settings.plan.rate_per_second = 2;
  settings.plan.duration_ns = kSecondNs;
  struct sigaction action {};
  action.sa_handler = hold_up;
  ASSERT_EQ(::sigaction(SIGUSR2, &action, nullptr), 0);
  std::thread holder;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t begin_ns) {
    holder = std::thread([begin_ns] {
      sleep_until(begin_ns + kSecondNs / 2 + kStopNs / 40);  // one is under way
      ::syscall(SYS_tgkill, ::getpid(), worker_thread(), SIGUSR2);
    });
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  holder.join();
  expect_exact_books(measurement);
  ASSERT_EQ(measurement.seconds.size(), 1U);
  EXPECT_GE(measurement.service(true).finite().max(), static_cast<std::uint64_t>(kStopNs / 4));
  EXPECT_NE(measurement.seconds[0].voided.find("held up"), std::string::npos)
      << measurement.seconds[0].voided;
}

}  // namespace
}  // namespace tailrace::loadtest
