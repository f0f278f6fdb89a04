// The text of packetdrill's --so_flags: what a script may set about the machine under test.
//
//   local=ADDRESS      an address of its own, before those that it learns from the script; may be given again
//   mtu=OCTETS         of its device (1500)
//   isn=NUMBER         from which the secret of its initial sequence numbers is drawn (1)
//   time-wait=TIME     and rto-initial, rto-min, rto-max, delayed-ack: tcp/settings.h. TIME is 40ms, 60s, 2min, 1h
//   patience=TIME      how long netdev_receive lets virtual time pass without a packet (10min)
//
// They are separated by blanks or commas. What does not live here: anything that changes what the protocol does.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "stack/settings.h"

namespace adieu::packetdrill {

struct Flags {
  stack::Settings settings;
  Duration patience = minutes(10);
};

// The error is a sentence for a person.
std::expected<Flags, std::string> parse_flags(std::string_view text);

}  // namespace adieu::packetdrill
