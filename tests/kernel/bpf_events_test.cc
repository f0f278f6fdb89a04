// What the kernel's tracepoints tell of real connections, in a network namespace of the test's own. Needs BPF.
#include "kernel/bpf_events.h"

#include <linux/filter.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernel/bpf_destroy.h"
#include "tests/kernel/bpf.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using namespace test;
using enum BpfEventKind;

std::uint64_t cookie_of(const Fd& fd) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  EXPECT_EQ(getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length), 0) << std::strerror(errno);
  return cookie;
}

std::uint32_t own_network() {
  struct stat facts{};
  EXPECT_EQ(stat("/proc/self/ns/net", &facts), 0) << std::strerror(errno);
  return static_cast<std::uint32_t>(facts.st_ino);
}

class BpfEventsTest : public Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = BpfEvents::open(std::size_t{1} << 20);
    SKIP_WITHOUT_BPF(opened);
    events.emplace(std::move(*opened));
    network = own_network();
  }

  // All events of this namespace so far.
  const std::vector<BpfEvent>& seen() {
    std::array<BpfEvent, 7> batch;
    std::size_t count = 0;
    do {
      count = events->poll(batch);
      for (std::size_t i = 0; i < count; ++i)
        if (batch[i].network == network) seen_.push_back(batch[i]);
    } while (count == batch.size());
    return seen_;
  }
  std::vector<BpfEvent> of(std::uint64_t cookie) {
    std::vector<BpfEvent> found;
    std::ranges::copy_if(seen(), std::back_inserter(found), [&](const BpfEvent& e) { return e.cookie == cookie; });
    return found;
  }
  std::vector<BpfEvent> of(std::uint64_t cookie, BpfEventKind kind) {
    std::vector<BpfEvent> found = of(cookie);
    std::erase_if(found, [&](const BpfEvent& e) { return e.kind != kind; });
    return found;
  }
  std::vector<State> states_of(std::uint64_t cookie) {
    std::vector<State> states;
    for (const BpfEvent& event : of(cookie, StateChanged)) states.push_back(event.new_state);
    return states;
  }
  bool is_missing(BpfEventKind kind) const { return (events->missing() & bit(kind)) != 0; }

  std::optional<BpfEvents> events;
  std::uint32_t network = 0;

 private:
  std::vector<BpfEvent> seen_;
};

TEST_F(BpfEventsTest, TellTheWholeLifeOfAConnectionThatNoSweepSaw) {
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const Instant before = monotonic_now();
    const Fd listener = listens(address);
    Pair pair = connected(listener, address);
    const std::uint64_t client = cookie_of(pair.client);
    const std::uint64_t server = cookie_of(pair.server);
    ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
    EXPECT_TRUE(eventually([&] { return states_of(client).back() == State::FinWait2; }));
    pair.server.close();
    EXPECT_TRUE(eventually([&] { return states_of(client).back() == State::Closed; }));
    pair.client.close();
    EXPECT_TRUE(eventually([&] { return states_of(server).back() == State::Closed; }));
    EXPECT_EQ(states_of(client),
              (std::vector{State::SynSent, State::Established, State::FinWait1, State::FinWait2, State::Closed}));
    EXPECT_EQ(states_of(server), (std::vector{State::Established, State::CloseWait, State::LastAck, State::Closed}));
    Instant previous = before;
    for (const BpfEvent& event : of(client)) {
      EXPECT_EQ(event.remote, pair.server_name);
      EXPECT_EQ(event.local.address, address);
      EXPECT_EQ(event.local.port, event.new_state == State::SynSent ? 0 : pair.client_name.port);
      EXPECT_EQ(event.error, 0);
      EXPECT_GE(event.when, previous);
      previous = event.when;
    }
    EXPECT_LE(previous, monotonic_now());
    for (const BpfEvent& event : of(server)) {
      EXPECT_EQ(event.local, pair.server_name);
      EXPECT_EQ(event.remote, pair.client_name);
    }
  }
}

TEST_F(BpfEventsTest, NameTheProcessWhoseCallItWas) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const std::uint64_t client = cookie_of(pair.client);
  pair.client.close();
  ASSERT_TRUE(eventually([&] { return states_of(client).size() >= 4; }));
  for (const BpfEvent& event : of(client, StateChanged)) {
    const bool is_ours = event.new_state == State::SynSent || event.new_state == State::FinWait1;
    EXPECT_EQ(event.process, is_ours ? static_cast<std::uint32_t>(getpid()) : 0U) << name(event.new_state);
  }
}

TEST_F(BpfEventsTest, SayNothingOfListenersAndOfSocketsThatWereNeverConnected) {
  {
    const Fd listener = listens(kLoopback4);
    const Fd idle(socket(AF_INET, SOCK_STREAM, 0));
  }
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const std::uint64_t client = cookie_of(pair.client);
  const std::uint64_t server = cookie_of(pair.server);
  aborts(pair.client);
  ASSERT_TRUE(eventually([&] { return states_of(server).back() == State::Closed; }));
  for (const BpfEvent& event : seen())
    EXPECT_TRUE(event.cookie == client || event.cookie == server) << static_cast<int>(event.kind);
}

TEST_F(BpfEventsTest, TellThatTheEndOfStreamWasReadOnlyOnceItWas) {
  if (is_missing(EndOfStreamRead)) GTEST_SKIP() << "SKIPPED, NOT TESTED: no tracepoint sock_recv_length (Linux 6.3)";
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const std::uint64_t server = cookie_of(pair.server);
  sends(pair.client, "last words");
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  ASSERT_TRUE(eventually([&] { return states_of(server).back() == State::CloseWait; }));
  char octet = 0;
  EXPECT_EQ(recv(pair.server.get(), &octet, 0, 0), 0);  // nothing was asked for
  EXPECT_EQ(receives(pair.server), "last words");
  EXPECT_EQ(recv(pair.server.get(), &octet, 1, MSG_PEEK), 0);
  EXPECT_TRUE(of(server, EndOfStreamRead).empty());

  EXPECT_EQ(receives(pair.server), "");
  for (int again = 0; again < 3; ++again) EXPECT_EQ(receives(pair.server), "");
  const std::vector<BpfEvent> read = of(server, EndOfStreamRead);
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].process, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(read[0].new_state, State::CloseWait);
  EXPECT_EQ(read[0].local, pair.server_name);
}

TEST_F(BpfEventsTest, TakeNoShutdownOfOurOwnForThePeersEndOfStream) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  ASSERT_EQ(shutdown(pair.server.get(), SHUT_RD), 0);
  EXPECT_EQ(receives(pair.server), "");
  EXPECT_TRUE(of(cookie_of(pair.server), EndOfStreamRead).empty());
}

TEST_F(BpfEventsTest, TellTheResetAndThenTheErrorThatTheSocketHas) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const std::uint64_t server = cookie_of(pair.server);
  aborts(pair.client);
  ASSERT_TRUE(eventually([&] { return states_of(server).back() == State::Closed; }));
  const std::vector<BpfEvent> told = of(server);
  ASSERT_GE(told.size(), 3U);
  EXPECT_EQ(told[1].kind, ResetReceived);
  EXPECT_EQ(told[1].new_state, State::Established);
  EXPECT_EQ(told[2].kind, StateChanged);
  EXPECT_EQ(told[2].new_state, State::Closed);
  EXPECT_EQ(told[2].error, ECONNRESET);
  EXPECT_EQ(told[2].local, pair.server_name);
}

TEST_F(BpfEventsTest, TellThatASocketWasDestroyedByAnOperator) {
  auto destroy = BpfDestroy::open();
  if (!destroy) GTEST_SKIP() << "SKIPPED, NOT TESTED: bpf_sock_destroy (Linux 6.5): " << bpf_words();
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const DestroyOrder order{.cookie = cookie_of(pair.server), .state = State::Established, .segments_in = {}};
  DestroyAnswer answer;
  ASSERT_TRUE(destroy->carry_out({&order, 1}, {&answer, 1}));
  ASSERT_EQ(answer.outcome, DestroyOutcome::Destroyed);
  EXPECT_EQ(states_of(order.cookie).back(), State::Closed);
  EXPECT_EQ(of(order.cookie, StateChanged).back().error, ECONNABORTED);
}

TEST_F(BpfEventsTest, TellOnlyTheKindsThatAreWanted) {
  events.reset();
  auto opened = BpfEvents::open(4096, bit(ResetReceived));
  ASSERT_TRUE(opened) << bpf_words();
  events.emplace(std::move(*opened));
  EXPECT_EQ(events->missing(), kAllBpfEvents & ~bit(ResetReceived));
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const std::uint64_t client = cookie_of(pair.client);
  const std::uint64_t server = cookie_of(pair.server);
  aborts(pair.client);
  ASSERT_TRUE(eventually([&] { return !of(server).empty(); }));
  EXPECT_EQ(of(server).size(), 1U);
  EXPECT_EQ(of(server, ResetReceived).size(), 1U);
  EXPECT_TRUE(of(client).empty());
}

TEST_F(BpfEventsTest, WakeWhoeverWaits) {
  seen();
  pollfd waiting{.fd = events->descriptor(), .events = POLLIN, .revents = 0};
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  EXPECT_EQ(poll(&waiting, 1, 10'000), 1);
  EXPECT_FALSE(seen().empty());
}

// Other people's connections on this host fill both rings too, between one look and the other: then once more.
TEST_F(BpfEventsTest, CountExactlyWhatTheRingHadNoRoomFor) {
  auto small = BpfEvents::open(1);
  ASSERT_TRUE(small) << bpf_words();
  const auto take_all = [](BpfEvents& ring) {
    std::array<BpfEvent, 64> batch;
    std::size_t sum = 0;
    std::size_t count = 0;
    do sum += count = ring.poll(batch);
    while (count != 0);
    return sum;
  };
  const Fd listener = listens(kLoopback4);
  std::size_t lost_before = 0;
  EXPECT_TRUE(eventually([&] {
    take_all(*events);
    take_all(*small);
    const std::uint64_t lost = small->lost();
    for (int i = 0; i < 20; ++i) {
      Pair pair = connected(listener, kLoopback4);
      aborts(pair.client);
    }
    const std::size_t told = take_all(*events);
    const std::size_t told_small = take_all(*small);
    lost_before = small->lost() - lost;
    return lost_before > 0 && told == told_small + lost_before;
  })) << lost_before;
  EXPECT_EQ(events->lost(), 0U);
}

}  // namespace
}  // namespace adieu::kernel
