// Ending one socket and no other, if nothing has changed since: checked and done under the socket's lock.
//
// What lives here: BpfDestroy. What does not: SOCK_DESTROY of netlink, which checks nothing; whether to end it.
//
// Linux 6.5 or later (bpf_sock_destroy). It does what SOCK_DESTROY does: an RST goes out where one is due, the
// application gets ECONNABORTED.
//
// "Heard since" is the socket's count of segments (tcpi_segs_in) against the caller's. Whatever arrived for the socket
// moves it: an acceptable segment; an ACK that acknowledges nothing new, as it answers a probe; and a keepalive of the
// peer's, which Linux discards before it looks at the acknowledgment, so that no other counter knows of it: bytes and
// RCV.NXT stand still, and so does the time of the last ACK. It moves for an unacceptable segment too, a stranger's
// with a guessed port included: then the order is refused although the peer said nothing. That is the harmless mistake:
// the answer says whether octets were received or acknowledged, and the caller may look and order again. What moves for
// acceptable segments alone (rcv_tstamp with RCV.NXT) is not given to user space but in rounded milliseconds.
// A segment that arrives in the very instant while an application's call keeps the socket locked waits in its backlog,
// counted: it may be later than the check and earlier than the end.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "base/terms.h"
#include "kernel/bpf_object.h"
#include "kernel/socket.h"

namespace adieu::kernel {

struct DestroyOrder {
  std::uint64_t cookie = 0;
  State state = State::Closed;               // that it must be in; none is destroyed in LISTEN, CLOSED, TIME-WAIT
  std::optional<std::uint32_t> segments_in;  // that it must still say (Socket::segments_in); nullopt: whatever it is
};

enum class DestroyOutcome : std::uint8_t {
  NotFound = 0,  // not met in this network namespace, twice. A walk is no snapshot: ask sock_diag by name
  Destroyed = 1,
  OtherState = 2,
  HeardSince = 3,
  Minisocket = 4,  // TIME-WAIT, orphan in FIN-WAIT-2, connection request: only SOCK_DESTROY can
  Refused = 5,     // by the kernel: DestroyAnswer::code
};
struct DestroyAnswer {
  DestroyOutcome outcome = DestroyOutcome::NotFound;
  State state = State::Closed;  // as it was found
  int code = 0;                 // Refused: errno
  // As it was found; 0 of a minisock.
  std::uint32_t segments_in = 0;
  std::uint64_t octets_in = 0;     // received in order
  std::uint64_t octets_acked = 0;  // of ours, acknowledged
};

class BpfDestroy {
 public:
  static std::expected<BpfDestroy, Error> open();

  // In the calling thread's network namespace. One walk over its TCP sockets, up to the last one ordered, for each
  // kMostOrders, and a second where that one did not meet all; each cookie at most once. As many answers as orders.
  // After an error, of an order whose answer is NotFound nothing is known.
  [[nodiscard]] std::expected<void, Error> carry_out(std::span<const DestroyOrder> orders,
                                                     std::span<DestroyAnswer> answers);
  static constexpr std::size_t kMostOrders = 256;

 private:
  explicit BpfDestroy(BpfObject object) : object_(std::move(object)) {}
  std::expected<void, Error> walk(std::span<const DestroyOrder> orders, std::span<DestroyAnswer> answers);
  std::expected<void, Error> carry_out_some(std::span<const DestroyOrder> orders, std::span<DestroyAnswer> answers);

  BpfObject object_;
};

}  // namespace adieu::kernel
