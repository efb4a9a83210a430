// Leasing shards to threads.
#include "gcruntime/base/shard.h"

#include <bit>
#include <mutex>

extern "C" {
constinit thread_local std::uint32_t tailrace_tls_shard = 0;
}

namespace tailrace::base {
namespace {

// Bit i: shard i is leased. A shard passes from an ended thread to a new one under the mutex, which
// orders the old owner's plain stores before the new owner's.
constinit std::mutex lease_mutex;
constinit std::uint64_t leased = std::uint64_t{1} << kCommonShard;

struct Lease {
  unsigned index;
  // Destructors of other thread_locals may still ask after this one: they share the last shard.
  ~Lease() {
    tailrace_tls_shard = kCommonShard + 1;
    const std::lock_guard lock(lease_mutex);
    leased &= ~(std::uint64_t{1} << index);
  }
};

unsigned take_free_shard() {
  const std::lock_guard lock(lease_mutex);
  const unsigned index = static_cast<unsigned>(std::countr_one(leased));
  if (index < kCommonShard) {
    leased |= std::uint64_t{1} << index;
    return index;
  }
  return kCommonShard;
}

}  // namespace

namespace internal {

// Nothing here suspends, so the address of a thread_local may be taken.
std::uint32_t lease_shard() noexcept {
  const unsigned index = take_free_shard();
  if (index != kCommonShard) {
    static thread_local Lease lease{index};
    static_cast<void>(lease);
  }
  tailrace_tls_shard = index + 1;
  return index + 1;
}

}  // namespace internal
}  // namespace tailrace::base
