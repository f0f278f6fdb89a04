// How much memory this host has left. What does not live here: what follows from it (policy.h).
#pragma once

#include <optional>
#include <string_view>

namespace adieu::host {

// The share that could be had without swapping: MemAvailable of MemTotal, from the text of /proc/meminfo (proc(5)).
std::optional<double> available_memory(std::string_view meminfo);
// Of this host, now; nullopt where there is no /proc.
std::optional<double> available_memory();

}  // namespace adieu::host
