// measure() against servers that behave, misbehave and go away: the books are exact in every case.
#include "loadtest/measure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "loadtest/clock.h"
#include "loadtest/null_server.h"
#include "loadtest/recorder.h"
#include "loadtest/test_measurement.h"

namespace tailrace::loadtest {
namespace {

TEST(MeasureTest, SendsThePlanAndNothingElse) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = settings_for(server.port());
  settings.plan.workers = 2;
  settings.plan.duration_ns = 1'300 * kMillisecondNs;
  const Scenario scenario = Scenario::of_url(settings.target);
  const Measurement measurement = measured(settings, scenario);
  expect_exact_books(measurement);

  // Each second has the arrivals that the plans have in it.
  std::vector<std::uint64_t> planned(2);
  for (unsigned worker = 0; worker < 2; ++worker) {
    Plan plan(settings.plan, scenario.weights(), worker);
    for (Arrival arrival; plan.next(arrival);) {
      ++planned.at(static_cast<std::size_t>(arrival.due_ns / kSecondNs));
    }
  }
  ASSERT_EQ(measurement.seconds.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(measurement.seconds[i].number, static_cast<std::int64_t>(i));
    EXPECT_EQ(measurement.seconds[i].counts.planned, planned[i]);
  }
  const Counts counts = measurement.counts();
  EXPECT_EQ(counts.succeeded, counts.planned);
  EXPECT_EQ(counts.bytes_received, counts.completed * kOkAnswer.size());
  EXPECT_EQ(measurement.statuses, (std::map<int, std::uint64_t>{{200, counts.planned}}));
  EXPECT_TRUE(measurement.errors.empty());
  EXPECT_EQ(measurement.connect.latencies().count(), settings.connections);
  EXPECT_EQ(server.connections(), settings.connections);
  EXPECT_EQ(measurement.plan_digest, plan_digest(settings.plan, scenario.weights()));
  EXPECT_EQ(measurement.duration_ns, settings.plan.duration_ns);
  EXPECT_FALSE(measurement.interrupted);

  // All of them completed, so the three parts are the whole, to the nanosecond.
  EXPECT_EQ(measurement.response(true).finite().sum(),
            measurement.lateness(true).finite().sum() +
                measurement.client_queue(true).finite().sum() +
                measurement.service(true).finite().sum());
}

TEST(MeasureTest, TheWarmUpIsSentAndNotKept) {
  std::atomic<std::uint64_t> requests{0};
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      requests.fetch_add(1, std::memory_order_relaxed);
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.warm_up_ns = 300 * kMillisecondNs;
  std::int64_t told_at = 0;
  std::int64_t begin = 0;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t begin_ns) {
    EXPECT_EQ(begin, 0) << "told once";
    told_at = now_ns();
    begin = begin_ns;
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  expect_exact_books(measurement);
  const std::uint64_t sent = requests.load(std::memory_order_relaxed);
  EXPECT_GT(sent, measurement.counts().sent);
  Schedule schedule(settings.plan, settings.warm_up_ns, {1}, 0);
  schedule.start(0);
  std::uint64_t all = 0;
  for (; schedule.next_ns() != Schedule::kNever; ++all) schedule.pop();
  EXPECT_EQ(sent, all);
  EXPECT_GT(begin, 0);
  EXPECT_GE(begin, told_at - kSecondNs);
}

TEST(MeasureTest, UnexpectedStatusesAreCompletedAndNoSuccess) {
  std::atomic<int> turn{0};
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      const bool good = turn.fetch_add(1, std::memory_order_relaxed) % 3 != 0;
      peer.write(good ? kOkAnswer : "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    }
  });
  const MeasureSettings settings = settings_for(server.port());
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target));
  expect_exact_books(measurement);
  const Counts counts = measurement.counts();
  EXPECT_EQ(counts.completed, counts.planned);
  EXPECT_EQ(measurement.statuses.at(503), (counts.planned + 2) / 3);
  EXPECT_EQ(counts.succeeded, counts.planned - measurement.statuses.at(503));
  EXPECT_EQ(counts.bad(), measurement.statuses.at(503));
}

TEST(MeasureTest, TheBooksAreExactWhateverTheServerDoes) {
  // Each connection in its own bad way, again and again.
  ScriptedServer server([](Peer& peer) {
    for (int i = 0; i < 8; ++i) {
      if (peer.read_request().empty()) return;
      peer.write_bytewise(kOkAnswer);
    }
    if (peer.read_request().empty()) return;
    switch (peer.number() % 7) {
      case 0:
        return;  // closes before the answer
      case 1:
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return;
      case 2:
        peer.reset();
        return;
      case 3:
        peer.write("\x16\x03\x01 no HTTP at all\r\n\r\n");
        return;
      case 4:
        peer.write(std::string(kOkAnswer) + "HTTP/1.1 200 OK");
        return;
      case 5:
        peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return;
      default:
        peer.wait_for_close();  // never answers
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.timeout_ns = 300 * kMillisecondNs;
  settings.plan.workers = 2;
  settings.connections = 14;
  settings.plan.duration_ns = 1'300 * kMillisecondNs;
  const Measurement measurement = measured(settings, mixed_scenario());
  expect_exact_books(measurement);
  const Counts counts = measurement.counts();
  EXPECT_GT(counts.completed, 0U);
  EXPECT_GT(counts.failed, 0U);
  EXPECT_GT(counts.timed_out, 0U);
  EXPECT_EQ(counts.dropped, 0U);
  EXPECT_GT(server.connections(), settings.connections);
  EXPECT_GE(measurement.connect.latencies().count(), settings.connections);
  EXPECT_EQ(measurement.response(true).count(), counts.planned);
  EXPECT_EQ(measurement.response(true).infinite(), counts.timed_out + counts.failed);
  std::string messages;
  std::uint64_t errors = 0;
  for (const auto& [message, times] : measurement.errors) {
    messages += message + "\n";
    errors += times;
  }
  EXPECT_GE(errors, counts.failed);
  for (const char* expected : {"closed before", "reset", "no HTTP", "no request asked"}) {
    EXPECT_NE(messages.find(expected), std::string::npos) << expected << " in\n" << messages;
  }
}

TEST(MeasureTest, WhatIsOverTheCapIsDroppedAndInfinite) {
  ScriptedServer server([](Peer& peer) { peer.wait_for_close(); });
  MeasureSettings settings = settings_for(server.port());
  settings.connections = 4;
  settings.in_flight_most = 10;
  settings.timeout_ns = 700 * kMillisecondNs;  // longer than the plan
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target));
  expect_exact_books(measurement);
  const Counts counts = measurement.counts();
  EXPECT_EQ(counts.completed, 0U);
  EXPECT_EQ(counts.timed_out, 10U);
  EXPECT_GE(counts.sent, 4U);  // and those to whom a connection came that was opened anew
  EXPECT_EQ(counts.dropped, counts.planned - 10);
  EXPECT_TRUE(std::isinf(measurement.response(true).percentile_ns(0.1)));
  EXPECT_EQ(measurement.seconds.at(0).in_flight_most, 10U);
}

TEST(MeasureTest, AFewDropsMakeTheHighPercentilesInfinite) {
  // Every fiftieth request is never answered: 2 % time out.
  std::atomic<int> turn{0};
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      if (turn.fetch_add(1, std::memory_order_relaxed) % 50 == 49) {
        peer.wait_for_close();
        return;
      }
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.timeout_ns = 400 * kMillisecondNs;
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target));
  expect_exact_books(measurement);
  EXPECT_GE(measurement.counts().timed_out, measurement.counts().planned / 50);
  EXPECT_TRUE(std::isinf(measurement.response(true).percentile_ns(99)));
  EXPECT_TRUE(std::isfinite(measurement.response(true).percentile_ns(50)));
}

TEST(MeasureTest, AServerThatGoesAwayFailsTheRestAndTheRunGoesOn) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = settings_for(server.port());
  settings.plan.duration_ns = 1'600 * kMillisecondNs;
  settings.timeout_ns = 200 * kMillisecondNs;
  std::thread killer;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t begin_ns) {
    killer = std::thread([&server, begin_ns] {
      sleep_until(begin_ns + kSecondNs);
      server.go_away();
    });
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  killer.join();
  expect_exact_books(measurement);
  ASSERT_EQ(measurement.seconds.size(), 2U);
  EXPECT_GT(measurement.seconds[0].counts.completed, 0U);
  EXPECT_GT(measurement.seconds[1].counts.planned, 0U);
  EXPECT_GT(measurement.seconds[1].counts.bad(), measurement.seconds[1].counts.planned / 2);
  std::string messages;
  for (const auto& [message, times] : measurement.errors) messages += message + "\n";
  EXPECT_NE(messages.find("refused"), std::string::npos) << messages;
}

TEST(MeasureTest, AnInterruptLeavesAPartialMeasurement) {
  ScriptedServer server([](Peer& peer) {
    for (int i = 0; i < 20; ++i) {
      if (peer.read_request().empty()) return;
      peer.write(kOkAnswer);
    }
    peer.wait_for_close();  // from then on requests are in flight for ever
  });
  MeasureSettings settings = settings_for(server.port());
  settings.plan.duration_ns = 60 * kSecondNs;
  settings.timeout_ns = 60 * kSecondNs;
  std::atomic<bool> interrupted{false};
  MeasureHooks hooks;
  hooks.interrupted = &interrupted;
  hooks.progress = [&](const Progress& progress) {
    if (progress.second >= 0) interrupted.store(true, std::memory_order_relaxed);
  };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  EXPECT_TRUE(measurement.interrupted);
  expect_exact_books(measurement);
  EXPECT_EQ(measurement.counts().completed, settings.connections * 20);
  EXPECT_EQ(measurement.counts().planned, measurement.counts().completed)
      << "what was in flight is left out";
  EXPECT_TRUE(std::any_of(
      measurement.invalid.begin(), measurement.invalid.end(),
      [](const std::string& reason) { return reason.find("left out") != std::string::npos; }))
      << "and those left out are the slow ones";
  EXPECT_LT(measurement.duration_ns, settings.plan.duration_ns);
  EXPECT_EQ(measurement.seconds.size(),
            static_cast<std::size_t>((measurement.duration_ns + kSecondNs - 1) / kSecondNs));
}

TEST(MeasureTest, AnInterruptInTheWarmUpMeasuresNothing) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = settings_for(server.port());
  settings.warm_up_ns = 60 * kSecondNs;
  const std::atomic<bool> interrupted{true};
  MeasureHooks hooks;
  hooks.interrupted = &interrupted;
  hooks.on_begin = [](std::int64_t) { ADD_FAILURE() << "it never began"; };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  EXPECT_TRUE(measurement.interrupted);
  EXPECT_TRUE(measurement.seconds.empty());
  EXPECT_EQ(measurement.duration_ns, 0);
}

TEST(MeasureTest, AnInterruptEndsTheWaitForConnections) {
  // A listener whose queue is full: connects hang.
  ScriptedServer server(always(kOkAnswer), /*accepts=*/false);
  MeasureSettings settings = settings_for(server.port());
  settings.connections = 20;
  settings.timeout_ns = 3600 * kSecondNs;
  const std::atomic<bool> interrupted{true};
  MeasureHooks hooks;
  hooks.interrupted = &interrupted;
  const std::int64_t begin = now_ns();
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  EXPECT_TRUE(measurement.interrupted);
  EXPECT_LT(now_ns() - begin, 9 * kSecondNs) << "it waited until it gave up by itself";
}

TEST(MeasureTest, TheSameSeedSendsTheSameBytes) {
  const auto sent = [](std::uint64_t seed) {
    std::string bytes;
    ScriptedServer server([&](Peer& peer) {
      for (std::string request; !(request = peer.read_request()).empty();) {
        // The Host field has the server's port.
        const std::size_t host = request.find("Host:");
        request.erase(host, request.find("\r\n", host) - host);
        bytes += request;
        peer.write(kOkAnswer);
      }
    });
    MeasureSettings settings = settings_for(server.port());
    settings.plan.seed = seed;
    settings.connections = 1;
    expect_exact_books(measured(settings, mixed_scenario()));
    return bytes;
  };
  const std::string first = sent(7);
  EXPECT_GT(first.size(), 1000U);
  EXPECT_EQ(first, sent(7));
  EXPECT_NE(first, sent(8));
}

TEST(MeasureTest, SessionsGoOnAfterAnAnswer) {
  const auto scenario = Scenario::parse(R"(
routes:
  - name: session
    steps:
      - path: /first/{{same id int 0 99999}}
      - {path: "/second/{{same id int 0 99999}}", think: 20ms}
      - {path: /missing, think: {mean: 10ms, distribution: exponential}}
      - path: /never
    expect: [200]
)",
                                        ".");
  ASSERT_TRUE(std::holds_alternative<Scenario>(scenario)) << std::get<std::string>(scenario);
  std::mutex mutex;
  std::map<std::string, std::int64_t> firsts;
  std::map<std::string, std::uint64_t> paths;
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const std::string path = request.substr(4, request.find(' ', 4) - 4);
      const std::size_t id = path.find('/', 1);
      {
        const std::lock_guard lock(mutex);
        ++paths[path.substr(0, id)];
        if (path.starts_with("/first")) firsts[path.substr(id)] = now_ns();
        if (path.starts_with("/second")) {
          EXPECT_GE(now_ns() - firsts.at(path.substr(id)), 20 * kMillisecondNs);
        }
      }
      peer.write(path == "/missing" ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                                    : kOkAnswer);
    }
  });
  const MeasureSettings settings = settings_for(server.port());
  const Measurement measurement = measured(settings, std::get<Scenario>(scenario));
  expect_exact_books(measurement);
  server.finish();
  const Counts counts = measurement.counts();
  EXPECT_EQ(counts.planned, paths["/first"] + paths["/second"] + paths["/missing"]);
  EXPECT_GT(paths["/second"], 0U);
  EXPECT_LE(paths["/second"], paths["/first"]);
  EXPECT_GT(paths["/missing"], 0U);
  EXPECT_LE(paths["/missing"], paths["/second"]);
  EXPECT_EQ(paths.count("/never"), 0U) << "a session ends when it did not succeed";
  EXPECT_EQ(counts.completed - counts.succeeded, paths["/missing"]);
}

TEST(MeasureTest, AConnectionCarriesAsManyRequestsAsAsked) {
  std::atomic<int> over{0};
  ScriptedServer server([&](Peer& peer) {
    for (int i = 1; !peer.read_request().empty(); ++i) {
      if (i > 5) over.fetch_add(1, std::memory_order_relaxed);
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.requests_per_connection = 5;
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target));
  expect_exact_books(measurement);
  EXPECT_EQ(measurement.counts().succeeded, measurement.counts().planned);
  EXPECT_EQ(over.load(std::memory_order_relaxed), 0);
  EXPECT_GE(server.connections(), measurement.counts().planned / 5);
  EXPECT_EQ(measurement.connect.latencies().count(), server.connections());
}

TEST(MeasureTest, SaysThatTheTargetIsUnreachable) {
  std::uint16_t port = 0;
  {
    const ScriptedServer gone(always(kOkAnswer));
    port = gone.port();
  }
  const MeasureSettings settings = settings_for(port);
  const auto result = measure(settings, Scenario::of_url(settings.target), {});
  ASSERT_TRUE(std::holds_alternative<MeasureError>(result));
  const auto& error = std::get<MeasureError>(result);
  EXPECT_EQ(error.kind, MeasureError::Kind::kUnreachable);
  EXPECT_NE(error.message.find("refused"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find(std::to_string(port)), std::string::npos) << error.message;
}

TEST(MeasureTest, SaysThatThereAreTooFewDescriptors) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = settings_for(server.port());
  settings.connections = 100'000'000;
  const auto result = measure(settings, Scenario::of_url(settings.target), {});
  ASSERT_TRUE(std::holds_alternative<MeasureError>(result));
  EXPECT_EQ(std::get<MeasureError>(result).kind, MeasureError::Kind::kNoResources);
}

TEST(MeasureTest, TellsOfProgress) {
  NullServer server;
  MeasureSettings settings = settings_for(server.port());
  settings.warm_up_ns = 300 * kMillisecondNs;
  settings.plan.duration_ns = 1'500 * kMillisecondNs;
  std::vector<Progress> told;
  MeasureHooks hooks;
  hooks.progress = [&](const Progress& progress) { told.push_back(progress); };
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target), hooks);
  expect_exact_books(measurement);
  EXPECT_GE(server.answered(), measurement.counts().completed);
  ASSERT_FALSE(told.empty());
  for (std::size_t i = 1; i < told.size(); ++i) {
    EXPECT_GT(told[i].second, told[i - 1].second);
    EXPECT_GE(told[i].counts.completed, told[i - 1].counts.completed);
  }
  EXPECT_LE(told.back().counts.planned, measurement.counts().planned);
  EXPECT_GT(told.back().counts.completed, 0U);
}

}  // namespace
}  // namespace tailrace::loadtest
