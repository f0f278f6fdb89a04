// Who is who from one sweep to the next: sockets written by hand, in virtual time.
#include "kernel/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
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
    for (const Socket& s : seen) sweeper.see(s, table.view);
    while (const auto missing = sweeper.poll_missing()) {
      const auto there = std::ranges::find(hidden, *missing, &Socket::key);
      if (there != hidden.end()) {
        sweeper.see(*there, table.view);
      } else {
        sweeper.vanished(missing->cookie);
      }
    }
    sweeper.finish();
  }
  std::optional<std::uint32_t> slot_of(std::uint64_t cookie) const {
    const Socket s = socket(cookie);
    return table.slot_of(s.key.local, s.key.remote);
  }

  Table table;
  Holders holders;
  Sweep sweeper{table.writer, holders};
  Instant now{seconds(100).ns};
};

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

}  // namespace
}  // namespace adieu::kernel
