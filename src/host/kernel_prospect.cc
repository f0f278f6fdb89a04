// The words.
#include "host/kernel_prospect.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <charconv>

#include "host/keepalive_prospect.h"

namespace adieu::host {
namespace {

using plane::Ability;
using plane::Holder;

bool has_descriptor(const plane::Record& record) {
  return record.holder == Holder::Held && (!record.beside.looked || record.beside.process != 0);
}

std::string why_not(EndHow how, const plane::Record& record, plane::Abilities abilities) {
  if (record.has_ended()) return std::string(message(control::Refusal::Ended));
  if (record.state == State::TimeWait)
    return "TIME-WAIT is the protocol's own quarantine: both ends have closed, and it ends by itself";
  switch (how) {
    case EndHow::Silent:
      return "the kernel ends no connection without telling the peer where an RST is due; --reset does";
    case EndHow::Reset: return "the kernel plane may not end a connection: it lacks CAP_NET_ADMIN";
    case EndHow::Finish:
    case EndHow::Keepalive: break;
  }
  if (!plane::has(abilities, Ability::Finish))
    return "the kernel plane cannot take a duplicate of a descriptor (Linux 5.6, pidfd_getfd); --reset ends it";
  if (is_sending_closed(record.state))
    return fmt::format("in {} our stream is closed already: there is no FIN left to send; --reset ends it",
                       name(record.state));
  if (!is_synchronized(record.state))
    return fmt::format("in {} there is no peer yet that could read a FIN; --reset ends it", name(record.state));
  return "no process has a descriptor of it through which a FIN could be sent; --reset ends it";
}

bool is_possible(EndHow how, const plane::Record& record, plane::Abilities abilities) {
  if (record.has_ended() || record.state == State::TimeWait) return false;
  switch (how) {
    case EndHow::Silent: return false;
    case EndHow::Reset: return plane::has(abilities, Ability::AbortReset);
    case EndHow::Finish:
    case EndHow::Keepalive: break;
  }
  return plane::has(abilities, Ability::Finish) && is_synchronized(record.state) && !is_sending_closed(record.state) &&
         has_descriptor(record);
}

std::string to_be_read(const plane::Record& record) {
  if (record.unread == plane::kUnknownCount || record.unread == 0) return {};
  return fmt::format("it can still read {} octets; ", record.unread);
}

// A leak of descriptors is not mended by ending connections.
std::string descriptor_stays(const plane::Record& record) {
  return record.holder == Holder::Held ? "; the descriptor stays open: only the program can close it" : "";
}

// The minisocket of an orphan in FIN-WAIT-2 is ended without a segment; in the other states none is due.
bool sends_reset(const plane::Record& record) {
  switch (record.state) {
    case State::Established:
    case State::CloseWait:
    case State::FinWait1:
    case State::SynReceived: return true;
    case State::FinWait2: return record.holder != Holder::Orphan;
    case State::Closed:
    case State::Listen:
    case State::SynSent:
    case State::Closing:
    case State::LastAck:
    case State::TimeWait: break;
  }
  return false;
}

std::string application_after_reset(const plane::Record& record) {
  switch (record.holder) {
    case Holder::Orphan: return "nothing: no application holds it";
    case Holder::AcceptQueue: return "its listener accepts it all the same, already ended";
    case Holder::Held:
    case Holder::Unknown: break;
  }
  const std::string stays = descriptor_stays(record);
  if (is_receiving_closed(record.state))
    return to_be_read(record) +
           "reading goes on to say end of stream, as before; its next write fails: ECONNABORTED, from then on EPIPE" +
           stays;
  return to_be_read(record) +
         "its next read or write fails: ECONNABORTED, once; from then on end of stream, and EPIPE" + stays;
}

std::string peer_after_reset(const plane::Record& record) {
  if (!sends_reset(record)) return "nothing now; if it is there, a reset once it sends anything";
  std::string lost;
  if (record.unsent != plane::kUnknownCount && record.unsent > 0)
    lost = fmt::format("; {} octets that it has not acknowledged may never reach it", record.unsent);
  if (record.state == State::FinWait2) return "if it is there: EPIPE, as it has had our end of stream" + lost;
  return "if it is there: ECONNRESET, whatever it was reading or writing" + lost;
}

// Somebody's last octets, or a FIN, are still to be acknowledged.
bool is_sending_orphan(const plane::Record& record) {
  return record.holder == Holder::Orphan &&
         (record.state == State::FinWait1 || record.state == State::Closing || record.state == State::LastAck);
}

std::string here_after_reset(const plane::Record& record) {
  std::string text = sends_reset(record) ? "the kernel sends a RST and the connection ends at once (SOCK_DESTROY)"
                                         : "the connection ends at once, without a segment (SOCK_DESTROY)";
  if (is_sending_orphan(record) && may_make_orphans_immortal(running_release()))
    text += fmt::format(
        "; WARNING: Linux {} may lack commit bac76cf89816: an orphan with a closed window is then not "
        "ended, and nothing ends it any more",
        running_release());
  return text;
}

}  // namespace

std::string_view running_release() {
  static const utsname names = [] {
    utsname said{};
    ::uname(&said);
    return said;
  }();
  return names.release;
}

bool may_make_orphans_immortal(std::string_view release) {
  unsigned major = 0;
  unsigned minor = 0;
  const char* const end = release.data() + release.size();
  const auto [dot, trouble] = std::from_chars(release.data(), end, major);
  if (trouble != std::errc{} || dot == end || *dot != '.') return false;
  if (std::from_chars(dot + 1, end, minor).ec != std::errc{}) return false;
  return major < 6 || (major == 6 && minor < 12);
}

std::string immortality_of(const plane::Record& record, std::string_view release) {
  if (!is_sending_orphan(record) || !may_make_orphans_immortal(release)) return {};
  if (record.beside.timer == plane::OwnTimer::None)
    return fmt::format(
        "it has something to send and no timer: Linux {} may lack commit bac76cf89816, and then nothing "
        "ends it any more once it was reset from here while the peer's window was closed",
        release);
  if (!record.peer_window_closed && record.beside.timer != plane::OwnTimer::Persist) return {};
  return fmt::format(
      "Linux {} may lack commit bac76cf89816: a reset from here (adieu end, ss -K) then does not end it, "
      "but takes its timer, and it stays for ever",
      release);
}

Prospect kernel_prospect_of(EndHow how, const plane::Record& record, plane::Abilities abilities) {
  if (how == EndHow::Keepalive) return keepalive_prospect_of(record, abilities, {}, {});
  Prospect prospect;
  prospect.how = how;
  if (!is_possible(how, record, abilities)) {
    prospect.refused = record.has_ended() ? control::Refusal::Ended : control::Refusal::Unable;
    prospect.here = why_not(how, record, abilities);
    return prospect;
  }
  if (how == EndHow::Reset) {
    prospect.here = here_after_reset(record);
    prospect.application = application_after_reset(record);
    prospect.peer = peer_after_reset(record);
    return prospect;
  }
  const bool last = is_receiving_closed(record.state);
  const std::string whose = record.beside.process == 0 ? std::string("its application's descriptor")
                                                       : fmt::format("descriptor {} of process {}",
                                                                     record.beside.descriptor, record.beside.process);
  prospect.here =
      fmt::format("shutdown() through a duplicate of {}: our FIN is sent after what still waits; {} leads to {}", whose,
                  name(record.state),
                  last ? "LAST-ACK, and to its end with the peer's acknowledgement"
                       : "FIN-WAIT-1, and it lives on until the peer closes as well");
  prospect.application = last ? to_be_read(record) + "its next write fails: EPIPE (and SIGPIPE, unless it is ignored)"
                              : "its next write fails: EPIPE (and SIGPIPE, unless it is ignored); it reads on until "
                                "the peer closes";
  prospect.application += descriptor_stays(record);
  prospect.peer = "if it is there: the end of our stream, after all that was sent; nothing is lost";
  return prospect;
}

}  // namespace adieu::host
