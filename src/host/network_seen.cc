// By any process that lives there, since nobody may hold the connection.
#include "host/network_seen.h"

#include <fmt/format.h>

#include "kernel/proc_holdings.h"

namespace adieu::host {
namespace {

using kernel::NamespaceFile;

NamespaceFile network_of(std::uint32_t process) {
  return NamespaceFile(fmt::format("/proc/{}/ns/net", process).c_str());
}

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

}  // namespace adieu::host
