#include "gcruntime/pool/pool_guard.h"

#if TAILRACE_POOL_GUARD

namespace tailrace::gc::internal {
namespace {

// FNV-1a over the object's own bytes.
std::uint64_t digest_of(const void* item, std::size_t bytes) noexcept {
  const auto* const at = static_cast<const unsigned char*>(item);
  std::uint64_t digest = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < bytes; ++i) digest = (digest ^ at[i]) * 0x100000001b3;
  return digest;
}

std::uintptr_t key_of(const void* item) noexcept { return ~reinterpret_cast<std::uintptr_t>(item); }

}  // namespace

PoolGuard::Part& PoolGuard::part_of(const void* item) noexcept {
  return parts_[(reinterpret_cast<std::uintptr_t>(item) >> 4) * 0x9e3779b97f4a7c15 >> 60];
}

void PoolGuard::check_out(const void* item) {
  Part& part = part_of(item);
  const std::lock_guard guard(part.mutex);
  TAILRACE_CHECK_VALUE(
      !part.digests.contains(key_of(item)),
      "an item was put into its pool twice; its address:", reinterpret_cast<std::uintptr_t>(item));
}

void PoolGuard::enter(const void* item, std::size_t bytes, bool poison) {
  Part& part = part_of(item);
  const std::lock_guard guard(part.mutex);
  const bool entered = part.digests.emplace(key_of(item), digest_of(item, bytes)).second;
  TAILRACE_CHECK_VALUE(entered, "an item was put into its pool twice at once; its address:",
                       reinterpret_cast<std::uintptr_t>(item));
  if (poison) base::poison_memory(item, bytes);
}

void PoolGuard::leave(const void* item, std::size_t bytes, bool poison) {
  if (poison) base::unpoison_memory(item, bytes);
  Part& part = part_of(item);
  const std::lock_guard guard(part.mutex);
  const auto found = part.digests.find(key_of(item));
  TAILRACE_CHECK_VALUE(found != part.digests.end(), "an item in a pool that nobody put there",
                       reinterpret_cast<std::uintptr_t>(item));
  TAILRACE_CHECK_VALUE(found->second == digest_of(item, bytes),
                       "an item was written to after it had been put into its pool; its address:",
                       reinterpret_cast<std::uintptr_t>(item));
  part.digests.erase(found);
}

}  // namespace tailrace::gc::internal

#endif
