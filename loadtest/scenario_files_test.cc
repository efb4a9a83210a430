// The service's own mixes: each loads, and a thousand requests of each are HTTP with bodies of
// JSON.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "loadtest/plan.h"
#include "loadtest/scenario.h"

namespace tailrace::loadtest {
namespace {

namespace fs = std::filesystem;

const fs::path kScenarios = TAILRACE_SCENARIOS;

Scenario loaded(const fs::path& path) {
  std::variant<Scenario, std::string> scenario = Scenario::load(path.string());
  EXPECT_EQ(scenario.index(), 0u) << (scenario.index() == 1 ? std::get<std::string>(scenario) : "");
  return scenario.index() == 0 ? std::get<Scenario>(scenario) : Scenario();
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Line, headers, length and body of one request.
void check_request(const std::string& request) {
  const std::size_t head_end = request.find("\r\n\r\n");
  ASSERT_NE(head_end, std::string::npos) << request;
  const std::string head = request.substr(0, head_end + 2);
  const std::string body = request.substr(head_end + 4);
  const std::string line = head.substr(0, head.find("\r\n"));
  EXPECT_TRUE(line.ends_with(" HTTP/1.1")) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), ' '), 2) << line;
  EXPECT_EQ(line.find_first_of("{}"), std::string::npos) << line;
  EXPECT_NE(head.find("\r\nHost: h:1\r\n"), std::string::npos) << head;
  const std::size_t length = head.find("\r\nContent-Length: ");
  if (length == std::string::npos) {
    EXPECT_EQ(body, "");
    return;
  }
  EXPECT_EQ(std::stoul(head.substr(length + 18)), body.size());
  EXPECT_NE(head.find("\r\nContent-Type: application/json\r\n"), std::string::npos) << head;
  EXPECT_TRUE(nlohmann::json::accept(body)) << body;
  EXPECT_EQ(body.find("{{"), std::string::npos) << body;
}

TEST(ScenarioFiles, AllLoadAndWriteRequests) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(kScenarios)) {
    if (entry.path().extension() != ".yaml") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const Scenario scenario = loaded(entry.path());
    EXPECT_EQ(scenario.name(), entry.path().stem());
    names.insert(scenario.name());
    Plan plan({.rate_per_second = 1000, .duration_ns = 2'000'000'000}, scenario.weights(), 0);
    Arrival arrival;
    std::set<std::uint32_t> routes;
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(plan.next(arrival));
      routes.insert(arrival.route);
      const auto steps = static_cast<std::uint32_t>(scenario.routes()[arrival.route].steps.size());
      for (std::uint32_t step = 0; step < steps; ++step) {
        std::string out;
        scenario.write(out, arrival.route, step, "h:1", arrival.draw, arrival.number, 0);
        check_request(out);
        if (HasFatalFailure()) return;
      }
    }
    EXPECT_EQ(routes.size(), scenario.routes().size());
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"churn", "events", "mix", "naive-mix", "session", "users"}));
}

TEST(ScenarioFiles, NaiveMixIsTheMixElsewhere) {
  const auto routes = [](const std::string& text) { return text.substr(text.find("\nheaders:")); };
  std::string mix = routes(text_of(kScenarios / "mix.yaml"));
  for (std::size_t at = 0; (at = mix.find("path: /api/", at)) != std::string::npos;) {
    mix.replace(at, 11, "path: /naive/");
  }
  EXPECT_EQ(mix, routes(text_of(kScenarios / "naive-mix.yaml")));
}

// What the guide shows must be true.
TEST(ScenarioFiles, TheGuidesExampleLoads) {
  const std::string guide = text_of(kScenarios / "README.md");
  const std::size_t begin = guide.find("```yaml\n") + 8;
  const std::variant<Scenario, std::string> scenario =
      Scenario::parse(guide.substr(begin, guide.find("```", begin) - begin), "");
  ASSERT_EQ(scenario.index(), 0u) << std::get<std::string>(scenario);
  EXPECT_EQ(std::get<Scenario>(scenario).routes().size(), 2u);
}

TEST(ScenarioFiles, EventsAreTwentyAndDifferent) {
  const Scenario scenario = loaded(kScenarios / "events.yaml");
  std::set<std::string> ids;
  for (std::uint64_t number = 0; number < 50; ++number) {
    for (unsigned worker = 0; worker < 2; ++worker) {
      std::string out;
      scenario.write(out, 0, 0, "h:1", number * 77, number, worker);
      const nlohmann::json events = nlohmann::json::parse(out.substr(out.find("\r\n\r\n") + 4));
      ASSERT_EQ(events.size(), 20u);
      for (const auto& event : events) ids.insert(event["id"].get<std::string>());
    }
  }
  EXPECT_EQ(ids.size(), 50u * 2 * 20);
}

}  // namespace
}  // namespace tailrace::loadtest
