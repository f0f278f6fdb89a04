// The table as one thread sees it: records, slots and generations, the quarantine of reasons, counts, receipts, events.
#include "plane/table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <set>
#include <string>

#include "base/rng.h"
#include "plane/table_layout.h"
#include "shared_memory.h"

namespace adieu::plane {
namespace {

// A table with its reader, and a control plane that has read what the test says.
class Table : public testing::Test {
 protected:
  void make(const TableSetup& setup) {
    memory_.emplace(table_bytes(setup.capacity));
    writer_.emplace(memory_->all(), setup);
    auto reader = TableReader::over(memory_->all());
    ASSERT_TRUE(reader);
    reader_.emplace(*reader);
  }
  std::uint32_t open(std::uint32_t number = 1) {
    const auto slot = writer_->open(record_of(number), view());
    EXPECT_TRUE(slot);
    return *slot;
  }
  void end(std::uint32_t slot, EndReason reason = EndReason::BothClosed, std::uint64_t verdict = 0) {
    writer_->end(slot, writer_->last(slot), reason, verdict);
  }
  Record read(std::uint32_t slot) {
    Record record;
    EXPECT_EQ(reader_->read(slot, record), SlotReading::Whole);
    return record;
  }
  SlotReading reading(std::uint32_t slot) {
    Record record;
    return reader_->read(slot, record);
  }
  ControlView view() { return ControlView(control_memory_.all()); }

  Memory control_memory_{control_block_bytes(4)};
  ControlWriter control_{control_memory_.all(), 7, 4};
  std::optional<Memory> memory_;
  std::optional<TableWriter> writer_;
  std::optional<TableReader> reader_;
};

// --- records

TEST_F(Table, TellsAReaderAllThatThePlaneSaidOfItself) {
  make(small_table(3));
  writer_->beat(Instant{99});
  writer_->set_memory_bytes(1234);
  writer_->set_commands_taken(5);
  EXPECT_EQ(reader_->kind(), PlaneKind::Engine);
  EXPECT_EQ(reader_->incarnation(), 0x1122334455667788U);
  EXPECT_EQ(reader_->abilities(), Ability::ProbeEcho | Ability::AbortReset);
  EXPECT_EQ(reader_->plane_name(), "test");
  EXPECT_EQ(reader_->process(), 42U);
  EXPECT_EQ(reader_->heartbeat(), Instant{99});
  EXPECT_EQ(reader_->memory_bytes(), 1234U);
  EXPECT_EQ(reader_->commands_taken(), 5U);
  EXPECT_EQ(reader_->capacity(), 3U);
  writer_->set_abilities(0);
  EXPECT_EQ(reader_->abilities(), 0U);
}

TEST_F(Table, HasNoHeartbeatBeforeTheFirstBeat) {
  make(small_table(1));
  EXPECT_EQ(reader_->heartbeat(), Instant::unknown());
}

TEST_F(Table, KeepsANameOf31OctetsAndCutsALongerOne) {
  const std::string fits(31, 'x');
  TableSetup setup = small_table(1);
  setup.name = fits;
  make(setup);
  EXPECT_EQ(reader_->plane_name(), fits);
  const std::string longer(32, 'x');
  setup.name = longer;
  make(setup);
  EXPECT_EQ(reader_->plane_name(), fits);
}

TEST_F(Table, ReadsBackEveryFieldOfARecordAsItWasPublished) {
  make(small_table(1));
  const std::uint32_t slot = open(0);
  for (std::uint32_t number = 0; number < 5000; ++number) {
    writer_->publish(slot, record_of(number * 2654435761U));
    Record expected = record_of(number * 2654435761U);
    expected.generation = 1;
    ASSERT_EQ(read(slot), expected);
    ASSERT_EQ(writer_->last(slot), expected);
    ASSERT_EQ(writer_->local(slot), expected.local);
    ASSERT_EQ(writer_->remote(slot), expected.remote);
  }
}

TEST_F(Table, AGlanceSaysWhatTheWholeRecordSays) {
  make(small_table(1));
  const std::uint32_t slot = open(0);
  for (std::uint32_t number = 0; number < 5000; ++number) {
    Record record = record_of(number * 2654435761U);
    // Quiet ones are rare among random numbers: each cause of unrest is there, or is not, apart from the others.
    if ((number & 1) != 0) record.oldest_unacked = (number & 2) != 0 ? Instant::never() : Instant::unknown();
    if ((number & 4) != 0) record.attempts = 0;
    for (unsigned form = 0; form < kProbeForms; ++form)
      if ((number & (8U << form)) != 0) record.probes[form] = 0;
    writer_->publish(slot, record);
    Glance glance;
    ASSERT_EQ(reader_->glance(slot, glance), SlotReading::Whole);
    ASSERT_EQ(glance, glance_at(read(slot))) << number;
  }
  end(slot, EndReason::PeerReset);
  Glance glance;
  EXPECT_EQ(reader_->glance(slot, glance), SlotReading::Whole);
  EXPECT_EQ(glance, glance_at(read(slot)));
  EXPECT_EQ(glance.reason, EndReason::PeerReset);
  EXPECT_EQ(reader_->glance(1, glance), SlotReading::NeverUsed);
}

TEST_F(Table, KeepsUnknownUnknownAndNeverNever) {
  make(small_table(1));
  Record record;
  record.oldest_unacked = Instant::never();
  const auto slot = writer_->open(record, view());
  record.generation = 1;
  EXPECT_EQ(read(*slot), record);
  EXPECT_EQ(read(*slot).last_heard, Instant::unknown());
  EXPECT_EQ(read(*slot).unread, kUnknownCount);
}

TEST_F(Table, AnsweredSlotsAreThoseThatWereOpenedAndNoOthers) {
  make(small_table(2));
  open();
  EXPECT_EQ(reader_->slots_used(), 1U);
  EXPECT_EQ(reading(0), SlotReading::Whole);
  EXPECT_EQ(reading(1), SlotReading::NeverUsed);
  EXPECT_EQ(reading(2), SlotReading::NeverUsed);
  EXPECT_EQ(reading(UINT32_MAX), SlotReading::NeverUsed);
}

TEST_F(Table, AnEndedRecordNamesItsReasonAndTheVerdictBehindIt) {
  make(small_table(1));
  const std::uint32_t slot = open(5);
  end(slot, EndReason::Commanded, 77);
  const Record last = read(slot);
  EXPECT_TRUE(last.has_ended());
  EXPECT_EQ(last.reason, EndReason::Commanded);
  EXPECT_EQ(last.ended_by, 77U);
  EXPECT_EQ(last.heard, 5U);
  EXPECT_EQ(last.probe_last, record_of(5).probe_last);
  EXPECT_EQ(last.unread, kUnknownCount);  // the verdict stands in its place
}

TEST_F(Table, ALivingRecordNamesNoVerdict) {
  make(small_table(1));
  Record record = record_of(5);
  record.ended_by = 77;
  const auto slot = writer_->open(record, view());
  EXPECT_EQ(read(*slot).ended_by, 0U);
  EXPECT_EQ(read(*slot).unread, record.unread);
}

// --- what stands beside a record

TableSetup with_beside(std::uint32_t slots) {
  TableSetup setup = small_table(slots);
  setup.capacity.beside = true;
  return setup;
}

TEST_F(Table, ReadsBackWhatStandsBesideARecordAsItWasSet) {
  make(with_beside(3));
  open(10);
  const std::uint32_t slot = open(11);
  open(12);
  for (std::uint32_t number = 0; number < 5000; ++number) {
    const Beside beside = beside_of(number * 2654435761U);
    writer_->set_beside(slot, beside);
    ASSERT_EQ(read(slot).beside, beside) << number;
    ASSERT_EQ(writer_->last(slot).beside, beside) << number;
  }
  EXPECT_EQ(read(slot).heard, 11U);
  EXPECT_EQ(read(0).beside, Beside());
  EXPECT_EQ(read(2).beside, Beside());
}

TEST_F(Table, KeepsWhatStandsBesideFromRecordToRecordAndPastItsEnd) {
  make(with_beside(1));
  const std::uint32_t slot = open(1);
  EXPECT_EQ(read(slot).beside, Beside()) << "nothing, until it is set";
  writer_->set_beside(slot, beside_of(7));
  Record record = record_of(2);
  record.beside = beside_of(8);  // not the way to set it
  writer_->publish(slot, record);
  EXPECT_EQ(read(slot).beside, beside_of(7));
  end(slot);
  EXPECT_EQ(read(slot).beside, beside_of(7));
}

TEST_F(Table, NothingStandsBesideASlotThatIsUsedAgain) {
  make(with_beside(1));
  Record record = record_of(1);
  record.beside = beside_of(9);
  EXPECT_EQ(writer_->open(record, view()), 0U);
  EXPECT_EQ(read(0).beside, Beside()) << "nor does open() set it";
  writer_->set_beside(0, beside_of(7));
  end(0);
  EXPECT_EQ(open(2), 0U);
  EXPECT_EQ(read(0).heard, 2U);
  EXPECT_EQ(read(0).beside, Beside());
  EXPECT_EQ(writer_->last(0).beside, Beside());
}

TEST_F(Table, WithoutRoomNothingStandsBesideARecord) {
  make(small_table(2));
  Record record = record_of(1);
  record.beside = beside_of(9);
  const auto slot = writer_->open(record, view());
  ASSERT_TRUE(slot);
  EXPECT_EQ(read(*slot).beside, Beside());
  EXPECT_EQ(writer_->last(*slot).beside, Beside());
}

TEST_F(Table, RoomBesideIs64OctetsASlot) {
  for (const std::uint32_t slots : {1U, 3U, 1000U})
    EXPECT_EQ(table_bytes(with_beside(slots).capacity) - table_bytes(small_table(slots).capacity), 64U * slots);
}

// --- identity

TEST_F(Table, AConnectionIsLiveUntilItEndsAndEndedUntilItsSlotIsUsedAgain) {
  make(small_table(1));
  const ConnectionId first = writer_->id(open());
  EXPECT_TRUE(writer_->is_live(first));
  EXPECT_FALSE(writer_->is_ended(first));
  end(0);
  EXPECT_FALSE(writer_->is_live(first));
  EXPECT_TRUE(writer_->is_ended(first));
  const ConnectionId second = writer_->id(open());
  EXPECT_NE(first, second);
  EXPECT_FALSE(writer_->is_live(first));
  EXPECT_FALSE(writer_->is_ended(first));
  EXPECT_TRUE(writer_->is_live(second));
}

TEST_F(Table, AnIdOfAnotherTableOrSlotOrGenerationIsNobody) {
  make(small_table(2));
  const ConnectionId id = writer_->id(open());
  for (const ConnectionId& wrong :
       {ConnectionId{id.incarnation + 1, id.slot, id.generation}, ConnectionId{id.incarnation, 1, id.generation},
        ConnectionId{id.incarnation, 2, id.generation}, ConnectionId{id.incarnation, UINT32_MAX, id.generation},
        ConnectionId{id.incarnation, id.slot, id.generation + 1}, ConnectionId{id.incarnation, 1, 0}}) {
    EXPECT_FALSE(writer_->is_live(wrong));
    EXPECT_FALSE(writer_->is_ended(wrong));
  }
}

TEST_F(Table, EachUseOfASlotHasANewGenerationAndEachSlotItsOwn) {
  make(small_table(2));
  for (std::uint32_t use = 1; use <= 10; ++use) {
    const auto slot = writer_->open(record_of(use), view());
    ASSERT_TRUE(slot);
    end(*slot);
    control_.set_ended_seen(use);
    EXPECT_EQ(*slot, 0U);  // read at once, so it is the oldest that may be used again
    EXPECT_EQ(writer_->generation(0), use);
  }
  EXPECT_EQ(writer_->generation(1), 0U);
}

TEST_F(Table, TheFirstGenerationOfEverySlotIsTheOneThatWasDrawn) {
  TableSetup setup = small_table(2);
  setup.first_generation = 4321;
  make(setup);
  EXPECT_EQ(writer_->generation(open()), 4321U);
  EXPECT_EQ(writer_->generation(open()), 4321U);
  end(0);
  control_.set_ended_seen(1);
  EXPECT_EQ(writer_->generation(open()), 4322U);
}

TEST_F(Table, AGenerationSkipsZeroWhenItWraps) {
  make(small_table(1));
  end(open());
  const std::size_t version = layout::slot({.slots = 1, .receipts = 8, .events = 4}, 0);
  memory_->set_word(version, pack(low(memory_->word(version)), UINT32_MAX - 1));
  EXPECT_EQ(writer_->generation(open()), UINT32_MAX);
  end(0);
  EXPECT_EQ(writer_->generation(open()), 1U);
}

// --- slots and the quarantine of reasons

TEST_F(Table, KeepsAsManyUnreadReasonsAsTheQuarantineHoldsAndNotOneMore) {
  make(small_table(10, /*quarantine=*/3));
  for (int i = 0; i < 4; ++i) open();
  for (std::uint32_t slot = 0; slot < 3; ++slot) end(slot);
  EXPECT_EQ(open(), 4U);  // three ended ones wait: all of them keep their reason
  end(3);
  EXPECT_EQ(open(), 0U);  // a fourth: the oldest goes
  EXPECT_EQ(open(), 5U);  // three again
}

TEST_F(Table, UsesAnEndedSlotAgainAtOnceWhenItsEndHasBeenRead) {
  make(small_table(10));
  open();
  open();
  end(1);
  end(0);
  control_.set_ended_seen(1);
  EXPECT_EQ(open(), 1U);  // oldest ended first
  EXPECT_EQ(open(), 2U);  // the second end has not been read
  control_.set_ended_seen(2);
  EXPECT_EQ(open(), 0U);
}

TEST_F(Table, AReasonOutlivesEveryOpeningThatFindsAnotherSlot) {
  make(small_table(4));
  end(open(), EndReason::PeerReset);
  for (int i = 0; i < 3; ++i) open();
  EXPECT_EQ(read(0).reason, EndReason::PeerReset);
  open();  // full: a new connection is worth more than an old reason
  EXPECT_EQ(read(0).reason, EndReason::None);
}

TEST_F(Table, RefusesWhatIsNewWhenEverySlotLivesAndNothingElse) {
  make(small_table(2));
  open();
  open();
  EXPECT_EQ(writer_->open(record_of(3), view()), std::nullopt);
  EXPECT_EQ(writer_->totals().opened, 2U);
  EXPECT_EQ(writer_->totals().live, 2U);
  end(1);
  EXPECT_EQ(open(), 1U);
}

TEST_F(Table, DoesNotBelieveAControlPlaneThatHasSeenMoreEndsThanThereWere) {
  make(small_table(3));
  end(open(), EndReason::PeerReset);
  control_.set_ended_seen(2);
  EXPECT_EQ(open(), 1U);
  control_.set_ended_seen(UINT64_MAX);
  EXPECT_EQ(open(), 2U);
  EXPECT_EQ(read(0).reason, EndReason::PeerReset);
}

TEST_F(Table, KeepsReasonsWithoutAnyControlPlane) {
  make(small_table(3));
  end(open());
  EXPECT_EQ(writer_->open(record_of(2), ControlView()), 1U);
}

TEST_F(Table, AnEndedSlotMayNotBePublishedOrEndedAgain) {
  make(small_table(1));
  end(open());
  EXPECT_DEATH(writer_->publish(0, record_of(2)), "lives");
  EXPECT_DEATH(end(0), "lives");
  EXPECT_DEATH(writer_->publish(1, record_of(2)), "lives");
}

// --- counts

TEST_F(Table, CountsReconcileAfterEveryStepOfARandomLife) {
  constexpr std::uint32_t kSlots = 50;
  make(small_table(kSlots, 8));
  Rng rng(20250301);
  std::set<std::uint32_t> live;
  std::uint64_t ended[kEndReasons] = {};
  std::uint64_t opened = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (rng.chance(0.5)) {
      const auto slot = writer_->open(record_of(static_cast<std::uint32_t>(step)), view());
      ASSERT_EQ(slot.has_value(), live.size() < kSlots);
      if (slot) {
        ASSERT_TRUE(live.insert(*slot).second) << "a living slot was handed out";
        ++opened;
      }
    } else if (!live.empty()) {
      const std::uint32_t slot = *std::next(live.begin(), static_cast<std::ptrdiff_t>(rng.below(live.size())));
      const auto reason = static_cast<EndReason>(1 + rng.below(kEndReasons - 1));
      end(slot, reason);
      live.erase(slot);
      ++ended[static_cast<std::size_t>(reason)];
    }
    if (rng.chance(0.1)) control_.set_ended_seen(reader_->ended_total());
    for (const Totals& totals : {writer_->totals(), reader_->totals()}) {
      ASSERT_EQ(totals.opened, opened);
      ASSERT_EQ(totals.live, live.size());
      ASSERT_TRUE(std::ranges::equal(totals.ended, ended));
    }
    ASSERT_EQ(reader_->ended_total(), opened - live.size());
  }
  for (std::uint32_t slot = 0; slot < reader_->slots_used(); ++slot)
    EXPECT_EQ(read(slot).has_ended(), !live.contains(slot));
}

// --- memory

TEST_F(Table, TakesNoMemoryOfItsOwnForConnectionsThatLive) {
  make(small_table(20'000));
  const std::size_t before = writer_->private_bytes();
  for (int i = 0; i < 20'000; ++i) open();
  EXPECT_EQ(writer_->private_bytes(), before);
}

TEST_F(Table, TakesAtMostEightOctetsForEachConnectionThatHasEnded) {
  constexpr std::uint32_t kSlots = 20'000;
  make(small_table(kSlots, kSlots));
  const std::size_t before = writer_->private_bytes();
  for (std::uint32_t i = 0; i < kSlots; ++i) open();
  for (std::uint32_t i = 0; i < kSlots; ++i) end(i);
  EXPECT_LE(writer_->private_bytes() - before, 8 * std::bit_ceil(kSlots) / 2);
  for (std::uint32_t i = 0; i < kSlots; ++i) ASSERT_EQ(open(), i);  // oldest first, across every growth
}

TEST(TableMemory, TouchesThePagesOfASlotOnlyWhenItIsUsed) {
  TableSetup setup = small_table(1U << 20);
  const std::size_t size = table_bytes(setup.capacity);
  void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  TableWriter writer(MutableBytes(static_cast<std::uint8_t*>(mapped), size), setup);
  const auto resident = [&] {
    std::vector<unsigned char> pages((size + 4095) / 4096);
    EXPECT_EQ(mincore(mapped, size, pages.data()), 0);
    return std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; });
  };
  EXPECT_LE(resident(), 1);
  for (int i = 0; i < 320; ++i) ASSERT_TRUE(writer.open(record_of(1), ControlView()));
  EXPECT_LE(resident(), 1 + 320 * 128 / 4096 + 1);
  munmap(mapped, size);
}

// --- receipts

TEST_F(Table, ReadsBackAReceiptAsItWasWritten) {
  make(small_table(1));
  const Receipt receipt{.command = 3,
                        .verdict = 4,
                        .id = {5, 6, 7},
                        .kind = CommandKind::Abort,
                        .form = ProbeForm::Pending,
                        .outcome = Outcome::HeardSince,
                        .state = State::LastAck,
                        .epoch = 8,
                        .heard = 9,
                        .at = Instant{10}};
  writer_->receipt(receipt);
  const auto read = reader_->receipt(1);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->command, 3U);
  EXPECT_EQ(read->verdict, 4U);
  EXPECT_EQ(read->id, receipt.id);
  EXPECT_EQ(read->kind, CommandKind::Abort);
  EXPECT_EQ(read->form, ProbeForm::Pending);
  EXPECT_EQ(read->outcome, Outcome::HeardSince);
  EXPECT_EQ(read->state, State::LastAck);
  EXPECT_EQ(read->epoch, 8U);
  EXPECT_EQ(read->heard, 9U);
  EXPECT_EQ(read->at, Instant{10});
  EXPECT_EQ(reader_->receipts_written(), 1U);
  EXPECT_EQ(reader_->totals().outcomes[static_cast<std::size_t>(Outcome::HeardSince)], 1U);
  EXPECT_EQ(reader_->receipt(0), std::nullopt);
  EXPECT_EQ(reader_->receipt(2), std::nullopt);
}

TEST_F(Table, HasRoomForExactlyAsManyReceiptsAsNobodyHasTaken) {
  make(small_table(1));
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(writer_->has_receipt_room(view()));
    EXPECT_EQ(writer_->receipt_room(view()), static_cast<std::uint32_t>(8 - i));
    writer_->receipt({.outcome = Outcome::Done});
  }
  EXPECT_FALSE(writer_->has_receipt_room(view()));
  control_.set_receipts_taken(1);
  EXPECT_TRUE(writer_->has_receipt_room(view()));
  writer_->receipt({.outcome = Outcome::Done});
  EXPECT_FALSE(writer_->has_receipt_room(view()));
  for (std::uint64_t number = 2; number <= 9; ++number) EXPECT_TRUE(reader_->receipt(number)) << number;
  EXPECT_EQ(reader_->receipt(1), std::nullopt);
}

TEST_F(Table, DoesNothingForAControlPlaneThatHasTakenMoreReceiptsThanThereAre) {
  make(small_table(1));
  EXPECT_TRUE(writer_->has_receipt_room(view()));
  for (const std::uint64_t absurd : {std::uint64_t{1}, std::uint64_t{1} << 63, UINT64_MAX}) {
    control_.set_receipts_taken(absurd);
    EXPECT_FALSE(writer_->has_receipt_room(view())) << absurd;
  }
  control_.set_receipts_taken(0);
  EXPECT_TRUE(writer_->has_receipt_room(view()));
}

// --- events

TEST_F(Table, AnEventIsThereUntilTheRingHasGoneRoundOnce) {
  make(small_table(3));  // a ring of four
  open();
  open();
  for (std::uint32_t i = 0; i < 4; ++i) writer_->event(EventKind::StateChanged, i % 2);
  for (std::uint64_t number = 1; number <= 4; ++number) {
    const auto event = reader_->event(number);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->number, number);
    EXPECT_EQ(event->kind, EventKind::StateChanged);
    EXPECT_EQ(event->slot, (number - 1) % 2);
    EXPECT_EQ(event->generation, 1U);
  }
  EXPECT_EQ(reader_->event(5), std::nullopt);
  writer_->event(EventKind::Heard, 0);
  EXPECT_EQ(reader_->event(1), std::nullopt);
  EXPECT_EQ(reader_->event(2)->kind, EventKind::StateChanged);
  EXPECT_EQ(reader_->event(5)->kind, EventKind::Heard);
  EXPECT_EQ(reader_->event(0), std::nullopt);
}

TEST_F(Table, ARingOfOneEventKeepsTheLast) {
  TableSetup setup = small_table(1);
  setup.capacity.events = 1;
  make(setup);
  writer_->event(EventKind::Opened, open());
  end(0);
  EXPECT_EQ(reader_->events_written(), 2U);
  EXPECT_EQ(reader_->event(1), std::nullopt);
  EXPECT_EQ(reader_->event(2)->kind, EventKind::Ended);
}

// --- what a reader accepts

TEST_F(Table, IsRefusedWhenItIsOneOctetShorterThanItsHeaderSays) {
  make(small_table(3));
  const Bytes whole = memory_->all();
  EXPECT_TRUE(TableReader::over(whole));
  EXPECT_EQ(TableReader::over(whole.first(whole.size() - 1)).error(), TableError::TooSmall);
  EXPECT_EQ(TableReader::over(whole.first(511)).error(), TableError::TooSmall);
  EXPECT_EQ(TableReader::over({}).error(), TableError::TooSmall);
}

TEST_F(Table, IsRefusedForEachWordOfItsHeaderThatCannotBe) {
  const auto refused = [&](std::size_t word, std::uint64_t value) {
    make(small_table(3));
    memory_->set_word(word, value);
    const auto reader = TableReader::over(memory_->all());
    return reader ? std::optional<TableError>() : reader.error();
  };
  EXPECT_EQ(refused(layout::kMagicAt, 0), TableError::NotATable);
  EXPECT_EQ(refused(layout::kShape, pack(kLayoutVersion, 2)), std::nullopt);
  EXPECT_EQ(refused(layout::kShape, pack(kLayoutVersion + 1, 1)), TableError::OtherVersion);
  EXPECT_EQ(refused(layout::kShape, pack(kLayoutVersion, 0)), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kShape, pack(kLayoutVersion, 3)), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kIncarnation, 0), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kSlotCount, 0), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kSlotCount, 2), std::nullopt);
  EXPECT_EQ(refused(layout::kSlotCount, 4), TableError::TooSmall);
  EXPECT_EQ(refused(layout::kSlotCount, UINT32_MAX), TableError::TooSmall);
  EXPECT_EQ(refused(layout::kSlotCount, std::uint64_t{1} << 32), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kRings, pack(8, 3)), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kRings, pack(0, 4)), TableError::Inconsistent);
  EXPECT_EQ(refused(layout::kRings, pack(16, 4)), TableError::TooSmall);
  EXPECT_EQ(refused(layout::kSlotsUsed, UINT64_MAX), std::nullopt);
}

TEST(TableNames, AreAllDifferent) {
  std::set<std::string_view> names;
  for (const TableError error :
       {TableError::TooSmall, TableError::NotATable, TableError::OtherVersion, TableError::Inconsistent})
    EXPECT_TRUE(names.insert(name(error)).second);
  for (std::uint8_t kind = 1; kind <= 4; ++kind) EXPECT_TRUE(names.insert(name(CommandKind{kind})).second);
  for (std::uint8_t outcome = 1; outcome < kOutcomes; ++outcome)
    EXPECT_TRUE(names.insert(name(Outcome{outcome})).second);
  EXPECT_FALSE(names.contains("?"));
}

}  // namespace
}  // namespace adieu::plane
