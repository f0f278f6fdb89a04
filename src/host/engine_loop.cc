// The turns of an engine.
#include "host/engine_loop.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limits.h"
#include "device/interface.h"
#include "host/clock.h"

namespace adieu::host {
namespace {

enum Token : std::uint64_t { kStop, kTun, kTimer, kBell, kLink };

constexpr Duration kBeat = seconds(1);
// Packets taken in before the engine's deadlines and applications have their turn, or sent before we listen again.
constexpr int kBatch = 64;
// Batches sent in one turn.
constexpr int kMostBatches = 16;
// Turns in which an engine that ends tells its peers.
constexpr int kLastTurns = 256;
// A captured packet is in the file within this.
constexpr Duration kCaptureDelay = milliseconds(200);

std::string words(const device::Error& error) {
  std::string text = fmt::format("{}: {}", error.what, std::strerror(error.code));
  if (*error.advice != 0) text += fmt::format("; {}", error.advice);
  return text;
}

// Two interfaces with one address would share its packets by chance.
Result<void> check_free(const Network& network, std::string_view interface) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) < 0) return {};
  Result<void> result;
  const auto look = [&](const ifaddrs& one) {
    Address address = Address::v4(0, 0, 0, 0);
    if (one.ifa_addr->sa_family == AF_INET)
      std::memcpy(address.octets.data() + 12, &reinterpret_cast<const sockaddr_in*>(one.ifa_addr)->sin_addr, 4);
    else if (one.ifa_addr->sa_family == AF_INET6)
      std::memcpy(address.octets.data(), &reinterpret_cast<const sockaddr_in6*>(one.ifa_addr)->sin6_addr, 16);
    for (const auto& [prefixes, flag] :
         {std::pair{&network.addresses, "--address"}, std::pair{&network.gateways, "--gateway-address"}})
      for (const Prefix& prefix : *prefixes)
        if (prefix.address == address)
          result = failed(fmt::format("address in use: {} belongs to interface {} of this host; choose another {}",
                                      text(address), one.ifa_name, flag));
  };
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next)
    if (one->ifa_addr != nullptr && one->ifa_name != interface) look(*one);
  ::freeifaddrs(all);
  return result;
}

Result<void> configure(std::string_view interface, Network& network, const EngineOptions& options) {
  if (auto free = check_free(network, interface); !free) return free;
  if (auto done = device::set_mtu(interface, options.mtu); !done) return failed(words(done.error()));
  if (auto done = device::set_queue_length(interface, 1000); !done) return failed(words(done.error()));
  if (auto done = device::bring_up(interface); !done) return failed(words(done.error()));
  for (std::size_t i = 0; i < network.gateways.size(); ++i) {
    const Prefix gateway = network.gateways[i];
    auto done = device::set_address(interface, gateway.address, gateway.bits);
    if (done) continue;
    const bool optional = network.by_default && gateway.address.family() == Family::V6;
    if (!optional) return failed(fmt::format("{} on {}: {}", text(gateway), interface, words(done.error())));
    log_warning(fmt::format("no IPv6 on {} ({}); going on with IPv4", interface, words(done.error())));
    std::erase_if(network.addresses, [](const Prefix& one) { return one.address.family() == Family::V6; });
    std::erase_if(network.gateways, [](const Prefix& one) { return one.address.family() == Family::V6; });
    break;
  }
  return {};
}

void fill_keys(stack::Settings& settings, const IsnKey& key) {
  settings.isn_key = key.key;
  fill_random(settings.demux_key);
}

}  // namespace

EngineLoop::EngineLoop(device::Tun tun, SeamMemory seam, Network network)
    : tun_(std::move(tun)),
      seam_(std::move(seam)),
      network_(std::move(network)),
      control_(seam_.control()),
      buffer_(limits::kPacketBytes) {}

Result<std::unique_ptr<EngineLoop>> EngineLoop::open(const EngineSetup& setup) {
  auto network = network_of(setup.options);
  if (!network) return std::unexpected(network.error());
  auto tun = device::Tun::open(setup.options.tun, {.vnet_header = setup.options.offload});
  if (!tun) return failed(fmt::format("interface {}: {}", setup.options.tun, words(tun.error())));
  plane::Capacity capacity{.slots = setup.options.slots, .events = setup.options.event_ring};
  auto seam = SeamMemory::make(capacity);
  if (!seam) return std::unexpected(seam.error());
  std::unique_ptr<EngineLoop> loop(new EngineLoop(std::move(*tun), std::move(*seam), std::move(*network)));
  if (auto done = loop->set_up(setup); !done) return std::unexpected(done.error());
  return loop;
}

Result<void> EngineLoop::set_up(const EngineSetup& setup) {
  const EngineOptions& options = setup.options;
  if (auto done = configure(tun_.name(), network_, options); !done) return done;

  stack::Settings settings;
  settings.tcp.time_wait = options.time_wait;
  settings.mtu = options.mtu;
  settings.segmentation_offload = tun_.granted().vnet_header;
  settings.checksum_offload = tun_.granted().vnet_header;
  settings.max_connections = options.slots;
  for (const Prefix& own : network_.addresses) settings.addresses.push_back(own.address);
  IsnKey key;
  if (setup.run_dir) {
    // RFC 9293 section 3.4.2: TIME-WAIT is twice the maximum segment lifetime.
    auto kept = isn_key(*setup.run_dir, options.time_wait / 2);
    // A program of its own may start before `adieu up` has made the directory, and does without.
    if (!kept && setup.child) return std::unexpected(kept.error());
    if (kept)
      key = *kept;
    else
      fill_random(key.key);
  } else {
    fill_random(key.key);
  }
  fill_keys(settings, key);
  if (key.quiet > Duration{}) {
    log_info(
        fmt::format("this host started just now: keeping quiet for {} (RFC 9293 section 3.4.3)", readable(key.quiet)));
    ::usleep(static_cast<useconds_t>(key.quiet.ns / 1000));
  }
  if (!options.pcap.empty()) {
    auto writer =
        device::PcapWriter::create(options.pcap.c_str(), microseconds(wall_clock()) - Duration{host::now().ns});
    if (!writer) return failed(fmt::format("--pcap {}: {}", options.pcap, words(writer.error())));
    pcap_.emplace(std::move(*writer));
  }

  plane::TableSetup table;
  table.kind = plane::PlaneKind::Engine;
  table.incarnation = random_number();
  table.capacity = {.slots = options.slots, .events = options.event_ring};
  table.name = setup.name;
  table.process = static_cast<std::uint64_t>(::getpid());
  now_ = host::now();
  engine_ = std::make_unique<stack::Engine>(settings, seam_.table(), table, now_);
  engine_->table().beat(now_);

  if (setup.stop >= 0) poller_.add(setup.stop, kStop);
  poller_.add(tun_.descriptor(), kTun);
  poller_.add(timer_.descriptor(), kTimer);
  poller_.add(seam_.wake_plane(), kBell);
  if (setup.run_dir)
    link_.emplace(*setup.run_dir, seam_, PlaneIdentity{table.incarnation, table.kind, setup.name, setup.child}, poller_,
                  kLink);
  return {};
}

void EngineLoop::wait() {
  // The engine's own deadline is armed in `timer_`, so that a call of another thread can move it.
  const auto ready = poller_.wait(host::now() + kBeat);
  ready_.assign(ready.begin(), ready.end());
}

void EngineLoop::poll() {
  const auto ready = poller_.wait(Instant{0});
  ready_.assign(ready.begin(), ready.end());
}

bool EngineLoop::take_in() {
  now_ = host::now();
  const auto came = [this](Token token) { return std::find(ready_.begin(), ready_.end(), token) != ready_.end(); };
  if (came(kStop)) return false;
  if (came(kTimer)) timer_.rang();
  if (came(kTun)) read_packets();
  engine_->set_control(control_);
  // Commands that did not fit the receipts of an earlier turn wait without a bell, so the ring is looked at each turn.
  quiet(seam_.wake_plane());
  engine_->take_commands(control_, now_);
  engine_->advance(now_);
  if (link_) {
    if (came(kLink)) link_->input(now_);
    link_->advance(now_);
    if (link_->told_to_stop()) return false;
  }
  return !failure_;
}

void EngineLoop::read_packets() {
  for (int i = 0; i < kBatch; ++i) {
    const auto got = tun_.receive(buffer_);
    if (!got) {
      // EIO: the interface is down, which an operator may undo. Anything else is the end of this device.
      if (got.error().code != EIO)
        failure_ = Failure{words(got.error())};
      else
        once_.warn("down", fmt::format("{} is down: no packet moves until it is up again", tun_.name()));
      return;
    }
    if (!*got) return;
    once_.over("down", fmt::format("{} is up again", tun_.name()));
    const Bytes packet = Bytes(buffer_).first((*got)->length);
    capture(packet);
    engine_->receive_packet(packet, (*got)->offload, now_);
  }
}

bool EngineLoop::send_batch() {
  for (int i = 0; i < kBatch; ++i) {
    const auto out = engine_->poll_packet(buffer_, now_);
    if (!out) return false;
    const Bytes packet = Bytes(buffer_).first(out->length);
    capture(packet);
    const auto sent = tun_.send(packet, out->offload);
    // A packet that the device does not take is a packet that the network lost; TCP sends it again.
    if (!sent || !*sent) ++refused_;
    if (!sent) once_.warn("send", fmt::format("{} refuses packets: {}", tun_.name(), words(sent.error())));
  }
  return true;
}

// The kernel answers within our own write. Whoever only wrote would fill the queue in which the answers wait, and would
// always lose the answers to what it writes last: a question among that would never be answered.
void EngineLoop::send_out() {
  bool is_more = send_batch();
  for (int batch = 1; is_more && batch < kMostBatches && !failure_; ++batch) {
    now_ = later(now_, host::now());
    read_packets();
    is_more = send_batch();
  }
  engine_->table().set_memory_bytes(engine_->private_bytes());
  engine_->table().beat(now_);
  tell_control();
  if (pcap_ && now_ >= flush_capture_at_) {
    flush_capture_at_ = Instant::never();
    if (auto done = pcap_->flush(); !done) log_warning("the capture ends here: " + words(done.error()));
  }
  Instant next = earlier(engine_->next_deadline(), flush_capture_at_);
  if (link_) next = earlier(next, link_->next_deadline());
  timer_.arm(is_more ? now_ : next);
  is_more_to_send_ = is_more;
}

void EngineLoop::abort_all() {
  engine_->abort_all(start_call());
  send_out();
  for (int turn = 1; is_more_to_send_ && turn < kLastTurns; ++turn) send_out();
}

Instant EngineLoop::start_call() {
  now_ = later(now_, host::now());
  return now_;
}

plane::TableReader EngineLoop::table() { return plane::TableReader::over(seam_.table()).value(); }

void EngineLoop::capture(Bytes packet) {
  if (!pcap_) return;
  // A full disk ends the capture and nothing else (DESIGN: a capture is never worth a connection).
  if (auto done = pcap_->write(packet, now_); !done) log_warning("the capture ends here: " + words(done.error()));
  if (flush_capture_at_ == Instant::never()) flush_capture_at_ = now_ + kCaptureDelay;
}

void EngineLoop::tell_control() {
  const std::uint64_t written = engine_->table().events_written();
  if (written == events_told_) return;
  events_told_ = written;
  ring(seam_.wake_control());
}

}  // namespace adieu::host
