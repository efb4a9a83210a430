// What a get and a put cost, beside making the object anew and beside a free list under a std::mutex. To be
// compared within one run. CPU time of the thread that is measured; with two threads, of both.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/pool/bounded_pool.h"
#include "gcruntime/pool/pool.h"

namespace tailrace::gc {
namespace {

// 248 bytes and the header: a slot of 256.
struct Managed {
  Member<Managed> next;
  std::array<std::int64_t, 30> values{};
  void reset() noexcept { next = nullptr; }
};
BOOST_DESCRIBE_STRUCT(Managed, (), (next, values))

struct Plain {
  std::array<std::int64_t, 31> values{};
  void reset() noexcept { values[0] = 0; }
};

void make_managed(benchmark::State& state) {
  const ThreadScope scope;
  for (auto _ : state) benchmark::DoNotOptimize(heap_make<Managed>());
}
BENCHMARK(make_managed)->Threads(1)->Threads(2);

void make_plain(benchmark::State& state) {
  for (auto _ : state) {
    const auto item = std::make_unique<Plain>();
    benchmark::DoNotOptimize(item.get());
  }
}
BENCHMARK(make_plain)->Threads(1)->Threads(2);

template <typename P>
void get_and_put(benchmark::State& state, P& pool) {
  const ThreadScope scope;
  for (auto _ : state) {
    auto item = pool.get();
    benchmark::DoNotOptimize(item.get());
  }
}

void pool_managed(benchmark::State& state) {
  static Pool<Managed> pool("bench_managed");
  get_and_put(state, pool);
}
BENCHMARK(pool_managed)->Threads(1)->Threads(2);

void pool_plain(benchmark::State& state) {
  static Pool<Plain> pool("bench_plain");
  get_and_put(state, pool);
}
BENCHMARK(pool_plain)->Threads(1)->Threads(2);

void bounded_pool_plain(benchmark::State& state) {
  static BoundedPool<Plain> pool("bench_bounded", 16);
  get_and_put(state, pool);
}
BENCHMARK(bounded_pool_plain)->Threads(1)->Threads(2);

// What teams write by hand.
class MutexList {
 public:
  std::unique_ptr<Plain> get() {
    {
      const std::lock_guard guard(mutex_);
      if (!items_.empty()) {
        std::unique_ptr<Plain> item = std::move(items_.back());
        items_.pop_back();
        return item;
      }
    }
    return std::make_unique<Plain>();
  }
  void put(std::unique_ptr<Plain> item) {
    item->reset();
    const std::lock_guard guard(mutex_);
    items_.push_back(std::move(item));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Plain>> items_;
};

void mutex_list(benchmark::State& state) {
  static MutexList list;
  for (auto _ : state) {
    auto item = list.get();
    benchmark::DoNotOptimize(item.get());
    list.put(std::move(item));
  }
}
BENCHMARK(mutex_list)->Threads(1)->Threads(2);

// All of an empty pool's get: every lane is looked through.
void pool_miss(benchmark::State& state) {
  const ThreadScope scope;
  Pool<Plain> pool("bench_miss");
  for (auto _ : state) {
    auto item = pool.get();
    delete item.release();
  }
}
BENCHMARK(pool_miss);

}  // namespace
}  // namespace tailrace::gc
