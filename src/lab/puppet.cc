// In through AF_PACKET, out through a raw IPv4 socket.
#include "lab/puppet.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "host/clock.h"
#include "lab/trouble.h"
#include "wire/ip.h"

namespace adieu::lab {
namespace {

constexpr std::uint16_t kFirstPort = 5001;
constexpr std::size_t kLargestPacket = 1 << 17;
constexpr std::array<std::uint8_t, 4096> kOctets{};

host::Descriptor open_socket(const Net& net, int family, int type, int protocol) {
  const Inside inside(net);
  host::Descriptor socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!socket) throw Trouble(fmt::format("no raw socket in {}: {}", net.name(), std::strerror(errno)));
  return socket;
}

}  // namespace

// --- one of them

void Puppet::connect(const Endpoint& to, Seq initial) {
  remote_ = to;
  initial_ = initial;
  snd_nxt_ = snd_una_ = data_end_ = initial;
  connected_ = heard_fin_ = false;
  wire::Segment syn = next();
  syn.syn = true;
  syn.ack_flag = false;
  syn.ack = {};
  syn.mss = 1460;
  if (syn.timestamps) syn.timestamps->echo = 0;
  say(syn);
}

wire::Segment Puppet::next() const {
  wire::Segment segment;
  segment.source_port = own_.port;
  segment.destination_port = remote_.port;
  segment.seq = snd_nxt_;
  segment.ack = rcv_nxt_;
  segment.ack_flag = true;
  segment.window = window;
  if (clock) segment.timestamps = wire::Timestamps{*clock, clock_heard_};
  return segment;
}

wire::Segment Puppet::keepalive() const {
  wire::Segment segment = next();
  segment.seq = snd_nxt_ - 1;
  return segment;
}

wire::Segment Puppet::last_octet() const {
  wire::Segment segment = next();
  segment.seq = data_end_ - 1;
  segment.payload = Bytes(kOctets.data(), 1);
  return segment;
}

void Puppet::send_ack() { say(next()); }

void Puppet::send_data(std::uint32_t octets) {
  wire::Segment segment = next();
  segment.psh = true;
  segment.payload = Bytes(kOctets.data(), std::min<std::size_t>(octets, 1400));
  say(segment);
  snd_nxt_ += static_cast<std::uint32_t>(segment.payload.size());
  data_end_ = snd_nxt_;
}

void Puppet::send_fin() {
  wire::Segment segment = next();
  segment.fin = true;
  say(segment);
  snd_nxt_ += 1;
}

void Puppet::take(const Heard& heard, const Endpoint& from) {
  heard_.push_back(heard);
  const wire::Segment& s = heard.segment;
  if (s.rst || !answers) return;
  if (s.timestamps) clock_heard_ = s.timestamps->value;
  if (s.syn) return take_syn(s, from);
  if (!connected_) return;
  if (s.ack_flag && s.ack > snd_una_ && s.ack <= snd_nxt_) snd_una_ = s.ack;
  window_heard_ = s.window;
  take_octets(heard);
}

void Puppet::take_syn(const wire::Segment& s, const Endpoint& from) {
  rcv_nxt_ = s.seq + 1;
  window_heard_ = s.window;
  if (s.ack_flag) {  // of our connect
    if (s.ack != initial_ + 1) return;
    snd_nxt_ = snd_una_ = data_end_ = initial_ + 1;
    connected_ = true;
    return send_ack();
  }
  remote_ = from;
  snd_nxt_ = initial_;
  wire::Segment answer = next();
  answer.syn = true;
  answer.mss = 1460;
  say(answer);
  snd_una_ = initial_;
  snd_nxt_ = data_end_ = initial_ + 1;
  connected_ = true;
}

void Puppet::take_octets(const Heard& heard) {
  const wire::Segment& s = heard.segment;
  const std::uint32_t length = heard.payload + (s.fin ? 1U : 0U);
  const bool is_room = window > 0 || heard.payload == 0;
  if (length > 0 && is_room && s.seq <= rcv_nxt_ && s.seq + length > rcv_nxt_) {
    rcv_nxt_ = s.seq + length;
    heard_fin_ = heard_fin_ || s.fin;
  }
  // What is no more than an acknowledgement in its place wants none.
  if (length > 0 || s.seq != rcv_nxt_) send_ack();
}

std::size_t Puppet::count(Instant since, const std::function<bool(const Heard&)>& which) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(heard_, [&](const Heard& h) { return h.at >= since && which(h); }));
}

std::optional<Heard> Puppet::first(Instant since, const std::function<bool(const Heard&)>& which) const {
  const auto found = std::ranges::find_if(heard_, [&](const Heard& h) { return h.at >= since && which(h); });
  return found == heard_.end() ? std::nullopt : std::optional(*found);
}

// --- all of them

Puppets::Puppets(const Net& net)
    : in_(open_socket(net, AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))),
      out_(open_socket(net, AF_INET, SOCK_RAW, IPPROTO_RAW)) {}

Puppet& Puppets::add() {
  const Endpoint own{Address::v4(10, 9, 0, 1), static_cast<std::uint16_t>(kFirstPort + puppets_.size())};
  puppets_.push_back(std::make_unique<Puppet>(
      own, [this, own](const Endpoint& to, const wire::Segment& segment) { send(own, to, segment); }));
  return *puppets_.back();
}

void Puppets::send(const Endpoint& from, const Endpoint& to, wire::Segment segment) {
  std::array<std::uint8_t, 2048> packet{};
  const std::size_t head = wire::ip_header_bytes(Family::V4);
  const std::size_t length =
      wire::write_tcp(segment, from.address, to.address, false, MutableBytes(packet).subspan(head));
  wire::write_ip({.source = from.address, .destination = to.address}, length, packet);
  sockaddr_in there{};
  there.sin_family = AF_INET;
  std::memcpy(&there.sin_addr, to.address.octets.data() + 12, 4);
  if (sendto(out_.get(), packet.data(), head + length, 0, reinterpret_cast<const sockaddr*>(&there), sizeof there) < 0)
    throw Trouble(fmt::format("a puppet cannot send: {}", std::strerror(errno)));
}

void Puppets::wait(Duration limit) const {
  pollfd ready{in_.get(), POLLIN, 0};
  poll(&ready, 1, static_cast<int>(limit.milliseconds()));
}

void Puppets::turn() {
  std::array<std::uint8_t, kLargestPacket> buffer;
  for (;;) {
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t length =
        recvfrom(in_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (length <= 0) break;
    if (from.sll_pkttype != PACKET_OUTGOING) take(Bytes(buffer.data(), static_cast<std::size_t>(length)));
  }
  std::erase_if(delayed_, [now = host::now()](const Delayed& one) {
    if (one.due > now) return false;
    one.puppet->take(one.heard, one.from);
    return true;
  });
}

void Puppets::take(Bytes packet) {
  const auto ip = wire::parse_ip(packet);
  if (!ip || ip->protocol != wire::kProtocolTcp) return;
  // Checksums of packets that never leave this host are not completed.
  const auto segment = wire::parse_tcp(*ip, Offload{.checksum_valid = true});
  if (!segment) return;
  Heard heard{host::now(), *segment, static_cast<std::uint32_t>(segment->payload.size())};
  heard.segment.payload = {};
  for (const auto& puppet : puppets_)
    if (puppet->own() == Endpoint{ip->destination, segment->destination_port})
      delayed_.push_back({heard.at + puppet->delay, puppet.get(), heard, {ip->source, segment->source_port}});
}

}  // namespace adieu::lab
