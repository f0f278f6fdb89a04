// SQLite behind two small classes of its own: Database and Statement.
#include "host/ledger.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <map>
#include <string_view>
#include <utility>

#include "host/clock.h"
#include "host/log.h"
#include "host/sentences.h"

namespace adieu::host {
namespace {

// A reader's snapshot never locks us out in WAL; only another writer does, and none of ours is longer than this.
constexpr int kBusyMilliseconds = 100;
// Rows written between two looks at the bound, and rows deleted at one of them.
constexpr std::int64_t kPruneEvery = 1000;

constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS verdict(
  number INTEGER PRIMARY KEY AUTOINCREMENT, wall INTEGER, at INTEGER, plane TEXT, incarnation TEXT, slot INTEGER,
  generation INTEGER, local TEXT, remote TEXT, state TEXT, before TEXT, standing TEXT, wanted TEXT, ends TEXT,
  unanswered INTEGER, heard INTEGER, evidence TEXT);
CREATE INDEX IF NOT EXISTS verdict_of ON verdict(incarnation, slot, generation);
CREATE TABLE IF NOT EXISTS command(
  verdict INTEGER PRIMARY KEY, kind TEXT, form TEXT, expected_state TEXT, silent INTEGER, heard INTEGER,
  expires INTEGER);
CREATE TABLE IF NOT EXISTS receipt(
  number INTEGER PRIMARY KEY AUTOINCREMENT, wall INTEGER, at INTEGER, incarnation TEXT, command INTEGER,
  verdict INTEGER, kind TEXT, form TEXT, outcome TEXT, state TEXT, epoch INTEGER, heard INTEGER,
  UNIQUE(incarnation, command, verdict));
CREATE INDEX IF NOT EXISTS receipt_of ON receipt(verdict);
CREATE TABLE IF NOT EXISTS ended(
  number INTEGER PRIMARY KEY AUTOINCREMENT, wall INTEGER, at INTEGER, plane TEXT, incarnation TEXT, slot INTEGER,
  generation INTEGER, local TEXT, remote TEXT, state TEXT, reason TEXT, verdict INTEGER,
  UNIQUE(incarnation, slot, generation));
CREATE INDEX IF NOT EXISTS ended_between ON ended(local, remote);
)sql";

class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* database, const char* sql) {
    sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  }
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(statement_, other.statement_);
    return *this;
  }
  ~Statement() { sqlite3_finalize(statement_); }

  // Parameters from the first on; then rows by step().
  template <typename... Values>
  Statement& with(const Values&... values) {
    sqlite3_reset(statement_);
    int at = 0;
    (bind(++at, values), ...);
    return *this;
  }
  int step() { return statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_); }
  bool done() {
    const int result = step();
    sqlite3_reset(statement_);
    return result == SQLITE_DONE || result == SQLITE_ROW;
  }
  std::int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    const unsigned char* const octets = sqlite3_column_text(statement_, column);
    return octets == nullptr ? std::string{} : reinterpret_cast<const char*>(octets);
  }

 private:
  void bind(int at, std::string_view value) {
    sqlite3_bind_text(statement_, at, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  template <std::integral Number>
  void bind(int at, Number value) {
    sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(value));
  }

  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  Database() = default;
  Database(Database&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Database& operator=(Database&& other) noexcept {
    std::swap(database_, other.database_);
    return *this;
  }
  ~Database() { sqlite3_close_v2(database_); }

  static Result<Database> open(const std::string& path, int flags) {
    Database made;
    if (sqlite3_open_v2(path.c_str(), &made.database_, flags | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
      return failed(fmt::format("opening {}: {}", path, made.error()));
    sqlite3_busy_timeout(made.database_, kBusyMilliseconds);
    return made;
  }
  bool run(const char* sql) { return sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK; }
  const char* error() const { return database_ == nullptr ? "out of memory" : sqlite3_errmsg(database_); }
  bool in_transaction() const { return database_ != nullptr && sqlite3_get_autocommit(database_) == 0; }
  std::int64_t last_row() const { return sqlite3_last_insert_rowid(database_); }
  sqlite3* get() const { return database_; }
  explicit operator bool() const { return database_ != nullptr; }

 private:
  sqlite3* database_ = nullptr;
};

std::string joined(std::span<const control::Ground> grounds) {
  std::string all;
  for (const control::Ground& ground : grounds) all += (all.empty() ? "" : "\n") + sentence(ground);
  return all;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

}  // namespace

class SqliteLedger::Impl {
 public:
  Impl(std::string path, std::int64_t rows) : path_(std::move(path)), rows_(rows) {}

  struct NamedPlane {
    std::string name, incarnation;
    plane::PlaneKind kind = plane::PlaneKind::Engine;
  };
  const NamedPlane& plane(std::uint32_t index) { return names_[index]; }
  void name_plane(std::uint32_t index, NamedPlane plane) { names_[index] = std::move(plane); }

  // A transaction is open, or nothing can be kept now.
  bool begin() {
    if (broken_) return false;
    if (database_.in_transaction()) return true;
    if (!database_ && !open()) return fail();
    return database_.run("BEGIN IMMEDIATE") || fail();
  }
  bool keep(bool done) {
    ++written_;
    return done || fail();
  }
  bool commit() {
    if (!broken_ && !database_.in_transaction()) return true;  // nothing was told
    if (!broken_ && written_ >= kPruneEvery) prune();
    if (!broken_ && database_.run("COMMIT")) {
      once_.over("ledger", fmt::format("the ledger {} can be written again", path_));
      return true;
    }
    if (!broken_) fail();
    if (database_.in_transaction()) database_.run("ROLLBACK");
    broken_ = false;  // the next transaction may do better
    return false;
  }

  Database& database() { return database_; }
  Statement add_verdict, add_command, add_receipt, add_end;

 private:
  bool open() {
    auto opened = Database::open(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!opened) {
      trouble_ = opened.error().text;
      return false;
    }
    database_ = std::move(*opened);
    if (!database_.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=16777216;") ||
        !database_.run(kSchema)) {
      trouble_ = database_.error();
      database_ = {};
      return false;
    }
    sqlite3* const db = database_.get();
    add_verdict = Statement(db,
                            "INSERT INTO verdict(wall,at,plane,incarnation,slot,generation,local,remote,state,before,"
                            "standing,wanted,ends,unanswered,heard,evidence) "
                            "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    add_command = Statement(db,
                            "INSERT INTO command(verdict,kind,form,expected_state,silent,heard,expires) "
                            "VALUES(?,?,?,?,?,?,?)");
    add_receipt = Statement(db,
                            "INSERT OR IGNORE INTO receipt(wall,at,incarnation,command,verdict,kind,form,outcome,"
                            "state,epoch,heard) VALUES(?,?,?,?,?,?,?,?,?,?,?)");
    add_end = Statement(db,
                        "INSERT OR IGNORE INTO ended(wall,at,plane,incarnation,slot,generation,local,remote,state,"
                        "reason,verdict) VALUES(?,?,?,?,?,?,?,?,?,?,?)");
    return true;
  }

  bool fail() {
    if (!broken_) {
      const std::string why = database_ ? database_.error() : trouble_;
      once_.warn("ledger",
                 fmt::format("the ledger {} cannot be written ({}): nothing is ended until it can", path_, why));
    }
    broken_ = true;
    return false;
  }

  void prune() {
    written_ = 0;
    for (const char* const table : {"verdict", "receipt", "ended"}) {
      const auto sql = fmt::format("DELETE FROM {0} WHERE number <= (SELECT max(number) FROM {0}) - {1}", table, rows_);
      if (!database_.run(sql.c_str())) fail();
    }
    if (!database_.run("DELETE FROM command WHERE verdict < (SELECT min(number) FROM verdict)")) fail();
  }

  std::string path_;
  std::int64_t rows_;
  Database database_;
  std::map<std::uint32_t, NamedPlane> names_;
  std::int64_t written_ = 0;
  bool broken_ = false;  // until the next commit()
  std::string trouble_;
  OnceLog once_;
};

SqliteLedger::SqliteLedger(std::string path, std::int64_t rows)
    : impl_(std::make_unique<Impl>(std::move(path), rows)) {}
SqliteLedger::~SqliteLedger() = default;

void SqliteLedger::name_plane(std::uint32_t index, std::string name, std::uint64_t incarnation, plane::PlaneKind kind) {
  impl_->name_plane(index, {std::move(name), hex16(incarnation), kind});
}

std::optional<std::uint64_t> SqliteLedger::verdict(const control::Decision& decision, Instant now) {
  if (!impl_->begin()) return std::nullopt;
  const auto& plane = impl_->plane(decision.plane);
  const control::Evidence& e = decision.evidence;
  const control::Verdict& v = decision.verdict;
  const bool kept = impl_->add_verdict
                        .with(wall_clock(), now.ns, plane.name, hex16(decision.id.incarnation), decision.id.slot,
                              decision.id.generation, text(e.local), text(e.remote), name(e.state),
                              control::name(decision.before), control::name(v.standing), control::name(v.wanted),
                              control::name(v.ends), v.unanswered, e.heard, joined(v.grounds.all()))
                        .done();
  if (!impl_->keep(kept)) return std::nullopt;
  const auto number = static_cast<std::uint64_t>(impl_->database().last_row());
  if (decision.command) {
    const plane::Command& c = *decision.command;
    const std::string_view form = c.kind == plane::CommandKind::Probe ? name(c.form) : std::string_view{};
    const bool also =
        impl_->add_command
            .with(number, plane::name(c.kind), form, name(c.expected_state), c.silent, c.heard, c.expires.ns)
            .done();
    if (!impl_->keep(also)) return std::nullopt;
  }
  return number;
}

bool SqliteLedger::noted(const control::Note& note, Instant now) {
  (void)note, (void)now;
  return true;
}

bool SqliteLedger::receipt(std::uint32_t plane, const plane::Receipt& r) {
  if (!impl_->begin()) return false;
  const std::string_view form = r.kind == plane::CommandKind::Probe ? name(r.form) : std::string_view{};
  return impl_->keep(impl_->add_receipt
                         .with(wall_clock(), r.at.ns, impl_->plane(plane).incarnation, r.command, r.verdict,
                               plane::name(r.kind), form, plane::name(r.outcome), name(r.state), r.epoch, r.heard)
                         .done());
}

bool SqliteLedger::ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) {
  const auto& named = impl_->plane(plane);
  // A kernel plane only observes: with its process nothing of the kernel's ended.
  if (named.kind == plane::PlaneKind::Kernel && record.reason == EndReason::PlaneFailed) return true;
  if (!impl_->begin()) return false;
  return impl_->keep(impl_->add_end
                         .with(wall_clock(), record.state_entered.ns, named.name, hex16(id.incarnation), id.slot,
                               id.generation, text(record.local), text(record.remote), name(record.state),
                               name(record.reason), record.ended_by)
                         .done());
}

bool SqliteLedger::commit() { return impl_->commit(); }

// --- reading

class LedgerReader::Impl {
 public:
  explicit Impl(Database opened) : database(std::move(opened)) {}
  Database database;

  static constexpr const char* kEndColumns =
      "SELECT plane,slot,generation,incarnation,local,remote,state,reason,verdict,wall FROM ended WHERE ";
  std::optional<LedgerEnd> end(Statement& statement) const {
    if (statement.step() != SQLITE_ROW) return std::nullopt;
    LedgerEnd end;
    end.id = {statement.text(0), static_cast<std::uint32_t>(statement.number(1)),
              static_cast<std::uint32_t>(statement.number(2))};
    end.incarnation = parse_hex16(statement.text(3)).value_or(0);
    end.local = statement.text(4);
    end.remote = statement.text(5);
    end.state = statement.text(6);
    end.reason = statement.text(7);
    end.verdict = static_cast<std::uint64_t>(statement.number(8));
    end.wall = statement.number(9);
    return end;
  }
};

LedgerReader::LedgerReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LedgerReader::LedgerReader(LedgerReader&&) noexcept = default;
LedgerReader& LedgerReader::operator=(LedgerReader&&) noexcept = default;
LedgerReader::~LedgerReader() = default;

Result<LedgerReader> LedgerReader::open(const std::string& path) {
  auto database = Database::open(path, SQLITE_OPEN_READONLY);
  if (!database) return std::unexpected(database.error());
  return LedgerReader(std::make_unique<Impl>(std::move(*database)));
}

Result<LedgerConnection> LedgerReader::connection(const NamedId& id, std::uint64_t incarnation, unsigned most) const {
  LedgerConnection found;
  Statement verdicts(
      impl_->database.get(),
      "SELECT v.number,v.wall,v.state,v.before,v.standing,v.wanted,v.ends,v.evidence,"
      "coalesce(c.kind,''),coalesce(c.form,''),coalesce((SELECT outcome FROM receipt r WHERE "
      "r.verdict=v.number AND r.incarnation=v.incarnation LIMIT 1),'') FROM verdict v LEFT JOIN command c "
      "ON c.verdict=v.number WHERE v.incarnation=? AND v.slot=? AND v.generation=? "
      "ORDER BY v.number DESC LIMIT ?");
  verdicts.with(hex16(incarnation), id.slot, id.generation, most);
  int step = SQLITE_DONE;
  while ((step = verdicts.step()) == SQLITE_ROW) {
    LedgerVerdict row;
    row.number = static_cast<std::uint64_t>(verdicts.number(0));
    row.wall = verdicts.number(1);
    row.state = verdicts.text(2);
    row.before = verdicts.text(3);
    row.standing = verdicts.text(4);
    row.wanted = verdicts.text(5);
    row.ends = verdicts.text(6);
    row.evidence = lines_of(verdicts.text(7));
    row.command = verdicts.text(8);
    row.form = verdicts.text(9);
    row.outcome = verdicts.text(10);
    found.verdicts.insert(found.verdicts.begin(), std::move(row));
  }
  if (step != SQLITE_DONE) return failed(fmt::format("reading the ledger: {}", impl_->database.error()));
  Statement end(impl_->database.get(),
                (std::string(Impl::kEndColumns) + "incarnation=? AND slot=? AND generation=?").c_str());
  end.with(hex16(incarnation), id.slot, id.generation);
  found.end = impl_->end(end);
  return found;
}

Result<std::optional<LedgerEnd>> LedgerReader::last_end(const NamedId& id) const {
  Statement end(
      impl_->database.get(),
      (std::string(Impl::kEndColumns) + "plane=? AND slot=? AND generation=? ORDER BY number DESC LIMIT 1").c_str());
  end.with(id.plane, id.slot, id.generation);
  return impl_->end(end);
}

Result<std::optional<LedgerEnd>> LedgerReader::last_end(const std::string& local, const std::string& remote) const {
  Statement end(impl_->database.get(),
                (std::string(Impl::kEndColumns) + "local=? AND remote=? ORDER BY number DESC LIMIT 1").c_str());
  end.with(local, remote);
  return impl_->end(end);
}

}  // namespace adieu::host
