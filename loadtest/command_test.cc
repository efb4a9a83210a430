// tailrace-load as its users have it: the program itself, against a synthetic server, by its exit codes,
// what it prints and the files that it leaves. A noisy host may void a run (exit 3); what is asked for here
// holds there too.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "loadtest/host.h"
#include "loadtest/outputs.h"
#include "loadtest/plan.h"
#include "loadtest/queue_theory.h"
#include "loadtest/scrape.h"
#include "loadtest/scripted_server.h"
#include "loadtest/selfcheck.h"
#include "loadtest/synthetic.h"
#include "loadtest/test_cache.h"

namespace tailrace::loadtest {
namespace {

namespace files = std::filesystem;

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    // A ceiling that refuses nothing, so that no test waits for a selfcheck.
    Selfcheck ceiling;
    ceiling.workers = 1;
    ceiling.most_rate_per_worker = 50'000;
    EXPECT_TRUE(remember_selfcheck(read_host(), {}, ceiling));
  }

  std::string url_of(const std::string& model) {
    auto port = server_.start(model, "127.0.0.1", 0);
    EXPECT_TRUE(std::holds_alternative<std::uint16_t>(port));
    return "http://127.0.0.1:" + std::to_string(std::get<std::uint16_t>(port)) + "/";
  }

  // Starts the program; its stdout and stderr go to files.
  pid_t start(const std::vector<std::string>& words, const std::string& out = "") {
    std::vector<char*> arguments;
    std::string program = TAILRACE_LOAD;
    arguments.push_back(program.data());
    std::vector<std::string> copy = words;
    for (std::string& word : copy) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string to = out.empty() ? directory_ + "/out" : out;
      static_cast<void>(!std::freopen(to.c_str(), "w", stdout));
      static_cast<void>(!std::freopen((directory_ + "/err").c_str(), "w", stderr));
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    return child;
  }
  static int wait_for(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  int run(const std::vector<std::string>& words, const std::string& out = "") {
    return wait_for(start(words, out));
  }

  std::string read(const std::string& name) const {
    std::ifstream stream(directory_ + "/" + name);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  std::string out() const { return read("out"); }
  std::string err() const { return read("err"); }
  Result result(const std::string& name) const {
    auto read = read_result(directory_ + "/" + name);
    if (auto* message = std::get_if<std::string>(&read)) {
      ADD_FAILURE() << *message;
      return {};
    }
    return std::get<Result>(std::move(read));
  }

  const TestCache cache_;
  const std::string& directory_ = cache_.directory();
  SyntheticServer server_;
};

bool is_one_of(int value, std::initializer_list<int> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

TEST_F(CommandTest, UsageIsExit2AndNamesTheRemedy) {
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  const Case cases[] = {
      {{}, "subcommand"},
      {{"run"}, "url"},
      {{"run", "http://127.0.0.1:1/"}, "rate"},
      {{"run", "ftp://127.0.0.1:1/", "-r", "10"}, "http://"},
      {{"run", "http://127.0.0.1:1/", "-r", "many"}, "-r"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "-d", "10"}, "-d"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "--slo", "p99"}, "p99.9<20ms"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "--scenario", "/none"}, "/none"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "--idle", "rest"}, "hybrid"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "-o", "/proc/none"}, "/proc/none"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "-d", "7h"}, "6h"},
      {{"run", "http://127.0.0.1:1/", "-r", "10", "-c", "1", "-t", "2"}, "at least 2"},
      {{"ramp", "http://127.0.0.1:1/", "--rates", "1,2,3", "-d", "3h"}, "6h in all"},
      {{"ramp", "http://127.0.0.1:1/"}, "--from"},
      {{"ramp", "http://127.0.0.1:1/", "--from", "9", "--to", "3"}, "above"},
      {{"report", "/none"}, "/none"},
      {{"compare", "/none", "/none"}, "/none"},
      {{"serve-synthetic", "md7"}, "md1"}};
  for (const Case& each : cases) {
    EXPECT_EQ(run(each.words), 2) << each.says;
    EXPECT_NE((out() + err()).find(each.says), std::string::npos) << each.says << ": " << err();
  }
}

TEST_F(CommandTest, NobodyThereIsExit4) {
  EXPECT_EQ(run({"run", "http://127.0.0.1:1/", "-r", "10", "-d", "1s", "-t", "1"}), 4);
  EXPECT_NE(err().find("127.0.0.1:1"), std::string::npos) << err();
  const std::string url = url_of("none");
  EXPECT_EQ(run({"run", url, "-r", "10", "-d", "1s", "-t", "1", "--metrics",
                 "http://127.0.0.1:1/metrics"}),
            4);
}

TEST_F(CommandTest, AServerThatOnlyFailsIsExit4HoweverQuickItIs) {
  ScriptedServer server(always("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(run({"run", "http://127.0.0.1:" + std::to_string(server.port()) + "/", "-r", "100",
                 "-d", "1s", "-t", "1", "--warmup", "0ms", "--metrics", "off"}),
            4);
}

TEST_F(CommandTest, ARunLeavesItsFilesAndTheSameSeedTheSamePlan) {
  const std::string url = url_of("md1:us=200");
  const std::vector<std::string> words = {"run", url, "-r",       "500", "-d",     "2s",
                                          "-t",  "1", "--warmup", "0ms", "--seed", "7"};
  std::vector<std::string> with_files = words;
  with_files.insert(with_files.end(), {"-o", directory_ + "/report"});
  EXPECT_TRUE(is_one_of(run(with_files), {0, 3})) << err();
  EXPECT_NE(out().find("P99"), std::string::npos) << out();
  for (const char* name : {"report.html", "results.json", "latency.hgrm", "seconds.csv"}) {
    EXPECT_GT(files::file_size(directory_ + "/report/" + name), 100u) << name;
  }
  const Result first = result("report/results.json");
  ASSERT_EQ(first.measurements.size(), 1u);
  const Measurement& measured = first.measurements[0];
  const Counts counts = measured.counts();
  EXPECT_EQ(counts.planned, counts.completed + counts.dropped + counts.timed_out + counts.failed);
  EXPECT_GT(counts.planned, 500u);
  EXPECT_EQ(first.seed, 7u);
  // The server's own counters are joined: they tell about the same rate. Its readings and the requests'
  // ends are not at the same instant.
  EXPECT_NEAR(measured.server.requests / measured.server.seconds, 500, 200);
  // And to the seconds, but for one whose reading came very late; together these are no more than all.
  double by_second = 0;
  for (const Second& second : measured.seconds) {
    if (second.server.requests > 0) by_second += second.server.requests;
  }
  EXPECT_GT(by_second, 0);
  EXPECT_LE(by_second, measured.server.requests);

  EXPECT_TRUE(is_one_of(run({"run", url, "-r", "500", "-d", "2s", "-t", "1", "--warmup", "0ms",
                             "--seed", "7", "--quiet", "--json", directory_ + "/again"}),
                        {0, 3}));
  EXPECT_EQ(out(), "");
  EXPECT_EQ(result("again").measurements[0].plan_digest, measured.plan_digest);
  EXPECT_EQ(result("again").measurements[0].counts().planned, counts.planned);

  std::vector<std::string> dry = words;
  dry.push_back("--dry-run");
  EXPECT_EQ(run(dry), 0);
  char digest[32];
  std::snprintf(digest, sizeof digest, "%016llx",
                static_cast<unsigned long long>(measured.plan_digest));
  EXPECT_NE(out().find(digest), std::string::npos) << out();

  EXPECT_EQ(run({"report", directory_ + "/report/results.json"}), 0);
  EXPECT_NE(out().find("P99"), std::string::npos);
  EXPECT_EQ(run({"report", directory_ + "/report/results.json", "--format", "html"}), 0);
  EXPECT_EQ(out(), read("report/report.html"));
}

// The plan is known before the run, and the server serves one after the other: every sojourn can be computed
// by hand. What is measured is never below that, however noisy the host; by how much it lies above is the
// host's, and held to a factor only at the median of a valid run.
TEST_F(CommandTest, AQueueWithAKnownLawIsMeasuredAsComputedByHand) {
  constexpr std::int64_t kService = 2'000'000;
  const std::string url = url_of("md1:us=2000");
  const int code = run({"run", url, "-r", "350", "-d", "4s", "-t", "1", "--warmup", "0ms", "--seed",
                        "11", "--json", directory_ + "/md1", "--metrics", "off"});
  ASSERT_TRUE(is_one_of(code, {0, 3})) << code << err();
  PlanSettings settings;
  settings.rate_per_second = 350;
  settings.duration_ns = 4'000'000'000;
  settings.seed = 11;
  Plan plan(settings, {1.0}, 0);
  std::vector<std::int64_t> due;
  for (Arrival arrival; plan.next(arrival);) due.push_back(arrival.due_ns);
  std::vector<std::int64_t> by_hand = lindley(due, kService);
  std::sort(by_hand.begin(), by_hand.end());

  const Latencies measured = result("md1").measurements.at(0).response(/*with_voided=*/true);
  ASSERT_EQ(measured.count(), by_hand.size());
  for (const double percent : {50.0, 90.0, 99.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(by_hand.size())));
    const auto expected = static_cast<double>(by_hand.at(rank - 1));
    // Two that come together may be served in either order, which moves a percentile a little.
    EXPECT_GE(measured.percentile_ns(percent), expected * 0.95) << percent;
    if (code == 0 && percent == 50) {
      EXPECT_LE(measured.percentile_ns(percent), expected * 3);
    }
  }
}

TEST_F(CommandTest, AThresholdThatFailsIsExit1) {
  const std::string url = url_of("none");
  const int code = run({"run", url, "-r", "200", "-d", "1s", "-t", "1", "--slo", "p50<1ns"});
  EXPECT_TRUE(is_one_of(code, {1, 3})) << code;
  EXPECT_NE(out().find("p50<1ns"), std::string::npos) << out();
}

TEST_F(CommandTest, ARateBeyondTheCeilingIsRefusedOrMarked) {
  const std::string url = url_of("none");
  EXPECT_EQ(run({"run", url, "-r", "40k", "-d", "1s", "-t", "1"}), 3);
  EXPECT_NE(err().find("70 %"), std::string::npos) << err();
  EXPECT_NE(err().find("--above-ceiling"), std::string::npos) << err();
  run({"run", url, "-r", "40k", "-d", "1s", "-t", "1", "--above-ceiling", "--warmup", "0ms",
       "--json", directory_ + "/above"});
  EXPECT_TRUE(result("above").above_ceiling);
}

// A trace has its own rate, and sessions have more requests than arrivals.
TEST_F(CommandTest, TheCeilingKnowsWhatATraceAndASessionAskFor) {
  const std::string url = url_of("none");
  const std::string trace = directory_ + "/trace";
  {
    std::ofstream stream(trace);
    for (int i = 0; i < 40'000; ++i) stream << 0.5 + 1e-6 * i << '\n';
  }
  EXPECT_EQ(run({"run", url, "-r", "1", "-d", "10s", "-t", "1", "--arrival", "trace:" + trace}), 3);
  EXPECT_NE(err().find("40,000 requests/s"), std::string::npos) << err();
  EXPECT_EQ(run({"ramp", url, "--rates", "1,2", "-t", "1", "--arrival", "trace:" + trace}), 2);
  EXPECT_NE(err().find("trace"), std::string::npos) << err();

  const std::string scenario = directory_ + "/session.yaml";
  std::ofstream(scenario)
      << "routes: [{name: session, steps: [{path: /a}, {path: /b}, {path: /c}, {path: /d}]}]";
  EXPECT_EQ(run({"run", url, "-r", "10k", "-d", "1s", "-t", "1", "--scenario", scenario}), 3);
  EXPECT_NE(err().find("40,000 requests/s"), std::string::npos) << err();
}

TEST_F(CommandTest, ARunWithoutARequestSaysNothingGood) {
  // Its one request is due after the end.
  const std::string none = directory_ + "/none";
  std::ofstream(none) << "3000\n";
  EXPECT_EQ(run({"run", url_of("none"), "-r", "1", "-d", "1s", "-t", "1", "--warmup", "0ms",
                 "--arrival", "trace:" + none, "--slo", "p99<1h"}),
            3);
  EXPECT_NE(out().find("no request was due"), std::string::npos) << out();
}

TEST_F(CommandTest, AStdoutThatIsFullCostsNoFile) {
  EXPECT_EQ(run({"run", url_of("none"), "-r", "100", "-d", "1s", "-t", "1", "--warmup", "0ms",
                 "--json", "-", "-o", directory_ + "/kept"},
                "/dev/full"),
            3);
  EXPECT_GT(result("kept/results.json").measurements.at(0).counts().planned, 0u);
}

TEST_F(CommandTest, ATargetLostInARampIsExit4AndStandsInTheResult) {
  const std::string url = url_of("none");
  const pid_t child = start({"ramp", url, "--rates", "50,60,70,80", "-d", "1s", "-t", "1",
                             "--warmup", "0ms", "--rest", "2s", "-o", directory_ + "/lost"});
  // After the first step, before the second.
  while (err().find("50/s") == std::string::npos && ::waitpid(child, nullptr, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  server_.stop();
  EXPECT_EQ(wait_for(child), 4);
  const Result lost = result("lost/results.json");
  ASSERT_EQ(lost.measurements.size(), 2u);
  EXPECT_GT(lost.measurements[0].counts().completed, 0u);
  ASSERT_FALSE(lost.measurements[1].invalid.empty());
  EXPECT_NE(lost.measurements[1].invalid[0].find("lost"), std::string::npos);
  EXPECT_NE(out().find("the target was lost"), std::string::npos) << out();
}

TEST_F(CommandTest, AnInterruptedRunWritesWhatItHas) {
  const std::string url = url_of("none");
  const pid_t child = start({"run", url, "-r", "200", "-d", "60s", "-t", "1", "--warmup", "0ms",
                             "-o", directory_ + "/partial"});
  // In the midst of it, however long its start takes.
  Scraper scraper(url + "metrics");
  while (!(scraper.read_once().figures.requests > 100)) {
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it ended before: " << err();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(::kill(child, SIGINT), 0);
  EXPECT_EQ(wait_for(child), 130);
  const Result partial = result("partial/results.json");
  EXPECT_TRUE(partial.interrupted);
  ASSERT_EQ(partial.measurements.size(), 1u);
  EXPECT_GT(partial.measurements[0].counts().completed, 0u);
  EXPECT_LT(partial.measurements[0].counts().planned, 200u * 60);
  EXPECT_GT(files::file_size(directory_ + "/partial/report.html"), 1000u);
}

TEST_F(CommandTest, ARampTellsWhereP99Inflects) {
  const std::string url = url_of("step:at=500,add=400ms,p=0.2");
  const int code =
      run({"ramp", url, "--rates", "200,260,330,410,600,700,800,900", "-d", "2s", "-t", "1",
           "--warmup", "300ms", "--rest", "10ms", "--json", directory_ + "/ramp"});
  EXPECT_TRUE(is_one_of(code, {0, 3})) << code << err();
  const Result ramp = result("ramp");
  ASSERT_EQ(ramp.measurements.size(), 8u);
  ASSERT_TRUE(ramp.inflection.has_value());
  for (const Measurement& step : ramp.measurements) {
    if (step.rate_per_second > 500) {
      EXPECT_GE(step.response(/*with_voided=*/true).percentile_ns(99), 400e6);
    }
  }
  // On a noisy host the steps below may look like a queue; a step is told where it is or not at all.
  if (ramp.inflection->shape == Inflection::Shape::kStep) {
    EXPECT_LT(ramp.inflection->last_low_rate, 500);
    EXPECT_GT(ramp.inflection->first_high_rate, 500);
  }
  EXPECT_NE(out().find("requests/s"), std::string::npos) << out();
}

}  // namespace
}  // namespace tailrace::loadtest
