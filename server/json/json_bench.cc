// The encoder against nlohmann's dump, the decoder against simdjson's on-demand reads of the same
// text, on a user of 444 bytes: 5 doubles, 5 integers, 18 strings. What counts are ratios within
// one run:
//   encode >= 10x nlohmann_dump,  decode >= 0.6x simdjson_on_demand_reads (which builds nothing).
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <boost/describe.hpp>
#include <string>

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define TAILRACE_HAS_NLOHMANN 1
#endif

#include "gcruntime/gc/mutator.h"
#include "server/json/decode.h"
#include "server/json/encode.h"
#include "server/json/minify.h"
#include "server/json/test_values.h"

namespace tailrace::json {

namespace bench {

struct Place {
  gc::String street, city, country, zip;
  double latitude = 0;
  double longitude = 0;
};
BOOST_DESCRIBE_STRUCT(Place, (), (street, city, country, zip, latitude, longitude))

struct Account {
  std::int64_t id = 0;
  gc::String name, email, phone;
  bool active = false;
  double score = 0;
  double balance = 0;
  double rate = 0;
  std::int64_t created = 0;
  std::int64_t updated = 0;
  std::int32_t logins = 0;
  std::int32_t level = 0;
  gc::Vector<gc::String> roles;
  gc::Member<Place> address;
  gc::Vector<gc::String> tags;
};
BOOST_DESCRIBE_STRUCT(Account, (),
                      (id, name, email, phone, active, score, balance, rate, created, updated,
                       logins, level, roles, address, tags))

constexpr std::string_view kAccount =
    R"({"id":1234567,"name":"Johanna Wintergreen","email":"johanna@example.com","phone":"555-0134",)"
    R"("active":true,"score":8.75,"balance":1024.5,"rate":0.0375,"created":1700000000,)"
    R"("updated":1700086400,"logins":421,"level":7,"roles":["reader","writer","team-67","auditor"],)"
    R"("address":{"street":"12 High Street","city":"Springfield","country":"Freedonia","zip":"04567",)"
    R"("latitude":52.5163,"longitude":13.3777},)"
    R"("tags":["alpha","beta","tag-567","gamma","delta","epsilon","zeta"]})";

}  // namespace bench

namespace {

using bench::Account;
using testing::Padded;

void set_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(bytes));
}

void encode_account(benchmark::State& state) {
  const gc::ThreadScope attached;
  const Padded text(bench::kAccount);
  const auto account = decode<Account>(text);
  http::Buffer out;
  for (auto _ : state) {
    out.clear();
    if (!encode(*account, out)) state.SkipWithError("not encoded");
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  if (out.view() != bench::kAccount) state.SkipWithError("encoded to something else");
  set_bytes(state, out.size());
}
BENCHMARK(encode_account);

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

void decode_account(benchmark::State& state) {
  const gc::ThreadScope attached;
  const Padded text(bench::kAccount);
  for (auto _ : state) {
    const auto account = decode<Account>(text);
    if (!account) state.SkipWithError("not decoded");
    benchmark::DoNotOptimize(account.value);
  }
  set_bytes(state, bench::kAccount.size());
}
BENCHMARK(decode_account);

void decode_account_members_reversed(benchmark::State& state) {
  const gc::ThreadScope attached;
  const Padded text(
      R"({"tags":["alpha","beta","tag-567","gamma","delta","epsilon","zeta"],)"
      R"("address":{"longitude":13.3777,"latitude":52.5163,"zip":"04567","country":"Freedonia",)"
      R"("city":"Springfield","street":"12 High Street"},)"
      R"("roles":["reader","writer","team-67","auditor"],"level":7,"logins":421,"updated":1700086400,)"
      R"("created":1700000000,"rate":0.0375,"balance":1024.5,"score":8.75,"active":true,)"
      R"("phone":"555-0134","email":"johanna@example.com","name":"Johanna Wintergreen","id":1234567})");
  for (auto _ : state) {
    const auto account = decode<Account>(text);
    if (!account) state.SkipWithError("not decoded");
    benchmark::DoNotOptimize(account.value);
  }
  set_bytes(state, text.view().size());
}
BENCHMARK(decode_account_members_reversed);

// Every value is read by the type it has, in declared order; strings are unescaped but not kept.
void simdjson_on_demand_reads(benchmark::State& state) {
  const Padded padded(bench::kAccount);
  simdjson::ondemand::parser parser;
  std::size_t sum = 0;
  const auto text = [&](auto value) { sum += value.value().size(); };
  const auto texts = [&](simdjson::ondemand::array values) {
    for (auto value : values) text(value.get_string());
  };
  for (auto _ : state) {
    auto document = parser.iterate(padded.view().data(), padded.view().size(),
                                   padded.view().size() + simdjson::SIMDJSON_PADDING);
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

void structural_index(benchmark::State& state) {
  const Padded text(bench::kAccount);
  for (auto _ : state) {
    const internal::StructuralIndex index(text);
    benchmark::DoNotOptimize(index.count());
  }
  set_bytes(state, bench::kAccount.size());
}
BENCHMARK(structural_index);

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

std::string twenty_events() {
  std::string text = "[";
  for (int i = 0; i < 20; ++i) text += std::string(testing::kEvent1) + ",";
  text.back() = ']';
  return text;
}

void decode_twenty_events(benchmark::State& state) {
  const gc::ThreadScope attached;
  const Padded text(twenty_events());
  for (auto _ : state) {
    const auto events = decode<gc::Vector<testing::Event>>(text);
    if (!events) state.SkipWithError("not decoded");
    benchmark::DoNotOptimize(events.value);
  }
  set_bytes(state, text.view().size());
}
BENCHMARK(decode_twenty_events);

void minify_twenty_events(benchmark::State& state) {
  const Padded text(twenty_events());
  http::Buffer out;
  for (auto _ : state) {
    out.clear();
    if (minify(text, out)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(out.data());
  }
  set_bytes(state, text.view().size());
}
BENCHMARK(minify_twenty_events);

void encode_texts(benchmark::State& state) {
  const gc::ThreadScope attached;
  const gc::String text(std::string(static_cast<std::size_t>(state.range(0)), 'x'));
  http::Buffer out;
  for (auto _ : state) {
    out.clear();
    if (!encode(text, out)) state.SkipWithError("not encoded");
    benchmark::DoNotOptimize(out.data());
  }
  set_bytes(state, text.size());
}
BENCHMARK(encode_texts)->Arg(10)->Arg(40)->Arg(1000)->Arg(100000);

}  // namespace
}  // namespace tailrace::json
