// The control block as one thread sees it: the command ring, one control plane after another, the status.
#include "plane/control_block.h"

#include <gtest/gtest.h>

#include "shared_memory.h"

namespace adieu::plane {
namespace {

constexpr std::uint32_t kRing = 4;
constexpr std::size_t kRingAt = 64;  // the first word of the first command
constexpr std::size_t kStatusVersion = 8;
constexpr std::size_t kWritten = 3;

Command abort_of(std::uint32_t n) {
  return {.kind = CommandKind::Abort,
          .id = {1, n, n + 1},
          .expected_state = State::FinWait2,
          .form = ProbeForm::DataEcho,
          .silent = true,
          .regardless = true,
          .heard = n + 2,
          .expires = Instant{n + 3},
          .verdict = n + 4};
}

class Block : public testing::Test {
 protected:
  Memory memory_{control_block_bytes(kRing)};
  ControlView view_{memory_.all()};
};

TEST_F(Block, IsNoControlPlaneAtAllUntilTheFirstOneComes) {
  EXPECT_EQ(view_.epoch(), 0U);
  EXPECT_EQ(view_.waiting(0), 0U);
  EXPECT_EQ(view_.status(), std::nullopt);
  ControlWriter writer(memory_.all(), 7, kRing);
  EXPECT_EQ(view_.epoch(), 1U);
  writer.write(abort_of(1), 0);
  EXPECT_EQ(view_.waiting(0), 1U);
}

TEST_F(Block, ReadsBackACommandAsItWasWrittenWithTheEpochOfItsWriter) {
  ControlWriter(memory_.all(), 7, kRing);
  ControlWriter writer(memory_.all(), 8, kRing);
  EXPECT_EQ(writer.write(abort_of(100), 0), 1U);
  const auto command = view_.command(1);
  ASSERT_TRUE(command);
  EXPECT_EQ(command->kind, CommandKind::Abort);
  EXPECT_EQ(command->id, (ConnectionId{1, 100, 101}));
  EXPECT_EQ(command->expected_state, State::FinWait2);
  EXPECT_EQ(command->form, ProbeForm::DataEcho);
  EXPECT_TRUE(command->silent);
  EXPECT_TRUE(command->regardless);
  EXPECT_EQ(command->heard, 102U);
  EXPECT_EQ(command->epoch, 2U);
  EXPECT_EQ(command->expires, Instant{103});
  EXPECT_EQ(command->verdict, 104U);
  EXPECT_EQ(view_.command(0), std::nullopt);
  EXPECT_EQ(view_.command(2), std::nullopt);
}

TEST_F(Block, RefusesACommandWhenTheRingIsFullAndTakesItWhenOneIsTaken) {
  ControlWriter writer(memory_.all(), 7, kRing);
  for (std::uint32_t n = 1; n <= kRing; ++n) EXPECT_EQ(writer.write(abort_of(n), 0), n);
  EXPECT_EQ(writer.write(abort_of(5), 0), std::nullopt);
  EXPECT_EQ(writer.commands_written(), 4U);
  EXPECT_EQ(writer.write(abort_of(5), 1), 5U);
  EXPECT_EQ(view_.command(1), std::nullopt);  // its place is taken
  EXPECT_EQ(view_.command(5)->id.slot, 5U);
}

TEST_F(Block, OverwritesNothingForAPlaneThatHasTakenMoreThanWasWritten) {
  ControlWriter writer(memory_.all(), 7, kRing);
  writer.write(abort_of(1), 0);
  EXPECT_EQ(writer.write(abort_of(2), 2), std::nullopt);
  EXPECT_EQ(writer.write(abort_of(2), UINT64_MAX), std::nullopt);
  EXPECT_EQ(writer.write(abort_of(2), 1), 2U);
}

TEST_F(Block, ANewControlPlaneRaisesTheEpochAndGoesOnWithTheNumbers) {
  {
    ControlWriter first(memory_.all(), 7, kRing);
    first.write(abort_of(1), 0);
    first.write(abort_of(2), 0);
    first.set_receipts_taken(11);
    first.set_ended_seen(12);
  }
  ControlWriter second(memory_.all(), 8, kRing);
  EXPECT_EQ(second.epoch(), 2U);
  EXPECT_EQ(second.receipts_taken(), 11U);
  EXPECT_EQ(view_.ended_seen(), 12U);
  EXPECT_EQ(second.write(abort_of(3), 0), 3U);
  EXPECT_EQ(view_.waiting(0), 3U);
  EXPECT_EQ(view_.command(2)->epoch, 1U);  // the plane voids it: nobody stands behind it any more
  EXPECT_EQ(view_.command(3)->epoch, 2U);
}

TEST_F(Block, AnEpochSkipsZeroWhenItWraps) {
  ControlWriter(memory_.all(), 7, kRing);
  memory_.set_word(2, UINT32_MAX);
  EXPECT_EQ(ControlWriter(memory_.all(), 8, kRing).epoch(), 1U);
}

TEST_F(Block, ACommandThatADeadWriterDidNotFinishIsNeverSeenAndItsNumberIsUsedByTheNext) {
  ControlWriter first(memory_.all(), 7, kRing);
  first.write(abort_of(1), 0);
  memory_.set_word(kRingAt + 8, 0);  // number 2, begun: no number yet, some words, and not counted
  memory_.set_word(kRingAt + 9, 0xffff);
  EXPECT_EQ(view_.waiting(1), 0U);
  EXPECT_EQ(view_.command(2), std::nullopt);
  ControlWriter second(memory_.all(), 8, kRing);
  EXPECT_EQ(second.write(abort_of(2), 1), 2U);
  EXPECT_EQ(view_.command(2)->id.slot, 2U);
}

TEST_F(Block, NeverSaysThatMoreCommandsWaitThanTheRingHolds) {
  ControlWriter writer(memory_.all(), 7, kRing);
  memory_.set_word(kWritten, 10);
  EXPECT_EQ(view_.waiting(6), 4U);
  EXPECT_EQ(view_.waiting(5), 4U);
  EXPECT_EQ(view_.waiting(7), 3U);
  EXPECT_EQ(view_.waiting(10), 0U);
  EXPECT_EQ(view_.waiting(11), 0U);
  memory_.set_word(kWritten, UINT64_MAX);
  EXPECT_EQ(view_.waiting(0), 4U);
}

TEST_F(Block, ACommandWithOneValueOutOfItsRangeIsMalformed) {
  ControlWriter writer(memory_.all(), 7, kRing);
  writer.write(abort_of(1), 0);
  const std::uint64_t what = memory_.word(kRingAt + 1);
  const auto with = [&](std::size_t word, std::uint64_t value) {
    const std::uint64_t before = memory_.word(kRingAt + word);
    memory_.set_word(kRingAt + word, value);
    const bool is_command = view_.command(1).has_value();
    memory_.set_word(kRingAt + word, before);
    return is_command;
  };
  EXPECT_TRUE(with(1, (what & ~0xffULL) | 5));
  EXPECT_FALSE(with(1, (what & ~0xffULL) | 6));
  EXPECT_FALSE(with(1, what & ~0xffULL));
  EXPECT_TRUE(with(1, (what & ~0xff00ULL) | 10ULL << 8));
  EXPECT_FALSE(with(1, (what & ~0xff00ULL) | 11ULL << 8));
  EXPECT_TRUE(with(1, (what & ~0xff0000ULL) | 2ULL << 16));
  EXPECT_FALSE(with(1, (what & ~0xff0000ULL) | 3ULL << 16));
  EXPECT_TRUE(with(1, what & ~0xff000000ULL));
  EXPECT_FALSE(with(1, what | 4ULL << 24));
  EXPECT_FALSE(with(1, what | 1ULL << 63));
  EXPECT_FALSE(with(6, 0));  // no verdict behind it
  EXPECT_FALSE(with(7, 1));
  EXPECT_FALSE(with(0, 2));  // another number
}

TEST_F(Block, AKeepaliveIsToldWhatASocketCanBeToldAndNoOtherCommandIs) {
  ControlWriter writer(memory_.all(), 7, kRing);
  Command keepalive = abort_of(1);
  keepalive.kind = CommandKind::Keepalive;
  for (const Keepalive told : {Keepalive{}, Keepalive{600, 0, 0}, Keepalive{1, 2, 3}, Keepalive{32767, 32767, 127}}) {
    keepalive.keepalive = told;
    const auto number = writer.write(keepalive, writer.commands_written());
    ASSERT_TRUE(number);
    EXPECT_EQ(view_.command(*number)->keepalive, told);
  }
  const std::size_t last = kRingAt + 3 * 8;  // number 4
  const auto with = [&](std::uint64_t kind, std::uint64_t told) {
    memory_.set_word(last + 1, (memory_.word(last + 1) & ~0xffULL) | kind);
    memory_.set_word(last + 7, told);
    return view_.command(4).has_value();
  };
  EXPECT_TRUE(with(5, 32767));
  EXPECT_FALSE(with(5, 32768));
  EXPECT_TRUE(with(5, 32767ULL << 16));
  EXPECT_FALSE(with(5, 32768ULL << 16));
  EXPECT_TRUE(with(5, 127ULL << 32));
  EXPECT_FALSE(with(5, 128ULL << 32));
  EXPECT_FALSE(with(5, 1ULL << 40));
  EXPECT_FALSE(with(5, 1ULL << 63));
  for (const std::uint64_t kind : {1U, 2U, 3U, 4U}) {
    EXPECT_TRUE(with(kind, 0)) << kind;
    EXPECT_FALSE(with(kind, 1)) << kind;
  }
}

TEST_F(Block, IsNoControlPlaneWhenItsMemoryIsOneOctetTooShort) {
  ControlWriter writer(memory_.all(), 7, kRing);
  writer.write(abort_of(1), 0);
  writer.set_receipts_taken(3);
  const Bytes whole = memory_.all();
  EXPECT_EQ(ControlView(whole).waiting(0), 1U);
  for (const std::size_t size : {whole.size() - 1, std::size_t{511}, std::size_t{8}, std::size_t{0}}) {
    const ControlView cut(whole.first(size));
    EXPECT_EQ(cut.waiting(0), 0U);
    EXPECT_EQ(cut.receipts_taken(), 0U);
    EXPECT_EQ(cut.command(1), std::nullopt);
    EXPECT_EQ(cut.epoch(), 0U);
  }
  EXPECT_EQ(ControlView().waiting(0), 0U);
}

// --- status

ControlStatus status_of(std::int64_t n) {
  ControlStatus s{.process = 7, .swept_at = Instant{n}, .policy = static_cast<std::uint64_t>(n + 1)};
  for (std::size_t i = 0; i < kGaps - 1; ++i)  // the last one stays unused
    s.gaps[i] = {Instant{n + 10 + static_cast<std::int64_t>(i)}, Instant{n + 100 + static_cast<std::int64_t>(i)}};
  return s;
}

void expect_equal(const ControlStatus& a, const ControlStatus& b) {
  EXPECT_EQ(a.process, b.process);
  EXPECT_EQ(a.swept_at, b.swept_at);
  EXPECT_EQ(a.policy, b.policy);
  for (std::size_t i = 0; i < kGaps; ++i) {
    EXPECT_EQ(a.gaps[i].from, b.gaps[i].from);
    EXPECT_EQ(a.gaps[i].to, b.gaps[i].to);
  }
}

TEST_F(Block, ReadsBackAStatusAsItWasSetAndNoneBefore) {
  ControlWriter writer(memory_.all(), 7, kRing);
  EXPECT_EQ(view_.status(), std::nullopt);
  for (std::int64_t n : {1, 2}) {
    writer.set_status(status_of(n));
    const auto status = view_.status();
    ASSERT_TRUE(status);
    expect_equal(*status, status_of(n));
    EXPECT_EQ(status->gaps[kGaps - 1].from, Instant::unknown());
  }
}

TEST_F(Block, TheStatusOfADeadControlPlaneStaysReadableUntilItsSuccessorSetsOne) {
  ControlWriter(memory_.all(), 7, kRing).set_status(status_of(1));
  ControlWriter second(memory_.all(), 8, kRing);
  expect_equal(view_.status().value(), status_of(1));
  second.set_status(status_of(2));
  EXPECT_EQ(view_.status().value().process, 8U);
  EXPECT_EQ(view_.status().value().swept_at, Instant{2});
}

TEST_F(Block, AHalfWrittenStatusIsUnknownAndTheNextOneMakesItGood) {
  ControlWriter(memory_.all(), 7, kRing).set_status(status_of(1));
  memory_.set_word(kStatusVersion, memory_.word(kStatusVersion) | 1);
  EXPECT_EQ(view_.status(), std::nullopt);
  ControlWriter(memory_.all(), 7, kRing).set_status(status_of(2));
  expect_equal(view_.status().value(), status_of(2));
}

}  // namespace
}  // namespace adieu::plane
