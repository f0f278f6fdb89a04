// The run directory: where the processes of one `adieu up` find each other.
//
// What lives here: its path, its files' names, the locks that tell who lives, the key of initial sequence numbers.
// What does not: the socket's protocol (message.h), the ledger's tables (ledger.h).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "host/descriptor.h"
#include "host/failure.h"

namespace adieu::host {

class RunDir {
 public:
  explicit RunDir(std::string path) : path_(std::move(path)) {}
  // `flag` if it is not empty, else $ADIEU_RUN_DIR if that is not, else /run/adieu for root and $XDG_RUNTIME_DIR/adieu
  // for others.
  static RunDir chosen(const std::string& flag);
  // As chosen(), but only if somebody named one by flag or environment; for programs that can do without.
  static std::optional<RunDir> named(const std::string& flag);

  // Makes it, for this user alone. One that others may write to is refused: they could pose as a supervisor.
  Result<void> make() const;

  const std::string& path() const { return path_; }
  std::string socket() const { return path_ + "/adieu.sock"; }
  std::string api() const { return path_ + "/api.sock"; }
  std::string ledger() const { return path_ + "/ledger.db"; }
  std::string lock(std::string_view who) const { return path_ + "/" + std::string(who) + ".lock"; }
  std::string policy() const { return path_ + "/policy.toml"; }         // the text in force
  std::string kernel_probe() const { return path_ + "/kernel_probe"; }  // what must be put back (kernel/probe.h)
  std::string isn_key() const { return path_ + "/isn.key"; }

 private:
  std::string path_;
};

// "This process is the living engine": a flock that the kernel takes back however the process ends. The pid stands in
// the file for people.
class Lock {
 public:
  // An error when a living process holds it; its pid then stands in `holder`, if wanted.
  static Result<Lock> take(const std::string& path, pid_t* holder = nullptr);
  // The pid of the living holder; nullopt: nobody.
  static std::optional<pid_t> holder(const std::string& path);

 private:
  explicit Lock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

// What to do where no `adieu up` answers from there: end of a sentence. One whose supervisor has died may have left
// processes that go on.
std::string how_to_start(const RunDir& run_dir);

// 128 secret bits for initial sequence numbers (RFC 6528), kept in the run directory (mode 0600) so that they outlive
// the engine's process and the supervisor: a restarted engine's sequence numbers go on rising, because the other half
// of an ISN, the clock, is CLOCK_MONOTONIC and goes on as well.
//
// A reboot starts that clock anew, and often empties the run directory. So the key of another boot is thrown away, and
// no key is used before this host has been up for one maximum segment lifetime: whatever an engine sent before the
// reboot is then gone from the network (the quiet time of RFC 9293 section 3.4.3). Nearly always that time has passed
// long ago. Later, a first start and a lost key look alike; whoever deletes the file while old segments are under way
// does what the RFC warns of.
struct IsnKey {
  std::array<std::uint8_t, 16> key{};
  Duration quiet;  // to wait before the first segment; usually 0
};
Result<IsnKey> isn_key(const RunDir& run_dir, Duration segment_lifetime);

// Random octets from the kernel.
void fill_random(std::span<std::uint8_t> octets);
std::uint64_t random_number();

}  // namespace adieu::host
