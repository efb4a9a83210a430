#include "loadtest/result_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "loadtest/test_results.h"

namespace tailrace::loadtest {
namespace {

using nlohmann::json;

Result read(const std::string& text) {
  std::variant<Result, std::string> read = read_json(text);
  if (const auto* message = std::get_if<std::string>(&read)) ADD_FAILURE() << *message;
  return std::holds_alternative<Result>(read) ? std::get<Result>(std::move(read)) : Result();
}

std::string refusal(const std::string& text) {
  const std::variant<Result, std::string> read = read_json(text);
  return std::holds_alternative<std::string>(read) ? std::get<std::string>(read) : "";
}

// What is written again is the same only if every field came back.
void expect_round_trip(const Result& result) {
  const std::string text = write_json(result);
  EXPECT_EQ(write_json(read(text)), text);
}

TEST(ResultJson, RoundTrips) {
  expect_round_trip(test_results::quiet());
  expect_round_trip(test_results::stalled());
  expect_round_trip(test_results::overloaded());
  expect_round_trip(test_results::step_ramp());
  expect_round_trip(test_results::smooth_ramp());
  expect_round_trip(test_results::empty());
  expect_round_trip(Result());
}

TEST(ResultJson, ReadsEveryFieldThatItWrites) {
  const Result result = test_results::step_ramp();
  const Result back = read(write_json(result));
  EXPECT_EQ(back.kind, result.kind);
  EXPECT_EQ(back.command, result.command);
  EXPECT_EQ(back.host.fingerprint(), result.host.fingerprint());
  ASSERT_TRUE(back.selfcheck);
  EXPECT_EQ(back.selfcheck->grade, 'B');
  EXPECT_EQ(back.selfcheck->clock_cost_ns, 48);
  ASSERT_TRUE(back.inflection);
  EXPECT_EQ(back.inflection->shape, Inflection::Shape::kStep);
  ASSERT_EQ(back.measurements.size(), result.measurements.size());
  for (std::size_t i = 0; i < back.measurements.size(); ++i) {
    const Measurement& a = back.measurements[i];
    const Measurement& b = result.measurements[i];
    EXPECT_EQ(a.plan_digest, b.plan_digest);
    EXPECT_EQ(a.counts(), b.counts());
    EXPECT_EQ(a.response(true), b.response(true));
    EXPECT_EQ(a.service(true), b.service(true));
    EXPECT_EQ(a.voided_seconds(), b.voided_seconds());
    EXPECT_EQ(a.statuses, b.statuses);
    EXPECT_EQ(a.errors, b.errors);
    EXPECT_EQ(a.connect, b.connect);
    EXPECT_EQ(a.invalid, b.invalid);
  }
}

// Every number another one: none can stand in for its neighbour.
TEST(ResultJson, MixesNoFieldsUp) {
  Result result = test_results::one_second();
  Second& second = result.measurements.front().seconds.front();
  second.counts = {101, 102, 104, 103, 105, 106, 107, 108, 109};
  second.server = {0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5};
  second.in_flight_most = 11;
  second.generator_busy = 0.25;
  second.steal = 0.125;
  const Result back = read(write_json(result));
  const Second& read = back.measurements.front().seconds.front();
  EXPECT_EQ(read.counts, second.counts);
  EXPECT_EQ(read.in_flight_most, 11U);
  EXPECT_EQ(read.generator_busy, 0.25);
  EXPECT_EQ(read.steal, 0.125);
  EXPECT_EQ(read.response, second.response);
  EXPECT_EQ(read.lateness, second.lateness);
  EXPECT_EQ(read.client_queue, second.client_queue);
  EXPECT_EQ(read.service, second.service);
  for (const auto member :
       {&ServerFigures::seconds, &ServerFigures::requests, &ServerFigures::gc_cycles,
        &ServerFigures::gc_cpu_seconds, &ServerFigures::gc_hold_seconds,
        &ServerFigures::alloc_bytes, &ServerFigures::heap_alloc_bytes, &ServerFigures::cpu_seconds,
        &ServerFigures::heap_live_bytes, &ServerFigures::resident_bytes}) {
    EXPECT_EQ(read.server.*member, second.server.*member);
  }
}

TEST(ResultJson, KeepsExtremeNumbers) {
  Result result = test_results::one_second();
  Measurement& measurement = result.measurements.front();
  result.seed = measurement.seed = measurement.plan_digest =
      std::numeric_limits<std::uint64_t>::max();
  measurement.rate_per_second = 1.0 / 3;
  measurement.server.alloc_bytes = 1e300;
  measurement.server.cpu_seconds = ServerFigures::kNone;
  result.inflection = Inflection{};
  result.inflection->after_ns = std::numeric_limits<double>::infinity();
  result.inflection->bic_gain = std::numeric_limits<double>::quiet_NaN();
  const Result back = read(write_json(result));
  EXPECT_EQ(back.seed, result.seed);
  EXPECT_EQ(back.measurements[0].plan_digest, result.seed);
  EXPECT_EQ(back.measurements[0].rate_per_second, 1.0 / 3);
  EXPECT_EQ(back.measurements[0].server.alloc_bytes, 1e300);
  EXPECT_TRUE(std::isnan(back.measurements[0].server.cpu_seconds));
  EXPECT_TRUE(std::isinf(back.inflection->after_ns));
  EXPECT_TRUE(std::isnan(back.inflection->bic_gain));
}

TEST(ResultJson, KeysAreStable) {
  const json document = json::parse(write_json(test_results::stalled()));
  EXPECT_EQ(document["schema"], 1);
  const json& measurement = document["measurements"][0];
  EXPECT_TRUE(measurement["summary"]["response"]["p99_9_ns"].is_number());
  EXPECT_TRUE(measurement["summary"]["gc_cycles_per_second"].is_number());
  EXPECT_EQ(measurement["seconds"].size(), 60U);
  EXPECT_EQ(measurement["seconds"][35]["voided"], "steal 6 %");
  EXPECT_TRUE(measurement["seconds"][0]["response"]["histogram_ns"].is_string());
  EXPECT_TRUE(document["selfcheck"]["lateness_max_ns"].is_number());
  const json overloaded = json::parse(write_json(test_results::overloaded()));
  EXPECT_EQ(overloaded["measurements"][0]["summary"]["response"]["p99_ns"], "inf");
}

TEST(ResultJson, AMinuteAtTenThousandIsSmall) {
  EXPECT_LT(write_json(test_results::busy_minute()).size(), 1'000'000U);
}

TEST(ResultJson, ReplacesBytesThatAreNoText) {
  Result result = test_results::hostile();
  const std::string text = write_json(result);
  EXPECT_EQ(write_json(read(text)), text);
}

TEST(ResultJson, RefusesOtherSchemasWithARemedy) {
  json document = json::parse(write_json(test_results::one_second()));
  document["schema"] = 2;
  document["tool_version"] = "tailrace-load 9.0";
  const std::string message = refusal(document.dump());
  EXPECT_NE(message.find("schema 2"), std::string::npos) << message;
  EXPECT_NE(message.find("tailrace-load 9.0"), std::string::npos) << message;
  EXPECT_NE(message.find("newer"), std::string::npos) << message;
  for (const char* schema : {"0", "-1", "1.0", "\"1\"", "null", "[]"}) {
    document["schema"] = json::parse(schema);
    EXPECT_NE(refusal(document.dump()), "") << schema;
  }
  for (const char* text : {"", "7", "[]", "{}", "null", "\"x\"", "{\"schema\":1}"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

TEST(ResultJson, RefusesTheShortForm) {
  const std::string message = refusal(write_json(test_results::quiet(), JsonDetail::kSummary));
  EXPECT_NE(message.find("results.json"), std::string::npos) << message;
}

TEST(ResultJson, RefusesATruncatedFileAtEveryByte) {
  Result small = test_results::one_second();
  small.measurements.front().seconds.front().response = {};
  const std::string text = write_json(small);
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    ASSERT_NE(refusal(text.substr(0, size)), "") << size;
  }
}

// Every value of the document, one after the other, replaced by each of several wrong ones.
void visit(json& node, const std::function<void(json&)>& f) {
  f(node);
  if (!node.is_structured()) return;
  for (json& child : node) visit(child, f);
}

TEST(ResultJson, NeverCrashesOnWrongTypes) {
  json document = json::parse(write_json(test_results::one_second()));
  // Read no further: made when written.
  document["measurements"][0].erase("summary");
  const json wrong[] = {nullptr,        -1,   1e308,
                        "inf",          "x",  json::array(),
                        json::object(), true, std::numeric_limits<std::uint64_t>::max()};
  std::size_t refused = 0;
  std::size_t tried = 0;
  visit(document, [&](json& node) {
    const json kept = node;
    for (const json& value : wrong) {
      node = value;
      ++tried;
      const std::variant<Result, std::string> read = read_json(document.dump());
      if (const auto* message = std::get_if<std::string>(&read)) {
        ++refused;
        ASSERT_FALSE(message->empty());
      } else {
        // What is let in can be written.
        ASSERT_FALSE(write_json(std::get<Result>(read)).empty());
      }
    }
    node = kept;
  });
  EXPECT_GT(tried, 500U);
  EXPECT_GT(refused, tried / 2);
}

TEST(ResultJson, RefusesTamperedHistograms) {
  const json document = json::parse(write_json(test_results::one_second()));
  const char* const tampered[] = {"ll1",
                                  "ll1 7 40 5 5 5",
                                  "ll1 7 64 5 5 5 5:1",
                                  "ll1 7 40 5 5 5 99999999:1",
                                  "ll1 7 40 5 5 5 5:18446744073709551615 1:1",
                                  "ll1 7 40 5 5 5 5:18446744073709551615",
                                  "ll1 7 40 5 5 5 5:1 ",
                                  "ll1 7 40 5 5 5 5:-1",
                                  "ll2 7 40 5 5 5 5:1"};
  for (const char* text : tampered) {
    json changed = document;
    changed["measurements"][0]["seconds"][0]["service"]["histogram_ns"] = text;
    const std::string message = refusal(changed.dump());
    EXPECT_NE(message.find("seconds[0].service"), std::string::npos) << text << ": " << message;
  }
  json changed = document;
  changed["measurements"][0]["seconds"][0]["service"]["infinite"] = ~std::uint64_t{0};
  EXPECT_NE(refusal(changed.dump()), "");
}

TEST(ResultJson, MessageNamesThePlace) {
  json document = json::parse(write_json(test_results::one_second()));
  document["measurements"][0]["seconds"][0]["counts"]["sent"] = "many";
  const std::string message = refusal(document.dump());
  EXPECT_NE(message.find("measurements[0].seconds[0].counts.sent"), std::string::npos) << message;
  EXPECT_NE(message.find("measure again"), std::string::npos) << message;
}

TEST(ResultJson, IgnoresKeysItDoesNotKnow) {
  json document = json::parse(write_json(test_results::one_second()));
  document["later"] = {{"x", 1}};
  document["measurements"][0]["seconds"][0]["later"] = 1;
  EXPECT_EQ(refusal(document.dump()), "");
}

}  // namespace
}  // namespace tailrace::loadtest
