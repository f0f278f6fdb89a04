// By any process that lives there, since nobody may hold the connection.
#include "host/network_seen.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/holders_seen.h"
#include "kernel/proc_holdings.h"

namespace adieu::host {
namespace {

using kernel::NamespaceFile;

NamespaceFile network_of(std::uint32_t process) {
  return NamespaceFile(fmt::format("/proc/{}/ns/net", process).c_str());
}

// A container's name is 64 digits; as people are shown them, the first twelve tell one from another.
std::string shortened(std::string unit) {
  constexpr std::size_t kWhole = 64, kShown = 12;
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t from = 0; from + kWhole <= unit.size(); ++from)
    if (unit.find_first_not_of(kDigits, from) >= from + kWhole) return unit.erase(from + kShown, kWhole - kShown);
  return unit;
}

std::uint32_t own_network() { return NamespaceFile("/proc/thread-self/ns/net").inode(); }

}  // namespace

kernel::NamespaceFile network_of(const ConnectionView& view) {
  if (view.kind == plane::PlaneKind::Engine) return network_of(view.process);
  const std::uint32_t wanted = view.record.beside.network;
  NamespaceFile own("/proc/thread-self/ns/net");
  if (wanted == 0 || own.inode() == wanted) return own;
  if (NamespaceFile holders = network_of(view.record.beside.process); holders.inode() == wanted) return holders;
  for (const std::uint32_t process : kernel::all_processes())
    if (NamespaceFile one = network_of(process); one.inode() == wanted) return one;
  return {};
}

std::string other_network(const plane::Record& record) {
  const std::uint32_t wanted = record.beside.network;
  const std::uint32_t own = own_network();
  if (wanted == 0 || own == 0 || wanted == own) return {};
  const auto named = [wanted](std::uint32_t process) {
    return process != 0 && network_of(process).inode() == wanted ? unit_of(process) : std::string{};
  };
  std::string unit = named(record.beside.process);
  // Nobody may have it open, and the first who lives there is as good.
  if (unit.empty() && record.beside.process == 0)
    for (const std::uint32_t process : kernel::all_processes())
      if (unit = named(process); !unit.empty()) break;
  if (unit.empty()) return fmt::format("network namespace {}", wanted);
  return "the network of " + printable(shortened(std::move(unit)));
}

}  // namespace adieu::host
