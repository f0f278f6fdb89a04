// `adieu up` with real processes on a real TUN device, against the kernel's own TCP; and what happens when each of them
// is killed.
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>

#include "host/clock.h"
#include "host/ledger.h"
#include "host/view.h"
#include "kernel_peer.h"
#include "world.h"

namespace adieu::host {
namespace {

const Address kEngine = Address::v4(10, 77, 0, 2);

class Processes : public testing::Test {
 protected:
  void SetUp() override {
    ADIEU_NEEDS_A_NETWORK();
    start();
  }
  void TearDown() override {
    if (!up) return;
    up->signal(SIGTERM);
    EXPECT_EQ(up->wait(), 0);
    for (const char* who : {"engine", "kernel", "control"}) EXPECT_EQ(living(dir.run_dir(), who), 0) << who;
  }
  void start() {
    up.emplace(start_up(dir.run_dir(), true, true));
    ASSERT_TRUE(eventually([&] { return is_ready(); }));
  }
  bool is_ready() {
    const Census seen = census(dir.run_dir());
    std::size_t serving = 0;
    for (const PlaneSeen& plane : seen.planes) serving += plane.failed ? 0 : 1;
    return serving == 2 && seen.control == ControlState::Running;
  }
  // The engine's end of a connection with this peer.
  std::optional<ConnectionView> engine_end(const Endpoint& peer) {
    std::optional<ConnectionView> found;
    const Census seen = census(dir.run_dir());
    for_each_connection(seen, [&](const ConnectionView& view) {
      if (view.kind == plane::PlaneKind::Engine && view.record.remote == peer) found = view;
    });
    return found;
  }
  std::size_t kernel_connections() {
    std::size_t count = 0;
    const Census seen = census(dir.run_dir());
    for_each_connection(seen,
                        [&](const ConnectionView& view) { count += view.kind == plane::PlaneKind::Kernel ? 1 : 0; });
    return count;
  }
  LedgerConnection in_ledger(const ConnectionView& view) {
    const auto reader = LedgerReader::open(dir.run_dir().ledger());
    return reader ? reader->connection(view.id, view.incarnation, 100).value_or(LedgerConnection{})
                  : LedgerConnection{};
  }
  static bool echoes(const KernelPeer& peer, const std::string& text) {
    return peer.send(text) && peer.receive(text.size()) == text;
  }
  void kill_one(const char* who) {
    const pid_t process = living(dir.run_dir(), who);
    ASSERT_GT(process, 1) << who;
    ASSERT_EQ(::kill(process, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] { return living(dir.run_dir(), who) != process; }));
  }

  TemporaryDirectory dir;
  std::optional<Process> up;
};

TEST_F(Processes, WhatWasMeasuredOfAHostOutlivesTheControlPlane) {
  const auto peer = KernelPeer::connect({kEngine, 19});
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer.receive(1000).size(), 1000U);
  peer.shut_sending();
  const Endpoint name = peer.local();
  ASSERT_TRUE(eventually([&] {
    SqliteLedger ledger(dir.run_dir().ledger());
    return ledger.learned({name.address, 1000, 700, Duration::max()}) && ledger.commit();
  }));
  kill_one("control");
  ASSERT_TRUE(eventually([&] { return is_ready(); }));
  peer.go_deaf();
  // Readers know it, and the new control plane judges by it.
  ASSERT_TRUE(eventually([&] {
    const auto view = engine_end(name);
    return view && view->seen.verdict.standing == control::Standing::Suspect;
  }));
  EXPECT_EQ(engine_end(name)->seen.evidence.host.lost, 0.7);
  EXPECT_TRUE(eventually([&] {
    const auto ledger = LedgerReader::open(dir.run_dir().ledger());
    const auto verdicts = ledger ? ledger->after(0, 1000) : std::unexpected(ledger.error());
    return verdicts && std::ranges::any_of(*verdicts, [](const LedgerEntry& entry) {
             return entry.detail.find("\"host_lost\":0.7") != std::string::npos;
           });
  }));
}

TEST_F(Processes, ServeBothFamiliesAndShowBothEnds) {
  const auto v4 = KernelPeer::connect({kEngine, 7});
  ASSERT_TRUE(v4);
  EXPECT_TRUE(echoes(v4, "hello"));
  if (const auto v6 = KernelPeer::connect({*parse_address("fd77::2"), 7})) {
    EXPECT_TRUE(echoes(v6, std::string(300'000, '6')));
  }
  const auto view = engine_end(v4.local());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->record.state, State::Established);
  EXPECT_EQ(view->record.holder, plane::Holder::Held);
  EXPECT_TRUE(eventually([&] { return kernel_connections() >= 1; }));
}

TEST_F(Processes, ChargenGoesOnAfterOurFin) {
  const auto peer = KernelPeer::connect({kEngine, 19});
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer.receive(100'000).size(), 100'000U);
  peer.shut_sending();
  ASSERT_TRUE(eventually([&] {
    const auto view = engine_end(peer.local());
    return view && view->record.state == State::CloseWait;
  }));
  EXPECT_EQ(peer.receive(1'000'000).size(), 1'000'000U);
  EXPECT_EQ(engine_end(peer.local())->record.state, State::CloseWait);
}

TEST_F(Processes, NoConnectionNoticesThatControlWasKilled) {
  const auto peer = KernelPeer::connect({kEngine, 7});
  ASSERT_TRUE(echoes(peer, "before"));
  kill_one("control");
  EXPECT_TRUE(echoes(peer, "while it is dead"));
  ASSERT_TRUE(eventually([&] { return is_ready(); }));
  EXPECT_TRUE(echoes(peer, "after"));
  // The new one is ready before its first sweep is over.
  EXPECT_TRUE(eventually([&] {
    const auto view = engine_end(peer.local());
    return view && !view->not_judged() && !view->record.has_ended();
  }));
}

TEST_F(Processes, AStoppedControlIsSaidAndTheTablesAreReadAllTheSame) {
  const auto peer = KernelPeer::connect({kEngine, 7});
  ASSERT_TRUE(echoes(peer, "x"));
  ASSERT_TRUE(eventually([&] { return engine_end(peer.local()).has_value(); }));
  const pid_t control = living(dir.run_dir(), "control");
  ASSERT_EQ(::kill(control, SIGSTOP), 0);
  EXPECT_TRUE(eventually([&] { return census(dir.run_dir()).control == ControlState::Stopped; }));
  const auto view = engine_end(peer.local());
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->not_judged());
  EXPECT_EQ(view->seen.verdict.standing, control::Standing::Alive);
  ::kill(control, SIGCONT);
  EXPECT_TRUE(eventually([&] { return census(dir.run_dir()).control == ControlState::Running; }));
}

TEST_F(Processes, ANewControlGoesOnWhereTheLadderStood) {
  const auto well = KernelPeer::connect({kEngine, 19});
  const auto gone = KernelPeer::connect({kEngine, 19});
  ASSERT_TRUE(well && gone);
  for (const KernelPeer* peer : {&well, &gone}) {
    EXPECT_EQ(peer->receive(1000).size(), 1000U);
    peer->shut_sending();
  }
  const Endpoint name = gone.local();
  gone.go_deaf();
  ASSERT_TRUE(eventually([&] {
    const auto view = engine_end(name);
    return view && view->seen.verdict.standing == control::Standing::Suspect;
  }));
  kill_one("control");
  ASSERT_TRUE(eventually([&] {
    const auto view = engine_end(name);
    return view && view->record.has_ended();
  }));
  const auto view = engine_end(name);
  EXPECT_EQ(view->record.reason, EndReason::Commanded);
  ASSERT_TRUE(eventually([&] { return in_ledger(*view).end.has_value(); }));
  const LedgerConnection ledger = in_ledger(*view);
  ASSERT_FALSE(ledger.verdicts.empty());
  const LedgerVerdict& last = ledger.verdicts.back();
  EXPECT_EQ(last.number, view->record.ended_by);
  EXPECT_EQ(last.standing, "gone");
  EXPECT_EQ(last.command, plane::name(plane::CommandKind::Abort));
  EXPECT_TRUE(
      eventually([&] { return in_ledger(*view).verdicts.back().outcome == plane::name(plane::Outcome::Done); }));
  EXPECT_FALSE(engine_end(well.local())->record.has_ended());
  EXPECT_EQ(well.receive(1'000'000).size(), 1'000'000U);
}

TEST_F(Processes, AKilledSupervisorIsFollowedByOneThatAdopts) {
  const auto peer = KernelPeer::connect({kEngine, 7});
  ASSERT_TRUE(echoes(peer, "before"));
  const auto before = engine_end(peer.local());
  const pid_t engine = living(dir.run_dir(), "engine"), kernel = living(dir.run_dir(), "kernel"),
              control = living(dir.run_dir(), "control");
  up->signal(SIGKILL);
  EXPECT_EQ(up->wait(), 128 + SIGKILL);
  EXPECT_TRUE(echoes(peer, "alone"));
  start();
  EXPECT_EQ(living(dir.run_dir(), "engine"), engine);
  EXPECT_EQ(living(dir.run_dir(), "kernel"), kernel);
  EXPECT_EQ(living(dir.run_dir(), "control"), control);
  const auto after = engine_end(peer.local());
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->incarnation, before->incarnation);
  EXPECT_EQ(after->id, before->id);
  EXPECT_TRUE(echoes(peer, "after"));
}

TEST_F(Processes, AKilledEngineTakesItsConnectionsWithItAndThatIsReported) {
  const auto peer = KernelPeer::connect({kEngine, 7});
  ASSERT_TRUE(echoes(peer, "before"));
  const auto before = engine_end(peer.local());
  ASSERT_TRUE(before);
  const auto key = isn_key(dir.run_dir(), {})->key;
  kill_one("engine");
  ASSERT_TRUE(eventually([&] { return is_ready(); }));
  const auto view = engine_end(peer.local());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->record.reason, EndReason::PlaneFailed);
  ASSERT_TRUE(eventually([&] { return in_ledger(*before).end.has_value(); }));
  EXPECT_EQ(in_ledger(*before).end->reason, name(EndReason::PlaneFailed));
  EXPECT_EQ(isn_key(dir.run_dir(), {})->key, key);
  ASSERT_TRUE(eventually([&] {
    const auto again = KernelPeer::connect({kEngine, 7});
    return again && echoes(again, "a new engine");
  }));
}

TEST_F(Processes, AKilledKernelPlaneEndsNothing) {
  const auto peer = KernelPeer::connect({kEngine, 7});
  ASSERT_TRUE(echoes(peer, "before"));
  kill_one("kernel");
  ASSERT_TRUE(eventually([&] { return is_ready(); }));
  EXPECT_TRUE(eventually([&] { return kernel_connections() >= 1; }));
  for (const PlaneSeen& plane : census(dir.run_dir()).planes) EXPECT_FALSE(plane.failed) << plane.name;
  EXPECT_TRUE(echoes(peer, "after"));
}

TEST_F(Processes, ThatWatchHaveNoCapabilityLeftButWhatTheKernelPlaneNeedsToSeeAndToAct) {
  const auto capabilities = [&](const char* who, const char* set) {
    std::ifstream status("/proc/" + std::to_string(living(dir.run_dir(), who)) + "/status");
    const std::string all(std::istreambuf_iterator<char>(status), {});
    EXPECT_NE(all.find("NoNewPrivs:\t1"), std::string::npos) << who;
    const std::size_t at = all.find(set);
    return at == std::string::npos ? ~0ULL : std::stoull(all.substr(at + std::strlen(set)), nullptr, 16);
  };
  constexpr unsigned long long kNeeded = 1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_SYS_ADMIN |
                                         1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_RAW;
  for (const char* set : {"CapPrm:\t", "CapEff:\t"}) {
    EXPECT_EQ(capabilities("engine", set), 0U);
    EXPECT_EQ(capabilities("control", set), 0U);
    EXPECT_EQ(capabilities("kernel", set) & ~kNeeded, 0U);
  }
}

}  // namespace
}  // namespace adieu::host
