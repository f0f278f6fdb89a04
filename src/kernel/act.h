// Ending connections of the kernel's TCP, and having it end them.
//
// What lives here: Acts: which of them this process may do and this kernel can, and each of them done.
// What does not: whether it is to be done at all, and whether it has come about (plane.h); the count of segments heard
// under the socket's lock (bpf_destroy.h).
//
//   finish   shutdown(SHUT_WR) through a duplicate of a descriptor, which is closed at once
//   abort    where it rests on silence, by BpfDestroy, which compares the count under the socket's lock. Where BPF is
//            not to be had, and where whatever was heard is no reason to stop, by SOCK_DESTROY of sock_diag
//   forget   TIME-WAIT, by SOCK_DESTROY
//   keepalive  SO_KEEPALIVE through such a duplicate, for good: the kernel asks the peer from now on. Its three values
//            first, those that grow before those that shrink, then the switch: whatever this process has done when it
//            is killed, the kernel is at least as patient as it was, or as it was told to be. Not where
//            TCP_USER_TIMEOUT could end the connection by a single question without an answer, nor where questions
//            have stayed unanswered that the kernel would count as all that it may ask
//
// Without an RST the kernel ends nothing: an abort without one cannot be had here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "kernel/bpf_destroy.h"
#include "kernel/holders.h"
#include "kernel/network.h"
#include "kernel/socket.h"
#include "plane/command.h"

namespace adieu::kernel {

// In its state, and held: its kernel can ask its peer by itself.
bool can_have_keepalive(const Socket& socket);

class Acts {
 public:
  // Called after each setsockopt of a keepalive; tests kill the process there.
  using AfterStep = void (*)(int step);

  // None.
  Acts() = default;
  // All that can be had; `guarded`: with the help of BPF, too.
  static Acts open(bool guarded, AfterStep after_step = nullptr);

  plane::Abilities abilities() const;

  // `found`: what the kernel said of it a moment ago. Done: the kernel took it; what became of the socket must be
  // asked. `who`: who has it open. Unable: nobody, or that descriptor is another file by now.
  plane::Outcome finish(const Socket& found, const Held& who) const;
  // Done: it asks as told, checked through the same descriptor. Nothing is done where it does so already.
  plane::Outcome keepalive(const Socket& found, const Held& who, const plane::Keepalive& wanted) const;
  // Whether an abort is to be tried (Done), by what was found. `heard`: the count of segments on which it rests;
  // nullopt: it is done whatever was heard.
  plane::Outcome may_abort(const Socket& found, std::optional<std::uint32_t> heard) const;
  // Of one that may: without a guard.
  plane::Outcome abort(Network& network, const Socket& found, std::optional<std::uint32_t> heard);
  // Of those that may, in one network: by BPF, in one walk. As many outcomes as orders; each cookie once.
  void abort_guarded(const Network& network, std::span<const DestroyOrder> orders, std::span<plane::Outcome> outcomes);
  bool can_guard() const { return guard_ && can_destroy_; }
  plane::Outcome forget(Network& network, const Socket& found);

 private:
  plane::Outcome destroy(Network& network, const Socket& found);

  std::unique_ptr<BpfDestroy> guard_;  // null: not permitted, or not possible
  bool can_destroy_ = false;
  bool can_duplicate_ = false;
  AfterStep after_step_ = nullptr;
};

}  // namespace adieu::kernel
