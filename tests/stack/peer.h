// One engine and a peer with a free hand: the stage for stories about single segments.
//
// What lives here: Scene: says any segment to the engine, hears all of its own, and lets virtual time pass.
// What does not: two engines (pair.h), expectations for every state and event (tests/matrix).
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "pair.h"

namespace adieu::stack {

struct Heard {
  Instant at;
  wire::Segment segment;  // its payload is in `text`
  std::string text;
};

// Options of the peer's SYN.
struct PeerOptions {
  std::optional<std::uint16_t> mss = 1460;
  std::optional<std::uint8_t> window_scale = {};
  bool sack = false;
  std::optional<std::uint32_t> timestamp = {};  // its clock at the SYN; one tick a millisecond from there
  std::uint16_t window = 65535;
};

struct Scene {
  explicit Scene(PeerOptions options = {}, Family family = Family::V4, Settings base = {}, std::uint32_t slots = 64)
      : peer_options(options),
        here{Pair::address(family, 1), 7000},
        there{Pair::address(family, 9), 40000},
        host(settings(family, base), now, slots) {}

  static Settings settings(Family family, Settings base) {
    base.addresses = {Pair::address(family, 1)};
    base.isn_key[0] = 1;
    return base;
  }

  // --- the peer's hand
  wire::Segment plain() const {
    wire::Segment s;
    s.seq = snd_nxt;
    s.ack_flag = true;
    s.ack = rcv_nxt;
    s.window = window;
    if (peer_options.timestamp && timestamps_agreed) s.timestamps = {clock(), last_timestamp};
    return s;
  }
  std::uint32_t clock() const {
    return *peer_options.timestamp + static_cast<std::uint32_t>((now - Instant{seconds(1000).ns}).milliseconds());
  }
  // Lets the engine have it, and what it does at once be done. Does not move the peer's own numbers.
  void say(const wire::Segment& segment, std::string_view text = {}) {
    wire::Segment s = segment;
    s.payload = bytes_of(text);
    s.source_port = there.port;
    s.destination_port = here.port;
    std::vector<std::uint8_t> packet(wire::ip_header_bytes(there.address.family()) + wire::tcp_header_bytes(s) +
                                     text.size());
    const std::size_t ip_bytes = wire::ip_header_bytes(there.address.family());
    wire::IpHeader ip;
    ip.source = there.address;
    ip.destination = here.address;
    const std::size_t tcp_bytes =
        wire::write_tcp(s, ip.source, ip.destination, false, MutableBytes(packet).subspan(ip_bytes));
    wire::write_ip(ip, tcp_bytes, packet);
    host.engine.receive_packet(packet, {}, now);
    pump();
  }
  // As a well-behaved peer: acknowledges what it has heard and goes on in its own sequence.
  void acknowledges() { say(plain()); }
  void sends(std::string_view text, bool fin = false) {
    wire::Segment s = plain();
    s.fin = fin;
    s.psh = true;
    say(s, text);
    snd_nxt += static_cast<std::uint32_t>(text.size()) + (fin ? 1U : 0U);
  }
  void sends_fin() { sends({}, true); }

  // --- opening
  Listener listens(ListenOptions options = {}) {
    const auto listener = host.engine.listen(here, options);
    EXPECT_TRUE(listener);
    return listener.value_or(Listener{});
  }
  wire::Segment syn() const {
    wire::Segment s;
    s.seq = snd_nxt;
    s.syn = true;
    s.window = peer_options.window;
    s.mss = peer_options.mss;
    s.window_scale = peer_options.window_scale;
    s.sack_permitted = peer_options.sack;
    if (peer_options.timestamp) s.timestamps = {clock(), last_timestamp};
    return s;
  }
  // Passive: the peer's SYN comes to a listener.
  Socket accepted(ListenOptions options = {}) {
    const Listener listener = listens(options);
    say(syn());
    snd_nxt += 1;
    EXPECT_EQ(heard.size(), 1U);
    timestamps_agreed = heard.back().segment.timestamps.has_value();
    acknowledges();
    const auto socket = host.engine.accept(listener, now);
    EXPECT_TRUE(socket);
    heard.clear();
    return socket.value_or(Socket{});
  }
  // Active: the engine's SYN comes to the peer.
  Socket connecting(ConnectOptions options = {}) {
    if (!options.local) options.local = here;
    const auto socket = host.engine.connect(there, options, now);
    EXPECT_TRUE(socket);
    pump();
    return socket.value_or(Socket{});
  }
  Socket connected(ConnectOptions options = {}) {
    const Socket socket = connecting(options);
    wire::Segment answer = syn();
    answer.ack_flag = true;
    answer.ack = rcv_nxt;
    timestamps_agreed = peer_options.timestamp && heard.back().segment.timestamps;
    say(answer);
    snd_nxt += 1;
    EXPECT_EQ(state(socket), State::Established);
    heard.clear();
    return socket;
  }

  // --- time
  void run(Duration span) {
    const Instant until = now + span;
    for (;;) {
      pump();
      const Instant next = host.engine.next_deadline();
      if (next > until) break;
      now = later(now, next);
      host.engine.advance(now);
    }
    now = until;
    host.engine.advance(now);
    pump();
  }

  // --- looking
  State state(Socket socket) const { return host.state(socket); }
  plane::Record record(Socket socket) const { return host.record(socket); }
  EndReason reason(Socket socket) const { return record(socket).reason; }
  std::string read(Socket socket, std::size_t most = 1 << 20) {
    std::string text = host.read(socket, now, most);
    pump();
    return text;
  }
  std::size_t send(Socket socket, std::string_view text) {
    const auto taken = host.engine.send(socket, bytes_of(text), now);
    pump();
    return taken.value_or(0);
  }
  void shut(Socket socket, Shut how) {
    EXPECT_TRUE(host.engine.shutdown(socket, how, now));
    pump();
  }
  void close(Socket socket) {
    EXPECT_TRUE(host.engine.close(socket, now));
    pump();
  }
  // What has been heard since the last look.
  std::vector<Heard> look() { return std::exchange(heard, {}); }

  void pump() {
    std::vector<std::uint8_t> buffer(limits::kPacketBytes);
    while (const auto out = host.engine.poll_packet(buffer, now)) {
      const auto ip = wire::parse_ip(Bytes(buffer).first(out->length));
      ASSERT_TRUE(ip);
      Offload offload = out->offload;
      offload.checksum_valid = offload.checksum_partial;
      const auto segment = wire::parse_tcp(*ip, offload);
      if (!segment) continue;
      Heard h{now, *segment, {segment->payload.begin(), segment->payload.end()}};
      h.segment.payload = {};
      if (segment->source_port == here.port && !segment->rst) {
        const Seq end =
            segment->seq + static_cast<std::uint32_t>(h.text.size()) + (segment->syn || segment->fin ? 1U : 0U);
        rcv_nxt = segment->syn ? end : later(rcv_nxt, end);
        if (segment->timestamps) last_timestamp = segment->timestamps->value;
      }
      heard.push_back(std::move(h));
    }
    while (host.engine.poll_wake()) {
    }
    host.engine.check_invariants();
  }

  PeerOptions peer_options;
  Endpoint here;
  Endpoint there;
  Instant now{seconds(1000).ns};
  Host host;
  Seq snd_nxt{100'000};  // the peer's own
  Seq rcv_nxt;           // what it has heard, holes or not
  std::uint16_t window = 65535;
  bool timestamps_agreed = false;
  std::uint32_t last_timestamp = 0;
  std::vector<Heard> heard;
};

// <CTL=ACK> and nothing else.
inline bool is_bare_ack(const Heard& h) {
  return h.segment.ack_flag && !h.segment.syn && !h.segment.fin && !h.segment.rst && h.text.empty();
}

}  // namespace adieu::stack
