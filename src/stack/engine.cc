// Engine's outside: construction, and the doors to the files of this room.
#include "stack/engine.h"

#include <algorithm>

#include "base/assert.h"
#include "stack/engine_impl.h"

namespace adieu::stack {

namespace {
constexpr plane::Abilities kAll = plane::Ability::ProbeEcho | plane::Ability::ProbeBare | plane::Ability::ProbePending |
                                  plane::Ability::Finish | plane::Ability::AbortReset | plane::Ability::AbortSilent |
                                  plane::Ability::Forget | plane::Ability::GuardedAbort | plane::Ability::ReportsHeard |
                                  plane::Ability::ReportsHolder | plane::Ability::ReportsReading |
                                  plane::Ability::ReportsReason | plane::Ability::ProbeUncounted;

plane::TableSetup completed(plane::TableSetup setup, const Settings& settings) {
  setup.kind = plane::PlaneKind::Engine;
  setup.abilities = kAll;
  setup.time_wait = settings.tcp.time_wait;
  return setup;
}
}  // namespace

Engine::Impl::Impl(const Settings& s, MutableBytes table_memory, const plane::TableSetup& setup, Instant now)
    : settings(s), table(table_memory, completed(setup, s)), demux(table, settings.demux_key), wheel(now) {
  ADIEU_ASSERT(!settings.addresses.empty());
  ADIEU_ASSERT(settings.mtu >= 576);
}

Engine::Engine(const Settings& settings, MutableBytes table_memory, const plane::TableSetup& setup, Instant now)
    : impl_(std::make_unique<Impl>(settings, table_memory, setup, now)) {}

Engine::~Engine() = default;

void Engine::receive_packet(Bytes packet, const Offload& offload, Instant now) {
  impl_->receive_packet(packet, offload, now);
}

unsigned Engine::take_commands(const plane::ControlView& control, Instant now) {
  return impl_->take_commands(control, now);
}

void Engine::set_control(const plane::ControlView& control) { impl_->control = control; }

void Engine::advance(Instant now) { impl_->advance(now); }

std::optional<PacketOut> Engine::poll_packet(MutableBytes buffer, Instant now) {
  return impl_->poll_packet(buffer, now);
}

std::optional<Wake> Engine::poll_wake() {
  if (impl_->wakes.empty()) return std::nullopt;
  const Wake wake = impl_->wakes.front();
  impl_->wakes.pop_front();
  if (Cell* cell = impl_->find_live(wake.socket)) cell->wake_queued = false;
  if (const auto listener = impl_->listeners.find(wake.listener.number); listener != impl_->listeners.end()) {
    listener->second.wake_queued = false;
  }
  return wake;
}

Instant Engine::next_deadline() const {
  const Instant quiet =
      impl_->quiet.empty() ? Instant::never() : impl_->quiet.front().since + impl_->settings.transfer_idle;
  return earlier(impl_->wheel.next_deadline(), quiet);
}

const Counters& Engine::counters() const { return impl_->counters; }
const plane::TableWriter& Engine::table() const { return impl_->table; }
plane::TableWriter& Engine::table() { return impl_->table; }
std::uint32_t Engine::live_connections() const { return impl_->live; }

std::size_t Engine::private_bytes() const {
  const Impl& e = *impl_;
  std::size_t sum = sizeof(Impl) + e.cells.bytes() + e.demux.bytes() + e.wheel.bytes() + e.table.private_bytes();
  sum += e.output.size() * sizeof(std::uint32_t) + e.replies.size() * sizeof(Impl::Reply);
  sum += e.wakes.size() * sizeof(Wake) + e.quiet.size() * sizeof(Impl::Quiet) + e.embryonic.size() * sizeof(Socket);
  for (std::uint32_t slot = 0; slot < e.cells.end(); ++slot)
    if (const Cell* cell = e.cells.find(slot)) sum += cell->connection.heap_bytes();
  return sum;
}

void Engine::check_invariants() const {
  const Impl& e = *impl_;
  std::uint32_t live = 0;
  std::uint32_t embryonic = 0;
  for (std::uint32_t slot = 0; slot < e.cells.end(); ++slot) {
    const Cell* cell = e.cells.find(slot);
    if (cell == nullptr) continue;
    ++live;
    embryonic += cell->embryonic ? 1U : 0U;
    cell->connection.check_invariants();
    ADIEU_ASSERT(cell->connection.state() != State::Closed);
    ADIEU_ASSERT(e.demux.find({e.table.local(slot), e.table.remote(slot)}) == slot);
    ADIEU_ASSERT(cell->connection.next_deadline() == Instant::never() || cell->timer != TimingWheel::kNone ||
                 cell->output_queued);
  }
  ADIEU_ASSERT(live == e.live);
  ADIEU_ASSERT(embryonic == e.embryonic_count);
  const plane::Totals totals = e.table.totals();
  std::uint64_t ended = 0;
  for (const std::uint64_t count : totals.ended) ended += count;
  ADIEU_ASSERT(totals.live == live);
  ADIEU_ASSERT(totals.opened == live + ended);
}

std::string_view name(Error error) {
  switch (error) {
    case Error::BadSocket: return "no such socket";
    case Error::WouldBlock: return "would block";
    case Error::InProgress: return "not established yet";
    case Error::NotConnected: return "not connected";
    case Error::SendingClosed: return "sending side is shut down";
    case Error::Refused: return "connection refused";
    case Error::Reset: return "connection reset by path or peer";
    case Error::Aborted: return "connection aborted";
    case Error::TimedOut: return "connect's time limit ran out";
    case Error::AddressInUse: return "address in use";
    case Error::AddressNotAvailable: return "not an address of this engine";
    case Error::NoPorts: return "no ephemeral port left";
    case Error::Full: return "connection table full";
    case Error::InvalidArgument: return "invalid argument";
  }
  return "?";
}

}  // namespace adieu::stack
