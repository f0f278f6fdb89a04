// Inside a world: network namespaces are bound to files in its directory, as `ip netns` does, and entered by setns.
#include "lab/world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "lab/trouble.h"

namespace adieu::lab {
namespace {

Trouble trouble(std::string_view what) { return Trouble(fmt::format("{}: {}", what, std::strerror(errno))); }

std::string sysctl_file(std::string_view name) {
  std::string path = "/proc/sys/";
  for (const char c : name) path += c == '.' ? '/' : c;
  return path;
}

}  // namespace

std::vector<std::string> words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

Inside::Inside(const Net& net) : before_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  const host::Descriptor there(open(net.path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!before_ || !there || setns(there.get(), CLONE_NEWNET) != 0) throw trouble("cannot enter namespace " + net.name_);
}

Inside::~Inside() {
  if (setns(before_.get(), CLONE_NEWNET) != 0) std::abort();  // nothing done from here on would be where it belongs
}

Net World::add(std::string name) {
  const std::string path = directory_ + "/net." + name;
  const host::Descriptor before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const host::Descriptor file(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!before || !file || unshare(CLONE_NEWNET) != 0) throw trouble("cannot make namespace " + name);
  const bool bound = mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) == 0;
  const int error = errno;
  if (setns(before.get(), CLONE_NEWNET) != 0) std::abort();
  errno = error;
  if (!bound) throw trouble("cannot keep namespace " + name);
  Net net(std::move(name), path);
  ip(net, "link set lo up");
  return net;
}

void World::ip(const Net& net, std::string_view text) {
  std::vector<std::string> arguments = words(text);
  arguments.insert(arguments.begin(), "ip");
  run(net, arguments);
}

void World::link(const Net& a, std::string_view interface_a, std::string_view address_a, const Net& b,
                 std::string_view interface_b, std::string_view address_b) {
  ip(a, fmt::format("link add {} type veth peer name {} netns {}", interface_a, interface_b, b.path_));
  for (const auto& [net, interface, address] : {std::tuple{&a, interface_a, address_a}, {&b, interface_b, address_b}}) {
    // nodad: an IPv6 address is of use at once.
    ip(*net, fmt::format("address add {} dev {}{}", address, interface,
                         address.find(':') == std::string_view::npos ? "" : " nodad"));
    ip(*net, fmt::format("link set {} up", interface));
  }
}

void World::route(const Net& net, std::string_view route) { ip(net, fmt::format("route add {}", route)); }

void World::filter(const Net& net, std::string_view ruleset) {
  const std::string path = fmt::format("{}/ruleset.{}", directory_, programs_);
  std::ofstream(path) << ruleset;
  run(net, {"nft", "-f", path});
}

void World::forward(const Net& net) {
  set_sysctl(net, "net.ipv4.ip_forward", "1");
  set_sysctl(net, "net.ipv6.conf.all.forwarding", "1");
}

std::string World::sysctl(const Net& net, std::string_view name) {
  const Inside inside(net);
  std::ifstream file(sysctl_file(name));
  std::string value;
  if (!std::getline(file, value)) throw Trouble(fmt::format("cannot read sysctl {} in {}", name, net.name()));
  return value;
}

void World::set_sysctl(const Net& net, std::string_view name, std::string_view value) {
  const Inside inside(net);
  std::ofstream file(sysctl_file(name));
  file << value << std::flush;
  if (!file) throw Trouble(fmt::format("cannot set sysctl {} to {} in {}", name, value, net.name()));
}

Process World::start(const Net& net, const std::vector<std::string>& arguments) {
  const host::Descriptor there(open(net.path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!there) throw trouble("no namespace " + net.name());
  return Process(arguments, fmt::format("{}/output.{}", directory_, programs_++), [&] {
    if (setns(there.get(), CLONE_NEWNET) == 0) return;
    dprintf(STDERR_FILENO, "cannot enter the namespace: %s\n", std::strerror(errno));
    _exit(126);
  });
}

std::string World::run(const Net& net, const std::vector<std::string>& arguments, Duration limit) {
  Process process = start(net, arguments);
  process.close_input();
  const auto status = process.wait(limit);
  if (status == 0) return process.output();
  std::string line;
  for (const auto& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  if (!status) throw Trouble(fmt::format("`{}` in {} takes longer than {} s", line, net.name(), limit.seconds()));
  throw Trouble(fmt::format("`{}` in {} failed ({}): {}", line, net.name(), *status, process.output()));
}

}  // namespace adieu::lab
