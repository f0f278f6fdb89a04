// From the file, through the run directory, to all who follow.
#include "host/policy_keeper.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "host/memory.h"
#include "host/text.h"

namespace adieu::host {
namespace {

constexpr Duration kPressureLook = seconds(1);

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t end = 0; end != std::string_view::npos; text.remove_prefix(end + 1)) {
    end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
  }
  return lines;
}

}  // namespace

Result<FirstPolicy> first_policy(const RunDir& run_dir, const ControlOptions& options) {
  const auto made = [](NamedPolicy policy, std::string mistakes = {}) {
    return FirstPolicy{std::make_shared<const NamedPolicy>(std::move(policy)), std::move(mistakes)};
  };
  if (options.policy_file.empty() && options.policy_text.empty()) return made(built_in_policy());
  if (options.policy_file.empty()) {
    auto policy = read_policy(options.policy_text);
    if (!policy) return failed(describe("policy", policy.error()));
    return made(std::move(*policy));
  }
  auto policy = load_policy(options.policy_file);
  if (policy) return made(std::move(*policy));
  auto last = load_policy(run_dir.policy());
  if (!last) return std::unexpected(policy.error());
  return made(std::move(*last), policy.error().text);
}

PolicyKeeper::PolicyKeeper(const RunDir& run_dir, std::string file, const FirstPolicy& first,
                           const Followers& followers)
    : run_dir_(run_dir), file_(std::move(file)), policy_(first.policy), followers_(followers) {
  put_in_force();
  if (!first.mistakes.empty()) refuse(first.mistakes, "the policy that was in force last stays");
}

// The text stands in the run directory before any status says that it is in force.
void PolicyKeeper::put_in_force() {
  if (auto published = publish_policy(run_dir_, *policy_); !published)
    troubles_.warn("policy", published.error().text + "; `adieu ls` and `adieu why` judge by the built-in policy");
  else
    troubles_.over("policy", "the policy in force can be read again");
  followers_.attendant.set_policy(policy_->policy);
  followers_.ledger.in_force(policy_->policy.fingerprint, policy_->rules);
  followers_.tally.set_policy(policy_);
  followers_.board.show_policy(policy_);
  feel_at_ = Instant::unknown();
}

void PolicyKeeper::reload() {
  if (file_.empty()) return log_warning("no policy is read again: this one came by flags, not from a file");
  auto policy = load_policy(file_);
  if (!policy) return refuse(policy.error().text, "the policy in force stays");
  policy_ = std::make_shared<const NamedPolicy>(std::move(*policy));
  put_in_force();
  log_warning(fmt::format("policy {} is in force: {}", file_, hex16(policy_->policy.fingerprint)));
}

// Mistakes, a line each, and what follows from them.
void PolicyKeeper::refuse(std::string_view mistakes, std::string_view then) {
  const auto lines = lines_of(mistakes);
  for (const std::string& line : lines) log_error(line);
  log_error(then);
  followers_.ledger.refused_policy(lines);
}

void PolicyKeeper::feel_pressure(Instant now) {
  if (now < feel_at_) return;
  feel_at_ = now + kPressureLook;
  const control::Policy& policy = policy_->policy;
  if (policy.orphans_under_pressure == policy.orphans) {
    feel_at_ = Instant::never();
    return followers_.attendant.set_pressure(false);
  }
  const auto available = available_memory();
  followers_.attendant.set_pressure(available && *available < policy_->pressure_below);
}

}  // namespace adieu::host
