// What an entry of conntrack means for a connection, in words. Each was seen to be so: tests/kernel/conntrack_test.cc,
// and `adieu lab` for a FIN that is sent again.
#include "host/conntrack_seen.h"

#include <gtest/gtest.h>

namespace adieu::host {
namespace {

constexpr Endpoint kClient{.address = Address::v4(10, 1, 0, 1), .port = 5000};
constexpr Endpoint kServer{.address = Address::v4(10, 2, 0, 1), .port = 80};
constexpr Endpoint kRouter{.address = Address::v4(10, 2, 0, 2), .port = 5000};

ConntrackEntry entry(bool translates, bool connected_here = true, bool picks_up = true) {
  ConntrackEntry entry;
  entry.kept.original = {.source = kClient, .destination = kServer};
  entry.kept.reply = {.source = kServer, .destination = translates ? kRouter : kClient};
  entry.kept.state = kernel::TrackedState::CloseWait;
  entry.kept.expires = seconds(46);
  entry.kept.renewed_to = seconds(60);
  entry.kept.picks_up = picks_up;
  entry.connected_here = connected_here;
  return entry;
}

TEST(ConntrackSeen, WithoutTranslationTheNextPacketMayBringItBackButNoFinThatIsSentAgain) {
  EXPECT_NE(afterwards(entry(false), State::FinWait2).find("picked up in mid-stream"), std::string::npos);
  EXPECT_EQ(afterwards(entry(false), State::FinWait2), afterwards(entry(false, false), State::CloseWait));
  for (const State state : {State::FinWait1, State::Closing, State::LastAck})
    EXPECT_NE(afterwards(entry(false), state).find("a FIN that is sent again is invalid"), std::string::npos);
  EXPECT_NE(afterwards(entry(false, true, false), State::FinWait2).find("any packet is invalid"), std::string::npos);
}

TEST(ConntrackSeen, WithTranslationOnlyWhoConnectedBringsItBack) {
  EXPECT_NE(afterwards(entry(true), State::Established).find("a packet from here makes it anew"), std::string::npos);
  EXPECT_NE(afterwards(entry(true), State::LastAck).find("not translated"), std::string::npos);
  EXPECT_NE(afterwards(entry(true, false), State::Established).find("one from here gets a reset"), std::string::npos);
  EXPECT_NE(afterwards(entry(true, true, false), State::Established).find("whoever speaks"), std::string::npos);
}

TEST(ConntrackSeen, BothTuplesAreToldByWhatIsTranslated) {
  ConntrackEntry one = entry(false);
  EXPECT_EQ(both_tuples(one), "10.1.0.1:5000 -> 10.2.0.1:80 (no answer was seen)");
  one.kept.seen_reply = true;
  EXPECT_EQ(both_tuples(one), "10.1.0.1:5000 -> 10.2.0.1:80");
  one = entry(true);
  one.kept.seen_reply = true;
  EXPECT_EQ(both_tuples(one), "10.1.0.1:5000 -> 10.2.0.1:80, answered to 10.2.0.2:5000");
  one.kept.reply.source = {.address = Address::v4(10, 2, 0, 9), .port = 8080};
  EXPECT_EQ(both_tuples(one), "10.1.0.1:5000 -> 10.2.0.1:80, answered by 10.2.0.9:8080 to 10.2.0.2:5000");
}

TEST(ConntrackSeen, NothingIsSaidOfWhatFollowsWhereNothingIsToBeSentAnyMore) {
  for (const State state : {State::TimeWait, State::SynSent, State::SynReceived})
    EXPECT_EQ(afterwards(entry(true), state), "");
}

TEST(ConntrackSeen, AKeepaliveKeepsItIfItComesBeforeAndNothingDoesIfItsTimeIsFixed) {
  ConnectionView view;
  view.now = Instant{seconds(1000).ns};
  view.record.beside.timer = plane::OwnTimer::Keepalive;
  view.record.beside.fires = view.now + seconds(45);
  ConntrackEntry one = entry(true);
  EXPECT_EQ(kept_by(one, view), "the kernel's keepalive comes in 45.0 s, before that");
  EXPECT_EQ(expiry(one), "forgets it in 46.0 s unless a packet passes");
  one.kept.fixed = true;
  EXPECT_EQ(kept_by(one, view), "");
  EXPECT_EQ(expiry(one), "forgets it in 46.0 s, whatever passes: its time is fixed");
  one.kept.fixed = false;
  one.kept.expires = seconds(45);
  EXPECT_EQ(kept_by(one, view), "");
  view.record.beside.fires = Instant::unknown();
  EXPECT_EQ(kept_by(one, view), "");
}

TEST(ConntrackSeen, AConnectionThatHasEndedIsAskedAboutNowhere) {
  ConnectionView view;
  view.record.reason = EndReason::Vanished;
  view.record.beside.network = 1;  // of nobody: to ask there would be told
  view.kind = plane::PlaneKind::Kernel;
  EXPECT_TRUE(conntrack_of(view).unseen.empty());
  view.record.reason = EndReason::None;
  EXPECT_EQ(conntrack_of(view).unseen,
            "not seen: root would also ask what its own network keeps of it (NAT, firewalls)");
}

}  // namespace
}  // namespace adieu::host
