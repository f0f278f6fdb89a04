// Words of --so_flags -> settings.
#include "packetdrill/flags.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/rng.h"

namespace adieu::packetdrill {

namespace {

std::optional<std::uint64_t> number_from(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Duration> duration_from(std::string_view text) {
  struct Unit {
    std::string_view name;
    Duration length;
  };
  constexpr Unit kUnits[] = {
      {"us", microseconds(1)}, {"ms", milliseconds(1)}, {"s", seconds(1)}, {"min", minutes(1)}, {"h", hours(1)}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto value = number_from(text.substr(0, digits));
  const auto unit = std::ranges::find(kUnits, text.substr(digits), &Unit::name);
  if (!value || unit == std::end(kUnits) || *value > 1'000'000'000) return std::nullopt;
  return unit->length * static_cast<std::int64_t>(*value);
}

std::optional<Address> address_from(const std::string& text) {
  Address v4 = Address::v4(0, 0, 0, 0);
  if (inet_pton(AF_INET, text.c_str(), &v4.octets[12]) == 1) return v4;
  Address v6;
  if (inet_pton(AF_INET6, text.c_str(), v6.octets.data()) == 1) return v6;
  return std::nullopt;
}

stack::Key key_from(Rng& rng) {
  stack::Key key;
  for (std::size_t half = 0; half < key.size(); half += sizeof(std::uint64_t)) {
    const std::uint64_t word = rng.next();
    std::memcpy(&key[half], &word, sizeof word);
  }
  return key;
}

void draw_keys(stack::Settings& settings, std::uint64_t seed) {
  Rng rng(seed);
  settings.isn_key = key_from(rng);
  settings.demux_key = key_from(rng);
}

Duration* interval(Flags& flags, std::string_view name) {
  tcp::Settings& tcp = flags.settings.tcp;
  if (name == "time-wait") return &tcp.time_wait;
  if (name == "rto-initial") return &tcp.rto_initial;
  if (name == "rto-min") return &tcp.rto_min;
  if (name == "rto-max") return &tcp.rto_max;
  if (name == "delayed-ack") return &tcp.delayed_ack;
  if (name == "patience") return &flags.patience;
  return nullptr;
}

// What is wrong with it; empty: nothing.
std::string take(Flags& flags, std::string_view name, const std::string& value) {
  if (name == "local") {
    const auto address = address_from(value);
    if (!address || address->is_unspecified() || address->is_multicast_or_broadcast()) return "is no address of a host";
    flags.settings.addresses.push_back(*address);
  } else if (name == "mtu") {
    const auto mtu = number_from(value);
    if (!mtu || *mtu < 576 || *mtu > 65535) return "is no MTU (576 to 65535)";
    flags.settings.mtu = static_cast<std::uint16_t>(*mtu);
  } else if (name == "isn") {
    const auto seed = number_from(value);
    if (!seed) return "is no number";
    draw_keys(flags.settings, *seed);
  } else if (Duration* const length = interval(flags, name)) {
    const auto given = duration_from(value);
    if (!given || *given == Duration{}) return "is no time, such as 40ms, 60s, 2min or 1h";
    *length = *given;
  } else {
    return "is not known (local, mtu, isn, time-wait, rto-initial, rto-min, rto-max, delayed-ack, patience)";
  }
  return {};
}

}  // namespace

std::expected<Flags, std::string> parse_flags(std::string_view text) {
  constexpr std::string_view kBetween = " \t\n,";
  Flags flags;
  draw_keys(flags.settings, 1);
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
    if (text.empty()) break;
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    text.remove_prefix(word.size());
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) return std::unexpected(std::string(word) + ": is not NAME=VALUE");
    const std::string what = take(flags, word.substr(0, equals), std::string(word.substr(equals + 1)));
    if (!what.empty()) return std::unexpected(std::string(word) + ": " + what);
  }
  // Where packetdrill puts a script that chooses nothing.
  flags.settings.addresses.push_back(Address::v4(192, 168, 0, 1));
  flags.settings.addresses.push_back(*address_from("fd3d:fa7b:d17d::1"));
  return flags;
}

}  // namespace adieu::packetdrill
