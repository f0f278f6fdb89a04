// What tests of questions share: options of a socket, a peer that turns deaf, and what sock_diag says.
#pragma once

#include <gtest/gtest.h>
#include <linux/filter.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "kernel/sock_diag.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel::test {

inline int option(const Fd& fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(getsockopt(fd.get(), level, name, &value, &length), 0);
  return value;
}
inline void set_option(const Fd& fd, int level, int name, int value) {
  ASSERT_EQ(setsockopt(fd.get(), level, name, &value, sizeof value), 0) << std::strerror(errno);
}
inline std::vector<int> keepalive_of(const Fd& fd) {
  return {option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
          option(fd, IPPROTO_TCP, TCP_KEEPINTVL), option(fd, IPPROTO_TCP, TCP_KEEPCNT)};
}

// Whatever arrives for it is dropped: to its peer it is not there.
inline void turns_deaf(const Fd& fd) {
  sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{.len = 1, .filter = &nothing};
  ASSERT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}
inline void hears_again(const Fd& fd) {
  const int none = 0;
  ASSERT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none), 0);
}

class Sockets : public Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto asked = Diag::open();
    ASSERT_TRUE(asked);
    diag.emplace(std::move(*asked));
  }
  // As sock_diag says it is.
  Socket socket_of(const Endpoint& local, const Endpoint& remote) {
    const auto sockets = diag->all();
    EXPECT_TRUE(sockets);
    const auto found =
        std::ranges::find_if(*sockets, [&](const Socket& s) { return s.key.local == local && s.key.remote == remote; });
    return found == sockets->end() ? Socket{} : *found;
  }
  Socket server_of(const Pair& pair) { return socket_of(pair.server_name, pair.client_name); }
  Socket client_of(const Pair& pair) { return socket_of(pair.client_name, pair.server_name); }
  // Nobody has been heard for a second.
  void idles(const Pair& pair) {
    ASSERT_TRUE(eventually([&] {
      const Socket client = client_of(pair);
      const Socket server = server_of(pair);
      return std::min({client.since_ack, client.since_data, server.since_ack, server.since_data}) > milliseconds(1010);
    }));
  }

  std::optional<Diag> diag;
};

}  // namespace adieu::kernel::test
