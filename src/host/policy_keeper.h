// The policy that a control process follows: which one it starts with, how another takes its place, who hears of it.
//
// What lives here: PolicyKeeper. What does not: reading a policy (policy.h), judging by it (control).
//
// A policy comes into force whole or not at all. What is wrong with one that does not is on stderr and in the ledger.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "control/attendant.h"
#include "host/api_board.h"
#include "host/ledger.h"
#include "host/log.h"
#include "host/options.h"
#include "host/policy.h"
#include "host/run_dir.h"

namespace adieu::host {

struct FirstPolicy {
  std::shared_ptr<const NamedPolicy> policy;
  std::string mistakes;  // of the file that should have been it, a line each; empty: none
};
// A file that has gone bad since `adieu up` looked at it does not keep a new control plane from starting, as long as
// there is a policy that was in force.
Result<FirstPolicy> first_policy(const RunDir& run_dir, const ControlOptions& options);

class PolicyKeeper {
 public:
  struct Followers {
    control::Attendant& attendant;
    SqliteLedger& ledger;
    TallyLedger& tally;
    ApiBoard& board;
  };
  // Puts the first one in force.
  PolicyKeeper(const RunDir& run_dir, std::string file, const FirstPolicy& first, const Followers& followers);

  // Reads the file again.
  void reload();
  // Looks, now and then, whether this host is short of memory; nothing is to be done before next_deadline().
  void feel_pressure(Instant now);
  Instant next_deadline() const { return feel_at_; }

 private:
  void put_in_force();
  void refuse(std::string_view mistakes, std::string_view then);

  RunDir run_dir_;
  std::string file_;  // empty: none
  std::shared_ptr<const NamedPolicy> policy_;
  Followers followers_;
  Instant feel_at_ = Instant::unknown();
  OnceLog troubles_;
};

}  // namespace adieu::host
