// A second descriptor for a socket that another process has open, for a moment.
//
// What lives here: Duplicate. What does not: what is done through it (act.h).
//
// While it lives, we are an owner beside the others: the application's close() would send no FIN. It is therefore
// taken, used and closed at once. Should the application have closed it meanwhile, ours is the last close: where
// SO_LINGER is set it waits for the peer, in a thread of its own. Needs Linux 5.6 (pidfd_getfd) and the right to trace
// that process: CAP_SYS_PTRACE, or to be the same user where Yama permits. The process notices nothing.
#pragma once

#include <cstdint>
#include <expected>

#include "kernel/socket.h"

namespace adieu::kernel {

class Duplicate {
 public:
  // Of this descriptor, if it is the socket with this cookie; NotSupported: this kernel has no such call. Which process
  // has what open changes at any time: whatever else it is by now is closed again, untouched.
  static std::expected<Duplicate, Error> take(std::uint32_t process, std::int32_t descriptor, std::uint64_t cookie);
  // Whether this kernel has the calls, and a policy (seccomp) leaves them to us.
  static bool is_possible();

  Duplicate(Duplicate&& other) noexcept;
  Duplicate& operator=(Duplicate&& other) = delete;
  ~Duplicate();
  int get() const { return file_; }

 private:
  explicit Duplicate(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace adieu::kernel
