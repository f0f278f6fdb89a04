// Policies as text: written, fingerprinted, kept in the run directory; and their mistakes as lines.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/assert.h"
#include "host/descriptor.h"
#include "host/policy.h"
#include "host/text.h"

namespace adieu::host {
namespace {

// Of a policy file; the longest sane one (256 rules, each with the longest filter) is about as long.
constexpr std::size_t kMostOctets = 1U << 20;

std::string states_text(control::StateSet states) {
  std::string all;
  for (unsigned s = 0; s < kStates; ++s) {
    if (!control::contains(states, static_cast<State>(s))) continue;
    std::string word(name(static_cast<State>(s)));
    for (char& c : word)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", word);
  }
  return fmt::format("[{}]", all);
}

std::string keepalive_text(const plane::Keepalive& keepalive) {
  std::string all;
  const auto say = [&all](unsigned value, std::string_view key, const std::string& shown) {
    if (value != 0) all += fmt::format("{}{} = {}", all.empty() ? "" : ", ", key, shown);
  };
  say(keepalive.idle, "idle", fmt::format("\"{}\"", host::text(seconds(keepalive.idle))));
  say(keepalive.interval, "interval", fmt::format("\"{}\"", host::text(seconds(keepalive.interval))));
  say(keepalive.count, "count", std::to_string(keepalive.count));
  return fmt::format("{{ {} }}", all);
}

}  // namespace

std::string_view name(control::KeepPath keep) {
  switch (keep) {
    case control::KeepPath::No: return "no";
    case control::KeepPath::Learned: return "learned";
    case control::KeepPath::Known: return "known";
  }
  return "?";
}

std::string policy_text(const control::Rule& rule) {
  ADIEU_ASSERT(rule.always == control::Act::Tell);
  const control::Rule plain;
  std::string text = "profile = \"patient\"\n\n[default]\n";
  const auto say = [&text](bool differs, std::string_view key, const std::string& value) {
    if (differs) text += fmt::format("{} = {}\n", key, value);
  };
  const auto quoted = [](std::string_view value) { return fmt::format("\"{}\"", value); };
  const auto later_act = [](Duration after, control::Act act) {
    return fmt::format("{{ after = \"{}\", do = \"{}\" }}", host::text(after), name(act));
  };
  say(rule.probing != plain.probing, "probing", fmt::format("{}", rule.probing));
  say(rule.interval != plain.interval, "interval", quoted(host::text(rule.interval)));
  if (rule.probes_derived)
    say(rule.assumed_loss != plain.assumed_loss, "loss", fmt::format("{}", rule.assumed_loss));
  else
    say(true, "probes", fmt::format("{}", rule.probes_needed));
  say(rule.most_loss != plain.most_loss, "most_loss", fmt::format("{}", rule.most_loss));
  say(rule.proof_span != plain.proof_span, "proof_span", quoted(host::text(rule.proof_span)));
  say(rule.idle_states != plain.idle_states, "ask", states_text(rule.idle_states));
  say(rule.ask_pending != plain.ask_pending, "ask_pending", fmt::format("{}", rule.ask_pending));
  say(rule.keep_path != plain.keep_path, "keep_path", quoted(name(rule.keep_path)));
  say(rule.act != plain.act, "dry_run", fmt::format("{}", !rule.act));
  say(rule.exempt != plain.exempt, "exempt", fmt::format("{}", rule.exempt));
  say(rule.when_gone != plain.when_gone, "when_gone", quoted(name(rule.when_gone)));
  say(rule.when_forgotten != plain.when_forgotten || rule.forgotten_after != plain.forgotten_after, "when_forgotten",
      later_act(rule.forgotten_after, rule.when_forgotten));
  say(rule.when_orphaned != plain.when_orphaned || rule.orphaned_after != plain.orphaned_after, "when_orphaned",
      later_act(rule.orphaned_after, rule.when_orphaned));
  say(rule.keepalive != plain.keepalive, "keepalive", keepalive_text(rule.keepalive));
  say(rule.command_life != plain.command_life, "command_life", quoted(host::text(rule.command_life)));
  return text;
}

// FNV-1a.
std::uint64_t fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash == 0 ? 1 : hash;
}

std::string rule_name(const NamedPolicy& policy, std::uint32_t rule) {
  return rule < policy.rules.size() ? policy.rules[rule] : fmt::format("rule {}", rule);
}

std::string describe(std::string_view file, const std::vector<PolicyMistake>& mistakes) {
  std::string all;
  for (const PolicyMistake& m : mistakes)
    all += fmt::format("{}{}:{}:{}: {}; {}", all.empty() ? "" : "\n", file, m.line, m.column, m.reason, m.remedy);
  return all;
}

Result<std::string> load_policy_text(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return failed_by_system("reading the policy " + path, errno);
  struct stat facts{};
  if (::fstat(file.get(), &facts) < 0) return failed_by_system("reading the policy " + path, errno);
  if (S_ISDIR(facts.st_mode)) return failed_by_system("reading the policy " + path, EISDIR);
  if (!S_ISREG(facts.st_mode))
    return failed(fmt::format("{} is no regular file: a policy is read from one, whole", path));
  if (facts.st_size == 0)
    return failed(
        fmt::format("{} is empty, as while it is being written: profile = \"patient\" alone is a policy", path));
  std::string text;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t got = ::read(file.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed_by_system("reading the policy " + path, errno);
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > kMostOctets)
      return failed(fmt::format("{} is longer than {} octets: no policy is that long", path, kMostOctets));
  }
}

Result<NamedPolicy> load_policy(const std::string& path) {
  auto text = load_policy_text(path);
  if (!text) return std::unexpected(text.error());
  auto policy = read_policy(*text);
  if (!policy) return failed(describe(path, policy.error()));
  return std::move(*policy);
}

Result<void> publish_policy(const RunDir& run_dir, const NamedPolicy& policy) {
  const std::string path = run_dir.policy();
  const std::string fresh = fmt::format("{}.{}", path, ::getpid());
  ::unlink(fresh.c_str());
  Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return failed_by_system("writing " + fresh, errno);
  const std::string& text = policy.text;
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::rename(fresh.c_str(), path.c_str()) < 0) {
    const int number = errno;
    ::unlink(fresh.c_str());
    return failed_by_system("writing " + path, number);
  }
  return {};
}

std::optional<NamedPolicy> published_policy(const RunDir& run_dir, std::uint64_t wanted) {
  const auto text = load_policy_text(run_dir.policy());
  if (!text || fingerprint(*text) != wanted) return std::nullopt;
  auto policy = read_policy(*text);
  if (!policy) return std::nullopt;
  return std::move(*policy);
}

Duration bound(const control::Rule& rule) {
  const Duration asking = control::probe_spacing(rule) * (rule.probes_needed - 1) + control::answer_time(rule);
  return rule.interval + later(asking, rule.proof_span);
}

}  // namespace adieu::host
