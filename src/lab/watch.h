// Watching TCP on one interface of a network namespace: what was on the wire, and when.
//
// What lives here: a packet socket read by a thread of its own, segments parsed with room `wire`. What does not: what
// they mean (exchange.h), drawing (ladder.h).
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "host/descriptor.h"
#include "lab/world.h"
#include "wire/tcp.h"

namespace adieu::lab {

// A segment that was seen. Offloads may have made one of several (its length may exceed the MSS).
struct Seen {
  Instant at;
  Endpoint source;
  Endpoint destination;
  wire::Segment segment;      // without its payload
  std::uint32_t payload = 0;  // octets

  bool is_bare_ack() const { return payload == 0 && !segment.syn && !segment.fin && !segment.rst; }
};

class Watch {
 public:
  // The interface need not exist yet.
  Watch(const Net& net, std::string interface);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  std::vector<Seen> seen() const;
  // Those between two ends, either way.
  std::vector<Seen> between(const Endpoint& a, const Endpoint& b) const;
  // Packets that the kernel could not hand over: if not 0, what was seen is not all there was.
  std::uint64_t lost() const;

 private:
  void watch(std::stop_token stop);
  bool is_ours(int index);
  void take(Bytes packet, Instant at);

  const Net net_;
  const std::string interface_;
  host::Descriptor socket_;
  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  mutable std::uint64_t lost_ = 0;
  int index_ = 0;  // of the interface, once seen
  std::jthread thread_;
};

}  // namespace adieu::lab
