// The encoder against nlohmann's dump, the decoder against simdjson's on-demand reads of the same
// text, on a user of 464 bytes: 5 doubles, 5 integers, 18 strings. What counts are ratios within
// one run:
//   encode >= 10x nlohmann_dump,  decode >= 0.6x simdjson_on_demand_reads (which builds nothing).
#include <benchmark/benchmark.h>

#include <boost/describe.hpp>
#include <string>

#include "gcruntime/gc/mutator.h"
#include "server/json/decode.h"
#include "server/json/encode.h"
#include "server/json/json_bench_account.h"
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

void structural_index(benchmark::State& state) {
  const Padded text(bench::kAccount);
  for (auto _ : state) {
    const internal::StructuralIndex index(text);
    benchmark::DoNotOptimize(index.count());
  }
  set_bytes(state, bench::kAccount.size());
}
BENCHMARK(structural_index);

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
