// The kernel as a data plane: Linux's own TCP, watched, and ended on command.
//
// What lives here: Plane, one whole sweep, a look for holders, and the answers to commands. What does not: the process,
// its clock and its memory (host).
// It watches the network namespace of the thread that opens it, and after a look those of all processes that it may
// enter. Until it is told to act it does nothing to any connection, and every command is answered with a receipt that
// says so.
#pragma once

#include <expected>
#include <memory>
#include <span>

#include "base/time.h"
#include "kernel/act.h"
#include "kernel/bpf_events.h"
#include "kernel/bpf_holdings.h"
#include "kernel/crafter.h"
#include "kernel/facts.h"
#include "kernel/holders.h"
#include "kernel/network.h"
#include "kernel/probe.h"
#include "kernel/sweep.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::kernel {

// What a look could not see.
struct Sight {
  std::uint32_t processes = 0;
  std::uint32_t processes_closed = 0;  // of them: what they have open may not be seen
  std::uint32_t networks = 1;
  std::uint32_t networks_closed = 0;  // beside them: may not be entered
  bool own_network_only = false;      // the others were not looked for
  bool all_processes_visible = true;  // false: /proc shows a part of this host's, as it does inside a container
  bool by_bpf = false;  // descriptors are listed by the kernel, references included; else by a walk of /proc
};

// For what the plane may load programs into the kernel (BPF). Without, it works all the same, and knows or does less.
struct Bpf {
  bool holders = true;        // else /proc is walked: descriptors in flight are not counted
  bool events = true;         // else changes are as old as the sweep that saw them, and ends have no reason
  bool end_of_stream = true;  // else an end of stream that was read cannot be told from one that was not
  bool probe = true;          // else whoever has timers of its own is not asked, nor anybody more than four times
  bool guard = true;          // else a segment that comes in the last moment does not stop a reset
  bool operator==(const Bpf&) const = default;
};

// What one call of hear() met.
struct Heard {
  bool anything = false;   // more may have come since: hear again in a while
  std::uint64_t lost = 0;  // since the latest sweep began: sweep soon
};

class Plane {
 public:
  // `table` outlives the plane, has room for what stands beside a record and no other writer. Of the abilities that it
  // claims, at most kAbilities, those stay that need no act.
  static std::expected<Plane, Error> open(plane::TableWriter& table, const Bpf& bpf = {});

  // From now on commands are carried out, as far as this process may and this kernel can. `wanted`: no others.
  // `prober`: for questions.
  void act(plane::Abilities wanted, Prober prober);

  // Loads what a look takes (BPF): the privileges for that need not last. The first look does it where nobody did.
  void prepare_to_look();
  // Who has what open, and which networks there are, from now on until the next look.
  void look(Instant now);
  // Of the networks only our own, from the next look on.
  void keep_to_own_network() { every_network_ = false; }
  // Answers a batch of the commands that wait, then brings the table up to what the kernel says at `now`
  // (CLOCK_MONOTONIC), then sets the heartbeat. On an error the table stays true but old, nothing has ended on the
  // strength of a dump that was not whole, and the heartbeat stands still; the next call starts afresh.
  [[nodiscard]] std::expected<void, Error> sweep(Instant now, const plane::ControlView& control);
  // A look and a sweep at once, for whoever asks but once: the kernel is asked for its sockets by a thread of its own.
  [[nodiscard]] std::expected<void, Error> look_and_sweep(Instant now, const plane::ControlView& control);
  // A batch of commands, for a host that answers them between two sweeps. Some may be left: it calls again without
  // waiting.
  void take_commands(Instant now, const plane::ControlView& control);

  // From now on the kernel tells what happens; an error says why it does not.
  [[nodiscard]] std::expected<void, Error> listen();
  // Readable (epoll) while it has told something that hear() has not read; -1: it does not tell.
  int told_descriptor() const { return events_ ? events_->descriptor() : -1; }
  // Brings the table up to what it told since, between two sweeps, and to what is due and not told.
  Heard hear(Instant now, const plane::ControlView& control);

  // When something is due that the kernel does not tell: hear() then.
  Instant next_due() const { return sweep_->next_due(); }

  // The plane lives, and what it said last holds; not after a sweep that failed.
  void beat(Instant now) { table_->beat(now); }

  // Of the latest sweep.
  const SweepCounts& counts() const { return sweep_->counts(); }
  // For whoever asks the kernel about one socket of the own network, timer included, between two sweeps.
  Diag& diag() { return networks_.all().front().diag; }
  // Of the latest look.
  const Sight& sight() const { return *sight_; }

 private:
  Plane(plane::TableWriter& table, Networks networks, const Bpf& bpf);
  bool take_told();
  void look_again(const SocketKey& key, const plane::ControlView& control);
  std::expected<void, Error> see_all(Network& network, const plane::ControlView& control);
  std::expected<void, Error> see_rest(Instant now, const plane::ControlView& control);
  plane::Abilities able() const;

  struct Pending;
  static bool fits(std::span<const Pending> batch, const Pending& next);
  Pending prepare(std::uint64_t number, Instant now, const plane::ControlView& control);
  plane::Outcome find(Pending& pending);
  void plan(Pending& pending) const;
  void act_on(Pending& pending);
  plane::Outcome by_descriptor(const Pending& pending);
  void abort_guarded(std::span<Pending> batch);
  void verify(Pending& pending);
  void ask(std::span<Pending> batch);
  void craft(std::span<Question> questions);

  plane::TableWriter* table_;
  Networks networks_;
  Bpf bpf_;
  bool every_network_ = true;
  Acts acts_;
  Prober prober_;
  Crafter crafter_;
  plane::Abilities wanted_ = 0;  // of acts
  bool is_prepared_ = false;
  std::unique_ptr<BpfHoldings> holdings_;  // null: not permitted, not possible, or no look yet
  std::unique_ptr<BpfEvents> events_;      // null: likewise, or nobody listens
  std::uint64_t events_lost_ = 0;          // when the latest sweep began
  std::unique_ptr<Sight> sight_ = std::make_unique<Sight>();
  std::unique_ptr<Holders> holders_ = std::make_unique<Holders>();
  std::unique_ptr<Sweep> sweep_;
};

}  // namespace adieu::kernel
