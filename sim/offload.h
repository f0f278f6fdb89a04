// What a network card does with a super-segment whose receiver takes none: it cuts it.
//
// What lives here: cut(). What does not: joining segments, which no card must do.
#pragma once

#include <algorithm>

#include "wire/ip.h"
#include "wire/tcp.h"

namespace adieu::sim {

// Calls take(packet) for each piece of at most `size` octets of payload, complete with checksums. `scratch` has room
// for one of them.
template <typename Take>
void cut(const wire::IpPacket& ip, const wire::Segment& whole, std::size_t size, MutableBytes scratch, Take&& take) {
  for (std::size_t at = 0; at < whole.payload.size(); at += size) {
    wire::Segment piece = whole;
    const bool is_last = at + size >= whole.payload.size();
    piece.payload = whole.payload.subspan(at, std::min(size, whole.payload.size() - at));
    piece.seq = whole.seq + static_cast<std::uint32_t>(at);
    piece.fin = whole.fin && is_last;
    piece.psh = whole.psh && is_last;
    wire::IpHeader header;
    header.source = ip.source;
    header.destination = ip.destination;
    header.ecn = ip.ecn;
    header.hop_limit = ip.hop_limit;
    const std::size_t ip_bytes = wire::ip_header_bytes(ip.source.family());
    const std::size_t tcp_bytes = wire::write_tcp(piece, ip.source, ip.destination, false, scratch.subspan(ip_bytes));
    wire::write_ip(header, tcp_bytes, scratch);
    take(Bytes(scratch.data(), ip_bytes + tcp_bytes));
  }
}

}  // namespace adieu::sim
