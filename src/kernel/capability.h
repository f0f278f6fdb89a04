// What this process may do, by its effective capabilities (capabilities(7)).
//
// What lives here: the question. What does not: giving them up (host).
#pragma once

namespace adieu::kernel {

// `capability`: CAP_NET_ADMIN and so on.
bool has_capability(unsigned capability);

}  // namespace adieu::kernel
