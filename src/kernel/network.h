// Network namespaces: the kernel has a TCP in each of them.
//
// What lives here: which there are, and asking the kernel in each. What does not: what it answers (sock_diag.h).
// Whoever holds a netlink socket of a namespace keeps the namespace alive: one in which no process lives any more is
// let go at the next look after its last connection has ended.
#pragma once

#include <cstdint>
#include <expected>
#include <utility>
#include <vector>

#include "kernel/processes.h"
#include "kernel/sock_diag.h"

namespace adieu::kernel {

// A file of a namespace, open; or none (it is gone, or may not be opened).
class NamespaceFile {
 public:
  NamespaceFile() = default;
  explicit NamespaceFile(const char* path);
  NamespaceFile(NamespaceFile&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  NamespaceFile& operator=(NamespaceFile&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~NamespaceFile();
  bool enter() const;
  std::uint32_t inode() const;

 private:
  int file_ = -1;
};

struct Network {
  std::uint32_t inode = 0;
  Diag diag;
  NamespaceFile file;
  std::uint32_t connections = 0;  // whole ones, at the latest sweep: they outlive the processes that live there
};

// This thread is in another network namespace for as long as this lives.
class Inside {
 public:
  explicit Inside(const NamespaceFile& file);
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside();
  bool is_in() const { return is_in_; }

 private:
  NamespaceFile home_;
  bool is_in_ = false;
  bool has_left_ = false;
};

// From the network of the host itself (that of its first process) all are watched; whoever is in another, as in a
// container, means that one. Also where it may not be known.
bool is_hosts_own_network();

class Networks {
 public:
  // With the one in which this thread is, and no other yet.
  static std::expected<Networks, Error> open();

  // Those in which these processes live, beside our own. Needs CAP_SYS_ADMIN for any but our own; returns how many
  // could not be entered.
  std::uint32_t look(const std::vector<std::uint32_t>& processes, Processes& book);

  std::vector<Network>& all() { return networks_; }
  // nullptr: it is not among them (any more).
  Network* find(std::uint32_t inode);
  const Network& own() const { return networks_.front(); }

 private:
  std::vector<Network> networks_;  // our own first
};

}  // namespace adieu::kernel
