// A world of its own for an experiment: namespaces for processes, mounts and network, and for users when not root.
//
// What lives here: starting a world from outside (start_world), and inside it network namespaces, links, addresses,
// routes, packet filters, sysctls, programs. What does not: looking at the wire (watch.h), what is tried (cli/story).
//
// Nothing of a world outlives it: its processes are in a process namespace whose first process dies with whoever
// started the world (SIGKILL included), its files are on a file system of its own, and its interfaces are in it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "host/failure.h"
#include "lab/process.h"

namespace adieu::lab {

class World;

// A world seen from outside. It ends when this goes.
class RunningWorld {
 public:
  explicit RunningWorld(pid_t pid) : pid_(pid) {}
  RunningWorld(RunningWorld&& other) noexcept;
  RunningWorld& operator=(RunningWorld&&) = delete;
  ~RunningWorld();

  pid_t pid() const { return pid_; }
  // What `inside` returned; 128 + signal; nothing if the limit came first.
  std::optional<int> wait(Duration limit);

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// Runs `inside` in a new world, in a process of its own; its standard output and error are the caller's. To be called
// from a process with one thread. What `inside` throws is printed to standard error, and its status is then 3.
host::Result<RunningWorld> start_world(const std::function<int(World&)>& inside);

// Why this process may not make a world; empty if it may.
std::string why_no_world();

// A network namespace of a world.
class Net {
 public:
  const std::string& name() const { return name_; }

 private:
  friend class World;
  friend class Inside;
  Net(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {}
  std::string name_;
  std::string path_;
};

// While this lives, the calling thread is in that network namespace.
class Inside {
 public:
  explicit Inside(const Net& net);
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside();

 private:
  host::Descriptor before_;
};

class World {
 public:
  explicit World(std::string directory) : directory_(std::move(directory)) {}

  // For files of this world; they vanish with it.
  const std::string& directory() const { return directory_; }

  // A further network namespace, its loopback up.
  Net add(std::string name);
  // A pair of veth ends; an address is like 10.0.0.1/24, IPv4 or IPv6.
  void link(const Net& a, std::string_view interface_a, std::string_view address_a, const Net& b,
            std::string_view interface_b, std::string_view address_b);
  // `ip route add ROUTE`
  void route(const Net& net, std::string_view route);
  // Ruleset in the language of nft.
  void filter(const Net& net, std::string_view ruleset);
  void forward(const Net& net);
  // "net.ipv4.tcp_fin_timeout"; the value without its newline.
  std::string sysctl(const Net& net, std::string_view name);
  void set_sysctl(const Net& net, std::string_view name, std::string_view value);

  Process start(const Net& net, const std::vector<std::string>& arguments);
  // Its output; Trouble if it fails or takes longer than the limit.
  std::string run(const Net& net, const std::vector<std::string>& arguments, Duration limit = seconds(10));

 private:
  void ip(const Net& net, std::string_view words);

  std::string directory_;
  unsigned programs_ = 0;
};

// Splits at blanks.
std::vector<std::string> words(std::string_view text);

}  // namespace adieu::lab
