// What is derived from secrets: initial sequence numbers, timestamp offsets, port offsets, demultiplexing hashes.
//
// What lives here: SipHash-2-4 (libsodium) over the four numbers of a connection. What does not: where keys come from.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/seq.h"
#include "base/time.h"
#include "stack/settings.h"

namespace adieu::stack {

std::uint64_t keyed_hash(const Key& key, const Endpoint& local, const Endpoint& remote, std::uint8_t purpose);

// RFC 6528 section 3: "ISN = M + F(localip, localport, remoteip, remoteport, secretkey)", M in steps of 4 us.
Seq initial_sequence(const Key& key, const Endpoint& local, const Endpoint& remote, Instant now);

// RFC 7323 section 5.4 asks for a random offset; the same for all connections between two hosts, so that a later
// connection's timestamps are later as well (RFC 6191 relies on it).
std::uint32_t timestamp_offset(const Key& key, const Address& local, const Address& remote);

}  // namespace adieu::stack
