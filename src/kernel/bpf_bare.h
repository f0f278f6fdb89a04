// What a bare segment of one of the kernel's sockets would say now.
//
// What lives here: BpfBare and BareSegment. What does not: whom to ask, and sending it (crafter.h).
// sock_diag tells no sequence numbers. TCP_REPAIR would, and stops the connection while it is read. An iterator would,
// under the socket's lock, and walks over every socket of the host each time. Without the lock the values may be of two
// moments, a segment apart.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <utility>

#include "base/terms.h"
#include "kernel/bpf_object.h"
#include "kernel/socket.h"

namespace adieu::kernel {

struct BareTimestamps {
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
};

struct BareSegment {
  State state = State::Closed;
  bool is_idle = false;      // all that the socket was given is sent and acknowledged
  bool is_plain = false;     // its segments are a TCP header and perhaps timestamps: no signature, no subflow
  std::uint32_t next = 0;    // SND.NXT
  std::uint32_t ack = 0;     // RCV.NXT
  std::uint16_t window = 0;  // as on the wire, scaled
  std::optional<BareTimestamps> timestamps;
  // How the socket has its packets sent.
  std::uint32_t mark = 0;
  std::int32_t device = 0;  // to which it is bound; 0: to none
  struct Header {
    int hops = -1;    // TTL or hop limit; -1: as the route says
    int service = 0;  // TOS or traffic class, without ECN's bits
  };
  Header v4;  // also of a socket of IPv6 that speaks IPv4
  Header v6;
};

class BpfBare {
 public:
  // Linux 5.9 or later; else NotSupported or Rejected, and bpf_words() says more.
  static std::expected<BpfBare, Error> open();

  // Of the calling thread's network namespace; nullopt: no such socket is there (any more), or this thread may not ask.
  std::optional<BareSegment> read(const SocketKey& key) const;

 private:
  explicit BpfBare(BpfObject object) : object_(std::move(object)) {}

  BpfObject object_;
};

}  // namespace adieu::kernel
