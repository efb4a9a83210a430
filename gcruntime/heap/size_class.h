// Size classes: what an allocation is rounded up to, and how many slots a span of a class has.
//
// 16, 24, 32, 48, ... 128 bytes, then eight classes a doubling up to 32 KiB: at most 12.5 % is lost to
// rounding above 128 bytes. A span takes as many 8 KiB pages as leave at most an eighth unused and
// hold at least four slots. All of it is known at compile time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tailrace::heap {

inline constexpr std::size_t kPageBytes = 8192;
inline constexpr std::size_t kMaxSmallBytes = 32768;
inline constexpr std::size_t kSizeClasses = 73;
inline constexpr std::size_t kMaxSpanPages = 16;
// 8192 / 16: what fits the bitmaps of one page (page_map.h); spans of several pages have fewer.
inline constexpr std::size_t kMaxSlots = 512;

struct SizeClass {
  std::uint32_t bytes;       // of a slot
  std::uint32_t pages;       // of a span
  std::uint32_t slots;       // of a span
  std::uint32_t reciprocal;  // offset / bytes = (offset * reciprocal) >> 32 for offsets in a span
};

namespace internal {
constexpr std::array<SizeClass, kSizeClasses> make_size_classes() {
  std::array<SizeClass, kSizeClasses> classes{};
  std::size_t count = 0;
  auto add = [&](std::size_t bytes) {
    std::size_t pages = 1;
    for (; pages < kMaxSpanPages; ++pages) {
      const std::size_t span_bytes = pages * kPageBytes;
      if (span_bytes / bytes >= 4 && span_bytes % bytes <= span_bytes / 8) break;
    }
    classes[count++] =
        SizeClass{static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(pages),
                  static_cast<std::uint32_t>(pages * kPageBytes / bytes),
                  static_cast<std::uint32_t>(((std::uint64_t{1} << 32) + bytes - 1) / bytes)};
  };
  for (std::size_t bytes : {16, 24, 32, 48, 64, 80, 96, 112, 128}) add(bytes);
  for (std::size_t octave = 128; octave < kMaxSmallBytes; octave *= 2) {
    for (std::size_t step = 1; step <= 8; ++step) add(octave + step * (octave / 8));
  }
  return classes;
}
}  // namespace internal

inline constexpr std::array<SizeClass, kSizeClasses> kSizeClassTable =
    internal::make_size_classes();
static_assert(kSizeClassTable.back().bytes == kMaxSmallBytes);

namespace internal {
constexpr std::size_t search_size_class(std::size_t bytes) {
  std::size_t index = 0;
  while (kSizeClassTable[index].bytes < bytes) ++index;
  return index;
}
// Two tables keep the look-up at one load: steps of 8 bytes to 1 KiB, of 128 bytes above.
constexpr auto make_fine_table() {
  std::array<std::uint8_t, 1024 / 8 + 1> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<std::uint8_t>(search_size_class(i * 8));
  }
  return table;
}
constexpr auto make_coarse_table() {
  std::array<std::uint8_t, kMaxSmallBytes / 128 + 1> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<std::uint8_t>(search_size_class(i * 128));
  }
  return table;
}
inline constexpr auto kFineTable = make_fine_table();
inline constexpr auto kCoarseTable = make_coarse_table();
}  // namespace internal

// The smallest class that holds `bytes`; 0 < bytes <= kMaxSmallBytes.
constexpr std::size_t size_class_of(std::size_t bytes) {
  return bytes <= 1024 ? internal::kFineTable[(bytes + 7) / 8]
                       : internal::kCoarseTable[(bytes + 127) / 128];
}

// The class whose slots have exactly that size, or kSizeClasses.
constexpr std::size_t exact_size_class(std::size_t bytes) {
  if (bytes == 0 || bytes > kMaxSmallBytes) return kSizeClasses;
  const std::size_t index = size_class_of(bytes);
  return kSizeClassTable[index].bytes == bytes ? index : kSizeClasses;
}

}  // namespace tailrace::heap
