// The ladder of `adieu why`: what is known of one connection as two lanes of text, our end left, the peer's right, from
// the past over "now" to what is pending. What a middlebox of this host keeps of it stands between the two.
//
// What lives here: facts and deadlines as rows. What does not: segments that somebody watched (lab/ladder.h): a record
// keeps instants, not segments.
#pragma once

#include <string>
#include <vector>

#include "host/conntrack_seen.h"
#include "host/view.h"

namespace adieu::cli {

// `gives_up`: when its kernel does, about; never(): it does not, as far as is known. At most `most`
// lines (at least 4, and 2 for each of `middle`), 100 columns wide at the most. Where there is more, the oldest is left
// out.
std::vector<std::string> ladder_of(const host::ConnectionView& view, const std::vector<host::ConntrackEntry>& middle,
                                   Instant gives_up, std::size_t most);

}  // namespace adieu::cli
