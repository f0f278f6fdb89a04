// A TCP socket as Linux's socket calls know it, over the engine's connections and listeners.
//
// What lives here: Socket. Its calls are in socket.cc, its options in socket_options.cc, TCP_INFO in tcp_info.cc. What
// does not: the protocol (tcp), descriptors (machine.h).
//
// Three phases: neither listener nor connection (fresh, perhaps bound), listening, and one connection that has been
// asked for or accepted. An error that ended a connection is told once, by whichever call comes first, as in Linux.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "packetdrill/file.h"
#include "packetdrill/machine.h"
#include "stack/engine.h"

namespace adieu::packetdrill {

class Socket : public File {
 public:
  explicit Socket(int domain) : File(Kind::Socket), domain_(domain) {}

  std::uint32_t events(Machine& machine) override;
  long receive(Call& call, MutableBytes out, int flags) override;
  long send(Call& call, Bytes bytes, int flags) override;
  long ioctl(Call& call, unsigned long request, int* value) override;
  void close(Call& call) override;

  long bind(Call& call, const sockaddr* address, socklen_t length);
  long listen(Call& call, int backlog);
  long accept(Call& call, sockaddr* address, socklen_t* length);
  long connect(Call& call, const sockaddr* address, socklen_t length);
  long shutdown(Call& call, int how);
  // socket_options.cc
  long get_option(Call& call, int level, int name, void* value, socklen_t* length);
  long set_option(Call& call, int level, int name, const void* value, socklen_t length);

  // The engine says that something has changed, or that somebody is to be let in.
  void woken(Machine& machine);
  void woken(stack::Listener listener);
  // The engine is another one.
  void listen_again(Machine& machine);

 private:
  struct Door {
    stack::Listener listener;
    bool somebody_waits = false;
  };
  bool is_listening() const { return !doors_.empty(); }
  bool can_accept() const { return std::ranges::any_of(doors_, &Door::somebody_waits); }
  // It was opened, and will never be established.
  bool has_failed(Machine& machine);
  bool may_wait(int flags) const { return !nonblocking && (flags & MSG_DONTWAIT) == 0; }
  int pending_error(Machine& machine);
  int take_error(Machine& machine);  // errno, or 0
  long await_connected(Call& call);
  void adopt(Machine& machine, stack::Socket connection);
  void let_go(Call& call, bool abort);
  bool is_port_taken(Machine& machine, const Endpoint& local) const;
  long open_doors(Machine& machine);
  void close_doors(Machine& machine);
  Instant deadline(Instant now, Duration limit) const { return limit == Duration{} ? Instant::never() : now + limit; }
  // socket_options.cc
  long set_socket_option(Call& call, int name, int number, Bytes value);
  long set_tcp_option(Call& call, int name, int number);
  long get_number(Call& call, int level, int name, int& number);
  // tcp_info.cc: struct tcp_info's octets
  std::vector<std::uint8_t> tcp_info(Call& call);

  int domain_;
  std::optional<Endpoint> bound_;
  std::optional<stack::Socket> connection_;
  std::vector<Door> doors_;  // of a listener: two for an AF_INET6 socket on ::, which lets IPv4 in as well
  std::uint32_t backlog_ = 0;

  bool told_connected_ = false;  // a connect() has returned 0, or it came from accept()
  bool told_error_ = false;
  bool receive_shut_ = false;
  bool send_shut_ = false;
  bool wants_room_ = false;  // a send found none: say so when there is (SOCK_NOSPACE)
  stack::Readiness last_;    // as its watchers know it
  std::uint32_t last_unread_ = 0;

  tcp::Options tcp_;
  bool reuse_address_ = false;
  bool v6_only_ = false;
  linger linger_{};
  Duration receive_limit_;  // SO_RCVTIMEO; 0: none
  Duration send_limit_;
  std::map<std::pair<int, int>, int> kept_;  // options that are harmless, and only remembered
};

}  // namespace adieu::packetdrill
