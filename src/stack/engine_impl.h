// The inside of Engine, for the files of this room only.
//
// Follow a segment in: packets_in.cc -> (a connection) tcp -> settle() in seam.cc
//                                    -> (none) no_connection.cc, passive_open.cc, icmp.cc.
// Follow one out: packets_out.cc. Calls of applications: calls.cc. Commands of the control plane: commands.cc.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/wheel.h"
#include "stack/cells.h"
#include "stack/demux.h"
#include "stack/engine.h"
#include "wire/icmp.h"
#include "wire/tcp.h"

namespace adieu::stack {

class Engine::Impl {
 public:
  Impl(const Settings& settings, MutableBytes table_memory, const plane::TableSetup& setup, Instant now);

  // A segment without payload that belongs to no connection (any more): its bytes are made when it is sent.
  struct Reply {
    Tuple tuple;
    wire::Segment segment;
  };
  struct ListenerState {
    Endpoint local;
    ListenOptions options;
    std::deque<Socket> queue;  // established, not accepted
    bool wake_queued = false;
  };
  // A connection that has ended while its application still holds it, or has not accepted it yet.
  struct Remains {
    tcp::Connection connection;
    Tuple tuple;
    std::optional<Error> error;
  };
  struct Quiet {
    Socket socket;
    Instant since;
  };

  // packets_in.cc
  void receive_packet(Bytes packet, const Offload& offload, Instant now);
  void receive_tcp(const wire::IpPacket& ip, const Offload& offload, Instant now);
  void advance(Instant now);
  // icmp.cc
  void receive_icmp(const wire::IpPacket& ip, Instant now);
  void believe_icmp(std::uint32_t slot, const wire::IcmpError& error, Instant now);
  // no_connection.cc
  void answer_without_connection(const Tuple& tuple, const wire::Segment& segment);
  void queue_reply(const Tuple& tuple, const wire::Segment& segment);
  // passive_open.cc
  std::optional<std::uint32_t> find_listener(const Endpoint& local) const;
  bool is_backlog_full(std::uint32_t listener) const;
  void passive_open(std::uint32_t listener, const Tuple& tuple, const wire::Segment& syn, std::optional<Seq> floor,
                    Instant now);
  void retire_oldest_embryonic(Instant now);
  tcp::OpenParameters open_parameters(const Tuple& tuple, const tcp::Options& options, Instant now) const;
  std::optional<std::uint32_t> open(const Tuple& tuple, tcp::Connection&& connection, Instant now);
  // seam.cc
  void settle(std::uint32_t slot, Instant now);
  void finish(std::uint32_t slot, const plane::Record& record);
  void fill(plane::Record& record, std::uint32_t slot, std::uint8_t changes, Instant now);
  void arm(std::uint32_t slot);
  void note_quiet(std::uint32_t slot, Instant now);
  void queue_output(std::uint32_t slot);
  void wake(std::uint32_t slot);
  void wake_listener(std::uint32_t number);
  // commands.cc
  unsigned take_commands(const plane::ControlView& control, Instant now);
  plane::Outcome obey(const plane::Command& command, std::uint32_t epoch, Instant now);
  plane::Outcome obey_probe(std::uint32_t slot, const plane::Command& command, Instant now);
  // calls.cc
  std::expected<Socket, Error> connect(const Endpoint& remote, const ConnectOptions& options, Instant now);
  std::expected<Endpoint, Error> choose_local(const Endpoint& remote, const ConnectOptions& options);
  std::optional<std::uint16_t> ephemeral_port(const Endpoint& local, const Endpoint& remote);
  // The connection behind a socket, living or ended; nullptr: BadSocket.
  tcp::Connection* find(Socket socket);
  Cell* find_live(Socket socket);
  Remains* find_remains(Socket socket);
  // packets_out.cc
  std::optional<PacketOut> poll_packet(MutableBytes buffer, Instant now);
  PacketOut write_packet(const Tuple& tuple, const wire::Segment& segment, std::size_t mss, MutableBytes buffer);

  tcp::Environment env(Instant now) const { return {now, settings.tcp}; }
  Socket socket_of(std::uint32_t slot) const { return {slot, table.generation(slot)}; }
  static std::uint64_t key_of(Socket s) { return std::uint64_t{s.generation} << 32 | s.slot; }

  Settings settings;
  plane::TableWriter table;
  plane::ControlView control;
  Counters counters;
  Cells cells;
  Demux demux;
  TimingWheel wheel;
  std::uint32_t live = 0;

  std::map<std::uint32_t, ListenerState> listeners;
  std::map<Endpoint, std::uint32_t> listening;  // a handful; looked up once per SYN
  std::uint32_t next_listener = 1;
  std::deque<Socket> embryonic;  // oldest first; entries of connections that have moved on are skipped
  std::uint32_t embryonic_count = 0;
  std::unordered_map<std::uint32_t, Instant> connect_limits;  // by slot, while SYN-SENT or SYN-RECEIVED
  std::unordered_map<std::uint64_t, Remains> remains;
  std::uint64_t ending_verdict = 0;   // of the command that is being obeyed
  std::optional<Error> ending_error;  // what its application is to be told, where the reason does not say it

  std::deque<std::uint32_t> output;  // slots that may have something to send
  std::deque<Reply> replies;
  std::deque<std::vector<std::uint8_t>> echo_replies;
  std::deque<Wake> wakes;
  std::deque<Quiet> quiet;
  std::uint32_t port_counter = 0;
};

}  // namespace adieu::stack
