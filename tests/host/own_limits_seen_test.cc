// What a person is told of when the kernel gives a connection up. The reckoning: tests/kernel/own_limits_test.cc.
#include "host/own_limits_seen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/kernel_prospect.h"

namespace adieu::host {
namespace {

using kernel::LimitedBy;
using kernel::Timer;
using testing::ElementsAre;

constexpr Instant kNow{seconds(1000).ns};

ConnectionView view_of(State state, control::Ends ends) {
  ConnectionView view;
  view.kind = plane::PlaneKind::Kernel;
  view.now = kNow;
  view.record.state = state;
  view.seen.verdict.ends = ends;
  return view;
}
OwnLimitsSeen seen_of(Timer timer, LimitedBy by, std::uint32_t made, std::uint32_t left, Duration span = {}) {
  OwnLimitsSeen seen;
  seen.timer = timer;
  seen.settings.emplace();
  seen.limit.emplace();
  seen.limit->by = by;
  seen.limit->made = made;
  seen.limit->left = left;
  seen.limit->span = span;
  seen.limit->next = kNow + milliseconds(1200);
  seen.limit->gives_up = kNow + seconds(52);
  return seen;
}

TEST(OwnLimitsSeen, RetransmissionsAreToldWithWhatIsLeftAndWhatSetsIt) {
  const ConnectionView view = view_of(State::LastAck, control::Ends::OwnRetransmissions);
  OwnLimitsSeen seen = seen_of(Timer::Retransmit, LimitedBy::OrphanRetries, 3, 5, milliseconds(102'200));
  EXPECT_THAT(
      sentences(seen, view),
      ElementsAre("3 retransmissions so far, the next in 1.2 s; if nobody answers, it gives up in about 52.0 s, "
                  "after 5 more",
                  "tcp_orphan_retries = 0, which means 8: 1 min 42 s from the first on"));
  EXPECT_EQ(ends_about(seen, view), kNow + seconds(52));
  EXPECT_TRUE(ending(seen, view).starts_with("in about 52.0 s: "));
  seen = seen_of(Timer::Retransmit, LimitedBy::Retries2, 0, 15, milliseconds(924'600));
  seen.unseen = "not read: what its program has set; root would read it";
  EXPECT_THAT(
      sentences(seen, view),
      ElementsAre("no retransmission so far, the next in 1.2 s; if nobody answers, it gives up in about 52.0 s, "
                  "after 15 more",
                  "tcp_retries2 = 15: 15 min 24 s from the first on", seen.unseen));
}

TEST(OwnLimitsSeen, AVerdictThatExpectsAnotherEndIsNotContradictedUnlessTheKernelEndsItWhoeverAnswers) {
  const ConnectionView view = view_of(State::FinWait1, control::Ends::PeerAcknowledges);
  OwnLimitsSeen seen = seen_of(Timer::Persist, LimitedBy::OrphanRetries, 0, 8);
  EXPECT_EQ(ending(seen, view), "");
  EXPECT_EQ(sentences(seen, view)[1], "tcp_orphan_retries = 0, which means 8; while it is answered, never");
  seen.limit->at_latest = kNow + seconds(334);
  EXPECT_EQ(sentences(seen, view)[1], "tcp_orphan_retries = 0, which means 8; answered as well, in about 5 min 34 s");
  EXPECT_EQ(ends_about(seen, view), kNow + seconds(334));
  EXPECT_TRUE(ending(seen, view).starts_with("in about 5 min 34 s at the latest: ")) << ending(seen, view);
  EXPECT_EQ(ending(seen, view_of(State::FinWait1, control::Ends::Policy)), "") << "a rule comes first";
}

TEST(OwnLimitsSeen, AKeepaliveIsToldWithItsProgramsValuesOrTheNetworks) {
  const ConnectionView view = view_of(State::Established, control::Ends::OwnKeepalive);
  OwnLimitsSeen seen = seen_of(Timer::Keepalive, LimitedBy::KeepaliveProbes, 1, 8);
  EXPECT_THAT(sentences(seen, view)[0], testing::StartsWith("1 unanswered keepalive so far, the next in 1.2 s; "));
  EXPECT_THAT(sentences(seen, view)[1], testing::StartsWith("the network's, if its program did not set its own: "));
  seen.options.emplace();
  seen.options->keepalive_probes = 3;
  seen.options->keepalive_time = seconds(10);
  EXPECT_EQ(sentences(seen, view)[1], "the socket's own: first after 10.0 s, then every 1 min 15 s, 3 of them");
}

TEST(OwnLimitsSeen, WhatHoldsOnceItIsClosedIsToldWhereNoClockRuns) {
  OwnLimitsSeen seen;
  seen.settings.emplace();
  const ConnectionView half_closed = view_of(State::FinWait2, control::Ends::PeerFin);
  EXPECT_TRUE(sentences(seen, half_closed).empty());
  seen.options.emplace();
  EXPECT_THAT(sentences(seen, half_closed), ElementsAre("once closed, 1 min 0 s more for the peer's FIN"));
  seen.options->resets_instead_of_wait = true;
  seen.options->user_timeout = seconds(30);
  EXPECT_THAT(sentences(seen, half_closed),
              ElementsAre("TCP_USER_TIMEOUT: what it sends and nobody acknowledges for 30.0 s ends it; once closed, it "
                          "is reset at once (TCP_LINGER2)"));
  seen.options.emplace();
  EXPECT_TRUE(sentences(seen, view_of(State::CloseWait, control::Ends::ApplicationClose)).empty());
}

TEST(OwnLimitsSeen, BesideAnOrphanWithAClosedWindowStandsTheDefectOfOldKernels) {
  plane::Record r;
  r.state = State::FinWait1;
  r.holder = plane::Holder::Orphan;
  r.peer_window_closed = true;
  r.beside.timer = plane::OwnTimer::Persist;
  EXPECT_NE(immortality_of(r, "6.1.0-18-amd64").find("bac76cf89816"), std::string::npos);
  EXPECT_EQ(immortality_of(r, "6.12.0"), "");
  r.beside.timer = plane::OwnTimer::Retransmit;
  r.peer_window_closed = false;
  EXPECT_EQ(immortality_of(r, "6.1.0"), "");
  r.beside.timer = plane::OwnTimer::None;
  EXPECT_NE(immortality_of(r, "6.1.0").find("no timer"), std::string::npos);
  r.holder = plane::Holder::Held;
  EXPECT_EQ(immortality_of(r, "6.1.0"), "");
}

TEST(OwnLimitsSeen, NothingIsAskedOfAnEnginesOrOfOneThatHasEnded) {
  ConnectionView view = view_of(State::FinWait1, control::Ends::PeerAcknowledges);
  view.kind = plane::PlaneKind::Engine;
  EXPECT_FALSE(own_limits_of(view).settings);
  view.kind = plane::PlaneKind::Kernel;
  EXPECT_TRUE(own_limits_of(view).settings) << "of this network; there is no such connection";
  EXPECT_FALSE(own_limits_of(view).limit);
  view.record.beside.network = 1;  // of nobody
  EXPECT_FALSE(own_limits_of(view).settings);
  EXPECT_NE(own_limits_of(view).unseen.find("root would"), std::string::npos);
  view.record.reason = EndReason::Vanished;
  EXPECT_EQ(own_limits_of(view).unseen, "");
}

}  // namespace
}  // namespace adieu::host
