// Asking by the kernel's own keepalive, on real sockets in a network namespace of the test's own: what goes out, that
// everything is as it was afterwards, and that being killed at any step ends nothing.
#include "kernel/probe.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/plane.h"
#include "tests/kernel/sockets.h"
#include "tests/kernel/table.h"

namespace adieu::kernel {
namespace {

using namespace test;
using plane::Outcome;

class Probe : public Sockets {
 protected:
  void SetUp() override {
    Sockets::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    char path[] = "/tmp/adieu-probe-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory = path;
    note = directory + "/kernel_probe";
  }
  void TearDown() override {
    unlink(note.c_str());
    rmdir(directory.c_str());
  }
  static Held held(const Fd& fd) {
    return {.process = static_cast<std::uint32_t>(getpid()),
            .descriptor = fd.get(),
            .processes = 1,
            .descriptors = 1,
            .references = 0};
  }
  static Outcome ask(Prober& prober, const Socket& found, const Held& who) {
    Question question{.found = found, .who = who};
    prober.ask({&question, 1});
    return question.outcome;
  }
  bool has_note() const { return access(note.c_str(), F_OK) == 0; }

  std::string directory;
  std::string note;
};

TEST_F(Probe, AsksOnceIsAnsweredAndLeavesEverythingAsItWas) {
  const Fd listener = listens(kLoopback4);
  Pair open = connected(listener, kLoopback4);
  Pair half = connected(listener, kLoopback4);
  ASSERT_EQ(shutdown(half.client.get(), SHUT_WR), 0);
  set_option(open.server, IPPROTO_TCP, TCP_KEEPIDLE, 77);
  set_option(open.server, IPPROTO_TCP, TCP_KEEPINTVL, 33);
  set_option(open.server, IPPROTO_TCP, TCP_KEEPCNT, 5);
  idles(half);
  Prober prober(note);
  const auto asks = [&](const Fd& fd, const Endpoint& local, const Endpoint& remote, State state) {
    const std::vector<int> before = keepalive_of(fd);
    const Socket here = socket_of(local, remote);
    const Socket there = socket_of(remote, local);
    ASSERT_EQ(here.state, state);
    EXPECT_EQ(ask(prober, here, held(fd)), Outcome::Done) << name(state);
    EXPECT_TRUE(eventually([&] { return socket_of(local, remote).segments_in == here.segments_in + 1; }));
    EXPECT_EQ(socket_of(remote, local).segments_in, there.segments_in + 1);
    const Socket after = socket_of(local, remote);
    EXPECT_EQ(after.state, state);
    EXPECT_EQ(after.probes, 0);
    EXPECT_EQ(after.timer, Timer::None);
    EXPECT_EQ(keepalive_of(fd), before);
    EXPECT_FALSE(has_note());
  };
  asks(open.server, open.server_name, open.client_name, State::Established);
  asks(half.client, half.client_name, half.server_name, State::FinWait2);
  idles(half);
  asks(half.server, half.server_name, half.client_name, State::CloseWait);
}

TEST_F(Probe, LeavesAloneWhoeverHasTimersOfItsOwnOrWasJustHeard) {
  const Fd listener = listens(kLoopback4);
  const Pair keeps = connected(listener, kLoopback4);
  const Pair limits = connected(listener, kLoopback4);
  Prober prober(note);
  EXPECT_EQ(ask(prober, server_of(keeps), held(keeps.server)), Outcome::TooSoon);
  set_option(keeps.server, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(limits.server, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
  idles(limits);
  const std::vector<int> before = keepalive_of(keeps.server);
  EXPECT_FALSE(is_askable(server_of(keeps)));
  EXPECT_TRUE(is_askable(server_of(limits)));  // a user timeout cannot be seen from outside
  EXPECT_EQ(ask(prober, server_of(keeps), held(keeps.server)), Outcome::Unable);
  EXPECT_EQ(keepalive_of(keeps.server), before);
  EXPECT_EQ(ask(prober, server_of(limits), held(limits.server)), Outcome::Unable);
  EXPECT_EQ(keepalive_of(limits.server)[0], 0);
  EXPECT_EQ(ask(prober, server_of(limits), held(keeps.server)), Outcome::Unable);  // the descriptor is another's
  EXPECT_FALSE(has_note());
}

TEST_F(Probe, StopsAskingBeforeTheKernelsOwnCountCouldEndIt) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  idles(pair);
  turns_deaf(pair.client);
  Prober prober(note);
  for (unsigned i = 1; i <= kMostUnanswered; ++i) {
    EXPECT_EQ(ask(prober, server_of(pair), held(pair.server)), Outcome::Done);
    EXPECT_EQ(server_of(pair).probes, i);
  }
  EXPECT_EQ(ask(prober, server_of(pair), held(pair.server)), Outcome::Unable);
  EXPECT_EQ(server_of(pair).state, State::Established);
  hears_again(pair.client);
  sends(pair.server, "x");
  ASSERT_TRUE(eventually([&] { return server_of(pair).probes == 0; }));
  idles(pair);
  EXPECT_EQ(ask(prober, server_of(pair), held(pair.server)), Outcome::Done);
}

TEST_F(Probe, AsksBothEndsOfOneConnectionAtOnceAndEachIsAnswered) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  idles(pair);
  const Socket client = client_of(pair);
  const Socket server = server_of(pair);
  std::vector<Question> questions;
  questions.push_back({.found = client, .who = held(pair.client)});
  questions.push_back({.found = server, .who = held(pair.server)});
  Prober(note).ask(questions);
  EXPECT_EQ(questions[0].outcome, Outcome::Done);
  EXPECT_EQ(questions[1].outcome, Outcome::Done);
  // The other's question, and the answer to its own.
  EXPECT_TRUE(eventually([&] { return client_of(pair).segments_in == client.segments_in + 2; }));
  EXPECT_TRUE(eventually([&] { return server_of(pair).segments_in == server.segments_in + 2; }));
}

TEST_F(Probe, AsksTheOthersWhereSomeCannotBeAsked) {
  const Fd listener = listens(kLoopback4);
  std::vector<Pair> pairs;
  for (int i = 0; i < 6; ++i) pairs.push_back(connected(listener, kLoopback4));
  idles(pairs.back());
  const Pair fresh = connected(listener, kLoopback4);
  set_option(pairs[1].server, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
  const Fd other(dup(listener.get()));
  std::vector<Socket> found;
  std::vector<std::vector<int>> before;
  for (const Pair& pair : pairs) {
    found.push_back(server_of(pair));
    before.push_back(keepalive_of(pair.server));
  }
  found.push_back(server_of(fresh));
  std::vector<Question> questions;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    questions.push_back({.found = found[i], .who = held(i == 3 ? other : pairs[i].server)});
  questions.push_back({.found = found[6], .who = held(fresh.server)});
  questions[4].who.process = 0x7fffffff;  // which has died since
  Prober prober(note);
  prober.ask(questions);
  const std::vector expected{Outcome::Done,   Outcome::Unable, Outcome::Done,   Outcome::Unable,
                             Outcome::Unable, Outcome::Done,   Outcome::TooSoon};
  for (std::size_t i = 0; i < questions.size(); ++i) EXPECT_EQ(questions[i].outcome, expected[i]) << i;
  for (std::size_t i = 0; i < pairs.size(); ++i) EXPECT_EQ(keepalive_of(pairs[i].server), before[i]) << i;
  EXPECT_FALSE(has_note() || prober.owes());
}

TEST_F(Probe, LeavesAloneWhatItCouldNotPutBack) {
  set_sysctl("/proc/sys/net/ipv4/tcp_keepalive_time", "32768");  // more than a socket can be told
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  idles(pair);
  Prober prober(note);
  EXPECT_EQ(ask(prober, server_of(pair), held(pair.server)), Outcome::Unable);
  EXPECT_FALSE(has_note() || prober.owes());
  set_sysctl("/proc/sys/net/ipv4/tcp_keepalive_time", "32767");
  EXPECT_EQ(ask(prober, server_of(pair), held(pair.server)), Outcome::Done);
  EXPECT_EQ(keepalive_of(pair.server)[1], 32767);
}

TEST_F(Probe, HoldsNoConnectionOpenThatItsApplicationClosesMeanwhile) {
  const Fd listener = listens(kLoopback4);
  static Pair closing;
  closing = connected(listener, kLoopback4);
  const Pair other = connected(listener, kLoopback4);
  idles(other);
  const Socket found[] = {server_of(closing), server_of(other)};
  std::vector<Question> questions;
  questions.push_back({.found = found[0], .who = held(closing.server)});
  questions.push_back({.found = found[1], .who = held(other.server)});
  Prober prober(note, [](int step) {
    if (step == 1) closing.server.close();
  });
  prober.ask(questions);
  EXPECT_EQ(questions[1].outcome, Outcome::Done);
  EXPECT_EQ(receives(closing.client), "");
  EXPECT_FALSE(has_note() || prober.owes());
  closing.client.close();
  closing.server.close();
}

TEST_F(Probe, GivesUpOnAQuestionThatDoesNotGoOutAndTheOthersDoNotWait) {
  const Fd listener = listens(kLoopback4);
  static Pair writing;
  writing = connected(listener, kLoopback4);
  const Pair other = connected(listener, kLoopback4);
  idles(other);
  turns_deaf(writing.client);
  const std::vector<int> before = keepalive_of(writing.server);
  const Socket found[] = {server_of(writing), server_of(other)};
  std::vector<Question> questions;
  questions.push_back({.found = found[0], .who = held(writing.server)});
  questions.push_back({.found = found[1], .who = held(other.server)});
  Prober prober(note, [](int step) {
    if (step == 0) sends(writing.server, "x");  // which is its own question
  });
  prober.ask(questions);
  EXPECT_EQ(questions[0].outcome, Outcome::Unable);
  EXPECT_EQ(questions[1].outcome, Outcome::Done);
  EXPECT_EQ(keepalive_of(writing.server), before);
  EXPECT_FALSE(has_note() || prober.owes());
  writing.client.close();
  writing.server.close();
}

// Ours is then the last close, and the kernel would let it wait until the peer has acknowledged our FIN.
TEST_F(Probe, WaitsForNoPeerWhereAnApplicationThatLingersClosesMeanwhile) {
  const Fd listener = listens(kLoopback4);
  static Pair closing;
  closing = connected(listener, kLoopback4);
  const linger patient{.l_onoff = 1, .l_linger = 8};
  ASSERT_EQ(setsockopt(closing.server.get(), SOL_SOCKET, SO_LINGER, &patient, sizeof patient), 0);
  idles(closing);
  turns_deaf(closing.client);
  const Socket found = server_of(closing);
  Prober prober(note, [](int step) {
    if (step == 1) closing.server.close();
  });
  const Instant began = monotonic_now();
  EXPECT_EQ(ask(prober, found, held(closing.server)), Outcome::Done);
  EXPECT_LT(monotonic_now() - began, seconds(4));
  ASSERT_TRUE(eventually([&] { return server_of(closing).state == State::FinWait1; }));
  hears_again(closing.client);
  closing.client.close();
}

TEST_F(Probe, EndsNoWaitForWhatWasResetMeanwhile) {
  const Fd listener = listens(kLoopback4);
  static Pair closing;
  closing = connected(listener, kLoopback4);
  idles(closing);
  const Socket found = server_of(closing);
  Prober prober(note, [](int step) {
    if (step == 0) aborts(closing.client);
  });
  EXPECT_EQ(ask(prober, found, held(closing.server)), Outcome::AlreadyEnded);
  EXPECT_FALSE(has_note() || prober.owes());
  closing.client.close();
  closing.server.close();
}

TEST_F(Probe, KilledAtAnyStepEndsNothingAndTheNextProcessPutsEverythingBack) {
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  set_option(pair.server, IPPROTO_TCP, TCP_KEEPIDLE, 77);
  const std::vector<int> before = keepalive_of(pair.server);
  static int last_step;
  for (last_step = 0; last_step <= 5; ++last_step) {
    idles(pair);
    const Socket server = server_of(pair);
    const Held who = held(pair.server);
    const pid_t child = fork();
    if (child == 0) {
      Prober prober(note, [](int step) {
        if (step == last_step) kill(getpid(), SIGKILL);
      });
      ask(prober, server, who);
      _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << last_step;
    const std::vector<int> left = keepalive_of(pair.server);
    // As long as it is on, it takes 48 days to end anything.
    EXPECT_TRUE(left[0] == 0 || (left[2] == 32767 && left[3] == 127)) << last_step;
    EXPECT_EQ(has_note(), last_step < 5) << last_step;
    EXPECT_EQ(left == before, last_step == 0 || last_step == 5) << last_step;

    Holders holders;
    holders.begin(monotonic_now());
    holders.add({.inode = server.inode, .process = who.process, .descriptor = who.descriptor, .references = 1});
    holders.finish(true);
    Prober next(note);
    EXPECT_EQ(next.owes(), last_step < 5);
    next.put_back(holders);
    EXPECT_EQ(keepalive_of(pair.server), before) << last_step;
    EXPECT_FALSE(has_note() || next.owes());
    EXPECT_EQ(server_of(pair).state, State::Established);
    EXPECT_EQ(server_of(pair).timer, Timer::None);
  }
}

// The first one is armed, the second is about to be, the third is not: all stand in the note.
TEST_F(Probe, KilledAmongSeveralEndsNoneAndTheNextProcessPutsAllBackThatWasArmed) {
  const Fd listener = listens(kLoopback4);
  std::vector<Pair> pairs;
  for (int i = 0; i < 3; ++i) pairs.push_back(connected(listener, kLoopback4));
  for (const Pair& pair : pairs) set_option(pair.server, IPPROTO_TCP, TCP_KEEPIDLE, 77);
  const std::vector<int> before = keepalive_of(pairs[0].server);
  static int last_step;
  for (last_step = 0; last_step <= 5; ++last_step) {
    for (const Pair& pair : pairs) idles(pair);
    const Socket found[] = {server_of(pairs[0]), server_of(pairs[1]), server_of(pairs[2])};
    const pid_t child = fork();
    if (child == 0) {
      Prober prober(note, [](int step) {
        static int second = 0;
        if (step == last_step && (step == 0 || step == 5 || ++second == 2)) kill(getpid(), SIGKILL);
      });
      std::vector<Question> questions;
      for (std::size_t i = 0; i < 3; ++i) questions.push_back({.found = found[i], .who = held(pairs[i].server)});
      prober.ask(questions);
      _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << last_step;
    EXPECT_EQ(has_note(), last_step < 5) << last_step;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::vector<int> left = keepalive_of(pairs[i].server);
      EXPECT_TRUE(left[0] == 0 || (left[2] == 32767 && left[3] == 127)) << last_step << ' ' << i;
      EXPECT_EQ(left == before, last_step == 0 || last_step == 5 || i == 2) << last_step << ' ' << i;
    }
    // What was not armed is the application's to set.
    set_option(pairs[2].server, IPPROTO_TCP, TCP_KEEPCNT, 6 + last_step);

    Holders holders;
    holders.begin(monotonic_now());
    for (std::size_t i = 0; i < 3; ++i)
      holders.add({.inode = found[i].inode,
                   .process = held(pairs[i].server).process,
                   .descriptor = pairs[i].server.get(),
                   .references = 1});
    holders.finish(true);
    Prober next(note);
    EXPECT_EQ(next.owes(), last_step < 5);
    next.put_back(holders);
    EXPECT_EQ(keepalive_of(pairs[0].server), before) << last_step;
    EXPECT_EQ(keepalive_of(pairs[1].server), before) << last_step;
    EXPECT_EQ(keepalive_of(pairs[2].server)[3], 6 + last_step);
    set_option(pairs[2].server, IPPROTO_TCP, TCP_KEEPCNT, before[3]);
    EXPECT_FALSE(has_note() || next.owes());
    for (const Pair& pair : pairs) EXPECT_EQ(server_of(pair).state, State::Established);
  }
}

TEST_F(Probe, OwesUntilWhoeverHasItOpenCanBeSeen) {
  const Fd file(open(note.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const std::string_view lines = "123 45 7200 75 9\n124 46 7200 75 9\nend\n";
  ASSERT_EQ(write(file.get(), lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
  Prober prober(note);
  Holders holders;
  holders.begin(monotonic_now());
  holders.finish(false);
  prober.put_back(holders);
  EXPECT_TRUE(prober.owes() && has_note());
  holders.finish(true);
  prober.put_back(holders);
  EXPECT_FALSE(prober.owes() || has_note());
}

TEST_F(Probe, TakesANoteThatWasNeverFinishedForNone) {
  const Fd file(open(note.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_EQ(write(file.get(), "123 45 7200 75 9\n124 46 7200 75 1", 33), 33);
  EXPECT_FALSE(Prober(note).owes());
}

// A plane that may ask, with a table that knows `pairs`.
class ProbeByCommand : public Probe {
 protected:
  void SetUp() override {
    Probe::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = Plane::open(table.writer);
    ASSERT_TRUE(opened);
    plane.emplace(std::move(*opened));
    plane->act(kAbilities, Prober(note));
    if (!plane::has(table.writer.abilities(), plane::Ability::ProbeBare))
      GTEST_SKIP() << "SKIPPED, NOT TESTED: no pidfd";
  }
  void sweeps() {
    plane->look(monotonic_now());
    ASSERT_TRUE(plane->sweep(monotonic_now(), table.view));
  }
  // Of the server's end.
  plane::Command command(plane::CommandKind kind, const Pair& pair) {
    const auto slot = table.slot_of(pair.server_name, pair.client_name);
    EXPECT_TRUE(slot);
    plane::Command command;
    command.kind = kind;
    command.id = {7, slot.value_or(0), table.read(slot.value_or(0)).generation};
    command.expected_state = State::Established;
    command.heard = table.read(slot.value_or(0)).heard;
    command.form = ProbeForm::Bare;
    command.expires = Instant::never();
    command.epoch = table.control.epoch();
    command.verdict = 3;
    return command;
  }
  void writes(const plane::Command& command) {
    ASSERT_TRUE(table.control.write(command, table.reader.commands_taken()));
  }
  std::vector<Outcome> outcomes() {
    std::vector<Outcome> all;
    for (std::uint64_t number = 1; number <= table.reader.receipts_written(); ++number) {
      const auto receipt = table.reader.receipt(number);
      EXPECT_EQ(receipt->command, number);
      all.push_back(receipt->outcome);
    }
    return all;
  }

  Table table{1024, 16, 512, 512};
  std::optional<Plane> plane;
};

TEST_F(ProbeByCommand, TakesManyAtOnceAndNoMoreThanABatch) {
  const Fd listener = listens(kLoopback4, 512);
  constexpr std::size_t kMany = Prober::kMostQuestions + 1;
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < kMany; ++i) pairs.push_back(connected(listener, kLoopback4));
  idles(pairs.back());
  sweeps();
  for (const Pair& pair : pairs) writes(command(plane::CommandKind::Probe, pair));
  plane->take_commands(monotonic_now(), table.view);
  EXPECT_EQ(table.reader.commands_taken(), Prober::kMostQuestions);
  plane->take_commands(monotonic_now(), table.view);
  EXPECT_EQ(outcomes(), std::vector(kMany, Outcome::Done));
}

TEST_F(ProbeByCommand, AnswersInTheOrderInWhichItWasAskedWhateverIsDoneFirst) {
  const Fd listener = listens(kLoopback4);
  const Pair asked = connected(listener, kLoopback4);
  const Pair finished = connected(listener, kLoopback4);
  const Pair aborted = connected(listener, kLoopback4);
  const Pair reset = connected(listener, kLoopback4);
  idles(reset);
  sweeps();
  using enum plane::CommandKind;
  const bool guarded = plane::has(table.writer.abilities(), plane::Ability::GuardedAbort);
  plane::Command regardless = command(Abort, reset);
  regardless.regardless = true;
  writes(command(Probe, asked));
  writes(command(Abort, aborted));
  writes(command(Finish, finished));
  writes(regardless);
  writes(command(Probe, reset));    // which is no more
  writes(command(Abort, aborted));  // twice
  writes(command(Probe, asked));    // twice
  writes(command(Finish, asked));
  ASSERT_TRUE(eventually([&] {
    const auto before = table.reader.commands_taken();
    plane->take_commands(monotonic_now(), table.view);
    EXPECT_GT(table.reader.commands_taken(), before);
    return table.reader.commands_taken() == 8;
  }));
  EXPECT_EQ(outcomes(),
            (std::vector{Outcome::Done, guarded ? Outcome::Done : Outcome::DoneUnguarded, Outcome::Done, Outcome::Done,
                         Outcome::AlreadyEnded, Outcome::AlreadyEnded, Outcome::TooSoon, Outcome::Done}));
}

TEST_F(Probe, ByCommandIsCountedUntilItIsAnswered) {
  Table table;
  auto plane = Plane::open(table.writer);
  ASSERT_TRUE(plane);
  plane->act(kAbilities, Prober(note));
  if (!plane::has(table.writer.abilities(), plane::Ability::ProbeBare)) GTEST_SKIP() << "SKIPPED, NOT TESTED: no pidfd";
  const Fd listener = listens(kLoopback4);
  const Pair pair = connected(listener, kLoopback4);
  idles(pair);
  const auto sweeps = [&] {
    plane->look(monotonic_now());
    ASSERT_TRUE(plane->sweep(monotonic_now(), table.view));
  };
  const auto asks = [&](ProbeForm form) {
    const auto slot = table.slot_of(pair.server_name, pair.client_name);
    plane::Command command;
    command.id = {7, *slot, table.read(*slot).generation};
    command.expected_state = State::Established;
    command.form = form;
    command.expires = Instant::never();
    command.epoch = table.control.epoch();
    command.verdict = 3;
    EXPECT_TRUE(table.control.write(command, table.reader.commands_taken()));
    plane->take_commands(monotonic_now(), table.view);
    table.control.set_receipts_taken(table.reader.receipts_written());
    return table.reader.receipt(table.reader.receipts_written())->outcome;
  };
  sweeps();
  turns_deaf(pair.client);
  EXPECT_EQ(asks(ProbeForm::DataEcho), Outcome::Unable);
  EXPECT_EQ(asks(ProbeForm::Bare), Outcome::Done);
  EXPECT_EQ(asks(ProbeForm::Bare), Outcome::TooSoon);
  sweeps();
  const auto record = [&] { return table.read(*table.slot_of(pair.server_name, pair.client_name)); };
  EXPECT_EQ(record().probes[static_cast<std::size_t>(ProbeForm::Bare)], 1U);
  EXPECT_TRUE(record().probe_first.is_known());
  hears_again(pair.client);
  ASSERT_TRUE(eventually([&] { return asks(ProbeForm::Bare) == Outcome::Done; }));
  EXPECT_TRUE(eventually([&] {
    sweeps();
    return record().probes[static_cast<std::size_t>(ProbeForm::Bare)] == 0;
  }));
  EXPECT_FALSE(record().probe_first.is_known());
}

}  // namespace
}  // namespace adieu::kernel
