// What an application does with one connection: it follows its plan, whatever the connection does.
//
// What lives here: Application. What does not: connecting and accepting (host.h).
//
// input: step(now), early is harmless.  deadline: next_deadline().
#pragma once

#include <vector>

#include "sim/scene.h"
#include "stack/engine.h"

namespace adieu::sim {

class Application {
 public:
  // `end` is the connection's; it and the others outlive the application.
  Application(Scene& scene, stack::Engine& engine, stack::Socket socket, End& end, const EndPlan& plan);

  void step(Instant now);
  Instant next_deadline() const { return next_; }
  stack::Socket socket() const { return socket_; }
  bool is_done() const { return done_; }

 private:
  void shut_receive(Instant now);
  void read_some(Instant now);
  void got(Bytes octets, Instant now);
  void write_some(Instant now);
  void write_echo(Instant now);
  void finish(Instant now);
  void let_go(Instant now);
  bool is_curfew(Instant now) const { return now >= scene_.plan.curfew; }
  bool is_all_written(Instant now) const;
  // True when `at` has come; otherwise step() will be called then.
  bool is_due(Instant at, Instant now);
  // True if the call is to be tried again later; otherwise the connection is of no more use.
  bool is_patience(stack::Error error);
  void note(Instant now, const char* what, std::uint64_t number);

  Scene& scene_;
  stack::Engine& engine_;
  stack::Socket socket_;
  End& end_;
  EndPlan plan_;
  Instant next_;
  Instant connected_at_;
  Instant read_at_;
  Instant write_at_;
  Instant finish_at_;
  Instant close_at_;
  bool connected_ = false;
  bool failed_ = false;
  bool stream_over_ = false;  // the peer's
  bool done_ = false;
  std::vector<std::uint8_t> echo_;
};

}  // namespace adieu::sim
