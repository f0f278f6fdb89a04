// Asking by a segment of ours, on real sockets in a network namespace of the test's own: what it says, who answers, and
// that the socket knows nothing of it. Needs BPF and CAP_NET_RAW.
#include "kernel/crafter.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cstring>
#include <optional>
#include <vector>

#include "kernel/plane.h"
#include "tests/kernel/bpf.h"
#include "tests/kernel/sockets.h"
#include "tests/kernel/table.h"
#include "wire/tcp.h"

namespace adieu::kernel {
namespace {

using namespace test;
using plane::Outcome;

constexpr int kMd5Sig = 14;  // TCP_MD5SIG; <linux/tcp.h> cannot stand beside <netinet/tcp.h>
constexpr int kRepair = 19;  // TCP_REPAIR
constexpr int kMptcp = 262;  // IPPROTO_MPTCP

// What came over loopback.
class Tap {
 public:
  Tap() : file_(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, htons(ETH_P_ALL))) {}
  struct Seen {
    wire::Segment segment;
    std::uint8_t hop_limit = 0;
  };
  // The latest segment of one direction, since the last call. Its checksum is verified if it is `whole`: what the
  // kernel sends over loopback has none.
  std::optional<Seen> latest(const Endpoint& source, const Endpoint& destination, bool whole) {
    std::optional<Seen> latest;
    std::uint8_t octets[2048];
    sockaddr_ll from{};
    socklen_t length = sizeof from;
    while (true) {
      const ssize_t got = recvfrom(file_.get(), octets, sizeof octets, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 0) return latest;
      if (from.sll_pkttype == PACKET_OUTGOING) continue;  // seen again as it comes in
      const auto packet = wire::parse_ip({octets, static_cast<std::size_t>(got)});
      if (!packet || packet->source != source.address || packet->destination != destination.address) continue;
      const auto segment = wire::parse_tcp(*packet, Offload{.checksum_valid = !whole});
      if (segment && segment->source_port == source.port && segment->destination_port == destination.port)
        latest = Seen{*segment, packet->hop_limit};
    }
  }

 private:
  Fd file_;
};

class CrafterTest : public Sockets {
 protected:
  void SetUp() override {
    Sockets::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const auto opened = BpfBare::open();
    SKIP_WITHOUT_BPF(opened);
    crafter = Crafter::open();
    if (!crafter.is_possible()) GTEST_SKIP() << "SKIPPED, NOT TESTED: no raw socket is permitted here";
    auto found = Networks::open();
    ASSERT_TRUE(found);
    networks.emplace(std::move(*found));
  }
  Outcome ask(const Socket& found) {
    Question question{.found = found, .who = {}};
    Question* const one = &question;
    crafter.ask(networks->own(), {&one, 1});
    return question.outcome;
  }

  Crafter crafter;
  std::optional<Networks> networks;
};

// One end of a connection, and what both ways of asking sent for it.
struct End {
  const Fd& fd;
  Endpoint local;
  Endpoint remote;
  State state;
  Tap tap{};
  std::optional<Tap::Seen> kernels{};
  std::optional<Tap::Seen> ours{};
};

void says_the_same(const Tap::Seen& ours, const Tap::Seen& kernels) {
  EXPECT_EQ(ours.segment.seq, kernels.segment.seq);
  EXPECT_EQ(ours.segment.ack, kernels.segment.ack);
  EXPECT_EQ(ours.segment.window, kernels.segment.window);
  EXPECT_EQ(ours.segment.length(), 0U);
  EXPECT_TRUE(ours.segment.ack_flag && !ours.segment.fin && !ours.segment.rst && !ours.segment.psh);
  EXPECT_EQ(ours.hop_limit, kernels.hop_limit);
  ASSERT_TRUE(ours.segment.timestamps && kernels.segment.timestamps);
  // The peer's clock as it was heard last, and our own: both have gone on by the second between the two.
  EXPECT_LE(ours.segment.timestamps->echo - kernels.segment.timestamps->echo, 20'000U);
  const std::uint32_t later = ours.segment.timestamps->value - kernels.segment.timestamps->value;
  EXPECT_GE(later, 1000U);
  EXPECT_LE(later, 20'000U);
}

TEST_F(CrafterTest, SaysWhatTheKernelsOwnKeepaliveSaysAndIsAnswered) {
  const Fd over6 = listens(kAny6);
  std::vector<Pair> open;
  std::vector<Pair> half;
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const Fd listener = listens(address);
    open.push_back(connected(listener, address));
    open.push_back(connected(over6, address));
    sends(open.back().client, "some octets");
    receives(open.back().server);
    half.push_back(connected(listener, address));
    ASSERT_EQ(shutdown(half.back().client.get(), SHUT_WR), 0);
  }
  std::vector<End> ends;
  for (const Pair& pair : open) ends.push_back({pair.server, pair.server_name, pair.client_name, State::Established});
  for (const Pair& pair : half) ends.push_back({pair.client, pair.client_name, pair.server_name, State::FinWait2});
  for (End& end : ends) {
    set_option(end.fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(end.fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  }
  for (End& end : ends)
    ASSERT_TRUE(eventually([&] { return end.kernels = end.tap.latest(end.local, end.remote, false), end.kernels; }));
  for (End& end : ends) set_option(end.fd, SOL_SOCKET, SO_KEEPALIVE, 0);
  for (End& end : ends) {
    ASSERT_TRUE(eventually([&] { return socket_of(end.local, end.remote).since_ack > milliseconds(1010); }));
    (void)end.tap.latest(end.local, end.remote, false);
    const Socket here = socket_of(end.local, end.remote);
    const Socket there = socket_of(end.remote, end.local);
    ASSERT_EQ(here.state, end.state);
    EXPECT_EQ(ask(here), Outcome::Done) << name(end.state);
    ASSERT_TRUE(eventually([&] { return end.ours = end.tap.latest(end.local, end.remote, true), end.ours; }));
    EXPECT_TRUE(eventually([&] { return socket_of(end.local, end.remote).segments_in == here.segments_in + 1; }));
    EXPECT_EQ(socket_of(end.remote, end.local).segments_in, there.segments_in + 1);
    says_the_same(*end.ours, *end.kernels);
  }
  for (const Pair& pair : half) {
    ASSERT_TRUE(eventually([&] { return server_of(pair).since_ack > milliseconds(1010); }));
    EXPECT_EQ(server_of(pair).state, State::CloseWait);
    EXPECT_EQ(ask(server_of(pair)), Outcome::Done);
    EXPECT_TRUE(eventually([&] { return server_of(pair).since_ack < seconds(1); }));
  }
  // To the peer, what is sent afterwards is no old duplicate.
  for (const Pair& pair : open) {
    sends(pair.client, "there");
    EXPECT_EQ(receives(pair.server), "there");
  }
  for (const std::vector<Pair>* const pairs : {&open, &half})
    for (const Pair& pair : *pairs) {
      sends(pair.server, "and back");
      EXPECT_EQ(receives(pair.client), "and back");
    }
}

TEST_F(CrafterTest, AsksWhoeverHasTimersOfItsOwnAndTheyCountNothing) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  set_option(pair.server, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(pair.server, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
  idles(pair);
  turns_deaf(pair.client);
  const Socket before = server_of(pair);
  EXPECT_FALSE(is_askable(before));
  for (std::uint32_t i = 0; i < 2 * limits::kKernelQuestions; ++i) EXPECT_EQ(ask(server_of(pair)), Outcome::Done);
  EXPECT_FALSE(eventually([&] { return server_of(pair).state != State::Established; }, milliseconds(1500)));
  const Socket after = server_of(pair);
  EXPECT_EQ(after.probes, 0);
  EXPECT_EQ(after.timer, before.timer);
  EXPECT_EQ(after.segments_in, before.segments_in);
  hears_again(pair.client);
  EXPECT_EQ(ask(after), Outcome::Done);
  EXPECT_TRUE(eventually([&] { return server_of(pair).segments_in == before.segments_in + 1; }));
  EXPECT_EQ(ask(server_of(pair)), Outcome::TooSoon);
}

TEST_F(CrafterTest, AsksForAConnectionThatNobodyHasAccepted) {
  const Fd listener = listens(kLoopback4);
  const Endpoint server{.address = kLoopback4, .port = local_of(listener).port};
  const Fd client = connects(server);
  const Endpoint name = local_of(client);
  ASSERT_TRUE(eventually([&] { return socket_of(server, name).since_ack > milliseconds(1010); }));
  const Socket waiting = socket_of(server, name);
  ASSERT_EQ(waiting.inode, 0U);
  EXPECT_EQ(ask(waiting), Outcome::Done);
  EXPECT_TRUE(eventually([&] { return socket_of(server, name).segments_in == waiting.segments_in + 1; }));
}

TEST_F(CrafterTest, IsAnsweredByAResetWherePeerHasForgotten) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  idles(pair);
  const Socket left = server_of(pair);
  set_option(pair.client, IPPROTO_TCP, kRepair, 1);  // its close() sends nothing
  pair.client.close();
  EXPECT_EQ(ask(left), Outcome::Done);
  EXPECT_TRUE(eventually([&] { return option(pair.server, SOL_SOCKET, SO_ERROR) == ECONNRESET; }));
}

TEST_F(CrafterTest, GoesWithTheSocketsOwnTtl) {
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const bool is_v4 = address == kLoopback4;
    const Fd listener = listens(address);
    const Pair pair = connected(listener, address);
    set_option(pair.server, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_TTL : IPV6_UNICAST_HOPS, 255);  // RFC 5082
    idles(pair);
    Tap tap;
    EXPECT_EQ(ask(server_of(pair)), Outcome::Done);
    std::optional<Tap::Seen> ours;
    ASSERT_TRUE(
        eventually([&] { return ours = tap.latest(pair.server_name, pair.client_name, true), ours.has_value(); }));
    EXPECT_EQ(ours->hop_limit, 255);
  }
}

TEST_F(CrafterTest, GoesByTheDeviceToWhichTheSocketIsBound) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const char loopback[] = "lo";
  ASSERT_EQ(setsockopt(pair.server.get(), SOL_SOCKET, SO_BINDTODEVICE, loopback, sizeof loopback), 0);
  idles(pair);
  const Socket here = server_of(pair);
  EXPECT_EQ(ask(here), Outcome::Done);
  EXPECT_TRUE(eventually([&] { return server_of(pair).segments_in == here.segments_in + 1; }));
}

TEST_F(CrafterTest, LeavesAloneWhatIsOutstandingAndWhatIsNoMore) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  Pair gone = connected(listener, kLoopback4);
  idles(gone);
  const Socket idle = server_of(pair);
  turns_deaf(pair.client);
  sends(pair.server, "outstanding");
  EXPECT_TRUE(is_craftable(idle));
  EXPECT_FALSE(is_craftable(server_of(pair)));
  EXPECT_EQ(ask(idle), Outcome::Unable);  // as a sweep before knew it
  const Socket was = server_of(gone);
  aborts(gone.client);
  ASSERT_TRUE(eventually([&] { return server_of(gone).key.cookie == 0; }));
  EXPECT_EQ(ask(was), Outcome::Unable);
  Socket other = server_of(connected(listener, kLoopback4));
  other.state = State::CloseWait;
  other.since_ack = other.since_data = seconds(2);
  EXPECT_EQ(ask(other), Outcome::Unable);
}

TEST_F(CrafterTest, LeavesAloneAnOrphan) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  set_sysctl("/proc/sys/net/ipv4/tcp_fin_timeout", "200");  // beyond 60 s it stays a whole socket at first
  idles(pair);
  pair.client.close();
  ASSERT_TRUE(eventually([&] { return client_of(pair).state == State::FinWait2; }));
  EXPECT_TRUE(client_of(pair).is_whole);
  EXPECT_FALSE(is_craftable(client_of(pair)));
}

TEST_F(CrafterTest, LeavesAloneWhoSignsItsSegmentsAndSubflows) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  struct {  // struct tcp_md5sig
    SocketName name;
    std::uint16_t unused = 0;
    std::uint16_t length = 3;
    std::uint32_t unused2 = 0;
    std::uint8_t key[80] = {'k', 'e', 'y'};
  } signature;
  std::uint8_t octets[sizeof(sockaddr_storage) + 8 + 80] = {};
  signature.name = to_name(pair.client_name);
  std::memcpy(octets, &signature.name.storage, sizeof(sockaddr_storage));
  std::memcpy(octets + sizeof(sockaddr_storage) + 2, &signature.length, 2);
  std::memcpy(octets + sizeof(sockaddr_storage) + 8, signature.key, sizeof signature.key);
  idles(pair);
  if (setsockopt(pair.server.get(), IPPROTO_TCP, kMd5Sig, octets, sizeof octets) == 0) {
    EXPECT_EQ(ask(server_of(pair)), Outcome::Unable);
  } else {
    GTEST_LOG_(INFO) << "NOT TESTED: this kernel signs no segments: " << std::strerror(errno);
  }

  const Fd multi(socket(AF_INET, SOCK_STREAM, kMptcp));
  if (multi.get() < 0) GTEST_SKIP() << "SKIPPED, NOT TESTED: no MPTCP here";
  SocketName any = to_name({.address = kLoopback4, .port = 0});
  ASSERT_EQ(bind(multi.get(), any.raw(), any.length), 0);
  ASSERT_EQ(listen(multi.get(), 8), 0);
  const Endpoint server = local_of(multi);
  const Fd client(socket(AF_INET, SOCK_STREAM, kMptcp));
  SocketName to = to_name(server);
  ASSERT_EQ(connect(client.get(), to.raw(), to.length), 0);
  const Fd accepted = accepts(multi);
  sends(client, "both know by now");
  receives(accepted);
  const Endpoint name = local_of(client);
  ASSERT_TRUE(eventually([&] { return socket_of(server, name).since_ack > milliseconds(1010); }));
  EXPECT_EQ(ask(socket_of(server, name)), Outcome::Unable);
}

// Through the ring, as control asks.
TEST_F(CrafterTest, ByCommandAsksMoreOftenThanTheKernelMay) {
  Table table;
  auto plane = Plane::open(table.writer);
  ASSERT_TRUE(plane);
  plane->act(kAbilities, Prober());
  EXPECT_TRUE(plane::has(table.writer.abilities(), plane::Ability::ProbeUncounted));
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  set_option(pair.server, SOL_SOCKET, SO_KEEPALIVE, 1);
  idles(pair);
  turns_deaf(pair.client);
  plane->look(monotonic_now());
  ASSERT_TRUE(plane->sweep(monotonic_now(), table.view));
  const auto slot = table.slot_of(pair.server_name, pair.client_name);
  ASSERT_TRUE(slot);
  for (std::uint32_t i = 1; i <= limits::kKernelQuestions + 1; ++i) {
    const plane::Record record = table.read(*slot);
    EXPECT_TRUE(record.can_probe);
    plane::Command command;
    command.id = {7, *slot, record.generation};
    command.expected_state = State::Established;
    command.form = ProbeForm::Bare;
    command.expires = Instant::never();
    command.epoch = table.control.epoch();
    command.verdict = i;
    ASSERT_TRUE(table.control.write(command, table.reader.commands_taken()));
    // As if a second had passed: nothing else looks at this clock.
    plane->take_commands(monotonic_now() + seconds(2 * i), table.view);
    EXPECT_EQ(table.reader.receipt(i)->outcome, Outcome::Done);
    EXPECT_EQ(table.read(*slot).probes[static_cast<std::size_t>(ProbeForm::Bare)], i);
  }
}

TEST_F(CrafterTest, IsNotLoadedWhereItIsSwitchedOff) {
  Table table;
  auto plane = Plane::open(table.writer, {.probe = false});
  ASSERT_TRUE(plane);
  plane->act(kAbilities, Prober());
  EXPECT_FALSE(plane::has(table.writer.abilities(), plane::Ability::ProbeUncounted));
  EXPECT_FALSE(plane::has(table.writer.abilities(), plane::Ability::ProbeBare));
}

}  // namespace
}  // namespace adieu::kernel
