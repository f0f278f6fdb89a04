// SQLite behind two small classes: Database and Statement. Private to the ledger: ledger.cc and ledger_reader.cc alone
// include this.
//
// What lives here: opening, binding, stepping. What does not: any table (ledger.cc).
#pragma once

#include <fmt/format.h>
#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "host/failure.h"

namespace adieu::host {

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
  // The first column of the first row; nullopt: it could not be read, or there is none.
  std::optional<std::int64_t> only_number() {
    std::optional<std::int64_t> value;
    if (step() == SQLITE_ROW) value = number(0);
    sqlite3_reset(statement_);
    return value;
  }
  bool is_null(int column) { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    const unsigned char* const octets = sqlite3_column_text(statement_, column);
    return octets == nullptr ? std::string{} : reinterpret_cast<const char*>(octets);
  }

 private:
  // What is not known or does not apply is NULL, never a number or a text that looks like one.
  void bind(int at, std::string_view value) {
    if (value.empty())
      sqlite3_bind_null(statement_, at);
    else
      sqlite3_bind_text(statement_, at, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  void bind(int at, Instant value) {
    if (value.is_known())
      sqlite3_bind_int64(statement_, at, value.ns);
    else
      sqlite3_bind_null(statement_, at);
  }
  template <std::integral Number>
  void bind(int at, Number value) {
    sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(value));
  }
  template <std::integral Number>
  void bind(int at, const std::optional<Number>& value) {
    if (value)
      bind(at, *value);
    else
      sqlite3_bind_null(statement_, at);
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
    // A reader's snapshot never locks a writer out in WAL; only another writer does, and none is longer than this.
    constexpr int kBusyMilliseconds = 100;
    Database made;
    if (sqlite3_open_v2(path.c_str(), &made.database_, flags | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
      return failed(fmt::format("opening {}: {}", path, made.error()));
    sqlite3_busy_timeout(made.database_, kBusyMilliseconds);
    return made;
  }
  bool run(const char* sql) { return sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK; }
  const char* error() const { return database_ == nullptr ? "out of memory" : sqlite3_errmsg(database_); }
  int error_number() const { return sqlite3_errcode(database_) & 0xff; }
  bool in_transaction() const { return database_ != nullptr && sqlite3_get_autocommit(database_) == 0; }
  std::int64_t last_row() const { return sqlite3_last_insert_rowid(database_); }
  std::optional<std::int64_t> number(const char* sql) const { return Statement(database_, sql).only_number(); }
  sqlite3* get() const { return database_; }
  explicit operator bool() const { return database_ != nullptr; }

 private:
  sqlite3* database_ = nullptr;
};

}  // namespace adieu::host
