// Packets leave: answers without a connection first, then each connection in turn, one segment at a time.
#include <algorithm>
#include <cstring>

#include "base/limits.h"
#include "stack/engine_impl.h"

namespace adieu::stack {

namespace {
// What a super-segment can carry beside the largest headers.
constexpr std::size_t kSuperPayload =
    limits::kPacketBytes - wire::kIpV6HeaderBytes - wire::kTcpHeaderBytes - wire::kTcpMaxOptionBytes;
}  // namespace

std::optional<PacketOut> Engine::Impl::poll_packet(MutableBytes buffer, Instant now) {
  if (!replies.empty()) {
    const Reply reply = replies.front();
    replies.pop_front();
    return write_packet(reply.tuple, reply.segment, SIZE_MAX, buffer);
  }
  if (!echo_replies.empty()) {
    const std::vector<std::uint8_t> packet = std::move(echo_replies.front());
    echo_replies.pop_front();
    std::memcpy(buffer.data(), packet.data(), packet.size());
    ++counters.packets_out;
    return PacketOut{packet.size(), {}};
  }
  while (!output.empty()) {
    const std::uint32_t slot = output.front();
    output.pop_front();
    Cell* cell = cells.find(slot);
    if (cell == nullptr) continue;  // it has ended meanwhile
    const std::size_t mss = cell->connection.effective_mss();
    auto segment = cell->connection.poll_segment(settings.segmentation_offload ? kSuperPayload : mss, env(now));
    if (segment) {
      output.push_back(slot);  // behind the others: one transfer does not hold up the rest
      return write_packet({table.local(slot), table.remote(slot)}, *segment, mss, buffer);
    }
    // All is sent that may be: now its facts and deadlines are final for this turn.
    cell->output_queued = true;  // so that settle() does not queue it again
    settle(slot, now);
    if (Cell* settled = cells.find(slot)) settled->output_queued = false;
  }
  return std::nullopt;
}

PacketOut Engine::Impl::write_packet(const Tuple& tuple, const wire::Segment& segment, std::size_t mss,
                                     MutableBytes buffer) {
  wire::Segment out = segment;
  out.source_port = tuple.local.port;
  out.destination_port = tuple.remote.port;
  wire::IpHeader ip;
  ip.source = tuple.local.address;
  ip.destination = tuple.remote.address;
  const std::size_t ip_bytes = wire::ip_header_bytes(ip.source.family());
  const std::size_t tcp_bytes =
      wire::write_tcp(out, ip.source, ip.destination, settings.checksum_offload, buffer.subspan(ip_bytes));
  wire::write_ip(ip, tcp_bytes, buffer);

  PacketOut packet;
  packet.length = ip_bytes + tcp_bytes;
  if (settings.checksum_offload) {
    packet.offload.checksum_partial = true;
    packet.offload.checksum_start = static_cast<std::uint16_t>(ip_bytes);
    packet.offload.checksum_offset = 16;
  }
  if (out.payload.size() > mss) {
    packet.offload.segment_size = static_cast<std::uint16_t>(mss);
    packet.offload.header_bytes = static_cast<std::uint16_t>(packet.length - out.payload.size());
  }
  ++counters.packets_out;
  return packet;
}

}  // namespace adieu::stack
