// What every device of this room says to its caller: errors, and a packet that arrived.
//
// What lives here: Error, Received, and how an outgoing packet's offload looks to the one who receives it.
// What does not: the devices themselves. A device has receive(buffer) and send(packet, offload), as Tun has them.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "base/packet.h"

namespace adieu::device {

// Something the operating system refused. All three parts are for the person who has to act on it:
// "<what>: <strerror(code)>; <advice>".
struct Error {
  int code = 0;             // errno
  const char* what = "";    // what was tried
  const char* advice = "";  // what to do about it; may be empty
};

struct Received {
  std::size_t length = 0;
  Offload offload;
};

// nullopt: there is nothing now.
using ReceiveResult = std::expected<std::optional<Received>, Error>;
// false: the queue is full, try later.
using SendResult = std::expected<bool, Error>;

// A sender leaves a partial checksum to its device; where no wire lies between, the receiver gets it as one that need
// not be verified (VIRTIO 1.1 section 5.1.6.4.1: VIRTIO_NET_HDR_F_NEEDS_CSUM on a received packet).
constexpr Offload as_received(Offload sent) {
  sent.checksum_valid = sent.checksum_valid || sent.checksum_partial;
  sent.checksum_partial = false;
  sent.checksum_start = 0;
  sent.checksum_offset = 0;
  return sent;
}

}  // namespace adieu::device
