// Ending one socket if nothing has changed since, on real sockets in a network namespace of the test's own. Needs BPF.
#include "kernel/bpf_destroy.h"

#include <algorithm>
#include <vector>

#include "kernel/sock_diag.h"
#include "tests/kernel/bpf.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using namespace test;
using enum DestroyOutcome;

class BpfDestroyTest : public Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = BpfDestroy::open();
    SKIP_WITHOUT_BPF(opened);
    destroy.emplace(std::move(*opened));
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
    if (found == sockets->end()) return {};
    return *found;
  }
  Socket server_of(const Pair& pair) { return socket_of(pair.server_name, pair.client_name); }
  Socket client_of(const Pair& pair) { return socket_of(pair.client_name, pair.server_name); }

  DestroyAnswer carry_out(const DestroyOrder& order) {
    DestroyAnswer answer;
    EXPECT_TRUE(destroy->carry_out({&order, 1}, {&answer, 1})) << bpf_words();
    return answer;
  }

  std::optional<BpfDestroy> destroy;
  std::optional<Diag> diag;
};

DestroyOrder order_of(const Socket& socket) {
  return {.cookie = socket.key.cookie, .state = socket.state, .segments_in = socket.segments_in};
}

int error_of(const Fd& fd) {
  int error = 0;
  socklen_t length = sizeof error;
  EXPECT_EQ(getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length), 0);
  return error;
}

TEST_F(BpfDestroyTest, DestroysTheSocketOfTheCookieAndNoOther) {
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const Fd listener = listens(address);
    const Pair pair = connected(listener, address);
    const Pair other = connected(listener, address);
    sends(pair.client, "hello");
    const Socket server = server_of(pair);
    const DestroyAnswer answer = carry_out(order_of(server));
    EXPECT_EQ(answer.outcome, Destroyed);
    EXPECT_EQ(answer.state, State::Established);
    EXPECT_EQ(answer.segments_in, server.segments_in);
    EXPECT_EQ(answer.octets_in, 5U);
    EXPECT_EQ(server_of(pair).key.cookie, 0U);
    EXPECT_EQ(error_of(pair.server), ECONNABORTED);
    EXPECT_TRUE(eventually([&] { return error_of(pair.client) == ECONNRESET; }));
    EXPECT_EQ(server_of(other).state, State::Established);
    EXPECT_EQ(client_of(other).state, State::Established);
  }
}

TEST_F(BpfDestroyTest, DestroysNothingInAnotherStateThanTheOrderSays) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  DestroyOrder order = order_of(server_of(pair));
  order.segments_in.reset();
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  ASSERT_TRUE(eventually([&] { return server_of(pair).state == State::CloseWait; }));
  const DestroyAnswer answer = carry_out(order);
  EXPECT_EQ(answer.outcome, OtherState);
  EXPECT_EQ(answer.state, State::CloseWait);
  EXPECT_EQ(server_of(pair).state, State::CloseWait);
  order.state = State::CloseWait;
  EXPECT_EQ(carry_out(order).outcome, Destroyed);
}

TEST_F(BpfDestroyTest, RefusesWhenOneSegmentWasHeardSinceAndDestroysWhenNoneWas) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const DestroyOrder order = order_of(server_of(pair));
  sends(pair.client, "x");
  const DestroyAnswer refused = carry_out(order);
  EXPECT_EQ(refused.outcome, HeardSince);
  EXPECT_EQ(refused.octets_in, 1U);
  EXPECT_EQ(server_of(pair).state, State::Established);
  const DestroyOrder again{.cookie = order.cookie, .state = order.state, .segments_in = refused.segments_in};
  EXPECT_EQ(carry_out(again).outcome, Destroyed);
}

TEST_F(BpfDestroyTest, HearsAKeepaliveThatChangesNothingElse) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const Socket before = server_of(pair);
  // A connection that leaves repair mode sends one at once.
  for (const int repair : {1, 0})
    ASSERT_EQ(setsockopt(pair.client.get(), IPPROTO_TCP, TCP_REPAIR, &repair, sizeof repair), 0);
  ASSERT_TRUE(eventually([&] { return server_of(pair).segments_in != before.segments_in; }));
  const DestroyAnswer answer = carry_out(order_of(before));
  EXPECT_EQ(answer.outcome, HeardSince);
  EXPECT_EQ(answer.octets_in, before.octets_in);
}

TEST_F(BpfDestroyTest, DestroysAHalfClosedSocketAndAnOrphanThatIsWhole) {
  const Fd listener = listens(kLoopback4);
  const Pair held = connected(listener, kLoopback4);
  ASSERT_EQ(shutdown(held.client.get(), SHUT_WR), 0);
  ASSERT_TRUE(eventually([&] { return client_of(held).state == State::FinWait2; }));
  EXPECT_EQ(carry_out(order_of(client_of(held))).outcome, Destroyed);

  Pair orphan = connected(listener, kLoopback4);
  const std::vector<char> much(1 << 20);
  ASSERT_GT(send(orphan.client.get(), much.data(), much.size(), MSG_DONTWAIT), 0);  // more than the window
  orphan.client.close();
  const Socket client = client_of(orphan);
  ASSERT_EQ(client.state, State::FinWait1);
  ASSERT_EQ(client.inode, 0U);
  EXPECT_EQ(carry_out({.cookie = client.key.cookie, .state = client.state, .segments_in = {}}).outcome, Destroyed);
}

TEST_F(BpfDestroyTest, LeavesMinisocketsToSockDestroy) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  pair.client.close();
  ASSERT_TRUE(eventually([&] { return client_of(pair).timer == Timer::TimeWait; }));
  const Socket orphan = client_of(pair);
  EXPECT_EQ(orphan.state, State::FinWait2);
  EXPECT_EQ(carry_out(order_of(orphan)).outcome, Minisocket);
  EXPECT_EQ(client_of(pair).key.cookie, orphan.key.cookie);
}

TEST_F(BpfDestroyTest, NeverDestroysAListener) {
  const Fd listener = listens(kLoopback4);
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  ASSERT_EQ(getsockopt(listener.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length), 0);
  const DestroyAnswer answer = carry_out({.cookie = cookie, .state = State::Listen, .segments_in = {}});
  EXPECT_EQ(answer.outcome, OtherState);
  EXPECT_EQ(answer.state, State::Listen);
  EXPECT_GE(connected(listener, kLoopback4).server.get(), 0);
}

TEST_F(BpfDestroyTest, FindsNothingInAnotherNetworkNamespace) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const DestroyOrder order = order_of(server_of(pair));
  const Fd own(open("/proc/self/ns/net", O_RDONLY));
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  EXPECT_EQ(carry_out(order).outcome, NotFound);
  ASSERT_EQ(setns(own.get(), CLONE_NEWNET), 0);
  EXPECT_EQ(carry_out(order).outcome, Destroyed);
  EXPECT_EQ(carry_out(order).outcome, NotFound);
}

TEST_F(BpfDestroyTest, CarriesOutMoreOrdersThanFitIntoOneWalkEachWithItsOwnAnswer) {
  const Fd listener = listens(kLoopback4);
  constexpr std::size_t kPairs = BpfDestroy::kMostOrders + 1;
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < kPairs; ++i) pairs.push_back(connected(listener, kLoopback4));
  std::vector<DestroyOrder> orders;
  for (const Pair& pair : pairs) {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    ASSERT_EQ(getsockopt(pair.server.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length), 0);
    const bool is_even = orders.size() % 2 == 0;
    orders.push_back({.cookie = cookie, .state = is_even ? State::Established : State::CloseWait, .segments_in = {}});
  }
  std::vector<DestroyAnswer> answers(orders.size());
  ASSERT_TRUE(destroy->carry_out(orders, answers)) << bpf_words();
  for (std::size_t i = 0; i < kPairs; ++i) {
    EXPECT_EQ(answers[i].outcome, i % 2 == 0 ? Destroyed : OtherState);
    EXPECT_EQ(error_of(pairs[i].server), i % 2 == 0 ? ECONNABORTED : 0);
  }
}

}  // namespace
}  // namespace adieu::kernel
