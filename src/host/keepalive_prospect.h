// What switching on the kernel's keepalive for one of its connections would mean, before it is done.
//
// What lives here: the words, with the values that would hold; spans as people give them. What does not: doing it
// (kernel/act.h, against which tests/kernel/act_test.cc holds each sentence).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "host/api_prospect.h"
#include "host/failure.h"
#include "host/own_limits_seen.h"
#include "plane/command.h"

namespace adieu::host {

// `seen`: what its socket and its network have set, as far as that was read.
Prospect keepalive_prospect_of(const plane::Record& record, plane::Abilities abilities, const plane::Keepalive& wanted,
                               const OwnLimitsSeen& seen);

// Whole seconds that a socket can be told; never 0.
std::optional<std::uint16_t> keepalive_span(Duration span);
Result<std::uint16_t> parse_keepalive_span(std::string_view text);
// "idle 10 min, interval 1 min 15 s, count 9"; what is left to the connection is left out.
std::string text(const plane::Keepalive& keepalive);

}  // namespace adieu::host
