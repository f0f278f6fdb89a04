// IP addresses and TCP endpoints as values.
//
// What lives here: Address (IPv4 and IPv6 in one shape), Endpoint. What does not: text (host/text.h), headers (wire).
// An IPv4 address is held as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that every room handles one shape.
// Such an address never appears in an IPv6 header: wire refuses it there.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>

namespace adieu {

enum class Family : std::uint8_t { V4 = 4, V6 = 6 };

struct Address {
  std::array<std::uint8_t, 16> octets{};  // network order

  static constexpr Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
  }
  constexpr Family family() const {
    for (unsigned i = 0; i < 10; ++i)
      if (octets[i] != 0) return Family::V6;
    return octets[10] == 0xff && octets[11] == 0xff ? Family::V4 : Family::V6;
  }
  // 0.0.0.0 or ::
  constexpr bool is_unspecified() const {
    unsigned sum = 0;
    for (unsigned i = family() == Family::V4 ? 12 : 0; i < 16; ++i) sum |= octets[i];
    return sum == 0;
  }
  // 224.0.0.0/4, 255.255.255.255, ff00::/8: TCP never speaks to many (RFC 9293 section 3.9.2.3, MUST-57).
  constexpr bool is_multicast_or_broadcast() const {
    return family() == Family::V4 ? octets[12] >= 224 : octets[0] == 0xff;
  }
  // 127.0.0.0/8, ::1: it stays in its host.
  constexpr bool is_loopback() const {
    if (family() == Family::V4) return octets[12] == 127;
    bool is_one = octets[15] == 1;
    for (unsigned i = 0; i < 15; ++i) is_one = is_one && octets[i] == 0;
    return is_one;
  }
  // Nobody routes it between networks: private (RFC 1918, RFC 4193), shared (RFC 6598), link-local or loopback.
  constexpr bool is_private() const {
    const std::uint8_t* const o = octets.data();
    if (is_loopback()) return true;
    if (family() == Family::V6) return (o[0] & 0xfe) == 0xfc || (o[0] == 0xfe && (o[1] & 0xc0) == 0x80);
    return o[12] == 10 || (o[12] == 172 && (o[13] & 0xf0) == 16) || (o[12] == 192 && o[13] == 168) ||
           (o[12] == 100 && (o[13] & 0xc0) == 64) || (o[12] == 169 && o[13] == 254);
  }
  // The two halves as they are kept in the connection table; the byte order is this host's own business.
  constexpr auto operator<=>(const Address&) const = default;
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;  // host order

  constexpr auto operator<=>(const Endpoint&) const = default;
};

}  // namespace adieu
