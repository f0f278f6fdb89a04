// Reading the iterator of descriptors. What does not live here: what it tells (bpf/holdings.bpf.c).
#include "kernel/bpf_holdings.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/bpf/objects.h"
#include "kernel/bpf/rows.h"

namespace adieu::kernel {
namespace {

// The kernel fills at most 8 pages for a read, with whole rows.
constexpr std::size_t kBufferBytes = 65536;

}  // namespace

BpfHoldings::BpfHoldings(BpfObject object)
    : object_(std::move(object)), buffer_(std::make_unique<std::uint8_t[]>(kBufferBytes)) {}

std::expected<BpfHoldings, Error> BpfHoldings::open() {
  auto object = BpfObject::open(objects::kHoldings, "adieu_holdings");
  if (!object) return std::unexpected(object.error());
  if (auto loaded = object->load(); !loaded) return std::unexpected(loaded.error());
  if (auto attached = object->attach("tell_holding"); !attached) return std::unexpected(attached.error());
  return BpfHoldings(std::move(*object));
}

std::expected<void, Error> BpfHoldings::each(VisitHolding visit, void* context) {
  const auto walk = object_.walk();
  if (!walk) return std::unexpected(walk.error());
  while (true) {
    const ssize_t length = read(walk->get(), buffer_.get(), kBufferBytes);
    // EAGAIN: a million descriptors, and none of them a TCP socket; the walk goes on where it stopped.
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (length < 0) return std::unexpected(bpf_error(errno));
    if (length == 0) return {};
    const auto octets = static_cast<std::size_t>(length);
    if (octets % sizeof(HoldingRow) != 0) return std::unexpected(Error{ErrorKind::NotUnderstood, 0});
    for (std::size_t at = 0; at < octets; at += sizeof(HoldingRow)) {
      HoldingRow row;
      std::memcpy(&row, buffer_.get() + at, sizeof row);
      visit(context,
            {.inode = row.inode, .process = row.process, .descriptor = row.descriptor, .references = row.references});
    }
  }
}

}  // namespace adieu::kernel
