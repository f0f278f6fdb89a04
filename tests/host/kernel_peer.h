// An ordinary TCP socket of the kernel, at the other end of the engine's TUN.
//
// What lives here: connect, listen, send, receive with a bound on each wait; and how to make such a peer deaf.
#pragma once

#include <string>

#include "base/address.h"
#include "host/descriptor.h"

namespace adieu::host {

class KernelPeer {
 public:
  // Closed (operator bool is false) when nobody answers within five seconds.
  static KernelPeer connect(const Endpoint& to);
  // Listens at `at`; accept() then waits five seconds at the most.
  static KernelPeer listen(const Endpoint& at);
  KernelPeer accept() const;

  explicit operator bool() const { return static_cast<bool>(socket_); }
  bool send(const std::string& text) const;
  // Exactly so many octets, fewer at the end of the stream or after five seconds.
  std::string receive(std::size_t octets) const;
  // The peer's FIN is here and everything before it has been read.
  bool at_end() const;
  void shut_sending() const;
  // From now on it hears nothing, and so answers nothing (a socket filter that drops every segment).
  void go_deaf() const;
  Endpoint local() const;
  void close() { socket_.reset(); }

 private:
  Descriptor socket_;
};

}  // namespace adieu::host
