// `adieu up`: keeps engine, kernel plane and control plane alive, and hands the planes' descriptors on.
//
// What lives here: Supervisor: the unix socket, who is registered, who gets what. What does not: starting a process
// (child.h), the words of the socket (message.h), any look into a table but the check that it is one.
//
// Whoever registers must be of this user or root, must hand over four sound descriptors, and is told what is wrong with
// them if not. Nothing that a client sends, or does not take, holds the others up.
//
// It looks now and then whether its run directory is still where it was. If not, nobody can find it any more, but what
// serves goes on serving: it says so, once, and says when the directory is back.
//
// When the supervisor dies, nobody follows it: planes and control go on and register with the next one.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/child.h"
#include "host/descriptor.h"
#include "host/failure.h"
#include "host/message.h"
#include "host/poller.h"
#include "host/run_dir.h"

namespace adieu::host {

// What to start; the subcommand and its flags. Empty: not this one.
struct ChildCommands {
  std::vector<std::string> engine;
  std::vector<std::string> kernel;
  std::vector<std::string> control;
};

class Supervisor {
 public:
  // Takes supervisor.lock and the socket's address; makes the run directory.
  static Result<std::unique_ptr<Supervisor>> open(const RunDir& run_dir, const ChildCommands& commands);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Until everything that was asked for serves. False: told to stop before that.
  Result<bool> start();
  // Until SIGTERM, SIGINT, or SIGHUP because its terminal has gone; then all children have ended. Any other SIGHUP
  // makes the control plane read its policy again.
  void run();

 private:
  enum class Role : std::uint8_t { Unknown, Plane, Control, Reader };
  struct Outgoing {
    Message message;
    std::vector<Descriptor> descriptors;
  };
  struct Client {
    Descriptor socket;
    Peer peer;
    Role role = Role::Unknown;
    Instant hello_until;
    std::uint64_t incarnation = 0;  // of a plane
    Child* child = nullptr;         // which of ours it is
    std::deque<Outgoing> outbox;
    bool over = false;  // to be closed once its outbox is empty
  };
  struct RegisteredPlane {
    Message message;  // as it is told to others
    Descriptor table, control, control_read_only, wake_plane, wake_control;
    std::uint64_t client = 0;  // token; 0: failed
  };

  Supervisor(RunDir run_dir, Lock lock, Descriptor listener, Descriptor home);
  bool turn();
  void accept_clients(Instant now);
  void hear(std::uint64_t token, Instant now);
  void take(std::uint64_t token, Received received, Instant now);
  void register_plane(std::uint64_t token, Received& received);
  Result<RegisteredPlane> examine(const Received& received, const Peer& peer) const;
  std::string free_name(std::string name) const;
  void attend(std::uint64_t token);
  void read(std::uint64_t token);
  void plane_gone(std::uint64_t incarnation, bool failed);
  void forget_old_failures();
  void lost(std::uint64_t token, Instant now);
  void refuse(std::uint64_t token, const std::string& why);
  void send(std::uint64_t token, const Message& message, std::initializer_list<int> descriptors = {});
  void send_plane(std::uint64_t token, const RegisteredPlane& plane);
  void flush(std::uint64_t token);
  void take_signals(Instant now);
  void reload();
  void reap(Instant now);
  void stop_children();
  Child* child_of(const char* name, pid_t process);
  Client* control_client();
  Instant next_deadline() const;
  void look_home(Instant now);

  RunDir run_dir_;
  Lock lock_;
  Descriptor listener_;
  Descriptor home_;  // the run directory, wherever it is by now
  Descriptor signals_;
  Poller poller_;
  std::deque<Child> children_;  // addresses stay
  std::map<std::uint64_t, Client> clients_;
  std::vector<RegisteredPlane> planes_;
  std::uint64_t next_token_ = 16;
  bool stop_ = false;
  bool has_terminal_ = false;
  Instant look_home_at_ = Instant::unknown();
  bool is_home_ = true;
};

}  // namespace adieu::host
