// Addresses are read by hand: inet_pton would be this room's only need of the system.
#include "control/filter_text.h"

#include <array>
#include <charconv>

namespace adieu::control {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

// All of `text` as a number of that type: no sign, no space.
template <typename T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::unexpected<TextTrouble> trouble(FilterTrouble trouble, std::string_view where) {
  return std::unexpected(TextTrouble{trouble, where});
}

constexpr StateSet states(std::initializer_list<State> list) {
  StateSet set = 0;
  for (const State s : list) set = static_cast<StateSet>(set | set_of(s));
  return set;
}
constexpr StateSet but(StateSet without) {
  return static_cast<StateSet>(((1U << kStates) - 1) & ~static_cast<unsigned>(without));
}

constexpr FilterValue kSpellings[] = {
    {"established", set_of(State::Established)},
    {"estab", set_of(State::Established)},
    {"syn-sent", set_of(State::SynSent)},
    {"syn-recv", set_of(State::SynReceived)},
    {"syn-received", set_of(State::SynReceived)},
    {"syn-rcvd", set_of(State::SynReceived)},
    {"fin-wait-1", set_of(State::FinWait1)},
    {"fin-wait-2", set_of(State::FinWait2)},
    {"time-wait", set_of(State::TimeWait)},
    {"closed", set_of(State::Closed)},
    {"close", set_of(State::Closed)},
    {"unconn", set_of(State::Closed)},
    {"unconnected", set_of(State::Closed)},
    {"close-wait", set_of(State::CloseWait)},
    {"last-ack", set_of(State::LastAck)},
    {"listen", set_of(State::Listen)},
    {"listening", set_of(State::Listen)},
    {"closing", set_of(State::Closing)},
    // ss(8), STATE-FILTER. Its `synchronized` has SYN-RECEIVED in it, against RFC 9293 section 3.5.2.
    {"all", but(0)},
    {"connected", but(states({State::Listen, State::Closed}))},
    {"synchronized", but(states({State::Listen, State::Closed, State::SynSent}))},
    {"bucket", states({State::SynReceived, State::TimeWait})},
    {"big", but(states({State::SynReceived, State::TimeWait}))},
};
// Equal but for case, `-` and `_`; `name` has neither case nor `_`.
bool is_spelled(std::string_view text, std::string_view name) {
  for (;;) {
    while (!text.empty() && (text.front() == '-' || text.front() == '_')) text.remove_prefix(1);
    while (!name.empty() && name.front() == '-') name.remove_prefix(1);
    if (text.empty() || name.empty()) return text.empty() && name.empty();
    if (lower(text.front()) != name.front()) return false;
    text.remove_prefix(1);
    name.remove_prefix(1);
  }
}

// "10.0.0.1", and as ss fills it up: "10" is 10.0.0.0.
std::optional<Address> parse_v4(std::string_view text, unsigned least_octets = 1) {
  std::array<std::uint8_t, 4> octets{};
  for (unsigned i = 0; i < 4; ++i) {
    const std::size_t dot = text.find('.');
    const auto octet = number<std::uint8_t>(text.substr(0, dot));
    // 010 is ten to some and eight to others.
    if (!octet || (text.size() > 1 && text[0] == '0' && is_digit(text[1]))) return std::nullopt;
    octets[i] = *octet;
    if (dot == std::string_view::npos)
      return i + 1 < least_octets ? std::nullopt
                                  : std::optional(Address::v4(octets[0], octets[1], octets[2], octets[3]));
    text.remove_prefix(dot + 1);
  }
  return std::nullopt;
}

// RFC 4291 section 2.2: eight groups, one run of zeros as ::, an IPv4 address as the last two.
std::optional<Address> parse_v6(std::string_view text) {
  Address address;
  std::size_t filled = 0;  // octets
  std::optional<std::size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (const auto tail = parse_v4(group, 4); tail && colon == std::string_view::npos && filled <= 12) {
      for (std::size_t i = 0; i < 4; ++i) address.octets[filled + i] = tail->octets[12 + i];
      filled += 4;
      break;
    }
    const auto value = number<std::uint16_t>(group, 16);
    if (!value || group.size() > 4 || filled == 16) return std::nullopt;
    address.octets[filled++] = static_cast<std::uint8_t>(*value >> 8);
    address.octets[filled++] = static_cast<std::uint8_t>(*value);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;  // "1:"
    if (text.front() != ':') continue;
    if (gap) return std::nullopt;
    gap = filled;
    text.remove_prefix(1);
  }
  if (!gap) return filled == 16 ? std::optional(address) : std::nullopt;
  if (filled == 16) return std::nullopt;
  Address spread;
  for (std::size_t i = 0; i < *gap; ++i) spread.octets[i] = address.octets[i];
  for (std::size_t i = *gap; i < filled; ++i) spread.octets[16 - filled + i] = address.octets[i];
  return spread;
}

// ADDR[/BITS]
FromText<Network> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view written = text.substr(0, slash);
  const bool v6 = written.find(':') != std::string_view::npos;
  const auto address = v6 ? parse_v6(written) : parse_v4(written);
  if (!address) return trouble(FilterTrouble::BadAddress, text);
  if (slash == std::string_view::npos) return Network{*address, 128};
  const std::string_view length = text.substr(slash + 1);
  const auto bits = number<std::uint8_t>(length);
  if (!bits || *bits > (v6 ? 128 : 32)) return trouble(FilterTrouble::BadPrefix, length);
  return Network{*address, static_cast<std::uint8_t>(v6 ? *bits : 96 + *bits)};
}

// Where the address ends and ":PORT" begins.
std::size_t end_of_address(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    return bracket == std::string_view::npos ? bracket : text.find(':', bracket);
  }
  // Two colons and no brackets: an IPv6 address without a port, as people paste it.
  const std::size_t colon = text.find(':');
  return text.find(':', colon == std::string_view::npos ? colon : colon + 1) == std::string_view::npos
             ? colon
             : std::string_view::npos;
}

// [ADDR]/BITS and [ADDR/BITS]
FromText<Network> parse_bracketed(std::string_view text) {
  const std::size_t bracket = text.find(']');
  if (bracket == std::string_view::npos) return trouble(FilterTrouble::BadAddress, text);
  const std::string_view inside = text.substr(1, bracket - 1);
  const std::string_view behind = text.substr(bracket + 1);
  if (inside.find(':') == std::string_view::npos) return trouble(FilterTrouble::BadAddress, text);
  auto network = parse_network(inside);
  if (!network || behind.empty()) return network;
  if (behind.front() != '/') return trouble(FilterTrouble::BadAddress, text);
  const auto bits = number<std::uint8_t>(behind.substr(1));
  if (!bits || *bits > 128 || inside.find('/') != std::string_view::npos)
    return trouble(FilterTrouble::BadPrefix, behind);
  network->bits = *bits;
  return network;
}

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr Unit kUnits[] = {{"ns", 1},
                           {"us", 1'000},
                           {"ms", 1'000'000},
                           {"s", 1'000'000'000},
                           {"min", 60'000'000'000},
                           {"m", 60'000'000'000},
                           {"h", 3'600'000'000'000},
                           {"d", 86'400'000'000'000}};

// `whole`.`decimals` units; whole numbers exactly, as long as they fit.
std::optional<Duration> scaled(std::string_view whole, std::string_view decimals, std::int64_t unit) {
  const auto count = number<std::int64_t>(whole);
  if (!count || *count > Duration::max().ns / unit) return std::nullopt;
  double fraction = 0;
  double place = 1;
  for (const char c : decimals) {
    if (!is_digit(c)) return std::nullopt;
    place /= 10;
    fraction += place * (c - '0');
  }
  return nanoseconds(*count * unit) +
         nanoseconds(static_cast<std::int64_t>(fraction * static_cast<double>(unit) + 0.5));
}

}  // namespace

bool is_word(std::string_view text, std::string_view word) {
  if (text.size() != word.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (lower(text[i]) != word[i]) return false;
  return true;
}

std::span<const FilterValue> state_words() { return kSpellings; }

FromText<StateSet> parse_states(std::string_view text) {
  for (const FilterValue& spelling : kSpellings)
    if (is_spelled(text, spelling.name)) return StateSet{spelling.number};
  return trouble(FilterTrouble::UnknownState, text);
}

FromText<Host> parse_host(std::string_view text) {
  Host host;
  // FAMILY: of ss.
  if (is_word(text.substr(0, 5), "inet:")) host.family = Family::V4;
  if (is_word(text.substr(0, 6), "inet6:")) host.family = Family::V6;
  if (host.family) text.remove_prefix(*host.family == Family::V4 ? 5 : 6);

  const std::size_t end = end_of_address(text);
  const std::string_view address = text.substr(0, end);
  if (address.empty() && end == std::string_view::npos) return trouble(FilterTrouble::BadAddress, text);
  if (!address.empty() && address != "*") {
    const auto network = address.front() == '[' ? parse_bracketed(address) : parse_network(address);
    if (!network) return std::unexpected(network.error());
    host.network = *network;
  }
  if (end == std::string_view::npos) return host;
  const auto port = parse_port(text.substr(end));
  if (!port) return std::unexpected(port.error());
  host.port = *port;
  return host;
}

FromText<std::optional<std::uint16_t>> parse_port(std::string_view text) {
  const std::string_view digits = text.starts_with(':') ? text.substr(1) : text;
  if (digits == "*") return std::optional<std::uint16_t>();
  if (const auto port = number<std::uint16_t>(digits)) return port;
  return trouble(!digits.empty() && is_letter(digits.front()) ? FilterTrouble::ServiceName : FilterTrouble::BadPort,
                 digits.empty() ? text : digits);
}

FromText<std::uint32_t> parse_count(std::string_view text) {
  if (const auto count = number<std::uint32_t>(text)) return *count;
  return trouble(FilterTrouble::BadNumber, text);
}

FromText<Duration> parse_duration(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) ++end;
  const std::string_view value = text.substr(0, end);
  const std::string_view unit = text.substr(end);
  const std::size_t dot = value.find('.');
  const std::string_view decimals = dot == std::string_view::npos ? std::string_view() : value.substr(dot + 1);
  if (value.empty() || value.back() == '.') return trouble(FilterTrouble::BadDuration, text);
  if (unit.empty()) {
    if (value == "0") return Duration{};
    return trouble(FilterTrouble::UnitMissing, text);
  }
  for (const Unit& known : kUnits) {
    if (!is_word(unit, known.name)) continue;
    if (const auto duration = scaled(value.substr(0, dot), decimals, known.ns)) return *duration;
    break;
  }
  return trouble(FilterTrouble::BadDuration, text);
}

}  // namespace adieu::control
