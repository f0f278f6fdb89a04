// socket(7), SO_ATTACH_FILTER.
#include "kernel_peer.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace adieu::host {
namespace {

sockaddr_storage to_system(const Endpoint& endpoint, socklen_t& length) {
  sockaddr_storage storage{};
  if (endpoint.address.family() == Family::V4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.octets.data() + 12, 4);
    length = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.address.octets.data(), 16);
    length = sizeof v6;
  }
  return storage;
}

Descriptor open_socket(Family family) {
  Descriptor made(::socket(family == Family::V4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{5, 0};
  ::setsockopt(made.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(made.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  ::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return made;
}

}  // namespace

KernelPeer KernelPeer::connect(const Endpoint& to) {
  KernelPeer peer;
  peer.socket_ = open_socket(to.address.family());
  socklen_t length = 0;
  const sockaddr_storage address = to_system(to, length);
  if (::connect(peer.socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0) peer.close();
  return peer;
}

KernelPeer KernelPeer::listen(const Endpoint& at) {
  KernelPeer peer;
  peer.socket_ = open_socket(at.address.family());
  socklen_t length = 0;
  const sockaddr_storage address = to_system(at, length);
  if (::bind(peer.socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0 ||
      ::listen(peer.socket_.get(), 16) < 0)
    peer.close();
  return peer;
}

KernelPeer KernelPeer::accept() const {
  KernelPeer peer;
  peer.socket_ = Descriptor(::accept(socket_.get(), nullptr, nullptr));
  const timeval limit{5, 0};
  ::setsockopt(peer.socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return peer;
}

bool KernelPeer::send(const std::string& text) const {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t took = ::send(socket_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (took <= 0) return false;
    sent += static_cast<std::size_t>(took);
  }
  return true;
}

std::string KernelPeer::receive(std::size_t octets) const {
  std::string all(octets, '\0');
  std::size_t got = 0;
  while (got < octets) {
    const ssize_t some = ::recv(socket_.get(), all.data() + got, octets - got, 0);
    if (some <= 0) break;
    got += static_cast<std::size_t>(some);
  }
  all.resize(got);
  return all;
}

bool KernelPeer::at_end() const {
  char octet = 0;
  return ::recv(socket_.get(), &octet, 1, 0) == 0;
}

void KernelPeer::shut_sending() const { ::shutdown(socket_.get(), SHUT_WR); }

void KernelPeer::go_deaf() const {
  sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &drop_all};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

Endpoint KernelPeer::local() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&storage), &length);
  Endpoint endpoint;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    endpoint.address = Address::v4(0, 0, 0, 0);
    std::memcpy(endpoint.address.octets.data() + 12, &v4.sin_addr, 4);
    endpoint.port = ntohs(v4.sin_port);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    std::memcpy(endpoint.address.octets.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

}  // namespace adieu::host
