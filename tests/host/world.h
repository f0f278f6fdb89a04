// What the stories of host share: a temporary run directory, processes that are ended whatever happens, waiting with a
// bound. What does not live here: any story.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "host/census.h"
#include "host/run_dir.h"

namespace adieu::host {

// True: this program runs in a network namespace of its own and may make interfaces (main.cc tried).
extern bool g_own_network;
#define ADIEU_NEEDS_A_NETWORK() \
  if (!g_own_network) GTEST_SKIP() << "SKIPPED: this machine permits no network namespace of our own"

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  RunDir run_dir() const { return RunDir(path_); }

 private:
  std::string path_;
};

// A process of this test program; killed with its owner, if it lives.
class Process {
 public:
  // This very program with these arguments (main.cc knows them).
  static Process start(const std::vector<std::string>& arguments);
  // A fork that runs `work`, then ends with its value.
  static Process fork(const std::function<int()>& work);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  void signal(int number);
  // Its exit status, or 128 + the signal that ended it; -1: it lives still after ten seconds.
  int wait();

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = 0;
};

// Looks every few milliseconds, for ten seconds at the most.
bool eventually(const std::function<bool()>& condition);

// `adieu up` with quick sweeps; the planes named, all with flags of their own in `more`.
Process start_up(const RunDir& run_dir, bool engine, bool kernel);
// The pid in one of the run directory's locks, of a living process; 0: none.
pid_t living(const RunDir& run_dir, const char* who);
// What the planes report now; empty when nobody answers.
Census census(const RunDir& run_dir);

}  // namespace adieu::host
