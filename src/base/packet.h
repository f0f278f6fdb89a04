// What a device and a stack say to each other about one IP packet besides its bytes: the offloads.
//
// What lives here: Offload, in the terms of struct virtio_net_hdr (VIRTIO 1.1 section 5.1.6), which `device`
// translates. What does not: the packet's bytes, which stay in the caller's buffer.
#pragma once

#include <cstdint>

namespace adieu {

struct Offload {
  // Incoming: the checksum is known to be good, or is still to be completed by hardware that will never see it
  // (a local sender's packet): the stack need not verify it.
  // Outgoing: `checksum_start` and `checksum_offset` tell the device where to complete a partial checksum.
  bool checksum_valid = false;
  bool checksum_partial = false;
  std::uint16_t checksum_start = 0;   // octets from the start of the IP header to the start of the TCP header
  std::uint16_t checksum_offset = 0;  // octets from there to the checksum field
  // Payload octets per segment when this packet stands for several (TSO out, GRO in); 0: it stands for itself.
  std::uint16_t segment_size = 0;
  std::uint16_t header_bytes = 0;  // IP and TCP headers together, when segment_size > 0
};

}  // namespace adieu
