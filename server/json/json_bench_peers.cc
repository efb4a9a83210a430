// The yardsticks of json_bench.cc: nlohmann's library, if it is there, and simdjson's own reads. A
// file of its own because of what these headers cost to compile; never instrumented by sanitizers.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <string>

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define TAILRACE_HAS_NLOHMANN 1
#endif

#include "server/json/json_bench_account.h"

namespace tailrace::json {
namespace {

void set_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(bytes));
}

#if TAILRACE_HAS_NLOHMANN
void nlohmann_dump(benchmark::State& state) {
  const nlohmann::ordered_json account = nlohmann::ordered_json::parse(bench::kAccount);
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::string text = account.dump();
    bytes = text.size();
    benchmark::DoNotOptimize(text.data());
  }
  set_bytes(state, bytes);
}
BENCHMARK(nlohmann_dump);
#endif

// Every value is read by the type it has, in declared order; strings are unescaped but not kept.
void simdjson_on_demand_reads(benchmark::State& state) {
  simdjson::padded_string padded(bench::kAccount);
  simdjson::ondemand::parser parser;
  std::size_t sum = 0;
  const auto text = [&](auto value) { sum += value.value().size(); };
  const auto texts = [&](simdjson::ondemand::array values) {
    for (auto value : values) text(value.get_string());
  };
  for (auto _ : state) {
    auto document = parser.iterate(padded);
    simdjson::ondemand::object account = document.get_object();
    sum += static_cast<std::size_t>(std::int64_t(account["id"]));
    text(account["name"].get_string());
    text(account["email"].get_string());
    text(account["phone"].get_string());
    sum += bool(account["active"]) ? 1u : 0u;
    sum += static_cast<std::size_t>(double(account["score"]) + double(account["balance"]) +
                                    double(account["rate"]));
    sum += static_cast<std::size_t>(
        std::int64_t(account["created"]) + std::int64_t(account["updated"]) +
        std::int64_t(account["logins"]) + std::int64_t(account["level"]));
    texts(account["roles"].get_array());
    simdjson::ondemand::object address = account["address"].get_object();
    text(address["street"].get_string());
    text(address["city"].get_string());
    text(address["country"].get_string());
    text(address["zip"].get_string());
    sum += static_cast<std::size_t>(double(address["latitude"]) + double(address["longitude"]));
    texts(account["tags"].get_array());
    benchmark::DoNotOptimize(sum);
  }
  set_bytes(state, bench::kAccount.size());
}
BENCHMARK(simdjson_on_demand_reads);

#if TAILRACE_HAS_NLOHMANN
void nlohmann_parse(benchmark::State& state) {
  for (auto _ : state) {
    const nlohmann::json account = nlohmann::json::parse(bench::kAccount);
    benchmark::DoNotOptimize(&account);
  }
  set_bytes(state, bench::kAccount.size());
}
BENCHMARK(nlohmann_parse);
#endif

}  // namespace
}  // namespace tailrace::json
