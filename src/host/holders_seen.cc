// By the descriptor that is known to the socket, by the socket to the others.
#include "host/holders_seen.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include "host/processes.h"
#include "kernel/proc_holdings.h"

namespace adieu::host {
namespace {

struct Wanted {
  std::uint32_t inode;
  std::vector<HolderSeen> found;
};

}  // namespace

// "0::/system.slice/nginx.service" names a unit; "/" and what a login session is in do not.
std::string unit_of(std::uint32_t process) {
  std::ifstream file(fmt::format("/proc/{}/cgroup", process));
  for (std::string line; std::getline(file, line);) {
    const std::string_view last = std::string_view(line).substr(line.rfind('/') + 1);
    if (last.ends_with(".service") || (last.ends_with(".scope") && !last.starts_with("session-")))
      return std::string(last);
  }
  return {};
}

std::vector<HolderSeen> holders_of(const plane::Beside& beside) {
  struct stat status{};
  const std::string path = fmt::format("/proc/{}/fd/{}", beside.process, beside.descriptor);
  if (beside.process == 0 || ::stat(path.c_str(), &status) < 0 || !S_ISSOCK(status.st_mode)) return {};
  Wanted wanted{static_cast<std::uint32_t>(status.st_ino), {}};
  std::vector<std::uint32_t> processes;
  const kernel::VisitHolding keep = [](void* context, const kernel::Holding& holding) {
    Wanted& of = *static_cast<Wanted*>(context);
    if (holding.inode != of.inode) return;
    if (of.found.empty() || of.found.back().process != holding.process)
      of.found.push_back({.process = holding.process, .descriptors = {}, .comm = {}, .unit = {}});
    of.found.back().descriptors.push_back(holding.descriptor);
  };
  kernel::walk_proc(keep, &wanted, processes);
  // Numbers wrap around: /proc does not tell the first by its place.
  std::ranges::stable_partition(wanted.found, [&](const HolderSeen& one) { return one.process == beside.process; });
  for (HolderSeen& one : wanted.found) {
    one.comm = comm_of(one.process);
    one.unit = unit_of(one.process);
  }
  return std::move(wanted.found);
}

}  // namespace adieu::host
