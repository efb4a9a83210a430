// What the collector knows of a type at run time, and the header of scanned objects.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tailrace::gc {

// Constant data made at compile time (trace.h). For one element; an object is an array of
// header.count elements.
struct TypeInfo {
  const char* name;             // as the compiler spells it
  std::uint32_t bytes;          // of one element
  std::uint32_t words;          // bytes / 8, rounded up
  const std::uint64_t* bitmap;  // one bit a word: may hold a managed pointer
  bool maybe;                   // some of these words may hold something else than a pointer
  // In the verify build: writes the path of the member at that offset of an element, "address.city", as
  // long as there is room. Null elsewhere.
  void (*member_path)(std::size_t offset, char* text, std::size_t room) = nullptr;
};

// The 8 bytes before a scanned object's payload; noscan objects have none. Zero: not yet traceable
// (a large object whose memory is still being zeroed), or a free slot.
//   bits 0-15 type  16-31 flags  32-63 count of elements
class Header {
 public:
  static constexpr std::uint64_t kAligned16 = 1;  // flag: the payload begins 16 bytes into the slot

  static constexpr std::uint64_t kAlone = 2;  // in an arena: alone in its block
  // The flags' bits 6-15: how many granules, in an arena (heap/arena_blocks.h).

  static constexpr std::uint64_t pack(std::uint16_t type, std::uint64_t flags,
                                      std::uint32_t count) {
    return type | flags << 16 | std::uint64_t{count} << 32;
  }
  static constexpr std::uint16_t type(std::uint64_t header) {
    return static_cast<std::uint16_t>(header);
  }
  static constexpr std::uint64_t flags(std::uint64_t header) { return header >> 16 & 0xffff; }
  static constexpr std::uint32_t count(std::uint64_t header) {
    return static_cast<std::uint32_t>(header >> 32);
  }
};
inline constexpr std::size_t kHeaderBytes = 8;

// Gives the type a number from 1 to 65535; at most that many types are scanned in a program. Called
// by initialisers of static storage, before main.
std::uint16_t register_type(const TypeInfo* info) noexcept;
// The type with that number, or null.
const TypeInfo* type_info(std::uint16_t type) noexcept;

}  // namespace tailrace::gc
