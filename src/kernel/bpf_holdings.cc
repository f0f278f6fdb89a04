// Reading the iterator of descriptors. What does not live here: what it tells (bpf/holdings.bpf.c).
#include "kernel/bpf_holdings.h"

#include <span>
#include <utility>
#include <vector>

#include "kernel/bpf/objects.h"
#include "kernel/bpf/rows.h"

namespace adieu::kernel {
namespace {

// The kernel fills at most 8 pages for a read, with whole rows.
constexpr std::size_t kMostRows = 65536 / sizeof(HoldingRow);

}  // namespace

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
  std::vector<HoldingRow> rows(kMostRows);
  while (true) {
    const auto count = read_rows(*walk, rows.data(), rows.size(), sizeof(HoldingRow));
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return {};
    for (const HoldingRow& row : std::span(rows).first(*count))
      visit(context,
            {.inode = row.inode, .process = row.process, .descriptor = row.descriptor, .references = row.references});
  }
}

}  // namespace adieu::kernel
