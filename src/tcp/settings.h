// What may be set about TCP itself, for all connections of an engine.
//
// What lives here: the protocol's own intervals. What does not: any interval after which a connection would be ended;
// there is none but TIME-WAIT's, whose end the protocol itself defines.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace adieu::tcp {

struct Settings {
  Duration rto_initial = seconds(1);        // RFC 6298 section 2 (2.1)
  Duration rto_min = milliseconds(200);     // RFC 6298 (2.4) says 1 s SHOULD; see docs/departures.md
  Duration rto_max = seconds(60);           // RFC 6298 (2.5): at least 60 s
  Duration delayed_ack = milliseconds(40);  // RFC 9293 section 3.8.6.3: under 0.5 s (MUST-40)
  Duration persist_max = seconds(60);       // between zero-window probes
  Duration time_wait = seconds(60);         // RFC 9293 section 3.4.2 takes MSL as 2 minutes; see docs/departures.md
  Duration challenge_interval = milliseconds(500);  // RFC 5961 section 7: per connection, for segments without data
  unsigned syn_ack_retries = 5;  // SYN,ACKs sent again for a handshake that a peer began, and no more
  unsigned r1 = 3;               // retransmissions; RFC 9293 section 3.8.3: at least 3 (SHLD-10)
};

// What an application may set about one connection.
struct Options {
  std::uint32_t send_buffer = 1U << 20;     // octets that send() accepts before the peer acknowledges
  std::uint32_t receive_buffer = 1U << 20;  // the largest window we advertise
  bool no_delay = false;                    // Nagle's algorithm off (RFC 9293 section 3.7.4, MUST-17)
};

}  // namespace adieu::tcp
