// What happens to the host's TCP sockets, as it happens: BPF programs at the kernel's tracepoints fill a ring.
//
// What lives here: BpfEvents and its BpfEvent. What does not: what a table makes of them.
//
// Of every network namespace, connections alone. A connection that comes and goes between two sweeps is all here:
// SYN-SENT or SYN-RECEIVED -> ESTABLISHED, each state, -> CLOSED with its error.
// What events do not say:
//   - TIME-WAIT is none: the socket goes FIN-WAIT-2 or CLOSING -> CLOSED with error 0, and what remains in TIME-WAIT
//     (or, of an orphan, in FIN-WAIT-2) is a minisock, which ends without an event.
//   - Retransmissions: a sweep counts them.
//   - A connection request (SYN-RECEIVED before the last ACK of the handshake) has none either.
//   - An application's own abort (SO_LINGER of 0) makes the socket forget its remote port before it is destroyed, and
//     connect() to AF_UNSPEC both names: the cookie is who it is.
//   - In SYN-SENT the kernel has not chosen the local port yet: it is 0 there, and known from the next event on.
//   - That the end of stream was read is not told of a splice(), nor of any read in a state but CLOSE-WAIT, CLOSING and
//     LAST-ACK; a recv() of zero octets, made when all but the end has been read, looks the same. That there was no
//     such event proves nothing.
// Who lost events (lost() grew) sweeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>

#include "base/address.h"
#include "base/terms.h"
#include "base/time.h"
#include "kernel/bpf_object.h"
#include "kernel/socket.h"

namespace adieu::kernel {

// What it costs: 0.25 us an event in whatever the kernel is doing, and less than 0.1 us each receive of the host.
enum class BpfEventKind : std::uint8_t {
  StateChanged = 1,
  ResetReceived = 2,    // an RST that the kernel accepted; StateChanged to CLOSED follows
  EndOfStreamRead = 3,  // recv() returned 0: the application was told that the peer has closed. Once, or rarely more
};
inline constexpr unsigned kBpfEventKinds = 3;
inline constexpr std::uint32_t kAllBpfEvents = ((1U << kBpfEventKinds) - 1) << 1;
// Of memory that cannot be swapped out.
inline constexpr std::size_t kMostRingOctets = std::size_t{64} << 20;
constexpr std::uint32_t bit(BpfEventKind kind) { return 1U << static_cast<unsigned>(kind); }

struct BpfEvent {
  BpfEventKind kind = BpfEventKind::StateChanged;
  State old_state = State::Closed;  // equal to new_state but in StateChanged
  State new_state = State::Closed;
  std::uint64_t cookie = 0;
  Instant when;
  std::uint32_t network = 0;  // inode of the network namespace
  Endpoint local;
  Endpoint remote;
  // Whose call made it, in the initial PID namespace: of EndOfStreamRead, and of StateChanged to SYN-SENT, FIN-WAIT-1
  // and LAST-ACK. 0: nobody's, a segment or a timer did.
  std::uint32_t process = 0;
  int error = 0;  // StateChanged: errno that the socket has; ECONNRESET, ETIMEDOUT, ECONNABORTED (destroyed) ...
};

class BpfEvents {
 public:
  // `ring_octets` is raised to a power of two; an event takes 80. Of the kinds that are wanted, where some tracepoint
  // is missing, the others work; where all are, this is the first's error.
  static std::expected<BpfEvents, Error> open(std::size_t ring_octets, std::uint32_t wanted = kAllBpfEvents);

  // Bits of the kinds that are not told: this kernel cannot, or nobody wanted them.
  std::uint32_t missing() const { return missing_; }

  // The next events, in the order in which they were begun; how many. Fewer than there is room for: that was all.
  std::size_t poll(std::span<BpfEvent> into);
  // Readable (epoll, level-triggered) while there are events.
  int descriptor() const { return object_.map("ring"); }

  // Events for which the ring had no room, ever.
  std::uint64_t lost() const;

 private:
  struct Unmap {
    std::size_t octets;
    void operator()(std::uint8_t* memory) const;
  };
  using Mapped = std::unique_ptr<std::uint8_t, Unmap>;
  BpfEvents(BpfObject object, std::size_t ring_octets);
  std::expected<void, Error> attach(std::uint32_t wanted);
  std::expected<void, Error> map_ring();

  BpfObject object_;
  std::size_t ring_octets_;
  Mapped consumer_;  // our position, which the kernel reads
  Mapped producer_;  // its position, then the ring, twice in a row
  std::uint32_t missing_ = 0;
};

}  // namespace adieu::kernel
