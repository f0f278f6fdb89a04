// Connections as JSON, one object a line (NDJSON). json_values.h says who knows nlohmann/json.
//
// What lives here: the objects that `adieu ls --json` and `adieu why --json` print. What does not: reading JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/conntrack_seen.h"
#include "host/holders_seen.h"
#include "host/ledger.h"
#include "host/own_limits_seen.h"
#include "host/view.h"

namespace adieu::host {

std::string connection_json(const ConnectionView& view);
// With evidence, advice, and what the ledger knows. `view` is nullptr for a connection that stands in no table any
// more. `open_in`: who has it open, `conntrack`: what this host's conntrack keeps of it, `own_limits`: when its kernel
// gives it up, where somebody looked.
std::string explanation_json(const ConnectionView* view, const LedgerConnection& ledger,
                             const std::vector<HolderSeen>* open_in = nullptr, const ConntrackSeen* conntrack = nullptr,
                             const OwnLimitsSeen* own_limits = nullptr);

}  // namespace adieu::host
