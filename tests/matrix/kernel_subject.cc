// Linux through sockets and a TUN device: calls, packets, and its own words made the table's.
#include "kernel_subject.h"

#include <poll.h>

#include <cerrno>

#include "base/limits.h"
#include "wire/ip.h"

namespace adieu::matrix {

using kernel::test::Fd;
using kernel::test::monotonic_now;

namespace {
std::string told(bool good, const char* word) {
  if (good) return word;
  switch (errno) {
    case EAGAIN: return "would block";
    case EISCONN:
    case EALREADY:
    case EADDRINUSE: return "in use";
    case ENOTCONN: return "not connected";
    case EPIPE: return "sending closed";
    default: return std::string("error: ") + std::strerror(errno);
  }
}
}  // namespace

// What a cell leaves behind must not speak into the next: close() with an RST, or none if there is nothing to reset.
KernelSubject::~KernelSubject() {
  if (socket_.get() >= 0) kernel::test::aborts(socket_);
}

Fd KernelSubject::bound() const {
  Fd fd(socket(local().address.family() == Family::V4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
  kernel::test::SocketName name = kernel::test::to_name(local());
  EXPECT_EQ(bind(fd.get(), name.raw(), name.length), 0) << std::strerror(errno);
  return fd;
}

void KernelSubject::listen() {
  listener_ = bound();
  EXPECT_EQ(::listen(listener_.get(), 8), 0) << std::strerror(errno);
}

std::string KernelSubject::connect() {
  if (socket_.get() < 0) socket_ = bound();
  kernel::test::SocketName name = kernel::test::to_name(peer());
  const int result = ::connect(socket_.get(), name.raw(), name.length);
  return told(result == 0 || errno == EINPROGRESS, "done");
}

bool KernelSubject::accept() {
  socket_ = Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK));
  return socket_.get() >= 0;
}

std::string KernelSubject::send(Bytes octets) {
  return told(::send(socket_.get(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0, "taken");
}

std::string KernelSubject::receive(std::string& octets) {
  char buffer[64];
  for (;;) {
    const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0) return told(false, "");
    if (n == 0) return "end";
    octets.append(buffer, static_cast<std::size_t>(n));
  }
}

std::string KernelSubject::shut_send() { return told(shutdown(socket_.get(), SHUT_WR) == 0, "done"); }
std::string KernelSubject::shut_receive() { return told(shutdown(socket_.get(), SHUT_RD) == 0, "done"); }

std::string KernelSubject::close() {
  socket_.close();
  return "done";
}

std::string KernelSubject::abort() {
  kernel::test::aborts(socket_);
  return "done";
}

void KernelSubject::inject(Bytes packet) {
  const auto sent = host_.tun.send(packet, {});
  EXPECT_TRUE(sent && *sent);
}

// The kernel takes packets in their order: once it has answered an echo request, it has done what was before it.
std::vector<Heard> KernelSubject::answers(bool expected) {
  std::vector<Heard> heard;
  if (expected) collect(heard, 0, seconds(1));
  const std::uint16_t echo = ++host_.echoes;
  inject(echo_request(peer().address, local().address, echo));
  collect(heard, echo, seconds(5));
  return heard;
}

std::vector<Heard> KernelSubject::wait(Duration patience) {
  std::vector<Heard> heard;
  collect(heard, 0, patience);
  return heard;
}

void KernelSubject::collect(std::vector<Heard>& heard, std::uint16_t echo, Duration patience) {
  const Instant until = monotonic_now() + patience;
  std::vector<std::uint8_t> buffer(limits::kPacketBytes);
  while (echo != 0 || heard.empty()) {
    const Duration left = until - monotonic_now();
    if (left <= Duration{}) {
      EXPECT_EQ(echo, 0) << "the kernel did not answer an echo request";
      return;
    }
    pollfd ready{host_.tun.descriptor(), POLLIN, 0};
    poll(&ready, 1, static_cast<int>(left.milliseconds() + 1));
    const auto got = host_.tun.receive(buffer);
    if (!got || !*got) continue;
    const Bytes packet = Bytes(buffer).first((*got)->length);
    hear(packet, (*got)->offload, heard);
    const auto ip = wire::parse_ip(packet);
    if (!ip || ip->payload.size() < 8 || echo == 0) continue;
    const bool reply = (ip->protocol == wire::kProtocolIcmp && ip->payload[0] == 0) ||
                       (ip->protocol == wire::kProtocolIcmpV6 && ip->payload[0] == 129);
    if (reply && ((ip->payload[6] << 8) | ip->payload[7]) == echo) return;
  }
}

std::string KernelSubject::state() {
  const auto all = host_.diag.all();
  EXPECT_TRUE(all);
  if (all)
    for (const kernel::Socket& socket : *all)
      if (socket.key.local == local() && socket.key.remote == peer()) return std::string(name(socket.state));
  return "CLOSED";
}

std::string KernelSubject::error() {
  int code = 0;
  socklen_t length = sizeof code;
  if (socket_.get() < 0 || getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &code, &length) != 0 || code == 0) return {};
  switch (code) {
    case ECONNREFUSED: return "error: refused";
    case EPIPE:  // its name for a reset in CLOSE-WAIT
    case ECONNRESET: return "error: reset";
    case EHOSTUNREACH: return "error: unreachable";
    case ETIMEDOUT: return "error: timed out";
    default: return std::string("error: ") + std::strerror(code);
  }
}

}  // namespace adieu::matrix
