// Who is asked: an end of a TCP connection under examination, and what a peer with a free hand sees of it.
//
// What lives here: Subject, what the engine and Linux have in common for the matrix; addresses and packets of its peer.
// What does not: the table (closing_matrix.inc), the road into each state (stage.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "wire/tcp.h"

namespace adieu::matrix {

// A segment of the subject's; its payload is counted, not kept.
struct Heard {
  wire::Segment segment;
  std::uint32_t octets = 0;
};

class Subject {
 public:
  Subject(Endpoint local, Endpoint peer) : local_(local), peer_(peer) {}
  virtual ~Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  const Endpoint& local() const { return local_; }
  const Endpoint& peer() const { return peer_; }

  // Calls. Their answers are the table's words: "done", "taken", "would block", "end", "sending closed" ...
  virtual void listen() = 0;
  virtual std::string connect() = 0;
  virtual bool accept() = 0;
  virtual std::string send(Bytes octets) = 0;
  // Everything that can be read now goes to `octets`.
  virtual std::string receive(std::string& octets) = 0;
  virtual std::string shut_send() = 0;
  virtual std::string shut_receive() = 0;
  virtual std::string close() = 0;
  virtual std::string abort() = 0;

  // The wire.
  virtual void inject(Bytes packet) = 0;
  // What the subject says by itself and at once, acknowledgments that it delays included if one is expected.
  virtual std::vector<Heard> answers(bool expected) = 0;
  // Until its next segment, at most `patience`.
  virtual std::vector<Heard> wait(Duration patience) = 0;

  // A state's name, or "ended: <reason>".
  virtual std::string state() = 0;
  // "" or "error: ...": what its application is told.
  virtual std::string error() = 0;

 protected:
  // The subject's own segments to its peer; others are passed over.
  void hear(Bytes packet, const Offload& offload, std::vector<Heard>& into) const;

 private:
  Endpoint local_;
  Endpoint peer_;
};

// Packets of the peer's.
std::vector<std::uint8_t> packet_of(const wire::Segment& segment, const Endpoint& from, const Endpoint& to);
enum class Unreachable : std::uint8_t { Host, Port };
// Says of the segment <SEQ=seq> from `quoted_from` to `quoted_to` that it did not arrive.
std::vector<std::uint8_t> icmp_packet(Unreachable what, const Endpoint& quoted_from, const Endpoint& quoted_to,
                                      Seq seq);
std::vector<std::uint8_t> echo_request(const Address& from, const Address& to, std::uint16_t number);

}  // namespace adieu::matrix
