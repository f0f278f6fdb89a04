// Who is who from one sweep to the next: sockets written by hand, in virtual time.
#include "kernel/sweep.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "kernel/probe.h"
#include "tests/kernel/table.h"

namespace adieu::kernel {
namespace {

using test::Table;

Socket socket(std::uint64_t cookie, State state = State::Established) {
  Socket s;
  s.key.cookie = cookie;
  s.key.local = {.address = Address::v4(10, 0, 0, 1), .port = 80};
  s.key.remote = {.address = Address::v4(10, 0, 0, 2), .port = static_cast<std::uint16_t>(cookie)};
  s.state = state;
  s.inode = 1;
  s.is_whole = true;
  s.segments_in = 3;
  s.since_data = s.since_ack = seconds(1);
  return s;
}

struct World {
  explicit World(std::uint32_t slots = 64, std::uint32_t quarantine = 16) : table(slots, quarantine) {}

  // A whole sweep; of what it misses, the kernel knows the names in `hidden` all the same.
  void sweep(const std::vector<Socket>& seen, const std::vector<Socket>& hidden = {}) {
    now = now + seconds(1);
    sweeper.begin(now);
    for (const Socket& s : seen) see(s);
    while (const auto missing = sweeper.poll_missing()) {
      const auto there = std::ranges::find(hidden, *missing, &Socket::key);
      if (there != hidden.end()) {
        see(*there);
      } else {
        sweeper.vanished(missing->cookie);
      }
    }
    sweeper.finish();
  }
  // What the kernel told, and then its answers, for which it knows `there`.
  void hear(const std::vector<BpfEvent>& told, const std::vector<Socket>& there = {}) {
    now = now + seconds(1);
    sweeper.hear(now);
    for (const BpfEvent& event : told) sweeper.tell(event);
    while (const auto asked = sweeper.poll_told()) {
      questions.push_back(asked->cookie);
      const auto found = std::ranges::find(there, *asked, &Socket::key);
      if (found != there.end()) {
        see(*found);
      } else {
        sweeper.absent(asked->cookie);
      }
    }
  }
  void see(Socket s) {
    s.read_at = now;
    sweeper.see(s, table.view);
  }
  // Of the only connection there ever was.
  plane::Record only() const { return table.read(0); }
  std::optional<std::uint32_t> slot_of(std::uint64_t cookie) const {
    const Socket s = socket(cookie);
    return table.slot_of(s.key.local, s.key.remote);
  }

  Table table;
  Holders holders;
  Sweep sweeper{table.writer, holders};
  Instant now{seconds(100).ns};
  std::vector<std::uint64_t> questions;  // cookies, in the order in which they were asked about
};

BpfEvent changed(std::uint64_t cookie, State from, State to, Instant when, int error = 0) {
  BpfEvent event;
  event.kind = BpfEventKind::StateChanged;
  event.cookie = cookie;
  event.local = socket(cookie).key.local;
  event.remote = socket(cookie).key.remote;
  event.old_state = from;
  event.new_state = to;
  event.when = when;
  event.error = error;
  return event;
}
BpfEvent told(BpfEventKind kind, std::uint64_t cookie) {
  BpfEvent event;
  event.kind = kind;
  event.cookie = cookie;
  return event;
}

TEST(Sweep, WhoHasBeenAskedAsOftenAsMayBeCannotBeAskedAgainUntilHeard) {
  World world;
  world.sweep({socket(1)});
  const auto record = [&] { return world.table.read(*world.slot_of(1)); };
  for (unsigned i = 0; i < kMostUnanswered; ++i) {
    EXPECT_TRUE(record().can_probe);
    world.sweeper.asked(*world.slot_of(1), world.now);
  }
  EXPECT_FALSE(record().can_probe);
  Socket s = socket(1);
  s.probes = kMostUnanswered;
  world.sweep({s});
  EXPECT_FALSE(record().can_probe);
  s.probes = 0;
  ++s.segments_in;
  world.sweep({s});
  EXPECT_TRUE(record().can_probe);
  EXPECT_EQ(record().probes[static_cast<std::size_t>(ProbeForm::Bare)], 0U);
}

TEST(Sweep, WhoHasTimersOfItsOwnIsNotAskedForAMinute) {
  World world;
  world.sweep({socket(1)});
  world.sweeper.unaskable(*world.slot_of(1), world.now);
  const auto record = [&] { return world.table.read(*world.slot_of(1)); };
  EXPECT_FALSE(record().can_probe);
  for (unsigned second = 1; second < 60; ++second) world.sweep({socket(1)});
  EXPECT_FALSE(record().can_probe);
  world.sweep({socket(1)});
  EXPECT_TRUE(record().can_probe);
}

TEST(Sweep, KeepsASocketInItsSlotWhateverTheOrderOfTheDump) {
  World world;
  world.sweep({socket(1), socket(2), socket(3)});
  const auto one = world.slot_of(1);
  const auto three = world.slot_of(3);
  world.sweep({socket(3), socket(2), socket(1)});
  EXPECT_EQ(world.slot_of(1), one);
  EXPECT_EQ(world.slot_of(3), three);
  EXPECT_EQ(world.table.writer.totals().opened, 3U);
  EXPECT_EQ(world.sweeper.counts().seen, 3U);
}

TEST(Sweep, TakesASocketThatIsDumpedTwiceForOne) {
  World world;
  world.sweep({socket(1), socket(1, State::CloseWait)});
  EXPECT_EQ(world.table.live(), 1U);
  EXPECT_EQ(world.sweeper.counts().seen, 1U);
  EXPECT_EQ(world.table.read(*world.slot_of(1)).state, State::CloseWait);
}

TEST(Sweep, EndsWhatIsGoneAsVanishedWithItsLastFacts) {
  World world;
  world.sweep({socket(1, State::FinWait2), socket(2)});
  const std::uint32_t slot = *world.slot_of(1);
  world.sweep({socket(2)});
  const plane::Record ended = world.table.read(slot);
  EXPECT_EQ(ended.reason, EndReason::Vanished);
  EXPECT_EQ(ended.state, State::FinWait2);
  EXPECT_EQ(ended.ended_by, 0U);
  EXPECT_EQ(world.sweeper.counts().vanished, 1U);
  EXPECT_EQ(world.table.live(), 1U);
  world.sweep({socket(2)});
  EXPECT_EQ(world.table.vanished(), 1U);  // once
}

TEST(Sweep, EndsNothingThatTheDumpMissedButTheKernelStillKnows) {
  World world;
  world.sweep({socket(1), socket(2)});
  const auto slot = world.slot_of(1);
  world.sweep({socket(2)}, {socket(1)});
  EXPECT_EQ(world.table.vanished(), 0U);
  EXPECT_EQ(world.slot_of(1), slot);
  EXPECT_EQ(world.sweeper.counts().seen, 2U);
}

TEST(Sweep, EndsNothingOnTheStrengthOfASweepThatBrokeOff) {
  World world;
  world.sweep({socket(1), socket(2)});
  world.sweeper.begin(world.now + seconds(1));
  world.sweeper.see(socket(2), world.table.view);
  world.sweep({socket(1), socket(2)});  // the next one, whole
  EXPECT_EQ(world.table.vanished(), 0U);
  EXPECT_EQ(world.table.writer.totals().opened, 2U);
}

TEST(Sweep, GivesASlotAgainOnlyWithAnotherGeneration) {
  World world(1, 0);
  world.sweep({socket(1)});
  const plane::ConnectionId first = world.table.writer.id(0);
  world.sweep({});
  world.sweep({socket(2)});
  const plane::ConnectionId second = world.table.writer.id(0);
  EXPECT_EQ(second.slot, first.slot);
  EXPECT_NE(second.generation, first.generation);
  EXPECT_FALSE(world.table.writer.is_live(first) || world.table.writer.is_ended(first));
  EXPECT_TRUE(world.table.writer.is_live(second));
}

TEST(Sweep, TakesTheSameAddressesWithAnotherCookieForAnotherConnection) {
  World world;
  world.sweep({socket(1)});
  const plane::ConnectionId first = world.table.writer.id(*world.slot_of(1));
  Socket again = socket(1);
  again.key.cookie = 99;
  world.sweep({again});
  EXPECT_TRUE(world.table.writer.is_ended(first));
  EXPECT_EQ(world.table.live(), 1U);
}

TEST(Sweep, RefusesWhatIsNewAtTheHardLimitAndTakesItWhenThereIsRoom) {
  World world(2, 0);
  world.sweep({socket(1), socket(2), socket(3)});
  EXPECT_EQ(world.sweeper.counts().refused, 1U);
  EXPECT_EQ(world.table.live(), 2U);
  EXPECT_FALSE(world.slot_of(3));
  world.sweep({socket(2), socket(3)});  // the end of 1 makes room for the sweep after
  world.sweep({socket(2), socket(3)});
  ASSERT_TRUE(world.slot_of(3));
  EXPECT_EQ(world.sweeper.counts().refused, 0U);
  // It was there all the time: when it entered its state is unknown.
  EXPECT_FALSE(world.table.read(*world.slot_of(3)).state_entered.is_known());
}

TEST(Sweep, KnowsSinceWhenAConnectionThatCameLaterIsInItsState) {
  World world;
  world.sweep({socket(1)});
  world.sweep({socket(1), socket(2)});
  EXPECT_FALSE(world.table.read(*world.slot_of(1)).state_entered.is_known());
  EXPECT_EQ(world.table.read(*world.slot_of(2)).state_entered, world.now);
}

TEST(Sweep, HearsASegmentOnlyWhenTheKernelCountedOne) {
  World world;
  world.sweep({socket(1)});
  const Instant heard = world.table.read(*world.slot_of(1)).last_heard;
  world.sweep({socket(1)});  // the clocks claim a second later, the count of segments does not
  EXPECT_EQ(world.table.read(*world.slot_of(1)).last_heard, heard);
  Socket spoken = socket(1);
  ++spoken.segments_in;
  world.sweep({spoken});
  EXPECT_EQ(world.table.read(*world.slot_of(1)).last_heard, world.now - seconds(1));
}

TEST(Sweep, HintsAtEachOpeningChangeAndEnd) {
  World world;
  world.sweep({socket(1)});
  world.sweep({socket(1)});
  world.sweep({socket(1, State::CloseWait)});
  world.sweep({});
  const plane::EventKind expected[] = {plane::EventKind::Opened, plane::EventKind::StateChanged,
                                       plane::EventKind::Ended};
  ASSERT_EQ(world.table.reader.events_written(), 3U);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const auto event = world.table.reader.event(number);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->kind, expected[number - 1]);
  }
}

// --- between two sweeps, by what the kernel tells

TEST(WhatTheKernelTells, IsAStateWithTheMomentAtWhichItBegan) {
  World world;
  world.sweep({socket(1)});
  const Instant when = world.now + milliseconds(250);
  world.hear({changed(1, State::Established, State::CloseWait, when)}, {socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().state, State::CloseWait);
  EXPECT_EQ(world.only().state_entered, when);
  EXPECT_EQ(world.only().progress_in, when) << "the FIN came then";
  world.sweep({socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().state_entered, when) << "a sweep keeps what was told";
}

TEST(WhatTheKernelTells, IsAskedAboutOnceHoweverMuchItIs) {
  World world;
  world.sweep({socket(1)});
  world.hear({changed(1, State::Established, State::FinWait1, world.now),
              changed(1, State::FinWait1, State::FinWait2, world.now)},
             {socket(1, State::FinWait2)});
  EXPECT_EQ(world.questions, std::vector<std::uint64_t>{1});
  EXPECT_EQ(world.only().state, State::FinWait2);
}

TEST(WhatTheKernelTells, ShowsANewConnectionBeforeAnySweepDoes) {
  World world;
  const Instant when = world.now;
  world.hear({changed(1, State::SynReceived, State::Established, when)}, {socket(1)});
  EXPECT_EQ(world.only().state, State::Established);
  EXPECT_EQ(world.only().state_entered, when);
  world.sweep({socket(1)});
  EXPECT_EQ(world.table.writer.totals().opened, 1U);
}

TEST(WhatTheKernelTells, LeavesOutAConnectionThatHasComeAndGone) {
  World world;
  world.hear({changed(1, State::SynReceived, State::Established, world.now),
              changed(1, State::Established, State::CloseWait, world.now),
              changed(1, State::CloseWait, State::LastAck, world.now),
              changed(1, State::LastAck, State::Closed, world.now)});
  EXPECT_TRUE(world.questions.empty());
  EXPECT_EQ(world.table.writer.totals().opened, 0U);
}

TEST(WhatTheKernelTells, DoesNotNameASocketThatHasNoPortYet) {
  World world;
  BpfEvent connecting = changed(1, State::Closed, State::SynSent, world.now);
  connecting.local.port = 0;
  world.hear({connecting});
  EXPECT_TRUE(world.questions.empty());
}

TEST(WhatTheKernelTells, SaysWhyAConnectionEnded) {
  const struct {
    State from;
    int error;
    bool was_reset;
    EndReason reason;
  } cases[] = {
      {State::LastAck, 0, false, EndReason::BothClosed},
      {State::Established, ECONNRESET, true, EndReason::PeerReset},
      {State::CloseWait, EPIPE, true, EndReason::PeerReset},
      {State::FinWait2, ECONNRESET, true, EndReason::PeerReset},
      {State::SynSent, EHOSTUNREACH, false, EndReason::Refused},
      {State::LastAck, EHOSTUNREACH, false, EndReason::Vanished},  // the error may be an old one
      {State::CloseWait, EPIPE, false, EndReason::PeerReset},
      {State::SynSent, ECONNREFUSED, true, EndReason::Refused},
      {State::SynReceived, 0, true, EndReason::Refused},
      {State::Established, ETIMEDOUT, false, EndReason::OwnTimer},
      {State::LastAck, ETIMEDOUT, false, EndReason::OwnTimer},
      {State::FinWait1, EHOSTUNREACH, false, EndReason::OwnTimer},
      {State::CloseWait, ECONNABORTED, false, EndReason::Aborted},
      {State::Established, 0, false, EndReason::Aborted},
      {State::CloseWait, 0, false, EndReason::Aborted},
      {State::FinWait1, 0, false, EndReason::Vanished},
  };
  for (const auto& c : cases) {
    World world;
    world.sweep({socket(1, c.from)});
    std::vector<BpfEvent> events;
    if (c.was_reset) events.push_back(told(BpfEventKind::ResetReceived, 1));
    events.push_back(changed(1, c.from, State::Closed, world.now, c.error));
    world.hear(events);
    EXPECT_EQ(world.only().reason, c.reason) << name(c.from) << ' ' << c.error;
    EXPECT_EQ(world.only().state, c.from);
    EXPECT_TRUE(world.questions.empty()) << "nothing is left to look at";
  }
}

TEST(WhatTheKernelTells, FollowsASocketThatShrinksToTimeWait) {
  World world;
  world.sweep({socket(1, State::FinWait2)});
  const Instant when = world.now;
  Socket minisock = socket(1, State::TimeWait);
  minisock.is_whole = false;
  minisock.inode = 0;
  world.hear({changed(1, State::FinWait2, State::Closed, when)}, {minisock});
  EXPECT_EQ(world.only().state, State::TimeWait);
  EXPECT_EQ(world.only().state_entered, when);
  world.sweep({});
  EXPECT_EQ(world.only().reason, EndReason::BothClosed);
}

TEST(WhatTheKernelTells, DoesNotGuessWhyFinWait2LeftNothingBehind) {
  World world;
  world.sweep({socket(1, State::FinWait2)});
  world.hear({changed(1, State::FinWait2, State::Closed, world.now)});
  EXPECT_EQ(world.only().reason, EndReason::Vanished);
}

TEST(WhatTheKernelTells, NamesTheStateInWhichItEndedWhereverItWasSeenLast) {
  World world;
  world.sweep({socket(1)});
  world.hear({changed(1, State::Established, State::FinWait1, world.now),
              changed(1, State::FinWait1, State::FinWait2, world.now),
              changed(1, State::FinWait2, State::Closed, world.now)});
  EXPECT_EQ(world.only().state, State::FinWait2);
  EXPECT_TRUE(world.only().has_ended());
}

TEST(WhatTheKernelTells, DoesNotEndASocketThatLivedWhenItWasTold) {
  World world;
  world.sweep({socket(1)});
  world.hear({changed(1, State::Established, State::CloseWait, world.now)});  // and is gone when it is asked about
  EXPECT_FALSE(world.only().has_ended()) << "why it ended is about to be told";
  world.hear({changed(1, State::CloseWait, State::Closed, world.now, ETIMEDOUT)});
  EXPECT_EQ(world.only().reason, EndReason::OwnTimer);
}

TEST(WhatTheKernelTells, ProvesThatTheEndOfTheStreamWasReadForGood) {
  World world;
  world.sweep({socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().end_of_stream_read, plane::Known::Unknown);
  world.hear({told(BpfEventKind::EndOfStreamRead, 1)}, {socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().end_of_stream_read, plane::Known::Yes);
  world.sweep({socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().end_of_stream_read, plane::Known::Yes);
}

TEST(WhatTheKernelTells, ProvesThatTheEndWasReadBeforeTheConnectionHadASlot) {
  World world;
  world.hear({changed(1, State::Established, State::CloseWait, world.now), told(BpfEventKind::EndOfStreamRead, 1)},
             {socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().end_of_stream_read, plane::Known::Yes);
  world.sweep({socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().end_of_stream_read, plane::Known::Yes);
}

TEST(WhatTheKernelTells, IsSeenByTheNextSweepWhereNobodyAsked) {
  World world;
  world.sweep({socket(1)});
  const Instant when = world.now;
  world.sweeper.tell(changed(1, State::Established, State::CloseWait, when));
  world.sweep({socket(1, State::CloseWait)});
  EXPECT_EQ(world.only().state_entered, when);
  EXPECT_FALSE(world.sweeper.poll_told()) << "it has been looked at";
}

// --- timers that end a minisock without a word

Socket minisock(std::uint64_t cookie, State state, Duration expires) {
  Socket s = socket(cookie, state);
  s.is_whole = false;
  s.inode = 0;
  s.timer = Timer::TimeWait;
  s.expires = expires;
  return s;
}

TEST(AMinisock, IsAskedAboutWhenItsTimerIsDueAndNotBefore) {
  World world;
  world.sweep({minisock(1, State::TimeWait, seconds(10)), minisock(2, State::TimeWait, seconds(5))});
  EXPECT_EQ(world.sweeper.next_due(), world.now + seconds(5) + kTick);
  world.sweeper.hear(world.now + seconds(5));
  EXPECT_FALSE(world.sweeper.poll_due()) << "a tick must pass";
  world.sweeper.hear(world.now + seconds(6));
  const auto due = world.sweeper.poll_due();
  ASSERT_TRUE(due);
  EXPECT_EQ(due->cookie, 2U);
  world.sweeper.absent(2);
  EXPECT_FALSE(world.slot_of(2));
  EXPECT_TRUE(world.slot_of(1));
  EXPECT_FALSE(world.sweeper.poll_due());
}

TEST(AMinisock, ThatIsStillThereIsAskedAboutAtItsNewTime) {
  World world;
  world.sweep({minisock(1, State::TimeWait, seconds(5))});
  world.now = world.now + seconds(6);
  world.sweeper.hear(world.now);
  ASSERT_TRUE(world.sweeper.poll_due());
  world.see(minisock(1, State::TimeWait, seconds(60)));  // a FIN that came again has set it anew
  EXPECT_TRUE(world.slot_of(1));
  EXPECT_EQ(world.sweeper.next_due(), world.now + seconds(60) + kTick);
  EXPECT_FALSE(world.sweeper.poll_due());
}

TEST(AMinisock, WhoseTimerIsLateIsAskedAboutAgain) {
  World world;
  world.sweep({minisock(1, State::TimeWait, seconds(5))});
  world.now = world.now + seconds(5) + kTick;
  world.sweeper.hear(world.now);
  ASSERT_TRUE(world.sweeper.poll_due());
  world.see(minisock(1, State::TimeWait, Duration{}));
  EXPECT_EQ(world.sweeper.next_due(), world.now + seconds(1));
}

TEST(AMinisock, EndsForTheReasonThatItsStateLeaves) {
  World world;
  world.sweep({minisock(1, State::TimeWait, seconds(5)), minisock(2, State::FinWait2, seconds(5))});
  const auto quarantined = *world.slot_of(1);
  const auto orphaned = *world.slot_of(2);
  world.sweeper.hear(world.now + seconds(6));
  while (const auto due = world.sweeper.poll_due()) world.sweeper.absent(due->cookie);
  EXPECT_EQ(world.table.read(quarantined).reason, EndReason::BothClosed);
  EXPECT_EQ(world.table.read(orphaned).reason, EndReason::OwnTimer);
}

// --- accept(), of which nobody tells

TEST(AnAcceptQueue, IsLookedAtSoonAndThenLessAndLessOften) {
  World world;
  Socket queued = socket(1);
  queued.inode = 0;
  world.hear({changed(1, State::SynReceived, State::Established, world.now)}, {queued});
  EXPECT_EQ(world.only().holder, plane::Holder::AcceptQueue);
  unsigned looks = 0;
  const Instant end = world.now + seconds(60);
  for (; world.sweeper.next_due() < end; ++looks) {
    world.now = world.sweeper.next_due();
    world.sweeper.hear(world.now);
    while (world.sweeper.poll_due()) world.see(queued);
  }
  EXPECT_GT(looks, 3U);
  EXPECT_LT(looks, 10U);
}

TEST(AnAcceptQueue, IsLeftAsSoonAsSomebodyAccepted) {
  World world;
  Socket queued = socket(1);
  queued.inode = 0;
  world.hear({changed(1, State::SynReceived, State::Established, world.now)}, {queued});
  world.now = world.sweeper.next_due();
  world.sweeper.hear(world.now);
  ASSERT_TRUE(world.sweeper.poll_due());
  world.see(socket(1));
  EXPECT_EQ(world.only().holder, plane::Holder::Held);
  EXPECT_EQ(world.sweeper.next_due(), Instant::never());
}

TEST(AnAcceptQueue, BelongsToTheListenerThatFitsBestAndToNobodyWhereSeveralDo) {
  const Address any4 = Address::v4(0, 0, 0, 0);
  const Address any6{};
  const Address here = socket(1).key.local.address;
  const struct {
    std::vector<std::pair<Address, std::uint32_t>> listeners;  // and the inode of each
    std::int32_t descriptor;                                   // -1: nobody is named
  } cases[] = {
      {{{any4, 4}}, 4},
      {{{any6, 6}}, 6},
      {{{any4, 4}, {any6, 6}}, 4},  // the other takes IPv6 only
      {{{any6, 6}, {any4, 4}}, 4},
      {{{any4, 4}, {here, 9}}, 9},
      {{{here, 9}, {any4, 4}}, 9},
      {{{any4, 4}, {any4, 5}}, -1},  // SO_REUSEPORT
      {{{any4, 4}, {any4, 5}, {here, 9}}, 9},
  };
  for (const auto& c : cases) {
    World world;
    world.holders.begin(world.now + seconds(500));
    for (const auto& [address, inode] : c.listeners)
      world.holders.add({.inode = inode,
                         .process = static_cast<std::uint32_t>(getpid()),
                         .descriptor = static_cast<std::int32_t>(inode),
                         .references = 0});
    world.holders.finish(true);
    world.now = world.now + seconds(1);
    world.sweeper.begin(world.now);
    for (const auto& [address, inode] : c.listeners) {
      Socket listener;
      listener.key.local = {.address = address, .port = 80};
      listener.inode = inode;
      world.sweeper.see_listener(listener);
    }
    Socket queued = socket(1);
    queued.inode = 0;
    world.see(queued);
    EXPECT_EQ(world.only().beside.descriptor, c.descriptor);
  }
}

TEST(Sweep, TakesASocketThatIsConnectedToSomebodyElseForAnotherConnection) {
  World world;
  world.sweep({socket(1)});
  Socket again = socket(1);
  again.key.remote.port = 4711;
  world.sweep({again});
  EXPECT_EQ(world.table.writer.totals().opened, 2U);
  EXPECT_EQ(world.only().reason, EndReason::Aborted);
  EXPECT_TRUE(world.table.slot_of(again.key.local, again.key.remote));
  EXPECT_FALSE(world.slot_of(1));
}

TEST(WhatTheKernelTells, DoesNotLayDataAfterCloseToThePeer) {
  World world;
  Socket orphan = socket(1, State::FinWait1);
  orphan.inode = 0;
  world.sweep({orphan});
  world.hear({told(BpfEventKind::ResetReceived, 1), changed(1, State::FinWait1, State::Closed, world.now, ECONNRESET)});
  EXPECT_EQ(world.only().reason, EndReason::Vanished);
}

}  // namespace
}  // namespace adieu::kernel
