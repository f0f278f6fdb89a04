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

// A file of a namespace; -1: there is none, or it may not be opened.
class NamespaceFile {
 public:
  explicit NamespaceFile(const char* path) : file_(::open(path, O_RDONLY | O_CLOEXEC)) {}
  NamespaceFile(const NamespaceFile&) = delete;
  NamespaceFile& operator=(const NamespaceFile&) = delete;
  ~NamespaceFile() {
    if (file_ >= 0) ::close(file_);
  }
  bool enter() const { return file_ >= 0 && ::setns(file_, CLONE_NEWNET) == 0; }
  std::uint32_t inode() const {
    struct stat status{};
    return file_ >= 0 && ::fstat(file_, &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
  }

 private:
  int file_;
};

std::expected<Network, Error> open_in(std::uint32_t process) {
  const NamespaceFile own(kOwn);
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/ns/net", process);
  const NamespaceFile other(path.data());
  if (own.inode() == 0 || !other.enter()) return std::unexpected(Error{ErrorKind::NotPermitted, errno});
  auto diag = Diag::open();
  const std::uint32_t inode = other.inode();
  // Who cannot go home would ask the wrong kernel from now on.
  const bool is_home = own.enter();
  ADIEU_ASSERT(is_home);
  if (!diag) return std::unexpected(diag.error());
  return Network{.inode = inode, .diag = std::move(*diag)};
}

}  // namespace

bool is_hosts_own_network() {
  const std::uint32_t own = NamespaceFile(kOwn).inode();
  return own != 0 && own == NamespaceFile("/proc/1/ns/net").inode();
}

std::expected<Networks, Error> Networks::open() {
  auto diag = Diag::open();
  if (!diag) return std::unexpected(diag.error());
  Networks networks;
  networks.networks_.push_back({.inode = NamespaceFile(kOwn).inode(), .diag = std::move(*diag)});
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
    return network.inode != home &&
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
