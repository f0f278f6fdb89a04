// How many octets an idle half-closed connection costs, all in.
//
// What lives here: one measurement: N IPv6 connections between two engines in memory; each carries octets both ways,
// is half-closed, and goes quiet; then the engine's private memory and its share of the table are divided by N.
// What does not: time (bench/ has no such program yet), the allocator's own overhead (shown beside it, from malloc).
//
// usage: idle_bytes [N, default 100000]
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "plane/table.h"
#include "stack/engine.h"

namespace {

using namespace adieu;

Address address(std::uint8_t host) {
  Address a;
  a.octets[0] = 0xfd;
  a.octets[15] = host;
  return a;
}

struct Host {
  Host(std::uint8_t number, std::uint32_t slots, Instant now)
      : capacity{slots, 64, 64},
        memory(static_cast<std::uint8_t*>(std::aligned_alloc(64, (plane::table_bytes(capacity) + 63) / 64 * 64))) {
    for (std::size_t i = 0; i < plane::table_bytes(capacity); i += 8)
      *reinterpret_cast<std::uint64_t*>(memory.get() + i) = 0;
    stack::Settings settings;
    settings.addresses = {address(number)};
    settings.isn_key[0] = number;
    settings.first_ephemeral_port = 1024;
    settings.last_ephemeral_port = 65000;
    plane::TableSetup setup;
    setup.incarnation = number;
    setup.capacity = capacity;
    engine =
        std::make_unique<stack::Engine>(settings, MutableBytes{memory.get(), plane::table_bytes(capacity)}, setup, now);
  }
  struct Free {
    void operator()(std::uint8_t* p) const { std::free(p); }
  };
  plane::Capacity capacity;
  std::unique_ptr<std::uint8_t, Free> memory;
  std::unique_ptr<stack::Engine> engine;
};

struct Wire {
  // Until both have nothing more to say.
  void settle(Host& a, Host& b, Instant now) {
    bool said = true;
    while (said) {
      said = false;
      for (const bool from_a : {true, false}) {
        stack::Engine& from = *(from_a ? a : b).engine;
        stack::Engine& to = *(from_a ? b : a).engine;
        while (const auto out = from.poll_packet(buffer, now)) {
          said = true;
          to.receive_packet(Bytes(buffer).first(out->length), out->offload, now);
        }
        while (from.poll_wake()) {
        }
      }
    }
  }
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(limits::kPacketBytes);
};

// Deadlines of both, for a while.
void pass(Host& a, Host& b, Wire& wire, Instant& now, Duration span) {
  const Instant until = now + span;
  for (;;) {
    wire.settle(a, b, now);
    const Instant next = earlier(a.engine->next_deadline(), b.engine->next_deadline());
    if (next > until) break;
    now = later(now, next);
    a.engine->advance(now);
    b.engine->advance(now);
  }
  now = until;
  a.engine->advance(now);
  b.engine->advance(now);
}

void show(const char* who, const stack::Engine& engine, std::uint32_t n) {
  const std::size_t live = engine.live_connections();
  const std::size_t table = live * sizeof(plane::Slot);
  const std::size_t all = engine.private_bytes() + table;
  std::printf("  %-34s %8zu connections: %zu private + %zu in the table = %.1f octets each (aim: 256)\n", who, live,
              engine.private_bytes() / n, table / n, static_cast<double>(all) / n);
}

int measure(std::uint32_t n) {
  Instant now{seconds(1000).ns};
  const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  Host a(1, n, now);
  Host b(2, n, now);
  Wire wire;
  std::vector<stack::Listener> listeners;
  const std::uint32_t ports = (n + 49'999) / 50'000;  // one peer's ephemeral ports do not suffice for one port of ours
  for (std::uint32_t i = 0; i < ports; ++i) {
    const auto listener = b.engine->listen({Address{}, static_cast<std::uint16_t>(7000 + i)}, {});
    if (!listener) return 1;
    listeners.push_back(*listener);
  }
  std::uint8_t octets[100] = {};
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto client = a.engine->connect({address(2), static_cast<std::uint16_t>(7000 + i % ports)}, {}, now);
    if (!client) return 1;
    wire.settle(a, b, now);
    const auto server = b.engine->accept(listeners[i % ports], now);
    if (!server) return 1;
    if (!a.engine->send(*client, octets, now) || !b.engine->send(*server, octets, now)) return 1;
    wire.settle(a, b, now);
    std::uint8_t out[200];
    if (a.engine->receive(*client, out, false, now) != sizeof octets) return 1;
    if (b.engine->receive(*server, out, false, now) != sizeof octets) return 1;
    if (!a.engine->shutdown(*client, stack::Shut::Send, now)) return 1;
    wire.settle(a, b, now);
    if (i % 1000 == 0) pass(a, b, wire, now, milliseconds(10));
  }
  pass(a, b, wire, now, seconds(10));  // transfers are given back
  std::printf("idle half-closed IPv6 connections, after their transfers were given back\n");
  show("FIN-WAIT-2 (client engine)", *a.engine, n);
  show("CLOSE-WAIT (server engine)", *b.engine, n);
  const std::size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd - before;
  const std::size_t tables = 2 * plane::table_bytes(a.capacity);
  std::printf("  by malloc's own count, both engines and all their tables: %.1f octets a connection and end\n",
              static_cast<double>(heap) / n / 2);
  std::printf("  (of which tables: %.1f)\n", static_cast<double>(tables) / n / 2);
  return a.engine->live_connections() == n && b.engine->live_connections() == n ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const long n = count > 1 ? std::strtol(arguments[1], nullptr, 10) : 100'000;
  if (n <= 0 || n > 10'000'000) {
    std::fprintf(stderr, "usage: idle_bytes [N]\n");
    return 2;
  }
  return measure(static_cast<std::uint32_t>(n));
}
