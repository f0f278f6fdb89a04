// Parsing and printing for people. inet_pton and inet_ntop know addresses; the rest is short.
#include "host/text.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace adieu::host {
namespace {

// `base` for whole numbers only.
template <typename T, typename... Base>
std::optional<T> number(std::string_view digits, Base... base) {
  T value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base...);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
// The longest that divides is printed, so the order matters.
constexpr Unit kUnits[] = {{"h", 3'600'000'000'000}, {"min", 60'000'000'000}, {"s", 1'000'000'000},
                           {"ms", 1'000'000},        {"us", 1'000},           {"ns", 1}};

}  // namespace

std::string text(const Address& address) {
  char out[INET6_ADDRSTRLEN] = {};
  const bool v4 = address.family() == Family::V4;
  inet_ntop(v4 ? AF_INET : AF_INET6, address.octets.data() + (v4 ? 12 : 0), out, sizeof out);
  return out;
}

std::string text(const Endpoint& endpoint) {
  const bool v4 = endpoint.address.family() == Family::V4;
  return fmt::format("{}{}{}:{}", v4 ? "" : "[", text(endpoint.address), v4 ? "" : "]", endpoint.port);
}

std::string text(const Prefix& prefix) { return fmt::format("{}/{}", text(prefix.address), prefix.bits); }
std::string text(const NamedId& id) { return fmt::format("{}/{}.{}", id.plane, id.slot, id.generation); }
std::string hex16(std::uint64_t value) { return fmt::format("{:016x}", value); }

std::string text(Duration duration) {
  for (const Unit& unit : kUnits)
    if (duration.ns != 0 && duration.ns % unit.ns == 0) return fmt::format("{}{}", duration.ns / unit.ns, unit.name);
  return "0s";
}

std::string printable(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c >= ' ' && c <= '~')
      safe += c;
    else
      safe += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return safe;
}

std::string counted(std::uint64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

std::string readable(Duration duration) {
  const double s = duration.seconds();
  if (s < 0) return "-" + readable(Duration{-duration.ns});
  if (s < 1e-3) return fmt::format("{:.0f} us", s * 1e6);
  if (s < 1) return fmt::format("{:.0f} ms", s * 1e3);
  if (s < 60) return fmt::format("{:.1f} s", s);
  const auto whole = static_cast<std::int64_t>(s);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

Result<Address> parse_address(std::string_view text) {
  const std::string whole(text);
  Address address = Address::v4(0, 0, 0, 0);
  if (inet_pton(AF_INET, whole.c_str(), address.octets.data() + 12) == 1) return address;
  address = {};
  // ::ffff:a.b.c.d would be the IPv4 address a.b.c.d in this house's books, which is not what was written.
  if (inet_pton(AF_INET6, whole.c_str(), address.octets.data()) == 1 && address.family() == Family::V6) return address;
  return failed(fmt::format("`{}` is no IP address (write 10.77.0.2 or fd77::2)", printable(text)));
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const auto bad = [&] {
    return failed(fmt::format("`{}` is no address with a port (write 10.77.0.2:80 or [fd77::2]:80)", printable(text)));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto port = number<std::uint16_t>(text.substr(colon + 1));
  const auto address = parse_address(host);
  if (!port || !address || (address->family() == Family::V6) != bracketed) return bad();
  return Endpoint{*address, *port};
}

Result<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.rfind('/');
  if (slash != std::string_view::npos) {
    const auto address = parse_address(text.substr(0, slash));
    const auto bits = number<unsigned>(text.substr(slash + 1));
    if (address && bits && *bits <= (address->family() == Family::V4 ? 32U : 128U)) return Prefix{*address, *bits};
  }
  return failed(
      fmt::format("`{}` is no address with a prefix length (write 10.77.0.2/24 or fd77::2/64)", printable(text)));
}

Result<Duration> parse_duration(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && ((text[digits] >= '0' && text[digits] <= '9') || text[digits] == '.')) ++digits;
  const std::string_view unit = text.substr(digits);
  const std::string_view value = text.substr(0, digits);
  const auto bad = [&] {
    return failed(fmt::format("`{}` is no duration (write 500ms, 25s, 2min or 1h)", printable(text)));
  };
  if (value.empty()) return bad();
  if (value == "0" && unit.empty()) return Duration{};
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    if (const auto whole = number<std::int64_t>(value)) {
      if (*whole > Duration::max().ns / known.ns) return bad();
      return Duration{*whole * known.ns};
    }
    const auto decimal = number<double>(value);
    if (!decimal || *decimal * static_cast<double>(known.ns) > 9e18) return bad();
    return Duration{std::llround(*decimal * static_cast<double>(known.ns))};
  }
  return bad();
}

Result<NamedId> parse_id(std::string_view text) {
  const std::size_t slash = text.rfind('/');
  const std::size_t dot = text.rfind('.');
  if (slash != std::string_view::npos && slash > 0 && dot != std::string_view::npos && dot > slash) {
    const auto slot = number<std::uint32_t>(text.substr(slash + 1, dot - slash - 1));
    const auto generation = number<std::uint32_t>(text.substr(dot + 1));
    if (slot && generation) return NamedId{std::string(text.substr(0, slash)), *slot, *generation};
  }
  return failed(fmt::format("`{}` is no connection (write PLANE/SLOT.GENERATION as `adieu ls` does)", printable(text)));
}

Result<std::uint64_t> parse_hex16(std::string_view text) {
  const auto value = number<std::uint64_t>(text, 16);
  if (text.size() != 16 || !value)
    return failed(fmt::format("`{}` is no number of 16 hexadecimal digits", printable(text)));
  return *value;
}

std::optional<std::uint16_t> keepalive_span(Duration span) {
  const Duration whole = seconds(span.ns / seconds(1).ns);
  if (whole != span || whole < seconds(1) || whole > seconds(plane::kLongestKeepalive)) return std::nullopt;
  return static_cast<std::uint16_t>(whole.ns / seconds(1).ns);
}

Result<std::uint16_t> parse_keepalive_span(std::string_view text) {
  const auto parsed = parse_duration(text);
  if (!parsed) return std::unexpected(parsed.error());
  if (const auto told = keepalive_span(*parsed)) return *told;
  return failed(fmt::format("`{}` cannot be told to a socket: give whole seconds from 1s to {}s, such as 10min",
                            printable(text), plane::kLongestKeepalive));
}

std::string text(const plane::Keepalive& keepalive) {
  std::string all;
  const auto add = [&all](bool is_set, std::string_view name, const std::string& value) {
    if (is_set) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", name, value);
  };
  add(keepalive.idle != 0, "idle", readable(seconds(keepalive.idle)));
  add(keepalive.interval != 0, "interval", readable(seconds(keepalive.interval)));
  add(keepalive.count != 0, "count", std::to_string(keepalive.count));
  return all;
}

}  // namespace adieu::host
