// Values as people write and read them: addresses, endpoints, durations, identities. Both families alike.
//
// What lives here: text <-> value, where the text is a person's (flags, ls, why). What does not: names of the field's
// terms (base/terms.h), JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/time.h"
#include "host/failure.h"
#include "plane/command.h"
#include "plane/connection_id.h"

namespace adieu::host {

// An address with the length of its network's prefix: 10.77.0.2/24.
struct Prefix {
  Address address;
  unsigned bits = 0;
  bool operator==(const Prefix&) const = default;
};

// A connection as a person names it: "engine/12.3".
struct NamedId {
  std::string plane;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator==(const NamedId&) const = default;
};

std::string text(const Address& address);    // 10.0.0.1, fd77::2
std::string text(const Endpoint& endpoint);  // 10.0.0.1:80, [fd77::2]:80
std::string text(const Prefix& prefix);      // 10.0.0.1/24
std::string text(const NamedId& id);         // engine/12.3
std::string text(Duration duration);         // what parse_duration() reads back exactly: 1500ms, 25s, 2min
// "idle 10 min 0 s, interval 1 min 15 s, count 9"; what is left to the connection is left out.
std::string text(const plane::Keepalive& keepalive);
std::string hex16(std::uint64_t value);  // an incarnation: 16 hexadecimal digits
// What others chose to call themselves (programs, planes), for a terminal: whatever is not a printable ASCII character
// becomes \\xNN, so that no name can move the cursor, turn the text around or spoil a column.
std::string printable(std::string_view text);
// "1 question", "2 questions".
std::string counted(std::uint64_t n, std::string_view noun);
// Rounded for a reader: "340 ms", "12.3 s", "4 min 10 s", "2 h 5 min", "30 d 2 h".
std::string readable(Duration duration);

Result<Address> parse_address(std::string_view text);
Result<Endpoint> parse_endpoint(std::string_view text);
Result<Prefix> parse_prefix(std::string_view text);
// A whole or decimal number with ns, us, ms, s, min or h; not negative. "0" needs no unit.
Result<Duration> parse_duration(std::string_view text);
// Whole seconds that a socket can be told for its keepalive; never 0.
std::optional<std::uint16_t> keepalive_span(Duration span);
Result<std::uint16_t> parse_keepalive_span(std::string_view text);
Result<NamedId> parse_id(std::string_view text);
Result<std::uint64_t> parse_hex16(std::string_view text);

}  // namespace adieu::host
