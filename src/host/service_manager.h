// What a service manager is told, by the protocol of sd_notify(3). What does not live here: the unit that asks for it
// (data/adieu.service.in).
#pragma once

#include <string_view>

namespace adieu::host {

// "READY=1", "STATUS=...", a line each. Nothing is said where nobody asked ($NOTIFY_SOCKET). A manager that takes
// nothing is waited for, a second at the most.
void tell_service_manager(std::string_view lines);

}  // namespace adieu::host
