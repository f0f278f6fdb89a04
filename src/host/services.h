// The classic services, as applications of an engine: echo (RFC 862), discard (RFC 863), chargen (RFC 864).
//
// What lives here: Services, which works on Engine calls only. What does not: loops, devices, clocks.
//   echo     sends back what it reads; after the peer's FIN, once all is echoed, it closes
//   discard  reads until the peer's FIN, then closes
//   chargen  sends without end, also after the peer's FIN (a half-closed peer still listens), until the peer resets the
//            connection; while the peer's window is closed it produces nothing
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "host/failure.h"
#include "stack/engine.h"

namespace adieu::host {

class Services {
 public:
  explicit Services(stack::Engine& engine) : engine_(engine) {}

  // Ports 7, 9 and 19, on all of the engine's addresses.
  Result<void> listen();
  // Does what can be done now, a bounded share for each connection; true: more can be done without waiting.
  bool run(Instant now);
  std::size_t connections() const { return sessions_.size(); }

 private:
  enum class Kind : std::uint8_t { Echo, Discard, Chargen };
  struct Door {
    stack::Listener listener;
    Kind kind;
  };
  struct Session {
    stack::Socket socket;
    Kind kind = Kind::Echo;
    bool end_read = false;           // the peer's stream has ended
    bool queued = false;             // waits in ready_
    std::uint32_t line = 0;          // chargen: where in the pattern the next octet stands
    std::vector<std::uint8_t> owed;  // echo: read and not sent back yet
  };
  // What became of a connection in its turn.
  enum class Turn : std::uint8_t { Waits, More, Over };

  void accept_all(const Door& door, Instant now);
  Turn serve(Session& session, Instant now);
  Turn echo(Session& session, Instant now);
  Turn read_away(Session& session, Instant now);
  Turn generate(Session& session, Instant now);
  void queue(std::uint32_t slot);

  stack::Engine& engine_;
  std::vector<Door> doors_;
  std::unordered_map<std::uint32_t, Session> sessions_;  // by slot; its order is never used
  std::deque<std::uint32_t> ready_;
};

}  // namespace adieu::host
