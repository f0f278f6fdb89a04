// From four numbers to a slot: which connection a segment belongs to.
//
// What lives here: Demux, a hash set of slot numbers (5 octets each) that reads the four numbers from the connection
// table, their only copy. What does not: listeners (passive_open.cc). The set is never iterated: its order varies.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "plane/table.h"
#include "stack/keyed.h"

namespace adieu::stack {

struct Tuple {
  Endpoint local;
  Endpoint remote;
  bool operator==(const Tuple&) const = default;
};

class Demux {
 public:
  Demux(const plane::TableWriter& table, const Key& key) : slots_(0, Hash{&table, key}, Equal{&table}) {}

  std::optional<std::uint32_t> find(const Tuple& tuple) const {
    const auto it = slots_.find(tuple);
    if (it == slots_.end()) return std::nullopt;
    return *it;
  }
  // The slot's endpoints stand in the table already.
  void insert(std::uint32_t slot) { slots_.insert(slot); }
  // They still stand there.
  void erase(std::uint32_t slot) { slots_.erase(slot); }
  std::size_t bytes() const { return slots_.capacity() * (sizeof(std::uint32_t) + 1); }

 private:
  static Tuple tuple_of(const plane::TableWriter& table, std::uint32_t slot) {
    return {table.local(slot), table.remote(slot)};
  }
  struct Hash {
    using is_transparent = void;
    const plane::TableWriter* table;
    Key key;
    std::size_t operator()(const Tuple& t) const { return keyed_hash(key, t.local, t.remote, 'd'); }
    std::size_t operator()(std::uint32_t slot) const { return (*this)(tuple_of(*table, slot)); }
  };
  struct Equal {
    using is_transparent = void;
    const plane::TableWriter* table;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(std::uint32_t a, const Tuple& b) const { return tuple_of(*table, a) == b; }
    bool operator()(const Tuple& a, std::uint32_t b) const { return tuple_of(*table, b) == a; }
  };
  absl::flat_hash_set<std::uint32_t, Hash, Equal> slots_;
};

}  // namespace adieu::stack
