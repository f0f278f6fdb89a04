// The engine under virtual time: calls, packets, and its own words made the table's.
#include "engine_subject.h"

#include "base/assert.h"
#include "base/limits.h"

namespace adieu::matrix {

namespace {
constexpr std::uint32_t kSlots = 8;
const plane::Capacity kCapacity{kSlots, 16, 16};

plane::TableSetup setup() {
  plane::TableSetup setup;
  setup.incarnation = 1;
  setup.capacity = kCapacity;
  setup.name = "matrix";
  return setup;
}
stack::Settings settings(const Address& address) {
  stack::Settings s;
  s.addresses = {address};
  s.isn_key[0] = 7;
  return s;
}
MutableBytes aligned(std::vector<std::uint64_t>& memory) {
  const auto start = (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) & ~std::uintptr_t{63};
  return {reinterpret_cast<std::uint8_t*>(start), plane::table_bytes(kCapacity)};
}
}  // namespace

EngineSubject::EngineSubject(Endpoint local, Endpoint peer)
    : Subject(local, peer),
      memory_(plane::table_bytes(kCapacity) / 8 + 9),
      engine_(settings(local.address), aligned(memory_), setup(), now_) {}

template <typename T>
std::string EngineSubject::told(const std::expected<T, stack::Error>& result, const char* good) const {
  if (result) return good;
  switch (result.error()) {
    case stack::Error::BadSocket: return "no socket";
    case stack::Error::WouldBlock: return "would block";
    case stack::Error::AddressInUse: return "in use";
    case stack::Error::NotConnected: return "not connected";
    case stack::Error::SendingClosed: return "sending closed";
    case stack::Error::InProgress:
    case stack::Error::Refused:
    case stack::Error::Reset:
    case stack::Error::Aborted:
    case stack::Error::TimedOut:
    case stack::Error::AddressNotAvailable:
    case stack::Error::NoPorts:
    case stack::Error::Full:
    case stack::Error::InvalidArgument: break;
  }
  return "error: " + std::string(stack::name(result.error()));
}

void EngineSubject::listen() { listener_ = engine_.listen(local(), {}).value_or(stack::Listener{}); }

std::string EngineSubject::connect() {
  stack::ConnectOptions options;
  options.local = local();
  const auto socket = engine_.connect(peer(), options, now_);
  if (socket) socket_ = *socket;
  return told(socket, "done");
}

bool EngineSubject::accept() {
  const auto socket = engine_.accept(listener_, now_);
  if (socket) socket_ = *socket;
  return socket.has_value();
}

std::string EngineSubject::send(Bytes octets) { return told(engine_.send(socket_, octets, now_), "taken"); }

std::string EngineSubject::receive(std::string& octets) {
  std::uint8_t buffer[64];
  for (;;) {
    const auto n = engine_.receive(socket_, buffer, false, now_);
    if (!n) return told(n, "");
    if (*n == 0) return "end";
    octets.append(buffer, buffer + *n);
  }
}

std::string EngineSubject::shut_send() { return told(engine_.shutdown(socket_, stack::Shut::Send, now_), "done"); }
std::string EngineSubject::shut_receive() {
  return told(engine_.shutdown(socket_, stack::Shut::Receive, now_), "done");
}
std::string EngineSubject::close() { return told(engine_.close(socket_, now_), "done"); }
std::string EngineSubject::abort() { return told(engine_.abort(socket_, now_), "done"); }

void EngineSubject::inject(Bytes packet) { engine_.receive_packet(packet, {}, now_); }

// Longer than an acknowledgment is delayed, shorter than any retransmission timeout.
std::vector<Heard> EngineSubject::answers(bool) { return run(milliseconds(60), false); }
std::vector<Heard> EngineSubject::wait(Duration patience) { return run(patience, patience < minutes(1)); }

std::vector<Heard> EngineSubject::run(Duration span, bool first) {
  std::vector<Heard> heard;
  std::vector<std::uint8_t> buffer(limits::kPacketBytes);
  const Instant until = now_ + span;
  for (;;) {
    while (const auto out = engine_.poll_packet(buffer, now_))
      hear(Bytes(buffer).first(out->length), out->offload, heard);
    while (engine_.poll_wake()) {
    }
    engine_.check_invariants();
    const Instant next = engine_.next_deadline();
    if (next > until || (first && !heard.empty())) break;
    now_ = later(now_, next);
    engine_.advance(now_);
  }
  if (!first || heard.empty()) now_ = until;
  return heard;
}

std::string EngineSubject::state() {
  std::string ended;
  for (std::uint32_t slot = 0; slot < engine_.table().totals().opened; ++slot) {  // none is used twice in a cell
    const plane::Record record = engine_.table().last(slot);
    if (record.local != local() || record.remote != peer()) continue;
    if (!record.has_ended()) return std::string(name(record.state));
    ended = "ended: " + std::string(name(record.reason));
  }
  if (!ended.empty()) return ended;
  return listener_ == stack::Listener{} ? "CLOSED" : "LISTEN";
}

std::string EngineSubject::error() {
  const auto error = engine_.error(socket_);
  if (!error) return {};
  if (*error == stack::Error::Refused) return "error: refused";
  if (*error == stack::Error::Reset) return "error: reset";
  if (*error == stack::Error::TimedOut) return "error: timed out";
  return "error: " + std::string(stack::name(*error));
}

}  // namespace adieu::matrix
