// The doors: packetdrill's functions, each one call into the machine.
//
// What lives here: arguments and errno. What does not: behaviour.
#include "packetdrill/interface.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>

#include "packetdrill/epoll.h"
#include "packetdrill/machine.h"
#include "packetdrill/pipe.h"
#include "packetdrill/socket.h"

namespace adieu::packetdrill {
namespace {

Machine& machine_of(void* userdata) { return *static_cast<Machine*>(userdata); }

// `work` returns what the call returns, or -errno.
template <typename Work>
long enter(void* userdata, Work work) {
  long result = 0;
  {
    Call call(machine_of(userdata));
    result = work(call);
  }
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

template <typename Work>
long with_file(void* userdata, int fd, Work work) {
  return enter(userdata, [&](Call& call) -> long {
    const auto file = call.machine.find(fd);
    return file ? work(call, *file) : -EBADF;
  });
}

template <typename Work>
long with_socket(void* userdata, int fd, Work work) {
  return with_file(userdata, fd, [&](Call& call, File& file) -> long {
    return file.kind() == Kind::Socket ? work(call, static_cast<Socket&>(file)) : -ENOTSOCK;
  });
}

template <typename Work>
long with_epoll(void* userdata, int fd, Work work) {
  return with_file(userdata, fd, [&](Call& call, File& file) -> long {
    return file.kind() == Kind::Epoll ? work(call, static_cast<Epoll&>(file)) : -EINVAL;
  });
}

Bytes bytes_of(const void* buffer, std::size_t count) { return {static_cast<const std::uint8_t*>(buffer), count}; }
MutableBytes bytes_of(void* buffer, std::size_t count) { return {static_cast<std::uint8_t*>(buffer), count}; }

// --- opening

int do_socket(void* userdata, int domain, int type, int protocol) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
    const int modes = SOCK_NONBLOCK | SOCK_CLOEXEC;
    if ((type & ~modes) != SOCK_STREAM) return -ESOCKTNOSUPPORT;
    if (protocol != 0 && protocol != IPPROTO_TCP) return -EPROTONOSUPPORT;
    const auto socket = std::make_shared<Socket>(domain);
    socket->nonblocking = (type & SOCK_NONBLOCK) != 0;
    return call.machine.add(socket);
  }));
}

int do_bind(void* userdata, int fd, const sockaddr* address, socklen_t length) {
  return static_cast<int>(with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.bind(c, address, length); }));
}

int do_listen(void* userdata, int fd, int backlog) {
  return static_cast<int>(with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.listen(c, backlog); }));
}

int do_accept(void* userdata, int fd, sockaddr* address, socklen_t* length) {
  return static_cast<int>(with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.accept(c, address, length); }));
}

int do_connect(void* userdata, int fd, const sockaddr* address, socklen_t length) {
  return static_cast<int>(with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.connect(c, address, length); }));
}

// --- receiving

ssize_t do_read(void* userdata, int fd, void* buffer, size_t count) {
  return with_file(userdata, fd, [&](Call& c, File& f) { return f.receive(c, bytes_of(buffer, count), 0); });
}

long octets_in(const iovec* pieces, std::size_t count) {
  constexpr std::size_t kMost = 1024;  // IOV_MAX
  if (count > kMost) return -EINVAL;
  long sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (__builtin_add_overflow(sum, pieces[i].iov_len, &sum) || sum < 0) return -EINVAL;
  }
  return sum;
}

long receive_pieces(Call& call, File& file, const iovec* pieces, std::size_t count, int flags) {
  constexpr long kAtOnce = 1L << 24;  // more than any buffer here holds
  const long total = octets_in(pieces, count);
  if (total < 0) return total;
  std::vector<std::uint8_t> octets(static_cast<std::size_t>(std::min(total, kAtOnce)));
  const long got = file.receive(call, octets, flags);
  std::size_t done = 0;
  for (std::size_t i = 0; i < count && got > 0 && done < static_cast<std::size_t>(got); ++i) {
    const std::size_t piece = std::min(pieces[i].iov_len, static_cast<std::size_t>(got) - done);
    if (piece > 0) std::memcpy(pieces[i].iov_base, &octets[done], piece);
    done += piece;
  }
  return got;
}

ssize_t do_readv(void* userdata, int fd, const iovec* pieces, int count) {
  if (count < 0) return errno = EINVAL, -1;
  return with_file(userdata, fd,
                   [&](Call& c, File& f) { return receive_pieces(c, f, pieces, static_cast<std::size_t>(count), 0); });
}

ssize_t do_recvfrom(void* userdata, int fd, void* buffer, size_t count, int flags, sockaddr*, socklen_t* length) {
  return with_socket(userdata, fd, [&](Call& call, Socket& socket) -> long {
    // MSG_TRUNC on a stream: the octets are thrown away.
    std::vector<std::uint8_t> thrown((flags & MSG_TRUNC) != 0 ? count : 0);
    const MutableBytes out = (flags & MSG_TRUNC) != 0 ? MutableBytes(thrown) : bytes_of(buffer, count);
    const long got = socket.receive(call, out, flags);
    if (got >= 0 && length != nullptr) *length = 0;  // TCP names nobody
    return got;
  });
}

ssize_t do_recv(void* userdata, int fd, void* buffer, size_t count, int flags) {
  return do_recvfrom(userdata, fd, buffer, count, flags, nullptr, nullptr);
}

ssize_t do_recvmsg(void* userdata, int fd, msghdr* message, int flags) {
  return with_socket(userdata, fd, [&](Call& call, Socket& socket) -> long {
    const long got = receive_pieces(call, socket, message->msg_iov, message->msg_iovlen, flags);
    if (got < 0) return got;
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    return got;
  });
}

// --- sending

ssize_t do_write(void* userdata, int fd, const void* buffer, size_t count) {
  return with_file(userdata, fd, [&](Call& c, File& f) { return f.send(c, bytes_of(buffer, count), 0); });
}

long send_pieces(Call& call, File& file, const iovec* pieces, std::size_t count, int flags) {
  const long total = octets_in(pieces, count);
  if (total < 0) return total;
  std::vector<std::uint8_t> octets;
  octets.reserve(static_cast<std::size_t>(total));
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes piece = bytes_of(static_cast<const void*>(pieces[i].iov_base), pieces[i].iov_len);
    octets.insert(octets.end(), piece.begin(), piece.end());
  }
  return file.send(call, octets, flags);
}

ssize_t do_writev(void* userdata, int fd, const iovec* pieces, int count) {
  if (count < 0) return errno = EINVAL, -1;
  return with_file(userdata, fd,
                   [&](Call& c, File& f) { return send_pieces(c, f, pieces, static_cast<std::size_t>(count), 0); });
}

// A TCP socket sends to its peer, whatever address stands there; as in Linux.
ssize_t do_sendto(void* userdata, int fd, const void* buffer, size_t count, int flags, const sockaddr*, socklen_t) {
  return with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.send(c, bytes_of(buffer, count), flags); });
}

ssize_t do_send(void* userdata, int fd, const void* buffer, size_t count, int flags) {
  return do_sendto(userdata, fd, buffer, count, flags, nullptr, 0);
}

ssize_t do_sendmsg(void* userdata, int fd, const msghdr* message, int flags) {
  return with_socket(userdata, fd, [&](Call& c, Socket& s) {
    return send_pieces(c, s, message->msg_iov, message->msg_iovlen, flags);
  });
}

// --- descriptors

int do_fcntl(void* userdata, int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const bool takes_value = command == F_SETFL || command == F_SETFD;
  const int value = takes_value ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return static_cast<int>(with_file(userdata, fd, [&](Call&, File& file) -> long {
    switch (command) {
      case F_GETFL: return O_RDWR | (file.nonblocking ? O_NONBLOCK : 0);
      case F_SETFL: file.nonblocking = (value & O_NONBLOCK) != 0; return 0;
      case F_GETFD:
      case F_SETFD: return 0;  // nothing is ever executed here
      default: return -EINVAL;
    }
  }));
}

int do_ioctl(void* userdata, int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  int* const value = va_arg(arguments, int*);
  va_end(arguments);
  return static_cast<int>(with_file(userdata, fd, [&](Call& call, File& file) -> long {
    if (value == nullptr) return -EFAULT;
    if (request != FIONBIO) return file.ioctl(call, request, value);
    file.nonblocking = *value != 0;
    return 0;
  }));
}

int do_close(void* userdata, int fd) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    const auto file = call.machine.remove(fd);
    if (!file) return -EBADF;
    file->leave_watchers();
    file->close(call);
    return 0;
  }));
}

int do_shutdown(void* userdata, int fd, int how) {
  return static_cast<int>(with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.shutdown(c, how); }));
}

int do_getsockopt(void* userdata, int fd, int level, int name, void* value, socklen_t* length) {
  return static_cast<int>(
      with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.get_option(c, level, name, value, length); }));
}

int do_setsockopt(void* userdata, int fd, int level, int name, const void* value, socklen_t length) {
  return static_cast<int>(
      with_socket(userdata, fd, [&](Call& c, Socket& s) { return s.set_option(c, level, name, value, length); }));
}

// --- waiting

int do_poll(void* userdata, pollfd* fds, nfds_t count, int timeout_ms) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    const auto look = [&] {
      long ready = 0;
      for (nfds_t i = 0; i < count; ++i) {
        const auto file = call.machine.find(fds[i].fd);
        const auto wanted = static_cast<std::uint32_t>(static_cast<std::uint16_t>(fds[i].events)) | POLLERR | POLLHUP;
        const std::uint32_t now = fds[i].fd < 0 ? 0 : file ? file->events(call.machine) & wanted : POLLNVAL;
        fds[i].revents = static_cast<short>(now);
        ready += now != 0 ? 1 : 0;
      }
      return ready;
    };
    const Instant until = timeout_ms < 0 ? Instant::never() : call.now() + milliseconds(timeout_ms);
    if (look() == 0 && timeout_ms != 0) call.wait(until, [&] { return look() > 0; });
    return look();
  }));
}

int do_epoll_create(void* userdata, int size) {
  return static_cast<int>(enter(
      userdata, [&](Call& call) -> long { return size <= 0 ? -EINVAL : call.machine.add(std::make_shared<Epoll>()); }));
}

int do_epoll_ctl(void* userdata, int epoll, int operation, int fd, epoll_event* event) {
  return static_cast<int>(
      with_epoll(userdata, epoll, [&](Call& c, Epoll& e) { return e.control(c, operation, fd, event); }));
}

int do_epoll_wait(void* userdata, int epoll, epoll_event* events, int most, int timeout_ms) {
  return static_cast<int>(
      with_epoll(userdata, epoll, [&](Call& c, Epoll& e) { return e.wait(c, events, most, timeout_ms); }));
}

int do_pipe(void* userdata, int fds[2]) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    const auto [reader, writer] = PipeEnd::make();
    const int first = call.machine.add(reader);
    if (first < 0) return first;
    const int second = call.machine.add(writer);
    if (second < 0) {
      call.machine.remove(first);
      return second;
    }
    fds[0] = first;
    fds[1] = second;
    return 0;
  }));
}

ssize_t do_splice(void* userdata, int in, off64_t* in_offset, int out, off64_t* out_offset, size_t count,
                  unsigned int flags) {
  return enter(userdata, [&](Call& call) -> long {
    const auto from = call.machine.find(in);
    const auto to = call.machine.find(out);
    if (!from || !to) return -EBADF;
    if (in_offset != nullptr || out_offset != nullptr) return -ESPIPE;
    return splice(call, *from, *to, count, flags);
  });
}

// --- the network and the clock

int do_netdev_send(void* userdata, const void* buffer, size_t count) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    call.machine.receive(bytes_of(buffer, count));
    return 0;
  }));
}

int do_netdev_receive(void* userdata, void* buffer, size_t* count, long long* time_us) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    const auto departure = call.next_packet();
    // Nothing leaves: an empty packet, which fails the script. packetdrill would ask again for ever after a -1.
    *count = departure ? std::min(*count, departure->packet.size()) : 0;
    *time_us = (departure ? departure->at : call.now()).ns / 1'000;
    if (departure) std::memcpy(buffer, departure->packet.data(), *count);
    return 0;
  }));
}

int do_usleep(void* userdata, useconds_t us) {
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    call.run_until(call.now() + microseconds(us));
    return 0;
  }));
}

// packetdrill spins on it until a moment comes: it would never come if time stood still here.
int do_gettimeofday(void* userdata, timeval* time, struct timezone*) {
  constexpr Duration kLook = microseconds(5);
  return static_cast<int>(enter(userdata, [&](Call& call) -> long {
    call.run_until(call.now() + kLook);
    const std::int64_t us = call.now().ns / 1'000;
    time->tv_sec = static_cast<time_t>(us / 1'000'000);
    time->tv_usec = static_cast<suseconds_t>(us % 1'000'000);
    return 0;
  }));
}

void do_free(void* userdata) {
  machine_of(userdata).evacuate();
  delete &machine_of(userdata);
}

}  // namespace
}  // namespace adieu::packetdrill

extern "C" void packetdrill_interface_init(const char* flags, struct packetdrill_interface* interface) {
  using namespace adieu::packetdrill;
  const auto parsed = parse_flags(flags != nullptr ? flags : "");
  if (!parsed) {
    std::fprintf(stderr, "adieu: so_flags: %s\n", parsed.error().c_str());
    std::exit(EXIT_FAILURE);  // the interface has no way to say so
  }
  *interface = {
      .userdata = new Machine(*parsed),
      .free = do_free,
      .socket = do_socket,
      .bind = do_bind,
      .listen = do_listen,
      .accept = do_accept,
      .connect = do_connect,
      .read = do_read,
      .readv = do_readv,
      .recv = do_recv,
      .recvfrom = do_recvfrom,
      .recvmsg = do_recvmsg,
      .write = do_write,
      .writev = do_writev,
      .send = do_send,
      .sendto = do_sendto,
      .sendmsg = do_sendmsg,
      .fcntl = do_fcntl,
      .ioctl = do_ioctl,
      .close = do_close,
      .shutdown = do_shutdown,
      .getsockopt = do_getsockopt,
      .setsockopt = do_setsockopt,
      .poll = do_poll,
      .netdev_send = do_netdev_send,
      .netdev_receive = do_netdev_receive,
      .usleep = do_usleep,
      .gettimeofday = do_gettimeofday,
      .epoll_create = do_epoll_create,
      .epoll_ctl = do_epoll_ctl,
      .epoll_wait = do_epoll_wait,
      .pipe = do_pipe,
      .splice = do_splice,
  };
}
