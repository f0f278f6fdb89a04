// What the Linux kernel says about one of its TCP sockets, as a value.
//
// What lives here: Socket, its key and its armed timer; errors of the room. What does not: netlink (sock_diag.h,
// reply.h), what a connection table makes of it (facts.h).
// Constants of the kernel stay out of this header: <linux/tcp.h> and <netinet/tcp.h> cannot stand in one file.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/terms.h"
#include "base/time.h"

namespace adieu::kernel {

enum class ErrorKind : std::uint8_t {
  NotPermitted = 1,   // a policy (seccomp, LSM) forbids netlink, which needs no capability; BPF needs some
  NotSupported = 2,   // this kernel has no sock_diag, no tcp_diag, no BTF, or lacks what a BPF program is attached to
  Interrupted = 3,    // the kernel called every dump inconsistent, as often as we asked
  NotUnderstood = 4,  // an answer that is no answer: cut short, or to somebody else's question
  System = 5,         // any other errno
  Rejected = 6,       // this kernel would not load a BPF program of ours: bpf_words() says why
};
struct Error {
  ErrorKind kind = ErrorKind::System;
  int code = 0;  // errno, where there was one
  bool operator==(const Error&) const = default;
};
std::string_view name(ErrorKind kind);

// The kernel timer that is armed for a socket. With None, nothing on this host will ever end it by itself.
enum class Timer : std::uint8_t {
  None = 0,
  Retransmit = 1,  // retransmission, tail loss probe or reordering: data or a FIN is in flight
  Keepalive = 2,   // SO_KEEPALIVE; for an orphan in FIN-WAIT-2 the first part of a tcp_fin_timeout beyond 60 s
  TimeWait = 3,    // ends the socket: TIME-WAIT, or an orphan in FIN-WAIT-2
  Persist = 4,     // zero-window probe
  Other = 5,       // of a kernel younger than this program
};
// In the words of ss: "on", "keepalive", "timewait", "persist"; "none", "other".
std::string_view name(Timer timer);

// The kernel's name for a socket. The cookie is never used again while the host runs, and a socket keeps it when it
// shrinks to a minisock (orphan in FIN-WAIT-2, TIME-WAIT) and when a connection request grows into a socket.
struct SocketKey {
  std::uint64_t cookie = 0;
  Endpoint local;
  Endpoint remote;
  std::uint32_t interface = 0;  // SO_BINDTODEVICE; 0: any
  std::uint32_t network = 0;    // inode of the network namespace in which these addresses mean something
  bool operator==(const SocketKey&) const = default;
};

struct Socket {
  SocketKey key;
  State state = State::Closed;
  Timer timer = Timer::None;
  std::uint8_t timer_retries = 0;  // of the armed timer, as ss shows it
  Duration expires;                // from the moment it was read until the timer fires
  std::uint32_t inode = 0;         // 0: no descriptor refers to it
  std::uint32_t user = 0;
  std::uint32_t receive_queue = 0;  // RCV.NXT - copied; the peer's FIN counts one
  std::uint32_t send_queue = 0;     // written - SND.UNA; our SYN and FIN count one each

  // The rest is known of a whole socket only, not of a minisock or a connection request (both: 0).
  bool is_whole = false;
  bool receive_shut = false;       // RCV_SHUTDOWN: shutdown(SHUT_RD), close(), or the peer's FIN
  bool send_shut = false;          // SEND_SHUTDOWN
  std::uint8_t retransmits = 0;    // by the retransmission timer, since SND.UNA moved
  std::uint8_t probes = 0;         // keepalive and zero-window probes without an answer
  std::uint32_t unacked = 0;       // segments in flight
  Duration since_data;             // since in-order data was received, or since it was established
  Duration since_ack;              // since an acceptable acknowledgment was received
  std::uint64_t octets_in = 0;     // received in order
  std::uint32_t segments_in = 0;   // received, acceptable or not, modulo 2^32
  bool peer_window_known = false;  // kernels since 5.4 tell
  std::uint32_t peer_window = 0;
  // The retransmission timer's present length, doubled `backoff` times, and the round trips it was computed from.
  Duration rto;
  std::uint8_t backoff = 0;  // also of zero-window probes, which do not lengthen `rto` itself
  Duration round_trip;
  Duration round_trip_deviation;

  Instant read_at;  // when the kernel said this
};

}  // namespace adieu::kernel
