// pidfd_getfd(2) by the system call itself: glibc 2.36 has it, and the headers of older ones have not.
#include "kernel/duplicate.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

namespace adieu::kernel {
namespace {

std::unexpected<Error> failure(int code) {
  const bool forbidden = code == EPERM || code == EACCES;
  const ErrorKind kind = forbidden        ? ErrorKind::NotPermitted
                         : code == ENOSYS ? ErrorKind::NotSupported
                                          : ErrorKind::System;
  return std::unexpected(Error{kind, code});
}

// -1: errno says why.
int duplicate_of(std::uint32_t process, std::int32_t descriptor) {
  const long handle = ::syscall(SYS_pidfd_open, static_cast<long>(process), 0L);
  if (handle < 0) return -1;
  const long file = ::syscall(SYS_pidfd_getfd, handle, static_cast<long>(descriptor), 0L);
  const int code = errno;
  ::close(static_cast<int>(handle));
  errno = code;
  return static_cast<int>(file);
}

}  // namespace

std::expected<Duplicate, Error> Duplicate::take(std::uint32_t process, std::int32_t descriptor, std::uint64_t cookie) {
  const int file = duplicate_of(process, descriptor);
  if (file < 0) return failure(errno);
  Duplicate duplicate(file);
  std::uint64_t its = 0;
  socklen_t length = sizeof its;
  if (::getsockopt(file, SOL_SOCKET, SO_COOKIE, &its, &length) != 0 || its != cookie) return failure(ESTALE);
  return duplicate;
}

bool Duplicate::is_possible() {
  const int file = duplicate_of(static_cast<std::uint32_t>(::getpid()), -1);
  if (file >= 0) ::close(file);
  return file >= 0 || errno == EBADF;
}

Duplicate::Duplicate(Duplicate&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

Duplicate::~Duplicate() {
  if (file_ < 0) return;
  linger lingers{};
  socklen_t length = sizeof lingers;
  const bool known = ::getsockopt(file_, SOL_SOCKET, SO_LINGER, &lingers, &length) == 0;
  if (known && lingers.l_onoff != 0 && lingers.l_linger > 0)
    std::thread([file = file_] { ::close(file); }).detach();
  else
    ::close(file_);
}

}  // namespace adieu::kernel
