// Which octets beyond RCV.NXT have arrived already.
//
// What lives here: Reassembly, a bounded, sorted list of ranges. What does not: the octets (they lie in the receive
// ring, behind its end). RFC 9293 section 3.10.7.4, seventh step: segments out of order SHOULD be kept (SHLD-31).
#pragma once

#include <array>
#include <cstdint>

#include "base/limits.h"
#include "base/seq.h"
#include "wire/tcp.h"

namespace adieu::tcp {

class Reassembly {
 public:
  // False when there is no room for another range: the caller drops the octets, and the peer sends them again.
  [[nodiscard]] bool insert(Seq left, Seq right);
  // RCV.NXT after everything that follows `rcv_nxt` without a hole; those ranges are forgotten.
  Seq advance(Seq rcv_nxt);
  bool empty() const { return count_ == 0; }
  // The blocks for a SACK option, the one with the latest arrival first (RFC 2018 section 4). Returns how many.
  std::uint8_t sack_blocks(std::array<wire::SackBlock, wire::kMaxSackBlocks>& blocks, unsigned most) const;
  void check_invariants(Seq rcv_nxt) const;

 private:
  struct Range {
    Seq left;
    Seq right;
  };
  std::array<Range, limits::kReassemblyRanges> ranges_{};
  std::size_t count_ = 0;
  Seq latest_;  // the left edge of what arrived last
};

}  // namespace adieu::tcp
