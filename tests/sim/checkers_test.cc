// Every checker can fail: each is shown the very thing that it is there to find, and beside it what it must let pass.
//
// What lives here: violations, made by hand. What does not: engines.
#include <gtest/gtest.h>

#include <memory>

#include "sim/checkers.h"
#include "sim/pattern.h"

namespace adieu::sim {
namespace {

using enum State;

// A connection between two hosts, as the world would have booked it.
class Checkers : public ::testing::Test {
 protected:
  Checkers() : book(plan) {
    plan.connections.emplace_back();
    pair = &book.begin(plan.connections.front());
    for (unsigned side = 0; side < kHosts; ++side) {
      plane::Record record;
      record.local = {Address::v4(10, 77, 0, static_cast<std::uint8_t>(1 + side)),
                      static_cast<std::uint16_t>(1000 + side)};
      record.remote = {Address::v4(10, 77, 0, static_cast<std::uint8_t>(2 - side)),
                       static_cast<std::uint16_t>(1001 - side)};
      End& end = book.add(side, 0, {side + 1U, 0, 1}, record);
      end.side = side;
      end.pair = pair;
      end.has_iss = true;
      end.iss = Seq{1000};
      end.highest = Seq{1001};
      end.record.oldest_unacked = Instant::never();
      pair->ends[side] = &end;
      put(end, Established);
    }
  }
  void put(End& end, State state) {
    end.state = state;
    end.facts = facts_of(state);
  }
  void end_by_command(End& end) {
    end.reason = EndReason::Commanded;
    end.ended_by = 7;
    end.record.last_heard = now - seconds(130);
  }
  std::vector<std::uint8_t> octets(unsigned side, std::uint64_t position, std::size_t count) {
    std::vector<std::uint8_t> out(count);
    sim::fill(pair->stream(side, plan.seed), position, MutableBytes(out));
    return out;
  }
  wire::Segment segment(std::uint32_t at, Bytes payload = {}) {
    wire::Segment s;
    s.seq = Seq{at};
    s.ack_flag = true;
    s.payload = payload;
    return s;
  }
  // A verdict that any end by command needs: 31 questions over 100 s.
  control::Decision proof(const End& end) {
    control::Decision d;
    d.id = end.id;
    d.verdict.standing = control::Standing::Gone;
    d.verdict.unanswered = plan.hosts[0].rule.probes_needed;
    d.evidence.attended = plan.hosts[0].rule.proof_span;
    d.command.emplace().kind = plane::CommandKind::Abort;
    return d;
  }

  Plan plan;
  Book book;
  Pair* pair = nullptr;
  const Instant now = kGenesis + seconds(1000);
  End& a() { return *pair->ends[0]; }
  End& b() { return *pair->ends[1]; }
};

TEST_F(Checkers, StreamsSeeAWrongOctetAMissingOneAndOneTooMany) {
  b().written = 100;
  StreamChecker right(book);
  right.read(a(), 0, octets(1, 0, 60), now);
  right.read(a(), 60, octets(1, 60, 40), now);
  EXPECT_TRUE(right.violations().empty());

  StreamChecker wrong(book);
  std::vector<std::uint8_t> changed = octets(1, 0, 60);
  changed[59] ^= 1;
  wrong.read(a(), 0, changed, now);
  EXPECT_EQ(wrong.violations().size(), 1U);
  StreamChecker twice(book);
  twice.read(a(), 61, octets(1, 60, 10), now);
  EXPECT_EQ(twice.violations().size(), 1U);
  StreamChecker beyond(book);
  beyond.read(a(), 60, octets(1, 60, 41), now);
  EXPECT_EQ(beyond.violations().size(), 1U);
}

TEST_F(Checkers, StreamsSeeAnEndThatComesTooEarlyOrThatNobodyMade) {
  b().written = 100;
  a().read = 100;
  b().finished = true;
  StreamChecker right(book);
  right.end_of_stream(a(), now);
  EXPECT_TRUE(right.violations().empty());
  a().read = 99;
  StreamChecker early(book);
  early.end_of_stream(a(), now);
  EXPECT_EQ(early.violations().size(), 1U);
  a().read = 100;
  b().finished = false;
  StreamChecker unmade(book);
  unmade.end_of_stream(a(), now);
  EXPECT_EQ(unmade.violations().size(), 1U);
}

TEST_F(Checkers, StreamsSeeAPatientReaderWhoDidNotGetAll) {
  a().reason = b().reason = EndReason::BothClosed;
  a().clean_end = b().clean_end = true;
  b().written = a().read = 10;
  StreamChecker right(book);
  right.settled({book, now, {}, {}, {}, {}, {}});
  EXPECT_TRUE(right.violations().empty());
  a().read = 9;
  StreamChecker wrong(book);
  wrong.settled({book, now, {}, {}, {}, {}, {}});
  EXPECT_EQ(wrong.violations().size(), 1U);
}

// Written by hand from RFC 9293 section 3.3.2 (figure 5), and held against may_coexist(). '.': not at one moment.
TEST_F(Checkers, StatesCoexistAsTheTableOfTheProtocolSays) {
  static constexpr State kAll[] = {SynSent,   SynReceived, Established, FinWait1, FinWait2,
                                   CloseWait, Closing,     LastAck,     TimeWait};
  static constexpr const char* kTable[] = {
      // SS SR ES F1 F2 CW CL LA TW
      "xx.x.....",  // SYN-SENT: knows of no SYN, so nobody can know that it does; CLOSE in SYN-RECEIVED is FIN-WAIT-1
      "xxxx.....",  // SYN-RECEIVED: sent no FIN, so nobody has one; received none, so nobody's is acknowledged
      ".xxx.....",  // ESTABLISHED: the same, and its SYN is known to have arrived
      "xxxx.xxx.",  // FIN-WAIT-1: its FIN may have arrived; the other's has not
      ".....xxx.",  // FIN-WAIT-2: its FIN has arrived; the other's has not
      "...xx....",  // CLOSE-WAIT: the other's FIN has arrived; it sent none
      "...xx.xxx",  // CLOSING: both sent, the other's has arrived
      "...xx.xxx",  // LAST-ACK: as CLOSING, the other way round
      "......xxx",  // TIME-WAIT: both have arrived
  };
  for (std::size_t row = 0; row < std::size(kAll); ++row)
    for (std::size_t column = 0; column < std::size(kAll); ++column)
      EXPECT_EQ(may_coexist(facts_of(kAll[row]), facts_of(kAll[column])), kTable[row][column] == 'x')
          << name(kAll[row]) << " and " << name(kAll[column]);
}

TEST_F(Checkers, StatesSeeTwoThatCannotCoexistAndTwoThatCannotRest) {
  StateChecker right;
  put(a(), FinWait2);
  put(b(), CloseWait);
  right.moved(a(), FinWait1, now);
  right.quiet(book, now);
  EXPECT_TRUE(right.violations().empty());
  StateChecker wrong;
  put(b(), Established);
  wrong.moved(a(), FinWait1, now);
  EXPECT_EQ(wrong.violations().size(), 1U);
  StateChecker restless;
  put(a(), FinWait1);
  put(b(), CloseWait);
  for (End* end : {&a(), &b()}) end->record.unsent = 0;
  restless.quiet(book, now);
  EXPECT_EQ(restless.violations().size(), 1U);
}

TEST_F(Checkers, ReasonsSeeASecondEndAndOneWithoutACause) {
  ReasonChecker right;
  put(a(), TimeWait);
  a().reason = EndReason::BothClosed;
  right.ended(a(), now);
  EXPECT_TRUE(right.violations().empty());
  right.ended(a(), now);
  EXPECT_EQ(right.violations().size(), 1U);
  for (const EndReason reason :
       {EndReason::None, EndReason::BothClosed, EndReason::PeerReset, EndReason::DataAfterClose, EndReason::Aborted,
        EndReason::Commanded, EndReason::Refused, EndReason::PlaneFailed, EndReason::Vanished, EndReason::OwnTimer}) {
    put(a(), Established);
    a().reason = reason;
    ReasonChecker wrong;
    wrong.ended(a(), now);
    EXPECT_EQ(wrong.violations().size(), 1U) << name(reason);
  }
}

TEST_F(Checkers, ReasonsSeeTotalsThatDoNotReconcile) {
  plane::Totals totals;
  totals.opened = totals.live = 1;
  Settlement settlement{book, now, {true, false}, {}, {&totals, nullptr}, {1, 0}, {}};
  ReasonChecker right;
  right.settled(settlement);
  EXPECT_TRUE(right.violations().empty());
  totals.ended[static_cast<unsigned>(EndReason::PeerReset)] = 1;
  ReasonChecker wrong;
  wrong.settled(settlement);
  EXPECT_EQ(wrong.violations().size(), 1U);
  totals.ended[static_cast<unsigned>(EndReason::PeerReset)] = 0;
  settlement.live_connections[0] = 2;
  ReasonChecker other_wrong;
  other_wrong.settled(settlement);
  EXPECT_EQ(other_wrong.violations().size(), 1U);
}

TEST_F(Checkers, VerdictsSeeAnEndByCommandThatNothingProves) {
  end_by_command(a());
  const control::Decision good = proof(a());
  const auto found = [&](const control::Decision& d) {
    VerdictChecker checker(plan);
    checker.decided(0, 7, d);
    checker.ended(a(), now);
    return checker.violations().size();
  };
  EXPECT_EQ(found(good), 0U);
  control::Decision d = good;
  d.verdict.unanswered -= 1;
  EXPECT_EQ(found(d), 1U);
  d = good;
  d.evidence.attended = d.evidence.attended - milliseconds(1);
  EXPECT_EQ(found(d), 1U);
  d = good;
  d.verdict.standing = control::Standing::Suspect;
  EXPECT_EQ(found(d), 1U);
  d = good;
  d.id.generation += 1;
  EXPECT_EQ(found(d), 1U);
  d = good;
  d.command->kind = plane::CommandKind::Probe;
  EXPECT_EQ(found(d), 1U);
  d = good;
  d.evidence.possible = control::set_of(ProbeForm::Bare);
  EXPECT_EQ(found(d), 1U);
  d = good;
  d.evidence.heard = 1;
  EXPECT_EQ(found(d), 1U);
  VerdictChecker silent(plan);
  silent.ended(a(), now);
  EXPECT_EQ(silent.violations().size(), 1U);
}

TEST_F(Checkers, VerdictsSeeAnEndByCommandWithoutAReceipt) {
  end_by_command(a());
  const Settlement settlement{book, now, {true, true}, {true, true}, {}, {}, {}};
  VerdictChecker checker(plan);
  checker.decided(0, 7, proof(a()));
  checker.settled(settlement);
  EXPECT_EQ(checker.violations().size(), 1U);
  VerdictChecker answered(plan);
  answered.decided(0, 7, proof(a()));
  plane::Receipt receipt;
  receipt.verdict = 7;
  receipt.kind = plane::CommandKind::Abort;
  receipt.outcome = plane::Outcome::Done;
  answered.answered(0, receipt);
  answered.settled(settlement);
  EXPECT_TRUE(answered.violations().empty());
  receipt.verdict = 8;
  answered.answered(0, receipt);
  EXPECT_EQ(answered.violations().size(), 1U);
}

TEST_F(Checkers, LivingSeesTheEndOfOneWhosePeerWasThere) {
  end_by_command(a());
  const Cuts whole(plan);
  LivingChecker wrong(plan, whole);
  wrong.ended(a(), now);
  EXPECT_EQ(wrong.violations().size(), 1U);

  b().lost = true;
  LivingChecker dead(plan, whole);
  dead.ended(a(), now);
  EXPECT_TRUE(dead.violations().empty());
  EXPECT_EQ(dead.dead(), 1U);
  b().lost = false;

  plan.faults.push_back({FaultKind::BlackHole, 1, now - seconds(110), seconds(200)});
  const Cuts cut(plan);
  LivingChecker by_rule(plan, cut);
  by_rule.ended(a(), now);
  EXPECT_TRUE(by_rule.violations().empty());
  EXPECT_EQ(by_rule.dead_by_rule(), 1U);

  plan.faults.back().at = now - seconds(50);
  const Cuts short_cut(plan);
  LivingChecker hasty(plan, short_cut);
  hasty.ended(a(), now);
  EXPECT_EQ(hasty.violations().size(), 1U);
}

TEST_F(Checkers, WireSeesWhatIsSentFromAStateThatIsOverOrDone) {
  const auto found = [&](const wire::Segment& s) {
    WireChecker checker(book);
    checker.sent(0, &a(), s, now);
    return checker.violations().size();
  };
  a().written = 10;
  const auto written = octets(0, 0, 10);
  EXPECT_EQ(found(segment(1001)), 0U);
  EXPECT_EQ(found(segment(1001, written)), 0U);
  EXPECT_EQ(found(segment(1002, written)), 1U);                  // one more than was written
  EXPECT_EQ(found(segment(1002, Bytes(written).first(9))), 1U);  // not what stands there
  wire::Segment fin = segment(1001);
  fin.fin = true;
  EXPECT_EQ(found(fin), 1U);
  put(a(), FinWait1);
  EXPECT_EQ(found(fin), 0U);
  wire::Segment syn = segment(1000);
  syn.syn = true;
  put(a(), Established);
  EXPECT_EQ(found(syn), 1U);
  put(a(), FinWait2);
  EXPECT_EQ(found(segment(1010, octets(0, 9, 1))), 0U);
  EXPECT_EQ(found(segment(1001, written)), 1U);
  put(a(), TimeWait);
  a().delivered = now - milliseconds(1);
  EXPECT_EQ(found(segment(1001)), 1U);
  a().delivered = now;
  EXPECT_EQ(found(segment(1001)), 0U);
  a().reason = EndReason::BothClosed;
  EXPECT_EQ(found(segment(1001)), 1U);
  wire::Segment reset;
  reset.rst = true;
  EXPECT_EQ(found(reset), 0U);
  WireChecker stranger(book);
  stranger.sent(0, nullptr, segment(1001), now);
  EXPECT_EQ(stranger.violations().size(), 1U);
}

TEST_F(Checkers, WireSeesBareProbesWithinASecond) {
  a().highest = Seq{1001};
  a().bare_sent = now - seconds(1);
  WireChecker right(book);
  right.sent(0, &a(), segment(1000), now);
  EXPECT_TRUE(right.violations().empty());
  a().bare_sent = now - seconds(1) + milliseconds(1);
  WireChecker wrong(book);
  wrong.sent(0, &a(), segment(1000), now);
  EXPECT_EQ(wrong.violations().size(), 1U);
  // The octet before is not acknowledged: the peer's window is closed, and this is an acknowledgment in front of it.
  a().record.oldest_unacked = now - seconds(1);
  WireChecker clipped(book);
  clipped.sent(0, &a(), segment(1000), now);
  EXPECT_TRUE(clipped.violations().empty());
}

TEST_F(Checkers, WireSeesAWindowTakenBackAndOctetsBeyondThePeersWindow) {
  a().written = 10;
  const auto written = octets(0, 0, 10);
  const auto found = [&](const wire::Segment& s) {
    WireChecker checker(book);
    checker.sent(0, &a(), s, now);
    return checker.violations().size();
  };
  wire::Segment s = segment(1001, written);
  s.ack = Seq{5000};
  s.window = 100;
  a().has_promised = true;
  a().promised = Seq{5100};
  a().granted = Seq{1011};
  EXPECT_EQ(found(s), 0U);
  a().promised = Seq{5101};
  EXPECT_EQ(found(s), 1U);
  a().promised = Seq{5100};
  a().granted = Seq{1010};
  EXPECT_EQ(found(s), 1U);
  // One octet may probe a closed window.
  a().granted = Seq{1001};
  s.payload = Bytes(written).first(1);
  EXPECT_EQ(found(s), 0U);
}

TEST_F(Checkers, WireSeesAProbeFromTimeWait) {
  plane::Receipt receipt;
  receipt.kind = plane::CommandKind::Probe;
  receipt.outcome = plane::Outcome::Done;
  receipt.state = Established;
  WireChecker checker(book);
  checker.answered(0, receipt);
  EXPECT_TRUE(checker.violations().empty());
  receipt.state = TimeWait;
  checker.answered(0, receipt);
  EXPECT_EQ(checker.violations().size(), 1U);
}

TEST_F(Checkers, EndingSeesOneThatNeverEnds) {
  a().reason = EndReason::BothClosed;
  Settlement settlement{book, now, {true, true}, {true, true}, {}, {}, {}};
  EndingChecker wrong;
  wrong.settled(settlement);
  EXPECT_EQ(wrong.violations().size(), 1U);
  // Without a peer and without a control plane nothing can end it.
  settlement.has_control[1] = false;
  EndingChecker alone;
  alone.settled(settlement);
  EXPECT_TRUE(alone.violations().empty());
}

}  // namespace
}  // namespace adieu::sim
