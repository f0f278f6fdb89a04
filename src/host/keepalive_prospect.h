// What switching on the kernel's keepalive for one of its connections would mean, before it is done.
//
// What lives here: the words, with the values that would hold. What does not: doing it
// (kernel/act.h, against which tests/kernel/act_test.cc holds each sentence).
#pragma once

#include "host/api_prospect.h"
#include "host/own_limits_seen.h"
#include "plane/command.h"

namespace adieu::host {

// `seen`: what its socket and its network have set, as far as that was read.
Prospect keepalive_prospect_of(const plane::Record& record, plane::Abilities abilities, const plane::Keepalive& wanted,
                               const OwnLimitsSeen& seen);

}  // namespace adieu::host
