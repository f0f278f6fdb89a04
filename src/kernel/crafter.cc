// The segment, and the raw socket that sends it. What does not live here: its octets (wire).
#include "kernel/crafter.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernel/capability.h"
#include "wire/tcp.h"

namespace adieu::kernel {
namespace {

using plane::Outcome;

bool set(const Descriptor& file, int level, int name, int value) {
  return ::setsockopt(file.get(), level, name, &value, sizeof value) == 0;
}

struct Name {
  sockaddr_storage octets{};
  socklen_t length = 0;
};
// Without its port, which a raw socket does not know.
Name name_of(const Address& address, std::uint32_t device) {
  Name name;
  if (address.family() == Family::V4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, address.octets.data() + 12, 4);
    std::memcpy(&name.octets, &v4, name.length = sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_scope_id = device;
    std::memcpy(&v6.sin6_addr, address.octets.data(), 16);
    std::memcpy(&name.octets, &v6, name.length = sizeof v6);
  }
  return name;
}

// A raw socket whose packets go the connection's way: from its address, by its device, mark, class and TTL.
bool goes_its_way(const Descriptor& file, const SocketKey& key, const BareSegment& bare) {
  const bool is_v4 = key.remote.address.family() == Family::V4;
  const int level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const BareSegment::Header& header = is_v4 ? bare.v4 : bare.v6;
  if (header.hops >= 0 && !set(file, level, is_v4 ? IP_TTL : IPV6_UNICAST_HOPS, header.hops)) return false;
  if (header.service != 0 && !set(file, level, is_v4 ? IP_TOS : IPV6_TCLASS, header.service)) return false;
  if (bare.mark != 0 && !set(file, SOL_SOCKET, SO_MARK, static_cast<int>(bare.mark))) return false;
  if (bare.device != 0 && !set(file, SOL_SOCKET, SO_BINDTOIFINDEX, bare.device)) return false;
  const auto device = static_cast<std::uint32_t>(bare.device);
  const Name here = name_of(key.local.address, device);
  const Name there = name_of(key.remote.address, device);
  return ::bind(file.get(), reinterpret_cast<const sockaddr*>(&here.octets), here.length) == 0 &&
         ::connect(file.get(), reinterpret_cast<const sockaddr*>(&there.octets), there.length) == 0;
}

wire::Segment segment_of(const SocketKey& key, const BareSegment& bare) {
  wire::Segment segment;
  segment.source_port = key.local.port;
  segment.destination_port = key.remote.port;
  // RFC 9293 section 3.8.4: "such a segment generally contains SEG.SEQ = SND.NXT-1"
  segment.seq = Seq{bare.next} - 1;
  segment.ack = Seq{bare.ack};
  segment.ack_flag = true;
  segment.window = bare.window;
  if (bare.timestamps) segment.timestamps = wire::Timestamps{bare.timestamps->value, bare.timestamps->echo};
  return segment;
}

bool sends(const SocketKey& key, const BareSegment& bare) {
  const int family = key.remote.address.family() == Family::V4 ? AF_INET : AF_INET6;
  const Descriptor file(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (file.get() < 0 || !goes_its_way(file, key, bare)) return false;
  std::array<std::uint8_t, wire::kTcpHeaderBytes + wire::kTcpMaxOptionBytes> octets;
  const std::size_t length =
      wire::write_tcp(segment_of(key, bare), key.local.address, key.remote.address, false, octets);
  return ::send(file.get(), octets.data(), length, MSG_NOSIGNAL) == static_cast<ssize_t>(length);
}

}  // namespace

bool is_craftable(const Socket& socket) {
  // Without an inode it is an orphan in FIN-WAIT-2, and in an accept queue in the other two.
  const bool idles = socket.state == State::Established || socket.state == State::CloseWait ||
                     (socket.state == State::FinWait2 && socket.inode != 0);
  return idles && socket.is_whole && socket.unacked == 0 && socket.send_queue == 0;
}

Crafter Crafter::open() {
  Crafter crafter;
  if (!has_capability(CAP_NET_RAW)) return crafter;
  if (auto bare = BpfBare::open()) crafter.bare_ = std::make_unique<BpfBare>(std::move(*bare));
  return crafter;
}

void Crafter::ask(const Network& network, std::span<Question* const> questions) {
  const Inside inside(network.file);
  if (!is_possible() || !inside.is_in()) return;
  for (Question* const question : questions) question->outcome = ask(question->found);
}

Outcome Crafter::ask(const Socket& found) const {
  if (was_just_heard(found)) return Outcome::TooSoon;
  const auto segment = bare_->read(found.key);
  if (!segment || segment->state != found.state || !segment->is_idle || !segment->is_plain) return Outcome::Unable;
  return sends(found.key, *segment) ? Outcome::Done : Outcome::Unable;
}

}  // namespace adieu::kernel
