// A control plane's hand, for stories that order several things in one turn.
//
// What lives here: Orders: the block that an engine takes commands from, and an order to probe. What does not: opinions
// (control); the outcomes of each command (commands_test.cc).
#pragma once

#include <vector>

#include "pair.h"
#include "plane/control_block.h"

namespace adieu::stack {

struct Orders {
  static constexpr std::uint32_t kCommands = 32;
  MutableBytes block_bytes() {
    const auto start = (reinterpret_cast<std::uintptr_t>(block.data()) + 63) & ~std::uintptr_t{63};
    return {reinterpret_cast<std::uint8_t*>(start), plane::control_block_bytes(kCommands)};
  }
  void write(const plane::Command& command, const Host& host) {
    EXPECT_TRUE(writer.write(command, host.engine.table().commands_taken()));
  }
  // Every receipt so far has been read.
  void read_receipts(Host& host) {
    const auto reader = plane::TableReader::over(host.table_bytes());
    ASSERT_TRUE(reader);
    writer.set_receipts_taken(reader->receipts_written());
  }

  std::vector<std::uint64_t> block = std::vector<std::uint64_t>(plane::control_block_bytes(kCommands) / 8 + 9);
  plane::ControlWriter writer{block_bytes(), 1, kCommands};
  plane::ControlView view{block_bytes()};
};

inline plane::Command probe_order(const Host& host, Socket socket, ProbeForm form, Instant now) {
  plane::Command command;
  command.kind = plane::CommandKind::Probe;
  command.id = host.engine.id(socket);
  command.expected_state = host.state(socket);
  command.form = form;
  command.heard = host.record(socket).heard;
  command.epoch = 1;
  command.expires = now + 1_s;
  command.verdict = 1;
  return command;
}

}  // namespace adieu::stack
