// The programs that adieu loads into the kernel, as they were compiled (cmake/bpf.cmake).
//
// What lives here: their names. What does not: their sources (*.bpf.c beside this file), loading them (bpf_object.h).
#pragma once

#include "base/bytes.h"

namespace adieu::kernel::objects {

extern const Bytes holdings;  // bpf_holdings.h
extern const Bytes events;    // bpf_events.h
extern const Bytes destroy;   // bpf_destroy.h

}  // namespace adieu::kernel::objects
