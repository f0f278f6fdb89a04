// The hash set behind Demux. The one place that knows it is abseil's.
#include "stack/demux.h"

#include <absl/container/flat_hash_set.h>

#include "stack/keyed.h"

namespace adieu::stack {

namespace {

Tuple tuple_of(const plane::TableWriter& table, std::uint32_t slot) { return {table.local(slot), table.remote(slot)}; }

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

}  // namespace

struct Demux::Slots {
  Slots(const plane::TableWriter& table, const Key& key) : set(0, Hash{&table, key}, Equal{&table}) {}
  absl::flat_hash_set<std::uint32_t, Hash, Equal> set;
};

Demux::Demux(const plane::TableWriter& table, const Key& key) : slots_(std::make_unique<Slots>(table, key)) {}

Demux::~Demux() = default;

std::optional<std::uint32_t> Demux::find(const Tuple& tuple) const {
  const auto it = slots_->set.find(tuple);
  if (it == slots_->set.end()) return std::nullopt;
  return *it;
}

void Demux::insert(std::uint32_t slot) { slots_->set.insert(slot); }

void Demux::erase(std::uint32_t slot) { slots_->set.erase(slot); }

std::size_t Demux::bytes() const { return slots_->set.capacity() * (sizeof(std::uint32_t) + 1); }

}  // namespace adieu::stack
