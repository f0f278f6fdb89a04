// Two bounded queues.
#include "device/memory.h"

#include <algorithm>

namespace adieu::device {

ReceiveResult MemoryLink::End::receive(MutableBytes buffer) {
  if (in_.empty()) return std::nullopt;
  const Packet& packet = in_.front();
  Received received;
  received.length = std::min(packet.octets.size(), buffer.size());
  received.offload = packet.offload;
  std::copy_n(packet.octets.begin(), received.length, buffer.begin());
  in_.pop_front();
  return received;
}

SendResult MemoryLink::End::send(Bytes packet, const Offload& offload) {
  if (out_.size() >= capacity_) return false;
  out_.push_back({{packet.begin(), packet.end()}, as_received(offload)});
  return true;
}

}  // namespace adieu::device
