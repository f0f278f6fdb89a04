// An engine in bad company: packets near every window and packets of noise, application calls in any order, commands
// true and false, hostile control memory, and time, mixed as the input says.
//
// After each step every invariant of the engine and of its connections is asked for, totals included; whatever leaves
// must be a packet that our own wire room understands and that fits the device; and nothing may go on without end.
#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "plane/control_block.h"
#include "stack/engine.h"
#include "wire/checksum.h"
#include "wire/tcp.h"

namespace adieu::stack {
namespace {

constexpr std::size_t kSteps = 400;
constexpr std::uint16_t kMtu = 1280;
constexpr std::uint32_t kSlots = 12;
constexpr std::uint32_t kCommands = 16;

// The input, taken apart; zeros when it has run out.
class Script {
 public:
  explicit Script(Bytes input) : input_(input) {}
  bool empty() const { return input_.empty(); }
  std::uint8_t octet() {
    if (input_.empty()) return 0;
    const std::uint8_t value = input_[0];
    input_ = input_.subspan(1);
    return value;
  }
  std::uint16_t pair() { return static_cast<std::uint16_t>(octet() << 8 | octet()); }
  std::uint32_t word() { return static_cast<std::uint32_t>(pair()) << 16 | pair(); }
  std::uint32_t below(std::uint32_t bound) { return (bound <= 256 ? octet() : pair()) % bound; }
  Bytes some(std::size_t most) {
    const Bytes piece = input_.first(std::min(most, input_.size()));
    input_ = input_.subspan(piece.size());
    return piece;
  }

 private:
  Bytes input_;
};

struct AlignedMemory {
  explicit AlignedMemory(std::size_t size) : words(size / 8 + 9), length(size) {}
  MutableBytes bytes() {
    const auto start = (reinterpret_cast<std::uintptr_t>(words.data()) + 63) & ~std::uintptr_t{63};
    return {reinterpret_cast<std::uint8_t*>(start), length};
  }
  std::vector<std::uint64_t> words;
  std::size_t length;
};

// What a peer has learnt of one connection from the engine's own segments.
struct Numbers {
  Seq snd_nxt;  // the engine's
  Seq rcv_nxt;
  Seq edge;
};
using Key4 = std::pair<Endpoint, Endpoint>;  // the engine's end, the peer's

Address v6(std::uint8_t host) {
  Address address;
  address.octets[0] = 0xfd;
  address.octets[15] = host;
  return address;
}

class Company {
 public:
  explicit Company(Script script)
      : script_(script),
        table_(plane::table_bytes(kCapacity)),
        block_(plane::control_block_bytes(kCommands)),
        engine_(settings(script_.octet()), table_.bytes(), setup(), now_),
        writer_(block_.bytes(), 1, kCommands),
        view_(block_.bytes()) {
    engine_.set_control(view_);
  }

  void run() {
    for (std::size_t step = 0; step < kSteps && !script_.empty(); ++step) {
      one();
      settle();
    }
    pass(minutes(5));
    check_table();
  }

 private:
  static constexpr plane::Capacity kCapacity{kSlots, 16, 16};

  static Settings settings(std::uint8_t choice) {
    Settings s;
    s.addresses = {Address::v4(10, 0, 0, 1), v6(1)};
    s.mtu = kMtu;
    s.segmentation_offload = s.checksum_offload = (choice & 1U) != 0;
    s.max_embryonic = 4;
    s.max_connections = 10;
    s.first_ephemeral_port = 40000;
    s.last_ephemeral_port = 40003;
    return s;
  }
  static plane::TableSetup setup() {
    plane::TableSetup s;
    s.incarnation = 7;
    s.capacity = kCapacity;
    s.name = "fuzz";
    s.quarantine = 2;
    return s;
  }

  // --- one step

  void one() {
    switch (script_.octet() % 16) {
      case 0: return connect();
      case 1: return listen();
      case 2: return accept();
      case 3:
      case 4: return move_octets();
      case 5: return end();
      case 6: return set();
      case 7:
      case 8:
      case 9:
      case 10: return craft();
      case 11: return engine_.receive_packet(script_.some(script_.octet()), offload(), now_);
      case 12: return icmp();
      case 13: return pass(milliseconds(script_.below(1000)));
      case 14: return pass(milliseconds(std::int64_t{script_.pair()} * 10));
      case 15: return command();
    }
  }

  static constexpr std::uint16_t kPorts[] = {7000, 40000, 40001, 9};
  Endpoint peer() {
    const std::uint8_t choice = script_.octet();
    return {(choice & 1U) != 0 ? Address::v4(10, 0, 0, 9) : v6(9),
            static_cast<std::uint16_t>(5000 + (choice >> 1) % 3)};
  }
  Offload offload() {
    Offload valid;
    valid.checksum_valid = true;
    return valid;
  }
  tcp::Options options() {
    tcp::Options o;
    o.send_buffer = 1024U << script_.below(5);
    o.receive_buffer = 1024U << script_.below(8);
    o.no_delay = (script_.octet() & 1U) != 0;
    return o;
  }
  Socket socket() { return sockets_.empty() ? Socket{} : sockets_[script_.octet() % sockets_.size()]; }
  void remember(Socket socket) {
    if (sockets_.size() >= 24) sockets_.erase(sockets_.begin());
    sockets_.push_back(socket);
  }

  void connect() {
    ConnectOptions o;
    o.tcp = options();
    o.limit = seconds(script_.below(300) + 1);
    const auto made = engine_.connect(peer(), o, now_);
    if (made) remember(*made);
  }
  void listen() {
    ListenOptions o;
    o.tcp = options();
    o.backlog = 1 + script_.below(3);
    const bool four = (script_.octet() & 1U) != 0;
    const auto made = engine_.listen({four ? Address::v4(0, 0, 0, 0) : Address{}, 7000}, o);
    if (made) listeners_.push_back(*made);
  }
  void accept() {
    for (const Listener listener : listeners_)
      if (const auto got = engine_.accept(listener, now_)) remember(*got);
  }
  void move_octets() {
    static const std::vector<std::uint8_t> octets(4096, 'x');
    if ((script_.octet() & 1U) != 0) {
      (void)engine_.send(socket(), Bytes(octets).first(script_.below(4096)), now_);
    } else {
      std::vector<std::uint8_t> out(script_.below(5000));
      (void)engine_.receive(socket(), out, (script_.octet() & 1U) != 0, now_);
    }
  }
  void end() {
    const std::uint8_t choice = script_.octet() % 8;
    const Socket which = socket();
    if (choice < 3) (void)engine_.shutdown(which, static_cast<Shut>(1 + choice), now_);
    if (choice == 3 || choice == 4) (void)engine_.close(which, now_);
    if (choice == 5) (void)engine_.abort(which, now_);
    if (choice == 6 && !listeners_.empty()) {
      engine_.close_listener(listeners_.back(), now_);
      listeners_.pop_back();
    }
  }
  void set() {
    const Socket which = socket();
    (void)engine_.set_no_delay(which, (script_.octet() & 1U) != 0, now_);
    (void)engine_.set_buffers(which, script_.pair(), script_.pair());
    (void)engine_.readiness(which);
    (void)engine_.details(which);
    (void)engine_.error(which);
  }

  // --- packets

  // Near what the engine expects, by this much.
  std::uint32_t near(std::uint32_t window) {
    switch (script_.octet() % 8) {
      case 0:
      case 1:
      case 2: return 0;
      case 3: return UINT32_MAX;  // one before
      case 4: return 1 + script_.below(200);
      case 5: return window - 1 + script_.below(3);
      case 6: return static_cast<std::uint32_t>(-static_cast<std::int32_t>(script_.pair()));
      default: return script_.word();
    }
  }
  void craft() {
    Key4 key;
    if (!numbers_.empty() && script_.octet() % 4 != 0) {
      key = std::next(numbers_.begin(), script_.octet() % static_cast<std::ptrdiff_t>(numbers_.size()))->first;
    } else {
      key.second = peer();
      key.first = {key.second.address.family() == Family::V4 ? Address::v4(10, 0, 0, 1) : v6(1),
                   kPorts[script_.octet() % 4]};
    }
    const Numbers& n = numbers_[key];
    wire::Segment s;
    const std::uint8_t flags = script_.octet();
    s.syn = (flags & 3U) == 3;
    s.fin = (flags & 12U) == 12;
    s.rst = (flags & 0x70U) == 0x70;
    s.ack_flag = (flags & 0x80U) == 0;
    s.seq = n.rcv_nxt + near(distance(n.rcv_nxt, n.edge));
    s.ack = n.snd_nxt + near(1000);
    s.window = script_.pair();
    const std::uint8_t has = script_.octet();
    if ((has & 1U) != 0) s.mss = script_.pair();
    if ((has & 2U) != 0) s.window_scale = script_.octet();
    if ((has & 12U) != 0) s.timestamps = {(has & 4U) != 0 ? clock() : script_.word(), script_.word()};
    s.sack_permitted = (has & 16U) != 0;
    const std::vector<std::uint8_t> payload(script_.below((has & 32U) != 0 ? 2000 : 3), 'p');
    s.payload = payload;
    inject(key, s);
  }
  std::uint32_t clock() const { return static_cast<std::uint32_t>(now_.ns / 1'000'000); }

  void inject(const Key4& key, wire::Segment s) {
    s.source_port = key.second.port;
    s.destination_port = key.first.port;
    wire::IpHeader ip;
    ip.source = key.second.address;
    ip.destination = key.first.address;
    const std::size_t ip_bytes = wire::ip_header_bytes(ip.source.family());
    std::vector<std::uint8_t> packet(ip_bytes + wire::tcp_header_bytes(s) + s.payload.size());
    const std::size_t length =
        wire::write_tcp(s, ip.source, ip.destination, true, MutableBytes(packet).subspan(ip_bytes));
    wire::write_ip(ip, length, packet);
    engine_.receive_packet(packet, offload(), now_);
  }

  // An error, true or not, about what the engine may have sent.
  void icmp() {
    if (numbers_.empty()) return;
    const auto& [key, n] = *std::next(numbers_.begin(), script_.octet() % static_cast<std::ptrdiff_t>(numbers_.size()));
    const bool v4 = key.first.address.family() == Family::V4;
    std::vector<std::uint8_t> message{script_.octet(), script_.octet(), 0, 0, 0, 0, 0, 0};
    if ((script_.octet() & 1U) != 0) message[0] = v4 ? 3 : static_cast<std::uint8_t>(1 + script_.octet() % 2);
    message[6] = script_.octet();
    message[7] = script_.octet();
    wire::Segment quoted;
    quoted.source_port = key.first.port;
    quoted.destination_port = key.second.port;
    quoted.seq = n.snd_nxt - script_.octet();
    const std::size_t ip_bytes = wire::ip_header_bytes(key.first.address.family());
    std::vector<std::uint8_t> inner(ip_bytes + 20);
    wire::IpHeader header;
    header.source = key.first.address;
    header.destination = key.second.address;
    wire::write_tcp(quoted, header.source, header.destination, false, MutableBytes(inner).subspan(ip_bytes));
    wire::write_ip(header, 20, inner);
    message.insert(message.end(), inner.begin(), inner.end());
    std::swap(header.source, header.destination);
    header.protocol = v4 ? wire::kProtocolIcmp : wire::kProtocolIcmpV6;
    const std::uint16_t start = v4 ? std::uint16_t{0}
                                   : wire::pseudo_header_sum(header.source, header.destination, wire::kProtocolIcmpV6,
                                                             static_cast<std::uint32_t>(message.size()));
    const std::uint16_t sum = wire::checksum_of(wire::ones_sum(message, start));
    message[2] = static_cast<std::uint8_t>(sum >> 8);
    message[3] = static_cast<std::uint8_t>(sum);
    std::vector<std::uint8_t> packet(ip_bytes);
    wire::write_ip(header, message.size(), packet);
    packet.insert(packet.end(), message.begin(), message.end());
    engine_.receive_packet(packet, {}, now_);
  }

  // --- the control plane, true and false

  void command() {
    const std::uint8_t choice = script_.octet();
    if (choice % 8 == 0) {  // its memory is hostile
      const Bytes noise = script_.some(16);
      const MutableBytes block = block_.bytes();
      const std::size_t at = script_.pair() % (block.size() - 16) / 8 * 8;
      std::memcpy(block.data() + at, noise.data(), noise.size() / 8 * 8);
    } else {
      const Socket which = socket();
      plane::Command c;
      c.kind = static_cast<plane::CommandKind>(1 + script_.octet() % (plane::kCommandKinds - 1));
      c.id = engine_.id({which.slot, which.generation + (choice % 8 == 1 ? 1U : 0U)});
      const bool exists = which.generation != 0;
      const plane::Record record = exists ? engine_.table().last(which.slot) : plane::Record{};
      c.expected_state = choice % 8 == 2 ? State::Established : record.state;
      c.form = static_cast<ProbeForm>(script_.octet() % 3);
      c.silent = (choice & 64U) != 0;
      c.heard = record.heard + (choice % 8 == 3 ? 1U : 0U);
      c.epoch = writer_.epoch();
      c.expires = now_ + milliseconds(choice % 8 == 4 ? 0 : 1000);
      c.verdict = 1;
      (void)writer_.write(c, engine_.table().commands_taken());
    }
    (void)engine_.take_commands(view_, now_);
    if ((choice & 128U) != 0) {
      const auto reader = plane::TableReader::over(table_.bytes());
      ADIEU_ASSERT(reader.has_value());
      writer_.set_receipts_taken(reader->receipts_written());
      writer_.set_ended_seen(reader->ended_total());
    }
  }

  // --- after each step

  void settle() {
    std::array<std::uint8_t, limits::kPacketBytes> buffer;
    unsigned packets = 0;
    while (const auto out = engine_.poll_packet(buffer, now_)) {
      ADIEU_ASSERT(++packets < 20'000);
      hear(Bytes(buffer).first(out->length), out->offload);
    }
    unsigned wakes = 0;
    while (engine_.poll_wake()) ADIEU_ASSERT(++wakes < 1000);
    engine_.check_invariants();
    ADIEU_ASSERT(engine_.live_connections() <= 10);
  }

  void hear(Bytes packet, Offload sent) {
    Offload offload = sent;
    offload.checksum_valid = sent.checksum_partial;
    const auto ip = wire::parse_ip(packet);
    ADIEU_ASSERT(ip.has_value());
    if (ip->protocol != wire::kProtocolTcp) return;
    const auto segment = wire::parse_tcp(*ip, offload);
    ADIEU_ASSERT(segment.has_value());
    // What one device packet stands for must fit the MTU, each of its parts with the whole header.
    const std::size_t header = packet.size() - segment->payload.size();
    const std::size_t part = sent.segment_size != 0 ? sent.segment_size : segment->payload.size();
    ADIEU_ASSERT(header + part <= kMtu);
    if (segment->rst) return;
    const Key4 key{{ip->source, segment->source_port}, {ip->destination, segment->destination_port}};
    if (numbers_.size() > 32 && !numbers_.contains(key)) numbers_.clear();
    Numbers& n = numbers_[key];
    n.snd_nxt = segment->syn ? segment->end() : later(n.snd_nxt, segment->end());
    if (!segment->ack_flag) return;
    n.rcv_nxt = segment->ack;
    n.edge = segment->ack + segment->window;
  }

  void pass(Duration span) {
    const Instant until = now_ + span;
    unsigned turns = 0;
    while (engine_.next_deadline() <= until) {
      ADIEU_ASSERT(++turns < 100'000);
      now_ = later(now_, engine_.next_deadline());
      engine_.advance(now_);
      settle();
    }
    now_ = until;
    engine_.advance(now_);
    settle();
  }

  // What a reader sees is whole, and reconciles.
  void check_table() {
    const auto reader = plane::TableReader::over(table_.bytes());
    ADIEU_ASSERT(reader.has_value());
    std::uint64_t live = 0;
    for (std::uint32_t slot = 0; slot < reader->slots_used(); ++slot) {
      plane::Record record;
      ADIEU_ASSERT(reader->read(slot, record) == plane::SlotReading::Whole);
      live += record.has_ended() ? 0U : 1U;
    }
    ADIEU_ASSERT(live == engine_.live_connections());
    const plane::Totals totals = reader->totals();
    std::uint64_t ended = 0;
    for (const std::uint64_t count : totals.ended) ended += count;
    ADIEU_ASSERT(totals.live == live && totals.opened == live + ended);
  }

  Script script_;
  Instant now_{seconds(1000).ns};
  AlignedMemory table_;
  AlignedMemory block_;
  Engine engine_;
  plane::ControlWriter writer_;
  plane::ControlView view_;
  std::vector<Socket> sockets_;
  std::vector<Listener> listeners_;
  std::map<Key4, Numbers> numbers_;
};

}  // namespace
}  // namespace adieu::stack

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto company = std::make_unique<adieu::stack::Company>(adieu::stack::Script({data, size}));
  company->run();
  return 0;
}
