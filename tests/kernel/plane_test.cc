// The kernel plane on real kernel sockets, in a namespace of the test's own.
#include "kernel/plane.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/kernel/bpf.h"
#include "tests/kernel/namespace.h"
#include "tests/kernel/table.h"

namespace adieu::kernel {
namespace {

using plane::Holder;
using plane::Known;
using plane::Outcome;
using plane::Record;
using test::aborts;
using test::accepts;
using test::connected;
using test::eventually;
using test::Fd;
using test::kAny6;
using test::kLoopback4;
using test::kLoopback6;
using test::listens;
using test::local_of;
using test::monotonic_now;
using test::Pair;
using test::receives;
using test::sends;
using test::Table;

class KernelPlane : public test::Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
    if (IsSkipped()) return;
    use(64);
  }
  void use(std::uint32_t slots, std::uint32_t quarantine = 16) {
    table = std::make_unique<Table>(slots, quarantine);
    auto opened = Plane::open(table->writer);
    ASSERT_TRUE(opened) << name(opened.error().kind) << ' ' << opened.error().code;
    plane.emplace(std::move(*opened));
  }
  void sweep() {
    const auto swept = plane->sweep(monotonic_now(), table->view);
    ASSERT_TRUE(swept) << name(swept.error().kind) << ' ' << swept.error().code;
  }
  // Its facts after a sweep; state Closed where the table holds no such connection.
  Record facts(const Endpoint& local, const Endpoint& remote) {
    sweep();
    const auto slot = table->slot_of(local, remote);
    return slot ? table->read(*slot) : Record{};
  }
  Record client_of(const Pair& pair) { return facts(pair.client_name, pair.server_name); }
  Record server_of(const Pair& pair) { return facts(pair.server_name, pair.client_name); }
  State client_state(const Pair& pair) { return client_of(pair).state; }
  State server_state(const Pair& pair) { return server_of(pair).state; }
  std::optional<Socket> socket_of(const Endpoint& local, const Endpoint& remote) {
    const auto sockets = plane->diag().all();
    EXPECT_TRUE(sockets);
    for (const Socket& socket : *sockets)
      if (socket.key.local == local && socket.key.remote == remote) return socket;
    return std::nullopt;
  }

  std::unique_ptr<Table> table;
  std::optional<Plane> plane;
};

TEST_F(KernelPlane, ShowsNothingOfAnEmptyNamespace) {
  sweep();
  EXPECT_EQ(table->live(), 0U);
}

TEST_F(KernelPlane, BeatsHoweverItIsSwept) {
  sweep();
  const Instant first = table->reader.heartbeat();
  EXPECT_TRUE(first.is_known());
  const Instant then = monotonic_now();
  ASSERT_TRUE(plane->look_and_sweep(then, table->view));
  EXPECT_EQ(table->reader.heartbeat(), then);
  EXPECT_GT(then, first);
}

TEST_F(KernelPlane, LeavesListenersOut) {
  const Fd listener = listens(kLoopback4);
  sweep();
  EXPECT_EQ(table->live(), 0U);
}

TEST_F(KernelPlane, ShowsBothEndsOfAnEstablishedConnection) {
  const Fd listener = listens(kLoopback4);
  const Instant before = monotonic_now();
  const Pair pair = connected(listener, kLoopback4);
  const Instant after = monotonic_now();
  for (const Record& record : {client_of(pair), server_of(pair)}) {
    EXPECT_EQ(record.state, State::Established);
    EXPECT_EQ(record.holder, Holder::Held);
    EXPECT_EQ(record.end_of_stream_read, Known::No);
    EXPECT_FALSE(record.receive_shut || record.send_shut);
    EXPECT_TRUE(record.can_probe);
    EXPECT_FALSE(record.can_echo);
    EXPECT_EQ(record.unread, 0U);
    EXPECT_EQ(record.unsent, 0U);
    EXPECT_EQ(record.oldest_unacked, Instant::never());
    EXPECT_EQ(record.attempts, 0U);
    EXPECT_NE(record.heard, plane::kUnknownCount);
    EXPECT_GE(record.last_heard, before - kTick);
    EXPECT_LE(record.last_heard, after + kTick);
    EXPECT_FALSE(record.progress_in.is_known());
    EXPECT_FALSE(record.progress_out.is_known());
    EXPECT_FALSE(record.state_entered.is_known());  // it was there before the first sweep
  }
  EXPECT_EQ(table->live(), 2U);
  EXPECT_EQ(table->writer.abilities(), kReports);  // it was not told to act
}

TEST_F(KernelPlane, CountsUnreadOctetsAndKnowsWhenTheyCame) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const Instant before = monotonic_now();
  sends(pair.client, "hello");
  const Instant after = monotonic_now();
  const Record record = server_of(pair);
  EXPECT_EQ(record.unread, 5U);
  EXPECT_GE(record.progress_in, before - kTick);
  EXPECT_LE(record.progress_in, after + kTick);
  EXPECT_EQ(receives(pair.server), "hello");
  EXPECT_EQ(server_of(pair).unread, 0U);
}

TEST_F(KernelPlane, KeepsTheInstantOfAFactThatDoesNotMove) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sends(pair.client, "hello");
  const Record first = server_of(pair);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(server_of(pair), first);
  // An instant is one until more is heard.
  EXPECT_TRUE(eventually([&] { return monotonic_now() > first.last_heard + kTick * 2; }));
  sends(pair.client, "more");
  const Record later = server_of(pair);
  EXPECT_GT(later.last_heard, first.last_heard);
  EXPECT_GT(later.progress_in, first.progress_in);
}

TEST_F(KernelPlane, ShowsAHalfClosedPairThatIsHeldWithoutAnyTimer) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sweep();
  const Instant before = monotonic_now();
  shutdown(pair.client.get(), SHUT_WR);
  EXPECT_TRUE(eventually([&] { return client_state(pair) == State::FinWait2; }));  // the ACK may be delayed
  const Record client = client_of(pair);
  EXPECT_EQ(client.holder, Holder::Held);
  EXPECT_TRUE(client.send_shut);
  EXPECT_FALSE(client.receive_shut);
  EXPECT_EQ(client.unsent, 0U);
  EXPECT_GE(client.state_entered, before);  // the change was seen
  const Record server = server_of(pair);
  EXPECT_EQ(server.state, State::CloseWait);
  EXPECT_EQ(server.holder, Holder::Held);
  EXPECT_FALSE(server.send_shut);
  EXPECT_FALSE(server.receive_shut);  // the kernel sets the bit for the FIN; nobody called shutdown here
  EXPECT_GE(server.state_entered, before);
  EXPECT_GE(server.progress_in, before);  // the FIN

  EXPECT_EQ(socket_of(pair.client_name, pair.server_name)->timer, Timer::None);
  EXPECT_EQ(socket_of(pair.server_name, pair.client_name)->timer, Timer::None);
  sends(pair.server, "still here");
  EXPECT_EQ(client_of(pair).unread, 10U);
}

TEST_F(KernelPlane, ProvesThatTheEndOfStreamIsUnreadButNeverThatItWasRead) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sends(pair.client, "last");
  shutdown(pair.client.get(), SHUT_WR);
  Record server = server_of(pair);
  EXPECT_EQ(server.end_of_stream_read, Known::No);
  EXPECT_EQ(server.unread, 4U);  // not five: the FIN is no octet
  EXPECT_EQ(receives(pair.server), "last");
  EXPECT_EQ(receives(pair.server), "");
  server = server_of(pair);
  EXPECT_EQ(server.end_of_stream_read, Known::Unknown);
  EXPECT_EQ(server.unread, 0U);
}

TEST_F(KernelPlane, CallsAnEndOfStreamUnreadAfterAllDataWasRead) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sends(pair.client, "last");
  EXPECT_EQ(receives(pair.server), "last");
  shutdown(pair.client.get(), SHUT_WR);
  const Record server = server_of(pair);
  EXPECT_EQ(server.end_of_stream_read, Known::No);
  EXPECT_EQ(server.unread, 0U);
}

TEST_F(KernelPlane, ShowsShutdownOfTheReceivingSide) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  shutdown(pair.server.get(), SHUT_RD);
  const Record server = server_of(pair);
  EXPECT_EQ(server.state, State::Established);
  EXPECT_TRUE(server.receive_shut);
  EXPECT_FALSE(server.send_shut);
  EXPECT_EQ(client_state(pair), State::Established);
}

TEST_F(KernelPlane, ShowsAConnectionThatNobodyAccepted) {
  const Fd listener = listens(kLoopback4);
  const Endpoint server{.address = kLoopback4, .port = local_of(listener).port};
  const Fd client = test::connects(server);
  EXPECT_EQ(facts(server, local_of(client)).holder, Holder::AcceptQueue);
  EXPECT_EQ(facts(local_of(client), server).holder, Holder::Held);
  // An orphan cannot be in CLOSE-WAIT: it is in the accept queue still.
  shutdown(client.get(), SHUT_WR);
  const Record waiting = facts(server, local_of(client));
  EXPECT_EQ(waiting.state, State::CloseWait);
  EXPECT_EQ(waiting.holder, Holder::AcceptQueue);
  const Fd accepted = accepts(listener);
  EXPECT_EQ(facts(server, local_of(client)).holder, Holder::Held);
}

TEST_F(KernelPlane, ShowsAnOrphanWithTheTimerThatWillEndItAndThenItsEnd) {
  set_sysctl("/proc/sys/net/ipv4/tcp_fin_timeout", "1");
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  sweep();
  const auto slot = table->slot_of(pair.client_name, pair.server_name);
  ASSERT_TRUE(slot);
  const plane::ConnectionId id = table->writer.id(*slot);

  pair.client.close();
  EXPECT_EQ(client_of(pair).holder, Holder::Orphan);  // FIN-WAIT-1 or 2: its FIN may wait for a delayed ACK
  EXPECT_TRUE(eventually([&] { return client_state(pair) == State::FinWait2; }));
  const auto orphan = socket_of(pair.client_name, pair.server_name);
  ASSERT_TRUE(orphan);
  EXPECT_EQ(orphan->state, State::FinWait2);
  EXPECT_EQ(orphan->inode, 0U);
  EXPECT_FALSE(orphan->is_whole);
  EXPECT_EQ(orphan->timer, Timer::TimeWait);
  EXPECT_GT(orphan->expires, Duration{});
  EXPECT_LE(orphan->expires, seconds(1));

  const Record record = client_of(pair);
  EXPECT_EQ(record.state, State::FinWait2);
  EXPECT_EQ(record.holder, Holder::Orphan);
  EXPECT_TRUE(record.send_shut);
  EXPECT_FALSE(record.last_heard.is_known());                           // a minisock has no such clock
  EXPECT_EQ(table->slot_of(pair.client_name, pair.server_name), slot);  // the minisock has its socket's cookie
  EXPECT_TRUE(table->writer.is_live(id));

  EXPECT_TRUE(eventually([&] { return sweep(), table->writer.is_ended(id); }));
  const Record ended = table->read(*slot);
  EXPECT_EQ(ended.reason, EndReason::OwnTimer);
  EXPECT_EQ(ended.state, State::FinWait2);
  EXPECT_EQ(ended.ended_by, 0U);
  // Its peer lives on, and knows nothing.
  EXPECT_EQ(server_state(pair), State::CloseWait);
}

TEST_F(KernelPlane, ShowsTimeWaitUnderTheIdentityThatTheConnectionHad) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  sweep();
  const auto slot = table->slot_of(pair.client_name, pair.server_name);
  shutdown(pair.client.get(), SHUT_WR);
  shutdown(pair.server.get(), SHUT_WR);
  // The descriptor is still open, but the minisock does not know: whether anybody holds it is unknown.
  const Record record = client_of(pair);
  EXPECT_EQ(record.state, State::TimeWait);
  EXPECT_EQ(record.holder, Holder::Unknown);
  EXPECT_EQ(record.unread, plane::kUnknownCount);
  EXPECT_EQ(record.unsent, 0U);
  EXPECT_EQ(table->slot_of(pair.client_name, pair.server_name), slot);
  const auto socket = socket_of(pair.client_name, pair.server_name);
  ASSERT_TRUE(socket);
  EXPECT_EQ(socket->timer, Timer::TimeWait);
  EXPECT_GT(socket->expires, seconds(50));
  EXPECT_LE(socket->expires, seconds(60));
  // The other end was last to close: both FINs are acknowledged, and it is gone.
  EXPECT_EQ(server_state(pair), State::Closed);
  EXPECT_EQ(table->vanished(), 1U);
}

TEST_F(KernelPlane, ShowsAClosedWindowWithTheDataThatWaits) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const std::string much(65536, 'x');
  while (send(pair.client.get(), much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
  EXPECT_TRUE(eventually([&] { return client_of(pair).peer_window_closed; }));
  EXPECT_GT(client_of(pair).unsent, 0U);
  EXPECT_FALSE(server_of(pair).peer_window_closed);
}

TEST_F(KernelPlane, ShowsAttemptsWhileNobodyAnswers) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const test::Fd any(socket(AF_INET, SOCK_DGRAM, 0));
  ifreq loopback{};
  std::memcpy(loopback.ifr_name, "lo", 3);
  ASSERT_EQ(ioctl(any.get(), SIOCSIFFLAGS, &loopback), 0);  // down
  sends(pair.client, "anybody?");
  // One transmission at once, the retransmission timer's first after 200 ms or so.
  EXPECT_TRUE(eventually([&] { return client_of(pair).attempts >= 2; }));
  const Record record = client_of(pair);
  EXPECT_EQ(record.unsent, 8U);
  EXPECT_FALSE(record.oldest_unacked.is_known());
  EXPECT_NE(record.oldest_unacked, Instant::never());
  EXPECT_EQ(socket_of(pair.client_name, pair.server_name)->timer, Timer::Retransmit);
}

TEST_F(KernelPlane, ShowsIpv6) {
  const Fd listener = listens(kLoopback6);
  const Pair pair = connected(listener, kLoopback6);
  const Record client = client_of(pair);
  EXPECT_EQ(client.state, State::Established);
  EXPECT_EQ(client.remote.address.family(), Family::V6);
  EXPECT_EQ(server_state(pair), State::Established);
  EXPECT_EQ(table->live(), 2U);
}

TEST_F(KernelPlane, ShowsIpv4OfADualStackListenerAsIpv4) {
  const Fd listener = listens(kAny6);
  Pair pair = connected(listener, kLoopback4);
  EXPECT_EQ(server_of(pair).state, State::Established);
  EXPECT_EQ(server_of(pair).local.address.family(), Family::V4);
  EXPECT_EQ(table->live(), 2U);
  // Found by name as well, whatever family the kernel files it under.
  const auto socket = socket_of(pair.server_name, pair.client_name);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(*plane->diag().find(socket->key));
  pair.client.close();
  EXPECT_EQ(server_of(pair).state, State::CloseWait);
  EXPECT_TRUE(eventually([&] { return client_state(pair) == State::FinWait2; }));
  EXPECT_EQ(table->vanished(), 0U);
}

TEST_F(KernelPlane, FollowsAConnectionRequestThatGrowsIntoASocketOfTheOtherFamily) {
  const Fd listener = listens(kAny6);
  const int patience = 10;
  // The handshake's last ACK does not make a socket of the request; the first data does.
  ASSERT_EQ(setsockopt(listener.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &patience, sizeof patience), 0);
  const Endpoint server{.address = kLoopback4, .port = local_of(listener).port};
  const Fd client = test::connects(server);
  const Record request = facts(server, local_of(client));
  EXPECT_EQ(request.state, State::SynReceived);
  EXPECT_EQ(request.holder, Holder::Unknown);
  EXPECT_EQ(request.attempts, 1U);
  const auto slot = table->slot_of(server, local_of(client));
  sends(client, "now");
  const Record grown = facts(server, local_of(client));
  EXPECT_EQ(grown.state, State::Established);
  EXPECT_EQ(grown.holder, Holder::AcceptQueue);
  EXPECT_EQ(grown.unread, 3U);
  EXPECT_TRUE(grown.state_entered.is_known());
  EXPECT_EQ(table->slot_of(server, local_of(client)), slot);
  EXPECT_EQ(table->vanished(), 0U);
}

TEST_F(KernelPlane, FindsASocketByNameAndNotAnotherOfTheSameAddresses) {
  const Fd listener = listens(kLoopback6);
  Pair pair = connected(listener, kLoopback6);
  auto socket = socket_of(pair.client_name, pair.server_name);
  ASSERT_TRUE(socket);
  const auto found = plane->diag().find(socket->key);
  ASSERT_TRUE(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->key, socket->key);
  socket->key.cookie += 1;
  const auto other = plane->diag().find(socket->key);
  ASSERT_TRUE(other);
  EXPECT_FALSE(*other);
  socket->key.cookie -= 1;
  socket->key.local.port = 1;
  const auto nobody = plane->diag().find(socket->key);
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(*nobody);
}

TEST_F(KernelPlane, KeepsIdentityFromSweepToSweepAndNeverGivesItAgain) {
  use(2, 0);  // so small that the next connection must take the slots of the last
  const Fd listener = listens(kLoopback4);
  std::vector<plane::ConnectionId> ids;
  for (int round = 0; round < 3; ++round) {
    Pair pair = connected(listener, kLoopback4);
    sweep();
    const auto slot = table->slot_of(pair.client_name, pair.server_name);
    ASSERT_TRUE(slot);
    const plane::ConnectionId id = table->writer.id(*slot);
    sweep();
    EXPECT_TRUE(table->writer.is_live(id));
    EXPECT_EQ(table->slot_of(pair.client_name, pair.server_name), slot);
    ids.push_back(id);
    aborts(pair.client);  // so that neither end stays in TIME-WAIT
    EXPECT_TRUE(eventually([&] { return sweep(), table->live() == 0; }));
    EXPECT_TRUE(table->writer.is_ended(id));
  }
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_NE(ids[1], ids[2]);
  const plane::Totals totals = table->writer.totals();
  EXPECT_EQ(totals.opened, 6U);
  EXPECT_EQ(table->vanished(), 6U);
}

TEST_F(KernelPlane, AnswersEveryCommandThatItCanDoNothing) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sweep();
  const auto slot = table->slot_of(pair.client_name, pair.server_name);
  ASSERT_TRUE(slot);
  const plane::CommandKind kinds[] = {plane::CommandKind::Probe, plane::CommandKind::Finish, plane::CommandKind::Abort,
                                      plane::CommandKind::Forget};
  for (const auto kind : kinds) {
    plane::Command command;
    command.kind = kind;
    command.id = table->writer.id(*slot);
    command.expected_state = State::Established;
    command.expires = monotonic_now() + seconds(60);
    command.verdict = 40 + static_cast<std::uint64_t>(kind);
    ASSERT_TRUE(table->control.write(command, table->reader.commands_taken()));
  }
  sweep();
  EXPECT_EQ(table->reader.commands_taken(), 4U);
  ASSERT_EQ(table->reader.receipts_written(), 4U);
  for (std::uint64_t number = 1; number <= 4; ++number) {
    const auto receipt = table->reader.receipt(number);
    ASSERT_TRUE(receipt);
    EXPECT_EQ(receipt->command, number);
    EXPECT_EQ(receipt->kind, kinds[number - 1]);
    EXPECT_EQ(receipt->verdict, 40 + number);
    EXPECT_EQ(receipt->id, table->writer.id(*slot));
    EXPECT_EQ(receipt->outcome, Outcome::Unable);
    EXPECT_EQ(receipt->state, State::Established);
  }
  EXPECT_EQ(client_state(pair), State::Established);
}

plane::Command a_command(const plane::ConnectionId& id) {
  plane::Command command;
  command.id = id;
  command.verdict = 1;
  command.expires = Instant::never();
  return command;
}

TEST_F(KernelPlane, VoidsWhatAnEarlierControlPlaneAskedFor) {
  ASSERT_TRUE(table->control.write(a_command({7, 0, 1}), 0));
  table->control = plane::ControlWriter(table->block.bytes(), 3, 8);
  ASSERT_TRUE(table->control.write(a_command({7, 0, 1}), 0));
  sweep();
  ASSERT_EQ(table->reader.receipts_written(), 2U);
  EXPECT_EQ(table->reader.receipt(1)->outcome, Outcome::Void);
  EXPECT_EQ(table->reader.receipt(2)->outcome, Outcome::WrongIdentity);
}

TEST_F(KernelPlane, TakesNoCommandWithoutRoomForItsReceipt) {
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(table->control.write(a_command({7, 0, 1}), 0));
  sweep();
  EXPECT_EQ(table->reader.commands_taken(), 8U);
  ASSERT_TRUE(table->control.write(a_command({7, 0, 1}), 8));
  sweep();
  EXPECT_EQ(table->reader.commands_taken(), 8U);
  table->control.set_receipts_taken(1);
  sweep();
  EXPECT_EQ(table->reader.commands_taken(), 9U);
}

TEST_F(KernelPlane, SkipsWhatIsNoCommandAndAnswersTheRest) {
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(table->control.write(a_command({7, 0, 1}), 0));
  std::ranges::fill(table->block.bytes().last(64), std::uint8_t{0xa5});  // one of the eight stood here
  sweep();
  const plane::Totals totals = table->writer.totals();
  EXPECT_EQ(totals.outcomes[static_cast<std::size_t>(Outcome::Malformed)], 1U);
  EXPECT_EQ(totals.outcomes[static_cast<std::size_t>(Outcome::WrongIdentity)], 7U);
  EXPECT_EQ(table->reader.commands_taken(), 8U);
}

TEST_F(KernelPlane, SaysWhyItCannotBeOpened) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto opened = Plane::open(table->writer);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), (Error{ErrorKind::System, EMFILE}));
}

TEST_F(KernelPlane, SweepsFiveThousandSockets) {
  use(8192);
  const Fd listener = listens(kLoopback4);
  std::vector<Pair> pairs;
  for (int i = 0; i < 2500; ++i) pairs.push_back(connected(listener, kLoopback4));
  const Instant began = monotonic_now();
  sweep();
  const Instant opened = monotonic_now();
  sweep();
  const Instant again = monotonic_now();
  EXPECT_EQ(table->live(), 5000U);
  EXPECT_EQ(plane->counts().seen, 5000U);
  for (Pair& pair : pairs) aborts(pair.client);
  pairs.clear();
  const Instant closed = monotonic_now();
  sweep();
  const Instant ended = monotonic_now();
  EXPECT_EQ(table->vanished(), 5000U);
  std::printf("5000 sockets: first sweep %.1f ms, second %.1f ms, all vanished %.1f ms\n",
              (opened - began).seconds() * 1e3, (again - opened).seconds() * 1e3, (ended - closed).seconds() * 1e3);
}

// --- between two sweeps, by what the kernel tells

class KernelTells : public KernelPlane {
 protected:
  void SetUp() override {
    KernelPlane::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const auto listens = plane->listen();
    SKIP_WITHOUT_BPF(listens);
  }
  bool hear() { return plane->hear(monotonic_now(), table->view).anything; }
  // In the table without any sweep.
  std::optional<std::uint32_t> slot(const Endpoint& local, const Endpoint& remote) {
    hear();
    return table->slot_of(local, remote);
  }
};

TEST_F(KernelTells, OfAConnectionFromTheHandshakeToTimeWait) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const auto client = slot(pair.client_name, pair.server_name);
  const auto server = slot(pair.server_name, pair.client_name);
  ASSERT_TRUE(client && server);
  EXPECT_EQ(table->read(*server).holder, Holder::Held);
  const Instant before = monotonic_now();
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  // The peer's acknowledgment may be delayed.
  EXPECT_TRUE(eventually([&] { return hear(), table->read(*client).state == State::FinWait2; }));
  EXPECT_EQ(table->read(*server).state, State::CloseWait);
  for (const auto one : {*client, *server}) {
    EXPECT_GE(table->read(one).state_entered, before);
    EXPECT_LE(table->read(one).state_entered, monotonic_now());
  }
  EXPECT_NE(table->read(*server).end_of_stream_read, Known::Yes);
  EXPECT_EQ(receives(pair.server), "");
  hear();
  EXPECT_EQ(table->read(*server).end_of_stream_read, Known::Yes);
  pair.server.close();
  hear();
  EXPECT_EQ(table->read(*client).state, State::TimeWait);
  EXPECT_EQ(table->read(*server).reason, EndReason::BothClosed);
  EXPECT_FALSE(hear()) << "nothing happens any more";
}

TEST_F(KernelTells, WhyEachConnectionEnded) {
  const Fd listener = listens(kLoopback6);
  Pair reset = connected(listener, kLoopback6);
  Pair unread = connected(listener, kLoopback6);
  sends(unread.client, "nobody reads this");
  const auto aborting = slot(reset.client_name, reset.server_name);
  const auto was_reset = slot(reset.server_name, reset.client_name);
  const auto left_unread = slot(unread.server_name, unread.client_name);
  ASSERT_TRUE(aborting && was_reset && left_unread);
  aborts(reset.client);
  unread.server.close();
  hear();
  EXPECT_EQ(table->read(*aborting).reason, EndReason::Aborted);
  EXPECT_EQ(table->read(*was_reset).reason, EndReason::PeerReset);
  EXPECT_EQ(table->read(*left_unread).reason, EndReason::Aborted);
}

TEST_F(KernelTells, OfAnOrphanAsSoonAsItIsOne) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const auto client = slot(pair.client_name, pair.server_name);
  ASSERT_TRUE(client);
  pair.client.close();
  // The peer's acknowledgment may be delayed.
  EXPECT_TRUE(eventually([&] { return hear(), table->read(*client).state == State::FinWait2; }));
  EXPECT_EQ(table->read(*client).holder, Holder::Orphan);
}

}  // namespace
}  // namespace adieu::kernel
