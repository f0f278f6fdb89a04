// What may be concluded from a socket, and what may not.
#include "kernel/facts.h"

#include <gtest/gtest.h>

namespace adieu::kernel {
namespace {

using plane::Holder;
using plane::Known;
using plane::Record;

constexpr Instant kNow{seconds(1000).ns};
constexpr Seen kFirst{.now = kNow, .is_new = false, .is_quiet = false};

Socket held(State state) {
  Socket socket;
  socket.state = state;
  socket.inode = 1;
  socket.is_whole = true;
  socket.read_at = kNow;
  socket.since_data = seconds(9);
  socket.since_ack = seconds(7);
  return socket;
}
Socket minisock(State state) {
  Socket socket;
  socket.state = state;
  return socket;
}
Record first(const Socket& socket) { return record_of(socket, nullptr, kFirst); }

TEST(Facts, NameTheHolderOnlyWhereTheInodeProvesIt) {
  const struct {
    State state;
    Holder without_inode;
  } cases[] = {
      {State::Established, Holder::AcceptQueue}, {State::CloseWait, Holder::AcceptQueue},
      {State::FinWait1, Holder::Orphan},         {State::FinWait2, Holder::Orphan},
      {State::Closing, Holder::Orphan},          {State::LastAck, Holder::Orphan},
      {State::TimeWait, Holder::Unknown},        {State::SynReceived, Holder::Unknown},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(first(minisock(c.state)).holder, c.without_inode) << name(c.state);
    EXPECT_EQ(first(held(c.state)).holder, Holder::Held) << name(c.state);
  }
}

TEST(Facts, TakeTheLaterOfDataAndAcknowledgmentForLastHeard) {
  Socket socket = held(State::Established);
  EXPECT_EQ(first(socket).last_heard, kNow - seconds(7));
  socket.since_data = seconds(2);
  EXPECT_EQ(first(socket).last_heard, kNow - seconds(2));
}

TEST(Facts, CountFromTheMomentThatTheKernelWroteThemDown) {
  Socket socket = held(State::Established);
  socket.read_at = kNow + milliseconds(250);
  EXPECT_EQ(first(socket).last_heard, kNow - seconds(7) + milliseconds(250));
}

TEST(Facts, DoNotTakeTheClocksOfAConnectionThatIsNotSynchronized) {
  EXPECT_FALSE(first(held(State::SynSent)).last_heard.is_known());
  EXPECT_FALSE(first(minisock(State::SynReceived)).last_heard.is_known());
  EXPECT_FALSE(first(minisock(State::TimeWait)).last_heard.is_known());
}

TEST(Facts, TakeTwoReadingsWithinATickForOneInstant) {
  Socket socket = held(State::Established);
  const Record before = first(socket);
  socket.since_ack = seconds(7) - kTick;
  EXPECT_EQ(record_of(socket, &before, kFirst).last_heard, before.last_heard);
  socket.since_ack = seconds(7) - kTick - milliseconds(1);
  EXPECT_EQ(record_of(socket, &before, kFirst).last_heard, kNow - socket.since_ack);
}

TEST(Facts, HearNothingWhereNoSegmentCameHoweverTheClocksRead) {
  Socket socket = held(State::Established);
  socket.octets_in = 1;
  const Record before = first(socket);
  socket.since_ack = seconds(1);
  socket.since_data = seconds(1);
  const Record quiet = record_of(socket, &before, {.now = kNow, .is_new = false, .is_quiet = true});
  EXPECT_EQ(quiet.last_heard, before.last_heard);
  EXPECT_EQ(quiet.progress_in, before.progress_in);
  const Record heard = record_of(socket, &before, kFirst);
  EXPECT_EQ(heard.last_heard, kNow - seconds(1));
  EXPECT_EQ(heard.progress_in, kNow - seconds(1));
}

TEST(Facts, KnowNoProgressBeforeTheFirstOctet) {
  Socket socket = held(State::Established);
  EXPECT_FALSE(first(socket).progress_in.is_known());  // since_data runs from the handshake here
  socket.octets_in = 1;
  EXPECT_EQ(first(socket).progress_in, kNow - seconds(9));
}

TEST(Facts, KnowWhenAFinCameOnlyIfASweepSawItCome) {
  Socket socket = held(State::CloseWait);
  socket.octets_in = 100;
  EXPECT_FALSE(first(socket).progress_in.is_known());
  const Record before = first(held(State::Established));
  const Record came = record_of(socket, &before, kFirst);
  EXPECT_EQ(came.progress_in, kNow);
  EXPECT_EQ(record_of(socket, &came, {.now = kNow + seconds(5)}).progress_in, kNow);
}

TEST(Facts, KnowWhenAStateWasEnteredOnlyIfASweepSawIt) {
  EXPECT_FALSE(first(held(State::Established)).state_entered.is_known());
  const Record appeared = record_of(held(State::Established), nullptr, {.now = kNow, .is_new = true});
  EXPECT_EQ(appeared.state_entered, kNow);
  const Instant later = kNow + seconds(1);
  EXPECT_EQ(record_of(held(State::Established), &appeared, {.now = later}).state_entered, kNow);
  EXPECT_EQ(record_of(held(State::CloseWait), &appeared, {.now = later}).state_entered, later);
}

TEST(Facts, CountNeitherFinNorSynAmongOctets) {
  Socket socket = held(State::CloseWait);
  socket.receive_queue = 6;
  EXPECT_EQ(first(socket).unread, 5U);
  socket.state = State::Established;
  EXPECT_EQ(first(socket).unread, 6U);
  for (const State state : {State::SynSent, State::FinWait1, State::Closing, State::LastAck}) {
    Socket sender = held(state);
    sender.send_queue = 1;
    EXPECT_EQ(first(sender).unsent, 0U) << name(state);
    sender.send_queue = 0;
    EXPECT_EQ(first(sender).unsent, 0U) << name(state);
  }
  socket.send_queue = 1;
  EXPECT_EQ(first(socket).unsent, 1U);
}

TEST(Facts, NeverSayThatTheEndOfStreamWasRead) {
  Socket socket = held(State::CloseWait);
  socket.receive_queue = 1;
  EXPECT_EQ(first(socket).end_of_stream_read, Known::No);
  socket.receive_queue = 0;
  EXPECT_EQ(first(socket).end_of_stream_read, Known::Unknown);
  EXPECT_EQ(first(held(State::FinWait2)).end_of_stream_read, Known::No);
  EXPECT_EQ(first(minisock(State::TimeWait)).end_of_stream_read, Known::Unknown);
}

TEST(Facts, TakeTheReceivingBitForShutdownOnlyBeforeTheFin) {
  Socket socket = held(State::FinWait2);
  EXPECT_FALSE(first(socket).receive_shut);
  socket.receive_shut = true;
  EXPECT_TRUE(first(socket).receive_shut);
  socket.state = State::CloseWait;
  EXPECT_FALSE(first(socket).receive_shut);
  socket.state = State::FinWait1;
  socket.inode = 0;  // close() sets both bits, and what arrives is answered with a reset
  EXPECT_FALSE(first(socket).receive_shut);
}

TEST(Facts, CountTransmissionsOnlyOfWhatIsInFlight) {
  Socket socket = held(State::Established);
  socket.retransmits = 3;
  EXPECT_EQ(first(socket).attempts, 0U);
  EXPECT_EQ(first(socket).oldest_unacked, Instant::never());
  socket.unacked = 1;
  EXPECT_EQ(first(socket).attempts, 4U);
  EXPECT_EQ(first(socket).oldest_unacked, Instant::unknown());
  EXPECT_TRUE(first(socket).passed_r1);
  socket.retransmits = 2;
  EXPECT_FALSE(first(socket).passed_r1);
}

TEST(Facts, CountNoTransmissionThatIsOlderThanTheLastSegmentHeard) {
  Socket socket = held(State::Established);
  socket.unacked = 1;
  socket.retransmits = 5;
  Seen seen = kFirst;
  seen.retransmits_answered = 3;
  EXPECT_EQ(record_of(socket, nullptr, seen).attempts, 3U);
  EXPECT_TRUE(record_of(socket, nullptr, seen).passed_r1);
  socket.retransmits = 0;  // acknowledged since
  EXPECT_EQ(record_of(socket, nullptr, seen).attempts, 1U);
}

TEST(Facts, HearASegmentThatNeitherClockTellsOfWhenTheSweepSeesIt) {
  Socket socket = held(State::Established);
  socket.segments_in = 9;
  const Record before = first(socket);
  EXPECT_EQ(before.heard, 9U);
  socket.since_data = socket.since_data + seconds(30);
  socket.since_ack = socket.since_ack + seconds(30);
  socket.read_at = kNow + seconds(30);
  Seen seen{.now = kNow + seconds(30), .is_new = false, .is_quiet = true};
  EXPECT_EQ(record_of(socket, &before, seen).last_heard, before.last_heard);
  seen.is_quiet = false;
  seen.has_heard = true;
  EXPECT_EQ(record_of(socket, &before, seen).last_heard, seen.now);
  socket.since_ack = seconds(4);  // one that tells is believed
  EXPECT_EQ(record_of(socket, &before, seen).last_heard, seen.now - seconds(4));
}

TEST(Facts, CountNothingHeardOfAMinisocket) { EXPECT_EQ(first(minisock(State::FinWait2)).heard, plane::kUnknownCount); }

TEST(Facts, CountWindowProbesButNoKeepalivesAsAttempts) {
  Socket socket = held(State::Established);
  socket.probes = 5;
  socket.timer = Timer::Keepalive;
  EXPECT_EQ(first(socket).attempts, 0U);
  socket.timer = Timer::Persist;
  EXPECT_EQ(first(socket).attempts, 5U);
}

TEST(Facts, CallAWindowClosedOnlyIfItIsKnownAndSomethingWaits) {
  Socket socket = held(State::Established);
  socket.send_queue = 1;
  EXPECT_FALSE(first(socket).peer_window_closed);
  socket.peer_window_known = true;
  EXPECT_TRUE(first(socket).peer_window_closed);
  socket.peer_window = 1;
  EXPECT_FALSE(first(socket).peer_window_closed);
  socket.peer_window = 0;
  socket.send_queue = 0;
  EXPECT_FALSE(first(socket).peer_window_closed);
}

}  // namespace
}  // namespace adieu::kernel
