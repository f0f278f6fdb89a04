// The addresses that follow from what was said.
#include "host/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/http.h"

namespace adieu::host {
namespace {

Address masked(const Prefix& prefix) {
  Address network = prefix.address;
  const unsigned first = prefix.address.family() == Family::V4 ? 96 : 0;
  for (unsigned bit = first + prefix.bits; bit < 128; ++bit)
    network.octets[bit / 8] = static_cast<std::uint8_t>(network.octets[bit / 8] & ~(0x80U >> bit % 8));
  return network;
}

// The first host of the network that is not `prefix` itself.
Prefix gateway_of(const Prefix& prefix) {
  Prefix gateway{masked(prefix), prefix.bits};
  do ++gateway.address.octets[15];
  while (gateway.address == prefix.address);
  return gateway;
}

Result<void> check(const Prefix& prefix, const char* whose) {
  if (prefix.address.is_unspecified() || prefix.address.is_multicast_or_broadcast())
    return failed(fmt::format("{} cannot be {}", text(prefix), whose));
  const unsigned longest = prefix.address.family() == Family::V4 ? 30 : 126;
  if (prefix.bits < 8 || prefix.bits > longest)
    return failed(fmt::format("{}: the prefix length must be 8 to {}, so that both ends of the TUN fit its network",
                              text(prefix), longest));
  return {};
}

}  // namespace

void assume_loss(control::Rule& rule, double loss) {
  rule.assumed_loss = loss;
  rule.probes_needed = control::probes_needed(loss);
}

Result<void> check(const ControlOptions& options) {
  if (options.sweep < milliseconds(10) || options.sweep > minutes(1))
    return failed(fmt::format("a sweep every {} is out of bounds: 10ms to 1min", text(options.sweep)));
  if (auto ledger = check_ledger_file(options.ledger_file); !ledger) return ledger;
  if (options.http.has_value() == options.http_token_file.empty())
    return failed("--http and --http-token-file belong together: HTTP on loopback is open to every user of this host");
  if (!options.http) return {};
  if (auto loopback = check_loopback(*options.http); !loopback) return loopback;
  if (auto token = read_token(options.http_token_file); !token) return std::unexpected(token.error());
  return {};
}

Result<Network> network_of(const EngineOptions& options) {
  Network network{options.addresses, options.gateways, options.addresses.empty()};
  if (network.by_default)
    for (const char* address : kDefaultAddresses) network.addresses.push_back(*parse_prefix(address));
  for (const Prefix& address : network.addresses)
    if (auto sane = check(address, "an address of the engine's own"); !sane) return std::unexpected(sane.error());
  for (const Prefix& gateway : network.gateways) {
    if (auto sane = check(gateway, "the kernel's end of the TUN"); !sane) return std::unexpected(sane.error());
    for (const Prefix& address : network.addresses)
      if (address.address == gateway.address)
        return failed(
            fmt::format("{} cannot be at both ends of the TUN: --address is the engine's, --gateway-address "
                        "the kernel's",
                        text(gateway.address)));
  }
  for (const Prefix& address : network.addresses) {
    const bool covered = std::any_of(network.gateways.begin(), network.gateways.end(), [&](const Prefix& gateway) {
      return gateway.address.family() == address.address.family();
    });
    if (!covered) network.gateways.push_back(gateway_of(address));
  }
  return network;
}

}  // namespace adieu::host
