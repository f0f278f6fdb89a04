// Many connections: the engine.
//
// What lives here: Engine: demultiplexing, listeners, IP in and out, ICMP, initial sequence numbers, and the filling of
// the seam. What does not: the protocol of one connection (tcp), opinions (control), devices, clocks, processes.
//
// The methods are of four kinds:
//   input     receive_packet(), take_commands(), advance()
//   calls     connect() ... abort(): what applications ask; none of them blocks
//   output    poll_packet(), poll_wake()
//   deadline  next_deadline(); calling advance() early is harmless
// After any input or call, poll poll_packet() until it has nothing, then poll_wake().
//
// Ownership: the caller owns the table's memory and the buffers. Threads: an engine belongs to one thread at a time.
// Errors: a peer's fault is counted (counters()) and dropped or reset; a caller's is an expected<> error.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/packet.h"
#include "base/terms.h"
#include "base/time.h"
#include "plane/control_block.h"
#include "plane/table.h"
#include "stack/settings.h"
#include "tcp/settings.h"
#include "wire/ip.h"

namespace adieu::stack {

// A connection as its application knows it. {0, 0} is none. It stays valid until close() or abort(), also after the
// connection has ended, so that what arrived can be read and the reason learnt.
struct Socket {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // never 0 in a socket that exists
  bool operator==(const Socket&) const = default;
};

// A listener; 0 is none.
struct Listener {
  std::uint32_t number = 0;
  bool operator==(const Listener&) const = default;
};

enum class Error : std::uint8_t {
  BadSocket,            // no such socket or listener: closed already, or never was
  WouldBlock,           // nothing to read, accept, or no room to write: ask again when woken
  InProgress,           // the connection is not established yet
  NotConnected,         // it is not, and never will be again
  SendingClosed,        // send() after shutdown(): EPIPE
  Refused,              // the peer answered a connect with an RST, or a hard ICMP error came (RFC 5461)
  Reset,                // the connection was reset by path or peer
  Aborted,              // ended by a command of the control plane, or by abort()
  TimedOut,             // the limit given with connect() ran out
  AddressInUse,         // another listener, or the same four numbers
  AddressNotAvailable,  // not one of the engine's addresses, or the families differ
  NoPorts,              // all ephemeral ports to this peer are in use
  Full,                 // the table or Settings::max_connections is reached
  InvalidArgument,
};
std::string_view name(Error error);

enum class Shut : std::uint8_t { Receive = 1, Send = 2, Both = 3 };

struct ConnectOptions {
  tcp::Options tcp;
  Duration limit = seconds(180);  // RFC 9293 section 3.8.3, MUST-23; Duration::max(): none
  std::optional<Endpoint> local;  // port 0: an ephemeral one
};

struct ListenOptions {
  tcp::Options tcp;
  std::uint32_t backlog = 128;  // established and not accepted yet; more are not let in
};

// What a socket is ready for now; level, not edge.
struct Readiness {
  bool readable = false;     // receive() has octets, the end of the stream, or an error
  bool writable = false;     // send() would take at least one octet, or fail
  bool connected = false;    // the handshake is over (and perhaps the connection as well)
  bool peer_closed = false;  // the peer's FIN has been taken
  bool ended = false;        // the connection has ended
};

// Somebody may go on: a socket's readiness changed, or a listener has a connection to accept. Each is told once until
// something changes again.
struct Wake {
  Socket socket;  // {0,0} when it is the listener's
  Listener listener;
};

struct PacketOut {
  std::size_t length = 0;
  Offload offload;
};

// Details of a connection for TCP_INFO and the like; what the table does not hold.
struct Details {
  State state = State::Closed;
  EndReason reason = EndReason::None;
  std::uint16_t mss = 0;
  std::uint32_t cwnd = 0;       // octets; 0 while no bytes move
  std::uint32_t ssthresh = 0;   // octets; UINT32_MAX: none yet
  std::uint32_t in_flight = 0;  // octets
  std::uint32_t unsent = 0;     // octets given and not acknowledged
  std::uint32_t unread = 0;
  std::uint32_t send_window = 0;  // of the peer, octets
  std::uint32_t attempts = 0;     // transmissions of the oldest unacknowledged octet
  Duration srtt;                  // 0: no sample
  Duration rttvar;
  Duration rto;
  std::uint8_t send_scale = 0;
  std::uint8_t receive_scale = 0;
  bool timestamps = false;
  bool sack = false;
};

// Totals since the engine was made.
struct Counters {
  std::uint64_t packets_in = 0;
  std::uint64_t packets_out = 0;
  std::uint64_t not_for_us = 0;  // another destination, or another protocol
  std::array<std::uint64_t, wire::kMalformedReasons> malformed{};
  std::uint64_t resets_out = 0;
  std::uint64_t no_connection = 0;       // segments answered with RST, or dropped, for want of a connection
  std::uint64_t embryonic_replaced = 0;  // SYN-RECEIVED given up for a newer SYN
  std::uint64_t backlog_full = 0;        // SYNs not let in because nobody accepts
  std::uint64_t table_full = 0;          // SYNs and connects refused
  std::uint64_t replies_dropped = 0;     // RSTs and echo replies beyond the bounded queue
  std::uint64_t icmp_ignored = 0;        // errors that did not validate (RFC 5927)
};

class Engine {
 public:
  // `table_memory`: as plane::TableWriter wants it. `now`: not earlier than any instant given before it by another
  // engine with the same isn_key.
  Engine(const Settings& settings, MutableBytes table_memory, const plane::TableSetup& setup, Instant now);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // --- input
  void receive_packet(Bytes packet, const Offload& offload, Instant now);
  // Takes what waits in the command ring, answers each command with a receipt. `control` may be hostile.
  // Returns how many were taken.
  unsigned take_commands(const plane::ControlView& control, Instant now);
  // What the control plane has read (slots of ended connections can be used again). Cheap; once per loop.
  void set_control(const plane::ControlView& control);
  void advance(Instant now);

  // --- calls
  std::expected<Socket, Error> connect(const Endpoint& remote, const ConnectOptions& options, Instant now);
  // An unspecified address listens on all of the engine's of that family; port 0 takes an ephemeral one.
  std::expected<Listener, Error> listen(const Endpoint& local, const ListenOptions& options);
  std::expected<Socket, Error> accept(Listener listener, Instant now);
  // Connections not accepted yet are reset.
  void close_listener(Listener listener, Instant now);
  std::expected<std::size_t, Error> send(Socket socket, Bytes bytes, Instant now);
  // 0: the end of the stream. `peek`: the octets stay.
  std::expected<std::size_t, Error> receive(Socket socket, MutableBytes out, bool peek, Instant now);
  std::expected<void, Error> shutdown(Socket socket, Shut how, Instant now);
  std::expected<void, Error> close(Socket socket, Instant now);
  std::expected<void, Error> abort(Socket socket, Instant now);
  // The engine is about to end: every connection does, as its application's abort, and its peer is told by a reset.
  void abort_all(Instant now);
  std::expected<void, Error> set_no_delay(Socket socket, bool on, Instant now);
  std::expected<void, Error> set_buffers(Socket socket, std::uint32_t send, std::uint32_t receive);

  Readiness readiness(Socket socket) const;
  // The error with which the connection ended, for SO_ERROR; nullopt when there is none.
  std::optional<Error> error(Socket socket) const;
  std::expected<Details, Error> details(Socket socket) const;
  std::expected<Endpoint, Error> local(Socket socket) const;
  std::expected<Endpoint, Error> remote(Socket socket) const;
  std::expected<Endpoint, Error> local(Listener listener) const;
  plane::ConnectionId id(Socket socket) const;

  // --- output
  // Writes the next IP packet into `buffer` (limits::kPacketBytes long, or Settings::mtu without segmentation offload).
  std::optional<PacketOut> poll_packet(MutableBytes buffer, Instant now);
  std::optional<Wake> poll_wake();

  // --- deadline
  Instant next_deadline() const;

  // --- getters
  const Counters& counters() const;
  const plane::TableWriter& table() const;
  plane::TableWriter& table();
  std::uint32_t live_connections() const;
  // All memory of the engine's own in octets: connections, demultiplexing, deadlines, buffers; without the table.
  std::size_t private_bytes() const;
  void check_invariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace adieu::stack
