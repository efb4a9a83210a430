// Managed objects that show whether they were freed too early: each is filled with one byte, and who takes
// a freed slot fills it with another. On any attached thread.
#pragma once

#include <cstddef>
#include <cstring>

#include "gcruntime/gc/allocate.h"

namespace tailrace::fiber {

inline constexpr std::size_t kPatternBytes = 64;

inline unsigned char* make_pattern(unsigned char value) {
  auto* object = static_cast<unsigned char*>(gc::allocate_noscan(kPatternBytes));
  std::memset(object, value, kPatternBytes);
  return object;
}
inline bool has_pattern(const unsigned char* object, unsigned char value) {
  for (std::size_t i = 0; i < kPatternBytes; ++i) {
    if (object[i] != value) return false;
  }
  return true;
}
// More than one span's worth, with a byte that no test uses.
inline void reuse_freed_slots() {
  for (int i = 0; i < 2000; ++i) make_pattern(0xEE);
}

}  // namespace tailrace::fiber
