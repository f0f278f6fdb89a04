// An exchange between two ends as it is read: what each segment that was seen is, in relative numbers.
//
// What lives here: Step, and the reading of segments into steps. What does not: capture (watch.h), drawing (ladder.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/watch.h"

namespace adieu::lab {

enum class Kind : std::uint8_t {
  Syn,
  Data,  // octets not seen before
  Ack,
  Fin,
  Reset,
  DataEcho,  // one octet that was sent before, sent again: a probe
  Bare,      // no octet, its sequence number before the next one: a probe
  Answer,    // the ACK that follows a probe
  Again,     // anything else sent before: a retransmission
};

constexpr bool is_probe(Kind kind) { return kind == Kind::DataEcho || kind == Kind::Bare; }

struct Step {
  Seen seen;
  bool from_left = false;
  Kind kind = Kind::Ack;
  std::uint32_t seq = 0;     // relative to this side's initial sequence number
  std::uint32_t ack = 0;     // relative to the other side's
  std::uint32_t window = 0;  // scaled, where the handshake was seen
};

// `left` is one of the two ends of all these segments.
std::vector<Step> read_exchange(const std::vector<Seen>& segments, const Endpoint& left);

// New octets that one side sent after `since`.
std::uint64_t data_since(const std::vector<Step>& steps, bool from_left, Instant since);
std::size_t count(const std::vector<Step>& steps, bool from_left, Kind kind, Instant since = Instant::unknown());

}  // namespace adieu::lab
