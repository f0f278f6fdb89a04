// A plane's end of the seam: the memory it shares, and its registration with `adieu up`.
//
// What lives here: SeamMemory (table, control block, two bells: the plane makes all four), PlaneLink. What does not:
// what the plane writes (plane, stack, kernel), the other ends (supervisor.h, control_process.h).
//
// When the supervisor dies, the plane keeps its four descriptors and goes on; it asks for the next supervisor every 200
// ms and registers again with the same incarnation, so that a control plane recognises it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "host/descriptor.h"
#include "host/failure.h"
#include "host/message.h"
#include "host/poller.h"
#include "host/run_dir.h"
#include "host/shared_memory.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::host {

class SeamMemory {
 public:
  static Result<SeamMemory> make(const plane::Capacity& capacity);

  MutableBytes table() { return table_.writable(); }
  // The plane's view of what control writes; over memory that nobody can shrink.
  plane::ControlView control() const { return plane::ControlView(control_.bytes()); }
  int wake_plane() const { return wake_plane_.get(); }
  int wake_control() const { return wake_control_.get(); }
  // In the order of a RegisterPlane message. The table only for reading.
  std::array<int, 4> descriptors() const {
    return {table_file_.get(), control_file_.get(), wake_plane_.get(), wake_control_.get()};
  }

 private:
  Descriptor table_file_, control_file_, wake_plane_, wake_control_;
  Mapping table_, control_;
};

struct PlaneIdentity {
  std::uint64_t incarnation = 0;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::string name;
  bool child = false;  // started by `adieu up`
};

class PlaneLink {
 public:
  // `seam` and `poller` outlive the link; `token` is the poller's for its socket.
  PlaneLink(const RunDir& run_dir, const SeamMemory& seam, PlaneIdentity identity, Poller& poller, std::uint64_t token);

  void input(Instant now);  // the poller gave the token back
  void advance(Instant now);
  Instant next_deadline() const { return connected() ? Instant::never() : retry_at_; }

  bool registered() const { return registered_; }
  bool told_to_stop() const { return stop_; }
  // The plane ends in good order and has not failed.
  void goodbye();

 private:
  bool connected() const { return static_cast<bool>(socket_); }
  void lost(Instant now, Duration retry_after);

  std::string path_;
  const SeamMemory& seam_;
  PlaneIdentity identity_;
  Poller& poller_;
  std::uint64_t token_;
  Descriptor socket_;
  Instant retry_at_ = Instant::unknown();  // at once
  std::string last_refusal_;
  bool registered_ = false;
  bool stop_ = false;
};

}  // namespace adieu::host
