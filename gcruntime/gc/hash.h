// Hashing for Map: seeded once per process, because keys come from clients.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace tailrace::gc {

namespace internal {
// Random per process; constant after start.
std::uint64_t hash_seed() noexcept;

// Folds the 128-bit product: every input bit reaches every output bit.
inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
inline constexpr std::uint64_t kHashMultiplier = 0x9e3779b97f4a7c15;
}  // namespace internal

inline std::uint64_t hash_bytes(std::string_view text) noexcept {
  std::uint64_t state = internal::hash_seed() ^ text.size() * internal::kHashMultiplier;
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    state = internal::fold_multiply(state ^ word, internal::kHashMultiplier);
  }
  std::uint64_t tail = 0;
  if (left != 0) std::memcpy(&tail, at, left);  // `at` may be null
  return internal::fold_multiply(state ^ tail, internal::kHashMultiplier ^ left);
}

// Specialise for key types of your own.
template <typename K>
struct Hash {
  std::uint64_t operator()(const K& key) const noexcept {
    if constexpr (std::is_convertible_v<const K&, std::string_view>) {
      return hash_bytes(key);
    } else {
      static_assert(std::is_integral_v<K> || std::is_enum_v<K>, "specialise gc::Hash for this key");
      return internal::fold_multiply(static_cast<std::uint64_t>(key) ^ internal::hash_seed(),
                                     internal::kHashMultiplier);
    }
  }
};

}  // namespace tailrace::gc
