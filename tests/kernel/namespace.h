// A network namespace of the test's own, with real kernel sockets in it.
//
// Each test gets a fresh one with nothing but loopback; the old one dies with its last socket. Where namespaces are not
// permitted, the tests are skipped and say why.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "base/time.h"

namespace adieu::kernel::test {

inline Instant monotonic_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

// A descriptor that is closed at the end of its scope, or before.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

inline constexpr Address kLoopback4 = Address::v4(127, 0, 0, 1);
inline constexpr Address kLoopback6{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
inline constexpr Address kAny4 = Address::v4(0, 0, 0, 0);
inline constexpr Address kAny6{};

struct SocketName {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  sockaddr* raw() { return static_cast<sockaddr*>(static_cast<void*>(&storage)); }
};
inline SocketName to_name(const Endpoint& endpoint) {
  SocketName name;
  if (endpoint.address.family() == Family::V4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.octets.data() + 12, 4);
    std::memcpy(&name.storage, &in, name.length = sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    std::memcpy(&in.sin6_addr, endpoint.address.octets.data(), 16);
    std::memcpy(&name.storage, &in, name.length = sizeof in);
  }
  return name;
}
inline Endpoint from_name(const SocketName& name) {
  Endpoint endpoint{.address = kAny4, .port = 0};
  if (name.storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &name.storage, sizeof in);
    endpoint.port = ntohs(in.sin_port);
    std::memcpy(endpoint.address.octets.data() + 12, &in.sin_addr, 4);
  } else {
    sockaddr_in6 in{};
    std::memcpy(&in, &name.storage, sizeof in);
    endpoint.port = ntohs(in.sin6_port);
    std::memcpy(endpoint.address.octets.data(), &in.sin6_addr, 16);
  }
  return endpoint;
}

inline Endpoint local_of(const Fd& fd) {
  SocketName name;
  EXPECT_EQ(getsockname(fd.get(), name.raw(), &name.length), 0) << std::strerror(errno);
  return from_name(name);
}

// A listener on a port of the kernel's choice. On kAny6 it takes IPv4 as well.
inline Fd listens(const Address& address, int backlog = 64) {
  Fd fd(socket(address.family() == Family::V4 ? AF_INET : AF_INET6, SOCK_STREAM, 0));
  const int off = 0;
  if (address == kAny6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  SocketName name = to_name({.address = address, .port = 0});
  EXPECT_EQ(bind(fd.get(), name.raw(), name.length), 0) << std::strerror(errno);
  EXPECT_EQ(listen(fd.get(), backlog), 0) << std::strerror(errno);
  return fd;
}
inline Fd connects(const Endpoint& to) {
  Fd fd(socket(to.address.family() == Family::V4 ? AF_INET : AF_INET6, SOCK_STREAM, 0));
  SocketName name = to_name(to);
  EXPECT_EQ(connect(fd.get(), name.raw(), name.length), 0) << std::strerror(errno);
  return fd;
}
inline Fd accepts(const Fd& listener) {
  Fd fd(accept(listener.get(), nullptr, nullptr));
  EXPECT_GE(fd.get(), 0) << std::strerror(errno);
  return fd;
}
inline void sends(const Fd& fd, std::string_view text) {
  EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}
// What one recv() returns; "" at the end of the stream, and a failure where nothing comes.
inline std::string receives(const Fd& fd, std::size_t at_most = 4096) {
  pollfd readable{.fd = fd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&readable, 1, 10'000), 1) << "nothing came";
  if (readable.revents == 0) return "nothing came";
  std::string text(at_most, '\0');
  const ssize_t length = recv(fd.get(), text.data(), text.size(), 0);
  EXPECT_GE(length, 0) << std::strerror(errno);
  text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return text;
}

// close() with an RST: both ends are gone at once.
inline void aborts(Fd& fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  EXPECT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0) << std::strerror(errno);
  fd.close();
}

// Two ends of one connection on loopback, both held by this test.
struct Pair {
  Fd client;
  Fd server;
  Endpoint client_name;
  Endpoint server_name;
};
inline Pair connected(const Fd& listener, const Address& address) {
  Pair pair;
  pair.server_name = {.address = address, .port = local_of(listener).port};
  pair.client = connects(pair.server_name);
  pair.client_name = local_of(pair.client);
  pair.server = accepts(listener);
  return pair;
}

class Namespace : public testing::Test {
 protected:
  void SetUp() override {
    // As an ordinary user, a user namespace first; later tests of this process are already in it.
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
      GTEST_SKIP() << "SKIPPED, NOT TESTED: no network namespace is permitted here: " << std::strerror(errno);
    const Fd any(socket(AF_INET, SOCK_DGRAM, 0));
    ifreq loopback{};
    std::memcpy(loopback.ifr_name, "lo", 3);
    loopback.ifr_flags = IFF_UP;
    ASSERT_EQ(ioctl(any.get(), SIOCSIFFLAGS, &loopback), 0) << std::strerror(errno);
  }
  static void set_sysctl(const char* path, std::string_view value) {
    const Fd file(open(path, O_WRONLY));
    ASSERT_EQ(write(file.get(), value.data(), value.size()), static_cast<ssize_t>(value.size())) << path;
  }
};

// Until the kernel has done what it is doing, but not for ever. `condition` looks again each time.
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition, Duration patience = seconds(10)) {
  const Instant end = monotonic_now() + patience;
  while (!condition()) {
    if (monotonic_now() > end) return false;
    usleep(2000);
  }
  return true;
}

}  // namespace adieu::kernel::test
