// The reader: every question is one statement over the one table.
#include <fmt/format.h>

#include <algorithm>

#include "host/ledger.h"
#include "host/ledger_json.h"
#include "host/sqlite.h"

namespace adieu::host {
namespace {

constexpr const char* kColumns =
    "SELECT number,wall,at,kind,verdict,plane,slot,generation,incarnation,local,remote,state,before,standing,wanted,"
    "ends,cause,what,form,detail FROM entry ";

LedgerEntry entry_of(Statement& row) {
  LedgerEntry e;
  e.number = static_cast<std::uint64_t>(row.number(0));
  e.wall = row.number(1);
  if (!row.is_null(2)) e.at = Instant{row.number(2)};
  e.kind = parse_entry_kind(row.text(3)).value_or(EntryKind::Note);
  e.verdict = e.kind == EntryKind::Verdict ? e.number : static_cast<std::uint64_t>(row.number(4));
  if (!row.is_null(6))
    e.id = {row.text(5), static_cast<std::uint32_t>(row.number(6)), static_cast<std::uint32_t>(row.number(7))};
  e.incarnation = row.is_null(8) ? 0 : parse_hex16(row.text(8)).value_or(0);
  e.local = row.text(9);
  e.remote = row.text(10);
  e.state = row.text(11);
  e.before = row.text(12);
  e.standing = row.text(13);
  e.wanted = row.text(14);
  e.ends = row.text(15);
  e.cause = row.text(16);
  e.what = row.text(17);
  e.form = row.text(18);
  e.detail = row.text(19);
  return e;
}

std::string condition(const LedgerQuery& query) {
  // Every parameter is always bound, so that the statement's shape alone says which of them count.
  std::string sql =
      "WHERE number > ?1 AND ?2 <= wall AND ?3 IS ?3 AND ?4 IS ?4 AND ?5 IS ?5 AND ?6 IS ?6 AND ?7 IS ?7 ";
  if (query.id) sql += "AND slot = ?3 AND generation = ?4 AND plane = ?5 ";
  if (!query.local.empty()) sql += "AND local = ?6 AND remote = ?7 ";
  if (!query.kinds.empty()) {
    std::string kinds;
    for (const EntryKind kind : query.kinds) kinds += fmt::format("{}'{}'", kinds.empty() ? "" : ",", name(kind));
    sql += fmt::format("AND kind IN ({}) ", kinds);
  }
  return sql;
}

}  // namespace

class LedgerReader::Impl {
 public:
  explicit Impl(Database opened) : database(std::move(opened)) {}
  Database database;

  std::unexpected<Failure> trouble() const { return failed(fmt::format("reading the ledger: {}", database.error())); }

  Result<std::optional<LedgerEnd>> end(Statement& statement) const {
    const int step = statement.step();
    if (step == SQLITE_DONE) return std::nullopt;
    if (step != SQLITE_ROW) return trouble();
    LedgerEntry e = entry_of(statement);
    return LedgerEnd{.id = std::move(*e.id),
                     .incarnation = e.incarnation,
                     .local = std::move(e.local),
                     .remote = std::move(e.remote),
                     .state = std::move(e.state),
                     .reason = std::move(e.what),
                     .verdict = e.verdict,
                     .wall = e.wall};
  }
  Statement ends(const char* which) const {
    return {database.get(),
            fmt::format("{} WHERE kind = 'end' AND {} ORDER BY number DESC LIMIT 1", kColumns, which).c_str()};
  }
};

LedgerReader::LedgerReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LedgerReader::LedgerReader(LedgerReader&&) noexcept = default;
LedgerReader& LedgerReader::operator=(LedgerReader&&) noexcept = default;
LedgerReader::~LedgerReader() = default;

Result<LedgerReader> LedgerReader::open(const std::string& path) {
  auto database = Database::open(path, SQLITE_OPEN_READONLY);
  if (!database) return std::unexpected(database.error());
  const auto version = database->number("PRAGMA user_version");
  if (!version) return failed(fmt::format("reading {}: {}", path, database->error()));
  if (*version == 0 && database->number("SELECT count(*) FROM sqlite_master") == 0)
    return failed(fmt::format("the ledger {} is empty: nothing has been kept yet", path));
  if (*version != kLedgerVersion)
    return failed(fmt::format(
        "the ledger {} is of another version of adieu; `adieu up` keeps it aside when it starts, and begins a new one",
        path));
  return LedgerReader(std::make_unique<Impl>(std::move(*database)));
}

Result<std::vector<LedgerEntry>> LedgerReader::entries(const LedgerQuery& query) const {
  const auto sql = fmt::format("{}{}ORDER BY number {} LIMIT {}", kColumns, condition(query),
                               query.newest ? "DESC" : "", query.limit);
  Statement statement(impl_->database.get(), sql.c_str());
  const NamedId id = query.id.value_or(NamedId{});
  statement.with(query.after, query.since, id.slot, id.generation, std::string_view(id.plane),
                 std::string_view(query.local), std::string_view(query.remote));
  std::vector<LedgerEntry> found;
  int step = SQLITE_DONE;
  while ((step = statement.step()) == SQLITE_ROW) found.push_back(entry_of(statement));
  if (step != SQLITE_DONE) return impl_->trouble();
  if (query.newest) std::ranges::reverse(found);
  return found;
}

Result<std::vector<LedgerEntry>> LedgerReader::after(std::uint64_t number, unsigned limit) const {
  LedgerQuery query;
  query.after = number;
  query.limit = limit;
  return entries(query);
}

std::uint64_t LedgerReader::oldest() const {
  return static_cast<std::uint64_t>(impl_->database.number("SELECT min(number) FROM entry").value_or(0));
}

std::uint64_t LedgerReader::newest() const {
  return static_cast<std::uint64_t>(impl_->database.number("SELECT max(number) FROM entry").value_or(0));
}

Result<std::vector<control::HostLearned>> LedgerReader::hosts() const {
  Statement row(impl_->database.get(),
                "SELECT address,asked,lost,path_timer FROM host ORDER BY wall DESC, address LIMIT ?");
  row.with(control::HostBook::kMost);
  std::vector<control::HostLearned> found;
  int step = SQLITE_DONE;
  while ((step = row.step()) == SQLITE_ROW) {
    const auto address = parse_address(row.text(0));
    if (!address) continue;
    control::HostLearned host{.host = *address,
                              .asked = static_cast<std::uint32_t>(row.number(1)),
                              .lost = static_cast<std::uint32_t>(row.number(2))};
    if (!row.is_null(3)) host.path_timer = Duration{row.number(3)};
    found.push_back(host);
  }
  if (step != SQLITE_DONE) return impl_->trouble();
  return found;
}

Result<LedgerConnection> LedgerReader::connection(const NamedId& id, std::uint64_t incarnation, unsigned most) const {
  LedgerConnection found;
  Statement verdicts(
      impl_->database.get(),
      "SELECT v.number,v.wall,v.state,v.before,v.standing,v.wanted,v.ends,v.detail,c.what,c.form,"
      "(SELECT what FROM entry r WHERE r.kind='receipt' AND r.verdict=v.number AND r.incarnation=v.incarnation LIMIT "
      "1) "
      "FROM entry v LEFT JOIN entry c ON c.kind='command' AND c.verdict=v.number "
      "WHERE v.slot=? AND v.generation=? AND v.incarnation=? AND v.kind='verdict' ORDER BY v.number DESC LIMIT ?");
  verdicts.with(id.slot, id.generation, std::string_view(hex16(incarnation)), most);
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
    row.evidence = grounds_of(verdicts.text(7));
    row.command = verdicts.text(8);
    row.form = verdicts.text(9);
    row.outcome = verdicts.text(10);
    found.verdicts.push_back(std::move(row));
  }
  if (step != SQLITE_DONE) return impl_->trouble();
  std::ranges::reverse(found.verdicts);
  Statement statement = impl_->ends("incarnation = ? AND slot = ? AND generation = ?");
  statement.with(std::string_view(hex16(incarnation)), id.slot, id.generation);
  auto end = impl_->end(statement);
  if (!end) return std::unexpected(end.error());
  found.end = std::move(*end);
  return found;
}

Result<std::optional<LedgerEnd>> LedgerReader::last_end(const NamedId& id) const {
  Statement statement = impl_->ends("slot = ? AND generation = ? AND plane = ?");
  statement.with(id.slot, id.generation, std::string_view(id.plane));
  return impl_->end(statement);
}

Result<std::optional<LedgerEnd>> LedgerReader::last_end(const std::string& local, const std::string& remote) const {
  Statement statement = impl_->ends("local = ? AND remote = ?");
  statement.with(std::string_view(local), std::string_view(remote));
  return impl_->end(statement);
}

}  // namespace adieu::host
