// What may be set about an engine. What does not live here: TCP's own intervals (tcp/settings.h).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "tcp/settings.h"

namespace adieu::stack {

// 128 secret bits; `host` draws them from the kernel, the simulation from its seed. The ISN's key outlives the engine's
// process, so that a restarted engine's sequence numbers go on rising (RFC 6528; RFC 9293 section 3.4.3).
using Key = std::array<std::uint8_t, 16>;

struct Settings {
  tcp::Settings tcp;
  std::vector<Address> addresses;     // the engine's own; at least one. Everything to another address is dropped
  std::uint16_t mtu = 1500;           // of the device; at least 1280
  bool segmentation_offload = false;  // the device cuts segments of up to 64 KiB (and joins incoming ones)
  bool checksum_offload = false;      // the device completes partial checksums
  Key isn_key{};
  Key demux_key{};                           // so that a peer cannot choose colliding tuples
  std::uint32_t max_connections = 1U << 20;  // at most the table's capacity; beyond it what is new is refused
  std::uint32_t max_embryonic = 1024;        // connections in SYN-RECEIVED; beyond it the oldest gives way
  std::uint16_t first_ephemeral_port = 32768;
  std::uint16_t last_ephemeral_port = 60999;
  Duration transfer_idle = seconds(1);       // a quiet connection gives its transfer back after this
  Duration bare_probe_spacing = seconds(1);  // peers limit their answers to bare probes; linux-tcp.md D
};

}  // namespace adieu::stack
