// What two rules of the scheduler are worth to a service, as ratios (deploy/rescue):
//
//   rescue  p99 of GET /healthz, asked at a steady rate, while one handler spins 50 ms again and
//           again on one of two workers: with the rescue rule over without it
//   steal   requests/s of handlers of 40 us of CPU on connections that all belong to one of two
//           workers: with stealing (and the wake for it) over without it
//
// Services with and without the rule live in this process; one is driven at a time, and their windows
// alternate, so that a slow minute of the machine hits both. Clients are threads with plain sockets.
// rescue_bench [--rounds N] [--seconds S]: exits with 0 unless something broke; the verdict is text.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/clock.h"
#include "metrics/exporter.h"
#include "metrics/instruments.h"
#include "server/server.h"
#include "server/test_client.h"

namespace tailrace::http {
namespace {

constexpr unsigned kWorkers = 2;
constexpr std::int64_t kSpinNs = 50'000'000;
constexpr std::int64_t kWorkNs = 40'000;
constexpr std::int64_t kHealthEveryNs = 2'500'000;  // 400 a second
constexpr std::size_t kHealthConnections = 32;
constexpr std::size_t kWorkConnections = 32;
constexpr double kPromisedLatency = 0.4;
constexpr double kPromisedThroughput = 1.3;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "rescue_bench: %s\n", message.c_str());
  std::exit(1);
}

std::uint64_t work(std::uint64_t rounds) {
  std::uint64_t x = 88172645463325252u;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

// Rounds of work() for kWorkNs: the best of several tries, so that a lost processor does not count.
std::uint64_t calibrate() {
  constexpr std::uint64_t kRounds = 100'000;
  std::int64_t best_ns = INT64_MAX;
  for (int i = 0; i < 20; ++i) {
    const std::int64_t begin_ns = os::now_ns();
    volatile std::uint64_t sink = work(kRounds);
    static_cast<void>(sink);
    best_ns = std::min(best_ns, os::now_ns() - begin_ns);
  }
  return kRounds * static_cast<std::uint64_t>(kWorkNs) / static_cast<std::uint64_t>(best_ns);
}

struct Rules {
  bool rescue = true;
  bool steal = true;
};

// A server on a thread of its own, drained at the end.
class BenchServer {
 public:
  BenchServer(Rules rules, std::uint64_t work_rounds) {
    config_.listen.port = 0;
    config_.admin.reset();
    config_.max_procs = kWorkers;
    config_.access_log = AccessLogMode::kOff;
    config_.drain_delay_ns = 0;
    config_.timeouts.long_slice_ns = 0;
    config_.rescue = rules.rescue;
    config_.steal = rules.steal;
    std::promise<void> listening;
    thread_ = std::thread([this, work_rounds, &listening] {
      const gc::ThreadScope attached;
      metrics::Registry registry;
      metrics::Exporter exporter(registry);
      Server server(config_, registry, exporter);
      add_routes(server.router(), work_rounds);
      server.start_workers();
      if (const auto error = server.listen()) fail(*error);
      port_ = server.address().port;
      server_ = &server;
      listening.set_value();
      if (!server.run()) fail("a server's drain has not ended");
    });
    listening.get_future().wait();
  }
  ~BenchServer() {
    server_->request_drain();
    thread_.join();
  }

  std::uint16_t port() const noexcept { return port_; }
  std::size_t connections() const noexcept { return server_->connections(); }
  // The workers on which /worker has run, as bits.
  unsigned seen() const noexcept { return seen_.load(std::memory_order_relaxed); }

 private:
  void add_routes(Router& router, std::uint64_t work_rounds) {
    router.add(Method::kGet, "/spin", [](Request&) {
      const std::int64_t end_ns = os::now_ns() + kSpinNs;
      while (os::now_ns() < end_ns) {
      }
      return Response::text(200, "ok\n");
    });
    router.add(Method::kGet, "/work", [work_rounds](Request&) {
      volatile std::uint64_t sink = work(work_rounds);
      static_cast<void>(sink);
      return Response::text(200, "ok\n");
    });
    router.add(Method::kGet, "/worker", [this](Request&) {
      // Relaxed: a set of bits, read when the answers are there.
      seen_.fetch_or(1u << fiber::Scheduler::current_worker(), std::memory_order_relaxed);
      return Response::text(200, "ok\n");
    });
  }

  Config config_;
  std::atomic<unsigned> seen_{0};
  std::uint16_t port_ = 0;
  Server* server_ = nullptr;
  std::thread thread_;
};

// A connection on which requests are sent one behind the other; the answers come in that order.
class Line {
 public:
  explicit Line(std::uint16_t port) : client_(port) {
    if (!client_.connect()) fail("cannot connect");
    ::fcntl(client_.fd(), F_SETFL, ::fcntl(client_.fd(), F_GETFL) | O_NONBLOCK);
  }

  int fd() const noexcept { return client_.fd(); }
  bool waits() const noexcept { return !due_.empty(); }
  // `due_ns` is when it should have been sent: what it waited here counts as well.
  void ask(std::string_view request, std::int64_t due_ns) {
    due_.push_back(due_ns);
    const ssize_t sent = ::send(fd(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(request.size())) fail("a request was not sent whole");
  }
  // What has come: calls done(due_ns) for each answer.
  template <typename Done>
  void read(Done&& done) {
    char block[4096];
    const ssize_t got = ::recv(fd(), block, sizeof block, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) fail("the server has closed a connection");
    received_.append(block, static_cast<std::size_t>(got));
    std::size_t at = 0;
    for (std::size_t end; (end = received_.find(kEnd, at)) != std::string::npos;) {
      at = end + kEnd.size();
      if (due_.empty()) fail("an answer to nothing");
      const std::int64_t due_ns = due_.front();
      due_.pop_front();
      done(due_ns);
    }
    received_.erase(0, at);
  }

 private:
  // Of every answer asked for here: the end of the head and the body.
  static constexpr std::string_view kEnd = "\r\n\r\nok\n";

  TestClient client_;
  std::string received_;
  std::deque<std::int64_t> due_;
};

using Lines = std::vector<std::unique_ptr<Line>>;

template <typename Done>
void wait_for_answers(const Lines& lines, std::int64_t timeout_ns, Done&& done) {
  std::vector<pollfd> wanted;
  for (const auto& line : lines) wanted.push_back({line->fd(), POLLIN, 0});
  timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  if (::ppoll(wanted.data(), wanted.size(), &timeout, nullptr) <= 0) return;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (wanted[i].revents != 0) {
      lines[i]->read([&](std::int64_t due_ns) { done(*lines[i], due_ns); });
    }
  }
}

bool any_waits(const Lines& lines) {
  return std::any_of(lines.begin(), lines.end(), [](const auto& line) { return line->waits(); });
}

// --- rescue --------------------------------------------------------------------------------------

struct Latencies {
  std::vector<std::int64_t> ns;
  std::uint64_t spins = 0;

  double quantile_ms(double quantile) {
    if (ns.empty()) fail("nothing was measured");
    const auto rank = static_cast<std::size_t>(quantile * static_cast<double>(ns.size() - 1));
    std::nth_element(ns.begin(), ns.begin() + static_cast<std::ptrdiff_t>(rank), ns.end());
    return static_cast<double>(ns[rank]) / 1e6;
  }
};

// One window: the spinner starts, then /healthz is asked at fixed times, answered or not.
void measure_latencies(const BenchServer& server, std::int64_t window_ns, Latencies& latencies) {
  constexpr std::string_view kRequest = "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n";
  Lines lines;
  for (std::size_t i = 0; i < kHealthConnections; ++i) {
    lines.push_back(std::make_unique<Line>(server.port()));
  }
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> spins{0};
  std::thread spinner([&] {
    TestClient client(server.port());
    // Relaxed: a flag and a count.
    while (!over.load(std::memory_order_relaxed)) {
      if (!client.get("/spin")) fail("a spin was not answered");
      spins.fetch_add(1, std::memory_order_relaxed);
    }
  });
  while (spins.load(std::memory_order_relaxed) == 0) std::this_thread::yield();
  const std::int64_t begin_ns = os::now_ns();
  const auto done = [&](Line&, std::int64_t due_ns) {
    latencies.ns.push_back(os::now_ns() - due_ns);
  };
  std::size_t asked = 0;
  for (std::int64_t due_ns = begin_ns; due_ns < begin_ns + window_ns; due_ns += kHealthEveryNs) {
    for (std::int64_t now_ns; (now_ns = os::now_ns()) < due_ns;) {
      wait_for_answers(lines, due_ns - now_ns, done);
    }
    lines[asked++ % lines.size()]->ask(kRequest, due_ns);
  }
  while (any_waits(lines)) wait_for_answers(lines, 100'000'000, done);
  over.store(true, std::memory_order_relaxed);
  spinner.join();
  latencies.spins += spins.load(std::memory_order_relaxed);
}

void show_rescue(int rounds, std::int64_t window_ns) {
  const BenchServer without({.rescue = false}, 0);
  const BenchServer with({.rescue = true}, 0);
  Latencies off;
  Latencies on;
  for (int round = 0; round < rounds; ++round) {
    measure_latencies(without, window_ns, off);
    measure_latencies(with, window_ns, on);
  }
  std::printf(
      "rescue: GET /healthz at %lld/s on %zu connections beside one handler that spins %lld "
      "ms back to back; %u workers\n",
      static_cast<long long>(1'000'000'000 / kHealthEveryNs), kHealthConnections,
      static_cast<long long>(kSpinNs / 1'000'000), kWorkers);
  std::printf("%-12s %10s %10s %10s %8s\n", "", "p50 ms", "p99 ms", "requests", "spins");
  const auto row = [](const char* name, Latencies& latencies) {
    std::printf("%-12s %10.3f %10.3f %10zu %8llu\n", name, latencies.quantile_ms(0.5),
                latencies.quantile_ms(0.99), latencies.ns.size(),
                static_cast<unsigned long long>(latencies.spins));
  };
  row("rule off", off);
  row("rule on", on);
  const double ratio = on.quantile_ms(0.99) / off.quantile_ms(0.99);
  std::printf("%-12s %9.3fx %9.3fx  promised p99 <= %.1fx: %s\n", "ratio",
              on.quantile_ms(0.5) / off.quantile_ms(0.5), ratio, kPromisedLatency,
              ratio <= kPromisedLatency ? "kept" : "NOT KEPT");
}

// --- steal ---------------------------------------------------------------------------------------

// Connections that all belong to one worker. A new one goes to the worker that has the fewest, so
// of two workers each gets every second; the others are closed again.
Lines lines_on_one_worker(const BenchServer& server) {
  Lines lines;
  for (std::size_t i = 0; i < kWorkers * kWorkConnections; ++i) {
    lines.push_back(std::make_unique<Line>(server.port()));
    // In this order, so that it is their order of arrival, too.
    while (server.connections() != i + 1) std::this_thread::yield();
  }
  Lines kept;
  for (std::size_t i = 0; i < lines.size(); i += kWorkers) kept.push_back(std::move(lines[i]));
  lines.clear();
  while (server.connections() != kWorkConnections) std::this_thread::yield();
  return kept;
}

// Every connection has one request under way all the time. Requests a second.
double measure_throughput(const Lines& lines, std::int64_t window_ns) {
  constexpr std::string_view kRequest = "GET /work HTTP/1.1\r\nHost: bench\r\n\r\n";
  const std::int64_t begin_ns = os::now_ns();
  const std::int64_t end_ns = begin_ns + window_ns;
  std::uint64_t answered = 0;
  bool open = true;
  for (const auto& line : lines) line->ask(kRequest, begin_ns);
  while (any_waits(lines)) {
    wait_for_answers(lines, 100'000'000, [&](Line& line, std::int64_t) {
      if (!open) return;
      ++answered;
      line.ask(kRequest, 0);
    });
    open = os::now_ns() < end_ns;
  }
  return static_cast<double>(answered) * 1e9 / static_cast<double>(window_ns);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void show_steal(int rounds, std::int64_t window_ns) {
  const std::uint64_t work_rounds = calibrate();
  // No rescue on either side: it would move work as well when a worker is late.
  const BenchServer without({.rescue = false, .steal = false}, work_rounds);
  const BenchServer with({.rescue = false, .steal = true}, work_rounds);
  const Lines lines_without = lines_on_one_worker(without);
  const Lines lines_with = lines_on_one_worker(with);
  for (const auto& line : lines_without)
    line->ask("GET /worker HTTP/1.1\r\nHost: bench\r\n\r\n", 0);
  while (any_waits(lines_without)) {
    wait_for_answers(lines_without, 100'000'000, [](Line&, std::int64_t) {});
  }
  if (std::popcount(without.seen()) != 1) fail("the connections are not on one worker");
  std::vector<double> off;
  std::vector<double> on;
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    off.push_back(measure_throughput(lines_without, window_ns));
    on.push_back(measure_throughput(lines_with, window_ns));
    ratios.push_back(on.back() / off.back());
  }
  std::printf("\nsteal: GET of %lld us of CPU on %zu connections, all of one of %u workers\n",
              static_cast<long long>(kWorkNs / 1000), kWorkConnections, kWorkers);
  std::printf("%-12s %10s\n", "", "requests/s");
  std::printf("%-12s %10.0f\n", "steal off", median(off));
  std::printf("%-12s %10.0f\n", "steal on", median(on));
  std::printf("%-12s %9.2fx  promised >= %.1fx: %s\n", "ratio", median(ratios), kPromisedThroughput,
              median(ratios) >= kPromisedThroughput ? "kept" : "NOT KEPT");
}

int run(int argc, char** argv) {
  int rounds = 5;
  double seconds = 2;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--rounds") {
      rounds = std::atoi(value);
    } else if (name == "--seconds") {
      seconds = std::atof(value);
    } else {
      rounds = 0;
    }
  }
  if (rounds < 1 || rounds > 1000 || seconds <= 0 || seconds > 3600) {
    std::fprintf(stderr, "usage: rescue_bench [--rounds N] [--seconds S]\n");
    return 2;
  }
  const auto window_ns = static_cast<std::int64_t>(seconds * 1e9);
  std::printf("%d interleaved windows of %g s each\n\n", rounds, seconds);
  show_rescue(rounds, window_ns);
  show_steal(rounds, window_ns);
  return 0;
}

}  // namespace
}  // namespace tailrace::http

int main(int argc, char** argv) { return tailrace::http::run(argc, argv); }
