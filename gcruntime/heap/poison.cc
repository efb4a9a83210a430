#include "gcruntime/heap/poison.h"

#include <bit>

#include "gcruntime/base/check.h"

#if defined(TAILRACE_VERIFY) || TAILRACE_ASAN

namespace tailrace::heap {
namespace {

// Uninstrumented: it touches memory that is poisoned for everybody else.
TAILRACE_NO_SANITIZE void fill([[maybe_unused]] std::uintptr_t address,
                               [[maybe_unused]] std::size_t bytes) {
#if defined(TAILRACE_VERIFY)
  auto* words = reinterpret_cast<volatile std::uint64_t*>(address);
  for (std::size_t i = 0; i < bytes / 8; ++i) words[i] = kPoison;
#endif
}

template <typename F>
void for_each_slot(std::uintptr_t word_base, std::size_t slot_bytes, std::uint64_t bits, F&& f) {
  for (; bits != 0; bits &= bits - 1) {
    f(word_base + static_cast<std::size_t>(std::countr_zero(bits)) * slot_bytes);
  }
}

}  // namespace

#if defined(TAILRACE_VERIFY)
TAILRACE_NO_SANITIZE bool poison_intact(std::uintptr_t address, std::size_t bytes) noexcept {
  const auto* words = reinterpret_cast<const volatile std::uint64_t*>(address);
  for (std::size_t i = 0; i < bytes / 8; ++i) {
    if (words[i] != kPoison) return false;
  }
  return true;
}
#endif

void poison_free_memory(std::uintptr_t address, std::size_t bytes) noexcept {
  fill(address, bytes);
  base::poison_memory(reinterpret_cast<void*>(address), bytes);
}

void poison_slots(std::uintptr_t word_base, std::size_t slot_bytes, std::uint64_t bits) noexcept {
  for_each_slot(word_base, slot_bytes, bits,
                [&](std::uintptr_t slot) { poison_free_memory(slot, slot_bytes); });
}

void check_free_slots([[maybe_unused]] const char* word_base,
                      [[maybe_unused]] std::size_t slot_bytes,
                      [[maybe_unused]] std::uint64_t bits) noexcept {
#if defined(TAILRACE_VERIFY)
  for_each_slot(reinterpret_cast<std::uintptr_t>(word_base), slot_bytes, bits,
                [&](std::uintptr_t slot) {
                  TAILRACE_CHECK_VALUE(poison_intact(slot, slot_bytes),
                                       "a free slot was written to: a pointer to it was kept where "
                                       "the collector cannot see it; the slot's address:",
                                       slot);
                });
#endif
}

}  // namespace tailrace::heap

#endif
