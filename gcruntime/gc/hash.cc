#include "gcruntime/gc/hash.h"

#include <sys/random.h>

#include "gcruntime/os/clock.h"

namespace tailrace::gc::internal {

std::uint64_t hash_seed() noexcept {
  static const std::uint64_t seed = [] {
    std::uint64_t random = 0;
    if (::getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) {
      random = static_cast<std::uint64_t>(os::now_ns()) * kHashMultiplier;
    }
    return random | 1;
  }();
  return seed;
}

}  // namespace tailrace::gc::internal
