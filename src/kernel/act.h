// Ending connections of the kernel's TCP.
//
// What lives here: Acts: which of them this process may do and this kernel can, and each of them done to one socket.
// What does not: whether it is to be done at all, and whether it has come about (plane.h); the count of segments heard
// under the socket's lock (bpf_destroy.h).
//
//   finish   shutdown(SHUT_WR) through a duplicate of a descriptor, which is closed at once
//   abort    where it rests on silence, by BpfDestroy, which compares the count under the socket's lock. Where BPF is
//            not to be had, and where whatever was heard is no reason to stop, by SOCK_DESTROY of sock_diag
//   forget   TIME-WAIT, by SOCK_DESTROY
//
// Without an RST the kernel ends nothing: an abort without one cannot be had here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "kernel/bpf_destroy.h"
#include "kernel/holders.h"
#include "kernel/network.h"
#include "kernel/socket.h"
#include "plane/command.h"

namespace adieu::kernel {

class Acts {
 public:
  // None.
  Acts() = default;
  // All that can be had; `guarded`: with the help of BPF, too.
  static Acts open(bool guarded);

  plane::Abilities abilities() const;

  // `found`: what the kernel said of it a moment ago. Done: the kernel took it; what became of the socket must be
  // asked. `who`: who has it open. Unable: nobody, or that descriptor is another file by now.
  plane::Outcome finish(const Socket& found, const Held& who) const;
  // `heard`: the count of segments on which it rests; nullopt: it is done whatever was heard. `guarded`: by BPF
  // where that can be had.
  plane::Outcome abort(Network& network, const Socket& found, std::optional<std::uint32_t> heard, bool guarded);
  plane::Outcome forget(Network& network, const Socket& found);

 private:
  plane::Outcome destroy(Network& network, const Socket& found);
  std::optional<plane::Outcome> destroy_guarded(const Network& network, const Socket& found, std::uint32_t heard);

  std::unique_ptr<BpfDestroy> guard_;  // null: not permitted, or not possible
  bool can_destroy_ = false;
  bool can_duplicate_ = false;
};

}  // namespace adieu::kernel
