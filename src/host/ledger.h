// What was judged, commanded, answered and ended, in SQLite: for people, as long as the file's bound allows.
//
// What lives here: SqliteLedger, which the control process writes, and LedgerReader for everybody else: `adieu log`,
// `adieu why`, event streams, `adieu policy try`. What does not: what is judged (control), evidence as JSON
// (ledger_json.h). ledger.cc and ledger_reader.cc alone know SQLite.
//
// Everything that happened is an entry, and all entries share one sequence of numbers, which only grows: whoever has
// read up to N reads on with after(N), also after a restart, and misses nothing that has not been pruned. Beside them
// stands what is known of hosts, one row each, written over when it changes.
//
// WAL, synchronous = NORMAL: what commit() has accepted outlives any process; a power cut may take the last moments,
// but then the connections are gone as well. A disk that is full, or a database that somebody has locked, is said once;
// until it is over every commit() returns false, and control withholds what would end a connection
// (control/attendant.h). A file that is no ledger of this version is moved aside, never overwritten.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "control/ledger.h"
#include "host/failure.h"
#include "host/run_dir.h"
#include "host/text.h"
#include "plane/table.h"

namespace adieu::host {

// Of the file's tables. 1 had a table and a sequence for each kind.
inline constexpr int kLedgerVersion = 2;

// What is kept; the oldest go first, a thousand at a time.
struct LedgerBounds {
  std::int64_t rows = 200'000;
  Duration age = hours(30 * 24);
  bool operator==(const LedgerBounds&) const = default;
};

enum class EntryKind : std::uint8_t {
  Verdict,  // with its evidence
  Command,  // that followed from a verdict
  Receipt,  // what became of a command; `what`: the outcome
  End,      // of a connection; `what`: the reason
  Note,     // a fact about more than one connection
  Routine,  // on this one rest all questions that change nothing: they and their receipts have no entries of their own
  Request,  // a person's
  Start,    // of a control plane
  Policy,   // another one came into force, or one with mistakes did not
};
inline constexpr unsigned kEntryKinds = 9;
std::string_view name(EntryKind kind);
std::optional<EntryKind> parse_entry_kind(std::string_view name);

// The path under which the ledger is written: `file`, or, if that is empty, the run directory's own. Readers find it in
// the run directory either way: a symbolic link stands there, and a ledger that stood there before is kept beside it.
Result<std::string> place_ledger(const RunDir& run_dir, const std::string& file);

// A person names it: whatever else stands there is not ours to move away. Empty, and one that is not there yet: fine.
Result<void> check_ledger_file(const std::string& path);

class SqliteLedger final : public control::Ledger {
 public:
  // Opens at the first write, and again whenever that failed.
  explicit SqliteLedger(std::string path, LedgerBounds bounds = {});
  ~SqliteLedger() override;
  SqliteLedger(const SqliteLedger&) = delete;
  SqliteLedger& operator=(const SqliteLedger&) = delete;

  // By what name the plane with this index is written down.
  void name_plane(std::uint32_t index, std::string name, std::uint64_t incarnation, plane::PlaneKind kind);
  // The fingerprint of the policy that verdicts follow from now on, and the names of its rules by their numbers. The
  // first call tells a control plane's start. Where an earlier control plane followed another, that is told too.
  void in_force(std::uint64_t policy, std::vector<std::string> rules = {});
  // One that has mistakes, a sentence each; the one in force stays.
  void refused_policy(const std::vector<std::string>& mistakes);

  std::optional<std::uint64_t> verdict(const control::Decision& decision, Instant now) override;
  bool noted(const control::Note& note, Instant now) override;
  bool receipt(std::uint32_t plane, const plane::Receipt& receipt) override;
  bool ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) override;
  bool learned(const control::HostLearned& host) override;
  bool commit() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One entry as it is kept. Texts are empty and numbers 0 where they do not apply.
struct LedgerEntry {
  std::uint64_t number = 0;
  std::int64_t wall = 0;  // microseconds since 1970
  Instant at;             // the seam's clock; a verdict's `now`
  EntryKind kind = EntryKind::Note;
  std::uint64_t verdict = 0;  // that it is, or belongs to
  std::optional<NamedId> id;  // of the connection it is about
  std::uint64_t incarnation = 0;
  std::string local, remote;  // a note on a host: `remote` is its address
  std::string state;
  std::string before, standing, wanted, ends, cause;  // a verdict's
  std::string what;
  std::string form;    // of a probe
  std::string detail;  // a JSON object: what else there is to say; ledger_json.h reads a verdict's
};

struct LedgerQuery {
  std::uint64_t after = 0;       // only those with a greater number
  std::int64_t since = 0;        // wall, microseconds since 1970
  std::vector<EntryKind> kinds;  // none: all
  std::optional<NamedId> id;
  std::string local, remote;  // both, or neither
  unsigned limit = 1000;
  bool newest = false;  // if there are more than `limit`, the last of them; else the first
};

// One connection's verdicts, oldest first, each with what followed from it.
struct LedgerVerdict {
  std::uint64_t number = 0;
  std::int64_t wall = 0;  // microseconds since 1970
  std::string state, before, standing, wanted, ends;
  std::vector<std::string> evidence;  // sentences
  std::string command, form;          // empty: no command followed
  std::string outcome;                // of the receipt; empty: none came
};
struct LedgerEnd {
  NamedId id;
  std::uint64_t incarnation = 0;
  std::string local, remote, state, reason;
  std::uint64_t verdict = 0;
  std::int64_t wall = 0;
};
struct LedgerConnection {
  std::vector<LedgerVerdict> verdicts;
  std::optional<LedgerEnd> end;
};

class LedgerReader {
 public:
  // An error too if the file is no ledger of this version.
  static Result<LedgerReader> open(const std::string& path);
  LedgerReader(LedgerReader&&) noexcept;
  LedgerReader& operator=(LedgerReader&&) noexcept;
  ~LedgerReader();

  // Oldest first.
  Result<std::vector<LedgerEntry>> entries(const LedgerQuery& query) const;
  Result<std::vector<LedgerEntry>> after(std::uint64_t number, unsigned limit) const;
  // Of the entries that are kept; 0: none is. Who has read up to less than oldest() - 1 has missed some.
  std::uint64_t oldest() const;
  std::uint64_t newest() const;
  // What control planes have learned of hosts, the latest first; at most control::HostBook::kMost.
  Result<std::vector<control::HostLearned>> hosts() const;

  // At most `most` verdicts, the latest.
  Result<LedgerConnection> connection(const NamedId& id, std::uint64_t incarnation, unsigned most = 20) const;
  // The last one that ended under this name, or between these endpoints.
  Result<std::optional<LedgerEnd>> last_end(const NamedId& id) const;
  Result<std::optional<LedgerEnd>> last_end(const std::string& local, const std::string& remote) const;

 private:
  class Impl;
  explicit LedgerReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace adieu::host
