// What leaves an engine fits the state that it is in.
#include <string>

#include "sim/checkers.h"
#include "sim/pattern.h"

namespace adieu::sim {

void WireChecker::sent(unsigned host, const End* end, const wire::Segment& s, Instant now) {
  if (s.rst) {
    if (!s.payload.empty() || s.syn || s.fin) fail(now, "an RST that carries more than itself");
    return;
  }
  if (end == nullptr) return fail(now, std::string{host_letter(host)} + " sends for a connection that never was");
  if (!end->lives()) return fail(now, label(*end) + " is over and sends what is no RST");
  check_living(*end, s, now);
  if (!s.payload.empty()) check_octets(*end, s, now);
  if (!s.syn) check_windows(*end, s, now);
}

void WireChecker::check_windows(const End& end, const wire::Segment& s, Instant now) {
  if (!end.has_promised) return;
  // RFC 9293 section 3.8.6: "A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the
  // left". By less than a unit of the scale it may (RFC 7323 section 2.4): what cannot be told exactly is rounded down.
  const std::uint32_t window = std::uint32_t{s.window} << end.shift();
  if (end.promised - (s.ack + window) >= 1 << end.shift()) fail(now, label(end) + " shrinks its window");
  // Section 3.8.6.1: one octet may probe a window that is closed; nothing else goes beyond its edge.
  if (s.length() > 1 && s.end() - end.granted > 0) fail(now, label(end) + " sends beyond its peer's window");
}

void WireChecker::check_living(const End& end, const wire::Segment& s, Instant now) {
  using enum State;
  const bool is_before = end.state == SynSent || end.state == SynReceived;
  if (s.syn && !is_before && end.facts.syn_acked) fail(now, label(end) + " sends a SYN");
  if (end.state == SynSent && !s.syn) fail(now, label(end) + " sends what is neither SYN nor RST");
  if (s.fin && !(end.state == FinWait1 || end.state == Closing || end.state == LastAck))
    fail(now, label(end) + " sends a FIN");
  if (end.state == TimeWait) {
    // RFC 9293 section 3.10.7.4: the remote FIN, sent again, is acknowledged; nothing else is ever said.
    if (!s.payload.empty()) fail(now, label(end) + " sends octets");
    if (end.delivered != now) fail(now, label(end) + " speaks without having been spoken to");
  }
  if (end.state == FinWait2 && s.payload.size() > 1) fail(now, label(end) + " sends octets after its FIN was taken");
  if (is_bare_probe(end, s) && end.bare_sent.is_known() && now - end.bare_sent < seconds(1))
    fail(now, label(end) + " sends two bare probes within a second");
}

// What was not written cannot be sent: neither new octets, nor old ones again, nor as a probe (DESIGN section 3).
void WireChecker::check_octets(const End& end, const wire::Segment& s, Instant now) {
  if (end.pair == nullptr || !end.has_iss) return fail(now, label(end) + " sends octets and never sent a SYN");
  const std::uint32_t position = distance(end.iss + 1, s.seq);
  if (position + s.payload.size() > end.written)
    return fail(now, label(end) + " sends octets that were not written: " + std::to_string(position) + "+" +
                         std::to_string(s.payload.size()) + " of " + std::to_string(end.written));
  const std::size_t wrong = first_difference(book_.stream_of(end), position, s.payload);
  if (wrong < s.payload.size()) fail(now, label(end) + " sends a wrong octet at " + std::to_string(position + wrong));
}

void WireChecker::answered(unsigned, const plane::Receipt& receipt) {
  if (receipt.kind == plane::CommandKind::Probe && receipt.outcome == plane::Outcome::Done &&
      receipt.state == State::TimeWait)
    fail(receipt.at, "a probe was sent from TIME-WAIT");
}

}  // namespace adieu::sim
