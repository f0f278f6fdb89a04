// The words. What it does to each state of a socket was measured on Linux 6.18.
#include "host/keepalive_prospect.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "control/evidence.h"
#include "host/text.h"

namespace adieu::host {
namespace {

using plane::Ability;

// As they would be afterwards.
struct Values {
  std::optional<Duration> idle, interval;
  std::optional<unsigned> count;
  bool is_guess = false;  // some are the network's, which its program may have changed
};

Values values_of(const plane::Keepalive& wanted, const OwnLimitsSeen& seen) {
  Values v;
  if (wanted.idle != 0) v.idle = seconds(wanted.idle);
  if (wanted.interval != 0) v.interval = seconds(wanted.interval);
  if (wanted.count != 0) v.count = wanted.count;
  if (v.idle && v.interval && v.count) return v;
  if (seen.options) {
    v.idle = v.idle.value_or(seen.options->keepalive_time);
    v.interval = v.interval.value_or(seen.options->keepalive_interval);
    v.count = v.count.value_or(seen.options->keepalive_probes);
  } else if (seen.settings) {
    v.idle = v.idle.value_or(seen.settings->keepalive_time);
    v.interval = v.interval.value_or(seen.settings->keepalive_interval);
    v.count = v.count.value_or(seen.settings->keepalive_probes);
    v.is_guess = true;
  }
  return v;
}

// Nothing of it would change.
bool is_as_wanted(const plane::Record& record, const plane::Keepalive& wanted, const Values& v,
                  const OwnLimitsSeen& seen) {
  if (!seen.options) return record.beside.keepalive && wanted == plane::Keepalive{};
  return seen.options->keepalive && v.idle == seen.options->keepalive_time &&
         v.interval == seen.options->keepalive_interval && v.count == seen.options->keepalive_probes;
}

std::string span(const std::optional<Duration>& known, std::string_view setting) {
  return known ? readable(*known) : std::string(setting);
}

std::string why_not(const plane::Record& record, plane::Abilities abilities, const OwnLimitsSeen& seen) {
  if (record.has_ended()) return std::string(message(control::Refusal::Ended));
  if (!plane::has(abilities, Ability::Keepalive))
    return "the kernel plane cannot take a duplicate of a descriptor (Linux 5.6, pidfd_getfd)";
  if (record.state == State::TimeWait)
    return "TIME-WAIT is the protocol's own quarantine: both ends have closed, and it ends by itself";
  if (!is_synchronized(record.state)) return fmt::format("in {} there is no peer yet to be asked", name(record.state));
  if (seen.options && seen.options->user_timeout > Duration{})
    return fmt::format(
        "its program has set TCP_USER_TIMEOUT to {}: a single question without an answer could then end it; --reset "
        "ends it",
        readable(seen.options->user_timeout));
  if (record.holder != plane::Holder::Held || (record.beside.looked && record.beside.process == 0))
    return "no process has a descriptor of it through which SO_KEEPALIVE could be switched on; --reset ends it";
  return fmt::format("in {} our FIN waits for its acknowledgement: its kernel repeats it, and asks nothing else",
                     name(record.state));
}

std::string application(const plane::Record& record, const Values& v) {
  const std::string when = v.idle && v.interval && v.count
                               ? fmt::format("{} after it was heard last{}", readable(*v.idle + *v.interval * *v.count),
                                             record.beside.keepalive ? "" : ", and no sooner than that from now")
                               : std::string("after the idle span and its questions");
  const std::string_view then =
      is_receiving_closed(record.state)
          ? "reading goes on to say end of stream, as before; its next write fails: ETIMEDOUT, from then on EPIPE"
          : "its next read or write fails: ETIMEDOUT, once; from then on end of stream, and EPIPE";
  const bool is_pending = record.unsent != plane::kUnknownCount && record.unsent > 0;
  const std::string_view first =
      is_pending ? "once what it has sent is acknowledged, as until then its retransmissions decide: " : "";
  return fmt::format("{}nothing while the peer answers; if the peer is silent, {}{}: {}", first, when,
                     v.is_guess ? ", if its program has not set its own values" : "", then);
}

// What the plane will see, and who tells does not.
std::string_view may_be_refused(const OwnLimitsSeen& seen) {
  return seen.options ? "" : "; refused if its program has set TCP_USER_TIMEOUT";
}

}  // namespace

Prospect keepalive_prospect_of(const plane::Record& record, plane::Abilities abilities, const plane::Keepalive& wanted,
                               const OwnLimitsSeen& seen) {
  Prospect prospect;
  prospect.how = EndHow::Keepalive;
  control::Evidence evidence;
  evidence.state = record.state;
  evidence.holder = record.holder;
  evidence.beside = record.beside;
  evidence.abilities = abilities;
  const bool is_limited = seen.options && seen.options->user_timeout > Duration{};
  const Values v = values_of(wanted, seen);
  if (record.has_ended() || !control::can_have_keepalive(evidence) ||
      (is_limited && !is_as_wanted(record, wanted, v, seen))) {
    prospect.refused = record.has_ended() ? control::Refusal::Ended : control::Refusal::Unable;
    prospect.here = why_not(record, abilities, seen);
    return prospect;
  }
  const std::string whose = record.beside.process == 0 ? std::string("its application's descriptor")
                                                       : fmt::format("descriptor {} of process {}",
                                                                     record.beside.descriptor, record.beside.process);
  const std::string idle = span(v.idle, "tcp_keepalive_time");
  const std::string asks = fmt::format(
      "the kernel asks the peer after {} without a segment, then every {}, {}", idle,
      span(v.interval, "tcp_keepalive_intvl"),
      v.count ? counted(*v.count, "question") + " in all" : std::string("tcp_keepalive_probes questions in all"));
  const std::string_view is_done =
      record.beside.keepalive ? "it is on already, and told new values" : "SO_KEEPALIVE is switched on";
  if (is_as_wanted(record, wanted, v, seen))
    prospect.here = v.is_guess ? std::string("nothing is changed, as it is on already")
                               : fmt::format("nothing is changed, as it is on already: {}", asks);
  else
    prospect.here = fmt::format(
        "{} through a duplicate of {}, and stays on: {}; it lives on while it is answered, and ends when nobody "
        "answers{}",
        is_done, whose, asks, may_be_refused(seen));
  prospect.application = application(record, v);
  prospect.peer = fmt::format(
      "if it is there: a segment without data after each {} of silence, which its kernel answers; if it has forgotten "
      "the connection, its answer is a reset, which ends it; if it does not answer: a RST at the end",
      idle);
  return prospect;
}

}  // namespace adieu::host
