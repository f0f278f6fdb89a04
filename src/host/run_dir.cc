// Files, flock(2), getrandom(2).
#include "host/run_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "host/clock.h"

namespace adieu::host {
namespace {

constexpr const char* kSystemPath = "/run/adieu";

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string{} : std::string(value);
}

// The kernel's name for this boot; empty where it has none (no /proc): then every start counts as a reboot.
std::string boot_id() {
  std::array<char, 64> text{};
  const Descriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size()) : -1;
  return got >= 36 ? std::string(text.data(), 36) : std::string{};
}

// boot id (36), newline, key (16).
constexpr std::size_t kKeyFileBytes = 36 + 1 + 16;

std::optional<std::array<std::uint8_t, 16>> read_key(const std::string& path, const std::string& boot) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::array<char, kKeyFileBytes + 1> text{};
  if (!file || ::read(file.get(), text.data(), text.size()) != static_cast<ssize_t>(kKeyFileBytes)) return std::nullopt;
  if (boot.empty() || std::string_view(text.data(), 36) != boot) return std::nullopt;
  std::array<std::uint8_t, 16> key{};
  std::memcpy(key.data(), text.data() + 37, key.size());
  return key;
}

Result<void> write_key(const std::string& path, const std::string& boot, const std::array<std::uint8_t, 16>& key) {
  const std::string fresh = fmt::format("{}.{}", path, ::getpid());
  ::unlink(fresh.c_str());
  const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return failed_by_system("writing " + fresh, errno);
  std::string text = boot;
  text.resize(36, '-');
  text += '\n';
  text.append(reinterpret_cast<const char*>(key.data()), key.size());
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return failed_by_system("writing " + fresh, errno);
  if (::rename(fresh.c_str(), path.c_str()) < 0) return failed_by_system("writing " + path, errno);
  return {};
}

pid_t written_pid(int file) {
  std::array<char, 24> text{};
  if (::pread(file, text.data(), text.size() - 1, 0) <= 0) return 0;
  return static_cast<pid_t>(std::strtol(text.data(), nullptr, 10));
}

}  // namespace

std::optional<RunDir> RunDir::named(const std::string& flag) {
  if (!flag.empty()) return RunDir(flag);
  if (const std::string named = environment("ADIEU_RUN_DIR"); !named.empty()) return RunDir(named);
  return std::nullopt;
}

RunDir RunDir::chosen(const std::string& flag) {
  if (auto by_name = named(flag)) return *by_name;
  const std::string user = environment("XDG_RUNTIME_DIR");
  return RunDir(::geteuid() != 0 && !user.empty() ? user + "/adieu" : kSystemPath);
}

Result<void> RunDir::make() const {
  const auto advice = [&](std::string what, int number) {
    auto failure = failed_by_system(std::move(what), number);
    failure.error().text += "; choose a directory of your own with --run-dir";
    return failure;
  };
  if (::mkdir(path_.c_str(), 0700) < 0 && errno != EEXIST) return advice("making the run directory " + path_, errno);
  struct stat facts{};
  if (::stat(path_.c_str(), &facts) < 0) return advice("looking at the run directory " + path_, errno);
  if (!S_ISDIR(facts.st_mode)) return advice("using the run directory " + path_, ENOTDIR);
  if (facts.st_uid != ::geteuid() || (facts.st_mode & 0022) != 0)
    return failed(
        fmt::format("the run directory {} belongs to or is writable by others; choose one of your own with "
                    "--run-dir",
                    path_));
  if (::access(path_.c_str(), W_OK | X_OK) < 0) return advice("writing to the run directory " + path_, errno);
  return {};
}

Result<Lock> Lock::take(const std::string& path, pid_t* holder) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed_by_system("opening " + path, errno);
  // Whoever only asks (holder()) holds a shared lock for a moment: wait that out.
  int tries = 10;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) < 0) {
    if (--tries > 0 && errno == EWOULDBLOCK) {
      ::usleep(10'000);
      continue;
    }
    const pid_t living = written_pid(file.get());
    if (holder != nullptr) *holder = living;
    return failed(fmt::format("{} is held by the living process {}", path, living));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) < 0 || ::pwrite(file.get(), pid.data(), pid.size(), 0) < 0)
    return failed_by_system("writing " + path, errno);
  return Lock(std::move(file));
}

std::optional<pid_t> Lock::holder(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return std::nullopt;
  // A shared lock, so that two who ask at one time do not take each other for the holder. It ends with `file`.
  if (::flock(file.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  return written_pid(file.get());
}

std::string how_to_start(const RunDir& run_dir) {
  if (const auto living = Lock::holder(run_dir.lock("supervisor")))
    return fmt::format("its `adieu up` (process {}) runs and starts again what died: try again, or see what it says",
                       *living);
  std::string left;
  for (const char* const who : {"engine", "kernel", "control"})
    if (const auto living = Lock::holder(run_dir.lock(who)))
      left += fmt::format("{}{} (process {})", left.empty() ? "" : ", ", who, *living);
  const bool has_engine = Lock::holder(run_dir.lock("engine")).has_value();
  const char* const up = has_engine ? "adieu up" : "adieu up --plane kernel";
  if (!left.empty())
    return fmt::format(
        "its supervisor is dead, but these go on: {}; a new `{}` with this run directory takes them over", left, up);
  return fmt::format(
      "start one with {}`adieu up --plane kernel`, which makes no network device, or name its directory with --run-dir",
      run_dir.path() == kSystemPath ? "`systemctl start adieu` or " : "");
}

Result<IsnKey> isn_key(const RunDir& run_dir, Duration segment_lifetime) {
  const std::string boot = boot_id();
  IsnKey drawn;
  drawn.quiet = later(segment_lifetime - uptime(), Duration{});
  fill_random(drawn.key);
  // Two that start at one moment must not draw two keys.
  const Descriptor guard(::open(run_dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (guard) ::flock(guard.get(), LOCK_EX);
  if (const auto kept = read_key(run_dir.isn_key(), boot)) {
    drawn.key = *kept;
    return drawn;
  }
  if (auto written = write_key(run_dir.isn_key(), boot, drawn.key); !written) return std::unexpected(written.error());
  return drawn;
}

void fill_random(std::span<std::uint8_t> octets) {
  while (!octets.empty()) {
    const ssize_t got = ::getrandom(octets.data(), octets.size(), 0);
    if (got > 0) octets = octets.subspan(static_cast<std::size_t>(got));
  }
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  while (number == 0) fill_random({reinterpret_cast<std::uint8_t*>(&number), sizeof number});
  return number;
}

}  // namespace adieu::host
