// The machine under test: an engine, a clock that nobody but the script winds, packets on their way out, descriptors.
//
// What lives here: Machine, and Call, the one way into it. What does not: what a descriptor does (socket, pipe, epoll),
// packetdrill's interface (interface.h).
//
// Time is virtual and moves only in run_until() and next_packet(): from deadline to deadline, so that an hour costs no
// more than what happens in it.
//
// Threads: packetdrill makes blocking calls from a second thread. One lock guards everything; a call that waits gives
// it up. Time never overtakes somebody who can go on: whoever moves it first lets those go whose wait is over, and
// leaves them a moment to read the clock. When all who call are waiting, the one who waits moves it (kNobodyElse).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "packetdrill/file.h"
#include "packetdrill/flags.h"
#include "stack/engine.h"

namespace adieu::packetdrill {

class Socket;

struct Departure {
  Instant at;
  std::vector<std::uint8_t> packet;
};

class Machine {
 public:
  explicit Machine(const Flags& flags);
  ~Machine();

  stack::Engine& engine() { return *engine_; }
  Instant now() const { return now_; }
  const stack::Settings& settings() const { return settings_; }

  // Scripts choose their addresses, and nobody tells us: one that is named here or that a packet is sent to becomes
  // ours, until the first connection exists.
  void learn(const Address& address);
  void receive(Bytes packet);

  // Who is told when the engine wakes it.
  void watch(stack::Socket socket, Socket* file) { sockets_[key_of(socket)] = file; }
  void watch(stack::Listener listener, Socket* file) { listeners_[listener.number] = file; }
  void unwatch(stack::Socket socket) { sockets_.erase(key_of(socket)); }
  void unwatch(stack::Listener listener) { listeners_.erase(listener.number); }

  // --- descriptors; -EMFILE or the number, the lowest that is free, as everywhere
  int add(std::shared_ptr<File> file);
  std::shared_ptr<File> find(int fd) const;
  std::shared_ptr<File> remove(int fd);
  const std::map<int, std::shared_ptr<File>>& files() const { return files_; }

  // Everybody who waits is sent home, and nobody is inside when it returns.
  void evacuate();

 private:
  friend class Call;
  struct Waiter {
    Instant until;
    const std::function<bool()>& ready;
    bool woken = false;
  };

  static std::uint64_t key_of(stack::Socket s) { return std::uint64_t{s.generation} << 32 | s.slot; }
  void build();
  // What follows from what has happened: packets leave, descriptors and those who wait for them hear of it.
  void settle();
  Instant next_event() const;
  void advance(Instant to);

  stack::Settings settings_;
  Duration patience_;
  Instant now_;
  std::vector<std::uint64_t> table_memory_;
  std::unique_ptr<stack::Engine> engine_;
  std::map<std::uint64_t, Socket*> sockets_;
  std::map<std::uint32_t, Socket*> listeners_;
  std::map<int, std::shared_ptr<File>> files_;
  std::deque<Departure> departures_;
  std::vector<std::uint8_t> buffer_;

  std::mutex mutex_;
  std::condition_variable signal_;
  std::list<Waiter> waiters_;
  unsigned inside_ = 0;                      // calls
  std::uint64_t entries_ = 0;                // calls ever made
  std::optional<std::thread::id> released_;  // whose call had waited and returned, and who has not called since
  bool closing_ = false;
};

// One call from outside. It holds the machine's lock for as long as it lasts, but for the time it waits.
class Call {
 public:
  explicit Call(Machine& owner);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  stack::Engine& engine() { return machine.engine(); }
  Instant now() const { return machine.now(); }

  // False: `until` came first.
  bool wait(Instant until, const std::function<bool()>& ready);
  void run_until(Instant until);
  // nullopt: none leaves, however long one waits (or longer than the flags' patience).
  std::optional<Departure> next_packet();

  Machine& machine;

 private:
  void let_others_go();

  std::unique_lock<std::mutex> lock_;
  bool has_waited_ = false;
};

}  // namespace adieu::packetdrill
