// TCP segments and their options: bytes <-> values.
//
// What lives here: Segment, the value that `tcp` works on; parsing and writing. What does not: any state.
// Sources: RFC 9293 section 3.1 (header), 3.2 (options); RFC 7323 (window scale, timestamps); RFC 2018 and 2883 (SACK).
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/packet.h"
#include "base/seq.h"
#include "wire/ip.h"

namespace adieu::wire {

inline constexpr std::size_t kTcpHeaderBytes = 20;
inline constexpr std::size_t kTcpMaxOptionBytes = 40;
inline constexpr std::size_t kMaxSackBlocks = 4;

struct Timestamps {
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
  bool operator==(const Timestamps&) const = default;
};

struct SackBlock {
  Seq left;   // first octet of the block
  Seq right;  // the octet after its last
  bool operator==(const SackBlock&) const = default;
};

struct Segment {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Seq seq;
  Seq ack;  // meaningful only if ack_flag
  bool syn = false;
  bool ack_flag = false;
  bool fin = false;
  bool rst = false;
  bool psh = false;
  bool urg = false;  // the urgent pointer itself is not used: data is delivered in line (RFC 6093)
  bool ece = false;
  bool cwr = false;
  std::uint16_t window = 0;  // as on the wire, unscaled

  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> window_scale;  // as on the wire; above 14 means 14 (RFC 7323 section 2.3)
  bool sack_permitted = false;
  std::optional<Timestamps> timestamps;
  std::array<SackBlock, kMaxSackBlocks> sack_blocks{};
  std::uint8_t sack_count = 0;

  Bytes payload;  // points into the packet, or into the sender's buffer

  // SEG.LEN of RFC 9293 section 3.3.1: SYN and FIN count one each.
  std::uint32_t length() const {
    return static_cast<std::uint32_t>(payload.size()) + (syn ? 1U : 0U) + (fin ? 1U : 0U);
  }
  // The sequence number after the segment's last.
  Seq end() const { return seq + length(); }
};

// Unknown options are skipped (MUST-6); an option length that cannot be makes the segment malformed (MUST-7).
// The checksum is verified unless `offload.checksum_valid`.
std::expected<Segment, Malformed> parse_tcp(const IpPacket& packet, const Offload& offload);

std::size_t tcp_header_bytes(const Segment& segment);

// Writes header, options and payload; returns the length. SACK blocks that do not fit beside the other options are left
// out, the last first, here and in tcp_header_bytes. The checksum is complete, or, with `partial_checksum`, the
// pseudo-header's sum that a device completes (Offload::checksum_partial). `out` has room for the whole.
std::size_t write_tcp(const Segment& segment, const Address& source, const Address& destination, bool partial_checksum,
                      MutableBytes out);

}  // namespace adieu::wire
