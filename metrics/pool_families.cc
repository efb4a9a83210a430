// Naming the pools' numbers.
#include "metrics/pool_families.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "metrics/names.h"

namespace tailrace::metrics {
namespace {

using ByName = std::map<std::string, gc::PoolStats>;

ByName added_up(const std::vector<gc::PoolStats>& pools) {
  ByName sums;
  for (const gc::PoolStats& pool : pools) {
    gc::PoolStats& sum = sums[clean_label_value(pool.name)];
    sum.hits += pool.hits;
    sum.misses += pool.misses;
    sum.kept += pool.kept;
    sum.dropped_size += pool.dropped_size;
    sum.dropped_full += pool.dropped_full;
    sum.evicted += pool.evicted;
    sum.items += pool.items;
    sum.bytes += pool.bytes;
  }
  return sums;
}

}  // namespace

void add_pool_families(std::vector<Family>& families, const std::vector<gc::PoolStats>& pools) {
  if (pools.empty()) {
    return;
  }
  Family gets{"tailrace_pool_gets_total",
              "Objects asked of a pool, by whether one was there.",
              Kind::kCounter,
              {}};
  Family puts{"tailrace_pool_puts_total",
              "Objects put into a pool, by what became of them: kept, dropped because they had "
              "grown too large (dropped_size), or for want of room (dropped_full).",
              Kind::kCounter,
              {}};
  Family evicted{"tailrace_pool_evicted_total",
                 "Objects that were dropped from a pool because nobody used them for two "
                 "collection cycles.",
                 Kind::kCounter,
                 {}};
  Family items{"tailrace_pool_retained_objects", "Objects in a pool.", Kind::kGauge, {}};
  Family bytes{"tailrace_pool_retained_bytes", "Bytes of the objects in a pool.", Kind::kGauge, {}};
  for (const auto& [name, pool] : added_up(pools)) {
    add(gets, {{"pool", name}, {"result", "hit"}}, pool.hits);
    add(gets, {{"pool", name}, {"result", "miss"}}, pool.misses);
    add(puts, {{"pool", name}, {"result", "kept"}}, pool.kept);
    add(puts, {{"pool", name}, {"result", "dropped_size"}}, pool.dropped_size);
    add(puts, {{"pool", name}, {"result", "dropped_full"}}, pool.dropped_full);
    add(evicted, {{"pool", name}}, pool.evicted);
    add(items, {{"pool", name}}, pool.items);
    add(bytes, {{"pool", name}}, pool.bytes);
  }
  for (Family* const family : {&gets, &puts, &evicted, &items, &bytes}) {
    families.push_back(std::move(*family));
  }
}

}  // namespace tailrace::metrics
