// fork(2), posix_spawn(3), waitpid(2); and the three processes of `adieu up` behind this test program's own arguments.
#include "world.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "host/clock.h"

namespace adieu::host {

bool g_own_network = false;

TemporaryDirectory::TemporaryDirectory() {
  char path[] = "/tmp/adieu-host-XXXXXX";
  if (::mkdtemp(path) == nullptr) std::abort();
  path_ = path;
}
TemporaryDirectory::~TemporaryDirectory() {
  // A story that ended early may have left processes that outlive their supervisor; their locks name them.
  for (const char* who : {"engine", "kernel", "control"})
    if (const pid_t process = living(run_dir(), who); process > 1) ::kill(process, SIGKILL);
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Process Process::start(const std::vector<std::string>& arguments) {
  std::vector<char*> list{const_cast<char*>("host_tests")};
  for (const std::string& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, list.data(), ::environ) != 0) std::abort();
  return Process(pid);
}

Process Process::fork(const std::function<int()>& work) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work());
  return Process(pid);
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}
Process::~Process() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  if (wait() != -1) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}
void Process::signal(int number) { ::kill(pid_, number); }

int Process::wait() {
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
  if (!ended) return -1;
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool eventually(const std::function<bool()>& condition) {
  for (const Instant until = now() + seconds(10); now() < until; ::usleep(5000))
    if (condition()) return true;
  return condition();
}

Process start_up(const RunDir& run_dir, bool engine, bool kernel) {
  return Process::start({"up", run_dir.path(), engine ? "engine" : "-", kernel ? "kernel" : "-"});
}

pid_t living(const RunDir& run_dir, const char* who) { return Lock::holder(run_dir.lock(who)).value_or(0); }

Census census(const RunDir& run_dir) {
  Census seen;
  if (auto taken = take_census(run_dir)) seen = std::move(*taken);
  return seen;
}

}  // namespace adieu::host
