// A connection table and a control block in memory of a test's own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernel/facts.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::kernel::test {

struct Memory {
  struct alignas(64) Line {
    std::uint8_t octets[64];
  };
  explicit Memory(std::size_t bytes) : lines((bytes + 63) / 64) {}
  MutableBytes bytes() { return {lines.data()->octets, lines.size() * 64}; }
  std::vector<Line> lines;
};

struct Table {
  explicit Table(std::uint32_t slots = 64, std::uint32_t quarantine = 16, std::uint32_t receipts = 8,
                 std::uint32_t commands = 8)
      : capacity{.slots = slots, .receipts = receipts, .events = 64, .beside = true},
        memory(plane::table_bytes(capacity)),
        writer(memory.bytes(), {.kind = plane::PlaneKind::Kernel,
                                .incarnation = 7,
                                .abilities = kAbilities,
                                .capacity = capacity,
                                .name = "kernel",
                                .process = 1,
                                .quarantine = quarantine}),
        block(plane::control_block_bytes(commands)),
        control(block.bytes(), 2, commands),
        view(Bytes(block.bytes())),
        reader(*plane::TableReader::over(Bytes(memory.bytes()))) {}

  plane::Record read(std::uint32_t slot) const {
    plane::Record record;
    return reader.read(slot, record) == plane::SlotReading::Whole ? record : plane::Record{};
  }
  // The live connection between these two; nullopt: none, or more than one.
  std::optional<std::uint32_t> slot_of(const Endpoint& local, const Endpoint& remote) const {
    std::optional<std::uint32_t> found;
    for (std::uint32_t slot = 0; slot < reader.slots_used(); ++slot) {
      const plane::Record record = read(slot);
      if (record.has_ended() || record.local != local || record.remote != remote) continue;
      if (found) return std::nullopt;
      found = slot;
    }
    return found;
  }
  std::uint64_t live() const { return writer.totals().live; }
  std::uint64_t vanished() const { return writer.totals().ended[static_cast<std::size_t>(EndReason::Vanished)]; }

  plane::Capacity capacity;
  Memory memory;
  plane::TableWriter writer;
  Memory block;
  plane::ControlWriter control;
  plane::ControlView view;
  plane::TableReader reader;
};

}  // namespace adieu::kernel::test
