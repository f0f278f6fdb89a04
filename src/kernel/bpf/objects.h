// The programs that adieu loads into the kernel, as they were compiled (cmake/bpf.cmake).
//
// What lives here: their names. What does not: their sources (*.bpf.c beside this file), loading them (bpf_object.h).
#pragma once

#include "base/bytes.h"

namespace adieu::kernel::objects {

extern const Bytes kBare;      // bpf_bare.h
extern const Bytes kHoldings;  // bpf_holdings.h
extern const Bytes kEvents;    // bpf_events.h
extern const Bytes kDestroy;   // bpf_destroy.h

}  // namespace adieu::kernel::objects
