// Asking the peers of those connections whose sockets the kernel's own keepalive must not touch, by a segment of ours.
//
// What lives here: Crafter, which sends the segment that the kernel's keepalive would send. What does not: whether to
// ask (control), the keepalive itself, which is preferred (probe.h), reading the numbers (bpf_bare.h), the answer,
// which is a segment heard (facts.h).
//
// These are sockets with SO_KEEPALIVE or TCP_USER_TIMEOUT of their own, in an accept queue, or open in a process of
// which no duplicate is to be had. Nothing about the socket changes: the kernel does not know that somebody asked, so
// that neither its keepalive nor its user timeout counts it.
// SEQ = SND.NXT-1, no length, ACK = RCV.NXT, the window as it is, TSval of the connection's clock at this moment, which
// later segments of its own do not run behind; the mark, the device, the TTL of the socket. Read in one moment and
// sent in the next: if the application has spoken in between, it is an old duplicate, which the peer answers or drops.
// Left alone is what sends other segments than that: signed ones (TCP-MD5, TCP-AO), subflows.
#pragma once

#include <memory>
#include <span>

#include "kernel/bpf_bare.h"
#include "kernel/network.h"
#include "kernel/probe.h"
#include "kernel/socket.h"

namespace adieu::kernel {

// As the kernel says it is: nothing is outstanding, and it is no orphan. What else there is to know, only the socket
// knows: asked, it may turn out that it cannot be.
bool is_craftable(const Socket& socket);

class Crafter {
 public:
  // Asks nobody.
  Crafter() = default;
  // Asks, if this process may (CAP_NET_RAW, BPF).
  static Crafter open();

  bool is_possible() const { return bare_ != nullptr; }
  // Of sockets of this network. Done: the segment went out.
  void ask(const Network& network, std::span<Question* const> questions);

 private:
  plane::Outcome ask(const Socket& found) const;

  std::unique_ptr<BpfBare> bare_;  // null: not permitted, or not possible
};

}  // namespace adieu::kernel
