// Answers of the kernel's sock_diag: octets -> Socket values. Pure.
//
// What lives here: reading one batch of netlink messages. What does not: asking and receiving (sock_diag.h).
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "kernel/socket.h"

namespace adieu::kernel {

using Visit = void (*)(void* context, const Socket& socket);

struct Replies {
  std::uint32_t sockets = 0;    // visited
  std::uint32_t strangers = 0;  // sockets of a family or state that we did not ask for: left out
  bool done = false;            // the dump is over: NLMSG_DONE or an error
  bool interrupted = false;     // NLM_F_DUMP_INTR: what was dumped is true, but something may be missing
  bool malformed = false;       // a message cut short: what follows it is lost
  int error = 0;                // errno that the kernel answered
};

// The number of a question, and who asked it; messages for anybody else are passed over.
struct Asked {
  std::uint32_t number = 0;
  std::uint32_t port = 0;
  bool listeners = false;  // and no connections
};

// `batch` is aligned to 4 octets. Each socket in it is visited, in its order, as read `read_at`.
Replies read_replies(Bytes batch, const Asked& asked, Instant read_at, Visit visit, void* context);

// The state that the kernel calls by this number; Closed, if by none.
State state_of(std::uint8_t kernel_state);

}  // namespace adieu::kernel
