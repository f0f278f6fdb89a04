// The kernel's course, one function a timer. What does not live here: netlink (sock_diag.h), duplicates (duplicate.h).
#include "kernel/own_limits.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>

namespace adieu::kernel {
namespace {

constexpr Duration kFirstTimeout = milliseconds(200);  // TCP_RTO_MIN, whatever the round trip
constexpr Duration kFirstSyn = seconds(1);             // TCP_TIMEOUT_INIT
constexpr unsigned kOrphanRetries = 8;                 // what tcp_orphan_retries = 0 means
constexpr int kRtoMaxMs = 44;                          // TCP_RTO_MAX_MS, since Linux 6.15
constexpr Duration kShortest = milliseconds(1);        // no timer is shorter: the course ends

// What fires a hair too early by this reckoning fires late enough in truth.
bool has_passed(Duration span, Duration limit) { return span + span / 128 >= limit; }

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// -1: there is none, or it may not be read.
long sysctl(const char* name) {
  const std::unique_ptr<std::FILE, Close> file(
      std::fopen((std::string("/proc/sys/net/ipv4/tcp_") + name).c_str(), "re"));
  long value = -1;
  return file && std::fscanf(file.get(), "%ld", &value) == 1 ? value : -1;
}
void read_count(const char* name, unsigned& into) {
  if (const long value = sysctl(name); value >= 0) into = static_cast<unsigned>(value);
}
void read_span(const char* name, Duration unit, Duration& into) {
  if (const long value = sysctl(name); value >= 0) into = unit * value;
}

// Everything that limits this socket, from wherever it is known.
struct Terms {
  const Socket& socket;
  const Settings& settings;
  bool is_orphan;
  Duration user_timeout;
  Duration rto_max;
  unsigned syn_retries;
  Duration keepalive_time, keepalive_interval;
  unsigned keepalive_probes;
};

Duration doubled(Duration rto, unsigned times, Duration rto_max) {
  for (; times > 0 && rto < rto_max; --times) rto = rto * 2;
  return earlier(rto, rto_max);
}

// How long the timer was before any backoff. At its maximum it no longer tells how often it was doubled.
Duration base_of(const Terms& t) {
  const Socket& s = t.socket;
  if (s.rto < t.rto_max) return later(s.rto / (std::int64_t{1} << std::min<unsigned>(s.backoff, 40)), kShortest);
  if (s.round_trip == Duration{}) return kFirstSyn;
  return earlier(s.round_trip + later(kFirstTimeout, s.round_trip_deviation * 4), t.rto_max);
}

// How long the timer ran in all before it fires next, from when `since` of `made` retransmissions had been made.
Duration ran(const Terms& t, unsigned since, unsigned made) {
  const unsigned not_doubled = made - std::min<unsigned>(made, t.socket.backoff);
  const Duration base = base_of(t);
  Duration sum;
  for (unsigned i = since; i <= made; ++i) sum = sum + doubled(base, i > not_doubled ? i - not_doubled : 0, t.rto_max);
  return sum;
}

unsigned orphan_retries(const Terms& t, bool backs_off) {
  return t.settings.orphan_retries == 0 && backs_off ? kOrphanRetries : t.settings.orphan_retries;
}

// The timer does not run past the user timeout.
Instant next_of(const Terms& t, Instant at, Instant first, Duration rto) {
  if (t.user_timeout == Duration{}) return at + rto;
  return at + earlier(rto, later(first + t.user_timeout - at, kShortest));
}

Limit retransmissions(const Terms& t) {
  const Socket& s = t.socket;
  Limit limit{.by = t.is_orphan ? LimitedBy::OrphanRetries : LimitedBy::Retries2,
              .made = s.retransmits,
              .next = s.read_at + s.expires};
  Instant at = limit.next;
  Instant first = s.retransmits == 0 ? at : at - ran(t, 1, s.retransmits);
  if (t.user_timeout > Duration{}) limit.by = LimitedBy::UserTimeout;
  Duration rto = earlier(later(s.rto, kShortest), t.rto_max);
  for (std::uint32_t made = s.retransmits;; ++made) {
    const unsigned retries = t.is_orphan ? orphan_retries(t, rto < t.rto_max) : t.settings.retries2;
    limit.span = t.user_timeout > Duration{} ? t.user_timeout : time_of(retries, kFirstTimeout, t.rto_max);
    limit.left = made - s.retransmits;
    limit.gives_up = at;
    if (made > 0 && has_passed(at - first, limit.span)) return limit;
    rto = doubled(rto, 1, t.rto_max);
    at = next_of(t, at, first, rto);
  }
}

// Data is in flight, and the window was closed since: retransmitted for ever while the peer answers
// (tcp_retransmit_timer; older kernels allow one tcp_rto_max_ms of silence instead of two). By the source: a peer
// that does this was not at hand to measure.
Limit into_no_window(const Terms& t) {
  const Socket& s = t.socket;
  // These it does not count, but it doubles the timer.
  Limit limit{.by = LimitedBy::RtoMax, .made = s.backoff, .next = s.read_at + s.expires};
  const Instant heard = s.read_at - s.since_ack;
  const Instant first = s.backoff == 0 ? limit.next : limit.next - ran(t, 1, s.backoff);
  limit.span = t.rto_max * 2;
  if (t.user_timeout > Duration{} && t.user_timeout < limit.span) limit.span = t.user_timeout;
  Instant at = limit.next;
  Duration rto = earlier(later(s.rto, kShortest), t.rto_max);
  for (; at - heard <= limit.span || at - first <= limit.span; ++limit.left) {
    rto = doubled(rto, 1, t.rto_max);
    at = at + rto;
  }
  limit.gives_up = at;
  if (t.user_timeout > Duration{}) limit.at_latest = later(at, first + t.user_timeout);
  return limit;
}

// SYN-SENT. The clock starts with the first SYN.
Limit connecting(const Terms& t) {
  const Socket& s = t.socket;
  Limit limit{.by = LimitedBy::SynRetries, .made = s.retransmits, .next = s.read_at + s.expires};
  const unsigned most = t.syn_retries + t.settings.syn_linear_timeouts;
  const Duration span = time_of(t.syn_retries, kFirstSyn, t.rto_max);
  Instant at = limit.next;
  const Instant first = at - ran(t, 0, s.retransmits);
  Duration rto = earlier(later(s.rto, kShortest), t.rto_max);
  for (std::uint32_t made = s.retransmits;; ++made) {
    limit.left = made - s.retransmits;
    limit.gives_up = at;
    const bool is_too_long = has_passed(at - first, t.user_timeout > Duration{} ? t.user_timeout : span);
    if (made >= most) return limit;
    if (made > 0 && is_too_long) {
      if (t.user_timeout > Duration{}) {
        limit.by = LimitedBy::UserTimeout;
        limit.span = t.user_timeout;
      }
      return limit;
    }
    if (made + 1 > t.settings.syn_linear_timeouts) rto = doubled(rto, 1, t.rto_max);
    at = next_of(t, at, first, rto);
  }
}

// SYN-RECEIVED, which belongs to its listener: that one's TCP_SYNCNT is not known here.
Limit answering(const Terms& t) {
  const Socket& s = t.socket;
  Limit limit{.by = LimitedBy::SynAckRetries, .made = s.timer_retries, .next = s.read_at + s.expires};
  limit.gives_up = limit.next;
  for (std::uint32_t made = limit.made; made < t.settings.synack_retries; ++made, ++limit.left)
    limit.gives_up = limit.gives_up + doubled(kFirstSyn, made + 1, t.rto_max);
  return limit;
}

// Zero-window probes. `answered`: each of them, at once, by a window that stays closed.
void probe_on(const Terms& t, bool answered, Limit& limit) {
  const Socket& s = t.socket;
  if (answered && !t.is_orphan && t.user_timeout == Duration{}) return;  // for ever
  const Duration base = later(s.rto, kFirstTimeout);                     // tcp_probe0_base
  unsigned backoff = s.backoff;
  std::uint32_t made = answered ? 0 : s.probes;
  Instant at = limit.next;
  Instant first = at;
  for (unsigned i = 1; i <= backoff; ++i) first = first - doubled(base, i, t.rto_max);
  for (std::uint32_t sent = 0;; ++sent) {
    const bool backs_off = doubled(base, backoff, t.rto_max) < t.rto_max;
    const unsigned most = t.is_orphan ? orphan_retries(t, backs_off) : t.settings.retries2;
    const bool is_too_far = t.is_orphan && !backs_off && backoff >= most;
    const bool is_too_long =
        t.user_timeout > Duration{} && sent + backoff > 0 && has_passed(at - first, t.user_timeout);
    if (is_too_far || is_too_long || made >= most) {
      (answered ? limit.at_latest : limit.gives_up) = at;
      if (!answered) limit.left = sent;
      if (!answered && is_too_long) limit.by = LimitedBy::UserTimeout;
      if (!answered && is_too_long) limit.span = t.user_timeout;
      return;
    }
    const bool grows = backoff < t.settings.retries2;
    if (answered && !grows && t.user_timeout == Duration{}) return;  // and so on, for ever
    if (grows) ++backoff;
    if (!answered) ++made;
    at = next_of(t, at, first, doubled(base, backoff, t.rto_max));
  }
}
Limit probing(const Terms& t) {
  Limit limit{.by = t.is_orphan ? LimitedBy::OrphanRetries : LimitedBy::Retries2,
              .made = t.socket.probes,
              .next = t.socket.read_at + t.socket.expires};
  probe_on(t, true, limit);
  probe_on(t, false, limit);
  return limit;
}

// The timer is not set anew by what is heard: it fires, and is then set to what is missing.
Limit asking(const Terms& t) {
  const Socket& s = t.socket;
  Limit limit{.by = LimitedBy::KeepaliveProbes, .made = s.probes, .next = s.read_at + s.expires};
  if (t.user_timeout > Duration{}) limit.by = LimitedBy::UserTimeout;
  limit.span = t.user_timeout;
  const Instant heard = s.read_at - earlier(s.since_data, s.since_ack);
  const Instant begins = heard + t.keepalive_time;
  Instant at = later(limit.next, begins);
  limit.next = at;
  for (std::uint32_t made = s.probes;; ++made) {
    limit.left = made - s.probes;
    limit.gives_up = at;
    const bool is_enough =
        t.user_timeout > Duration{} ? has_passed(at - heard, t.user_timeout) && made > 0 : made >= t.keepalive_probes;
    if (is_enough) return limit;
    at = at + later(t.keepalive_interval, kShortest);
  }
}

bool get(int file, int level, int option, int& into) {
  socklen_t length = sizeof into;
  return ::getsockopt(file, level, option, &into, &length) == 0;
}

}  // namespace

Duration time_of(unsigned retransmissions, Duration first, Duration rto_max) {
  unsigned doublings = 0;
  while (doublings < 40 && first * (std::int64_t{2} << doublings) <= rto_max) ++doublings;
  if (retransmissions <= doublings) return first * ((std::int64_t{2} << retransmissions) - 1);
  return first * ((std::int64_t{2} << doublings) - 1) + rto_max * (retransmissions - doublings);
}

std::optional<Limit> limit_of(const Socket& socket, bool is_orphan, const Settings& settings, const Options* options) {
  Terms t{.socket = socket,
          .settings = settings,
          .is_orphan = is_orphan,
          .user_timeout = {},
          .rto_max = later(settings.rto_max, kFirstTimeout),
          .syn_retries = settings.syn_retries,
          .keepalive_time = settings.keepalive_time,
          .keepalive_interval = settings.keepalive_interval,
          .keepalive_probes = settings.keepalive_probes};
  if (options != nullptr) {
    t.user_timeout = options->user_timeout;
    t.rto_max = later(options->rto_max.value_or(t.rto_max), kFirstTimeout);
    t.syn_retries = options->syn_retries;
    t.keepalive_time = options->keepalive_time;
    t.keepalive_interval = options->keepalive_interval;
    t.keepalive_probes = options->keepalive_probes;
  }
  if (socket.state == State::SynReceived && !socket.is_whole) return answering(t);
  if (!socket.is_whole) return std::nullopt;
  switch (socket.timer) {
    case Timer::Retransmit:
      if (socket.state == State::SynSent) return connecting(t);
      if (socket.peer_window_known && socket.peer_window == 0 && !is_orphan && is_synchronized(socket.state))
        return into_no_window(t);
      return retransmissions(t);
    case Timer::Persist: return probing(t);
    case Timer::Keepalive:
      if (is_orphan) return std::nullopt;
      return asking(t);
    case Timer::None:
    case Timer::TimeWait:
    case Timer::Other: break;
  }
  return std::nullopt;
}

std::optional<Settings> read_settings() {
  if (sysctl("retries2") < 0) return std::nullopt;
  Settings settings;
  read_count("retries2", settings.retries2);
  read_count("orphan_retries", settings.orphan_retries);
  read_count("syn_retries", settings.syn_retries);
  read_count("syn_linear_timeouts", settings.syn_linear_timeouts);
  read_count("synack_retries", settings.synack_retries);
  read_count("keepalive_probes", settings.keepalive_probes);
  read_span("rto_max_ms", milliseconds(1), settings.rto_max);
  read_span("keepalive_time", seconds(1), settings.keepalive_time);
  read_span("keepalive_intvl", seconds(1), settings.keepalive_interval);
  read_span("fin_timeout", seconds(1), settings.fin_timeout);
  return settings;
}

std::expected<Options, Error> read_options(int file) {
  int keepalive = 0, idle = 0, interval = 0, count = 0, user_timeout = 0, linger = 0, syn = 0, rto_max = 0;
  const bool is_read = get(file, SOL_SOCKET, SO_KEEPALIVE, keepalive) && get(file, IPPROTO_TCP, TCP_KEEPIDLE, idle) &&
                       get(file, IPPROTO_TCP, TCP_KEEPINTVL, interval) && get(file, IPPROTO_TCP, TCP_KEEPCNT, count) &&
                       get(file, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout) &&
                       get(file, IPPROTO_TCP, TCP_LINGER2, linger) && get(file, IPPROTO_TCP, TCP_SYNCNT, syn);
  if (!is_read) return std::unexpected(Error{ErrorKind::System, errno});
  Options options;
  options.keepalive = keepalive != 0;
  options.keepalive_time = seconds(idle);
  options.keepalive_interval = seconds(interval);
  options.keepalive_probes = static_cast<unsigned>(count);
  options.user_timeout = milliseconds(user_timeout);
  options.fin_wait = seconds(std::max(linger, 0));
  options.resets_instead_of_wait = linger < 0;
  options.syn_retries = static_cast<unsigned>(syn);
  if (get(file, IPPROTO_TCP, kRtoMaxMs, rto_max)) options.rto_max = milliseconds(rto_max);
  return options;
}

std::string_view name(LimitedBy by) {
  switch (by) {
    case LimitedBy::Retries2: return "tcp_retries2";
    case LimitedBy::OrphanRetries: return "tcp_orphan_retries";
    case LimitedBy::SynRetries: return "tcp_syn_retries";
    case LimitedBy::SynAckRetries: return "tcp_synack_retries";
    case LimitedBy::KeepaliveProbes: return "TCP_KEEPCNT";
    case LimitedBy::UserTimeout: return "TCP_USER_TIMEOUT";
    case LimitedBy::RtoMax: return "tcp_rto_max_ms";
  }
  return "?";
}

}  // namespace adieu::kernel
