// TCP segments. Options are parsed strictly (an impossible length refuses the segment) and written in one canonical
// order, on 32-bit boundaries as other stacks do, so that header prediction elsewhere works.
#include "wire/tcp.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"

namespace adieu::wire {

namespace {

enum Flag : std::uint8_t { Fin = 1, Syn = 2, Rst = 4, Psh = 8, Ack = 16, Urg = 32, Ece = 64, Cwr = 128 };

enum OptionKind : std::uint8_t {
  EndOfList = 0,
  NoOperation = 1,
  MaximumSegmentSize = 2,
  WindowScale = 3,
  SackPermitted = 4,
  Sack = 5,
  TimestampsKind = 8
};
constexpr std::size_t kMssBytes = 4;
constexpr std::size_t kWindowScaleBytes = 3;
constexpr std::size_t kSackPermittedBytes = 2;
constexpr std::size_t kTimestampsBytes = 10;
constexpr std::size_t kSackBytes = 2;
constexpr std::size_t kSackBlockBytes = 8;

// One option whose length, at least 2, lies within the header. False: a length that its kind cannot have.
bool take_option(Bytes option, Segment& segment) {
  switch (option[0]) {
    case MaximumSegmentSize:
      if (option.size() != kMssBytes) return false;
      // RFC 9293 section 3.7.1: to be sent only in segments with SYN; RFC 7323 section 2.2, of the window scale: "MUST
      // be ignored" without one.
      if (segment.syn) segment.mss = load16(option, 2);
      return true;
    case WindowScale:
      if (option.size() != kWindowScaleBytes) return false;
      if (segment.syn) segment.window_scale = option[2];
      return true;
    case SackPermitted:
      if (option.size() != kSackPermittedBytes) return false;
      if (segment.syn) segment.sack_permitted = true;
      return true;
    case Sack: {
      const std::size_t blocks = (option.size() - kSackBytes) / kSackBlockBytes;
      if (blocks == 0 || option.size() != kSackBytes + blocks * kSackBlockBytes) return false;
      ADIEU_ASSERT(blocks <= kMaxSackBlocks);  // 40 octets of options hold no more
      segment.sack_blocks = {};
      for (std::size_t i = 0; i < blocks; ++i) {
        const std::size_t at = kSackBytes + i * kSackBlockBytes;
        segment.sack_blocks[i] = {Seq{load32(option, at)}, Seq{load32(option, at + 4)}};
      }
      segment.sack_count = static_cast<std::uint8_t>(blocks);
      return true;
    }
    case TimestampsKind:
      if (option.size() != kTimestampsBytes) return false;
      segment.timestamps = Timestamps{load32(option, 2), load32(option, 6)};
      return true;
    default: return true;  // RFC 9293 section 3.1, MUST-6: "ignore without error any TCP Option it does not implement"
  }
}

bool parse_options(Bytes options, Segment& segment) {
  while (!options.empty() && options[0] != EndOfList) {
    if (options[0] == NoOperation) {
      options = options.subspan(1);
      continue;
    }
    // MUST-7: "be prepared to handle an illegal option length (e.g., zero)".
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return false;
    if (!take_option(options.first(options[1]), segment)) return false;
    options = options.subspan(options[1]);
  }
  return true;
}

// Which options go out, in how many octets, and whether with the padding that puts each on a 32-bit boundary.
struct OptionPlan {
  std::size_t sack_blocks = 0;
  std::size_t bytes = 0;  // a multiple of four
  bool padded = true;
};

OptionPlan plan_options(const Segment& segment) {
  ADIEU_ASSERT(segment.sack_count <= kMaxSackBlocks);
  const std::size_t packed = (segment.mss ? kMssBytes : 0) + (segment.sack_permitted ? kSackPermittedBytes : 0) +
                             (segment.timestamps ? kTimestampsBytes : 0) +
                             (segment.window_scale ? kWindowScaleBytes : 0);
  std::size_t padded = (segment.mss ? 4U : 0U) + (segment.window_scale ? 4U : 0U);
  padded += segment.timestamps ? 12U : segment.sack_permitted ? 4U : 0U;  // SACK-permitted stands before timestamps
  OptionPlan plan;
  plan.sack_blocks = segment.sack_count;
  if (plan.sack_blocks == 0) {
    plan.bytes = padded;
    return plan;
  }
  // RFC 2018 section 3: a header holds as many blocks as the other options leave room for.
  plan.sack_blocks = std::min(plan.sack_blocks, (kTcpMaxOptionBytes - packed - kSackBytes) / kSackBlockBytes);
  const std::size_t sack = kSackBytes + plan.sack_blocks * kSackBlockBytes;
  plan.padded = padded + 2 + sack <= kTcpMaxOptionBytes;
  plan.bytes = plan.padded ? padded + 2 + sack : (packed + sack + 3) / 4 * 4;
  return plan;
}

class OptionWriter {
 public:
  OptionWriter(MutableBytes out, bool padded) : out_(out), padded_(padded) {}

  void pad(std::size_t no_operations) {
    if (!padded_) return;
    for (; no_operations > 0; --no_operations) out_[at_++] = NoOperation;
  }
  void head(OptionKind kind, std::size_t length) {
    out_[at_++] = kind;
    out_[at_++] = static_cast<std::uint8_t>(length);
  }
  void put8(std::uint8_t value) { out_[at_++] = value; }
  void put16(std::uint16_t value) {
    store16(out_, at_, value);
    at_ += 2;
  }
  void put32(std::uint32_t value) {
    store32(out_, at_, value);
    at_ += 4;
  }
  void finish() {
    while (at_ < out_.size()) out_[at_++] = EndOfList;
  }

 private:
  MutableBytes out_;
  std::size_t at_ = 0;
  bool padded_;
};

void write_options(const Segment& segment, const OptionPlan& plan, MutableBytes out) {
  OptionWriter writer(out, plan.padded);
  if (segment.mss) {
    writer.head(MaximumSegmentSize, kMssBytes);
    writer.put16(*segment.mss);
  }
  if (segment.sack_permitted) {
    if (!segment.timestamps) writer.pad(2);
    writer.head(SackPermitted, kSackPermittedBytes);
  }
  if (segment.timestamps) {
    if (!segment.sack_permitted) writer.pad(2);
    writer.head(TimestampsKind, kTimestampsBytes);
    writer.put32(segment.timestamps->value);
    writer.put32(segment.timestamps->echo);
  }
  if (segment.window_scale) {
    writer.pad(1);
    writer.head(WindowScale, kWindowScaleBytes);
    writer.put8(*segment.window_scale);
  }
  if (plan.sack_blocks > 0) {
    writer.pad(2);
    writer.head(Sack, kSackBytes + plan.sack_blocks * kSackBlockBytes);
    for (std::size_t i = 0; i < plan.sack_blocks; ++i) {
      writer.put32(segment.sack_blocks[i].left.value);
      writer.put32(segment.sack_blocks[i].right.value);
    }
  }
  writer.finish();
}

std::uint8_t flags_of(const Segment& segment) {
  const auto bit = [](bool set, Flag flag) { return set ? unsigned{flag} : 0U; };
  return static_cast<std::uint8_t>(bit(segment.fin, Fin) | bit(segment.syn, Syn) | bit(segment.rst, Rst) |
                                   bit(segment.psh, Psh) | bit(segment.ack_flag, Ack) | bit(segment.urg, Urg) |
                                   bit(segment.ece, Ece) | bit(segment.cwr, Cwr));
}

}  // namespace

std::expected<Segment, Malformed> parse_tcp(const IpPacket& packet, const Offload& offload) {
  const Bytes bytes = packet.payload;
  if (bytes.size() < kTcpHeaderBytes) return std::unexpected(Malformed::Truncated);
  const std::size_t header = (bytes[12] >> 4) * 4U;
  if (header < kTcpHeaderBytes) return std::unexpected(Malformed::BadHeaderLength);
  if (header > bytes.size()) return std::unexpected(Malformed::Truncated);
  if (!offload.checksum_valid) {
    const auto length = static_cast<std::uint32_t>(bytes.size());
    const std::uint16_t pseudo = pseudo_header_sum(packet.source, packet.destination, kProtocolTcp, length);
    // MUST-3: "The receiver MUST check it".
    if (ones_sum(bytes, pseudo) != 0xffff) return std::unexpected(Malformed::BadChecksum);
  }
  const std::uint8_t flags = bytes[13];
  Segment segment;
  segment.source_port = load16(bytes, 0);
  segment.destination_port = load16(bytes, 2);
  segment.seq = Seq{load32(bytes, 4)};
  segment.ack = Seq{load32(bytes, 8)};
  segment.fin = (flags & Fin) != 0;
  segment.syn = (flags & Syn) != 0;
  segment.rst = (flags & Rst) != 0;
  segment.psh = (flags & Psh) != 0;
  segment.ack_flag = (flags & Ack) != 0;
  segment.urg = (flags & Urg) != 0;
  segment.ece = (flags & Ece) != 0;
  segment.cwr = (flags & Cwr) != 0;
  segment.window = load16(bytes, 14);
  segment.payload = bytes.subspan(header);
  if (!parse_options(bytes.subspan(kTcpHeaderBytes, header - kTcpHeaderBytes), segment))
    return std::unexpected(Malformed::BadOption);
  return segment;
}

std::size_t tcp_header_bytes(const Segment& segment) { return kTcpHeaderBytes + plan_options(segment).bytes; }

std::size_t write_tcp(const Segment& segment, const Address& source, const Address& destination, bool partial_checksum,
                      MutableBytes out) {
  const OptionPlan plan = plan_options(segment);
  const std::size_t header = kTcpHeaderBytes + plan.bytes;
  const std::size_t total = header + segment.payload.size();
  ADIEU_ASSERT(out.size() >= total);
  store16(out, 0, segment.source_port);
  store16(out, 2, segment.destination_port);
  store32(out, 4, segment.seq.value);
  store32(out, 8, segment.ack.value);
  out[12] = static_cast<std::uint8_t>(header / 4 << 4);  // MUST-1 of section 3.1: reserved bits are zero
  out[13] = flags_of(segment);
  store16(out, 14, segment.window);
  store16(out, 16, 0);
  store16(out, 18, 0);
  write_options(segment, plan, out.subspan(kTcpHeaderBytes, plan.bytes));
  // The payload may already stand where it belongs: a sender that gathers into the packet's own buffer.
  if (!segment.payload.empty()) std::memmove(out.data() + header, segment.payload.data(), segment.payload.size());
  const std::uint16_t pseudo = pseudo_header_sum(source, destination, kProtocolTcp, static_cast<std::uint32_t>(total));
  store16(out, 16, partial_checksum ? pseudo : checksum_of(ones_sum(out.first(total), pseudo)));
  return total;
}

}  // namespace adieu::wire
