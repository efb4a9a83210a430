// Each pair's costs: ns/op, B/op and allocs/op (managed memory), mallocs/op (operator new), cycles'
// CPU time included. The lesson of each stands in its header.
#include <benchmark/benchmark.h>

#include <array>
#include <string>

#include "gcruntime/gc/mutator.h"
#include "gcruntime/gcruntime.h"
#include "handlers/patterns/append.h"
#include "handlers/patterns/boxing.h"
#include "handlers/patterns/closure.h"
#include "handlers/patterns/concatenation.h"
#include "handlers/patterns/integer.h"
#include "handlers/patterns/oversized.h"
#include "handlers/patterns/request_log.h"
#include "handlers/patterns/request_of.h"
#include "handlers/patterns/small_result.h"
#include "server/test_allocations.h"

namespace tailrace::patterns {
namespace {

template <typename F>
void measure(benchmark::State& state, F&& f) {
  const std::uint64_t mallocs = http::counted_allocations();
  {
    const auto allocs = gc::report_allocs(state);
    for (auto _ : state) benchmark::DoNotOptimize(f());
  }
  state.counters["mallocs/op"] =
      benchmark::Counter(static_cast<double>(http::counted_allocations() - mallocs),
                         benchmark::Counter::kAvgIterations);
}

// A pair, as two benchmarks NAME/bad and NAME/good.
template <typename Bad, typename Good>
int add_pair(const std::string& name, Bad bad, Good good) {
  const auto add = [&name](const char* side, auto f) {
    benchmark::RegisterBenchmark((name + side).c_str(), [f](benchmark::State& state) {
      const gc::ThreadScope attached;
      measure(state, f);
    })->MeasureProcessCPUTime();
  };
  add("/bad", bad);
  add("/good", good);
  return 0;
}

constexpr std::string_view kParts[] = {"tenant-1234", "users", "7", "orders", "page", "2"};

template <std::size_t N>
constexpr std::array<std::int64_t, N> count_from(std::int64_t first) {
  std::array<std::int64_t, N> list{};
  for (std::size_t i = 0; i < N; ++i) list[i] = first + static_cast<std::int64_t>(i);
  return list;
}
constexpr auto kLatencies = count_from<100>(0);
constexpr auto kStamps = count_from<100>(1'700'000'000'000'000'000);
const std::string kName = "a name of more than fifteen bytes";

[[maybe_unused]] const int kPairs[] = {
    add_pair(
        "concatenation", [] { return bad::cache_key(kParts); },
        [] { return good::cache_key(kParts); }),
    add_pair(
        "append_1000", [] { return bad::list_ids(1, 1000).size(); },
        [] { return good::list_ids(1, 1000).size(); }),
    add_pair(
        "map_of_1000", [] { return bad::index_ids(1, 1000).size(); },
        [] { return good::index_ids(1, 1000).size(); }),
    add_pair(
        "boxing_100_numbers", [] { return bad::mean(kLatencies); },
        [] { return good::mean(std::span<const std::int64_t>(kLatencies)); }),
    add_pair(
        "boxing_log_fields",
        [] {
          return bad::log_line("get user", {std::int64_t{7}, kName});
        },
        [] { return good::log_line("get user", 7, kName); }),
    add_pair(
        "integer_100", [] { return bad::to_csv(kStamps); }, [] { return good::to_csv(kStamps); }),
    add_pair(
        "small_result", [] { return bad::parse_range("bytes=0-499"); },
        [] { return good::parse_range("bytes=0-499"); }),
};

using Fees = std::int64_t (*)(const gc::Vector<Order>&, std::int64_t, std::int64_t);

void closure_100(benchmark::State& state, Fees fees) {
  const gc::ThreadScope attached;
  gc::Vector<Order> orders;
  for (std::int64_t i = 0; i < 100; ++i) orders.push_back({i, i * 1000});
  measure(state, [&] { return fees(orders, 5, 100); });
}
BENCHMARK_CAPTURE(closure_100, bad, &bad::fees)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(closure_100, good, &good::fees)->MeasureProcessCPUTime();

// One report in 61 is large (256 KiB). `held_KiB`: what the pool holds in the end.
void oversized(benchmark::State& state, ScratchPool (*make_pool)()) {
  const gc::ThreadScope attached;
  ScratchPool pool = make_pool();
  std::uint64_t turn = 0;
  measure(state, [&] {
    // Sixteen reports at once, as sixteen requests would: so all buffers get their turn.
    gc::Vector<gc::Member<Scratch>> out;
    out.reserve(ScratchPool::kMostBuffers);
    for (std::size_t i = 0; i < ScratchPool::kMostBuffers; ++i) out.push_back(pool.take());
    for (const gc::Member<Scratch>& each : out) {
      each->bytes.resize(turn++ % 61 == 0 ? std::size_t{256} << 10 : 512);
    }
    for (std::size_t i = out.size(); i > 0; --i) pool.put(out[(i + turn) % out.size()].get());
    return turn;
  });
  state.counters["held_KiB"] = static_cast<double>(pool.held_bytes() >> 10);
}
BENCHMARK_CAPTURE(oversized, bad, &bad::make_pool)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(oversized, good, &good::make_pool)->MeasureProcessCPUTime();

// The line alone: the wrapped handler answers 204.
void request_log(benchmark::State& state, Handler (*logged)(Handler, LogLines&)) {
  const gc::ThreadScope attached;
  const RequestOf request("/api/users/7");
  LogLines lines(1 << 12);
  const Handler handler = logged([](Request&) { return no_content(); }, lines);
  measure(state, [&] { return handler(request.get()).status(); });
}
BENCHMARK_CAPTURE(request_log, bad, &bad::logged)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(request_log, good, &good::logged)->MeasureProcessCPUTime();

}  // namespace
}  // namespace tailrace::patterns
