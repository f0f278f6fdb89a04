// A record as the 15 words of a slot that follow its version, what stands beside it as 7, and back.
//
// What lives here: the packing. What does not: versions and generations (words.h, table.cc). Private to the room
// `plane`.
//
//   1-2 local address   3-4 remote address   5 ports, state, reason, holder, end of stream read, flags
//   6 state_entered   7 last_heard   8 progress_in   9 progress_out   10 oldest_unacked   11 heard, attempts
//   12 probes by form   13 probe_first   14 probe_last   15 unread, unsent; once it has ended, the verdict behind the
//   end
// Beside: 1 process, descriptor   2 processes, descriptors, references   3 network, timer, retries, flags   4 fires
//   5 in_state_by   6-7 comm
#pragma once

#include <array>
#include <cstdint>

#include "plane/record.h"

namespace adieu::plane {

using SlotWords = std::array<std::uint64_t, 15>;
// Words 3, 4, 5, 7, 10, 11 and 12.
using GlanceWords = std::array<std::uint64_t, 7>;
inline constexpr std::array<std::uint8_t, 7> kGlanceWords = {3, 4, 5, 7, 10, 11, 12};

// `record.generation` is not part of the words. Of an ended record `unread` and `unsent` are not kept, of a living one
// `ended_by` is not.
SlotWords pack_record(const Record& record);
// False: no record packs to these words (a value out of its range; only a hostile writer does that); `record` is as
// before.
[[nodiscard]] bool unpack_record(const SlotWords& words, std::uint32_t generation, Record& record);
using BesideWords = std::array<std::uint64_t, 7>;
BesideWords pack_beside(const Beside& beside);
// False as above.
[[nodiscard]] bool unpack_beside(const BesideWords& words, Beside& beside);
Endpoint unpack_local(std::uint64_t word1, std::uint64_t word2, std::uint64_t word5);
Endpoint unpack_remote(std::uint64_t word3, std::uint64_t word4, std::uint64_t word5);
// glance_at() of the record that packs to these words, from those of them that tell it.
[[nodiscard]] bool unpack_glance(const GlanceWords& words, Glance& glance);
// True if the reason in word 5 is any but None.
bool has_ended(std::uint64_t word5);

}  // namespace adieu::plane
