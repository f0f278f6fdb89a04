// Keyed hashes; the purpose octet keeps one use from telling anything about another.
#include "stack/keyed.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include <array>
#include <cstring>

namespace adieu::stack {

static_assert(crypto_shorthash_siphash24_KEYBYTES == sizeof(Key));

std::uint64_t keyed_hash(const Key& key, const Endpoint& local, const Endpoint& remote, std::uint8_t purpose) {
  std::array<std::uint8_t, 37> input;
  std::memcpy(input.data(), local.address.octets.data(), 16);
  std::memcpy(input.data() + 16, remote.address.octets.data(), 16);
  std::memcpy(input.data() + 32, &local.port, 2);
  std::memcpy(input.data() + 34, &remote.port, 2);
  input[36] = purpose;
  std::uint64_t hash = 0;
  crypto_shorthash_siphash24(reinterpret_cast<unsigned char*>(&hash), input.data(), input.size(), key.data());
  return hash;
}

Seq initial_sequence(const Key& key, const Endpoint& local, const Endpoint& remote, Instant now) {
  const auto m = static_cast<std::uint32_t>(now.ns / 4'000);
  return Seq{m + static_cast<std::uint32_t>(keyed_hash(key, local, remote, 'i'))};
}

std::uint32_t timestamp_offset(const Key& key, const Address& local, const Address& remote) {
  return static_cast<std::uint32_t>(keyed_hash(key, {local, 0}, {remote, 0}, 't'));
}

}  // namespace adieu::stack
