// Octets of struct sockaddr_in and sockaddr_in6.
#include "packetdrill/address.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace adieu::packetdrill {

std::expected<Endpoint, int> endpoint_from(int domain, const sockaddr* address, socklen_t length) {
  if (address == nullptr) return std::unexpected(EFAULT);
  if (length < sizeof(sa_family_t)) return std::unexpected(EINVAL);
  Endpoint endpoint;
  if (domain == AF_INET) {
    if (length < sizeof(sockaddr_in)) return std::unexpected(EINVAL);
    if (address->sa_family != AF_INET) return std::unexpected(EAFNOSUPPORT);
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    endpoint.address = Address::v4(0, 0, 0, 0);
    std::memcpy(&endpoint.address.octets[12], &v4.sin_addr, 4);
    endpoint.port = ntohs(v4.sin_port);
    return endpoint;
  }
  constexpr std::size_t kShortest = 24;  // RFC 2133's sockaddr_in6, without a scope: Linux still takes it
  if (length < kShortest) return std::unexpected(EINVAL);
  if (address->sa_family != AF_INET6) return std::unexpected(EAFNOSUPPORT);
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, std::min<std::size_t>(length, sizeof v6));
  std::memcpy(endpoint.address.octets.data(), &v6.sin6_addr, 16);
  endpoint.port = ntohs(v6.sin6_port);
  return endpoint;
}

void write_endpoint(int domain, const Endpoint& endpoint, sockaddr* address, socklen_t* length) {
  if (address == nullptr || length == nullptr) return;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(endpoint.port);
  std::memcpy(&v4.sin_addr, &endpoint.address.octets[12], 4);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  std::memcpy(&v6.sin6_addr, endpoint.address.octets.data(), 16);
  const void* const from = domain == AF_INET ? static_cast<const void*>(&v4) : &v6;
  const auto full = static_cast<socklen_t>(domain == AF_INET ? sizeof v4 : sizeof v6);
  std::memcpy(address, from, std::min(*length, full));
  *length = full;
}

}  // namespace adieu::packetdrill
