// Giving up what a process may do beyond its user. What does not live here: who needs what (the *_process.cc).
#pragma once

#include <initializer_list>

#include "host/failure.h"

namespace adieu::host {

// No capability is left, and none can come back, not even by executing another program.
Result<void> drop_all_privileges();
// Only those of these (CAP_*) that it has are left, and none can come back.
Result<void> keep_privileges(std::initializer_list<int> capabilities);

}  // namespace adieu::host
