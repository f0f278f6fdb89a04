// A peer led by hand: it answers as an experiment tells it to, and keeps all that it hears.
//
// What lives here: Puppet, one end of one connection that no kernel knows of, and Puppets, the wire that they stand on.
// What does not: the end that is tried (subject.h), experiments (experiment_*.cc).
//
// A puppet does no more than acknowledge what comes in order: no retransmission, no congestion control, no window
// scale. It can fall silent, close its window, and say any segment at any moment.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "host/descriptor.h"
#include "lab/world.h"
#include "wire/tcp.h"

namespace adieu::lab {

// A segment that a puppet heard.
struct Heard {
  Instant at;
  wire::Segment segment;      // without its payload
  std::uint32_t payload = 0;  // octets

  bool is_bare_ack() const { return segment.ack_flag && payload == 0 && !segment.syn && !segment.fin && !segment.rst; }
};

class Puppet {
 public:
  using Send = std::function<void(const Endpoint& to, const wire::Segment& segment)>;
  Puppet(const Endpoint& own, Send send) : own_(own), send_(std::move(send)) {}

  // How it behaves by itself.
  bool answers = true;                 // false: it takes nothing in and answers nothing, as if it were gone
  std::uint16_t window = 64000;        // 0: it takes no data in, and says so
  Duration delay;                      // it hears, and so answers, so much later
  std::optional<std::uint32_t> clock;  // the timestamp in what it sends; none: without

  // A new connection of the same name, after an old one.
  void connect(const Endpoint& to, Seq initial);
  void send_data(std::uint32_t octets);
  void send_fin();
  void send_ack();
  // The next segment that it would send: an ACK at SND.NXT. An experiment changes it and says it.
  wire::Segment next() const;
  void say(const wire::Segment& segment) { send_(remote_, segment); }
  // Questions, as stacks and middleboxes know them: the keepalive's form, its last octet of data again, and a plain
  // ACK.
  wire::Segment keepalive() const;
  wire::Segment last_octet() const;

  void take(const Heard& heard, const Endpoint& from);

  const Endpoint& own() const { return own_; }
  const Endpoint& remote() const { return remote_; }
  bool is_connected() const { return connected_; }
  bool heard_fin() const { return heard_fin_; }
  Seq rcv_nxt() const { return rcv_nxt_; }
  Seq snd_nxt() const { return snd_nxt_; }
  Seq acknowledged() const { return snd_una_; }  // by the other end
  std::uint32_t window_heard() const { return window_heard_; }
  const std::vector<Heard>& heard() const { return heard_; }
  std::size_t count(Instant since, const std::function<bool(const Heard&)>& which) const;
  std::optional<Heard> first(Instant since, const std::function<bool(const Heard&)>& which) const;

 private:
  void take_syn(const wire::Segment& segment, const Endpoint& from);
  void take_octets(const Heard& heard);

  const Endpoint own_;
  const Send send_;
  Endpoint remote_;
  Seq initial_{1'000'000};
  Seq snd_nxt_;
  Seq snd_una_;
  Seq data_end_;  // after its last octet of data
  Seq rcv_nxt_;
  std::uint32_t window_heard_ = 0;
  std::uint32_t clock_heard_ = 0;
  bool connected_ = false;
  bool heard_fin_ = false;
  std::vector<Heard> heard_;
};

// Addresses behind one namespace that its kernel does not know: it drops what comes for them, and a packet socket reads
// it first.
class Puppets {
 public:
  explicit Puppets(const Net& net);

  // At 10.9.0.1, each on a port of its own.
  Puppet& add();
  // Takes in what has arrived.
  void turn();
  // Waits for a packet.
  void wait(Duration limit) const;

 private:
  void send(const Endpoint& from, const Endpoint& to, wire::Segment segment);
  void take(Bytes packet);

  struct Delayed {
    Instant due;
    Puppet* puppet;
    Heard heard;
    Endpoint from;
  };

  host::Descriptor in_;
  host::Descriptor out_;
  std::vector<std::unique_ptr<Puppet>> puppets_;
  std::vector<Delayed> delayed_;  // in the order they came in
};

}  // namespace adieu::lab
