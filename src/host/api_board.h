// What the control plane's thread and the threads of its API hand to each other.
//
// What lives here: ApiBoard: the planes, the policy and the counts as they are now, and the orders of people with what
// became of them. What does not: what is read from a table (api_tables.h), HTTP (http.h), who carries orders out
// (control_process.cc).
//
// Nothing here makes the control thread wait: it shows values, takes orders and tells results under a lock that nobody
// holds longer than a copy takes. Tables are mapped as long as anybody reads them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/attendant.h"
#include "control/ledger.h"
#include "host/policy.h"
#include "host/shared_memory.h"
#include "plane/connection_id.h"
#include "plane/control_block.h"
#include "plane/table.h"

namespace adieu::host {

struct ApiPlane {
  std::string name;
  std::uint64_t incarnation = 0;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::uint32_t process = 0;
  std::shared_ptr<Mapping> table_memory, control_memory;
  plane::TableReader table;
  plane::ControlView control;
};

// What has been decided since this control plane started.
struct Tally {
  std::map<std::pair<control::Cause, std::string>, std::uint64_t> decisions;  // by cause and the rule's name
  std::array<std::uint64_t, kProbeForms> probes{};
  control::Attendant::Counts counts;
  // Rounds in which tables were swept, and how long they took.
  std::uint64_t rounds = 0;
  Duration sweeping;
  Duration last_sweep;
};

struct ApiSnapshot {
  std::vector<std::shared_ptr<const ApiPlane>> planes;  // by name
  std::shared_ptr<const NamedPolicy> policy;
  std::shared_ptr<const control::HostBook> hosts;  // what has been learned of them
  Tally tally;
};

struct Order {
  plane::ConnectionId id;
  control::Request request;  // with the ticket that result() wants
};
struct OrderResult {
  enum class What : std::uint8_t {
    Receipt,   // `outcome` and `state`
    Refused,   // `refusal`
    NotGiven,  // the ledger could not write, or the plane has failed
    TooLate,   // nobody answered in time; it may still be done, or expire
  };
  What what = What::TooLate;
  control::Refusal refusal = control::Refusal::Ended;
  plane::Outcome outcome = plane::Outcome::Malformed;
  State state = State::Closed;
  std::uint64_t verdict = 0;
};

class ApiBoard {
 public:
  ApiBoard();
  ~ApiBoard();
  ApiBoard(const ApiBoard&) = delete;
  ApiBoard& operator=(const ApiBoard&) = delete;

  // The control thread's.
  void show_planes(std::vector<std::shared_ptr<const ApiPlane>> planes);
  void show_policy(std::shared_ptr<const NamedPolicy> policy);
  void show_hosts(std::shared_ptr<const control::HostBook> hosts);
  void show_tally(const Tally& tally);
  void tell_news();
  int bell() const;  // rings when orders wait
  std::vector<Order> take_orders();
  void result(std::uint64_t ticket, const OrderResult& result);

  // Any thread's.
  ApiSnapshot snapshot() const;
  // Waits for what becomes of it. The ticket is the board's to fill in.
  OrderResult order(Order order, Duration limit);
  // Waits until there is news after `seen`, at most `limit`; returns the number of the latest.
  std::uint64_t await_news(std::uint64_t seen, Duration limit) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The ledger with a tally: forwards everything.
class TallyLedger final : public control::Ledger {
 public:
  TallyLedger(control::Ledger& ledger, std::shared_ptr<const NamedPolicy> policy)
      : ledger_(ledger), policy_(std::move(policy)) {}
  void set_policy(std::shared_ptr<const NamedPolicy> policy) { policy_ = std::move(policy); }
  Tally& tally() { return tally_; }
  // Something was kept since the last call.
  bool had_news() { return std::exchange(news_, false); }
  // nullptr: nothing more has been learned of hosts since the last call.
  std::shared_ptr<const control::HostBook> poll_hosts();
  // From before this control plane.
  void know(const control::HostLearned& host) { learned_hosts_[host.host] = host; }

  std::optional<std::uint64_t> verdict(const control::Decision& decision, Instant now) override;
  bool noted(const control::Note& note, Instant now) override;
  bool receipt(std::uint32_t plane, const plane::Receipt& receipt) override;
  bool ended(std::uint32_t plane, const plane::ConnectionId& id, const plane::Record& record) override;
  bool learned(const control::HostLearned& host) override;
  bool commit() override;

 private:
  control::Ledger& ledger_;
  std::shared_ptr<const NamedPolicy> policy_;
  Tally tally_;
  std::map<Address, control::HostLearned> learned_hosts_;
  bool hosts_changed_ = true;
  bool news_ = false;
};

}  // namespace adieu::host
