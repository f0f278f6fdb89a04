// The ledger: what is told is found again, once, and can be judged anew; a full disk, a locked database, SIGKILL and
// files of another sort are survived; the bounds hold.
#include "host/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>

#include "host/ledger_json.h"
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

control::Decision routine(std::uint32_t slot) {
  control::Decision d = decision(slot);
  d.is_routine = true;
  return d;
}

// The first column of the first row, as a text; empty: there is none.
std::string ask(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  sqlite3_open(path.c_str(), &db);
  std::string said;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) said = sqlite3_errmsg(db);
  if (sqlite3_step(statement) == SQLITE_ROW)
    if (const unsigned char* text = sqlite3_column_text(statement, 0)) said = reinterpret_cast<const char*>(text);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return said;
}

struct Book {
  Book() { ledger.name_plane(0, "engine", kIncarnation, plane::PlaneKind::Engine); }
  LedgerConnection read(std::uint32_t slot) const {
    return LedgerReader::open(path())->connection({"engine", slot, 1}, kIncarnation).value();
  }
  std::string path() const { return dir.path() + "/ledger.db"; }
  std::vector<LedgerEntry> entries(std::vector<EntryKind> kinds = {}) const {
    LedgerQuery query;
    query.kinds = std::move(kinds);
    return LedgerReader::open(path())->entries(query).value();
  }
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

TEST(Ledger, IsNotPutWhereSomethingElseStands) {
  Book book;
  const auto written = [&](const std::string& name, std::string_view octets) {
    const std::string path = book.path() + name;
    std::ofstream(path) << octets;
    return path;
  };
  EXPECT_TRUE(check_ledger_file(""));
  EXPECT_TRUE(check_ledger_file(book.path() + ".not-there-yet"));
  EXPECT_TRUE(check_ledger_file(written(".empty", "")));
  EXPECT_FALSE(check_ledger_file(written(".text", "127.0.0.1 localhost")));
  EXPECT_TRUE(check_ledger_file(written(".damaged", "SQLite format 3 and then rubbish")));
  EXPECT_FALSE(check_ledger_file("/"));
  EXPECT_FALSE(check_ledger_file("/dev/zero"));
  ASSERT_TRUE(book.ledger.verdict(decision(5), Instant{1}));
  ASSERT_TRUE(book.ledger.commit());
  EXPECT_TRUE(check_ledger_file(book.path()));
  sqlite3* other = nullptr;
  const std::string path = book.path() + ".other";
  ASSERT_EQ(sqlite3_open(path.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "CREATE TABLE theirs(x)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  EXPECT_FALSE(check_ledger_file(path));
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

TEST(Ledger, ThatIsTakenAwayIsFollowedByANewOneWhoseNumbersGoOn) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/ledger.db";
  SqliteLedger ledger(path);
  const auto before = ledger.verdict(decision(1), Instant{1});
  ASSERT_TRUE(before && ledger.commit());
  for (const char* const part : {"", "-wal", "-shm"}) ::unlink((path + part).c_str());
  const auto after = ledger.verdict(decision(1), Instant{2});
  ASSERT_TRUE(after && ledger.commit());
  EXPECT_GT(*after, *before);
  const auto reader = LedgerReader::open(path);
  ASSERT_TRUE(reader);
  const auto kept = reader->after(0, 10);
  ASSERT_TRUE(kept);
  ASSERT_FALSE(kept->empty());
  EXPECT_GT(kept->front().number, *before);
}

TEST(Ledger, KeepsEvidenceSoThatItCanBeJudgedAnew) {
  Book book;
  book.ledger.in_force(0xabc);
  const Instant now{seconds(1'000'000).ns};
  control::Decision d = decision(5);
  d.rule = 3;
  control::Evidence& e = d.evidence;
  e.ended_by = 9;
  e.state_entered = now - hours(2);
  e.time_wait = seconds(60);
  e.heard_at = now - minutes(5);
  e.heard = 77;
  e.progress_in = now - minutes(7);
  e.counts_every_sign = true;
  e.asks[0] = 20;
  e.asks[1] = 21;
  e.asked = 41;
  e.first_ask = now - minutes(4);
  e.last_ask = now - seconds(9);
  e.attended = minutes(4);
  e.unattended = seconds(3);
  e.possible = 3;
  e.can_abort = true;
  e.abilities = plane::Ability::ProbeEcho | plane::Ability::GuardedAbort;
  e.holder = plane::Holder::Orphan;
  e.end_of_stream_read = plane::Known::Yes;
  e.unread = 0;
  e.send_shut = true;
  e.host.doubted = 2;
  e.host.heard_at = now - minutes(9);
  e.host.lost = 0.125;
  e.host.path_timer = seconds(350);
  d.verdict = control::judge(e, control::Rule{}, now);
  ASSERT_EQ(d.verdict.standing, control::Standing::Gone);
  ASSERT_TRUE(book.ledger.verdict(d, now));
  ASSERT_TRUE(book.ledger.commit());
  const auto kept = book.entries({EntryKind::Verdict});
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].at, now);
  const auto read = recorded_evidence(kept[0]);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->rule, 3U);
  EXPECT_EQ(read->policy, 0xabcU);
  EXPECT_EQ(read->plane, plane::PlaneKind::Engine);
  const control::Verdict again = control::judge(read->evidence, control::Rule{}, kept[0].at);
  EXPECT_EQ(again.standing, d.verdict.standing);
  EXPECT_EQ(again.acts_at, d.verdict.acts_at);
  EXPECT_TRUE(std::ranges::equal(again.grounds.all(), d.verdict.grounds.all()));
  // What judge() did not need is there all the same: written again, it is the same text.
  d.evidence = read->evidence;
  EXPECT_EQ(verdict_detail(d, plane::PlaneKind::Engine, 0xabc), kept[0].detail);
}

TEST(Ledger, NamesTheRuleThatEndsAConnection) {
  control::Verdict verdict;
  verdict.cause = control::Cause::Rule;
  verdict.grounds.add(control::GroundKind::Acts, static_cast<std::uint64_t>(control::Cause::Rule));
  Book book;
  book.ledger.in_force(0xabc, {"billing forgets to close", "default"});
  control::Decision d;
  d.verdict = verdict;
  d.evidence.state = State::CloseWait;
  for (const std::uint32_t rule : {0U, 2U}) {  // and one that has no name
    d.rule = rule;
    ASSERT_TRUE(book.ledger.verdict(d, Instant{1}));
  }
  ASSERT_TRUE(book.ledger.commit());
  const auto kept = book.entries({EntryKind::Verdict});
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_NE(summary(kept[0]).find("rule \"billing forgets to close\" ends all that it matches"), std::string::npos)
      << summary(kept[0]);
  EXPECT_NE(summary(kept[1]).find("the rule ends all that it matches"), std::string::npos) << summary(kept[1]);
  EXPECT_EQ(summary(kept[0]).find(", rule in"), std::string::npos) << summary(kept[0]);
}

TEST(Ledger, LeavesOutWhatIsNotKnown) {
  Book book;
  plane::Record record = ended_record();
  record.state_entered = Instant::unknown();
  ASSERT_TRUE(book.ledger.ended(0, {kIncarnation, 5, 1}, record));
  ASSERT_TRUE(book.ledger.verdict(decision(6), Instant{7}));
  ASSERT_TRUE(book.ledger.commit());
  EXPECT_EQ(ask(book.path(), "SELECT count(*) FROM entry WHERE at IS NULL"), "1");
  EXPECT_EQ(book.entries()[0].at, Instant::unknown());
  EXPECT_EQ(ask(book.path(), "SELECT count(*) FROM entry WHERE detail LIKE '%-9223372036854775808%'"), "0");
  EXPECT_EQ(book.entries({EntryKind::Verdict})[0].at, Instant{7});
}

TEST(Ledger, LetsAllRoutineQuestionsRestOnOneEntry) {
  Book book;
  book.ledger.in_force(1);
  const auto first = book.ledger.verdict(routine(1), Instant{1});
  ASSERT_TRUE(first && book.ledger.commit());
  for (std::uint32_t i = 2; i < 100; ++i) ASSERT_EQ(book.ledger.verdict(routine(i), Instant{i}), first);
  ASSERT_TRUE(book.ledger.receipt(0, receipt(1, *first)));
  ASSERT_TRUE(book.ledger.commit());
  EXPECT_EQ(book.entries().size(), 2U);  // the start, and that one
  book.ledger.in_force(1);
  EXPECT_EQ(book.ledger.verdict(routine(1), Instant{2}), first);
  book.ledger.in_force(2);
  const auto second = book.ledger.verdict(routine(1), Instant{3});
  ASSERT_TRUE(second && book.ledger.commit());
  EXPECT_GT(*second, *first);
  // The next control plane drains receipts for questions of this one.
  SqliteLedger next(book.path());
  next.name_plane(0, "engine", kIncarnation, plane::PlaneKind::Engine);
  next.in_force(2);
  ASSERT_TRUE(next.receipt(0, receipt(2, *second)));
  ASSERT_TRUE(next.commit());
  EXPECT_TRUE(book.entries({EntryKind::Receipt}).empty());
  EXPECT_EQ(book.entries({EntryKind::Start}).size(), 2U);
  EXPECT_EQ(book.entries({EntryKind::Policy}).size(), 1U);
}

TEST(Ledger, TellsAStartWithAnotherPolicyThanTheLast) {
  Book book;
  book.ledger.in_force(1);
  SqliteLedger same(book.path());
  same.in_force(1);
  EXPECT_TRUE(book.entries({EntryKind::Policy}).empty());
  same.refused_policy({"policy.toml:1:1: no"});
  SqliteLedger other(book.path());
  other.in_force(2);
  const auto kept = book.entries();
  ASSERT_EQ(kept.size(), 5U);
  EXPECT_EQ(kept[3].kind, EntryKind::Start);
  EXPECT_EQ(kept[4].kind, EntryKind::Policy);
  EXPECT_EQ(summary(kept[4]), fmt::format("another policy is in force (process {}, policy {})", ::getpid(), hex16(2)));
}

TEST(Ledger, KeepsTheMistakesOfAPolicyThatWasRefused) {
  Book book;
  book.ledger.in_force(1);
  std::vector<std::string> mistakes{"policy.toml:3:1: \"quoted\"\x1b and odd; write it better"};
  mistakes.resize(30, "policy.toml:4:1: another");
  book.ledger.refused_policy(mistakes);
  const auto kept = book.entries({EntryKind::Policy});
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(summary(kept[0]),
            "a policy with mistakes was refused, and the one in force stays (30 in all, the first: "
            "policy.toml:3:1: \"quoted\"\\x1b and odd; write it better)");
  EXPECT_NE(kept[0].detail.find("policy.toml:4:1: another"), std::string::npos);
}

TEST(Ledger, RestsNothingOnARoutineEntryThatWasNotKept) {
  Book book;
  ASSERT_TRUE(book.ledger.verdict(decision(1), Instant{1}));
  ASSERT_TRUE(book.ledger.commit());
  const auto lost = book.ledger.verdict(routine(1), Instant{2});
  ASSERT_TRUE(lost);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  rlimit full = limit;
  full.rlim_cur = 4096;
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &full);
  EXPECT_FALSE(book.ledger.commit());
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, before);
  EXPECT_TRUE(book.entries({EntryKind::Routine}).empty());
  const auto kept = book.ledger.verdict(routine(1), Instant{3});
  ASSERT_TRUE(kept && book.ledger.commit());
  ASSERT_EQ(book.entries({EntryKind::Routine}).size(), 1U);
  EXPECT_EQ(book.entries({EntryKind::Routine})[0].number, *kept);
}

TEST(Ledger, TellsWhoAskedForWhat) {
  Book book;
  control::Decision d = decision(5);
  d.verdict.cause = control::Cause::Person;
  d.verdict.grounds.add(control::GroundKind::Asked, 1000);
  const auto number = book.ledger.verdict(d, Instant{1});
  ASSERT_TRUE(number && book.ledger.commit());
  const auto kept = book.entries();
  ASSERT_EQ(kept.size(), 3U);
  EXPECT_EQ(kept[0].kind, EntryKind::Request);
  EXPECT_EQ(kept[0].verdict, *number);
  EXPECT_EQ(summary(kept[0]), fmt::format("user 1000 asked for probe (verdict {})", *number));
  EXPECT_EQ(kept[1].kind, EntryKind::Verdict);
  EXPECT_EQ(kept[1].number, *number);
  EXPECT_EQ(kept[2].kind, EntryKind::Command);
  EXPECT_EQ(kept[2].verdict, *number);
}

TEST(Ledger, IsReadOnFromANumber) {
  Book book;
  for (std::uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(book.ledger.verdict(decision(i, false), Instant{i}));
  ASSERT_TRUE(book.ledger.commit());
  const auto reader = LedgerReader::open(book.path());
  std::uint64_t read = 0;
  std::vector<std::uint32_t> slots;
  for (auto some = reader->after(read, 3); !some->empty(); some = reader->after(read, 3)) {
    for (const LedgerEntry& entry : *some) slots.push_back(entry.id->slot);
    read = some->back().number;
  }
  EXPECT_EQ(slots, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(reader->newest(), read);
  LedgerQuery last;
  last.newest = true;
  last.limit = 2;
  EXPECT_EQ(reader->entries(last)->front().id->slot, 8U);
  last.id = NamedId{"engine", 4, 1};
  EXPECT_EQ(reader->entries(last)->size(), 1U);
  last.id->plane = "kernel";
  EXPECT_TRUE(reader->entries(last)->empty());
}

TEST(Ledger, OfAnotherVersionIsMovedAsideWhole) {
  Book book;
  ask(book.path(), "CREATE TABLE verdict(number INTEGER PRIMARY KEY, evidence TEXT)");
  ask(book.path(), "INSERT INTO verdict VALUES(1, 'old')");
  EXPECT_FALSE(LedgerReader::open(book.path()));
  ASSERT_TRUE(book.ledger.verdict(decision(1), Instant{1}));
  ASSERT_TRUE(book.ledger.commit());
  EXPECT_EQ(ask(book.path() + ".v1", "SELECT evidence FROM verdict"), "old");
  EXPECT_EQ(book.entries({EntryKind::Verdict}).size(), 1U);
  // And another one beside it, not over it.
  SqliteLedger again(book.path() + ".x");
  ask(book.path() + ".x", "CREATE TABLE verdict(evidence TEXT)");
  std::ofstream(book.path() + ".x.v1") << "mine";
  ASSERT_TRUE(again.verdict(decision(1), Instant{1}) && again.commit());
  EXPECT_EQ(ask(book.path() + ".x.v1.2", "SELECT count(*) FROM verdict"), "0");
}

TEST(Ledger, ThatIsNoDatabaseIsMovedAside) {
  Book book;
  std::ofstream(book.path()) << std::string(8192, '?');
  ASSERT_TRUE(book.ledger.verdict(decision(1), Instant{1}));
  ASSERT_TRUE(book.ledger.commit());
  EXPECT_EQ(book.entries({EntryKind::Verdict}).size(), 1U);
  struct stat status{};
  ASSERT_EQ(::stat((book.path() + ".damaged").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 8192);
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
  EXPECT_EQ(reader->oldest(), 1101U);
}

TEST(Ledger, ForgetsWhatIsTooOld) {
  Book book;
  for (std::uint32_t i = 1; i <= 10; ++i) ASSERT_TRUE(book.ledger.verdict(decision(i, false), Instant{1}));
  ASSERT_TRUE(book.ledger.commit());
  // Five of them thirty days and a minute ago, the sixth a minute less than thirty days.
  ask(book.path(), "UPDATE entry SET wall = wall - (30*86400+60)*1000000 WHERE number <= 5");
  ask(book.path(), "UPDATE entry SET wall = wall - (30*86400-60)*1000000 WHERE number = 6");
  SqliteLedger next(book.path());
  ASSERT_TRUE(next.verdict(decision(11, false), Instant{1}) && next.commit());
  EXPECT_EQ(LedgerReader::open(book.path())->oldest(), 6U);
}

control::HostLearned host_at(std::uint32_t number, std::uint32_t lost = 40) {
  const auto octet = [&](unsigned shift) { return static_cast<std::uint8_t>(number >> shift); };
  return {Address::v4(10, octet(16), octet(8), octet(0)), 100, lost, Duration::max()};
}

TEST(Ledger, KeepsOfEachHostWhatWasLearnedLast) {
  Book book;
  EXPECT_TRUE(book.ledger.learned(host_at(1, 30)));
  EXPECT_TRUE(book.ledger.commit());
  EXPECT_TRUE(book.ledger.learned(host_at(1, 50)));
  control::HostLearned forgetful = host_at(2, 0);
  forgetful.host.octets[0] = 0xfd;
  forgetful.path_timer = seconds(350);
  EXPECT_TRUE(book.ledger.learned(forgetful));
  EXPECT_TRUE(book.ledger.commit());
  const auto reader = LedgerReader::open(book.path());
  EXPECT_EQ(reader->hosts().value(), (std::vector<control::HostLearned>{forgetful, host_at(1, 50)}));
  EXPECT_EQ(reader->newest(), 0U) << "no entry tells of it";
}

TEST(Ledger, KeepsNoMoreHostsThanABookHoldsAndNoneThatIsTooOld) {
  Book book;
  constexpr auto kMost = static_cast<std::uint32_t>(control::HostBook::kMost);
  for (std::uint32_t i = 0; i <= kMost; ++i) ASSERT_TRUE(book.ledger.learned(host_at(i)));
  ASSERT_TRUE(book.ledger.commit());
  EXPECT_EQ(ask(book.path(), "SELECT count(*) FROM host"), std::to_string(kMost));
  EXPECT_EQ(LedgerReader::open(book.path())->hosts()->front(), host_at(kMost)) << "the oldest went";
  ask(book.path(), "UPDATE host SET wall = wall - (30*86400+60)*1000000 WHERE address <> '10.0.0.7'");
  SqliteLedger next(book.path());
  ASSERT_TRUE(next.learned(host_at(8)) && next.commit());
  EXPECT_EQ(ask(book.path(), "SELECT group_concat(address) FROM (SELECT address FROM host ORDER BY 1)"),
            "10.0.0.7,10.0.0.8");
}

TEST(Ledger, OfAVersionThatKeptNoHostsIsReadAndWrittenOn) {
  Book book;
  ASSERT_TRUE(book.ledger.verdict(decision(1), Instant{1}) && book.ledger.commit());
  ask(book.path(), "DROP TABLE host");
  const auto reader = LedgerReader::open(book.path());
  ASSERT_TRUE(reader);
  EXPECT_FALSE(reader->hosts());
  SqliteLedger next(book.path());
  ASSERT_TRUE(next.learned(host_at(1)) && next.commit());
  EXPECT_EQ(reader->hosts().value().size(), 1U);
  EXPECT_EQ(book.entries({EntryKind::Verdict}).size(), 1U);
}

TEST(Ledger, FileStopsGrowingAtItsBound) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/ledger.db";
  SqliteLedger ledger(path, {.rows = 2000});
  std::uint32_t told = 0;
  const auto pages_after = [&](std::uint32_t more) {
    for (const std::uint32_t until = told + more; told < until; ++told) {
      EXPECT_TRUE(ledger.verdict(decision(told, false), Instant{1}));
      if (told % 500 == 0) {
        EXPECT_TRUE(ledger.commit());
      }
    }
    EXPECT_TRUE(ledger.commit());
    return std::stol(ask(path, "PRAGMA page_count"));
  };
  const long full = pages_after(6000);
  EXPECT_LT(pages_after(12000), full + full / 10);
}

TEST(Ledger, SurvivesItsWritersSigkill) {
  Book book;
  const std::string said = book.dir.path() + "/said";
  for (int life = 0; life < 15; ++life) {
    auto writer = Process::fork([&] {
      SqliteLedger ledger(book.path());
      ledger.name_plane(0, "engine", kIncarnation, plane::PlaneKind::Engine);
      const int file = ::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      for (std::uint32_t i = 0;; ++i) {
        const auto number = ledger.verdict(decision(i), Instant{1});
        const bool kept = number && ledger.receipt(0, receipt(i, *number)) && ledger.commit();
        if (!kept || ::pwrite(file, &*number, sizeof *number, 0) != sizeof *number) return 1;
      }
    });
    std::uint64_t committed = 0;
    const auto read_number = [&] {
      std::ifstream in(said, std::ios::binary);
      in.read(reinterpret_cast<char*>(&committed), sizeof committed);
      return in.gcount() == sizeof committed;
    };
    const std::uint64_t before = LedgerReader::open(book.path()) ? LedgerReader::open(book.path())->newest() : 0;
    ASSERT_TRUE(eventually([&] { return read_number() && committed > before + 20; }));
    writer.signal(SIGKILL);
    ASSERT_EQ(writer.wait(), 128 + SIGKILL);
    ASSERT_TRUE(read_number());
    EXPECT_EQ(ask(book.path(), "PRAGMA integrity_check"), "ok");
    LedgerQuery query;
    query.after = before;
    query.limit = 1'000'000;
    const auto entries = LedgerReader::open(book.path())->entries(query).value();
    std::map<EntryKind, std::size_t> counts;
    for (const LedgerEntry& entry : entries) {
      ++counts[entry.kind];
      if (entry.kind == EntryKind::Verdict) {
        ASSERT_TRUE(recorded_evidence(entry));
      }
    }
    // A transaction is there with all it holds, or not at all; none that was committed is missing.
    EXPECT_EQ(counts[EntryKind::Verdict], counts[EntryKind::Command]);
    EXPECT_EQ(counts[EntryKind::Verdict], counts[EntryKind::Receipt]);
    EXPECT_GE(entries.back().number, committed);
  }
}

TEST(Ledger, GoesOnWhenADiskOfOneMegabyteIsFullAndWhenItIsNoMore) {
  auto story = Process::fork([] {
    const TemporaryDirectory dir;
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    if (::mount("none", dir.path().c_str(), "tmpfs", 0, "size=1m") != 0) return 77;
    SqliteLedger ledger(dir.path() + "/ledger.db");
    std::uint32_t slot = 0;
    const auto commits = [&] {
      for (int i = 0; i < 20; ++i) (void)ledger.verdict(decision(++slot), Instant{1}).has_value();
      return ledger.commit();
    };
    {
      // Somebody else's file takes half of it.
      std::ofstream other(dir.path() + "/other");
      other << std::string(500'000, 'x');
    }
    int rounds = 0;
    while (commits())
      if (++rounds > 1000) return 1;  // it never fills
    if (rounds == 0) return 2;
    for (int i = 0; i < 5; ++i)
      if (commits()) return 3;
    ::unlink((dir.path() + "/other").c_str());
    if (!commits()) return 4;
    if (ask(dir.path() + "/ledger.db", "PRAGMA integrity_check") != "ok") return 5;
    const auto kept = LedgerReader::open(dir.path() + "/ledger.db");
    const bool there = kept->connection({"", slot, 1}, 0).has_value();
    const std::string verdicts = ask(dir.path() + "/ledger.db", "SELECT count(*) FROM entry WHERE kind='verdict'");
    ::umount(dir.path().c_str());
    return there && verdicts == std::to_string(20 * (rounds + 1)) ? 0 : 6;
  });
  const int status = story.wait();
  if (status == 77) GTEST_SKIP() << "SKIPPED: this machine permits no file system of our own";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace adieu::host
