// See cidr.h.
#include "server/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <cstring>
#include <string>

#include "server/units.h"

namespace tailrace::http {
namespace {

constexpr unsigned kMappedBits = 96;
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

AddressBytes mapped(const in_addr& address) noexcept {
  AddressBytes bytes{};
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
  std::memcpy(bytes.data() + kMappedPrefix.size(), &address, 4);
  return bytes;
}

bool is_mapped(const AddressBytes& address) noexcept {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
}

}  // namespace

std::optional<AddressBytes> parse_address(std::string_view text) {
  const std::string copy(text);
  in_addr v4{};
  if (::inet_pton(AF_INET, copy.c_str(), &v4) == 1) return mapped(v4);
  AddressBytes v6{};
  if (::inet_pton(AF_INET6, copy.c_str(), v6.data()) == 1) return v6;
  return std::nullopt;
}

std::optional<AddressBytes> peer_address(int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &bytes) != 0) return std::nullopt;
  if (storage.ss_family == AF_INET) {
    return mapped(reinterpret_cast<const sockaddr_in&>(storage).sin_addr);
  }
  if (storage.ss_family != AF_INET6) return std::nullopt;
  AddressBytes v6{};
  std::memcpy(v6.data(), &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, v6.size());
  return v6;
}

bool is_loopback(const AddressBytes& address) noexcept {
  if (is_mapped(address)) return address[kMappedPrefix.size()] == 127;
  AddressBytes one{};
  one.back() = 1;
  return address == one;
}

bool Cidr::contains(const AddressBytes& address) const noexcept {
  const unsigned whole = bits / 8;
  if (!std::equal(base.begin(), base.begin() + whole, address.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (base[whole] ^ address[whole]) >> (8 - rest) == 0;
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<AddressBytes> base = parse_address(text.substr(0, slash));
  if (!base) return std::nullopt;
  const unsigned offset = is_mapped(*base) ? kMappedBits : 0;
  Cidr block{*base, 128};
  if (slash != std::string_view::npos) {
    const std::optional<std::uint64_t> bits = parse_count(text.substr(slash + 1));
    if (!bits || *bits + offset > 128) return std::nullopt;
    block.bits = static_cast<unsigned>(*bits) + offset;
  }
  return block;
}

}  // namespace tailrace::http
