// The pools' families: how often a get found something, what became of what was put, and what the pools
// keep. A pure function of what gcruntime's list of pools tells; pools of one name are added up.
#pragma once

#include <vector>

#include "gcruntime/pool/pool_stats.h"
#include "metrics/family.h"

namespace tailrace::metrics {

// tailrace_pool_*; none without a pool.
void add_pool_families(std::vector<Family>& families, const std::vector<gc::PoolStats>& pools);

}  // namespace tailrace::metrics
