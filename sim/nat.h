// A NAT on the path: a router that masquerades as Linux does, with conntrack's states and idle timers.
//
// What lives here: Nat. What does not: the links before and behind it (device/impairment.h), the retransmission counter
// of conntrack (nf_conntrack_tcp_max_retrans), which only shortens 5 days.
//
// An entry lives until it has been idle for its state's time. What the inside sends without one makes a new entry, also
// in the middle of a connection (nf_conntrack_tcp_loose), but a FIN or an RST does not. What comes from outside
// without one is for the router itself, which has no such connection and answers with a reset.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "wire/ip.h"
#include "wire/tcp.h"

namespace adieu::sim {

// Linux's defaults (net.netfilter.nf_conntrack_tcp_timeout_*).
struct NatTimers {
  Duration syn_sent = seconds(120);
  Duration syn_received = seconds(60);
  Duration established = hours(120);
  Duration fin_wait = seconds(120);
  Duration close_wait = seconds(60);
  Duration last_ack = seconds(30);
  Duration time_wait = seconds(120);
  Duration close = seconds(10);
};

// RFC 5737's documentation addresses: neither is private.
inline constexpr Address kNatOutside = Address::v4(203, 0, 113, 1);
inline constexpr Address kOutside = Address::v4(198, 51, 100, 1);

class Nat {
 public:
  // Of a packet: where it goes on to, if anywhere. `packet` lives until the next call.
  struct Passage {
    Bytes packet;          // empty: dropped
    bool returns = false;  // it is the router's answer, to whoever sent
  };

  Nat(const NatTimers& timers, const Address& inside);

  Passage pass(bool is_from_inside, Bytes packet, Instant now);
  // It restarts with an empty table.
  void forget() { flows_.clear(); }
  std::uint64_t resets() const { return resets_; }

 private:
  enum class Track : std::uint8_t { SynSent, SynReceived, Established, FinWait, CloseWait, LastAck, TimeWait, Close };
  struct Flow {
    Track track = Track::SynSent;
    Instant until;
  };
  using Ports = std::pair<std::uint16_t, Endpoint>;  // inside, outside; the NAT keeps the inside's port

  static Track after(Track track, const wire::Segment& segment);
  Duration idle(Track track) const;
  Passage forward(const wire::IpPacket& ip, const wire::Segment& segment, bool is_from_inside);
  Passage reset(const wire::IpPacket& ip, const wire::Segment& segment);
  Passage write(const wire::Segment& segment, const Address& from, const Address& to);

  NatTimers timers_;
  Address inside_;
  std::map<Ports, Flow> flows_;
  std::uint64_t resets_ = 0;
  std::vector<std::uint8_t> out_;
};

}  // namespace adieu::sim
