// In and out again: a thread is in one network namespace at a time, a socket for ever in that of its making.
#include "kernel/network.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/assert.h"

namespace adieu::kernel {
namespace {

constexpr const char* kOwn = "/proc/thread-self/ns/net";

std::expected<Network, Error> open_in(std::uint32_t process) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/ns/net", process);
  NamespaceFile file(path.data());
  const Inside inside(file);
  if (!inside.is_in()) return std::unexpected(Error{ErrorKind::NotPermitted, errno});
  auto diag = Diag::open();
  if (!diag) return std::unexpected(diag.error());
  return Network{.inode = file.inode(), .diag = std::move(*diag), .file = std::move(file)};
}

}  // namespace

NamespaceFile::NamespaceFile(const char* path) : file_(::open(path, O_RDONLY | O_CLOEXEC)) {}

NamespaceFile::~NamespaceFile() {
  if (file_ >= 0) ::close(file_);
}

bool NamespaceFile::enter() const { return file_ >= 0 && ::setns(file_, CLONE_NEWNET) == 0; }

std::uint32_t NamespaceFile::inode() const {
  struct stat status{};
  return file_ >= 0 && ::fstat(file_, &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

// Entering needs CAP_SYS_ADMIN, even where we are.
Inside::Inside(const NamespaceFile& file) : home_(kOwn) {
  const std::uint32_t home = home_.inode();
  if (home == 0) return;
  has_left_ = file.inode() != home && file.enter();
  is_in_ = has_left_ || file.inode() == home;
}

Inside::~Inside() {
  // Who cannot go home would ask the wrong kernel from now on.
  const bool is_home = !has_left_ || home_.enter();
  ADIEU_ASSERT(is_home);
}

bool is_hosts_own_network() {
  const std::uint32_t own = NamespaceFile(kOwn).inode();
  return own != 0 && own == NamespaceFile("/proc/1/ns/net").inode();
}

std::expected<Networks, Error> Networks::open() {
  auto diag = Diag::open();
  if (!diag) return std::unexpected(diag.error());
  Networks networks;
  NamespaceFile own(kOwn);
  const std::uint32_t inode = own.inode();
  networks.networks_.push_back({.inode = inode, .diag = std::move(*diag), .file = std::move(own)});
  return networks;
}

std::uint32_t Networks::look(const std::vector<std::uint32_t>& processes, Processes& book) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> lived_in;  // network, a process that lives there
  for (const std::uint32_t process : processes)
    if (const std::uint32_t inode = book.of(process).network; inode != 0) lived_in.emplace_back(inode, process);
  std::ranges::sort(lived_in);
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  lived_in.erase(std::unique(lived_in.begin(), lived_in.end(), same), lived_in.end());

  const std::uint32_t home = own().inode;
  std::erase_if(networks_, [&](const Network& network) {
    return network.inode != home && network.connections == 0 &&
           !std::ranges::binary_search(lived_in, network.inode, {}, [](const auto& entry) { return entry.first; });
  });
  std::uint32_t closed = 0;
  for (const auto& [inode, process] : lived_in) {
    if (find(inode) != nullptr) continue;
    auto opened = open_in(process);
    if (opened && opened->inode == inode)
      networks_.push_back(std::move(*opened));
    else
      ++closed;
  }
  return closed;
}

Network* Networks::find(std::uint32_t inode) {
  const auto found = std::ranges::find(networks_, inode, &Network::inode);
  return found != networks_.end() ? &*found : nullptr;
}

}  // namespace adieu::kernel
