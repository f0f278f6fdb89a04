// A hostile peer, by seeds: it opens, shuts and shrinks its window, overlaps, goes back, forges, resets and repeats,
// while the application and the control plane behind the engine do as they please.
//
// What is held whatever it does: every octet of our stream is the right one at its place, also when it is sent again;
// the FIN stands at the end of the stream; nothing is sent beyond an edge that the peer told us; what the application
// reads is what the peer sent; buffers keep their bounds; every invariant of the engine (Scene asks after each step).
// What does not live here: two honest ends and a bad path (sim), input by coverage (fuzz).
#include "base/rng.h"
#include "orders.h"
#include "peer.h"

namespace adieu::stack {
namespace {

constexpr std::uint64_t kWorlds = 200;
constexpr int kSteps = 600;

// Either stream, by its offset: long enough a period that no shift of it goes unnoticed.
char octet_at(std::uint32_t offset) { return static_cast<char>('!' + offset % 89 + offset / 89 % 5); }
std::string stream(std::uint32_t from, std::size_t length) {
  std::string text(length, '\0');
  for (std::size_t i = 0; i < length; ++i) text[i] = octet_at(from + static_cast<std::uint32_t>(i));
  return text;
}

class World {
 public:
  explicit World(std::uint64_t seed) : rng_(seed), scene_(peer_options(), Family::V4, settings(), 8) {
    ListenOptions options;
    options.tcp.receive_buffer = 1024U << rng_.below(11);
    options.tcp.send_buffer = 1024U << rng_.below(11);
    options.tcp.no_delay = rng_.chance(0.5);
    scene_.window = static_cast<std::uint16_t>(rng_.chance(0.7) ? 65535 : rng_.below(3000));
    socket_ = scene_.accepted(options);
    largest_buffer_ = options.tcp.receive_buffer;
    iss_ = scene_.rcv_nxt;
    irs_ = scene_.snd_nxt;
    edge_ = iss_ + std::max<std::uint32_t>(scene_.window, scene_.peer_options.window) * (1U << scale());
  }

  void run() {
    for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
      one();
      look();
      if (scene_.record(socket_).has_ended()) return;
    }
  }
  std::uint64_t octets_judged() const { return judged_; }

 private:
  PeerOptions peer_options() {
    PeerOptions options;
    if (rng_.chance(0.8)) options.mss = static_cast<std::uint16_t>(rng_.chance(0.7) ? 1460 : 64 + rng_.below(1400));
    if (rng_.chance(0.5)) options.window_scale = static_cast<std::uint8_t>(rng_.below(8));
    options.sack = rng_.chance(0.5);
    if (rng_.chance(0.3)) options.timestamp = 5000;
    return options;
  }
  Settings settings() {
    Settings settings;
    settings.segmentation_offload = settings.checksum_offload = rng_.chance(0.5);
    return settings;
  }
  unsigned scale() const { return scene_.peer_options.window_scale.value_or(0); }
  std::uint32_t some(std::uint32_t most) { return static_cast<std::uint32_t>(rng_.below(most)); }

  void one() {
    switch (rng_.below(12)) {
      case 6: return application_sends();
      case 7: return application_reads();
      case 8: return application_ends();
      case 9: return orders_probe();
      case 10:
      case 11: {
        static constexpr std::int64_t kSpans[] = {0, 1, 10, 40, 200, 1000, 5000, 70'000};
        return scene_.run(milliseconds(kSpans[rng_.below(8)]));
      }
      default: return peer_speaks();
    }
  }

  void peer_speaks() {
    const std::uint32_t taken = distance(irs_, later(expected_, irs_));
    // Where its text begins: in order, behind a hole, again, or at the very edge of our window.
    std::uint32_t from = taken;
    switch (rng_.below(8)) {
      case 0:
      case 1: from += some(3000); break;
      case 2: from -= std::min(from, some(3000)); break;
      case 3: from += distance(expected_, our_edge_) - some(3) + 1; break;
      default: break;
    }
    wire::Segment s = scene_.plain();
    s.seq = irs_ + from;
    s.ack_flag = !rng_.chance(0.03);
    if (rng_.chance(0.25)) s.ack = s.ack - std::min(distance(iss_, s.ack), some(5000));
    if (rng_.chance(0.05)) s.ack += some(3);
    s.window = static_cast<std::uint16_t>(rng_.chance(0.25) ? 0 : rng_.chance(0.3) ? some(2000) : some(65536));
    s.fin = rng_.chance(0.01);
    s.rst = rng_.chance(0.003) && s.seq != expected_;
    s.syn = rng_.chance(0.01);
    if (s.timestamps && rng_.chance(0.05)) s.timestamps->value = static_cast<std::uint32_t>(rng_.next());
    static constexpr std::size_t kLengths[] = {0, 0, 0, 1, 2, 31, 100, 536, 1460, 3000, 20'000};
    const bool repeats = rng_.chance(0.2);  // duplicate acknowledgments
    const std::size_t length = s.syn || s.rst || repeats ? 0 : kLengths[rng_.below(11)];
    if (s.ack <= scene_.rcv_nxt) edge_ = later(edge_, s.ack + (std::uint32_t{s.window} << scale()));
    if (rng_.chance(0.5)) scene_.window = s.window;
    for (int i = 0; i < (repeats ? 4 : 1); ++i) scene_.say(s, stream(from, length));
  }
  void application_sends() {
    const std::size_t most = rng_.chance(0.2) ? some(70'000) : some(3000);
    const auto taken = scene_.host.engine.send(socket_, bytes_of(stream(given_, most)), scene_.now);
    given_ += static_cast<std::uint32_t>(taken.value_or(0));
    if (rng_.chance(0.5)) scene_.pump();
  }
  void application_reads() {
    const std::string text = scene_.read(socket_, rng_.chance(0.5) ? 1 << 16 : 1 + some(500));
    EXPECT_TRUE(text == stream(read_, text.size())) << "octets " << read_ << " to " << read_ + text.size();
    read_ += static_cast<std::uint32_t>(text.size());
    judged_ += text.size();
  }
  void application_ends() {
    Engine& engine = scene_.host.engine;
    switch (rng_.below(30)) {
      case 0:
      case 1:
      case 2: (void)engine.shutdown(socket_, Shut::Send, scene_.now); break;
      case 3: (void)engine.shutdown(socket_, Shut::Receive, scene_.now); break;
      case 4:
      case 5: {
        const std::uint32_t receive = some(1U << 20);
        largest_buffer_ = std::max(largest_buffer_, receive);
        (void)engine.set_buffers(socket_, some(1U << 20), receive);
        break;
      }
      default: (void)engine.set_no_delay(socket_, rng_.chance(0.5), scene_.now);
    }
    scene_.pump();
  }
  void orders_probe() {
    const auto form = static_cast<ProbeForm>(rng_.below(kProbeForms));
    orders_.write(probe_order(scene_.host, socket_, form, scene_.now), scene_.host);
    (void)scene_.host.engine.take_commands(orders_.view, scene_.now);
    orders_.read_receipts(scene_.host);
    if (rng_.chance(0.5)) scene_.pump();
  }

  // Judges all that the engine has said since the last look.
  void look() {
    for (const Heard& h : scene_.look()) {
      if (h.segment.rst || h.segment.syn || h.segment.source_port != scene_.here.port) continue;
      const auto length = static_cast<std::uint32_t>(h.text.size());
      const std::uint32_t offset = distance(iss_, h.segment.seq);
      if (length > 0) {
        EXPECT_LE(offset + length, given_);
        EXPECT_TRUE(h.text == stream(offset, length)) << "octets " << offset << " to " << offset + length;
        EXPECT_LE(h.segment.seq + length, edge_ + 1) << "beyond the peer's window, by more than a probe";
        judged_ += length;
      }
      if (h.segment.fin) {
        EXPECT_EQ(offset + length, given_) << "a FIN that is not at the end of the stream";
      }
      expected_ = later(expected_, h.segment.ack);
      our_edge_ = h.segment.ack + (std::uint32_t{h.segment.window} << our_scale());
    }
    const plane::Record record = scene_.record(socket_);
    if (!record.has_ended()) {
      EXPECT_LE(record.unread, std::max(largest_buffer_, 2U << our_scale()));
    }
    EXPECT_LE(scene_.host.engine.private_bytes(), 8U << 20);
  }
  unsigned our_scale() const {
    const auto details = scene_.host.engine.details(socket_);
    return details ? details->receive_scale : 0;
  }

  Rng rng_;
  Scene scene_;
  Orders orders_;
  Socket socket_;
  Seq iss_;   // of the first octet of our stream
  Seq irs_;   // and of the peer's
  Seq edge_;  // the furthest that the peer ever let us send
  Seq our_edge_;
  Seq expected_ = scene_.snd_nxt;  // what we have acknowledged
  std::uint32_t given_ = 0;
  std::uint32_t read_ = 0;
  std::uint32_t largest_buffer_ = 0;
  std::uint64_t judged_ = 0;
};

TEST(HostilePeer, GetsNoWrongOctetNoEarlyEndAndNothingBeyondItsWindow) {
  std::uint64_t judged = 0;
  for (std::uint64_t seed = 1; seed <= kWorlds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    world.run();
    judged += world.octets_judged();
  }
  EXPECT_GT(judged, 1'000'000U) << "too little happened to say anything";
}

}  // namespace
}  // namespace adieu::stack
