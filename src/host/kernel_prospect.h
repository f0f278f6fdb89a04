// What ending one of the kernel's connections would mean, before it is done.
//
// What lives here: the same as in api_prospect.h, for TCP that is not ours: which of its sockets the kernel tells what,
// measured on Linux 6.18 (tests/kernel/act_test.cc holds each sentence against a real socket). What does not: doing it
// (kernel/act.h).
#pragma once

#include <string>
#include <string_view>

#include "host/api_prospect.h"

namespace adieu::host {

Prospect kernel_prospect_of(EndHow how, const plane::Record& record, plane::Abilities abilities);

// Linux before commit bac76cf89816 ("tcp: fix forever orphan socket caused by tcp_abort", 6.12): an orphan that still
// has something to send is not ended but loses its timer, and stays for ever. False as well for a release that is not
// understood. Older lines got the fix later, under numbers of their own: then a true is a warning too many.
bool may_make_orphans_immortal(std::string_view release);

// What of that a person should know of this orphan, on a kernel of this release; empty: nothing.
std::string immortality_of(const plane::Record& record, std::string_view release);
// Of the kernel that runs.
std::string_view running_release();

}  // namespace adieu::host
