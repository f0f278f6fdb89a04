// The ledger: what is told is found again, once; a full disk and a locked database are survived.
#include "host/ledger.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "world.h"

namespace adieu::host {
namespace {

constexpr std::uint64_t kIncarnation = 0xfeed;

control::Decision decision(std::uint32_t slot, bool commands = true) {
  control::Decision d;
  d.id = {kIncarnation, slot, 1};
  d.evidence.local = {Address::v4(10, 0, 0, 1), 1000};
  d.evidence.remote = {Address::v4(10, 0, 0, 2), static_cast<std::uint16_t>(slot)};
  d.evidence.state = State::FinWait2;
  d.verdict.standing = control::Standing::Suspect;
  d.verdict.grounds.add(control::GroundKind::Heard, 0, seconds(30));
  d.verdict.grounds.add(control::GroundKind::Unanswered, 2, seconds(5));
  if (commands) {
    plane::Command command;
    command.kind = plane::CommandKind::Probe;
    command.form = ProbeForm::DataEcho;
    command.expected_state = State::FinWait2;
    d.command = command;
  }
  return d;
}

plane::Receipt receipt(std::uint64_t command, std::uint64_t verdict) {
  plane::Receipt r;
  r.command = command;
  r.verdict = verdict;
  r.id = {kIncarnation, 5, 1};
  r.kind = plane::CommandKind::Probe;
  r.form = ProbeForm::DataEcho;
  r.outcome = plane::Outcome::Done;
  return r;
}

plane::Record ended_record() {
  plane::Record record;
  record.generation = 1;
  record.local = {Address::v4(10, 0, 0, 1), 1000};
  record.remote = {Address::v4(10, 0, 0, 2), 5};
  record.state = State::FinWait2;
  record.reason = EndReason::Commanded;
  record.ended_by = 7;
  return record;
}

struct Book {
  Book() { ledger.name_plane(0, "engine", kIncarnation, plane::PlaneKind::Engine); }
  LedgerConnection read(std::uint32_t slot) const {
    return LedgerReader::open(path())->connection({"engine", slot, 1}, kIncarnation).value();
  }
  std::string path() const { return dir.path() + "/ledger.db"; }
  TemporaryDirectory dir;
  SqliteLedger ledger{dir.path() + "/ledger.db"};
};

TEST(Ledger, KeepsAVerdictWithItsEvidenceItsCommandAndItsReceipt) {
  Book book;
  const auto number = book.ledger.verdict(decision(5), Instant{1});
  ASSERT_TRUE(number);
  EXPECT_NE(*number, 0U);
  ASSERT_TRUE(book.ledger.commit());
  ASSERT_TRUE(book.ledger.receipt(0, receipt(1, *number)));
  ASSERT_TRUE(book.ledger.ended(0, {kIncarnation, 5, 1}, ended_record()));
  ASSERT_TRUE(book.ledger.commit());
  const auto kept = book.read(5);
  ASSERT_EQ(kept.verdicts.size(), 1U);
  EXPECT_EQ(kept.verdicts[0].number, *number);
  EXPECT_EQ(kept.verdicts[0].standing, "suspect");
  EXPECT_EQ(kept.verdicts[0].command, plane::name(plane::CommandKind::Probe));
  EXPECT_EQ(kept.verdicts[0].form, "data echo");
  EXPECT_EQ(kept.verdicts[0].outcome, plane::name(plane::Outcome::Done));
  ASSERT_EQ(kept.verdicts[0].evidence.size(), 2U);
  EXPECT_EQ(kept.verdicts[0].evidence[0], "an acceptable segment was heard 30.0 s ago");
  ASSERT_TRUE(kept.end);
  EXPECT_EQ(kept.end->reason, "commanded");
  EXPECT_EQ(kept.end->verdict, 7U);
  EXPECT_EQ(LedgerReader::open(book.path())->last_end("10.0.0.1:1000", "10.0.0.2:5").value()->id.slot, 5U);
}

TEST(Ledger, KeepsWhatIsToldTwiceOnce) {
  Book book;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(book.ledger.receipt(0, receipt(9, 4)));
    ASSERT_TRUE(book.ledger.ended(0, {kIncarnation, 5, 1}, ended_record()));
    ASSERT_TRUE(book.ledger.commit());
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(book.path().c_str(), &db), SQLITE_OK);
  for (const char* table : {"receipt", "end"}) {
    sqlite3_stmt* count = nullptr;
    sqlite3_prepare_v2(db, (std::string("SELECT count(*) FROM entry WHERE kind='") + table + "'").c_str(), -1, &count,
                       nullptr);
    ASSERT_EQ(sqlite3_step(count), SQLITE_ROW);
    EXPECT_EQ(sqlite3_column_int(count, 0), 1) << table;
    sqlite3_finalize(count);
  }
  sqlite3_close(db);
}

TEST(Ledger, NumbersGoOnAfterARestart) {
  Book book;
  const auto first = book.ledger.verdict(decision(1), Instant{1});
  ASSERT_TRUE(book.ledger.commit());
  SqliteLedger again(book.path());
  const auto second = again.verdict(decision(1), Instant{2});
  ASSERT_TRUE(again.commit());
  EXPECT_GT(*second, *first);
}

TEST(Ledger, AKernelPlanesDeathEndsNoConnectionOfTheKernels) {
  Book book;
  book.ledger.name_plane(1, "kernel", 0xbeef, plane::PlaneKind::Kernel);
  plane::Record record = ended_record();
  record.reason = EndReason::PlaneFailed;
  EXPECT_TRUE(book.ledger.ended(1, {0xbeef, 3, 1}, record));
  EXPECT_TRUE(book.ledger.ended(0, {kIncarnation, 3, 1}, record));
  ASSERT_TRUE(book.ledger.commit());
  const auto reader = LedgerReader::open(book.path());
  EXPECT_FALSE(reader->connection({"kernel", 3, 1}, 0xbeef)->end);
  EXPECT_TRUE(reader->connection({"engine", 3, 1}, kIncarnation)->end);
}

TEST(Ledger, KeepsNothingOnAFullDiskAndGoesOnWhenThereIsRoomAgain) {
  // The limit holds for a process, so the story has one of its own. SIGXFSZ ignored, a full file is EFBIG.
  auto story = Process::fork([] {
    std::signal(SIGXFSZ, SIG_IGN);
    Book book;
    if (!book.ledger.verdict(decision(1), Instant{1}) || !book.ledger.commit()) return 1;
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    rlimit full = limit;
    full.rlim_cur = 4096;
    ::setrlimit(RLIMIT_FSIZE, &full);
    for (int i = 0; i < 3; ++i) {
      // Told or not, nothing may be published on the strength of it.
      [[maybe_unused]] const auto told = book.ledger.verdict(decision(2), Instant{2});
      if (book.ledger.commit()) return 2;
    }
    ::setrlimit(RLIMIT_FSIZE, &limit);
    if (!book.ledger.verdict(decision(3), Instant{3}) || !book.ledger.commit()) return 3;
    if (!book.read(2).verdicts.empty()) return 4;
    return book.read(3).verdicts.size() == 1 && book.read(1).verdicts.size() == 1 ? 0 : 5;
  });
  EXPECT_EQ(story.wait(), 0);
}

TEST(Ledger, KeepsNothingWhileAnotherHasItLocked) {
  Book book;
  ASSERT_TRUE(book.ledger.verdict(decision(1), Instant{1}));
  ASSERT_TRUE(book.ledger.commit());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(book.path().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_FALSE(book.ledger.verdict(decision(2), Instant{2}));
  EXPECT_FALSE(book.ledger.commit());
  sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
  EXPECT_TRUE(book.ledger.verdict(decision(2), Instant{3}));
  EXPECT_TRUE(book.ledger.commit());
  sqlite3_close(other);
}

TEST(Ledger, WhoseFolderIsMissingKeepsNothingUntilItIsThere) {
  const TemporaryDirectory dir;
  SqliteLedger ledger(dir.path() + "/later/ledger.db");
  EXPECT_FALSE(ledger.verdict(decision(1), Instant{1}));
  EXPECT_FALSE(ledger.commit());
  ASSERT_TRUE(RunDir(dir.path() + "/later").make());
  EXPECT_TRUE(ledger.verdict(decision(1), Instant{1}));
  EXPECT_TRUE(ledger.commit());
}

TEST(Ledger, ForgetsTheOldestBeyondItsBound) {
  const TemporaryDirectory dir;
  SqliteLedger ledger(dir.path() + "/ledger.db", {.rows = 100});
  ledger.name_plane(0, "engine", kIncarnation, plane::PlaneKind::Engine);
  for (std::uint32_t i = 1; i <= 1200; ++i) ASSERT_TRUE(ledger.verdict(decision(i, false), Instant{1}));
  ASSERT_TRUE(ledger.commit());
  const auto reader = LedgerReader::open(dir.path() + "/ledger.db");
  EXPECT_EQ(reader->connection({"engine", 1200, 1}, kIncarnation)->verdicts.size(), 1U);
  EXPECT_EQ(reader->connection({"engine", 1101, 1}, kIncarnation)->verdicts.size(), 1U);
  EXPECT_EQ(reader->connection({"engine", 1100, 1}, kIncarnation)->verdicts.size(), 0U);
}

}  // namespace
}  // namespace adieu::host
