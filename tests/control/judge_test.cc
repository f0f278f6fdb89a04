// The judge: boundaries of the ladder, grounds, and what will end a connection.
#include "control/judge.h"

#include <gtest/gtest.h>

#include "records.h"

using namespace adieu;
using namespace adieu::control;
using namespace adieu::control::testing;

namespace {
const Rule kRule;  // 25 s, N = 31, T = 100 s
const Instant kHeard = at(1000_s);
const Instant kFirst = at(1026_s);

// Asked from kFirst on, 31 times, the last long enough ago for an answer.
plane::Record proven() { return asked(half_closed(kHeard), 16, 15, kFirst, kFirst + 97_s); }
std::uint64_t number(const Verdict& v, GroundKind kind) {
  return v.grounds.find(kind) ? v.grounds.find(kind)->number : 0;
}
Duration span(const Verdict& v, GroundKind kind) {
  return v.grounds.find(kind) ? v.grounds.find(kind)->span : Duration{};
}
}  // namespace

TEST(Judge, HeardWithinTheIntervalIsAliveAndAMillisecondMoreIsSilent) {
  const auto r = half_closed(kHeard);
  EXPECT_EQ(judged(r, kHeard + 25_s).standing, Standing::Alive);
  EXPECT_EQ(judged(r, kHeard + 25_s + 1_ms).standing, Standing::Silent);
  const Instant next = judged(r, kHeard + 1_s).next_look;
  EXPECT_EQ(judged(r, next).standing, Standing::Silent);
  EXPECT_EQ(judged(r, next - 1_ns).standing, Standing::Alive);
}

TEST(Judge, AQuestionIsUnansweredOnlyWhenAnAnswerHadTime) {
  const auto r = asked(half_closed(kHeard), 1, 0, kFirst, kFirst);
  const Verdict young = judged(r, kFirst + 3_s - 1_ms);
  EXPECT_EQ(young.standing, Standing::Silent);
  EXPECT_EQ(number(young, GroundKind::OnItsWay), 1U);
  EXPECT_EQ(young.next_look, kFirst + 3_s);
  const Verdict old = judged(r, kFirst + 3_s);
  EXPECT_EQ(old.standing, Standing::Suspect);
  EXPECT_EQ(number(old, GroundKind::QuestionsMissing), 30U);
}

TEST(Judge, OneProbeLessThanNIsNotGoneAndNIs) {
  const Instant now = kFirst + 200_s;
  EXPECT_EQ(judged(asked(half_closed(kHeard), 15, 15, kFirst, kFirst + 97_s), now).standing, Standing::Suspect);
  EXPECT_EQ(judged(asked(half_closed(kHeard), 16, 15, kFirst, kFirst + 97_s), now).standing, Standing::Gone);
}

TEST(Judge, AMillisecondLessThanTIsNotGoneAndTIs) {
  const Verdict before = judged(proven(), kFirst + 100_s - 1_ms);
  EXPECT_EQ(before.standing, Standing::Suspect);
  EXPECT_EQ(before.next_look, kFirst + 100_s);
  EXPECT_EQ(before.gone_earliest, kFirst + 100_s);
  EXPECT_EQ(span(before, GroundKind::TimeMissing), 1_ms);
  EXPECT_EQ(judged(proven(), kFirst + 100_s).standing, Standing::Gone);
}

TEST(Judge, TheLastProbeMustHaveHadTimeForItsAnswerToo) {
  const auto r = asked(half_closed(kHeard), 16, 15, kFirst, kFirst + 110_s);
  EXPECT_EQ(judged(r, kFirst + 113_s - 1_ms).standing, Standing::Suspect);
  EXPECT_EQ(judged(r, kFirst + 113_s - 1_ms).next_look, kFirst + 113_s);
  EXPECT_EQ(judged(r, kFirst + 113_s).standing, Standing::Gone);
}

TEST(Judge, EveryFormThatTheConnectionAllowsMustHaveBeenUsed) {
  const Instant now = kFirst + 200_s;
  const auto only_echo = asked(half_closed(kHeard), 40, 0, kFirst, kFirst + 150_s);
  EXPECT_EQ(judged(only_echo, now).standing, Standing::Suspect);
  ASSERT_TRUE(judged(only_echo, now).grounds.find(GroundKind::FormUnused));
  EXPECT_EQ(number(judged(only_echo, now), GroundKind::FormUnused), static_cast<std::uint64_t>(ProbeForm::Bare));
  EXPECT_EQ(judged(asked(half_closed(kHeard), 39, 1, kFirst, kFirst + 150_s), now).standing, Standing::Gone);
}

TEST(Judge, AConnectionThatNeverSentAnOctetIsProvenGoneByBareProbesAlone) {
  auto r = asked(half_closed(kHeard, State::CloseWait), 0, 31, kFirst, kFirst + 97_s);
  r.can_echo = false;
  EXPECT_EQ(judged(r, kFirst + 100_s).standing, Standing::Gone);
}

TEST(Judge, AnAcceptableSegmentMakesTheProvenGoneAlive) {
  auto r = proven();
  r.last_heard = kFirst + 300_s;  // and the plane has cleared what was asked before
  r.heard += 1;
  r = asked(r, 0, 0, Instant::unknown(), Instant::unknown());
  EXPECT_EQ(judged(r, kFirst + 300_s).standing, Standing::Alive);
}

TEST(Judge, TimeThatNobodyAttendedIsNoEvidence) {
  const plane::Gap gaps[] = {
      {kFirst + 10_s, kFirst + 30_s}, {kFirst + 20_s, kFirst + 40_s}, {kHeard - 500_s, kHeard - 1_s}};
  const Attention attention{kAllAbilities, gaps, {}, {}};
  // 30 s of the span lie in two gaps that overlap; the third lies before. In two an answer may have been missed.
  EXPECT_EQ(judged(proven(), kFirst + 130_s, kRule, attention).standing, Standing::Suspect);
  auto more = proven();
  more.probes[0] += 2;
  EXPECT_EQ(judged(more, kFirst + 130_s - 1_ms, kRule, attention).standing, Standing::Suspect);
  EXPECT_EQ(judged(more, kFirst + 130_s, kRule, attention).standing, Standing::Gone);
  EXPECT_EQ(span(judged(more, kFirst + 130_s, kRule, attention), GroundKind::Unattended), 30_s);
}

TEST(Judge, OverlappingAndUnusedGapsAreCountedOnce) {
  const plane::Gap gaps[] = {
      {}, {at(10_s), at(20_s)}, {at(12_s), at(15_s)}, {at(18_s), at(30_s)}, {at(90_s), at(99_s)}};
  EXPECT_EQ(unattended(at(0_s), at(100_s), gaps), 29_s);
  EXPECT_EQ(unattended(at(14_s), at(19_s), gaps), 5_s);
  EXPECT_EQ(unattended(at(30_s), at(90_s), gaps), 0_s);
}

TEST(Judge, NothingIsKnownOfAStoppedPlane) {
  const Attention stopped{kAllAbilities, {}, kFirst + 50_s, {}};
  const Verdict v = judged(proven(), kFirst + 200_s, kRule, stopped);
  EXPECT_EQ(v.standing, Standing::Unknown);
  EXPECT_EQ(v.ends, Ends::Nothing);
  EXPECT_EQ(span(v, GroundKind::PlaneStopped), 150_s);
}

TEST(Judge, TimeWaitIsNeverMoreThanSilent) {
  auto r = proven();
  r.state = State::TimeWait;
  const Verdict v = judged(r, kFirst + 500_s);
  EXPECT_EQ(v.standing, Standing::Silent);
  EXPECT_EQ(v.ends, Ends::TimeWaitQuarantine);
  EXPECT_EQ(v.gone_earliest, Instant::never());
  EXPECT_TRUE(v.grounds.find(GroundKind::NotAskedQuarantine));
}

TEST(Judge, WhoIsNotSynchronizedIsNotJudged) {
  for (const State s : {State::Listen, State::SynSent, State::SynReceived}) {
    auto r = half_closed(kHeard, s);
    EXPECT_EQ(judged(r, kHeard + 1_h).standing, Standing::Unknown) << name(s);
    EXPECT_FALSE(may_ask(gather(r, {kAllAbilities, {}, {}, {}}, kHeard + 1_h), kRule)) << name(s);
  }
}

TEST(Judge, RetransmissionsOfAFinAreQuestionsTheLatestNotYet) {
  for (const State s : {State::FinWait1, State::Closing, State::LastAck}) {
    auto r = half_closed(kHeard, s);
    r.oldest_unacked = kHeard + 1_s;
    r.attempts = 1;
    EXPECT_EQ(judged(r, kHeard + 200_s).standing, Standing::Silent) << name(s);
    r.attempts = 31;  // thirty besides the latest
    EXPECT_EQ(judged(r, kHeard + 200_s).standing, Standing::Suspect) << name(s);
    r.attempts = 32;
    EXPECT_EQ(judged(r, kHeard + 200_s).standing, Standing::Gone) << name(s);
    EXPECT_EQ(number(judged(r, kHeard + 200_s), GroundKind::UnansweredPending), 31U) << name(s);
    EXPECT_EQ(judged(r, kHeard + 101_s - 1_ms).standing, Standing::Suspect) << name(s);
    EXPECT_EQ(judged(r, kHeard + 101_s).standing, Standing::Gone) << name(s);
  }
}

TEST(Judge, APendingProbeIsNotCountedTwiceAsARetransmission) {
  auto r = half_closed(kHeard, State::LastAck);
  r.oldest_unacked = kHeard;
  r.attempts = 20;
  r.probes[static_cast<unsigned>(ProbeForm::Pending)] = 18;
  r.probe_first = kFirst;
  r.probe_last = kFirst + 90_s;
  EXPECT_EQ(judged(r, kFirst + 200_s).unanswered, 19U);
}

TEST(Judge, APeerThatKeepsAcknowledgingWithAClosedWindowIsAlive) {
  auto r = half_closed(kHeard, State::FinWait1);
  r.peer_window_closed = true;
  r.oldest_unacked = kHeard - 1_h;  // for an hour nothing has gone out
  r.progress_out = kHeard - 1_h;
  r.attempts = 1;
  const Verdict v = judged(r, kHeard + 20_s);
  EXPECT_EQ(v.standing, Standing::Alive);
  EXPECT_TRUE(v.grounds.find(GroundKind::WindowClosed));
}

TEST(Judge, WhatIsOutstandingIsTheOnlyQuestion) {
  auto r = half_closed(kHeard, State::CloseWait);
  EXPECT_EQ(gather(r, {kAllAbilities, {}, {}, {}}, kFirst).possible,
            set_of(ProbeForm::DataEcho) | set_of(ProbeForm::Bare));
  r.oldest_unacked = kHeard + 1_s;
  EXPECT_EQ(gather(r, {kAllAbilities, {}, {}, {}}, kFirst).possible, set_of(ProbeForm::Pending));
}

TEST(Judge, AnIdleEstablishedConnectionIsNotAskedUnlessTheRuleSaysSo) {
  const auto r = half_closed(kHeard, State::Established);
  const Verdict v = judged(r, kHeard + 1_h);
  EXPECT_EQ(v.standing, Standing::Silent);
  EXPECT_EQ(v.gone_earliest, Instant::never());
  EXPECT_TRUE(v.grounds.find(GroundKind::NotAskedInState));
  Rule rule;
  rule.idle_states |= set_of(State::Established);
  EXPECT_FALSE(judged(r, kHeard + 1_h, rule).grounds.find(GroundKind::NotAskedInState));
  EXPECT_NE(judged(r, kHeard + 1_h, rule).gone_earliest, Instant::never());
}

TEST(Judge, APlaneThatMayMissSignsOfLifeProvesNobodyGone) {
  const Attention deaf{without(plane::Ability::ReportsHeard), {}, {}, {}};
  const Verdict v = judged(proven(), kFirst + 1_h, kRule, deaf);
  EXPECT_EQ(v.standing, Standing::Suspect);
  EXPECT_TRUE(v.grounds.find(GroundKind::SignsMayBeMissed));
  EXPECT_EQ(v.gone_earliest, Instant::never());
}

// The kernel's: bare questions alone, four in a row.
constexpr plane::Abilities kBareOnly = plane::Ability::ReportsHeard | plane::Ability::ReportsHolder |
                                       plane::Ability::ProbeBare | plane::Ability::AbortReset |
                                       plane::Ability::GuardedAbort;

TEST(Judge, APlaneThatAsksNoMoreThanFourProvesNobodyGoneByARuleThatWantsFive) {
  const Attention kernel{kBareOnly, {}, {}, {}};
  Rule rule;
  rule.probes_needed = 5;
  auto r = asked(half_closed(kHeard), 0, 4, kFirst, kFirst + 150_s);
  for (const bool can_probe : {true, false}) {
    r.can_probe = can_probe;
    const Verdict v = judged(r, kFirst + 1_h, rule, kernel);
    EXPECT_EQ(v.standing, Standing::Suspect);
    EXPECT_EQ(v.gone_earliest, Instant::never());
    EXPECT_EQ(v.ends, Ends::PeerFin);  // neither an answer nor a verdict ends it
    EXPECT_EQ(number(v, GroundKind::TooFewAskable), 4U);
    EXPECT_FALSE(v.grounds.find(GroundKind::QuestionsMissing));
  }
  EXPECT_EQ(number(judged(r, kFirst + 1_h, rule, kernel), GroundKind::NotAskedUnable), 4U);
  // One that nobody may have heard the answer to does not count.
  const plane::Gap gap[] = {{kFirst + 1_s, kFirst + 2_s}};
  rule.probes_needed = 4;
  const Verdict spoiled = judged(r, kFirst + 1_h, rule, {kBareOnly, gap, {}, {}});
  EXPECT_EQ(spoiled.standing, Standing::Suspect);
  EXPECT_EQ(number(spoiled, GroundKind::TooFewAskable), 3U);
  const Verdict gone = judged(r, kFirst + 1_h, rule, kernel);
  EXPECT_EQ(gone.standing, Standing::Gone);
  EXPECT_FALSE(gone.grounds.find(GroundKind::TooFewAskable));
}

TEST(Judge, WhoeverHasTheKernelsKeepaliveOnIsLeftToIt) {
  auto r = half_closed(kHeard);
  r.can_probe = false;
  r.holder = plane::Holder::Held;
  r.beside.timer = plane::OwnTimer::Keepalive;
  const Verdict v = judged(r, kHeard + 1_h, kRule, {kBareOnly, {}, {}, {}});
  EXPECT_TRUE(v.grounds.find(GroundKind::NotAskedOwnAsks));
  EXPECT_FALSE(v.grounds.find(GroundKind::NotAskedUnable));
  EXPECT_EQ(v.ends, Ends::OwnKeepalive);
}

TEST(Judge, ADoubtedPeerWhomNobodyAsksAnyMoreEndsNothing) {
  const auto r = asked(half_closed(kHeard), 0, 1, kFirst, kFirst);
  const Attention kernel{kBareOnly | plane::Ability::ProbeUncounted, {}, {}, {}};
  EXPECT_EQ(judged(r, kFirst + 1_h, kRule, kernel).ends, Ends::PeerAnswersOrVerdictGone);
  Rule rule;
  rule.when_gone = Act::Tell;
  EXPECT_EQ(judged(r, kFirst + 1_h, rule, kernel).ends, Ends::PeerFin);
  rule = {};
  rule.probing = false;  // a person has asked, once
  EXPECT_EQ(judged(r, kFirst + 1_h, rule, kernel).ends, Ends::PeerFin);
}

TEST(Judge, NoRuleFinishesWhatNoProcessHasOpen) {
  auto r = half_closed(kHeard, State::CloseWait);
  r.holder = plane::Holder::AcceptQueue;
  Rule rule;
  rule.always = Act::Finish;
  const Attention kernel{kBareOnly | plane::Ability::Finish, {}, {}, {}};
  EXPECT_EQ(judged(r, kFirst, rule, kernel).act, Act::Finish);  // nobody has looked
  r.beside.looked = true;
  r.beside.process = 7;  // who listens
  EXPECT_EQ(judged(r, kFirst, rule, kernel).act, Act::Tell);
  r.holder = plane::Holder::Held;
  EXPECT_EQ(judged(r, kFirst, rule, kernel).act, Act::Finish);
  r.beside.process = 0;  // in flight
  EXPECT_EQ(judged(r, kFirst, rule, kernel).act, Act::Tell);
}

TEST(Judge, WhomNoRuleEndsAlthoughItsPeerIsGoneItsOwnTimerEnds) {
  auto r = asked(half_closed(kHeard), 0, 31, kFirst, kFirst + 150_s);
  Rule rule;
  rule.when_gone = Act::Tell;
  const Attention kernel{kBareOnly | plane::Ability::ProbeUncounted, {}, {}, {}};
  EXPECT_EQ(judged(r, kFirst + 1_h, rule, kernel).standing, Standing::Gone);
  EXPECT_EQ(judged(r, kFirst + 1_h, rule, kernel).ends, Ends::Nothing);
  r.beside.timer = plane::OwnTimer::Keepalive;
  EXPECT_EQ(judged(r, kFirst + 1_h, rule, kernel).ends, Ends::OwnKeepalive);
}

TEST(Judge, AResetAfterAQuestionIsCalledItsAnswerAndOneWithoutIsNot) {
  auto r = half_closed(kHeard);
  r.reason = EndReason::PeerReset;
  EXPECT_FALSE(judged(r, kFirst).grounds.find(GroundKind::ResetAnswers));
  r = asked(r, 0, 1, kFirst, kFirst);
  EXPECT_EQ(number(judged(r, kFirst), GroundKind::ResetAnswers), 1U);
  r.reason = EndReason::Vanished;
  EXPECT_FALSE(judged(r, kFirst).grounds.find(GroundKind::ResetAnswers));
}

TEST(Judge, CitesNoQuestionUnansweredWhereNoneIs) {
  const auto r = asked(half_closed(kHeard), 1, 0, kFirst, kFirst);
  EXPECT_FALSE(judged(r, kFirst + 3_s - 1_ms).grounds.find(GroundKind::Unanswered));
  EXPECT_EQ(number(judged(r, kFirst + 3_s), GroundKind::Unanswered), 1U);
}

TEST(Judge, CitesTheNumbersItsVerdictRestsOn) {
  const Verdict v = judged(proven(), kFirst + 104_s);
  ASSERT_EQ(v.standing, Standing::Gone);
  EXPECT_EQ(number(v, GroundKind::Unanswered), 31U);
  EXPECT_EQ(span(v, GroundKind::Unanswered), 104_s);
  EXPECT_EQ(number(v, GroundKind::UnansweredEcho), 16U);
  EXPECT_EQ(number(v, GroundKind::UnansweredBare), 15U);
  EXPECT_EQ(span(v, GroundKind::Heard), 130_s);
}

TEST(Judge, TheEarliestProofIsNotEarlierThanTheLadderAllows) {
  // Alive: the first question comes an interval after the last sign, the proof T later.
  EXPECT_EQ(judged(half_closed(kHeard), kHeard + 1_s).gone_earliest, kHeard + 25_s + 100_s);
  // Late in time, early in count: the count decides. Two asked, 29 missing, 3.226 s apart, 3 s for the last answer.
  const auto r = asked(half_closed(kHeard), 1, 1, kFirst, kFirst + 100_s);
  EXPECT_EQ(judged(r, kFirst + 103_s).gone_earliest, kFirst + 100_s + 3226_ms * 29 + 3_s);
}

TEST(Judge, SaysWhatWillEndIt) {
  EXPECT_EQ(judged(half_closed(kHeard, State::FinWait2), kHeard).ends, Ends::PeerFin);
  EXPECT_EQ(judged(half_closed(kHeard, State::CloseWait), kHeard).ends, Ends::ApplicationClose);
  EXPECT_EQ(judged(half_closed(kHeard, State::Established), kHeard).ends, Ends::EitherSideCloses);
  EXPECT_EQ(judged(half_closed(kHeard, State::LastAck), kHeard).ends, Ends::PeerAcknowledges);
  EXPECT_EQ(judged(proven(), kFirst + 50_s).ends, Ends::PeerAnswersOrVerdictGone);
  EXPECT_EQ(judged(proven(), kFirst + 100_s).ends, Ends::CommandedAbort);
  Rule dry = kRule;
  dry.act = false;
  EXPECT_EQ(judged(proven(), kFirst + 100_s, dry).ends, Ends::Nothing);
  const Attention unguarded{without(plane::Ability::GuardedAbort), {}, {}, {}};
  EXPECT_EQ(judged(proven(), kFirst + 100_s, kRule, unguarded).ends, Ends::Nothing);
  auto over = proven();
  over.reason = EndReason::Commanded;
  over.ended_by = 42;
  EXPECT_EQ(judged(over, kFirst + 100_s).ends, Ends::AlreadyEnded);
  EXPECT_EQ(number(judged(over, kFirst + 100_s), GroundKind::EndedByVerdict), 42U);
}

TEST(Judge, SaysWhoStillWantsIt) {
  auto r = half_closed(kHeard, State::CloseWait);
  const auto wanted = [&] { return judged(r, kHeard).wanted; };
  r.end_of_stream_read = plane::Known::No;
  EXPECT_EQ(wanted(), Wanted::EndOfStreamUnread);
  r.end_of_stream_read = plane::Known::Yes;
  EXPECT_EQ(wanted(), Wanted::EndOfStreamReadNotClosed);
  r.end_of_stream_read = plane::Known::Unknown;
  r.unread = plane::kUnknownCount;
  EXPECT_EQ(wanted(), Wanted::Unknown);
  r.unread = 0;
  EXPECT_EQ(wanted(), Wanted::AllReadNotClosed);  // nothing unread proves no more than that
  r.unread = 1;
  EXPECT_EQ(wanted(), Wanted::EndOfStreamUnread);
  r.holder = plane::Holder::AcceptQueue;
  EXPECT_EQ(wanted(), Wanted::AcceptQueue);
  r.holder = plane::Holder::Orphan;
  EXPECT_EQ(wanted(), Wanted::Orphan);
  r.holder = plane::Holder::Unknown;
  EXPECT_EQ(wanted(), Wanted::Unknown);
  EXPECT_EQ(judged(half_closed(kHeard, State::FinWait2), kHeard).wanted, Wanted::Held);
}

TEST(Judge, SurvivesAnyNumbersThatATableMayHold) {
  plane::Record r = half_closed(Instant{INT64_MIN + 1}, State::FinWait1);
  r.attempts = UINT32_MAX;
  for (auto& n : r.probes) n = UINT16_MAX;
  for (const Instant t : {Instant{INT64_MIN + 1}, Instant{INT64_MAX - 1}, Instant::never(), Instant::unknown()}) {
    r.oldest_unacked = r.probe_first = r.probe_last = t;
    for (const Instant now : {at(0_s), at(1_h), Instant{INT64_MAX - 1}}) {
      const Verdict v = judged(r, now);
      EXPECT_LE(v.unanswered, 1'200'000U);
    }
  }
}

TEST(Judge, CitesWhatIsKnownOfThoseWhoHoldIt) {
  auto r = half_closed(kHeard, State::CloseWait);
  r.unread = 5;
  const Verdict v = judged(r, kHeard + 1_s);
  ASSERT_NE(v.grounds.find(GroundKind::Here), nullptr);
  EXPECT_EQ(v.grounds.find(GroundKind::Here)->number, static_cast<std::uint64_t>(Wanted::EndOfStreamUnread));
  EXPECT_EQ(v.grounds.find(GroundKind::Unread)->number, 5U);
  EXPECT_EQ(source_of(GroundKind::Here), Source::Holder);
  r.unread = plane::kUnknownCount;
  EXPECT_EQ(judged(r, kHeard + 1_s).grounds.find(GroundKind::Unread), nullptr);
}

// --- what a plane tells that watches another's TCP (Record::beside)

namespace {
// Held by process 5, which was found by a look at everybody.
plane::Record held_by_5(State state) {
  auto r = half_closed(kHeard, state);
  r.beside.process = 5;
  r.beside.processes = 1;
  r.beside.looked = true;
  r.beside.looked_everywhere = true;
  return r;
}
plane::Record timed(State state, plane::Holder holder, plane::OwnTimer timer, Instant fires, std::uint8_t retries = 0) {
  auto r = half_closed(kHeard, state);
  r.holder = holder;
  r.beside.timer = timer;
  r.beside.fires = fires;
  r.beside.retries = retries;
  return r;
}
}  // namespace

TEST(Judge, WhatOnlyYoungerProcessesHoldIsInheritedOnceAStreamHasEnded) {
  for (const State s : {State::CloseWait, State::FinWait2, State::FinWait1}) {
    auto r = held_by_5(s);
    EXPECT_NE(judged(r, kHeard).wanted, Wanted::Inherited) << name(s);
    r.beside.inherited = true;
    EXPECT_EQ(judged(r, kHeard).wanted, Wanted::Inherited) << name(s);
  }
  auto open = held_by_5(State::Established);
  open.beside.inherited = true;
  EXPECT_EQ(judged(open, kHeard).wanted, Wanted::Held);  // as any worker holds what it was given
}

TEST(Judge, WhatNobodyHoldsIsHiddenOnlyIfEverybodyWasLookedAt) {
  for (const State s : {State::Established, State::CloseWait, State::FinWait2}) {
    auto r = held_by_5(s);
    r.beside.process = 0;
    EXPECT_EQ(judged(r, kHeard).wanted, Wanted::Hidden) << name(s);
    EXPECT_EQ(judged(r, kHeard).grounds.find(GroundKind::NotFound), nullptr);
    r.beside.looked_everywhere = false;
    EXPECT_EQ(judged(r, kHeard).wanted, Wanted::NotFound) << name(s);
    EXPECT_NE(judged(r, kHeard).grounds.find(GroundKind::NotFound), nullptr);
    r.beside.looked = false;
    EXPECT_NE(judged(r, kHeard).wanted, Wanted::NotFound) << name(s);
    EXPECT_NE(judged(r, kHeard).wanted, Wanted::Hidden) << name(s);
  }
}

TEST(Judge, AnOrphanIsNotHiddenAndWhatWaitsToBeAcceptedIsNotInherited) {
  auto r = held_by_5(State::FinWait2);
  r.beside.process = 0;
  r.holder = plane::Holder::Orphan;
  EXPECT_EQ(judged(r, kHeard).wanted, Wanted::Orphan);
  r = held_by_5(State::CloseWait);
  r.beside.inherited = true;
  r.holder = plane::Holder::AcceptQueue;
  EXPECT_EQ(judged(r, kHeard).wanted, Wanted::AcceptQueue);
}

TEST(Judge, NothingLeftToReadIsNoProofThatTheEndWasRead) {
  auto r = held_by_5(State::CloseWait);
  r.end_of_stream_read = plane::Known::Unknown;
  r.unread = 0;
  EXPECT_EQ(judged(r, kHeard).wanted, Wanted::AllReadNotClosed);
  r.unread = 1;
  EXPECT_EQ(judged(r, kHeard).wanted, Wanted::EndOfStreamUnread);
  Rule rule;
  rule.when_forgotten = Act::Finish;
  rule.forgotten_after = 1_s;
  r.unread = 0;
  EXPECT_EQ(judged(r, kHeard + 1_h, rule).act, Act::Tell) << "what may be meant to be read is not finished";
  r.end_of_stream_read = plane::Known::Yes;
  EXPECT_EQ(judged(r, kHeard + 1_h, rule).act, Act::Finish);
}

TEST(Judge, CitesWhoHoldsItButNotWhoHoldsItsListener) {
  auto r = held_by_5(State::CloseWait);
  EXPECT_EQ(number(judged(r, kHeard), GroundKind::HeldBy), 5U);
  EXPECT_EQ(judged(r, kHeard).grounds.find(GroundKind::HeldByMore), nullptr);
  r.beside.processes = 2;
  EXPECT_EQ(number(judged(r, kHeard), GroundKind::HeldByMore), 2U);
  r.holder = plane::Holder::AcceptQueue;
  EXPECT_EQ(judged(r, kHeard).grounds.find(GroundKind::HeldBy), nullptr);
  EXPECT_EQ(judged(r, kHeard).grounds.find(GroundKind::HeldByMore), nullptr);
}

TEST(Judge, AnOrphansOwnTimerEndsItWhenItFires) {
  const Instant fires = kHeard + 40_s;
  const Verdict v = judged(timed(State::FinWait2, plane::Holder::Orphan, plane::OwnTimer::Quarantine, fires), kHeard);
  EXPECT_EQ(v.ends, Ends::OwnTimer);
  EXPECT_EQ(v.ends_at, fires);
  const Verdict quarantine =
      judged(timed(State::TimeWait, plane::Holder::Unknown, plane::OwnTimer::Quarantine, fires), kHeard);
  EXPECT_EQ(quarantine.ends, Ends::TimeWaitQuarantine);
  EXPECT_EQ(quarantine.ends_at, fires);
}

TEST(Judge, ALongTimeOfAnOrphanHasTwoPartsAndOfAHeldOneTheSameTimerIsAKeepalive) {
  const Instant fires = kHeard + 139_s;
  const Attention kernel{kAllAbilities, {}, {}, 60_s};
  const Verdict orphan =
      judged(timed(State::FinWait2, plane::Holder::Orphan, plane::OwnTimer::Keepalive, fires), kHeard, {}, kernel);
  EXPECT_EQ(orphan.ends, Ends::OwnTimer);
  EXPECT_EQ(orphan.ends_at, fires + 60_s);
  for (const State s : {State::FinWait2, State::CloseWait, State::Established}) {
    const Verdict held = judged(timed(s, plane::Holder::Held, plane::OwnTimer::Keepalive, fires), kHeard, {}, kernel);
    EXPECT_EQ(held.ends, Ends::OwnKeepalive) << name(s);
    EXPECT_EQ(held.ends_at, Instant::unknown()) << name(s);  // an answer begins it anew
  }
}

TEST(Judge, RetransmissionsEndItOnlyOnceTheyHaveBegunButAFinHasNothingElse) {
  using plane::OwnTimer;
  const auto ends = [](State s, std::uint8_t retries) {
    return judged(timed(s, plane::Holder::Held, OwnTimer::Retransmit, kHeard + 1_s, retries), kHeard).ends;
  };
  EXPECT_EQ(ends(State::Established, 0), Ends::EitherSideCloses);
  EXPECT_EQ(ends(State::Established, 1), Ends::OwnRetransmissions);
  EXPECT_EQ(ends(State::CloseWait, 0), Ends::ApplicationClose);
  EXPECT_EQ(ends(State::CloseWait, 1), Ends::OwnRetransmissions);
  for (const State s : {State::FinWait1, State::Closing, State::LastAck})
    EXPECT_EQ(ends(s, 0), Ends::OwnRetransmissions) << name(s);
  EXPECT_EQ(judged(timed(State::LastAck, plane::Holder::Orphan, OwnTimer::Retransmit, kHeard + 1_s), kHeard).ends_at,
            Instant::unknown());
}

TEST(Judge, WindowProbesOfAnOrphanEndItWhoeverAnswers) {
  const auto r = timed(State::FinWait1, plane::Holder::Orphan, plane::OwnTimer::Persist, kHeard + 1_s);
  const Verdict verdict = judged(r, kHeard);
  EXPECT_EQ(verdict.ends, Ends::OwnTimer);
  EXPECT_FALSE(verdict.ends_at.is_known()) << "what fires is the next probe";
}

TEST(Judge, WindowProbesAreEndlessAsLongAsThePeerAnswersThem) {
  auto r = timed(State::FinWait1, plane::Holder::Held, plane::OwnTimer::Persist, kHeard + 1_s);
  r.peer_window_closed = true;
  r.attempts = 1;
  EXPECT_EQ(judged(r, kHeard).ends, Ends::PeerAcknowledges);
  EXPECT_EQ(judged(r, kHeard).ends_at, Instant::never());
  r.attempts = 2;
  EXPECT_EQ(judged(r, kHeard).ends, Ends::OwnRetransmissions);
  EXPECT_EQ(judged(r, kHeard).ends_at, Instant::unknown());
}

TEST(Judge, WithoutATimerOnlyTheProtocolEndsIt) {
  for (const plane::OwnTimer timer : {plane::OwnTimer::None, plane::OwnTimer::Unknown}) {
    const Verdict v = judged(timed(State::FinWait2, plane::Holder::Held, timer, Instant::unknown()), kHeard);
    EXPECT_EQ(v.ends, Ends::PeerFin);
    EXPECT_EQ(v.ends_at, Instant::never());
  }
}

TEST(Judge, ARuleThatActsComesBeforeTheKernelsOwnTimer) {
  Rule rule;
  rule.always = Act::Reset;
  const auto r = timed(State::FinWait2, plane::Holder::Orphan, plane::OwnTimer::Quarantine, kHeard + 40_s);
  EXPECT_EQ(judged(r, kHeard, rule).ends, Ends::Policy);
  rule.act = false;
  EXPECT_EQ(judged(r, kHeard, rule).ends, Ends::OwnTimer);
}
