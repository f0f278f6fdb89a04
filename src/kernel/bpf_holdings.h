// Who holds which TCP socket, on the whole host, from a BPF iterator: one pass in the kernel and no /proc.
//
// What lives here: BpfHoldings. What does not: the same from /proc (proc_holdings.h), what holdings mean together
// (holders.h), which sockets there are (sock_diag.h).
//
// Told are the descriptors of every process in the caller's PID namespace and those below it, by the number that it has
// in the caller's, whatever network namespace the socket is in. TCP sockets of every kind, and those of MPTCP:
// listeners and sockets that were never connected too. Not in any table, hence not told: sockets in flight
// (SCM_RIGHTS), of io_uring, in an accept queue; Holding::references counts the former two.
// Processes come and go during a pass: it is no snapshot.
#pragma once

#include <expected>
#include <utility>

#include "kernel/bpf_object.h"
#include "kernel/holding.h"
#include "kernel/socket.h"

namespace adieu::kernel {

class BpfHoldings {
 public:
  // Linux 5.11 or later; else NotSupported or Rejected, and bpf_words() says more.
  static std::expected<BpfHoldings, Error> open();

  // Each once. Threads that have a table of descriptors of their own are told under their process's number.
  [[nodiscard]] std::expected<void, Error> each(VisitHolding visit, void* context);

 private:
  explicit BpfHoldings(BpfObject object) : object_(std::move(object)) {}

  BpfObject object_;
};

}  // namespace adieu::kernel
