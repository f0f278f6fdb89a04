// What may be concluded from who has a socket open, and from its timer; and what may not.
#include <gtest/gtest.h>
#include <unistd.h>

#include "kernel/facts.h"
#include "tests/kernel/namespace.h"

namespace adieu::kernel {
namespace {

using plane::Beside;
using plane::Holder;
using plane::OwnTimer;
using plane::Record;

std::uint32_t own() { return static_cast<std::uint32_t>(getpid()); }

// One socket that this process holds, as a look and a sweep see it. All times follow from when the process began.
class BesideARecord : public testing::Test {
 protected:
  BesideARecord() {
    socket.state = State::CloseWait;
    socket.inode = 7;
    socket.is_whole = true;
    socket.key.network = 99;
    record.holder = Holder::Held;
    look(test::monotonic_now() + seconds(10'000), true);
    began = holders.process(own()).began;  // as this look knows it
    now = began + seconds(1000);
    socket.read_at = now;
  }
  void look(Instant at, bool everywhere) {
    holders.begin(at);
    holders.finish(everywhere);
  }
  // The kernel tells of it since then, by its older clock.
  void lives_since(Instant at) {
    socket.since_data = socket.read_at - at;
    socket.since_ack = milliseconds(1);
  }
  Beside beside(const Held& who = {}) { return beside_of(socket, record, who, holders); }
  Beside beside_held() {
    return beside({.process = own(), .descriptor = 3, .processes = 1, .descriptors = 1, .references = 0});
  }

  Instant began;
  Instant now;
  Socket socket;
  Record record;
  Holders holders;
};

TEST_F(BesideARecord, TellsTheHolderThatWasFound) {
  lives_since(began + seconds(1));
  const Beside b = beside({.process = own(), .descriptor = 3, .processes = 2, .descriptors = 5, .references = 6});
  EXPECT_EQ(b.process, own());
  EXPECT_EQ(b.descriptor, 3);
  EXPECT_EQ(b.processes, 2U);
  EXPECT_EQ(b.descriptors, 5U);
  EXPECT_EQ(b.references, 6U);
  EXPECT_EQ(b.network, 99U);
  Processes book;
  EXPECT_EQ(b.comm, book.of(own()).comm);
  EXPECT_TRUE(b.looked);
  EXPECT_TRUE(b.looked_everywhere);
}

TEST_F(BesideARecord, CountsAsFarAsItCan) {
  lives_since(began + seconds(1));
  const Beside fits = beside({.process = own(), .descriptor = 3, .processes = 65534, .descriptors = 65535});
  EXPECT_EQ(fits.processes, 65534U);
  EXPECT_EQ(fits.descriptors, 65535U);
  const Beside more = beside({.process = own(), .descriptor = 3, .processes = 65536, .descriptors = 1U << 31});
  EXPECT_EQ(more.processes, 65535U);
  EXPECT_EQ(more.descriptors, 65535U);
}

// --- whether somebody looked

TEST_F(BesideARecord, ASocketOlderThanTheLookWasLookedForAndOneOfItsTimeWasNot) {
  const Instant looked_at = now - seconds(5);
  look(looked_at, true);
  lives_since(looked_at - nanoseconds(1));
  EXPECT_TRUE(beside().looked);
  EXPECT_TRUE(beside().looked_everywhere);
  EXPECT_EQ(beside().process, 0U);
  lives_since(looked_at);
  EXPECT_FALSE(beside().looked);
  EXPECT_FALSE(beside().looked_everywhere);
}

TEST_F(BesideARecord, ALookThatLeftSomebodyOutWasNotEverywhere) {
  look(now, false);
  lives_since(now - seconds(5));
  EXPECT_TRUE(beside().looked);
  EXPECT_FALSE(beside().looked_everywhere);
  EXPECT_FALSE(beside_held().looked_everywhere);
}

TEST_F(BesideARecord, WithoutALookNothingWasLookedFor) {
  holders = Holders();
  lives_since(now - seconds(5));
  EXPECT_FALSE(beside().looked);
}

TEST_F(BesideARecord, WhatNobodyCanHaveOpenIsNotLookedFor) {
  lives_since(now - seconds(5));
  for (const Holder holder : {Holder::Orphan, Holder::Unknown}) {
    record.holder = holder;
    EXPECT_FALSE(beside().looked);
  }
  record.holder = Holder::AcceptQueue;
  EXPECT_TRUE(beside().looked);
}

TEST_F(BesideARecord, AMinisockOfUnknownAgeIsNotCalledHidden) {
  lives_since(now - seconds(5));
  socket.is_whole = false;
  EXPECT_FALSE(beside().looked);
}

// --- whether it was inherited

TEST_F(BesideARecord, AConnectionOlderThanItsHolderByMoreThanTwoTicksIsInherited) {
  lives_since(began - kTick * 2);
  EXPECT_FALSE(beside_held().inherited);
  lives_since(began - kTick * 2 - nanoseconds(1));
  EXPECT_TRUE(beside_held().inherited);
}

TEST_F(BesideARecord, ItsAgeIsThatOfTheOlderClock) {
  socket.since_data = milliseconds(1);
  socket.since_ack = now - began + seconds(1);
  EXPECT_TRUE(beside_held().inherited);
  socket.since_ack = milliseconds(1);
  EXPECT_FALSE(beside_held().inherited) << "where both have been moved since, nothing is known";
}

TEST_F(BesideARecord, WhatWaitsInAnAcceptQueueIsNotInheritedByWhoHasTheListener) {
  lives_since(began - seconds(1));
  EXPECT_TRUE(beside_held().inherited);
  record.holder = Holder::AcceptQueue;
  EXPECT_FALSE(beside_held().inherited);
}

TEST_F(BesideARecord, NothingIsInheritedByAProcessThatHasGone) {
  lives_since(began - seconds(1));
  EXPECT_FALSE(beside({.process = UINT32_MAX, .descriptor = 3, .processes = 1, .descriptors = 1}).inherited);
}

TEST_F(BesideARecord, AConnectionOfUnknownAgeIsNotInherited) {
  lives_since(began - seconds(1));
  socket.state = State::SynReceived;
  EXPECT_FALSE(beside_held().inherited);
}

// --- its timer

TEST_F(BesideARecord, ItsTimerFiresAfterTheMomentAtWhichItWasRead) {
  lives_since(now);
  socket.timer = Timer::TimeWait;
  socket.expires = seconds(42);
  socket.timer_retries = 3;
  EXPECT_EQ(beside().fires, now + seconds(42));
  EXPECT_EQ(beside().retries, 3U);
  socket.timer = Timer::None;
  EXPECT_FALSE(beside().fires.is_known()) << "what is not armed does not fire";
}

TEST_F(BesideARecord, EachTimerOfTheKernelHasItsName) {
  const struct {
    Timer kernel;
    OwnTimer told;
  } cases[] = {{Timer::None, OwnTimer::None},           {Timer::Retransmit, OwnTimer::Retransmit},
               {Timer::Keepalive, OwnTimer::Keepalive}, {Timer::TimeWait, OwnTimer::Quarantine},
               {Timer::Persist, OwnTimer::Persist},     {Timer::Other, OwnTimer::Unknown}};
  for (const auto& c : cases) {
    socket.timer = c.kernel;
    EXPECT_EQ(beside().timer, c.told) << name(c.kernel);
  }
}

// --- since when it is in its state

TEST_F(BesideARecord, TheLastAcknowledgmentCameWithWhatLedIntoAHalfClosedState) {
  socket.since_data = seconds(9);
  socket.since_ack = seconds(7);
  for (const State state : {State::FinWait2, State::CloseWait}) {
    socket.state = state;
    EXPECT_EQ(beside().in_state_by, now - seconds(7)) << name(state);
  }
  socket.state = State::Established;
  EXPECT_EQ(beside().in_state_by, now - seconds(9));
}

TEST_F(BesideARecord, NoClockSaysWhenTheApplicationClosed) {
  socket.since_data = seconds(9);
  socket.since_ack = seconds(7);
  for (const State state : {State::FinWait1, State::Closing, State::LastAck, State::TimeWait, State::SynSent}) {
    socket.state = state;
    EXPECT_FALSE(beside().in_state_by.is_known()) << name(state);
  }
  socket.state = State::FinWait2;
  socket.is_whole = false;
  EXPECT_FALSE(beside().in_state_by.is_known()) << "a minisock keeps no clocks";
}

}  // namespace
}  // namespace adieu::kernel
