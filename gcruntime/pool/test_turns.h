// For tests of pools: a cycle, and the turn that follows it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/pool/pool_stats.h"

namespace tailrace::gc::test {

// From an attached thread, while nobody else collects. Fails the test if no turn comes.
inline void collect_and_turn() {
  internal::ensure_pool_turns();
  const std::uint64_t turns = internal::pool_turns();
  in_own_frame([] { collect(); });
  native([turns] {
    // Bounds the wait; reached only if the turn is lost.
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (internal::pool_turns() == turns) {
      if (std::chrono::steady_clock::now() > give_up) {
        ADD_FAILURE() << "no turn came after a cycle";
        return;
      }
      std::this_thread::yield();
    }
  });
}

}  // namespace tailrace::gc::test
