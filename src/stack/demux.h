// From four numbers to a slot: which connection a segment belongs to.
//
// What lives here: Demux, a hash set of slot numbers (5 octets each) that reads the four numbers from the connection
// table, their only copy. What does not: listeners (passive_open.cc), the hash set itself, which is demux.cc's alone (a
// heavy header). The set is never iterated: its order varies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/address.h"
#include "plane/table.h"
#include "stack/settings.h"

namespace adieu::stack {

struct Tuple {
  Endpoint local;
  Endpoint remote;
  bool operator==(const Tuple&) const = default;
};

class Demux {
 public:
  // `table` outlives it. `key`: a peer that does not know it cannot choose tuples that collide.
  Demux(const plane::TableWriter& table, const Key& key);
  ~Demux();

  std::optional<std::uint32_t> find(const Tuple& tuple) const;
  // The slot's endpoints stand in the table already, and still do.
  void insert(std::uint32_t slot);
  void erase(std::uint32_t slot);
  std::size_t bytes() const;

 private:
  struct Slots;
  std::unique_ptr<Slots> slots_;
};

}  // namespace adieu::stack
