// Who holds a socket: one descriptor of one process, as a value.
//
// What lives here: Holding, the shape in which every source of descriptors tells them. What does not: the sources
// (/proc: proc_holdings.h; a BPF iterator: bpf_holdings.h), what they mean together (holders.h).
#pragma once

#include <cstdint>

namespace adieu::kernel {

struct Holding {
  std::uint32_t inode = 0;  // of the socket: Socket::inode
  std::uint32_t process = 0;
  std::int32_t descriptor = -1;
  // References to the open file description, by descriptors and by what is in no process's table (in flight by
  // SCM_RIGHTS, registered with io_uring, in the middle of a call). 0: not known.
  std::uint32_t references = 0;
  bool operator==(const Holding&) const = default;
};

// `context` as it was given.
using VisitHolding = void (*)(void* context, const Holding& holding);

}  // namespace adieu::kernel
