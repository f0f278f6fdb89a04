// One connection without a stack around it: env, and the roads into its states.
#pragma once

#include "tcp/connection.h"

namespace adieu::tcp {

using namespace adieu::literals;

struct Solo {
  explicit Solo(State target) : connection(open(), env()) {
    drain();
    if (target == State::SynSent) return;
    wire::Segment syn;
    syn.seq = Seq{5000};
    syn.syn = true;
    syn.window = 65535;
    if (target == State::SynReceived) {
      put(syn);
      return;
    }
    syn.ack_flag = true;
    syn.ack = connection.snd_nxt();
    put(syn);
    const auto fin = [&](bool acks) {
      wire::Segment s = plain();
      if (!acks) s.ack = connection.snd_una();
      s.fin = true;
      put(s);
    };
    const auto shut = [&] {
      (void)connection.shutdown_send(env());
      drain();
    };
    if (target == State::CloseWait || target == State::LastAck) fin(true);
    if (target == State::FinWait1 || target == State::FinWait2 || target == State::Closing ||
        target == State::TimeWait || target == State::LastAck) {
      shut();
    }
    if (target == State::FinWait2) put(plain());
    if (target == State::Closing) fin(false);
    if (target == State::TimeWait) fin(true);
  }

  static OpenParameters open() {
    OpenParameters parameters;
    parameters.iss = Seq{1000};
    return parameters;
  }
  Environment env() const { return {now, settings}; }
  wire::Segment plain() const {
    wire::Segment s;
    s.seq = connection.rcv_nxt();
    s.ack_flag = true;
    s.ack = connection.snd_nxt();
    s.window = 65535;
    return s;
  }
  void put(const wire::Segment& segment) {
    (void)connection.input(segment, env());
    drain();
  }
  unsigned drain() {
    unsigned segments = 0;
    while (connection.poll_segment(1460, env())) ++segments;
    (void)connection.take_changes();
    return segments;
  }

  Settings settings;
  Instant now{seconds(1000).ns};
  Connection connection;
};

}  // namespace adieu::tcp
