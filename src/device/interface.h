// A network interface's settings: address, MTU, queue length, up.
//
// What lives here: the few settings that a TUN interface of ours needs, IPv4 and IPv6. What does not: routes, names,
// other namespaces (these act on the caller's). All need CAP_NET_ADMIN in that namespace.
#pragma once

#include <expected>
#include <string_view>

#include "base/address.h"
#include "device/device.h"

namespace adieu::device {

using Configured = std::expected<void, Error>;

// Adds an address of this host's own to the interface, with the prefix that lies behind it. One that is there already
// is no error. Bring the interface up before: an IPv6 address is then in use when this returns (it waits, some
// milliseconds).
[[nodiscard]] Configured set_address(std::string_view interface, const Address& address, unsigned prefix_length);
[[nodiscard]] Configured set_mtu(std::string_view interface, unsigned octets);
// Packets that may wait for us before the kernel drops (txqueuelen).
[[nodiscard]] Configured set_queue_length(std::string_view interface, unsigned packets);
[[nodiscard]] Configured bring_up(std::string_view interface);

}  // namespace adieu::device
