// Everything is bounded; the bounds that more than one room relies on stand here, with their relations.
//
// What lives here: constants. What does not: settings that an operator may choose (stack/settings.h, control/rule.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace adieu::limits {

// The largest IP packet; also the largest super-segment that a device with segmentation offload carries.
inline constexpr std::size_t kPacketBytes = 65535;

// Ended slots that keep their reason although nobody has read it.
inline constexpr std::uint32_t kEndedQuarantine = 4096;

// Rings of the seam; powers of two.
inline constexpr std::uint32_t kCommandRing = 4096;
inline constexpr std::uint32_t kReceiptRing = 8192;
inline constexpr std::uint32_t kEventRing = 4096;
static_assert(kReceiptRing >= kCommandRing, "a plane that takes every command must have room to answer each");

// Questions in a row without an answer that the kernel's peers are asked by its own keepalive (kernel/probe.h tells
// why).
inline constexpr std::uint32_t kKernelQuestions = 4;

// Out-of-order ranges that one connection remembers: as many holes as SACK can ever describe in a few segments.
inline constexpr std::size_t kReassemblyRanges = 32;

}  // namespace adieu::limits
