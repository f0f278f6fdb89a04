// What a policy would have decided over the ledger's past.
//
// What lives here: Trial, try_policy(). What does not: printing (cli), reading files (policy.h, ledger.h).
//
// Each verdict that is kept is judged anew, at its own instant, on the evidence it was reached on. So what is compared
// are decisions, not histories: a rule that asks more often would have had other evidence, and a connection that it
// would have ended would have had no later verdicts. Who held a connection is not kept: a rule that asks for a process
// matches nothing here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/ledger.h"
#include "host/policy.h"

namespace adieu::host {

struct Difference {
  std::uint64_t verdict = 0;  // its number
  NamedId id;
  std::string local, remote, state;
  std::uint32_t rule = 0;     // that would have held
  std::string was, would_be;  // standing
  std::string did, would_do;  // empty: nothing
  bool ends() const { return !is_end(did) && is_end(would_do); }
  bool spares() const { return is_end(did) && !is_end(would_do); }
  bool keeps_otherwise() const { return !ends() && !spares() && is_keepalive(did) != is_keepalive(would_do); }

 private:
  static bool is_keepalive(const std::string& act) { return act == control::name(control::Act::Keepalive); }
  static bool is_end(const std::string& act) { return !act.empty() && !is_keepalive(act); }
};

struct RuleTrial {
  std::uint64_t verdicts = 0;
  std::uint64_t same = 0;
  std::uint64_t ends = 0;    // would have been ended, and were not
  std::uint64_t spares = 0;  // were ended, and would not have been
  std::uint64_t stands = 0;  // would have stood otherwise, been ended in another way, or had another keepalive
};

struct Trial {
  std::vector<RuleTrial> rules;  // by number
  std::vector<Difference> differences;
  std::uint64_t verdicts = 0;
  std::uint64_t not_rules = 0;   // asked for by a person, or taken by a budget
  std::uint64_t unreadable = 0;  // by this version
  bool needs_processes = false;  // some rule asks for a process
};
Result<Trial> try_policy(const NamedPolicy& policy, const LedgerReader& ledger);

}  // namespace adieu::host
