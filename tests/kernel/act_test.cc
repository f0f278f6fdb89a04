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
#include "tests/kernel/namespace.h"
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

class Act : public Namespace {
 protected:
  void SetUp() override {
    Namespace::SetUp();
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
    Namespace::SetUp();
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
      Namespace::SetUp();
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

}  // namespace
}  // namespace adieu::kernel
