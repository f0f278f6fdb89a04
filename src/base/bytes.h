// Views over bytes. What lives here: the two span types every room uses, and nothing that owns memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace adieu {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

}  // namespace adieu
