// The end that an experiment tries: a socket of this kernel, or one of an engine. The same calls for both.
//
// What lives here: Subject and its two kinds, and KernelTable, what the kernel says of its sockets. What does not: the
// peer (puppet.h), worlds (stage.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/terms.h"
#include "base/time.h"
#include "host/descriptor.h"
#include "host/engine_loop.h"
#include "lab/world.h"

namespace adieu::lab {

class Subject {
 public:
  Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  // Of the connection, whoever holds it; nullopt: there is none any more.
  virtual std::optional<State> state() = 0;
  virtual void send(std::uint32_t octets) = 0;
  virtual void shut_send() = 0;
  virtual void shut_receive() = 0;
  virtual void close() = 0;
  // Octets read now, at most 64 Ki; 0: the end of the stream; nullopt: there is nothing, or the connection has failed.
  virtual std::optional<std::size_t> receive() = 0;
  // Received and not read.
  virtual std::uint32_t unread() = 0;
};

// What the kernel says of one of its sockets (sock_diag(7)), whoever holds it.
struct KernelRow {
  State state = State::Closed;
  std::uint32_t unread = 0;
  unsigned timer = 0;  // 0 none, 1 retransmission, 2 keepalive or FIN-WAIT-2, 3 TIME-WAIT (or its like), 4 zero window
  Duration expires;
};

// Asks for one connection by its name: the whole list would have every bucket of this host's table walked each time.
class KernelTable {
 public:
  explicit KernelTable(const Net& net);
  std::optional<KernelRow> row(const Endpoint& local, const Endpoint& remote);

 private:
  host::Descriptor socket_;  // of its namespace, wherever it is used
};
// "no timer", "timer: TIME-WAIT, 58.2 s".
std::string timer_text(const std::optional<KernelRow>& row);

class KernelSubject final : public Subject {
 public:
  // A connect that is under way, or a connection that was accepted.
  KernelSubject(host::Descriptor socket, KernelTable& table, const Endpoint& remote);

  std::optional<State> state() override;
  void send(std::uint32_t octets) override;
  void shut_send() override;
  void shut_receive() override;
  void close() override;
  std::optional<std::size_t> receive() override;
  std::uint32_t unread() override;

  std::optional<KernelRow> row() { return table_.row(local_, remote_); }
  void set_option(int level, int name, int value);
  // The retransmission timeout that it has computed.
  Duration rto() const;
  // SO_ERROR, in words; "no error".
  std::string error() const;

 private:
  host::Descriptor socket_;
  KernelTable& table_;
  Endpoint local_;
  Endpoint remote_;
};

class EngineSubject final : public Subject {
 public:
  EngineSubject(host::EngineLoop& loop, stack::Socket socket);

  std::optional<State> state() override;
  void send(std::uint32_t octets) override;
  void shut_send() override;
  void shut_receive() override;
  void close() override;
  std::optional<std::size_t> receive() override;
  std::uint32_t unread() override;

 private:
  std::optional<plane::Record> record();

  host::EngineLoop& loop_;
  stack::Socket socket_;
};

// An engine in this process, in a namespace: its turns are the caller's.
std::unique_ptr<host::EngineLoop> start_engine(const Net& net, Duration time_wait, const std::string& run_dir);

}  // namespace adieu::lab
