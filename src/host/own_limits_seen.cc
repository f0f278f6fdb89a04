// One question to sock_diag, a dozen small files, one duplicate at the most; then the words.
#include "host/own_limits_seen.h"

#include <fmt/format.h>

#include "host/kernel_prospect.h"
#include "host/network_seen.h"
#include "host/sentences.h"
#include "host/text.h"
#include "kernel/duplicate.h"
#include "kernel/sock_diag.h"

namespace adieu::host {
namespace {

using kernel::Limit;
using kernel::LimitedBy;
using kernel::Timer;

constexpr std::uint64_t kAnyCookie = UINT64_MAX;  // INET_DIAG_NOCOOKIE: whichever has these addresses

std::optional<kernel::Socket> find(const ConnectionView& view) {
  auto diag = kernel::Diag::open();
  if (!diag) return std::nullopt;
  const kernel::SocketKey key{.cookie = kAnyCookie,
                              .local = view.record.local,
                              .remote = view.record.remote,
                              .interface = 0,
                              .network = view.record.beside.network};
  const auto found = diag->find(key);
  return found ? *found : std::nullopt;
}

void read_options(const ConnectionView& view, std::uint64_t cookie, OwnLimitsSeen& seen) {
  const plane::Beside& beside = view.record.beside;
  if (view.record.holder != plane::Holder::Held) return;
  bool root_would = beside.process == 0 && !beside.looked_everywhere;
  if (beside.process != 0) {
    const auto duplicate = kernel::Duplicate::take(beside.process, beside.descriptor, cookie);
    const auto read = duplicate ? kernel::read_options(duplicate->get()) : std::unexpected(duplicate.error());
    if (read) seen.options = *read;
    root_would = !read && read.error().kind == kernel::ErrorKind::NotPermitted;
  }
  if (!seen.options)
    seen.unseen = fmt::format("not read: what its program has set (TCP_USER_TIMEOUT, keepalive, TCP_LINGER2){}",
                              root_would ? "; root would read it" : "");
}

// close() has left it to the kernel.
bool is_orphan(const kernel::Socket& socket) { return socket.inode == 0 && is_sending_closed(socket.state); }

std::string in(Instant at, Instant now) { return "in " + readable(later(Duration{}, at - now)); }
std::string about(Instant at, Instant now) { return at <= now ? std::string("now") : "in about " + readable(at - now); }

std::string_view noun_of(const OwnLimitsSeen& seen) {
  if (seen.limit->by == LimitedBy::SynRetries) return "repeated SYN";
  if (seen.limit->by == LimitedBy::SynAckRetries) return "repeated SYN,ACK";
  if (seen.timer == Timer::Keepalive) return "unanswered keepalive";
  if (seen.timer == Timer::Persist) return "unanswered zero-window probe";
  return "retransmission";
}

// "3 retransmissions so far, the next in 1.2 s; if nobody answers, it gives up in about 52 s, after 5 more"
std::string course(const OwnLimitsSeen& seen, Instant now) {
  const Limit& limit = *seen.limit;
  const std::string_view noun = noun_of(seen);
  const std::string made = limit.made == 0 ? fmt::format("no {} so far", noun) : counted(limit.made, noun) + " so far";
  if (limit.left == 0)
    return fmt::format("{}, the last; if nobody answers, it gives up {}", made, about(limit.gives_up, now));
  return fmt::format("{}, the next {}; if nobody answers, it gives up {}, after {} more", made, in(limit.next, now),
                     about(limit.gives_up, now), limit.left);
}

std::string setting(const OwnLimitsSeen& seen, const Limit& limit) {
  const kernel::Settings& s = *seen.settings;
  const bool is_own = seen.options.has_value();
  switch (limit.by) {
    case LimitedBy::Retries2: return fmt::format("tcp_retries2 = {}", s.retries2);
    case LimitedBy::OrphanRetries:
      if (s.orphan_retries > 0) return fmt::format("tcp_orphan_retries = {}", s.orphan_retries);
      return seen.timer == Timer::Retransmit && limit.span < seconds(1)
                 ? "tcp_orphan_retries = 0: none once they are tcp_rto_max_ms apart"
                 : "tcp_orphan_retries = 0, which means 8";
    case LimitedBy::SynRetries: {
      const unsigned own = is_own ? seen.options->syn_retries : s.syn_retries;
      return fmt::format(
          "{} = {}{}", own == s.syn_retries ? "tcp_syn_retries" : "TCP_SYNCNT", own,
          s.syn_linear_timeouts > 0 ? fmt::format(" and tcp_syn_linear_timeouts = {}", s.syn_linear_timeouts) : "");
    }
    case LimitedBy::SynAckRetries:
      return fmt::format("tcp_synack_retries = {}, if its listener did not set TCP_SYNCNT", s.synack_retries);
    case LimitedBy::KeepaliveProbes: {
      if (is_own)
        return fmt::format("the socket's own: first after {}, then every {}, {} of them",
                           readable(seen.options->keepalive_time), readable(seen.options->keepalive_interval),
                           seen.options->keepalive_probes);
      return fmt::format("the network's, if its program did not set its own: first after {}, then every {}, {} of them",
                         readable(s.keepalive_time), readable(s.keepalive_interval), s.keepalive_probes);
    }
    case LimitedBy::UserTimeout: return "TCP_USER_TIMEOUT = " + readable(limit.span);
    case LimitedBy::RtoMax:
      return fmt::format("its peer's window is closed, and it may be silent for twice tcp_rto_max_ms = {}",
                         readable(limit.span));
  }
  return {};
}

std::string limit_in_words(const OwnLimitsSeen& seen, Instant now) {
  const Limit& limit = *seen.limit;
  const std::string text = setting(seen, limit);
  if (seen.timer == Timer::Persist || limit.by == LimitedBy::RtoMax) {
    if (!limit.at_latest.is_known()) return text + "; while it is answered, never";
    return text + (limit.at_latest == limit.gives_up ? "; answered or not"
                                                     : "; answered as well, " + about(limit.at_latest, now));
  }
  const bool is_time = limit.by == LimitedBy::Retries2 || limit.by == LimitedBy::OrphanRetries;
  return is_time ? text + fmt::format(": {} from the first on", readable(limit.span)) : text;
}

// What will hold once something is sent, or it is closed.
std::string prospects(const kernel::Options& options, const ConnectionView& view, bool is_said) {
  std::vector<std::string> parts;
  if (options.user_timeout > Duration{} && !is_said)
    parts.push_back(fmt::format("TCP_USER_TIMEOUT: what it sends and nobody acknowledges for {} ends it",
                                readable(options.user_timeout)));
  const State state = view.record.state;
  if (state == State::FinWait1 || state == State::FinWait2)
    parts.push_back(options.resets_instead_of_wait
                        ? std::string("once closed, it is reset at once (TCP_LINGER2)")
                        : fmt::format("once closed, {} more for the peer's FIN", readable(options.fin_wait)));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

}  // namespace

OwnLimitsSeen own_limits_of(const ConnectionView& view) {
  OwnLimitsSeen seen;
  const plane::Record& r = view.record;
  if (view.kind != plane::PlaneKind::Kernel || r.has_ended()) return seen;
  seen.warning = immortality_of(r, running_release());
  const kernel::NamespaceFile network = network_of(view);
  const kernel::Inside inside(network);
  if (!inside.is_in()) {
    seen.unseen = "not read: root would also read when its network's kernel gives it up (tcp_retries2 and others)";
    return seen;
  }
  seen.settings = kernel::read_settings();
  const auto socket = find(view);
  if (!socket) return seen;
  seen.timer = socket->timer;
  read_options(view, socket->key.cookie, seen);
  if (!seen.settings) return seen;
  seen.limit = kernel::limit_of(*socket, is_orphan(*socket), *seen.settings, seen.options ? &*seen.options : nullptr);
  return seen;
}

namespace {

// The verdict says that its kernel's clock ends it, if nobody answers.
bool is_what_ends_it(control::Ends ends) {
  return ends == control::Ends::OwnRetransmissions || ends == control::Ends::OwnKeepalive ||
         ends == control::Ends::ConnectAnswered;
}

}  // namespace

Instant ends_about(const OwnLimitsSeen& seen, const ConnectionView& view) {
  if (!seen.limit) return Instant::never();
  const control::Ends ends = view.seen.verdict.ends;
  if (is_what_ends_it(ends)) return later(seen.limit->gives_up, view.now);
  const bool acts = ends == control::Ends::CommandedAbort || ends == control::Ends::Policy;
  return seen.limit->at_latest.is_known() && !acts ? later(seen.limit->at_latest, view.now) : Instant::never();
}

std::string ending(const OwnLimitsSeen& seen, const ConnectionView& view) {
  const Instant at = ends_about(seen, view);
  if (!at.is_known()) return {};
  if (is_what_ends_it(view.seen.verdict.ends)) return fmt::format("{}: {}", about(at, view.now), view.ending());
  return fmt::format("{} at the latest: its kernel giving up, whoever answers; before, {}", about(at, view.now),
                     view.ending());
}

std::vector<std::string> sentences(const OwnLimitsSeen& seen, const ConnectionView& view) {
  std::vector<std::string> lines;
  if (seen.limit) {
    lines.push_back(course(seen, view.now));
    lines.push_back(limit_in_words(seen, view.now));
  }
  const bool is_said = seen.limit && seen.limit->by == LimitedBy::UserTimeout;
  if (seen.options)
    if (std::string line = prospects(*seen.options, view, is_said); !line.empty()) lines.push_back(std::move(line));
  // Where no clock runs, what its program has set can wait.
  if (!seen.unseen.empty() && (seen.limit || !seen.settings)) lines.push_back(seen.unseen);
  if (!seen.warning.empty()) lines.push_back("WARNING: " + seen.warning);
  return lines;
}

}  // namespace adieu::host
