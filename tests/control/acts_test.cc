// What rules do beyond asking: to the forgotten, to orphans, to whatever they match, on a person's word, over a budget.
#include <gtest/gtest.h>

#include "control/onlooker.h"
#include "world.h"

using namespace adieu;
using namespace adieu::control;
using namespace adieu::control::testing;

namespace {

plane::Record forgotten(Instant since) {
  auto record = half_closed(since, State::CloseWait);
  record.end_of_stream_read = plane::Known::Yes;
  record.receive_shut = false;
  return record;
}

plane::Record orphan(Instant since, State state = State::FinWait2) {
  auto record = half_closed(since, state);
  record.holder = plane::Holder::Orphan;
  return record;
}

Rule with(auto&& change) {
  Rule rule;
  change(rule);
  return rule;
}

WorldSettings under(const Rule& rule) {
  WorldSettings settings;
  settings.rule = rule;
  return settings;
}

const MemoryLedger::Row* first_by(const MemoryLedger& ledger, Cause cause) {
  for (const auto& row : ledger.verdicts)
    if (row.decision.verdict.cause == cause && row.decision.command && is_destructive(row.decision.command->kind))
      return &row;
  return nullptr;
}

}  // namespace

TEST(Forgotten, IsFinishedAfterTheRulesTimeAndNotAMomentSooner) {
  const Rule rule = with([](Rule& r) {
    r.when_forgotten = Act::Finish;
    r.forgotten_after = minutes(10);
  });
  World world(under(rule));
  const auto slot = world.open(forgotten(world.now));
  world.run_for(10_min - 1_s);
  EXPECT_EQ(world.record(slot).state, State::CloseWait);
  world.run_for(3_s);
  EXPECT_EQ(world.record(slot).state, State::LastAck);
  const auto* row = first_by(world.ledger, Cause::Forgotten);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->decision.command->kind, plane::CommandKind::Finish);
  EXPECT_NE(row->decision.verdict.grounds.find(GroundKind::Acts), nullptr);
}

TEST(Forgotten, IsNobodyWhoStillSendsOrHasNotReadTheEnd) {
  const Rule rule = with([](Rule& r) {
    r.when_forgotten = Act::Reset;
    r.forgotten_after = minutes(1);
  });
  auto sends = forgotten(at(0_s));
  sends.unsent = 1;
  EXPECT_EQ(judged(sends, at(1_h), rule).act, Act::Tell);
  auto sent_lately = forgotten(at(0_s));
  sent_lately.progress_out = at(1_h) - 30_s;
  EXPECT_EQ(judged(sent_lately, at(1_h), rule).acts_at, at(1_h) + 30_s);
  auto has_not_read = forgotten(at(0_s));
  has_not_read.end_of_stream_read = plane::Known::No;
  EXPECT_EQ(judged(has_not_read, at(1_h), rule).act, Act::Tell);
  auto nobody_knows = forgotten(at(0_s));
  nobody_knows.end_of_stream_read = plane::Known::Unknown;
  EXPECT_EQ(judged(nobody_knows, at(1_h), rule).act, Act::Tell);
}

TEST(Orphaned, IsEndedByARuleThatSaysSoAlthoughItsPeerIsAlive) {
  World world(under(with([](Rule& r) {
    r.when_orphaned = Act::Reset;
    r.orphaned_after = minutes(2);
  })));
  world.open(orphan(world.now));
  world.run_for(2_min - 2_s);
  EXPECT_TRUE(world.ledger.ends.empty());
  world.run_for(5_s);
  ASSERT_EQ(world.ledger.ends.size(), 1U);
  EXPECT_EQ(world.ledger.ends[0].second.reason, EndReason::Commanded);
  EXPECT_TRUE(first_by(world.ledger, Cause::Orphaned)->decision.command->regardless);
}

TEST(Rule, ThatMatchesByAgeImitatesAStacksTimer) {
  WorldSettings settings;
  settings.policy = Policy::make({{Filter::parse("state fin-wait-2 and holder orphan and age > 60s").value(),
                                   with([](Rule& r) { r.always = Act::Silent; })},
                                  {Filter(), Rule{}}})
                        .value();
  World world(settings);
  const auto held = world.open(half_closed(world.now));
  world.open(orphan(world.now));
  world.run_for(60_s);
  EXPECT_TRUE(world.ledger.ends.empty());
  world.run_for(3_s);
  EXPECT_EQ(world.ledger.ends.size(), 1U);
  world.run_for(1_h);
  EXPECT_EQ(world.ledger.ends.size(), 1U);
  EXPECT_TRUE(world.peers.contains(held));
  const auto* row = first_by(world.ledger, Cause::Rule);
  ASSERT_NE(row, nullptr);
  EXPECT_TRUE(row->decision.command->silent);
  EXPECT_EQ(row->decision.rule, 0U);
}

TEST(Rule, ExemptsFromEveryActWhoeverIsGone) {
  World world(under(with([](Rule& r) { r.exempt = true; })));
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  world.run_for(1_h);
  EXPECT_TRUE(world.ledger.first(Standing::Gone).is_known());
  EXPECT_TRUE(world.ledger.ends.empty());
}

TEST(Rule, OfADryRunDecidesAndDoesNothing) {
  World world(under(with([](Rule& r) {
    r.act = false;
    r.when_orphaned = Act::Reset;
  })));
  const auto slot = world.open(orphan(world.now));
  world.run_for(10_min);
  EXPECT_TRUE(world.ledger.ends.empty());
  const Verdict verdict = judged(world.record(slot), world.now, with([](Rule& r) {
                                   r.act = false;
                                   r.when_orphaned = Act::Reset;
                                 }));
  EXPECT_NE(verdict.grounds.find(GroundKind::DryRun), nullptr);
}

TEST(Verdict, SaysWhatWillEndItAndWhen) {
  const Rule rule = with([](Rule& r) { r.when_orphaned = Act::Reset; });
  const Verdict soon = judged(orphan(at(0_s)), at(19_s), rule);
  EXPECT_EQ(soon.ends, Ends::Policy);
  EXPECT_EQ(soon.ends_at, at(60_s));
  EXPECT_EQ(judged(half_closed(at(0_s)), at(1_s)).ends_at, Instant::never());
  const Attention attention{.abilities = kAllAbilities, .gaps = {}, .plane_stopped_since = {}, .time_wait = 60_s};
  const Verdict quarantine = judged(half_closed(at(0_s), State::TimeWait), at(1_s), rule, attention);
  EXPECT_EQ(quarantine.ends, Ends::TimeWaitQuarantine);
  EXPECT_EQ(quarantine.ends_at, at(60_s));
  EXPECT_EQ(judged(half_closed(at(0_s), State::TimeWait), at(1_s)).ends_at, Instant::unknown());
  const Verdict doubted = judged(asked(half_closed(at(0_s)), 2, 2, at(25_s), at(35_s)), at(40_s));
  EXPECT_EQ(doubted.ends, Ends::PeerAnswersOrVerdictGone);
  EXPECT_EQ(doubted.ends_at, Instant::unknown());
}

// ---- a person's word

TEST(Request, OfAPersonIsInTheLedgerBeforeItIsDoneAndAnsweredWithWhatBecameOfIt) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.run_for(1_s);
  const plane::ConnectionId id{77, slot, world.record(slot).generation};
  ASSERT_FALSE(world.attendant->request(0, id, {plane::CommandKind::Abort, false, 1000, 42}, world.now));
  EXPECT_FALSE(world.attendant->poll_answer());
  // A segment that comes meanwhile does not stop a person.
  world.speaks(slot);
  world.run_for(1_s);
  const auto answer = world.attendant->poll_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ticket, 42U);
  EXPECT_EQ(answer->outcome, plane::Outcome::Done);
  ASSERT_EQ(world.ledger.ends.size(), 1U);
  ASSERT_EQ(world.ledger.verdicts.size(), 1U);
  const Decision& decision = world.ledger.verdicts[0].decision;
  EXPECT_EQ(answer->verdict, world.ledger.verdicts[0].number);
  EXPECT_EQ(decision.verdict.cause, Cause::Person);
  ASSERT_NE(decision.verdict.grounds.find(GroundKind::Asked), nullptr);
  EXPECT_EQ(decision.verdict.grounds.find(GroundKind::Asked)->number, 1000U);
  EXPECT_FALSE(world.ledger_behind);
}

TEST(Request, IsRefusedAtOnceWhereItCannotBeDone) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  const plane::ConnectionId id{77, slot, world.record(slot).generation};
  const auto ask = [&](plane::CommandKind kind, plane::ConnectionId whom) {
    return world.attendant->request(0, whom, {kind, false, 0, 1}, world.now);
  };
  EXPECT_EQ(ask(plane::CommandKind::Probe, {77, slot, id.generation + 1}), Refusal::Ended);
  EXPECT_EQ(ask(plane::CommandKind::Probe, {78, slot, id.generation}), Refusal::Ended);
  EXPECT_EQ(ask(plane::CommandKind::Finish, id), Refusal::Unable);  // its FIN is sent
  EXPECT_EQ(ask(plane::CommandKind::Forget, id), Refusal::Unable);
  EXPECT_EQ(ask(plane::CommandKind::Probe, id), std::nullopt);
  EXPECT_EQ(ask(plane::CommandKind::Abort, id), Refusal::Busy);
  world.run_for(10_s);
  EXPECT_EQ(ask(plane::CommandKind::Abort, id), std::nullopt);
}

TEST(Request, IsNotDoneWhileTheLedgerCannotBeWritten) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  const plane::ConnectionId id{77, slot, world.record(slot).generation};
  world.ledger.full = true;
  EXPECT_FALSE(world.attendant->request(0, id, {plane::CommandKind::Abort, false, 0, 9}, world.now));
  const auto answer = world.attendant->poll_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ticket, 9U);
  EXPECT_FALSE(answer->outcome);
  EXPECT_EQ(answer->verdict, 0U);
  world.run_for(5_s);
  EXPECT_TRUE(world.peers.contains(slot));
}

TEST(Request, ToAskIsAnsweredAlsoWhileTheLedgerCannotBeWritten) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  const plane::ConnectionId id{77, slot, world.record(slot).generation};
  world.ledger.full = true;
  EXPECT_FALSE(world.attendant->request(0, id, {plane::CommandKind::Probe, false, 0, 9}, world.now));
  world.run_for(1_s);
  const auto answer = world.attendant->poll_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ticket, 9U);
  EXPECT_EQ(answer->outcome, plane::Outcome::Done);
  EXPECT_EQ(answer->verdict, 0U);
}

TEST(Request, ToAPlaneThatFailsIsAnsweredAllTheSame) {
  World world;
  const auto slot = world.open(half_closed(world.now));
  world.plane_runs = false;
  ASSERT_FALSE(world.attendant->request(0, {77, slot, world.record(slot).generation},
                                        {plane::CommandKind::Probe, false, 0, 5}, world.now));
  EXPECT_TRUE(world.attendant->plane_failed(0, world.now));
  const auto answer = world.attendant->poll_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ticket, 5U);
  EXPECT_FALSE(answer->outcome);
}

// ---- the kernel's connections

namespace {
// One that is orphaned, and one whose peer is not there; under a rule that would end both.
struct KernelWorld {
  static WorldSettings settings(std::string_view match, bool acts) {
    const Rule rule = with([&](Rule& r) {
      r.when_orphaned = Act::Reset;
      r.act = acts;
    });
    WorldSettings settings;
    settings.kind = plane::PlaneKind::Kernel;
    settings.policy =
        match.empty() ? Policy(rule) : Policy::make({{Filter::parse(match).value(), rule}, {Filter(), rule}}).value();
    settings.policy->orphans.count = 0;
    return settings;
  }
  explicit KernelWorld(std::string_view match, bool acts = true) : world(settings(match, acts)) {
    orphaned = world.open(orphan(world.now));
    deserted = world.open(half_closed(world.now));
    world.peers[deserted].there = false;
    world.run_for(5_min);
  }
  World world;
  std::uint32_t orphaned = 0;
  std::uint32_t deserted = 0;
};
}  // namespace

TEST(KernelConnections, AreNeitherAskedNorEndedUnlessARuleMeansThem) {
  for (const char* match :
       {"", "state fin-wait-2", "plane kernel and state established", "plane engine or sport >= :1"}) {
    KernelWorld there(match);
    EXPECT_TRUE(there.world.peers.contains(there.orphaned)) << match;
    EXPECT_TRUE(there.world.peers.contains(there.deserted)) << match;
    for (const auto& row : there.world.ledger.verdicts) EXPECT_FALSE(row.decision.command) << match;
    EXPECT_TRUE(there.world.ledger.notes.empty()) << match;  // nor do they use up a budget
  }
}

TEST(KernelConnections, AreAskedAndEndedByARuleThatSaysSo) {
  for (const char* match : {"plane kernel", "state fin-wait-2 and plane = kernel", "not plane engine"}) {
    KernelWorld there(match);
    EXPECT_FALSE(there.world.peers.contains(there.orphaned)) << match;
    EXPECT_FALSE(there.world.peers.contains(there.deserted)) << match;
  }
}

TEST(KernelConnections, AreNotEvenAskedByADryRun) {
  KernelWorld meant("plane kernel");
  ASSERT_FALSE(meant.world.peers.contains(meant.deserted)) << "without a dry run";
  KernelWorld there("plane kernel", false);
  EXPECT_TRUE(there.world.peers.contains(there.orphaned));
  EXPECT_TRUE(there.world.peers.contains(there.deserted));
  for (const auto& row : there.world.ledger.verdicts) EXPECT_FALSE(row.decision.command);
}

TEST(KernelConnections, AreEndedOnAPersonsWord) {
  KernelWorld there("");
  World& world = there.world;
  const plane::ConnectionId id{77, there.deserted, world.record(there.deserted).generation};
  EXPECT_EQ(world.attendant->request(0, id, {plane::CommandKind::Probe, false, 0, 1}, world.now), std::nullopt);
  world.run_for(5_s);
  EXPECT_EQ(world.attendant->request(0, id, {plane::CommandKind::Abort, false, 0, 2}, world.now), std::nullopt);
  world.run_for(1_s);
  EXPECT_FALSE(world.peers.contains(there.deserted));
  EXPECT_TRUE(world.peers.contains(there.orphaned));
}

// ---- keepalive

namespace {
constexpr plane::Abilities kWithKeepalive = kAllAbilities | plane::Ability::Keepalive;

// A rule for the kernel's connections in FIN-WAIT-2.
WorldSettings of_the_kernel(auto&& change) {
  WorldSettings settings;
  settings.kind = plane::PlaneKind::Kernel;
  settings.abilities = kWithKeepalive;
  settings.policy =
      Policy::make({{Filter::parse("plane kernel and state fin-wait-2").value(), with(change)}, {Filter(), Rule{}}})
          .value();
  return settings;
}
void keeps(Rule& rule) {
  rule.always = Act::Keepalive;
  rule.keepalive = {.idle = 600, .interval = 75, .count = 9};
}

Verdict judged_able(const plane::Record& record, Instant now, const Rule& rule) {
  return judged(record, now, rule, Attention{.abilities = kWithKeepalive, .gaps = {}, .plane_stopped_since = {}});
}
}  // namespace

TEST(Keepalive, IsOrderedOnceWithTheRulesValuesAndNeverAgainWhileItIsOn) {
  World world(of_the_kernel(keeps));
  const auto slot = world.open(half_closed(world.now));
  const auto other = world.open(half_closed(world.now, State::CloseWait));
  world.run_for(1_h);
  ASSERT_EQ(world.peers[slot].commands.size(), 1U);
  const plane::Command& command = world.peers[slot].commands.front();
  EXPECT_EQ(command.kind, plane::CommandKind::Keepalive);
  EXPECT_EQ(command.keepalive, (plane::Keepalive{600, 75, 9}));
  EXPECT_FALSE(command.regardless);
  EXPECT_TRUE(world.peers[other].commands.empty());
  const auto* row = first_by(world.ledger, Cause::Rule);
  ASSERT_NE(row, nullptr) << "it is in the ledger";
  EXPECT_NE(row->decision.verdict.grounds.find(GroundKind::ActsKeepalive), nullptr);
  EXPECT_FALSE(world.ledger_behind);
  // A control plane that starts again finds it done.
  world.kill_control();
  world.start_control();
  world.run_for(1_h);
  EXPECT_EQ(world.peers[slot].commands.size(), 1U);
  EXPECT_TRUE(world.ledger.ends.empty());
}

TEST(Keepalive, ThatCannotBeHadLeavesItsConnectionToTheRulesOwnQuestions) {
  World world(of_the_kernel(keeps));
  world.refuse_all = plane::Outcome::Unable;
  const auto slot = world.open(half_closed(world.now));
  world.run_for(5_s);
  unsigned refused = 0;
  for (const auto& receipt : world.ledger.receipts) refused += receipt.kind == plane::CommandKind::Keepalive ? 1 : 0;
  EXPECT_EQ(refused, 1U) << "and not at every sweep";
  world.refuse_all.reset();
  world.peers[slot].there = false;
  world.run_for(10_min);
  ASSERT_EQ(world.ledger.ends.size(), 1U);
  EXPECT_EQ(world.ledger.ends[0].second.reason, EndReason::Commanded);
}

TEST(Keepalive, OfTheForgottenComesAfterTheRulesTime) {
  Rule rule;
  rule.when_forgotten = Act::Keepalive;
  rule.forgotten_after = minutes(10);
  const Verdict soon = judged_able(forgotten(at(0_s)), at(9_min), rule);
  EXPECT_EQ(soon.act, Act::Keepalive);
  EXPECT_EQ(soon.cause, Cause::Forgotten);
  EXPECT_EQ(soon.acts_at, at(10_min));
  EXPECT_EQ(soon.ends, Ends::ApplicationClose) << "the rule itself does not end it";
  auto asks = forgotten(at(0_s));
  asks.beside.keepalive = true;
  asks.beside.timer = plane::OwnTimer::Keepalive;
  EXPECT_EQ(judged_able(asks, at(11_min), rule).act, Act::Tell);
  EXPECT_EQ(judged_able(asks, at(11_min), rule).ends, Ends::OwnKeepalive);
}

TEST(Keepalive, IsForWhomSomebodyHoldsInAStateThatIdles) {
  const Rule rule = with(keeps);
  for (const State s : {State::Established, State::FinWait2, State::CloseWait})
    EXPECT_EQ(judged_able(half_closed(at(0_s), s), at(1_s), rule).act, Act::Keepalive) << name(s);
  for (const State s : {State::FinWait1, State::Closing, State::LastAck, State::TimeWait, State::SynSent})
    EXPECT_EQ(judged_able(half_closed(at(0_s), s), at(1_s), rule).act, Act::Tell) << name(s);
  EXPECT_EQ(judged_able(orphan(at(0_s)), at(1_s), rule).act, Act::Tell);
  auto hidden = half_closed(at(0_s));
  hidden.beside.looked = true;
  EXPECT_EQ(judged_able(hidden, at(1_s), rule).act, Act::Tell);
  EXPECT_EQ(judged(half_closed(at(0_s)), at(1_s), rule).act, Act::Tell) << "the engine has none";
}

TEST(Keepalive, GivesWayToTheEndOfWhoIsGone) {
  const Rule rule = with(keeps);
  const auto gone = asked(half_closed(at(0_s)), 20, 20, at(25_s), at(25_s) + 10_min);
  const Verdict verdict = judged_able(gone, at(20_min), rule);
  ASSERT_EQ(verdict.standing, Standing::Gone);
  EXPECT_EQ(verdict.act, Act::Reset);
  EXPECT_EQ(verdict.cause, Cause::Gone);
}

TEST(Keepalive, OfADryRunIsOnlySaid) {
  World world(of_the_kernel([](Rule& r) {
    keeps(r);
    r.act = false;
  }));
  const auto slot = world.open(half_closed(world.now));
  world.run_for(10_min);
  EXPECT_TRUE(world.peers[slot].commands.empty());
  const Rule rule = with([](Rule& r) {
    keeps(r);
    r.act = false;
  });
  const Verdict verdict = judged_able(half_closed(at(0_s)), at(1_s), rule);
  EXPECT_NE(verdict.grounds.find(GroundKind::DryRunKeepalive), nullptr);
}

TEST(Keepalive, IsLeftAloneByARuleThatDoesNotMeanTheKernels) {
  WorldSettings settings;
  settings.kind = plane::PlaneKind::Kernel;
  settings.abilities = kWithKeepalive;
  settings.policy =
      Policy::make({{Filter::parse("state fin-wait-2").value(), with(keeps)}, {Filter(), Rule{}}}).value();
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.run_for(10_min);
  EXPECT_TRUE(world.peers[slot].commands.empty());
}

TEST(Keepalive, OnAPersonsWordIsWhatThePersonSaidAlsoWhereOneIsOn) {
  WorldSettings settings = of_the_kernel([](Rule&) {});
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.run_for(1_s);
  const plane::ConnectionId id{77, slot, world.record(slot).generation};
  Request request{.kind = plane::CommandKind::Keepalive, .user = 1000, .ticket = 3, .keepalive = {1, 2, 3}};
  ASSERT_EQ(world.attendant->request(0, id, request, world.now), std::nullopt);
  world.run_for(1_s);
  request.keepalive = {4, 5, 6};
  ASSERT_EQ(world.attendant->request(0, id, request, world.now), std::nullopt);
  world.run_for(1_s);
  ASSERT_EQ(world.peers[slot].commands.size(), 2U);
  EXPECT_EQ(world.peers[slot].commands[0].keepalive, (plane::Keepalive{1, 2, 3}));
  EXPECT_EQ(world.peers[slot].commands[1].keepalive, (plane::Keepalive{4, 5, 6}));
  const auto lone = world.open(orphan(world.now));
  EXPECT_EQ(world.attendant->request(0, {77, lone, world.record(lone).generation}, request, world.now),
            Refusal::Unable);
  World engine;
  const auto ours = engine.open(half_closed(engine.now));
  EXPECT_EQ(engine.attendant->request(0, {77, ours, engine.record(ours).generation}, request, engine.now),
            Refusal::Unable);
}

// ---- budgets

namespace {
WorldSettings with_budget(std::uint32_t count) {
  WorldSettings settings;
  settings.policy = Policy();
  settings.policy->orphans.count = count;
  return settings;
}
}  // namespace

TEST(OrphanBudget, TakesTheDoubtedBeforeTheLivingAndTheLongestUnheardFirst) {
  World world(with_budget(2));
  const auto oldest = world.open(orphan(world.now - 9_s));
  const auto doubted = world.open(orphan(world.now - 8_s));
  const auto younger = world.open(orphan(world.now - 2_s));
  const auto youngest = world.open(orphan(world.now - 1_s));
  world.peers[doubted].there = false;
  world.peers[doubted].record.probes[0] = 3;
  world.peers[doubted].record.last_heard = world.now - 40_s;
  world.peers[doubted].record.probe_first = world.now - 12_s;
  world.peers[doubted].record.probe_last = world.now - 5_s;
  world.writer().publish(doubted, world.peers[doubted].record);
  world.run_for(4_s);
  EXPECT_FALSE(world.peers.contains(oldest));
  EXPECT_FALSE(world.peers.contains(doubted));
  EXPECT_TRUE(world.peers.contains(younger));
  EXPECT_TRUE(world.peers.contains(youngest));
  ASSERT_GE(world.ledger.verdicts.size(), 2U);
  EXPECT_EQ(world.ledger.verdicts[world.ledger.verdicts.size() - 2].decision.id.slot, doubted);
  const auto* row = first_by(world.ledger, Cause::OverBudget);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->decision.verdict.grounds.find(GroundKind::OverBudget)->number, 4U);
  ASSERT_EQ(world.ledger.notes.size(), 2U);
  EXPECT_EQ(world.ledger.notes[0].kind, NoteKind::OverBudget);
  EXPECT_EQ(world.ledger.notes[1].kind, NoteKind::WithinBudget);
}

TEST(OrphanBudget, IsNobodysConcernWhoIsHeldOrExemptOrInTimeWait) {
  WorldSettings settings;
  settings.policy = Policy::make({{Filter::parse("sport = :443").value(), with([](Rule& r) { r.exempt = true; })},
                                  {Filter(), Rule{}}})
                        .value();
  settings.policy->orphans.count = 0;
  World world(settings);
  const auto exempt = world.open(orphan(world.now));
  auto others = half_closed(world.now);
  others.local.port = 444;
  const auto held = world.open(others);
  others = orphan(world.now, State::TimeWait);
  others.local.port = 444;
  const auto quarantined = world.open(others);
  others = orphan(world.now);
  others.local.port = 444;
  const auto counted = world.open(others);
  world.run_for(5_s);
  EXPECT_TRUE(world.peers.contains(exempt) && world.peers.contains(held) && world.peers.contains(quarantined));
  EXPECT_FALSE(world.peers.contains(counted));
}

TEST(OrphanBudget, OfOctetsEndsSomeOfThoseWhoHoldThem) {
  WorldSettings settings = with_budget(1000);
  settings.policy->orphans.bytes = 10'000;
  World world(settings);
  for (int i = 0; i < 16; ++i) {
    auto record = orphan(world.now - seconds(i));
    record.unsent = 1000;
    world.open(record);
  }
  world.run_for(20_s);
  EXPECT_LE(world.peers.size(), 10U);
  EXPECT_GE(world.peers.size(), 8U);
}

TEST(OrphanBudget, EndsNoMoreThanAreOverItNowHoweverManyWereARoundAgo) {
  World world(with_budget(2));
  std::vector<std::uint32_t> slots;
  for (int i = 0; i < 20; ++i) slots.push_back(world.open(orphan(world.now)));
  world.run_for(500_ms);  // one round has counted them
  for (int i = 0; i < 17; ++i) world.close(slots[static_cast<std::size_t>(i)]);
  world.run_for(5_s);
  EXPECT_EQ(world.peers.size(), 2U);
}

TEST(OrphanBudget, TightensWhileThisHostIsShortOfMemory) {
  WorldSettings settings = with_budget(1000);
  settings.policy->orphans_under_pressure.count = 1;
  World world(settings);
  for (int i = 0; i < 3; ++i) world.open(orphan(world.now));
  world.run_for(5_s);
  EXPECT_EQ(world.peers.size(), 3U);
  world.attendant->set_pressure(true);
  world.run_for(5_s);
  EXPECT_EQ(world.peers.size(), 1U);
}

// ---- hosts, loss and paths

TEST(HostBook, TellsTheSilenceOfAHostOnceHoweverManyConnectionsItHas) {
  World world;
  for (int i = 0; i < 20; ++i) world.peers[world.open(half_closed(world.now))].there = false;
  world.run_for(60_s);
  ASSERT_EQ(world.ledger.notes.size(), 1U);
  EXPECT_EQ(world.ledger.notes[0].kind, NoteKind::HostSilent);
  EXPECT_EQ(world.ledger.notes[0].host, Address::v4(10, 0, 0, 2));
  for (auto& [slot, peer] : world.peers) peer.there = true;
  world.run_for(30_s);
  ASSERT_EQ(world.ledger.notes.size(), 2U);
  EXPECT_EQ(world.ledger.notes[1].kind, NoteKind::HostBack);
  EXPECT_TRUE(world.ledger.ends.empty());
}

TEST(HostBook, KnowsThatAHostLivesByItsOtherConnections) {
  World world;
  const auto lost = world.open(half_closed(world.now));
  world.open(half_closed(world.now));
  world.peers[lost].there = false;
  world.run_for(3_min);
  bool heard_elsewhere = false;
  for (const auto& row : world.ledger.verdicts)
    heard_elsewhere |= row.decision.verdict.grounds.find(GroundKind::HostHeard) != nullptr;
  EXPECT_TRUE(heard_elsewhere);
  EXPECT_TRUE(world.ledger.notes.empty());
  EXPECT_EQ(world.ledger.ends.size(), 1U);  // its own silence is proof enough, and nobody else's life disproves it
}

TEST(HostBook, TakesMoreQuestionsForAProofWhereMoreGetLostThanAssumed) {
  WorldSettings settings;
  settings.rule.assumed_loss = 0.05;
  settings.rule.probes_needed = probes_needed(0.05);
  settings.loss = 0.4;
  World world(settings);
  for (int i = 0; i < 20; ++i) world.open(half_closed(world.now));
  world.run_for(1_h);  // enough fates to know
  const auto before = world.ledger.verdicts.size();
  for (auto& [slot, peer] : world.peers) peer.there = false;
  world.run_for(20_min);
  std::uint32_t fewest = UINT32_MAX;
  for (auto i = before; i < world.ledger.verdicts.size(); ++i)
    if (world.ledger.verdicts[i].decision.verdict.standing == Standing::Gone)
      fewest = std::min(fewest, world.ledger.verdicts[i].decision.verdict.unanswered);
  EXPECT_GT(fewest, 2 * settings.rule.probes_needed);
  EXPECT_LT(fewest, probes_needed(0.5));
  EXPECT_EQ(world.peers.size(), 0U);
}

TEST(HostBook, WhatWasMeasuredOfAHostOutlivesTheControlPlane) {
  WorldSettings settings;
  settings.rule.assumed_loss = 0.05;
  settings.rule.probes_needed = probes_needed(0.05);
  settings.loss = 0.4;
  World world(settings);
  for (int i = 0; i < 20; ++i) world.open(half_closed(world.now));
  world.run_for(1_h);
  ASSERT_EQ(world.ledger.hosts.size(), 1U);
  EXPECT_LT(world.ledger.writes_of_hosts, world.ledger.hosts.begin()->second.asked / 10U);  // not with every answer
  world.kill_control();
  const auto before = world.ledger.verdicts.size();
  for (auto& [slot, peer] : world.peers) peer.there = false;
  world.start_control();
  world.run_for(20_s);
  // Whoever looks on with what the ledger keeps sees the same N as the new control plane.
  HostBook known;
  for (const auto& [address, host] : world.ledger.hosts) known.know(host);
  const Onlook seen = look_on(world.peers.begin()->second.record, kPlane, world.reader().heartbeat(),
                              Policy(settings.rule), world.view().status(), known, world.now);
  EXPECT_GT(seen.rule.probes_needed, 2 * settings.rule.probes_needed);
  world.run_for(20_min);
  std::uint32_t fewest = UINT32_MAX;
  for (auto i = before; i < world.ledger.verdicts.size(); ++i)
    if (world.ledger.verdicts[i].decision.verdict.standing == Standing::Gone)
      fewest = std::min(fewest, world.ledger.verdicts[i].decision.verdict.unanswered);
  EXPECT_GE(fewest, seen.rule.probes_needed);
  EXPECT_EQ(world.peers.size(), 0U);
}

TEST(HostBook, TellsWhatItLearnedOfAHostUntilThatIsKept) {
  HostBook book;
  const Address address = Address::v4(10, 0, 0, 2);
  const auto host = book.attend(address);
  for (int i = 0; i < 24; ++i) book.answered(host, 1);
  EXPECT_TRUE(book.learned().empty());  // 48 fates are too few
  book.answered(host, 1);
  const std::vector<HostLearned> expected{{address, 50, 25, Duration::max()}};
  EXPECT_EQ(book.learned(), expected);
  EXPECT_EQ(book.learned(), expected);  // nobody has kept it yet
  book.kept();
  EXPECT_TRUE(book.learned().empty());
  for (int i = 0; i < 24; ++i) book.answered(host, 1);
  EXPECT_TRUE(book.learned().empty());  // the same share, from fewer than twice the questions
  book.answered(host, 1);
  EXPECT_EQ(book.learned().size(), 1U);
  book.kept();
  book.forgot(host, 60_s);
  EXPECT_EQ(book.learned().at(0).path_timer, 60_s);
  book.kept();
  book.forgot(host, 60_s);
  EXPECT_TRUE(book.learned().empty());
}

TEST(HostBook, KnowsWhatAnEarlierOneLearnedAndTakesNoNonsense) {
  HostBook book;
  const HostLearned told{Address::v4(10, 0, 0, 2), 100, 40, 60_s};
  book.know(told);
  EXPECT_EQ(book.facts(told.host).lost, 0.4);
  EXPECT_EQ(book.facts(told.host).path_timer, 60_s);
  EXPECT_EQ(book.shortest_path_timer(), 60_s);
  EXPECT_TRUE(book.learned().empty());  // it is kept already
  book.know({told.host, 100, 0, Duration::max()});
  EXPECT_EQ(book.facts(told.host).lost, 0.4);
  book.know({Address::v4(10, 0, 0, 3), 100, 101, Duration::max()});
  EXPECT_EQ(book.facts(Address::v4(10, 0, 0, 3)).lost, 0);
}

TEST(HostBook, TakesNoMoreThanItHasRoomForFromAnEarlierOne) {
  HostBook book;
  for (std::size_t i = 0; i <= HostBook::kMost; ++i)
    book.know({Address::v4(10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                           static_cast<std::uint8_t>(i)),
               100, 40, 60_s});
  EXPECT_EQ(book.size(), HostBook::kMost);
}

TEST(HostBook, WhatAFullDiskDidNotTakeIsToldAgain) {
  WorldSettings settings;
  settings.loss = 0.3;
  World world(settings);
  for (int i = 0; i < 20; ++i) world.open(half_closed(world.now));
  world.ledger.full = true;
  world.run_for(30_min);
  EXPECT_TRUE(world.ledger.hosts.empty());
  world.ledger.full = false;
  world.run_for(2_s);
  EXPECT_EQ(world.ledger.hosts.size(), 1U);
}

TEST(Path, IsNamedByTheTimerThatFitsWhenAResetAnswersAQuestionAfterSilence) {
  WorldSettings settings;
  settings.rule.interval = minutes(5);
  settings.policy = Policy(settings.rule);
  settings.policy->path_timers = {{seconds(60), set_of(State::FinWait2)}, {seconds(240), set_of(State::FinWait2)}};
  World world(settings);
  const auto slot = world.open(half_closed(world.now));
  world.peers[slot].there = false;
  while (world.peers[slot].commands.empty()) world.run_for(1_s);
  world.close(slot, EndReason::PeerReset);
  world.run_for(2_s);
  ASSERT_EQ(world.ledger.notes.size(), 1U);
  EXPECT_EQ(world.ledger.notes[0].kind, NoteKind::PathForgot);
  EXPECT_EQ(world.ledger.notes[0].span, 240_s);
  EXPECT_GE(world.ledger.notes[0].silence, 5_min);
}

// A kernel forgets an orphan after a minute, which looks like a path that does.
TEST(Path, IsNotBlamedForWhatTheKernelOfAPeerThatHadClosedMayHaveForgotten) {
  const auto notes = [](plane::PlaneKind kind, State state) {
    WorldSettings settings;
    settings.kind = kind;
    settings.rule.interval = minutes(5);
    settings.policy =
        Policy::make({{Filter::parse("plane kernel").value(), settings.rule}, {Filter(), settings.rule}}).value();
    settings.policy->path_timers = {{seconds(60), set_of(State::FinWait2) | set_of(State::CloseWait)}};
    World world(settings);
    const auto slot = world.open(half_closed(world.now, state));
    world.peers[slot].there = false;
    while (world.peers[slot].commands.empty()) world.run_for(1_s);
    world.close(slot, EndReason::PeerReset);
    world.run_for(2_s);
    return world.ledger.notes.size();
  };
  EXPECT_EQ(notes(plane::PlaneKind::Kernel, State::CloseWait), 0U);
  EXPECT_EQ(notes(plane::PlaneKind::Kernel, State::FinWait2), 1U);
  EXPECT_EQ(notes(plane::PlaneKind::Engine, State::CloseWait), 1U);
}

TEST(Path, ThatWasLearnedToForgetIsKeptFromThenOn) {
  WorldSettings settings;
  settings.rule.interval = minutes(5);
  settings.rule.keep_path = KeepPath::Learned;
  settings.policy = Policy(settings.rule);
  settings.policy->path_timers = {{seconds(240), set_of(State::FinWait2)}};
  World world(settings);
  const auto lost = world.open(half_closed(world.now));
  world.peers[lost].there = false;
  while (world.peers[lost].commands.empty()) world.run_for(1_s);
  world.close(lost, EndReason::PeerReset);
  world.run_for(2_s);
  const auto next = world.open(half_closed(world.now));
  auto elsewhere = half_closed(world.now);
  elsewhere.remote.address = Address::v4(10, 9, 9, 9);
  const auto other = world.open(elsewhere);
  world.run_for(4_min);
  EXPECT_GE(world.peers[next].commands.size(), 2U);  // 240 s hold two questions
  EXPECT_TRUE(world.peers[other].commands.empty());
}

TEST(Path, LeavesTheFirstQuestionToTheInsideOfANat) {
  auto record = half_closed(at(0_s));
  EXPECT_FALSE(gather(record, {}, at(1_s)).may_be_outside);
  record.local.address = Address::v4(203, 0, 113, 1);
  EXPECT_FALSE(gather(record, {}, at(1_s)).may_be_outside);  // its peer is private: there is no NAT between
  record.remote.address = Address::v4(198, 51, 100, 7);
  EXPECT_TRUE(gather(record, {}, at(1_s)).may_be_outside);
  World inside;
  World outside;
  const auto in = inside.open(half_closed(inside.now));
  const auto out = outside.open([&] {
    auto r = half_closed(outside.now);
    r.local.address = record.local.address;
    r.remote.address = record.remote.address;
    return r;
  }());
  inside.run_for(50_s - 1_ms);
  outside.run_for(50_s - 1_ms);
  EXPECT_EQ(inside.peers[in].commands.size(), 1U);
  EXPECT_TRUE(outside.peers[out].commands.empty());
  outside.run_for(5_s);
  EXPECT_EQ(outside.peers[out].commands.size(), 1U);
}

// ---- the budget of questions

TEST(ProbeBudget, SpreadsTheQuestionsToOneHostAndAsksEverybodyAtLast) {
  WorldSettings settings;
  settings.slots = 512;
  settings.commands = 1024;
  settings.policy = Policy();
  settings.policy->probes.per_host = 10;
  World world(settings);
  for (int i = 0; i < 300; ++i) world.open(half_closed(world.now));
  world.run_for(25_s);
  const Instant begun = world.now;
  std::size_t asked_by_now = 0;
  for (int second = 1; second <= 40; ++second) {
    world.run_until(begun + seconds(second));
    asked_by_now = 0;
    for (const auto& [slot, peer] : world.peers) asked_by_now += peer.commands.size();
    EXPECT_LE(asked_by_now, static_cast<std::size_t>(second) * 10 + 3);
  }
  std::size_t never = 0;
  for (const auto& [slot, peer] : world.peers) never += peer.commands.empty() ? 1U : 0U;
  EXPECT_LT(never, 60U);
  EXPECT_GT(asked_by_now, 300U);
}
