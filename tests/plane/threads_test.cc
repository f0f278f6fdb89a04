// One writer and several readers at once, on the same memory: nothing mixed is ever taken for a whole, nothing is lost.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "shared_memory.h"

namespace adieu::plane {
namespace {

constexpr unsigned kReaders = 3;

TEST(ManyReaders, TheirCheckerTellsAMixtureFromAWhole) {
  EXPECT_TRUE(is_of_one_number(record_of(3)));
  Record mixed = record_of(3);
  mixed.unsent = record_of(4).unsent;
  EXPECT_FALSE(is_of_one_number(mixed));
  mixed = record_of(3);
  mixed.remote = record_of(4).remote;
  EXPECT_FALSE(is_of_one_number(mixed));
}

TEST(ManyReaders, NeverTakeAMixtureOfTwoRecordsForAWholeOne) {
  constexpr std::uint32_t kSlots = 2;
  constexpr std::uint32_t kPublished = 60'000;
  const TableSetup setup = small_table(kSlots);
  Memory memory(table_bytes(setup.capacity));
  TableWriter writer(memory.all(), setup);
  for (std::uint32_t i = 0; i < kSlots; ++i) ASSERT_TRUE(writer.open(record_of(i), ControlView()));

  std::atomic<bool> done = false;
  std::atomic<unsigned> started = 0;
  std::atomic<std::uint64_t> whole = 0;
  std::atomic<std::uint64_t> mixed = 0;
  std::atomic<std::uint64_t> backwards = 0;
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < kReaders; ++r)
    readers.emplace_back([&] {
      const TableReader reader = TableReader::over(memory.all()).value();
      std::uint32_t latest[kSlots] = {};
      ++started;
      while (!done)
        for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
          Record record;
          if (reader.read(slot, record) != SlotReading::Whole) continue;
          ++whole;
          if (!is_of_one_number(record)) ++mixed;
          if (record.heard < latest[slot]) ++backwards;
          latest[slot] = record.heard;
        }
    });
  while (started < kReaders) std::this_thread::yield();
  for (std::uint32_t n = kSlots; n < kPublished; ++n) writer.publish(n % kSlots, record_of(n));
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(whole, 0U);
  EXPECT_EQ(mixed, 0U);
  EXPECT_EQ(backwards, 0U);
}

// The writer opens the n-th connection of a slot with a record of number n: generation and record must agree.
TEST(ManyReaders, NeverSeeARecordUnderTheGenerationOfAnother) {
  const TableSetup setup = small_table(1);
  Memory memory(table_bytes(setup.capacity));
  TableWriter writer(memory.all(), setup);
  ASSERT_TRUE(writer.open(record_of(1), ControlView()));
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<std::uint64_t> whole = 0;
  std::thread reader_thread([&] {
    const TableReader reader = TableReader::over(memory.all()).value();
    Record record;
    while (!done)
      if (reader.read(0, record) == SlotReading::Whole) {
        ++whole;
        if (record.generation != record.heard) ++wrong;
      }
  });
  while (whole == 0) std::this_thread::yield();
  for (std::uint32_t n = 2; n < 20'000; ++n) {
    writer.end(0, writer.last(0), EndReason::BothClosed, n);
    ASSERT_EQ(writer.open(record_of(n), ControlView()), 0U);
  }
  done = true;
  reader_thread.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(ManyReaders, FindInASweepEveryEndThatWasCountedBeforeIt) {
  constexpr std::uint32_t kSlots = 2'000;
  const TableSetup setup = small_table(kSlots, kSlots);
  Memory memory(table_bytes(setup.capacity));
  TableWriter writer(memory.all(), setup);
  std::atomic<bool> done = false;
  std::atomic<bool> started = false;
  std::uint64_t missed = 0;
  std::uint64_t unreconciled = 0;
  std::thread reader_thread([&] {
    const TableReader reader = TableReader::over(memory.all()).value();
    while (!done) {
      const std::uint64_t counted = reader.ended_total();
      started = true;
      std::uint64_t found = 0;
      Record record;
      for (std::uint32_t slot = 0; slot < reader.slots_used(); ++slot)
        if (reader.read(slot, record) == SlotReading::Whole && record.has_ended()) ++found;
      if (found < counted) ++missed;
      const Totals totals = reader.totals();
      if (totals.live > totals.opened) ++unreconciled;  // more ended than opened
    }
  });
  while (!started) std::this_thread::yield();
  for (std::uint32_t n = 0; n < kSlots; ++n) {
    const auto slot = writer.open(record_of(n), ControlView());
    ASSERT_EQ(slot, n);
    writer.end(n, record_of(n), static_cast<EndReason>(1 + n % (kEndReasons - 1)), 0);
  }
  done = true;
  reader_thread.join();
  EXPECT_EQ(missed, 0U);
  EXPECT_EQ(unreconciled, 0U);
}

TEST(ManyReaders, SeeEachEventWholeOrNotAtAll) {
  const TableSetup setup = small_table(64);
  Memory memory(table_bytes(setup.capacity));
  TableWriter writer(memory.all(), setup);
  for (std::uint32_t i = 0; i < 64; ++i) ASSERT_TRUE(writer.open(record_of(i), ControlView()));
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> seen = 0;
  std::uint64_t wrong = 0;
  std::thread reader_thread([&] {
    const TableReader reader = TableReader::over(memory.all()).value();
    while (!done) {
      const std::uint64_t number = reader.events_written();
      const auto event = reader.event(number);
      if (!event) continue;
      ++seen;
      const bool is_that_one = event->number == number && event->slot == number % 64 && event->generation == 1 &&
                               event->kind == static_cast<EventKind>(1 + number % 5);
      if (!is_that_one) ++wrong;
    }
  });
  std::uint64_t number = 0;
  for (; number < 100'000 || seen == 0; ++number)
    writer.event(static_cast<EventKind>(1 + (number + 1) % 5), static_cast<std::uint32_t>((number + 1) % 64));
  done = true;
  reader_thread.join();
  EXPECT_EQ(wrong, 0U);
}

// A control plane in one thread, a plane in another; rings far smaller than the number of commands.
TEST(TwoPlanes, EveryCommandArrivesOnceInOrderAndEveryReceiptComesBack) {
  constexpr std::uint64_t kCommands = 20'000;
  const TableSetup setup = small_table(1);  // room for eight receipts
  Memory memory(table_bytes(setup.capacity));
  Memory control_memory(control_block_bytes(16));
  TableWriter plane(memory.all(), setup);
  std::uint64_t out_of_order = 0;
  std::thread plane_thread([&] {
    const ControlView view(control_memory.all());
    while (plane.commands_taken() < kCommands) {
      const std::uint64_t number = plane.commands_taken() + 1;
      if (view.waiting(number - 1) == 0 || !plane.has_receipt_room(view)) {
        std::this_thread::yield();
        continue;
      }
      const auto command = view.command(number);
      if (!command || command->verdict != number || command->heard != static_cast<std::uint32_t>(number * 3))
        ++out_of_order;
      plane.receipt({.command = number,
                     .verdict = number * 5,
                     .outcome = Outcome::Done,
                     .heard = static_cast<std::uint32_t>(number * 7)});
      plane.set_commands_taken(number);
    }
  });
  ControlWriter control(control_memory.all(), 7, 16);
  const TableReader reader = TableReader::over(memory.all()).value();
  std::uint64_t lost = 0;
  while (control.receipts_taken() < kCommands) {
    const std::uint64_t next = control.commands_written() + 1;
    const bool wrote =
        next <= kCommands &&
        control.write({.heard = static_cast<std::uint32_t>(next * 3), .verdict = next}, reader.commands_taken());
    if (control.receipts_taken() < reader.receipts_written()) {
      const std::uint64_t number = control.receipts_taken() + 1;
      const auto receipt = reader.receipt(number);
      if (!receipt || receipt->command != number || receipt->verdict != number * 5 ||
          receipt->heard != static_cast<std::uint32_t>(number * 7))
        ++lost;
      control.set_receipts_taken(number);
    } else if (!wrote) {
      std::this_thread::yield();
    }
  }
  plane_thread.join();
  EXPECT_EQ(out_of_order, 0U);
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(reader.totals().outcomes[static_cast<std::size_t>(Outcome::Done)], kCommands);
}

TEST(TwoPlanes, AStatusIsReadWholeOrNotAtAll) {
  Memory memory(control_block_bytes(4));
  ControlWriter writer(memory.all(), 7, 4);
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> whole = 0;
  std::uint64_t mixed = 0;
  std::thread reader_thread([&] {
    const ControlView view(memory.all());
    while (!done) {
      const auto status = view.status();
      if (!status) continue;
      ++whole;
      if (status->policy != static_cast<std::uint64_t>(status->swept_at.ns) ||
          status->gaps[kGaps - 1].to != status->swept_at)
        ++mixed;
    }
  });
  for (std::int64_t n = 1; n < 50'000 || whole == 0; ++n) {
    ControlStatus status{.swept_at = Instant{n}, .policy = static_cast<std::uint64_t>(n)};
    status.gaps[kGaps - 1].to = Instant{n};
    writer.set_status(status);
  }
  done = true;
  reader_thread.join();
  EXPECT_EQ(mixed, 0U);
}

}  // namespace
}  // namespace adieu::plane
