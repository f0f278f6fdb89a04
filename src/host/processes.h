// What /proc says of a process.
#pragma once

#include <cstdint>
#include <string>

namespace adieu::host {

// The name of its program, at most 15 octets; empty: it is gone.
std::string comm_of(std::uint32_t process);

}  // namespace adieu::host
