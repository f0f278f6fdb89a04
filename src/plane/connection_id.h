// The identity of a connection, on any plane, for ever.
//
// What lives here: ConnectionId. What does not: its text form (host/text.h).
// A slot is used again; {incarnation, slot, generation} is not: the incarnation is drawn at random when a table is
// made, the generation grows with each use of the slot.
#pragma once

#include <compare>
#include <cstdint>

namespace adieu::plane {

struct ConnectionId {
  std::uint64_t incarnation = 0;  // of the plane's table
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0: no connection

  constexpr auto operator<=>(const ConnectionId&) const = default;
};

}  // namespace adieu::plane
