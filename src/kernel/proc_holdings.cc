// Two levels of directories and a link each. What does not live here: BPF, which does the same in one call.
#include "kernel/proc_holdings.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>

namespace adieu::kernel {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// "socket:[12345]"; 0: something else.
std::uint32_t socket_inode(int directory, const char* name) {
  std::array<char, 32> link{};
  const ssize_t length = ::readlinkat(directory, name, link.data(), link.size());
  constexpr std::string_view kBefore = "socket:[";
  std::string_view text(link.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  if (!text.starts_with(kBefore) || !text.ends_with(']')) return 0;
  text.remove_prefix(kBefore.size());
  text.remove_suffix(1);
  return number_of<std::uint32_t>(text).value_or(0);
}

// False: not permitted, or we have too much open ourselves. A process that has gone meanwhile had nothing open any
// more.
bool walk_process(std::uint32_t process, VisitHolding visit, void* context) {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/fd", process);
  const int file = ::open(path.data(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return errno == ENOENT || errno == ESRCH;
  const Directory directory(::fdopendir(file));
  if (!directory) return false;
  while (const dirent* const entry = ::readdir(directory.get())) {
    const auto descriptor = number_of<std::int32_t>(entry->d_name);
    if (!descriptor) continue;
    errno = 0;
    const std::uint32_t inode = socket_inode(file, entry->d_name);
    if (inode != 0) visit(context, {.inode = inode, .process = process, .descriptor = *descriptor, .references = 0});
    if (inode == 0 && (errno == EACCES || errno == EPERM)) return false;
  }
  return true;
}

}  // namespace

std::vector<std::uint32_t> all_processes() {
  std::vector<std::uint32_t> processes;
  const Directory proc(::opendir("/proc"));
  if (!proc) return processes;
  while (const dirent* const entry = ::readdir(proc.get()))
    if (const auto process = number_of<std::uint32_t>(entry->d_name)) processes.push_back(*process);
  return processes;
}

std::uint32_t walk_proc(VisitHolding visit, void* context, std::vector<std::uint32_t>& processes) {
  processes = all_processes();
  if (processes.empty()) {  // not even ourselves
    processes.push_back(static_cast<std::uint32_t>(::getpid()));
    return 1;
  }
  std::uint32_t closed = 0;
  for (const std::uint32_t process : processes)
    if (!walk_process(process, visit, context)) ++closed;
  return closed;
}

bool sees_all_processes() {
  // PROC_PID_INIT_INO of include/linux/proc_ns.h: part of the kernel's interface, CRIU and systemd rely on it too.
  constexpr std::string_view kFirst = "pid:[4026531836]";
  std::array<char, 32> link{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", link.data(), link.size());
  return length > 0 && std::string_view(link.data(), static_cast<std::size_t>(length)) == kFirst;
}

}  // namespace adieu::kernel
