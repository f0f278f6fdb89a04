// Metrics for Prometheus: aggregates only. No address, no identity of a connection is ever a label.
//
// What lives here: metrics_text(). What does not: what is counted as it happens (Tally in api_board.h). api_metrics.cc
// alone knows prometheus-cpp.
#pragma once

#include <string>
#include <string_view>

#include "host/api_tables.h"

namespace adieu::host {

// In Prometheus's text format; one pass over every table.
std::string metrics_text(const ApiTables& tables, std::string_view version);

}  // namespace adieu::host
