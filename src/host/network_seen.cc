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

std::string OtherNetworks::unit_in(std::uint32_t network) {
  if (!is_looked_up_)
    for (const std::uint32_t process : kernel::all_processes())
      if (std::string& unit = units_[network_of(process).inode()]; unit.empty()) unit = unit_of(process);
  is_looked_up_ = true;
  return units_[network];
}

std::string OtherNetworks::name_of(const plane::Record& record) {
  const std::uint32_t wanted = record.beside.network;
  const std::uint32_t own = own_network();
  if (wanted == 0 || own == 0 || wanted == own) return {};
  const std::uint32_t holder = record.beside.process;
  // Nobody may have it open, and the first who lives there is as good.
  std::string unit = holder == 0                            ? unit_in(wanted)
                     : network_of(holder).inode() == wanted ? unit_of(holder)
                                                            : std::string{};
  if (unit.empty()) return fmt::format("network namespace {}", wanted);
  return "the network of " + printable(shortened(std::move(unit)));
}

}  // namespace adieu::host
