#include "gcruntime/gc/type_info.h"

#include "gcruntime/base/check.h"

namespace tailrace::gc {
namespace {

// constinit: filled by other files' initialisers, in any order.
constinit std::atomic<const TypeInfo*> types[65536]{};
constinit std::atomic<std::uint32_t> type_count{0};

}  // namespace

std::uint16_t register_type(const TypeInfo* info) noexcept {
  // Relaxed: the number is only a number; the entry itself is published by the release below.
  const std::uint32_t number = type_count.fetch_add(1, std::memory_order_relaxed) + 1;
  TAILRACE_CHECK(number < 65536, "more than 65535 managed types with pointers in one program");
  // Release pairs with type_info's acquire.
  types[number].store(info, std::memory_order_release);
  return static_cast<std::uint16_t>(number);
}

const TypeInfo* type_info(std::uint16_t type) noexcept {
  // Acquire pairs with register_type's release.
  return types[type].load(std::memory_order_acquire);
}

}  // namespace tailrace::gc
