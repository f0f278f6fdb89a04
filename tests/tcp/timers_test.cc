// The timers are a closed list, and none of them but TIME-WAIT's ends a connection, however often it expires.
#include <gtest/gtest.h>

#include <map>
#include <string_view>

#include "pieces.h"

namespace adieu::tcp {
namespace {

constexpr State kLiving[] = {State::SynSent,   State::SynReceived, State::Established, State::FinWait1, State::FinWait2,
                             State::CloseWait, State::Closing,     State::LastAck,     State::TimeWait};

// A name for each timer and no default: a timer that is added breaks the build of this test (-Wswitch-enum), and the
// list below says by its names what may stand in it.
constexpr std::string_view name_of(Timer timer) {
  switch (timer) {
    case Timer::Retransmit: return "retransmit";
    case Timer::Persist: return "persist";
    case Timer::DelayedAck: return "delayed ACK";
    case Timer::TimeWait: return "TIME-WAIT";
  }
  return {};
}

TEST(Timers, AreAClosedListInWhichNoneIsTheLifetimeOfAConnection) {
  const std::string_view expected[] = {"retransmit", "persist", "delayed ACK", "TIME-WAIT"};
  ASSERT_EQ(std::size(expected), kTimers);
  for (unsigned i = 0; i < kTimers; ++i) EXPECT_EQ(name_of(static_cast<Timer>(i)), expected[i]);
  EXPECT_EQ(name_of(static_cast<Timer>(kTimers)), "") << "a timer that is not counted";
  EXPECT_EQ(std::tuple_size_v<decltype(Transfer::deadlines)>, kTimers - 1);
}

TEST(Timers, TheRoadsOfTheseTestsLeadWhereTheySay) {
  for (const State state : kLiving) EXPECT_EQ(Solo(state).connection.state(), state) << name(state);
}

// Gives the connection reasons to arm every timer that its state allows.
void burden(Solo& solo, bool closed_window) {
  if (solo.connection.state() == State::TimeWait) return;
  std::uint8_t octets[3000] = {};
  (void)solo.connection.send(octets, solo.env());
  if (is_synchronized(solo.connection.state())) {
    wire::Segment data = solo.plain();
    data.ack = solo.connection.snd_una();
    data.window = closed_window ? 0 : 65535;
    data.payload = Bytes(octets, 1);
    (void)solo.connection.input(data, solo.env());
  }
  solo.connection.check_invariants();
}

TEST(Timers, ExpireAThousandTimesInEveryStateAndOnlyTimeWaitEndsAConnection) {
  std::map<Timer, unsigned> fired;
  for (const State state : kLiving) {
    for (const bool closed_window : {false, true}) {
      Solo solo(state);
      burden(solo, closed_window);
      solo.drain();
      for (unsigned times = 0; times < 1000 && solo.connection.state() != State::Closed; ++times) {
        const Instant due = solo.connection.next_deadline();
        if (due == Instant::never()) break;
        for (unsigned i = 0; i < kTimers; ++i)
          if (solo.connection.deadline(static_cast<Timer>(i)) == due) ++fired[static_cast<Timer>(i)];
        solo.now = later(solo.now, due);
        solo.connection.expire(solo.env());
        solo.connection.check_invariants();
        solo.drain();
        solo.connection.check_invariants();
      }
      if (state == State::TimeWait) {
        EXPECT_EQ(solo.connection.reason(), EndReason::BothClosed);
      } else {
        EXPECT_EQ(solo.connection.state(), state) << name(state);
        EXPECT_EQ(solo.connection.reason(), EndReason::None);
      }
    }
  }
  // Each was really there.
  EXPECT_GE(fired[Timer::Retransmit], 1000U * 4);
  EXPECT_GE(fired[Timer::Persist], 1000U * 2);
  EXPECT_GE(fired[Timer::DelayedAck], 1U);
  EXPECT_EQ(fired[Timer::TimeWait], 2U);
}

// A delayed acknowledgment is armed by octets: a thousand of them, one after the other.
TEST(Timers, ADelayedAcknowledgmentExpiresAThousandTimesWhereOctetsCanArrive) {
  for (const State state : {State::Established, State::FinWait1, State::FinWait2}) {
    Solo solo(state);
    const std::uint8_t octet = 'x';
    for (int i = 0; i < 1000; ++i) {
      wire::Segment data = solo.plain();
      data.ack = solo.connection.snd_una();
      data.payload = Bytes(&octet, 1);
      (void)solo.connection.input(data, solo.env());
      const Instant due = solo.connection.deadline(Timer::DelayedAck);
      ASSERT_NE(due, Instant::never());
      solo.now = later(solo.now, due);
      solo.connection.expire(solo.env());
      EXPECT_GE(solo.drain(), 1U);
      std::uint8_t out[4];
      (void)solo.connection.receive(out, false, solo.env());
    }
    EXPECT_EQ(solo.connection.state(), state);
  }
}

TEST(Timers, OfAQuietConnectionDoNotExist) {
  for (const State state : {State::Established, State::FinWait2, State::CloseWait}) {
    Solo solo(state);
    solo.now = solo.now + 1_s;
    solo.connection.expire(solo.env());
    solo.drain();
    EXPECT_EQ(solo.connection.next_deadline(), Instant::never()) << name(state);
    EXPECT_TRUE(solo.connection.is_quiet());
    solo.connection.release_transfer();
    EXPECT_EQ(solo.connection.heap_bytes(), 0U);
    solo.connection.check_invariants();
  }
}

TEST(Timers, ExpiredEarlyDoNothing) {
  for (const State state : kLiving) {
    Solo solo(state);
    const Instant due = solo.connection.next_deadline();
    solo.connection.expire(solo.env());
    EXPECT_EQ(solo.drain(), 0U);
    EXPECT_EQ(solo.connection.next_deadline(), due);
    EXPECT_EQ(solo.connection.state(), state);
  }
}

}  // namespace
}  // namespace adieu::tcp
