// What was judged, commanded, answered and ended, in SQLite: for people, for ever as far as the file's bound allows.
//
// What lives here: SqliteLedger, which the control process writes, and LedgerReader for `adieu why`. What does not:
// what is judged (control). ledger.cc alone knows SQLite.
//
// WAL, synchronous = NORMAL: what commit() has accepted outlives any process; a power cut may take the last moments,
// but then the connections are gone as well. A disk that is full, or a database that somebody has locked, is said once;
// until it is over every commit() returns false, and control withholds what would end a connection
// (control/attendant.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/ledger.h"
#include "host/failure.h"
#include "host/text.h"
#include "plane/table.h"

namespace adieu::host {

// Rows kept of each table; the oldest go first. About 100 MB when all are full.
inline constexpr std::int64_t kLedgerRows = 200'000;

class SqliteLedger final : public control::Ledger {
 public:
  // Opens at the first write, and again whenever that failed. `rows`: tests shrink it.
  explicit SqliteLedger(std::string path, std::int64_t rows = kLedgerRows);
  ~SqliteLedger() override;
  SqliteLedger(const SqliteLedger&) = delete;
  SqliteLedger& operator=(const SqliteLedger&) = delete;

  // By what name the plane with this index is written down.
  void name_plane(std::uint32_t index, std::string name, std::uint64_t incarnation, plane::PlaneKind kind);

  std::optional<std::uint64_t> verdict(const control::Decision& decision, Instant now) override;
  bool noted(const control::Note& note, Instant now) override;
  bool receipt(std::uint32_t plane, const plane::Receipt& receipt) override;
  bool ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) override;
  bool commit() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One connection's rows, oldest first, as sentences of their own columns.
struct LedgerVerdict {
  std::uint64_t number = 0;
  std::int64_t wall = 0;  // microseconds since 1970
  std::string state, before, standing, wanted, ends;
  std::vector<std::string> evidence;
  std::string command, form;  // empty: no command followed
  std::string outcome;        // of the receipt; empty: none came
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
  static Result<LedgerReader> open(const std::string& path);
  LedgerReader(LedgerReader&&) noexcept;
  LedgerReader& operator=(LedgerReader&&) noexcept;
  ~LedgerReader();

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
