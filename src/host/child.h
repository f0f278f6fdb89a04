// One process that `adieu up` keeps alive.
//
// What lives here: Child: start, notice of its end, the wait before the next start, the orderly end, adoption of one
// that an earlier supervisor started. What does not: what it does (the *_process.h), messages (supervisor.h).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/time.h"
#include "host/failure.h"

namespace adieu::host {

class Child {
 public:
  // `arguments`: of this very program, the subcommand first. `lock`: the file whose flock tells that one lives.
  Child(std::string name, std::vector<std::string> arguments, std::string lock)
      : name_(std::move(name)), arguments_(std::move(arguments)), lock_(std::move(lock)) {}

  // Starts it when none lives and its time has come; one that lives already is adopted: its connection is waited for.
  void advance(Instant now);
  Instant next_deadline() const;
  // waitpid() said that process `pid` ended. True: it was this one.
  bool ended(pid_t pid, int status, Instant now);
  // Its connection to the supervisor came or went.
  void connected(pid_t pid);
  void disconnected(Instant now);
  // SIGTERM if it is ours and has no connection to hear "stop" by; SIGKILL when `by_force`.
  void stop(bool by_force);

  const std::string& name() const { return name_; }
  const std::string& lock() const { return lock_; }
  bool is_connected() const { return connected_ != 0; }
  bool is_running() const { return pid_ != 0 || connected_ != 0; }
  // It refused to start (exit 2) before it ever served: a restart would say the same again.
  bool refused_to_start() const { return refused_; }

 private:
  void start(Instant now);

  std::string name_;
  std::vector<std::string> arguments_;
  std::string lock_;
  pid_t pid_ = 0;        // our child
  pid_t connected_ = 0;  // who registered as this one; ours, or adopted
  bool stopping_ = false;
  bool served_ = false;
  bool refused_ = false;
  bool adopting_ = false;
  Instant started_;
  Instant start_at_ = Instant::unknown();
  Duration backoff_;
};

}  // namespace adieu::host
