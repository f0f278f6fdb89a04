// Any text, read as a policy: nothing may break, and whatever is no policy yields at least one mistake, each with a
// line of the text, a reason and a remedy.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "host/policy.h"

namespace adieu::host {
namespace {

void check_mistakes(const std::vector<PolicyMistake>& mistakes, std::string_view text) {
  ADIEU_ASSERT(!mistakes.empty());
  const auto lines = static_cast<unsigned>(std::ranges::count(text, '\n')) + 1;
  for (const PolicyMistake& mistake : mistakes) {
    ADIEU_ASSERT(mistake.line >= 1 && mistake.line <= lines && mistake.column >= 1);
    ADIEU_ASSERT(mistake.reason.size() > 1 && mistake.remedy.size() > 1);
  }
  ADIEU_ASSERT(std::ranges::is_sorted(mistakes, {}, &PolicyMistake::line));
  const std::string told = describe("policy", mistakes);
  ADIEU_ASSERT(static_cast<std::size_t>(std::ranges::count(told, '\n')) + 1 == mistakes.size());
}

void check_policy(const NamedPolicy& read, std::string_view text) {
  const control::Policy& policy = read.policy;
  const std::size_t rules = policy.clauses().size();
  ADIEU_ASSERT(read.text == text && policy.fingerprint == fingerprint(text) && policy.fingerprint != 0);
  ADIEU_ASSERT(rules >= 1 && rules <= control::Policy::kMostRules);
  ADIEU_ASSERT(read.rules.size() == rules && read.matches.size() == rules);
  ADIEU_ASSERT(read.path_timers.size() == policy.path_timers.size());
  ADIEU_ASSERT(policy.clauses().back().filter.is_everything());
  for (const control::Clause& clause : policy.clauses()) {
    ADIEU_ASSERT(validate(clause.rule).has_value());
    ADIEU_ASSERT(bound(clause.rule) > Duration{});
  }
}

}  // namespace
}  // namespace adieu::host

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const auto read = adieu::host::read_policy(text);
  if (read)
    adieu::host::check_policy(*read, text);
  else
    adieu::host::check_mistakes(read.error(), text);
  return 0;
}
