// What a process tells its operator, on stderr. The one place that knows spdlog is log.cc.
//
// What lives here: lines for people. What does not: the program's output (cli), the record of verdicts (ledger.h).
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace adieu::host {

// "adieu up", "adieu engine": stands before every line.
void name_log(std::string_view process);
// Only warnings and errors are written until this is called.
void log_everything();
void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

// Says a thing once, until it is over: a full disk is no reason for a line a second.
class OnceLog {
 public:
  // True if the line was written: `about` is not standing already.
  bool warn(std::string_view about, std::string_view line);
  // The trouble is over; said if it stood.
  void over(std::string_view about, std::string_view line);
  bool stands(std::string_view about) const { return standing_.contains(std::string(about)); }

 private:
  std::set<std::string> standing_;
};

}  // namespace adieu::host
