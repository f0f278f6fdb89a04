// Making a world from outside: keeper -> first process -> `inside`.
//
// The keeper unshares, and waits; the first process of the new process namespace mounts what the world needs and reaps;
// when it ends, the kernel kills all that is left in there. Both die with their parent.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <utility>

#include "host/clock.h"
#include "lab/world.h"

namespace adieu::lab {
namespace {

constexpr int kSpaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET;
constexpr int kThrown = 3;
constexpr int kNoWorld = 125;

int status_of(int raw) { return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw); }

[[noreturn]] void give_up(const char* what) {
  fmt::print(stderr, "no world: {}: {}\n", what, std::strerror(errno));
  std::fflush(stderr);
  _exit(kNoWorld);
}

bool write_file(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return static_cast<bool>(file);
}

// Root makes a world as root. Anybody else, and a root without CAP_SYS_ADMIN, is root in a user namespace.
bool unshare_all() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (uid == 0 && unshare(kSpaces) == 0) return true;
  return unshare(kSpaces | CLONE_NEWUSER) == 0 && write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/uid_map", fmt::format("0 {} 1", uid)) &&
         write_file("/proc/self/gid_map", fmt::format("0 {} 1", gid));
}

// A directory that every Debian has and that this program can do without.
std::string spare_directory() {
  std::error_code ignored;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", ignored).string() + "/";
  const std::string here = std::filesystem::current_path(ignored).string() + "/";
  for (const char* candidate : {"/mnt", "/media", "/srv", "/run"}) {
    const std::string prefix = std::string(candidate) + "/";
    if (std::filesystem::is_directory(candidate, ignored) && !program.starts_with(prefix) && !here.starts_with(prefix))
      return candidate;
  }
  return "/tmp";
}

std::string furnish() {
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) give_up("cannot make mounts private");
  // Some containers forbid a new /proc. The old one still shows this world's processes, under the numbers that they
  // have outside.
  (void)!mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  const std::string directory = spare_directory();
  if (mount("adieu", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") != 0)
    give_up("cannot mount a file system for its files");
  return directory;
}

int run_inside(const std::function<int(World&)>& inside) {
  int status = kThrown;
  try {
    World world(furnish());
    status = inside(world);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  std::fflush(nullptr);
  return status;
}

[[noreturn]] void be_first(const std::function<int(World&)>& inside) {
  const pid_t worker = fork();
  if (worker < 0) give_up("cannot fork");
  if (worker == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(run_inside(inside));
  }
  for (;;) {
    int raw = 0;
    const pid_t done = wait(&raw);
    if (done == worker) _exit(status_of(raw));
    if (done < 0 && errno != EINTR) _exit(kNoWorld);
  }
}

[[noreturn]] void be_keeper(const std::function<int(World&)>& inside, pid_t parent) {
  if (!unshare_all()) give_up("cannot make namespaces (as an ordinary user: are user namespaces allowed?)");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // after unshare: a change of credentials would have cleared it
  if (getppid() != parent) _exit(kNoWorld);
  int life[2];
  if (pipe2(life, O_CLOEXEC) != 0) give_up("cannot make a pipe");
  const pid_t first = fork();
  if (first < 0) give_up("cannot fork");
  if (first == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Here getppid() is always 0. The pipe ends with the keeper, should it have died before the line above.
    close(life[1]);
    pollfd keeper_lives{life[0], POLLIN, 0};
    if (poll(&keeper_lives, 1, 0) > 0) _exit(kNoWorld);
    be_first(inside);
  }
  int raw = 0;
  while (waitpid(first, &raw, 0) < 0 && errno == EINTR) {
  }
  _exit(status_of(raw));
}

}  // namespace

RunningWorld::RunningWorld(RunningWorld&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(std::exchange(other.status_, 0)) {}

RunningWorld::~RunningWorld() {
  if (wait({})) return;
  kill(pid_, SIGKILL);
  wait(seconds(5));
}

std::optional<int> RunningWorld::wait(Duration limit) {
  const Instant end = host::now() + limit;
  while (!status_) {
    int raw = 0;
    const pid_t done = waitpid(pid_, &raw, WNOHANG);
    if (done == pid_) {
      status_ = status_of(raw);
    } else if (done < 0 && errno != EINTR) {
      status_ = kNoWorld;
    } else {
      if (host::now() >= end) break;
      poll(nullptr, 0, 5);
    }
  }
  return status_;
}

host::Result<RunningWorld> start_world(const std::function<int(World&)>& inside) {
  std::fflush(nullptr);  // or the child would print it again
  const pid_t self = getpid();
  const pid_t keeper = fork();
  if (keeper < 0) return host::failed_by_system("cannot start a world", errno);
  if (keeper == 0) be_keeper(inside, self);
  return RunningWorld(keeper);
}

std::string why_no_world() {
  const pid_t trial = fork();
  if (trial == 0) _exit(unshare_all() ? 0 : errno);
  int raw = 0;
  waitpid(trial, &raw, 0);
  if (status_of(raw) == 0) return {};
  return fmt::format("namespaces are not permitted here: {}", std::strerror(status_of(raw)));
}

}  // namespace adieu::lab
