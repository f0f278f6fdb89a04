// The writer: one table, one sequence, one way to add a row.
#include "host/ledger.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "host/clock.h"
#include "host/ledger_json.h"
#include "host/log.h"
#include "host/sqlite.h"

namespace adieu::host {
namespace {

// Rows written between two looks at the bounds, and the time after which they are looked at all the same.
constexpr std::int64_t kPruneEvery = 1000;
constexpr std::int64_t kPruneAfter = 600'000'000;  // microseconds
// Rows that one look deletes at most: twice what may have come since, so that a ledger that is over its bounds gets
// there, in steps that nobody waits for. Pages that this frees are used again, so that the file does not grow.
constexpr std::int64_t kPruneStep = 2000;

// `verdict`: the entry of the verdict to which a command, a receipt, an end or a request belongs.
// `number_in_ring`: the command's, which with `verdict` and `incarnation` names a receipt for ever.
constexpr const char* kSchema = R"sql(
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entry(
  number INTEGER PRIMARY KEY AUTOINCREMENT, wall INTEGER NOT NULL, at INTEGER, kind TEXT NOT NULL, verdict INTEGER,
  plane TEXT, incarnation TEXT, slot INTEGER, generation INTEGER, local TEXT, remote TEXT, state TEXT,
  before TEXT, standing TEXT, wanted TEXT, ends TEXT, cause TEXT,
  what TEXT, form TEXT, number_in_ring INTEGER, detail TEXT);
CREATE INDEX IF NOT EXISTS entry_of ON entry(slot, generation) WHERE slot IS NOT NULL;
CREATE INDEX IF NOT EXISTS command_of ON entry(verdict) WHERE kind = 'command';
CREATE UNIQUE INDEX IF NOT EXISTS receipt_once ON entry(verdict, incarnation, number_in_ring) WHERE kind = 'receipt';
CREATE UNIQUE INDEX IF NOT EXISTS end_once ON entry(incarnation, slot, generation) WHERE kind = 'end';
CREATE INDEX IF NOT EXISTS end_between ON entry(local, remote) WHERE kind = 'end';
CREATE INDEX IF NOT EXISTS routines ON entry(number) WHERE kind = 'routine';
CREATE TABLE IF NOT EXISTS host(
  address TEXT PRIMARY KEY, wall INTEGER NOT NULL, asked INTEGER NOT NULL, lost INTEGER NOT NULL, path_timer INTEGER);
PRAGMA user_version = 2;
COMMIT;
)sql";
static_assert(kLedgerVersion == 2, "the schema's user_version");

// What is told twice stands already, and is ignored. A receipt does not say between whom; its verdict does.
constexpr const char* kInsert =
    "INSERT OR IGNORE INTO entry(wall,at,kind,verdict,plane,incarnation,slot,generation,local,remote,state,before,"
    "standing,wanted,ends,cause,what,form,number_in_ring,detail) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
    "coalesce(?9,(SELECT local FROM entry WHERE number=?4)),coalesce(?10,(SELECT remote FROM entry WHERE number=?4)),"
    "?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)";

// ?1: what is numbered beyond it stays, ?2: what was written after it stays, ?3: rows looked at.
constexpr const char* kPrune =
    "DELETE FROM entry WHERE number < (SELECT min(number) FROM entry) + ?3 AND (number <= ?1 OR wall < ?2)";

constexpr const char* kLearn = "INSERT OR REPLACE INTO host(address,wall,asked,lost,path_timer) VALUES(?,?,?,?,?)";
// ?1: what was written after it stays, ?2: hosts that stay.
constexpr const char* kPruneHosts =
    "DELETE FROM host WHERE wall < ?1 OR address NOT IN (SELECT address FROM host ORDER BY wall DESC LIMIT ?2)";

struct Row {
  EntryKind kind = EntryKind::Note;
  Instant at;
  std::optional<std::uint64_t> verdict;
  std::optional<std::uint32_t> slot, generation;
  std::string_view plane, incarnation;
  std::string local, remote;
  std::string_view state;
  std::string_view before, standing, wanted, ends, cause;
  std::string_view what, form;
  std::optional<std::uint64_t> number_in_ring;
  std::string detail;
};

constexpr std::array<std::string_view, kEntryKinds> kKindNames{"verdict", "command", "receipt", "end",   "note",
                                                               "routine", "request", "start",   "policy"};

bool exists(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0;
}

// A database that nobody writes, with what belongs to it, under another name, which is returned.
std::string rename_aside(const std::string& path, const std::string& suffix) {
  std::string aside = fmt::format("{}.{}", path, suffix);
  for (int i = 2; exists(aside); ++i) aside = fmt::format("{}.{}.{}", path, suffix, i);
  // What is not in the file yet, should a reader still have it open, goes with it.
  for (const char* const part : {"-wal", "-shm", ""})
    if (exists(path + part)) std::rename((path + part).c_str(), (aside + part).c_str());
  return aside;
}

}  // namespace

Result<std::string> place_ledger(const RunDir& run_dir, const std::string& file) {
  std::string ours = run_dir.ledger();
  if (file.empty() || file == ours) return ours;
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  if (::access(folder.c_str(), W_OK | X_OK) < 0) return failed_by_system("keeping the ledger in " + folder, errno);
  struct stat there{};
  if (::lstat(ours.c_str(), &there) == 0 && !S_ISLNK(there.st_mode))
    log_warning(fmt::format("the ledger is kept as {} from now on; the one in the run directory stays as {}", file,
                            rename_aside(ours, "before")));
  // At once or not at all: somebody may be reading.
  const std::string link = ours + ".link";
  ::unlink(link.c_str());
  if (::symlink(file.c_str(), link.c_str()) < 0 || ::rename(link.c_str(), ours.c_str()) < 0)
    return failed_by_system("linking the ledger into the run directory " + run_dir.path(), errno);
  return file;
}

std::string_view name(EntryKind kind) { return kKindNames[static_cast<unsigned>(kind)]; }

std::optional<EntryKind> parse_entry_kind(std::string_view name) {
  for (unsigned i = 0; i < kEntryKinds; ++i)
    if (kKindNames[i] == name) return static_cast<EntryKind>(i);
  return std::nullopt;
}

class SqliteLedger::Impl {
 public:
  Impl(std::string path, LedgerBounds bounds) : path_(std::move(path)), bounds_(bounds) {}

  struct NamedPlane {
    std::string name, incarnation;
    plane::PlaneKind kind = plane::PlaneKind::Engine;
  };
  const NamedPlane& plane(std::uint32_t index) { return names_[index]; }
  void name_plane(std::uint32_t index, NamedPlane plane) { names_[index] = std::move(plane); }
  void in_force(std::uint64_t policy, std::vector<std::string> rules) {
    policy_ = policy;
    rules_ = std::move(rules);
    if (begin()) commit();
  }
  std::uint64_t policy() const { return policy_.value_or(0); }
  // Empty: not known.
  std::string_view rule(std::uint32_t number) const {
    return number < rules_.size() ? rules_[number] : std::string_view();
  }

  // A transaction is open, or nothing can be kept now.
  bool begin() {
    if (broken_) return false;
    if (database_.in_transaction()) return true;
    if (database_ && !is_in_place()) leave();
    if (!database_ && !open()) return fail();
    return database_.run("BEGIN IMMEDIATE") ? tell_policy() : fail();
  }
  bool add(const Row& r) {
    ++written_;
    const bool kept =
        insert_
            .with(wall_clock(), r.at, name(r.kind), r.verdict, r.plane, r.incarnation, r.slot, r.generation,
                  std::string_view(r.local), std::string_view(r.remote), r.state, r.before, r.standing, r.wanted,
                  r.ends, r.cause, r.what, r.form, r.number_in_ring, std::string_view(r.detail))
            .done();
    return kept || fail();
  }
  std::uint64_t last_number() const { return static_cast<std::uint64_t>(database_.last_row()); }

  // The number on which all questions that change nothing rest.
  std::optional<std::uint64_t> routine(Instant now) {
    if (routine_ != 0) return routine_;
    if (!begin()) return std::nullopt;
    Row row;
    row.kind = EntryKind::Routine;
    row.at = now;
    row.what = "questions that change nothing";
    row.detail = fmt::format(R"({{"policy":"{}"}})", hex16(policy()));
    if (!add(row)) return std::nullopt;
    routine_ = last_number();
    routines_.insert(routine_);
    return routine_;
  }
  bool learn(const control::HostLearned& host) {
    ++written_;
    std::optional<std::int64_t> timer;  // in nanoseconds
    if (host.path_timer != Duration::max()) timer = host.path_timer.ns;
    return learn_.with(std::string_view(text(host.host)), wall_clock(), host.asked, host.lost, timer).done() || fail();
  }
  bool is_routine(std::uint64_t verdict) const { return routines_.contains(verdict); }

  bool request_is_followed_by(std::uint64_t request, std::uint64_t verdict) {
    return answer_request_.with(verdict, request).done() || fail();
  }
  bool commit();

 private:
  bool open();
  bool is_ours();
  bool is_in_place() const;
  void leave();
  void move_aside(const std::string& suffix, std::string_view why);
  bool tell_policy();
  std::optional<std::uint64_t> last_in_force() const;
  bool fail();
  void rolled_back();
  void prune();

  std::string path_;
  LedgerBounds bounds_;
  Database database_;
  dev_t device_ = 0;  // of the file that is open
  ino_t inode_ = 0;
  std::int64_t last_ = 0;  // number that was committed
  Statement insert_, answer_request_, learn_, prune_, prune_hosts_, oldest_, newest_;
  std::map<std::uint32_t, NamedPlane> names_;
  std::int64_t written_ = kPruneEvery;  // since the bounds were looked at: the first commit does
  std::int64_t pruned_at_ = 0;
  bool broken_ = false;  // until the next commit()
  std::string trouble_;
  OnceLog once_;
  std::vector<std::string> rules_;
  std::optional<std::uint64_t> policy_, told_, told_before_;  // told_before_: what is committed
  std::uint64_t routine_ = 0, routine_before_ = 0;
  std::set<std::uint64_t> routines_;  // of earlier control planes too: their receipts may still come
};

bool SqliteLedger::Impl::open() {
  auto opened = Database::open(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!opened) {
    trouble_ = opened.error().text;
    return false;
  }
  database_ = std::move(*opened);
  if (!is_ours()) {
    opened = Database::open(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    database_ = opened ? std::move(*opened) : Database{};
  }
  if (!database_ ||
      !database_.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=16777216;") ||
      !database_.run(kSchema)) {
    trouble_ = database_.error();
    database_ = {};
    return false;
  }
  sqlite3* const db = database_.get();
  insert_ = Statement(db, kInsert);
  answer_request_ = Statement(db, "UPDATE entry SET verdict=? WHERE number=?");
  learn_ = Statement(db, kLearn);
  prune_ = Statement(db, kPrune);
  prune_hosts_ = Statement(db, kPruneHosts);
  oldest_ = Statement(db, "SELECT min(number) FROM entry");
  newest_ = Statement(db, "SELECT max(number) FROM entry");
  Statement known(db, "SELECT number FROM entry WHERE kind='routine' ORDER BY number DESC LIMIT 1000");
  while (known.step() == SQLITE_ROW) routines_.insert(static_cast<std::uint64_t>(known.number(0)));
  struct stat file{};
  ::stat(path_.c_str(), &file);
  device_ = file.st_dev;
  inode_ = file.st_ino;
  // A number names one entry for ever, also where a new file follows one that was taken away.
  Statement(db,
            "INSERT INTO sqlite_sequence(name,seq) SELECT 'entry',?1 WHERE ?1 > 0 AND NOT EXISTS "
            "(SELECT 1 FROM sqlite_sequence WHERE name='entry')")
      .with(last_)
      .done();
  return true;
}

// What is written into a file that stands at no path any more, nobody will ever read.
bool SqliteLedger::Impl::is_in_place() const {
  struct stat file{};
  return ::stat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_;
}

void SqliteLedger::Impl::leave() {
  log_warning(
      fmt::format("the ledger {} was removed or replaced while it was in use: a new one begins, and what it held "
                  "is lost to `adieu log`",
                  path_));
  for (Statement* one : {&insert_, &answer_request_, &learn_, &prune_, &prune_hosts_, &oldest_, &newest_})
    *one = Statement{};
  database_ = {};
  told_.reset();
  told_before_.reset();
  routine_ = routine_before_ = 0;
}

// False: what stood there has been moved aside. Trouble of another sort shows again in a moment, and is told then.
bool SqliteLedger::Impl::is_ours() {
  const auto tables = database_.number("SELECT count(*) FROM sqlite_master");
  const int trouble = database_.error_number();
  if (trouble == SQLITE_NOTADB || trouble == SQLITE_CORRUPT) {
    move_aside("damaged", std::string(database_.error()));
    return false;
  }
  const auto version = database_.number("PRAGMA user_version");
  if (!tables || !version || *tables == 0 || *version == kLedgerVersion) return true;
  move_aside(fmt::format("v{}", *version == 0 ? 1 : *version), "it is of another version of adieu");
  return false;
}

void SqliteLedger::Impl::move_aside(const std::string& suffix, std::string_view why) {
  database_.run("PRAGMA wal_checkpoint(TRUNCATE)");
  database_ = {};
  const std::string aside = rename_aside(path_, suffix);
  log_warning(fmt::format("the ledger {} is kept as {}, and a new one begun: {}", path_, aside, why));
}

bool SqliteLedger::Impl::tell_policy() {
  if (policy_ == told_) return true;
  Row row;
  row.at = now();
  row.detail = policy_detail(policy());
  const auto before = told_ ? told_ : last_in_force();
  if (!told_) {
    row.kind = EntryKind::Start;
    row.what = "a control plane started";
    if (!add(row)) return false;
  }
  if (before && before != policy_) {
    if (!told_)
      once_.warn("start", fmt::format("the policy in force is another than before this control plane started: {}, and "
                                      "no longer {}",
                                      hex16(policy()), hex16(*before)));
    row.kind = EntryKind::Policy;
    row.what = "another policy is in force";
    if (!add(row)) return false;
  }
  routine_ = 0;
  told_ = policy_;
  return true;
}

std::optional<std::uint64_t> SqliteLedger::Impl::last_in_force() const {
  Statement row(database_.get(),
                "SELECT json_extract(detail,'$.policy') FROM entry WHERE kind IN ('start','policy') "
                "ORDER BY number DESC LIMIT 1");
  if (row.step() != SQLITE_ROW) return std::nullopt;
  const auto policy = parse_hex16(row.text(0));
  return policy ? std::optional(*policy) : std::nullopt;
}

bool SqliteLedger::Impl::commit() {
  if (!broken_ && !database_.in_transaction()) return true;  // nothing was told
  if (!broken_ && (written_ >= kPruneEvery || wall_clock() - pruned_at_ > kPruneAfter)) prune();
  if (!broken_ && database_.run("COMMIT")) {
    once_.over("ledger", fmt::format("the ledger {} can be written again", path_));
    told_before_ = told_;
    routine_before_ = routine_;
    last_ = newest_.only_number().value_or(last_);
    return true;
  }
  if (!broken_) fail();
  if (database_.in_transaction()) database_.run("ROLLBACK");
  rolled_back();
  broken_ = false;  // the next transaction may do better
  return false;
}

void SqliteLedger::Impl::rolled_back() {
  told_ = told_before_;
  if (routine_ != routine_before_) routines_.erase(routine_);
  routine_ = 0;
  routine_before_ = 0;
}

bool SqliteLedger::Impl::fail() {
  if (!broken_) {
    const std::string why = database_ ? database_.error() : trouble_;
    once_.warn("ledger",
               fmt::format("the ledger {} cannot be written ({}): nothing is ended until it can", path_, why));
  }
  broken_ = true;
  return false;
}

void SqliteLedger::Impl::prune() {
  written_ = 0;
  pruned_at_ = wall_clock();
  const std::int64_t oldest = pruned_at_ - bounds_.age.ns / 1000;
  if (!prune_.with(newest_.only_number().value_or(0) - bounds_.rows, oldest, kPruneStep).done() ||
      !prune_hosts_.with(oldest, control::HostBook::kMost).done())
    fail();
  // What rests on an entry that is gone could not be explained.
  if (routine_ != 0 && routine_ < static_cast<std::uint64_t>(oldest_.only_number().value_or(0))) routine_ = 0;
}

SqliteLedger::SqliteLedger(std::string path, LedgerBounds bounds)
    : impl_(std::make_unique<Impl>(std::move(path), bounds)) {}
SqliteLedger::~SqliteLedger() = default;

void SqliteLedger::name_plane(std::uint32_t index, std::string name, std::uint64_t incarnation, plane::PlaneKind kind) {
  impl_->name_plane(index, {std::move(name), hex16(incarnation), kind});
}

void SqliteLedger::in_force(std::uint64_t policy, std::vector<std::string> rules) {
  impl_->in_force(policy, std::move(rules));
}

void SqliteLedger::refused_policy(const std::vector<std::string>& mistakes) {
  if (!impl_->begin()) return;
  Row row;
  row.kind = EntryKind::Policy;
  row.at = now();
  row.what = "a policy with mistakes was refused, and the one in force stays";
  row.detail = policy_detail(impl_->policy(), mistakes);
  if (impl_->add(row)) impl_->commit();
}

std::optional<std::uint64_t> SqliteLedger::verdict(const control::Decision& decision, Instant now) {
  if (decision.is_routine) return impl_->routine(now);
  if (!impl_->begin()) return std::nullopt;
  const auto& plane = impl_->plane(decision.plane);
  const control::Evidence& e = decision.evidence;
  const control::Verdict& v = decision.verdict;
  Row row;
  row.at = now;
  row.plane = plane.name;
  row.incarnation = plane.incarnation;
  row.slot = decision.id.slot;
  row.generation = decision.id.generation;
  row.local = text(e.local);
  row.remote = text(e.remote);
  row.state = name(e.state);

  std::uint64_t request = 0;
  if (const auto* const asked = v.grounds.find(control::GroundKind::Asked)) {
    row.kind = EntryKind::Request;
    if (decision.command) row.what = plane::name(decision.command->kind);
    row.detail = fmt::format(R"({{"user":{}}})", asked->number);
    if (!impl_->add(row)) return std::nullopt;
    request = impl_->last_number();
  }

  row.kind = EntryKind::Verdict;
  row.what = {};
  row.before = control::name(decision.before);
  row.standing = control::name(v.standing);
  row.wanted = control::name(v.wanted);
  row.ends = control::name(v.ends);
  if (v.cause != control::Cause::None) row.cause = control::name(v.cause);
  row.detail = verdict_detail(decision, plane.kind, impl_->policy(), impl_->rule(decision.rule));
  if (!impl_->add(row)) return std::nullopt;
  const std::uint64_t number = impl_->last_number();
  if (request != 0 && !impl_->request_is_followed_by(request, number)) return std::nullopt;
  if (!decision.command) return number;

  const plane::Command& c = *decision.command;
  row.kind = EntryKind::Command;
  row.verdict = number;
  row.before = row.standing = row.wanted = row.ends = row.cause = {};
  row.what = plane::name(c.kind);
  if (c.kind == plane::CommandKind::Probe) row.form = name(c.form);
  row.state = name(c.expected_state);
  row.detail = command_detail(c);
  return impl_->add(row) ? std::optional(number) : std::nullopt;
}

bool SqliteLedger::noted(const control::Note& note, Instant now) {
  if (!impl_->begin()) return false;
  Row row;
  row.at = now;
  row.what = control::name(note.kind);
  if (note.host != Address{}) row.remote = text(note.host);
  row.detail = note_detail(note);
  return impl_->add(row);
}

bool SqliteLedger::receipt(std::uint32_t plane, const plane::Receipt& r) {
  if (impl_->is_routine(r.verdict)) return true;
  if (!impl_->begin()) return false;
  const auto& named = impl_->plane(plane);
  Row row;
  row.kind = EntryKind::Receipt;
  row.at = r.at;
  row.verdict = r.verdict;
  row.plane = named.name;
  row.incarnation = named.incarnation;
  row.slot = r.id.slot;
  row.generation = r.id.generation;
  row.state = name(r.state);
  row.what = plane::name(r.outcome);
  if (r.kind == plane::CommandKind::Probe) row.form = name(r.form);
  row.number_in_ring = r.command;
  row.detail = fmt::format(R"({{"command":"{}","number_in_ring":{},"epoch":{},"heard":{}}})", plane::name(r.kind),
                           r.command, r.epoch, r.heard);
  return impl_->add(row);
}

Result<void> check_ledger_file(const std::string& path) {
  struct stat file{};
  if (path.empty() || ::stat(path.c_str(), &file) != 0) return {};
  if (!S_ISREG(file.st_mode)) return failed(fmt::format("--ledger {} is no file: name one, or one to make", path));
  if (file.st_size == 0) return {};
  const auto database = Database::open(path, SQLITE_OPEN_READONLY);
  const auto entries =
      database ? database->number("SELECT count(*) FROM sqlite_master WHERE name='entry'") : std::nullopt;
  if (entries && *entries > 0) return {};
  // One that is damaged is kept under another name when it is opened: no reason not to start.
  constexpr std::string_view kMagic = "SQLite format 3";
  std::string begin(kMagic.size(), '\0');
  std::ifstream(path, std::ios::binary).read(begin.data(), static_cast<std::streamsize>(begin.size()));
  if (!entries && begin == kMagic) return {};
  return failed(fmt::format("--ledger {} is there, and is no ledger of adieu's: name another file", path));
}

bool SqliteLedger::ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) {
  const auto& named = impl_->plane(plane);
  // A kernel plane only observes: with its process nothing of the kernel's ended.
  if (named.kind == plane::PlaneKind::Kernel && record.reason == EndReason::PlaneFailed) return true;
  if (!impl_->begin()) return false;
  Row row;
  row.kind = EntryKind::End;
  row.at = record.state_entered;
  if (record.ended_by != 0) row.verdict = record.ended_by;
  row.plane = named.name;
  row.incarnation = named.incarnation;
  row.slot = id.slot;
  row.generation = id.generation;
  row.local = text(record.local);
  row.remote = text(record.remote);
  row.state = name(record.state);
  row.what = name(record.reason);
  unsigned questions = 0;
  for (const std::uint16_t unanswered : record.probes) questions += unanswered;
  // Whose answer it was, as far as can be told.
  if (questions > 0 && record.reason == EndReason::PeerReset)
    row.detail = fmt::format(R"({{"questions":{}}})", questions);
  return impl_->add(row);
}

bool SqliteLedger::learned(const control::HostLearned& host) { return impl_->begin() && impl_->learn(host); }

bool SqliteLedger::commit() { return impl_->commit(); }

}  // namespace adieu::host
