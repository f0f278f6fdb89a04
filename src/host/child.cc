// posix_spawn(3), kill(2).
#include "host/child.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "host/log.h"
#include "host/run_dir.h"

namespace adieu::host {
namespace {

constexpr Duration kFirstBackoff = milliseconds(200);
constexpr Duration kMostBackoff = seconds(10);
// Whoever has lived so long is started again at once.
constexpr Duration kSettled = seconds(30);
constexpr Duration kAdoptionLook = milliseconds(250);

}  // namespace

void Child::advance(Instant now) {
  if (is_running() || stopping_ || refused_ || now < start_at_) return;
  if (const auto living = Lock::holder(lock_)) {
    if (!adopting_) log_info(fmt::format("{} lives already (process {}): waiting for it to register", name_, *living));
    adopting_ = true;
    start_at_ = now + kAdoptionLook;
    return;
  }
  adopting_ = false;
  start(now);
}

void Child::start(Instant now) {
  std::vector<char*> arguments{const_cast<char*>("adieu")};
  for (std::string& argument : arguments_) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  // A session of its own: it outlives the supervisor and its terminal.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  const int error = ::posix_spawn(&pid_, "/proc/self/exe", nullptr, &attributes, arguments.data(), ::environ);
  posix_spawnattr_destroy(&attributes);
  started_ = now;
  backoff_ = backoff_ == Duration{} ? kFirstBackoff : earlier(backoff_ * 2, kMostBackoff);
  start_at_ = now + backoff_;
  if (error == 0) return;
  pid_ = 0;
  log_error(fmt::format("starting {}: {}", name_, std::strerror(error)));
}

Instant Child::next_deadline() const { return is_running() || stopping_ || refused_ ? Instant::never() : start_at_; }

bool Child::ended(pid_t pid, int status, Instant now) {
  if (pid_ == 0 || pid != pid_) return false;
  pid_ = 0;
  const bool refused = WIFEXITED(status) && WEXITSTATUS(status) == 2;
  if (!served_ && refused) refused_ = true;
  if (now - started_ > kSettled) backoff_ = {};
  start_at_ = later(now, started_ + backoff_);
  if (stopping_) return true;
  if (WIFSIGNALED(status))
    log_warning(fmt::format("{} (process {}) was killed by signal {}", name_, pid, WTERMSIG(status)));
  else if (!refused_)
    log_warning(fmt::format("{} (process {}) ended with status {}", name_, pid, WEXITSTATUS(status)));
  return true;
}

void Child::connected(pid_t pid) {
  connected_ = pid;
  served_ = true;
  if (pid != pid_) log_info(fmt::format("adopted {} (process {}); flags for it hold from its next start", name_, pid));
}

void Child::disconnected(Instant now) {
  connected_ = 0;
  start_at_ = later(now, started_ + backoff_);
}

void Child::stop(bool by_force) {
  stopping_ = true;
  if (by_force && is_running()) {
    log_warning(fmt::format("{} does not end by itself: killed", name_));
    ::kill(pid_ != 0 ? pid_ : connected_, SIGKILL);
    if (pid_ == 0) connected_ = 0;
  } else if (pid_ != 0 && connected_ == 0) {
    ::kill(pid_, SIGTERM);
  }
}

}  // namespace adieu::host
