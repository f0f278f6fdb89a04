// The question and the answer. What does not live here: reading the socket (bpf/bare.bpf.c).
#include "kernel/bpf_bare.h"

#include <endian.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernel/bpf/objects.h"
#include "kernel/bpf/rows.h"
#include "kernel/reply.h"

namespace adieu::kernel {
namespace {

constexpr unsigned kEcnBits = 3;  // RFC 3168 section 5

BareSegment segment_of(const BareRow& row) {
  BareSegment segment;
  segment.state = state_of(row.state);
  segment.is_idle = row.is_idle != 0;
  segment.is_plain = row.is_plain != 0;
  segment.next = row.next;
  segment.ack = row.ack;
  segment.window = static_cast<std::uint16_t>(std::min(row.window >> row.window_scale, 65535U));
  if (row.has_timestamps != 0) segment.timestamps = BareTimestamps{.value = row.timestamp, .echo = row.echo};
  segment.mark = row.mark;
  segment.device = row.device;
  segment.v4 = {.hops = row.ttl, .service = static_cast<int>(row.service & ~kEcnBits)};
  segment.v6 = {.hops = row.hop_limit, .service = static_cast<int>(row.traffic_class & ~kEcnBits)};
  return segment;
}

}  // namespace

std::expected<BpfBare, Error> BpfBare::open() {
  auto object = BpfObject::open(objects::kBare, "adieu_bare");
  if (!object) return std::unexpected(object.error());
  if (auto loaded = object->load(); !loaded) return std::unexpected(loaded.error());
  return BpfBare(std::move(*object));
}

std::optional<BareSegment> BpfBare::read(const SocketKey& key) const {
  BareQuestion question{};
  std::ranges::copy(key.local.address.octets, question.local);
  std::ranges::copy(key.remote.address.octets, question.remote);
  question.local_port = htobe16(key.local.port);
  question.remote_port = htobe16(key.remote.port);
  question.is_v4 = key.remote.address.family() == Family::V4 ? 1 : 0;
  std::array<std::uint8_t, BARE_AT + std::max(sizeof(BareQuestion), sizeof(BareRow))> packet{};
  std::memcpy(packet.data() + BARE_AT, &question, sizeof question);
  if (!object_.run("tell_bare_segment", packet, key.interface)) return std::nullopt;
  BareRow row{};
  std::memcpy(&row, packet.data() + BARE_AT, sizeof row);
  if (row.state == 0 || row.cookie != key.cookie) return std::nullopt;
  return segment_of(row);
}

}  // namespace adieu::kernel
