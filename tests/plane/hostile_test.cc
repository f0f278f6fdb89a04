// Memory that lies: whatever stands in the control block or in the table, every answer is in its range and inside the
// memory (AddressSanitizer watches the second). And writers that die in the middle of a word's work.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "plane/table_layout.h"
#include "shared_memory.h"

namespace adieu::plane {
namespace {

constexpr int kRounds = 100'000;
constexpr std::uint32_t kRing = 4;
constexpr std::size_t kRingAt = 64;

// Small numbers, edges and noise: noise alone would never get past the first check.
std::uint64_t hostile_word(Rng& rng) {
  switch (rng.below(6)) {
    case 0: return 0;
    case 1: return rng.below(16);
    case 2: return UINT64_MAX - rng.below(4);
    case 3: return std::uint64_t{1} << rng.below(64);
    case 4: return pack(static_cast<std::uint32_t>(rng.below(8)), static_cast<std::uint32_t>(rng.below(8)));
    default: return rng.next();
  }
}

bool is_in_range(const Command& c) {
  const bool has_keepalive = c.keepalive != Keepalive{};
  return c.kind >= CommandKind::Probe && c.kind <= CommandKind::Keepalive &&
         static_cast<unsigned>(c.expected_state) < kStates && static_cast<unsigned>(c.form) < kProbeForms &&
         c.verdict != 0 && is_sane(c.keepalive) && (!has_keepalive || c.kind == CommandKind::Keepalive);
}

bool is_in_range(const Record& r) {
  return r.generation != 0 && static_cast<unsigned>(r.state) < kStates &&
         static_cast<unsigned>(r.reason) < kEndReasons && static_cast<unsigned>(r.holder) < 4 &&
         static_cast<unsigned>(r.end_of_stream_read) < 3;
}

TEST(HostileControlBlock, NeverYieldsACommandWithAValueOutOfItsRange) {
  Memory memory(control_block_bytes(kRing));
  const ControlWriter honest(memory.all(), 7, kRing);
  const std::uint64_t magic = memory.word(0);
  const std::uint64_t shape = memory.word(1);
  Rng rng(1);
  int commands = 0;
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (std::uint64_t n = rng.below(12); n > 0; --n) memory.set_word(rng.below(memory.words()), hostile_word(rng));
    if (rng.chance(0.9)) {
      memory.set_word(0, magic);
      memory.set_word(1, shape);
    }
    const std::uint64_t number = rng.chance(0.9) ? 1 + rng.below(1000) : hostile_word(rng);
    const std::size_t at = kRingAt + 8 * ((number - 1) % kRing);
    if (rng.chance(0.8)) memory.set_word(at, number);
    if (rng.chance(0.5)) memory.set_word(at + 7, 0);
    if (rng.chance(0.5)) memory.set_word(at + 1, rng.next() & 0x01070f07);

    const ControlView view(memory.all());
    ASSERT_LE(view.waiting(hostile_word(rng)), kRing);
    if (const auto command = view.command(number)) {
      ASSERT_TRUE(is_in_range(*command));
      ++commands;
    } else {
      ++refused;
    }
    static_cast<void>(view.status());
  }
  // Both sides of the check were met, often.
  EXPECT_GT(commands, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(HostileControlBlock, NeitherStopsAPlaneNorMakesItsCountsWrong) {
  Memory control_memory(control_block_bytes(kRing));
  const ControlWriter honest(control_memory.all(), 7, kRing);
  Memory memory(table_bytes(small_table(8).capacity));
  TableWriter plane(memory.all(), small_table(8));
  const ControlView view(control_memory.all());
  Rng rng(2);
  std::vector<std::uint32_t> live;
  for (int round = 0; round < kRounds; ++round) {
    control_memory.set_word(2 + rng.below(4), rng.chance(0.5) ? hostile_word(rng) : plane.totals().opened);
    if (rng.chance(0.5)) {
      const auto slot = plane.open(record_of(1), view);
      ASSERT_EQ(slot.has_value(), live.size() < 8);
      if (slot) live.push_back(*slot);
    } else if (!live.empty()) {
      plane.end(live.back(), record_of(2), EndReason::BothClosed, 0);
      live.pop_back();
    }
    if (plane.has_receipt_room(view)) plane.receipt({.outcome = Outcome::Malformed});
    ASSERT_EQ(plane.totals().live, live.size());
    ASSERT_EQ(plane.totals().opened, plane.totals().live + plane.totals().ended[1]);
  }
}

TEST(HostileTable, NeverYieldsARecordReceiptOrEventWithAValueOutOfItsRange) {
  const TableSetup setup = small_table(2);
  Memory memory(table_bytes(setup.capacity));
  TableWriter writer(memory.all(), setup);
  ASSERT_TRUE(writer.open(record_of(1), ControlView()));
  ASSERT_TRUE(writer.open(record_of(2), ControlView()));
  std::vector<std::uint64_t> header;
  for (std::size_t i = 0; i < 6; ++i) header.push_back(memory.word(i));
  Rng rng(3);
  int read = 0;
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (std::uint64_t n = rng.below(12); n > 0; --n) memory.set_word(rng.below(memory.words()), hostile_word(rng));
    if (rng.chance(0.95))
      for (std::size_t i = 0; i < header.size(); ++i) memory.set_word(i, header[i]);
    const std::size_t slot = layout::slot(setup.capacity, static_cast<std::uint32_t>(rng.below(2)));
    if (rng.chance(0.5)) memory.set_word(slot, pack(2, 1));
    if (rng.chance(0.5)) memory.set_word(slot + 5, rng.next() >> 13);
    if (rng.chance(0.5)) memory.set_word(slot + 12, rng.next() >> 16);
    const auto reader = TableReader::over(memory.all());
    if (!reader) continue;
    ASSERT_LE(reader->slots_used(), reader->capacity());
    ASSERT_LE(reader->plane_name().size(), 31U);
    for (std::uint32_t i = 0; i < 3; ++i) {
      Record record;
      if (reader->read(i, record) == SlotReading::Whole) {
        ASSERT_TRUE(is_in_range(record));
        ++read;
      } else {
        ++refused;
      }
    }
    const std::uint64_t number = rng.below(20);
    if (number > 0 && rng.chance(0.5)) memory.set_word(layout::receipt(setup.capacity, number), number);
    if (const auto receipt = reader->receipt(number)) {
      ASSERT_LT(static_cast<unsigned>(receipt->outcome), kOutcomes);
    }
    static_cast<void>(reader->receipt(hostile_word(rng)));
    if (const auto event = reader->event(hostile_word(rng))) {
      ASSERT_LE(event->kind, EventKind::PassedR1);
    }
  }
  EXPECT_GT(read, 1000);
  EXPECT_GT(refused, 1000);
}

// --- what stands beside a record

class HostileBeside : public testing::Test {
 protected:
  HostileBeside() {
    EXPECT_EQ(writer_.open(record_of(1), ControlView()), 0U);
    EXPECT_EQ(writer_.open(record_of(2), ControlView()), 1U);
    writer_.set_beside(0, beside_of(6));
    writer_.set_beside(1, beside_of(7));
  }
  static TableSetup setup() {
    TableSetup setup = small_table(2);
    setup.capacity.beside = true;
    return setup;
  }
  // The record is whole, whatever stands beside it.
  Beside beside(std::uint32_t slot = 0) {
    Record record;
    EXPECT_EQ(reader_.read(slot, record), SlotReading::Whole);
    EXPECT_EQ(record.heard, slot + 1);
    return record.beside;
  }

  const std::size_t beside_ = layout::beside(setup().capacity, 0);
  Memory memory_{table_bytes(setup().capacity)};
  TableWriter writer_{memory_.all(), setup()};
  TableReader reader_ = TableReader::over(memory_.all()).value();
};

TEST_F(HostileBeside, HalfWrittenIsUnknownWhereverTheWriterDied) {
  std::uint64_t before[layout::kBesideWords];
  std::uint64_t after[layout::kBesideWords];
  for (std::size_t i = 0; i < layout::kBesideWords; ++i) before[i] = memory_.word(beside_ + i);
  writer_.set_beside(0, beside_of(8));
  for (std::size_t i = 0; i < layout::kBesideWords; ++i) after[i] = memory_.word(beside_ + i);
  for (std::size_t written = 0; written < layout::kBesideWords; ++written) {
    memory_.set_word(beside_, before[0] | 1);
    for (std::size_t i = 1; i < layout::kBesideWords; ++i)
      memory_.set_word(beside_ + i, i <= written ? after[i] : before[i]);
    EXPECT_EQ(beside(0), Beside()) << written;
    EXPECT_EQ(beside(1), beside_of(7)) << "the other one is as it was";
  }
  memory_.set_word(beside_, after[0]);
  EXPECT_EQ(beside(0), beside_of(8));
}

TEST_F(HostileBeside, OfAnotherConnectionInThisSlotIsUnknown) {
  const std::uint64_t version = memory_.word(beside_);
  memory_.set_word(beside_, pack(static_cast<std::uint32_t>(version), high(version) + 1));
  EXPECT_EQ(beside(), Beside());
  memory_.set_word(beside_, 0);
  EXPECT_EQ(beside(), Beside());
  memory_.set_word(beside_, version);
  EXPECT_EQ(beside(), beside_of(6));
}

TEST_F(HostileBeside, WithAValueOutOfItsRangeIsUnknown) {
  const std::uint64_t honest = memory_.word(beside_ + 3);
  constexpr unsigned kTimerAt = 32;
  constexpr unsigned kFlagsAt = 48;
  const std::uint64_t rest = honest & ~(std::uint64_t{0xff} << kTimerAt);
  memory_.set_word(beside_ + 3, rest | std::uint64_t{kOwnTimers - 1} << kTimerAt);
  EXPECT_EQ(beside().timer, OwnTimer::Persist);
  memory_.set_word(beside_ + 3, rest | std::uint64_t{kOwnTimers} << kTimerAt);
  EXPECT_EQ(beside(), Beside());
  memory_.set_word(beside_ + 3, honest | std::uint64_t{32} << kFlagsAt);
  EXPECT_EQ(beside(), Beside());
  memory_.set_word(beside_ + 3, honest | std::uint64_t{7} << kFlagsAt);
  EXPECT_TRUE(beside().inherited);
}

TEST_F(HostileBeside, ANameIsNoLongerThanItsField) {
  memory_.set_word(beside_ + 6, UINT64_MAX);
  memory_.set_word(beside_ + 7, UINT64_MAX);
  EXPECT_EQ(beside().comm_text().size(), 16U);
}

TEST_F(HostileBeside, ARoomThatTheMemoryDoesNotHaveIsNotBelieved) {
  const std::size_t room = 2 * 8 * layout::kBesideWords;
  const MutableBytes all = memory_.all();
  EXPECT_TRUE(TableReader::over(all));
  EXPECT_EQ(TableReader::over(all.first(all.size() - 8)).error(), TableError::TooSmall);
  EXPECT_EQ(TableReader::over(all.first(all.size() - room)).error(), TableError::TooSmall);
  memory_.set_word(layout::kHasBeside, 2);
  EXPECT_EQ(TableReader::over(all).error(), TableError::Inconsistent);
  memory_.set_word(layout::kHasBeside, 0);
  const auto without = TableReader::over(all.first(all.size() - room));
  ASSERT_TRUE(without);
  Record record;
  EXPECT_EQ(without->read(0, record), SlotReading::Whole);
  EXPECT_EQ(record.beside, Beside());
}

TEST_F(HostileBeside, NeverYieldsAValueOutOfItsRange) {
  Rng rng(5);
  int known = 0;
  int unknown = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (std::uint64_t n = rng.below(8); n > 0; --n)
      memory_.set_word(beside_ + rng.below(2 * layout::kBesideWords), hostile_word(rng));
    if (rng.chance(0.8)) memory_.set_word(beside_, pack(2, 1));
    if (rng.chance(0.5)) memory_.set_word(beside_ + 3, rng.next() & 0x000f'ff07'ffff'ffff);
    const Beside found = beside(0);
    ASSERT_LT(static_cast<unsigned>(found.timer), kOwnTimers);
    ASSERT_LE(found.comm_text().size(), 16U);
    ++(found == Beside() ? unknown : known);
  }
  EXPECT_GT(known, 1000);
  EXPECT_GT(unknown, 1000);
}

// --- writers that die

class DyingWriter : public testing::Test {
 protected:
  const TableSetup setup_ = small_table(2);
  const std::size_t slot_ = layout::slot(setup_.capacity, 0);
  Memory memory_{table_bytes(setup_.capacity)};
  TableWriter writer_{memory_.all(), setup_};
  TableReader reader_ = TableReader::over(memory_.all()).value();
};

TEST_F(DyingWriter, AHalfWrittenSlotReadsTornWhereverTheWriterDied) {
  ASSERT_EQ(writer_.open(record_of(1), ControlView()), 0U);
  std::uint64_t before[16];
  std::uint64_t after[16];
  for (std::size_t i = 0; i < 16; ++i) before[i] = memory_.word(slot_ + i);
  writer_.publish(0, record_of(2));
  for (std::size_t i = 0; i < 16; ++i) after[i] = memory_.word(slot_ + i);

  for (std::size_t written = 0; written <= 15; ++written) {
    memory_.set_word(slot_, before[0] | 1);
    for (std::size_t i = 1; i < 16; ++i) memory_.set_word(slot_ + i, i <= written ? after[i] : before[i]);
    Record record;
    EXPECT_EQ(reader_.read(0, record), SlotReading::Torn) << written;
    Glance glance;
    EXPECT_EQ(reader_.glance(0, glance), SlotReading::Torn) << written;
    EXPECT_EQ(record, Record()) << "a torn reading says nothing";
  }
  memory_.set_word(slot_, after[0]);  // the last store makes it whole
  Record record;
  EXPECT_EQ(reader_.read(0, record), SlotReading::Whole);
  EXPECT_TRUE(is_of_one_number(record));
  EXPECT_EQ(record.heard, 2U);
}

TEST_F(DyingWriter, ItsOtherSlotsReadAsBefore) {
  ASSERT_EQ(writer_.open(record_of(1), ControlView()), 0U);
  ASSERT_EQ(writer_.open(record_of(2), ControlView()), 1U);
  memory_.set_word(slot_, memory_.word(slot_) | 1);
  Record record;
  EXPECT_EQ(reader_.read(0, record), SlotReading::Torn);
  EXPECT_EQ(reader_.read(1, record), SlotReading::Whole);
  EXPECT_EQ(record.heard, 2U);
}

TEST_F(DyingWriter, AReceiptWithoutItsNumberIsNotThere) {
  writer_.receipt({.command = 1, .outcome = Outcome::Done});
  EXPECT_TRUE(reader_.receipt(1));
  memory_.set_word(layout::receipt(setup_.capacity, 1), 0);
  EXPECT_EQ(reader_.receipt(1), std::nullopt);
}

TEST(KilledProcess, LeavesAtMostOneTornSlotAndNoMixedRecord) {
  constexpr std::uint32_t kSlots = 8;
  const TableSetup setup = small_table(kSlots);
  const std::size_t size = table_bytes(setup.capacity);
  Rng rng(4);
  for (int life = 0; life < 20; ++life) {
    void* const shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    const MutableBytes memory(static_cast<std::uint8_t*>(shared), size);
    TableWriter writer(memory, setup);
    for (std::uint32_t i = 0; i < kSlots; ++i) ASSERT_TRUE(writer.open(record_of(i), ControlView()));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (std::uint32_t n = 0;; ++n) {
        writer.publish(n % kSlots, record_of(n));
        writer.beat(Instant{n});
      }
    }
    const TableReader reader = TableReader::over(memory).value();
    const std::int64_t enough = 1000 + static_cast<std::int64_t>(rng.below(2000));
    while (reader.heartbeat().ns < enough) {
    }
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    unsigned torn = 0;
    for (std::uint32_t i = 0; i < kSlots; ++i) {
      Record record;
      if (reader.read(i, record) == SlotReading::Whole)
        EXPECT_TRUE(is_of_one_number(record));
      else
        ++torn;
    }
    EXPECT_LE(torn, 1U);
    munmap(shared, size);
  }
}

}  // namespace
}  // namespace adieu::plane
