// Two engines and a wire between them under virtual time: the stage for the stories of this room.
//
// What lives here: Host (an engine with its table) and Pair (two of them, a delay, and a say in which packets arrive).
// What does not: seeds and impairments (sim), one connection alone (tests/tcp).
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/rng.h"
#include "stack/engine.h"
#include "wire/ip.h"
#include "wire/tcp.h"

namespace adieu::stack {

using namespace adieu::literals;

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

struct Host {
  Host(Settings settings, Instant now, std::uint32_t slots = 64)
      : memory((plane::table_bytes({slots, 64, 64}) + 63) / 8),
        setup(make_setup(slots)),
        engine(settings, table_bytes(), setup, now) {}

  MutableBytes table_bytes() {
    auto* start = reinterpret_cast<std::uint8_t*>(memory.data());
    auto aligned = (reinterpret_cast<std::uintptr_t>(start) + 63) & ~std::uintptr_t{63};
    return {reinterpret_cast<std::uint8_t*>(aligned), plane::table_bytes(setup.capacity)};
  }
  plane::Record record(Socket socket) const { return engine.table().last(socket.slot); }
  State state(Socket socket) const { return record(socket).state; }
  std::string read(Socket socket, Instant now, std::size_t most = 1 << 20) {
    std::string text(most, '\0');
    const auto n = engine.receive(socket, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()}, false, now);
    text.resize(n.value_or(0));
    return text;
  }

  std::vector<std::uint64_t> memory;
  plane::TableSetup setup;
  Engine engine;

 private:
  static plane::TableSetup make_setup(std::uint32_t slots) {
    plane::TableSetup setup;
    setup.incarnation = 0xadde;
    setup.capacity = {slots, 64, 64};
    setup.name = "test";
    return setup;
  }
};

// A packet on its way, parsed, for those who decide or look.
struct Seen {
  bool from_a = false;
  wire::Segment segment;
};

struct Pair {
  explicit Pair(Family family = Family::V4, bool offload = true)
      : now{seconds(1000).ns},
        a_family(family),
        a(settings(family, 1, offload), now),
        b(settings(family, 2, offload), now) {}

  static Address address(Family family, std::uint8_t host) {
    if (family == Family::V4) return Address::v4(10, 0, 0, host);
    Address v6;
    v6.octets[0] = 0xfd;
    v6.octets[15] = host;
    return v6;
  }
  static Settings settings(Family family, std::uint8_t host, bool offload) {
    Settings s;
    s.addresses = {address(family, host)};
    s.segmentation_offload = offload;
    s.checksum_offload = offload;
    s.isn_key[0] = host;
    s.demux_key[0] = host;
    return s;
  }
  Endpoint endpoint_b(std::uint16_t port) const { return {b_address(), port}; }
  Address b_address() const { return address(family(), 2); }
  Family family() const { return a_family; }

  // Lets everything happen that happens within `span`.
  void run(Duration span) {
    const Instant until = now + span;
    for (int rounds = 0; rounds < 2'000'000; ++rounds) {
      pump(a, true);
      pump(b, false);
      Instant next = earlier(a.engine.next_deadline(), b.engine.next_deadline());
      if (!wire.empty()) next = earlier(next, wire.front().at);
      if (next > until) break;
      now = later(now, next);
      while (!wire.empty() && wire.front().at <= now) {
        const OnWire packet = std::move(wire.front());
        wire.pop_front();
        (packet.from_a ? b : a).engine.receive_packet(packet.bytes, packet.offload, now);
      }
      a.engine.advance(now);
      b.engine.advance(now);
      a.engine.check_invariants();
      b.engine.check_invariants();
    }
    now = until;
    a.engine.advance(now);
    b.engine.advance(now);
    pump(a, true);
    pump(b, false);
  }

  // A connection from `a` to a listener of `b`.
  std::pair<Socket, Socket> connected(std::uint16_t port = 7000) {
    const auto listener = b.engine.listen({{}, port}, {});
    const auto listener4 = b.engine.listen({Address::v4(0, 0, 0, 0), port}, {});
    const auto client = a.engine.connect(endpoint_b(port), {}, now);
    EXPECT_TRUE(client);
    run(100_ms);
    const auto server = b.engine.accept(a_family == Family::V4 ? *listener4 : *listener, now);
    EXPECT_TRUE(server);
    run(1_ms);
    return {client.value_or(Socket{}), server.value_or(Socket{})};
  }

  struct OnWire {
    Instant at;
    bool from_a;
    std::vector<std::uint8_t> bytes;
    Offload offload;
  };

  Instant now;
  Duration delay = 10_ms;
  Family a_family = Family::V4;
  Host a;
  Host b;
  std::deque<OnWire> wire;
  std::function<bool(const Seen&)> passes = [](const Seen&) { return true; };
  std::vector<Seen> log;  // payloads are not kept

 private:
  void pump(Host& host, bool from_a) {
    std::vector<std::uint8_t> buffer(limits::kPacketBytes);
    while (const auto out = host.engine.poll_packet(buffer, now)) {
      OnWire packet{now + delay,
                    from_a,
                    {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(out->length)},
                    out->offload};
      packet.offload.checksum_valid = packet.offload.checksum_partial;
      const auto ip = wire::parse_ip(packet.bytes);
      ASSERT_TRUE(ip);
      const auto segment = wire::parse_tcp(*ip, packet.offload);
      ASSERT_TRUE(segment);
      Seen seen{from_a, *segment};
      if (!passes(seen)) continue;
      seen.segment.payload = {};
      log.push_back(seen);
      wire.push_back(std::move(packet));
    }
    while (host.engine.poll_wake()) {
    }
  }
};

}  // namespace adieu::stack
