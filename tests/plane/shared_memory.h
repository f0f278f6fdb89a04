// What the tests of the room `plane` share: memory as the host would hand it in, and records that derive from one
// number.
#pragma once

#include <cstdint>
#include <cstring>
#include <new>

#include "base/bytes.h"
#include "plane/control_block.h"
#include "plane/table.h"
#include "plane/words.h"

namespace adieu::plane {

// Zeroed, aligned, of exactly the size asked for: AddressSanitizer sees one octet read beyond it.
class Memory {
 public:
  explicit Memory(std::size_t size) : size_(size), data_(static_cast<std::uint8_t*>(::operator new(size, kAlignment))) {
    std::memset(data_, 0, size);
  }
  ~Memory() { ::operator delete(data_, kAlignment); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  MutableBytes all() { return {data_, size_}; }
  std::uint64_t word(std::size_t index) { return load(all(), index); }
  void set_word(std::size_t index, std::uint64_t value) { store(all(), index, value); }
  std::size_t words() const { return size_ / kWordBytes; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  std::size_t size_;
  std::uint8_t* data_;
};

inline TableSetup small_table(std::uint32_t slots, std::uint32_t quarantine = 4) {
  return {.kind = PlaneKind::Engine,
          .incarnation = 0x1122334455667788,
          .abilities = Ability::ProbeEcho | Ability::AbortReset,
          .capacity = {.slots = slots, .receipts = 8, .events = 4},
          .name = "test",
          .process = 42,
          .quarantine = quarantine};
}

inline Address address_of(std::uint64_t number) {
  Address address;
  for (unsigned i = 0; i < 16; ++i) address.octets[i] = static_cast<std::uint8_t>(number * (i + 3) + i);
  return address;
}

// Every field follows from the number in `heard`, so that a mixture of two records can be told from either.
inline Record record_of(std::uint32_t number) {
  const std::uint64_t n = number;
  const auto instant = [n](std::uint64_t k) { return Instant{static_cast<std::int64_t>(n * 1000 + k)}; };
  Record r;
  r.local = {address_of(n), static_cast<std::uint16_t>(n)};
  r.remote = {address_of(n + 1), static_cast<std::uint16_t>(n + 1)};
  r.state = static_cast<State>(n % kStates);
  r.holder = static_cast<Holder>(n % 4);
  r.end_of_stream_read = static_cast<Known>(n % 3);
  r.receive_shut = (n & 1) != 0;
  r.send_shut = (n & 2) != 0;
  r.peer_window_closed = (n & 4) != 0;
  r.can_echo = (n & 8) != 0;
  r.can_probe = (n & 16) != 0;
  r.passed_r1 = (n & 32) != 0;
  r.soft_error = (n & 64) != 0;
  r.state_entered = instant(1);
  r.last_heard = instant(2);
  r.progress_in = instant(3);
  r.progress_out = instant(4);
  r.oldest_unacked = instant(5);
  r.heard = number;
  r.attempts = number + 7;
  for (unsigned form = 0; form < kProbeForms; ++form) r.probes[form] = static_cast<std::uint16_t>(n + form);
  r.probe_first = instant(6);
  r.probe_last = instant(7);
  r.unread = number + 8;
  r.unsent = number + 9;
  return r;
}

// What stands beside it, told in the same way by the references.
inline Beside beside_of(std::uint32_t number) {
  const std::uint64_t n = number;
  Beside b;
  b.process = number + 1;
  b.descriptor = static_cast<std::int32_t>(number + 2);
  for (std::size_t i = 0; i < n % 17 && i < b.comm.size(); ++i) b.comm[i] = static_cast<char>(1 + (n + i) % 255);
  b.processes = static_cast<std::uint16_t>(n + 3);
  b.descriptors = static_cast<std::uint16_t>(n + 4);
  b.references = number;
  b.looked = (n & 1) != 0;
  b.looked_everywhere = (n & 2) != 0;
  b.inherited = (n & 4) != 0;
  b.keepalive = (n & 8) != 0;
  b.keepalive_refused = (n & 16) != 0;
  b.network = number + 5;
  b.timer = static_cast<OwnTimer>(n % kOwnTimers);
  b.retries = static_cast<std::uint8_t>(n + 6);
  b.fires = Instant{static_cast<std::int64_t>(n * 1000 + 8)};
  b.in_state_by = Instant{static_cast<std::int64_t>(n * 1000 + 9)};
  return b;
}

inline bool is_of_one_number(Record read) {
  read.generation = 0;
  return read == record_of(read.heard);
}

}  // namespace adieu::plane
