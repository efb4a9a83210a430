// Blocks of addresses, "10.0.0.0/8" or "fd00::/8", for --admin-allow.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tailrace::http {

// An address as 16 bytes: v4 ones are mapped (::ffff:a.b.c.d), so both kinds compare alike.
using AddressBytes = std::array<std::uint8_t, 16>;

std::optional<AddressBytes> parse_address(std::string_view text);
// The other end of a connected socket.
std::optional<AddressBytes> peer_address(int fd) noexcept;
// 127.0.0.0/8 and ::1.
bool is_loopback(const AddressBytes& address) noexcept;

struct Cidr {
  AddressBytes base{};
  unsigned bits = 128;

  bool contains(const AddressBytes& address) const noexcept;
};

// An address without a length is a block of one.
std::optional<Cidr> parse_cidr(std::string_view text);

}  // namespace tailrace::http
