// One direction of a bad path, under virtual time: it loses, doubles, delays, reorders, corrupts and swallows packets.
//
// What lives here: Impairment, pure and seeded: the same seed, packets and instants give the same deliveries.
// What does not: a clock, I/O, a link's other direction (make two).
//
// input(packet, offload, now), poll(now, buffer), next_deadline().
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "base/bytes.h"
#include "base/packet.h"
#include "base/rng.h"
#include "base/time.h"
#include "device/device.h"

namespace adieu::device {

struct ImpairmentSettings {
  // Each a probability in [0, 1], drawn for each packet alone.
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;
  double corrupt = 0;  // one bit is inverted; a partial checksum is completed before, so that it can be noticed

  Duration delay = {};          // of every packet
  Duration jitter = {};         // up to this much more; packets stay in order
  Duration reorder_delay = {};  // a reordered packet is late by up to this, and others pass it

  std::size_t capacity = 4096;  // packets in flight; what is more is dropped
};

struct ImpairmentCounts {
  std::uint64_t offered = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t swallowed = 0;  // by a black hole
  std::uint64_t overflowed = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t corrupted = 0;
};

class Impairment {
 public:
  Impairment(std::uint64_t seed, const ImpairmentSettings& settings) : rng_(seed), settings_(settings) {}

  // For packets from now on; what is in flight stays.
  void set(const ImpairmentSettings& settings) { settings_ = settings; }
  // Swallows every packet sent in [from, until); what is in flight arrives. Spans add up.
  void black_hole(Instant from, Instant until);

  void input(Bytes packet, const Offload& offload, Instant now);
  // A packet whose time has come, nullopt if there is none. `buffer` has room for limits::kPacketBytes.
  std::optional<Received> poll(Instant now, MutableBytes buffer);
  Instant next_deadline() const { return in_flight_.empty() ? Instant::never() : in_flight_.top().at; }

  const ImpairmentCounts& counts() const { return counts_; }
  std::size_t in_flight() const { return in_flight_.size(); }

 private:
  struct Span {
    Instant from;
    Instant until;
  };
  struct Packet {
    Instant at;
    std::uint64_t serial = 0;  // packets of one instant leave as they came
    std::vector<std::uint8_t> octets;
    Offload offload;
    // A priority queue has its greatest on top: the earliest.
    bool operator<(const Packet& other) const { return at != other.at ? at > other.at : serial > other.serial; }
  };

  bool is_swallowed(Instant now);
  void send(Bytes packet, const Offload& offload, Instant now, Rng& rng);

  Rng rng_;
  ImpairmentSettings settings_;
  ImpairmentCounts counts_;
  std::vector<Span> black_holes_;
  std::priority_queue<Packet> in_flight_;
  Instant last_in_order_;
  std::uint64_t next_serial_ = 0;
};

}  // namespace adieu::device
