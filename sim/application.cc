// The plan of one end, step by step.
#include "sim/application.h"

#include <algorithm>
#include <array>

#include "sim/pattern.h"

namespace adieu::sim {
namespace {

constexpr std::size_t kMostEcho = 1U << 16;
constexpr std::size_t kBuffer = 1U << 16;
// Calls of one kind in one step; a bound on what one step can do, far above any buffer.
constexpr int kMostCalls = 4096;
// What is left after so many is done a little later: nobody is woken for what was ready all the time.
constexpr Duration kBreath = milliseconds(1);
constexpr Duration kEchoPatience = minutes(30);

}  // namespace

Application::Application(Scene& scene, stack::Engine& engine, stack::Socket socket, End& end, const EndPlan& plan)
    : scene_(scene), engine_(engine), socket_(socket), end_(end), plan_(plan) {}

bool Application::is_due(Instant at, Instant now) {
  if (at <= now) return true;
  next_ = earlier(next_, at);
  return false;
}

bool Application::is_patience(stack::Error error) {
  if (error == stack::Error::WouldBlock || error == stack::Error::InProgress) return true;
  failed_ = true;
  return false;
}

void Application::note(Instant now, const char* what, std::uint64_t number) {
  scene_.trace.event(now, host_letter(end_.host), {static_cast<std::uint64_t>(what[0]), end_.id.slot, number},
                     [&] { return label(end_) + ": " + what + " " + std::to_string(number); });
}

void Application::step(Instant now) {
  if (done_) return;
  next_ = is_curfew(now) ? Instant::never() : scene_.plan.curfew;
  if (plan_.echo && is_curfew(now)) is_due(scene_.plan.curfew + kEchoPatience, now);
  const stack::Readiness ready = engine_.readiness(socket_);
  if (!connected_) {
    if (!ready.connected && !ready.ended) return;
    connected_ = true;
    connected_at_ = now;
    write_at_ = now + plan_.start_after;
  }
  shut_receive(now);
  read_some(now);
  write_some(now);
  if (end_.receive_shut && ready.peer_closed) stream_over_ = true;
  if (ready.ended && (end_.receive_shut || !plan_.reads)) failed_ = true;
  finish(now);
}

void Application::shut_receive(Instant now) {
  if (!plan_.shut_receive_after || end_.receive_shut || !is_due(connected_at_ + *plan_.shut_receive_after, now)) return;
  if (!engine_.shutdown(socket_, stack::Shut::Receive, now)) return;
  end_.receive_shut = true;
  note(now, "shut receive", end_.read);
}

void Application::read_some(Instant now) {
  if (!plan_.reads || stream_over_ || end_.receive_shut) return;
  std::array<std::uint8_t, kBuffer> buffer;
  for (int calls = 0; is_due(read_at_, now); ++calls) {
    if (calls == kMostCalls) {
      next_ = earlier(next_, now + kBreath);
      return;
    }
    if (plan_.echo && echo_.size() >= kMostEcho) return;
    const std::size_t most = std::min<std::size_t>(plan_.read_chunk, buffer.size());
    const auto n = engine_.receive(socket_, MutableBytes(buffer.data(), most), false, now);
    if (!n) {
      if (!is_patience(n.error())) note(now, "read fails", static_cast<std::uint64_t>(n.error()));
      return;
    }
    if (*n == 0) {
      stream_over_ = end_.clean_end = true;
      note(now, "reads end", end_.read);
      scene_.tell(&Checker::end_of_stream, end_, now);
      return;
    }
    got(Bytes(buffer.data(), *n), now);
    if (plan_.read_pause > Duration{}) read_at_ = now + plan_.read_pause;
  }
}

void Application::got(Bytes octets, Instant now) {
  scene_.tell(&Checker::read, end_, end_.read, octets, now);
  end_.read += octets.size();
  if (plan_.echo) echo_.insert(echo_.end(), octets.begin(), octets.end());
  note(now, "read", octets.size());
}

bool Application::is_all_written(Instant now) const {
  // An echo whose client is long gone would wait for it for ever; nobody asks an idle ESTABLISHED connection (MUST-25).
  const bool waits_no_more = stream_over_ || now >= scene_.plan.curfew + kEchoPatience;
  return plan_.echo ? waits_no_more && echo_.empty() : end_.written >= plan_.octets;
}

void Application::write_some(Instant now) {
  if (end_.finished || failed_) return;
  if (plan_.echo) return write_echo(now);
  if (is_curfew(now)) plan_.octets = end_.written;
  std::array<std::uint8_t, kBuffer> buffer;
  for (int calls = 0; !is_all_written(now) && is_due(write_at_, now); ++calls) {
    if (calls == kMostCalls) {
      next_ = earlier(next_, now + kBreath);
      return;
    }
    const std::size_t most = std::min<std::uint64_t>({plan_.chunk, buffer.size(), plan_.octets - end_.written});
    const MutableBytes octets(buffer.data(), most);
    fill(scene_.book.stream_of(end_), end_.written, octets);
    const auto n = engine_.send(socket_, octets, now);
    if (!n) {
      if (!is_patience(n.error())) note(now, "write fails", static_cast<std::uint64_t>(n.error()));
      return;
    }
    end_.written += *n;
    note(now, "wrote", *n);
    if (plan_.pause > Duration{}) write_at_ = now + plan_.pause;
  }
}

void Application::write_echo(Instant now) {
  while (!echo_.empty()) {
    const auto n = engine_.send(socket_, echo_, now);
    if (!n) {
      is_patience(n.error());
      return;
    }
    end_.written += *n;
    echo_.erase(echo_.begin(), echo_.begin() + static_cast<std::ptrdiff_t>(*n));
    note(now, "wrote", *n);
    read_some(now);
  }
}

void Application::finish(Instant now) {
  if (failed_) return let_go(now);
  if (!is_all_written(now)) return;
  if (!end_.finished) {
    if (!finish_at_.is_known()) finish_at_ = now + plan_.finish_after;
    if (!is_curfew(now) && !is_due(finish_at_, now)) return;
    if (plan_.finish == Finish::Hold && !is_curfew(now)) return;
    if (plan_.finish == Finish::Abort) {
      end_.aborted = end_.closed = end_.finished = done_ = true;
      note(now, "aborts", 0);
      if (!engine_.abort(socket_, now)) scene_.fail("calls", now, label(end_) + ": abort() failed");
      return;
    }
    if (plan_.finish == Finish::Close || !plan_.reads) return let_go(now);
    end_.finished = true;
    note(now, "shut send", end_.written);
    if (!engine_.shutdown(socket_, stack::Shut::Send, now)) failed_ = true;
  }
  if (!stream_over_ && !failed_) return;
  if (!close_at_.is_known()) close_at_ = now + plan_.linger;
  if (is_curfew(now) || is_due(close_at_, now)) let_go(now);
}

void Application::let_go(Instant now) {
  end_.closed = end_.finished = done_ = true;
  note(now, "closes", 0);
  if (!engine_.close(socket_, now)) scene_.fail("calls", now, label(end_) + ": close() failed");
}

}  // namespace adieu::sim
