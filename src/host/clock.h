// The only place that asks what time it is.
//
// What lives here: now() for everything that is measured, wall_clock() for what people read, uptime() for the quiet
// time.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace adieu::host {

// CLOCK_MONOTONIC: the same for every process of this host; the seam's instants are of this clock.
Instant now();
// CLOCK_REALTIME in microseconds since 1970: only for people, never compared with an Instant.
std::int64_t wall_clock();
// CLOCK_BOOTTIME: how long ago this host started, suspended time included.
Duration uptime();

}  // namespace adieu::host
