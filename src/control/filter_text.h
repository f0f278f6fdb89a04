// The values in a filter, from text: sets of states, hosts, ports, counts, durations.
//
// What lives here: text of one word -> value. What does not: the grammar around them (filter_parse.cc), text for people
// in general (host/text.h, which this room cannot see and which has the system's parsers of addresses).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.h"
#include "control/filter.h"
#include "control/rule.h"

namespace adieu::control {

// Why a text is no value, and which part of it: a view into that text.
struct TextTrouble {
  FilterTrouble trouble = FilterTrouble::UnknownWord;
  std::string_view where;
};
template <typename T>
using FromText = std::expected<T, TextTrouble>;

struct Network {
  Address address;
  std::uint8_t bits = 128;  // of 128: those of an IPv4 address begin at 96
};
// HOST of ss: what is not there is not asked about.
struct Host {
  std::optional<Family> family;
  std::optional<Network> network;
  std::optional<std::uint16_t> port;
};

// Equal but for the case of ASCII letters; `lower` has none in upper case.
bool is_word(std::string_view text, std::string_view lower);

// Every spelling that parse_states() takes, `-` left out or not, the usual one of each set first.
std::span<const FilterValue> state_words();
// A state as ss, netstat or the RFC spell it, or one of ss's groups; case, `-` and `_` make no difference.
FromText<StateSet> parse_states(std::string_view text);
FromText<Host> parse_host(std::string_view text);
// 443 or :443; nullopt for *.
FromText<std::optional<std::uint16_t>> parse_port(std::string_view text);
FromText<std::uint32_t> parse_count(std::string_view text);
FromText<Duration> parse_duration(std::string_view text);

}  // namespace adieu::control
