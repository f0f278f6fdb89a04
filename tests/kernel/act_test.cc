// Commands to the kernel plane, on real sockets in a network namespace of the test's own: what became of the socket, of
// the application that held it, and of its peer.
#include "kernel/act.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernel/plane.h"
#include "tests/kernel/child.h"
#include "tests/kernel/sockets.h"
#include "tests/kernel/table.h"

namespace adieu::kernel {
namespace {

using namespace test;
using plane::Ability;
using plane::Command;
using plane::CommandKind;
using plane::Outcome;
using plane::Receipt;
using plane::Record;

class Act : public Sockets {
 protected:
  void SetUp() override {
    Sockets::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    use(kAbilities);
    if (!plane::has(table->writer.abilities(), Ability::AbortReset) ||
        !plane::has(table->writer.abilities(), Ability::Finish))
      GTEST_SKIP() << "SKIPPED, NOT TESTED: this process may not end a socket or duplicate a descriptor";
  }
  void use(plane::Abilities wanted) {
    table = std::make_unique<Table>(4096, 16, 64, 64);
    auto opened = Plane::open(table->writer);
    ASSERT_TRUE(opened) << name(opened.error().kind) << ' ' << opened.error().code;
    plane.emplace(std::move(*opened));
    plane->act(wanted, Prober());
  }
  void sweep() {
    plane->look(monotonic_now());
    const auto swept = plane->sweep(monotonic_now(), table->view);
    ASSERT_TRUE(swept) << name(swept.error().kind) << ' ' << swept.error().code;
  }
  // The slot of one end after a sweep that finds it in `state`.
  std::uint32_t slot_in(State state, const Endpoint& local, const Endpoint& remote) {
    std::optional<std::uint32_t> slot;
    EXPECT_TRUE(eventually([&] {
      sweep();
      slot = table->slot_of(local, remote);
      return slot && table->read(*slot).state == state;
    })) << name(state);
    return slot.value_or(0);
  }
  // A command that fits `slot` as it was published.
  Command command(CommandKind kind, std::uint32_t slot) {
    const Record record = table->read(slot);
    Command command;
    command.kind = kind;
    command.id = {7, slot, record.generation};
    command.expected_state = record.state;
    command.heard = record.heard;
    command.expires = monotonic_now() + seconds(5);
    command.epoch = table->control.epoch();
    command.verdict = 41;
    return command;
  }
  Receipt obey(const Command& command) {
    EXPECT_TRUE(table->control.write(command, table->reader.commands_taken()));
    plane->take_commands(monotonic_now(), table->view);
    const auto receipt = table->reader.receipt(table->reader.receipts_written());
    EXPECT_TRUE(receipt);
    return receipt.value_or(Receipt{});
  }
  Receipt obey(CommandKind kind, std::uint32_t slot) { return obey(command(kind, slot)); }
  // On a person's word.
  Receipt reset(std::uint32_t slot) {
    Command abort = command(CommandKind::Abort, slot);
    abort.regardless = true;
    return obey(abort);
  }

  std::unique_ptr<Table> table;
  std::optional<Plane> plane;
};

int error_of(const Fd& fd) {
  int error = 0;
  socklen_t length = sizeof error;
  EXPECT_EQ(getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length), 0);
  return error;
}
// errno of a call; 0: it did not fail.
int reads(const Fd& fd) {
  char into[64];
  return recv(fd.get(), into, sizeof into, MSG_DONTWAIT) < 0 ? errno : 0;
}
int writes(const Fd& fd) { return send(fd.get(), "x", 1, MSG_NOSIGNAL) < 0 ? errno : 0; }

TEST_F(Act, FinishesInCloseWaitAndBothEndsAreClosed) {
  for (const Address& address : {kLoopback4, kLoopback6}) {
    const Fd listener = listens(address);
    const Pair pair = connected(listener, address);
    sends(pair.client, "last words");
    ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
    const auto slot = slot_in(State::CloseWait, pair.server_name, pair.client_name);
    const Receipt receipt = obey(CommandKind::Finish, slot);
    EXPECT_EQ(receipt.outcome, Outcome::Done);
    EXPECT_EQ(receipt.verdict, 41U);
    EXPECT_TRUE(receipt.state == State::LastAck || receipt.state == State::Closed) << name(receipt.state);
    // The peer reads the end of a stream that lost nothing, and what the application has not read stays readable.
    EXPECT_EQ(receives(pair.client), "");
    EXPECT_EQ(error_of(pair.client), 0);
    EXPECT_EQ(writes(pair.server), EPIPE);
    EXPECT_EQ(receives(pair.server), "last words");
    EXPECT_EQ(receives(pair.server), "");
    EXPECT_EQ(error_of(pair.server), 0);
  }
}

TEST_F(Act, FinishesAnEstablishedConnectionThatReadsOn) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  const Receipt receipt = obey(CommandKind::Finish, slot);
  EXPECT_EQ(receipt.outcome, Outcome::Done);
  EXPECT_TRUE(receipt.state == State::FinWait1 || receipt.state == State::FinWait2) << name(receipt.state);
  EXPECT_EQ(receives(pair.client), "");
  sends(pair.client, "still heard");
  EXPECT_EQ(receives(pair.server), "still heard");
  EXPECT_EQ(writes(pair.server), EPIPE);
}

TEST_F(Act, KeepsNoDuplicateSoThatTheApplicationsCloseIsTheLast) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  ASSERT_EQ(obey(CommandKind::Finish, slot).outcome, Outcome::Done);
  pair.server.close();
  sweep();
  slot_in(State::FinWait2, pair.server_name, pair.client_name);
  EXPECT_TRUE(eventually([&] {
    sweep();
    const auto now = table->slot_of(pair.server_name, pair.client_name);
    return now && table->read(*now).holder == plane::Holder::Orphan;
  }));
}

TEST_F(Act, FindsTheDescriptorAnewWhereItHasMovedSinceTheLook) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  const int old = pair.server.get();
  const int moved = fcntl(old, F_DUPFD, 200);
  ASSERT_GE(moved, 200);
  pair.server.close();
  const Fd other(dup2(listener.get(), old));  // where it was, another socket is now
  const Fd server(moved);
  EXPECT_EQ(obey(CommandKind::Finish, slot).outcome, Outcome::Done);
  EXPECT_EQ(receives(pair.client), "");
  EXPECT_GE(connected(listener, kLoopback4).server.get(), 0);  // which is as it was
}

TEST_F(Act, CannotFinishWhatNobodyHasOpen) {
  const Fd listener = listens(kLoopback4);
  const Fd client = connects({.address = kLoopback4, .port = local_of(listener).port});
  const Endpoint server{.address = kLoopback4, .port = local_of(listener).port};
  const auto slot = slot_in(State::Established, server, local_of(client));
  ASSERT_EQ(table->read(slot).holder, plane::Holder::AcceptQueue);
  const Receipt receipt = obey(CommandKind::Finish, slot);
  EXPECT_EQ(receipt.outcome, Outcome::Unable);
  EXPECT_EQ(receipt.state, State::Established);
}

TEST_F(Act, FinishesASocketOfAnotherProcess) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  pair.server.close();  // the child has it
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  const auto slot = slot_in(State::CloseWait, pair.server_name, pair.client_name);
  EXPECT_EQ(table->read(slot).beside.process, static_cast<std::uint32_t>(child));
  EXPECT_EQ(obey(CommandKind::Finish, slot).outcome, Outcome::Done);
  EXPECT_EQ(receives(pair.client), "");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_F(Act, ResetsAnEstablishedConnectionWhoseApplicationReadsWhatHadCome) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sends(pair.client, "unread");
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  Command abort = command(CommandKind::Abort, slot);
  abort.regardless = true;
  sends(pair.client, "!");  // a person's word rests on no silence
  const Receipt receipt = obey(abort);
  EXPECT_EQ(receipt.outcome, Outcome::Done);
  EXPECT_EQ(receipt.state, State::Closed);
  const Record ended = table->read(slot);
  EXPECT_EQ(ended.reason, EndReason::Commanded);
  EXPECT_EQ(ended.ended_by, 41U);
  EXPECT_EQ(receives(pair.server), "unread!");
  EXPECT_EQ(reads(pair.server), ECONNABORTED);
  EXPECT_EQ(receives(pair.server), "");  // it is told once
  EXPECT_EQ(writes(pair.server), EPIPE);
  EXPECT_TRUE(eventually([&] { return error_of(pair.client) == ECONNRESET; }));
}

TEST_F(Act, ResetsInCloseWaitWhereReadingTellsTheApplicationNothing) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  sends(pair.client, "unread");
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  const auto slot = slot_in(State::CloseWait, pair.server_name, pair.client_name);
  EXPECT_EQ(reset(slot).outcome, Outcome::Done);
  EXPECT_EQ(receives(pair.server), "unread");
  EXPECT_EQ(receives(pair.server), "");
  EXPECT_EQ(writes(pair.server), ECONNABORTED);
  EXPECT_EQ(writes(pair.server), EPIPE);
  EXPECT_TRUE(eventually([&] { return error_of(pair.client) == ECONNRESET; }));
}

TEST_F(Act, ResetsInFinWait2AndThePeerThatHasReadOurEndCannotWrite) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  const auto slot = slot_in(State::FinWait2, pair.client_name, pair.server_name);
  EXPECT_EQ(reset(slot).outcome, Outcome::Done);
  EXPECT_EQ(reads(pair.client), ECONNABORTED);
  EXPECT_TRUE(eventually([&] { return error_of(pair.server) == EPIPE; }));
}

TEST_F(Act, ResetsInAnAcceptQueueWhichItsListenerAcceptsAllTheSame) {
  const Fd listener = listens(kLoopback4);
  const Endpoint server{.address = kLoopback4, .port = local_of(listener).port};
  const Fd client = connects(server);
  EXPECT_EQ(reset(slot_in(State::Established, server, local_of(client))).outcome, Outcome::Done);
  EXPECT_TRUE(eventually([&] { return error_of(client) == ECONNRESET; }));
  const Fd accepted = accepts(listener);
  EXPECT_EQ(error_of(accepted), ECONNABORTED);
  EXPECT_EQ(receives(accepted), "");
}

TEST_F(Act, ResetsInLastAckOfWhichThePeerHearsNothing) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const std::vector<char> much(1 << 22);
  ASSERT_GT(send(pair.server.get(), much.data(), much.size(), MSG_DONTWAIT), 0);  // our FIN waits behind it
  ASSERT_EQ(shutdown(pair.client.get(), SHUT_WR), 0);
  slot_in(State::CloseWait, pair.server_name, pair.client_name);
  pair.server.close();
  const auto slot = slot_in(State::LastAck, pair.server_name, pair.client_name);
  EXPECT_EQ(reset(slot).outcome, Outcome::Done);
  EXPECT_EQ(error_of(pair.client), 0);
}

// Of an orphan in FIN-WAIT-2 and of TIME-WAIT the kernel keeps a minisocket, and sends no RST for it.
TEST_F(Act, ResetsAnOrphanOfWhichThePeerHearsNothingYet) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  pair.client.close();
  const auto slot = slot_in(State::FinWait2, pair.client_name, pair.server_name);
  ASSERT_EQ(table->read(slot).holder, plane::Holder::Orphan);
  EXPECT_EQ(obey(CommandKind::Abort, slot).outcome, Outcome::Unable);  // it could rest on no count
  EXPECT_EQ(reset(slot).outcome, Outcome::Done);
  EXPECT_EQ(table->read(slot).reason, EndReason::Commanded);
  EXPECT_EQ(error_of(pair.server), 0);
  EXPECT_EQ(writes(pair.server), 0);
  EXPECT_TRUE(eventually([&] { return error_of(pair.server) == EPIPE; }));
}

TEST_F(Act, ResetsAnOrphanWhoseFinWaitsBehindAClosedWindow) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const std::vector<char> much(1 << 22);
  ASSERT_GT(send(pair.client.get(), much.data(), much.size(), MSG_DONTWAIT), 0);
  pair.client.close();
  const auto slot = slot_in(State::FinWait1, pair.client_name, pair.server_name);
  EXPECT_EQ(reset(slot).outcome, Outcome::Done);
  sweep();
  EXPECT_FALSE(table->slot_of(pair.client_name, pair.server_name));
}

TEST_F(Act, ForgetsTimeWaitAndNothingElse) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const auto before = slot_in(State::Established, pair.client_name, pair.server_name);
  EXPECT_EQ(obey(CommandKind::Forget, before).outcome, Outcome::Unable);
  pair.client.close();
  pair.server.close();
  const auto slot = slot_in(State::TimeWait, pair.client_name, pair.server_name);
  EXPECT_EQ(reset(slot).outcome, Outcome::Unable);
  const Receipt receipt = obey(CommandKind::Forget, slot);
  EXPECT_EQ(receipt.outcome, Outcome::Done);
  EXPECT_EQ(receipt.state, State::Closed);
  sweep();
  EXPECT_FALSE(table->slot_of(pair.client_name, pair.server_name));
}

TEST_F(Act, RefusesAnAbortThatRestsOnSilenceWhenASegmentWasHeardSince) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const Pair other = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  const Command abort = command(CommandKind::Abort, slot);
  sends(pair.client, "x");
  const Receipt refused = obey(abort);
  EXPECT_EQ(refused.outcome, Outcome::HeardSince);
  EXPECT_EQ(refused.heard, abort.heard + 1);
  EXPECT_EQ(error_of(pair.server), 0);
  sweep();
  const bool guarded = plane::has(table->writer.abilities(), Ability::GuardedAbort);
  EXPECT_EQ(obey(CommandKind::Abort, slot).outcome, guarded ? Outcome::Done : Outcome::DoneUnguarded);
  EXPECT_EQ(error_of(pair.server), ECONNABORTED);
  EXPECT_EQ(error_of(other.server), 0);
  EXPECT_EQ(writes(other.client), 0);
}

TEST_F(Act, SaysThatAnAbortWasUnguardedWhereBpfIsNotToBeHad) {
  use(kAbilities & ~static_cast<plane::Abilities>(Ability::GuardedAbort));
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  const Command abort = command(CommandKind::Abort, slot);
  sends(pair.client, "x");
  EXPECT_EQ(obey(abort).outcome, Outcome::HeardSince);
  sweep();
  EXPECT_EQ(obey(CommandKind::Abort, slot).outcome, Outcome::DoneUnguarded);
  EXPECT_EQ(error_of(pair.server), ECONNABORTED);
}

TEST_F(Act, GuardsAnAbortInAnotherNetworkNamespaceAndStaysInItsOwn) {
  if (!plane::has(table->writer.abilities(), Ability::GuardedAbort)) GTEST_SKIP() << "SKIPPED, NOT TESTED: no BPF";
  const Fd home(open("/proc/self/ns/net", O_RDONLY));
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();  // which lives in a network of its own, with both ends
  if (child == 0) {
    Sockets::SetUp();
    const Fd listener = listens(kLoopback4);
    const Pair pair = connected(listener, kLoopback4);
    const Endpoint names[2] = {pair.client_name, pair.server_name};
    if (write(ready[1], names, sizeof names) != sizeof names) _exit(9);
    pollfd reset{.fd = pair.server.get(), .events = POLLIN, .revents = 0};
    _exit(poll(&reset, 1, 10000) == 1 ? error_of(pair.server) : 9);
  }
  Endpoint names[2];
  ASSERT_EQ(read(ready[0], names, sizeof names), static_cast<ssize_t>(sizeof names));
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);  // and another pair at home, in the same batch
  const auto slot = slot_in(State::Established, names[1], names[0]);
  const auto own = slot_in(State::Established, pair.server_name, pair.client_name);
  ASSERT_TRUE(table->control.write(command(CommandKind::Abort, own), table->reader.commands_taken()));
  EXPECT_EQ(obey(CommandKind::Abort, slot).outcome, Outcome::Done);
  EXPECT_EQ(table->reader.receipt(1)->outcome, Outcome::Done);
  EXPECT_EQ(error_of(pair.server), ECONNABORTED);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), ECONNABORTED);
  struct stat was{}, is{};
  const Fd here(open("/proc/self/ns/net", O_RDONLY));
  ASSERT_EQ(fstat(home.get(), &was) + fstat(here.get(), &is), 0);
  EXPECT_EQ(was.st_ino, is.st_ino);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(Act, WalksOverAFewNetworksInABatchAndOverTheOthersInTheNext) {
  if (!plane::has(table->writer.abilities(), Ability::GuardedAbort)) GTEST_SKIP() << "SKIPPED, NOT TESTED: no BPF";
  constexpr std::size_t kMany = 18;
  std::vector<Child> children;
  for (std::size_t i = 0; i < kMany; ++i)
    children.emplace_back([this] {
      static Pair pair;  // in a network of its own, until the child is killed
      Sockets::SetUp();
      const Fd listener = listens(kLoopback4);
      pair = connected(listener, kLoopback4);
      struct stat own{};
      const Fd here(open("/proc/self/ns/net", O_RDONLY));
      return fstat(here.get(), &own) == 0 ? std::to_string(own.st_ino) : std::string();
    });
  sweep();
  // Of each of these networks one end; there are others, which are nobody's here.
  std::set<std::string> networks;
  for (const Child& child : children) networks.insert(child.says());
  ASSERT_EQ(networks.size(), kMany);
  for (std::uint32_t slot = 0; slot < table->reader.slots_used(); ++slot) {
    const Record record = table->read(slot);
    if (record.state != State::Established || networks.erase(std::to_string(record.beside.network)) == 0) continue;
    ASSERT_TRUE(table->control.write(command(CommandKind::Abort, slot), table->reader.commands_taken()));
  }
  ASSERT_TRUE(networks.empty());
  plane->take_commands(monotonic_now(), table->view);
  EXPECT_GT(table->reader.commands_taken(), 1U);
  EXPECT_LT(table->reader.commands_taken(), kMany);
  plane->take_commands(monotonic_now(), table->view);
  ASSERT_EQ(table->reader.commands_taken(), kMany);
  for (std::uint64_t number = 1; number <= kMany; ++number)
    EXPECT_EQ(table->reader.receipt(number)->outcome, Outcome::Done) << number;
}

TEST_F(Act, AbortsManyAtOnceAndEachByItsOwnCount) {
  const Fd listener = listens(kLoopback4);
  std::vector<Pair> pairs;
  for (int i = 0; i < 20; ++i) pairs.push_back(connected(listener, kLoopback4));
  slot_in(State::Established, pairs.back().server_name, pairs.back().client_name);
  for (const Pair& pair : pairs) {
    const auto slot = table->slot_of(pair.server_name, pair.client_name);
    ASSERT_TRUE(slot);
    ASSERT_TRUE(table->control.write(command(CommandKind::Abort, *slot), table->reader.commands_taken()));
  }
  sends(pairs[7].client, "x");
  plane->take_commands(monotonic_now(), table->view);
  ASSERT_EQ(table->reader.receipts_written(), pairs.size());
  const bool guarded = plane::has(table->writer.abilities(), Ability::GuardedAbort);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const Receipt receipt = table->reader.receipt(i + 1).value();
    EXPECT_EQ(receipt.outcome, i == 7 ? Outcome::HeardSince : guarded ? Outcome::Done : Outcome::DoneUnguarded) << i;
    EXPECT_EQ(receipt.state, i == 7 ? State::Established : State::Closed) << i;
    EXPECT_EQ(error_of(pairs[i].server), i == 7 ? 0 : ECONNABORTED) << i;
  }
}

TEST_F(Act, DoesNothingOnACommandThatDoesNotFit) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  Command fits = command(CommandKind::Abort, slot);
  fits.regardless = true;
  Command command = fits;
  command.expires = monotonic_now();
  EXPECT_EQ(obey(command).outcome, Outcome::Expired);
  command = fits;
  command.expected_state = State::CloseWait;
  EXPECT_EQ(obey(command).outcome, Outcome::WrongState);
  command = fits;
  ++command.id.generation;
  EXPECT_EQ(obey(command).outcome, Outcome::WrongIdentity);
  command = fits;
  command.silent = true;
  EXPECT_EQ(obey(command).outcome, Outcome::Unable);
  command = fits;
  command.kind = CommandKind::Probe;
  command.form = ProbeForm::DataEcho;
  EXPECT_EQ(obey(command).outcome, Outcome::Unable);
  EXPECT_EQ(error_of(pair.server), 0);
  EXPECT_EQ(writes(pair.client), 0);
  EXPECT_EQ(obey(fits).outcome, Outcome::Done);
  EXPECT_EQ(obey(fits).outcome, Outcome::AlreadyEnded);
}

TEST_F(Act, MeetsASocketThatVanishedSinceTheSweep) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  aborts(pair.client);
  pair.server.close();
  EXPECT_EQ(reset(slot).outcome, Outcome::AlreadyEnded);
  sweep();
  EXPECT_EQ(table->read(slot).reason, EndReason::Vanished);
}

TEST_F(Act, DoesOnlyWhatIsWanted) {
  for (const Ability off : {Ability::Finish, Ability::AbortReset, Ability::Forget}) {
    use(kAbilities & ~static_cast<plane::Abilities>(off));
    EXPECT_FALSE(plane::has(table->writer.abilities(), off));
  }
  use(0);
  EXPECT_EQ(table->writer.abilities(), kReports);
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  EXPECT_EQ(reset(slot).outcome, Outcome::Unable);
  EXPECT_EQ(obey(CommandKind::Finish, slot).outcome, Outcome::Unable);
  EXPECT_EQ(error_of(pair.server), 0);
  EXPECT_EQ(writes(pair.server), 0);
}

TEST_F(Act, HearsAKeepaliveThatMovesNoClockOfTheKernels) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  const Record before = table->read(slot);
  ASSERT_TRUE(eventually([&] { return monotonic_now() > before.last_heard + kTick * 2; }));
  // A connection that leaves repair mode sends one at once.
  for (const int repair : {1, 0})
    ASSERT_EQ(setsockopt(pair.client.get(), IPPROTO_TCP, TCP_REPAIR, &repair, sizeof repair), 0);
  EXPECT_TRUE(eventually([&] {
    sweep();
    return table->read(slot).heard == before.heard + 1;
  }));
  EXPECT_GT(table->read(slot).last_heard, before.last_heard + kTick);
  EXPECT_FALSE(table->read(slot).progress_in.is_known());
}

// --- keepalive for good

// SO_KEEPALIVE, idle, interval, count.
using Keeps = std::vector<int>;
void set_keepalive(const Fd& fd, const Keeps& keeps) {
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keeps[1]);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keeps[2]);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keeps[3]);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, keeps[0]);
}

tcp_info info_of(const Fd& fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  EXPECT_EQ(getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  return info;
}
bool has_closed(const Fd& fd) { return info_of(fd).tcpi_state == TCP_CLOSE; }
unsigned unanswered(const Fd& fd) { return info_of(fd).tcpi_probes; }

class KeepaliveAct : public Act {
 protected:
  Receipt order(std::uint32_t slot, const plane::Keepalive& wanted) {
    Command keepalive = command(CommandKind::Keepalive, slot);
    keepalive.keepalive = wanted;
    return obey(keepalive);
  }
  Outcome order(const Pair& pair, const plane::Keepalive& wanted) {
    return order(slot_in(State::Established, pair.server_name, pair.client_name), wanted).outcome;
  }
};

TEST_F(KeepaliveAct, IsSwitchedOnForGoodWithTheValuesOrderedInEveryStateThatIdles) {
  const Fd listener = listens(kLoopback4);
  const Pair open = connected(listener, kLoopback4);
  const Pair half = connected(listener, kLoopback4);
  ASSERT_EQ(shutdown(half.client.get(), SHUT_WR), 0);
  const Keeps before = keepalive_of(open.server);
  ASSERT_EQ(before[0], 0);
  const auto keeps = [&](const Fd& fd, State state, const Endpoint& local, const Endpoint& remote, Keeps expected,
                         const plane::Keepalive& wanted) {
    const auto slot = slot_in(state, local, remote);
    EXPECT_FALSE(table->read(slot).beside.keepalive);
    const Receipt receipt = order(slot, wanted);
    EXPECT_EQ(receipt.outcome, Outcome::Done) << name(state);
    EXPECT_EQ(receipt.kind, CommandKind::Keepalive);
    EXPECT_EQ(receipt.state, state);
    EXPECT_EQ(keepalive_of(fd), expected) << name(state);
    EXPECT_TRUE(table->read(slot).beside.keepalive) << "before the next sweep says so";
    sweep();
    EXPECT_TRUE(table->read(slot).beside.keepalive);
    EXPECT_EQ(table->read(slot).beside.timer, plane::OwnTimer::Keepalive);
    EXPECT_EQ(order(slot, wanted).outcome, Outcome::Done) << "doing it twice is harmless";
    EXPECT_EQ(keepalive_of(fd), expected);
  };
  keeps(open.server, State::Established, open.server_name, open.client_name, {1, 600, 75, 9}, {600, 75, 9});
  keeps(half.client, State::FinWait2, half.client_name, half.server_name, {1, 32767, 1, 127}, {32767, 1, 127});
  keeps(half.server, State::CloseWait, half.server_name, half.client_name, {1, before[1], before[2], 3}, {0, 0, 3});
}

TEST_F(KeepaliveAct, LeavesWhatIsNotOrderedAsTheApplicationHasIt) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  set_keepalive(pair.server, {0, 77, 33, 5});
  EXPECT_EQ(order(pair, {}), Outcome::Done);
  EXPECT_EQ(keepalive_of(pair.server), (Keeps{1, 77, 33, 5}));
  EXPECT_EQ(order(pair, {.idle = 0, .interval = 44, .count = 0}), Outcome::Done);
  EXPECT_EQ(keepalive_of(pair.server), (Keeps{1, 77, 44, 5}));
}

TEST_F(KeepaliveAct, KeepsNoDuplicateSoThatTheApplicationsCloseIsTheLast) {
  const Fd listener = listens(kLoopback4);
  Pair pair = connected(listener, kLoopback4);
  EXPECT_EQ(order(pair, {600, 75, 9}), Outcome::Done);
  pair.server.close();
  EXPECT_EQ(receives(pair.client), "");
}

// Each application reads of a peer that is silent what it would read of any connection that timed out.
TEST_F(KeepaliveAct, EndsWhosePeerIsSilentAndNotWhosePeerAnswers) {
  const Fd listener = listens(kLoopback4);
  const Pair answers = connected(listener, kLoopback4);
  const Pair open = connected(listener, kLoopback4);
  const Pair closing = connected(listener, kLoopback4);  // its client has closed first
  const Pair closed = connected(listener, kLoopback4);   // its client has closed first, and is seen from its server
  ASSERT_EQ(shutdown(closing.client.get(), SHUT_WR), 0);
  ASSERT_EQ(shutdown(closed.client.get(), SHUT_WR), 0);
  const auto established = slot_in(State::Established, open.server_name, open.client_name);
  const auto answered = slot_in(State::Established, answers.server_name, answers.client_name);
  const auto fin_wait = slot_in(State::FinWait2, closing.client_name, closing.server_name);
  const auto close_wait = slot_in(State::CloseWait, closed.server_name, closed.client_name);
  turns_deaf(open.client);
  turns_deaf(closing.server);
  turns_deaf(closed.client);
  const std::uint32_t heard = table->read(answered).heard;
  for (const auto slot : {answered, established, fin_wait, close_wait})
    EXPECT_EQ(order(slot, {.idle = 1, .interval = 1, .count = 2}).outcome, Outcome::Done);
  for (const Fd* const fd : {&open.server, &closing.client, &closed.server})
    EXPECT_TRUE(eventually([&] { return has_closed(*fd); }, seconds(20)));

  EXPECT_EQ(reads(open.server), ETIMEDOUT);
  EXPECT_EQ(receives(open.server), "");  // it is told once
  EXPECT_EQ(writes(open.server), EPIPE);
  EXPECT_EQ(reads(closing.client), ETIMEDOUT);
  EXPECT_EQ(receives(closing.client), "");
  EXPECT_EQ(receives(closed.server), "") << "reading goes on to say end of stream";
  EXPECT_EQ(writes(closed.server), ETIMEDOUT);
  EXPECT_EQ(writes(closed.server), EPIPE);

  sweep();
  EXPECT_GT(table->read(answered).heard, heard);
  EXPECT_EQ(table->read(answered).state, State::Established);
  sends(answers.client, "still here");
  EXPECT_EQ(receives(answers.server), "still here");
}

TEST_F(KeepaliveAct, IsNotSwitchedOnWhereOneQuestionWithoutAnAnswerCouldBeEnough) {
  const Fd listener = listens(kLoopback4);
  const Pair limits = connected(listener, kLoopback4);
  const Pair asked = connected(listener, kLoopback4);
  set_option(limits.server, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
  EXPECT_EQ(order(limits, {600, 75, 9}), Outcome::Unable);
  EXPECT_EQ(keepalive_of(limits.server)[0], 0);
  const auto refused = slot_in(State::Established, limits.server_name, limits.client_name);
  EXPECT_TRUE(table->read(refused).beside.keepalive_refused) << "so that no rule orders it again at once";
  set_option(limits.server, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
  EXPECT_EQ(order(refused, {600, 75, 9}).outcome, Outcome::Done);
  EXPECT_FALSE(table->read(refused).beside.keepalive_refused);
  sweep();
  EXPECT_FALSE(table->read(refused).beside.keepalive_refused);
  // Two questions of its own stay unanswered: the kernel would count them.
  turns_deaf(asked.client);
  set_keepalive(asked.server, {1, 1, 1, 9});
  const auto slot = slot_in(State::Established, asked.server_name, asked.client_name);
  ASSERT_TRUE(eventually([&] { return unanswered(asked.server) >= 2; }));
  set_option(asked.server, IPPROTO_TCP, TCP_KEEPINTVL, 100);
  const Keeps before = keepalive_of(asked.server);
  EXPECT_EQ(order(slot, {0, 0, 2}).outcome, Outcome::Unable);
  EXPECT_EQ(keepalive_of(asked.server), before);
  EXPECT_EQ(order(slot, {0, 0, 8}).outcome, Outcome::Done);
  EXPECT_EQ(error_of(asked.server), 0);
}

TEST_F(KeepaliveAct, CannotBeHadWhereNobodyHoldsItNorWhereItIsEnding) {
  const Fd listener = listens(kLoopback4);
  Pair orphan = connected(listener, kLoopback4);
  orphan.client.close();
  const auto slot = slot_in(State::FinWait2, orphan.client_name, orphan.server_name);
  EXPECT_EQ(order(slot, {}).outcome, Outcome::Unable);
  const Endpoint server{.address = kLoopback4, .port = local_of(listener).port};
  const Fd client = connects(server);
  EXPECT_EQ(order(slot_in(State::Established, server, local_of(client)), {}).outcome, Outcome::Unable);
  orphan.server.close();
  EXPECT_EQ(order(slot_in(State::TimeWait, orphan.client_name, orphan.server_name), {}).outcome, Outcome::Unable);
}

TEST_F(KeepaliveAct, IsKnownToBeOnWhileItsOwnDataIsInFlightAndNoLongerOnceItIsOff) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  EXPECT_EQ(order(pair, {600, 75, 9}), Outcome::Done);
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  turns_deaf(pair.client);
  ASSERT_EQ(writes(pair.server), 0);
  sweep();
  EXPECT_EQ(table->read(slot).beside.timer, plane::OwnTimer::Retransmit);
  EXPECT_TRUE(table->read(slot).beside.keepalive);
  hears_again(pair.client);
  set_option(pair.server, SOL_SOCKET, SO_KEEPALIVE, 0);
  EXPECT_TRUE(eventually([&] {
    sweep();
    return table->read(slot).beside.timer == plane::OwnTimer::None;
  }));
  EXPECT_FALSE(table->read(slot).beside.keepalive);
  EXPECT_TRUE(table->read(slot).beside.keepalive_refused);  // whoever switches it off means it: no rule fights it
  EXPECT_EQ(order(pair, {}), Outcome::Done);                // a person may
  EXPECT_FALSE(table->read(slot).beside.keepalive_refused);
}

// Whatever has been set when it dies: what is on is as patient as it was, or as it was told to be.
TEST_F(KeepaliveAct, KilledAtAnyStepLeavesNothingThatIsLessPatientThanBeforeAndAsOrdered) {
  const Fd listener = listens(kLoopback4);
  static int last_step;
  for (const Keeps& before : {Keeps{0, 7200, 75, 9}, Keeps{0, 1, 1, 1}, Keeps{1, 7200, 60, 5}, Keeps{1, 60, 100, 20}}) {
    const plane::Keepalive wanted{.idle = 600, .interval = 75, .count = 9};
    const Keeps ordered{1, 600, 75, 9};
    int steps = 0;
    for (last_step = 1; steps == 0; ++last_step) {
      const Pair pair = connected(listener, kLoopback4);
      set_keepalive(pair.server, before);
      const Socket found = server_of(pair);
      const Held who{.process = static_cast<std::uint32_t>(getpid()),
                     .descriptor = pair.server.get(),
                     .processes = 1,
                     .descriptors = 1,
                     .references = 0};
      const pid_t child = fork();
      if (child == 0) {
        const Acts acts = Acts::open(false, [](int step) {
          if (step == last_step) kill(getpid(), SIGKILL);
        });
        _exit(acts.keepalive(found, who, wanted) == Outcome::Done ? 0 : 1);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      const Keeps left = keepalive_of(pair.server);
      if (!WIFSIGNALED(status)) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
        EXPECT_EQ(left, ordered);
        steps = last_step - 1;
        continue;
      }
      const auto is_as_patient_as = [&](const Keeps& other) {
        return left[1] >= other[1] && left[2] >= other[2] && left[3] >= other[3];
      };
      EXPECT_TRUE(left[0] == 0 || is_as_patient_as(ordered) || (before[0] == 1 && is_as_patient_as(before)))
          << last_step << ": " << left[1] << ' ' << left[2] << ' ' << left[3];
      // Who comes next orders it again, and nothing is owed.
      EXPECT_EQ(Acts::open(false).keepalive(found, who, wanted), Outcome::Done);
      EXPECT_EQ(keepalive_of(pair.server), ordered);
      EXPECT_EQ(error_of(pair.server), 0);
    }
    EXPECT_GE(steps, before[0] == 0 ? 2 : 3);
  }
}

// A plane that died while it asked has left its own values behind, and owes the application's.
TEST_F(KeepaliveAct, OfASocketThatAnEarlierPlaneOwesItsValuesLeavesTheApplicationsOwn) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  const Socket found = server_of(pair);
  char note[] = "/tmp/adieu-keepalive-XXXXXX";
  const Fd file(mkstemp(note));
  const std::string owed = std::to_string(found.key.cookie) + " " + std::to_string(found.inode) + " 77 33 5\nend\n";
  ASSERT_EQ(write(file.get(), owed.data(), owed.size()), static_cast<ssize_t>(owed.size()));
  set_keepalive(pair.server, {1, 1, 32767, 127});
  const auto slot = slot_in(State::Established, pair.server_name, pair.client_name);
  plane->act(kAbilities, Prober(note));  // it has not looked since
  Receipt receipt = order(slot, {.idle = 600, .interval = 0, .count = 0});
  EXPECT_EQ(receipt.outcome, Outcome::Done);
  EXPECT_EQ(keepalive_of(pair.server), (Keeps{1, 600, 33, 5}));
  sweep();
  EXPECT_EQ(keepalive_of(pair.server), (Keeps{1, 600, 33, 5})) << "the debt is paid, once";
  EXPECT_NE(access(note, F_OK), 0);
}

}  // namespace
}  // namespace adieu::kernel
