// Policies as text: what they say comes to hold, what is wrong in them is told with its place, and `adieu up` changes
// from one to the next without losing a moment.
#include "host/policy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "control/controller.h"
#include "control/judge.h"
#include "host/ledger.h"
#include "host/memory.h"
#include "host/policy_try.h"
#include "world.h"

namespace adieu::host {
namespace {

using control::Act;
using control::KeepPath;
using control::Rule;

NamedPolicy read(std::string_view text) {
  auto policy = read_policy(text);
  EXPECT_TRUE(policy) << describe("policy", policy ? std::vector<PolicyMistake>{} : policy.error());
  return policy ? std::move(*policy) : built_in_policy();
}
std::vector<PolicyMistake> mistakes(std::string_view text) {
  const auto policy = read_policy(text);
  return policy ? std::vector<PolicyMistake>{} : policy.error();
}
const Rule& rule(const NamedPolicy& policy, std::string_view name) {
  const auto found = std::ranges::find(policy.rules, name);
  EXPECT_NE(found, policy.rules.end()) << name;
  return policy.policy.rule(found == policy.rules.end() ? 0 : static_cast<std::uint32_t>(found - policy.rules.begin()));
}
std::string content(const std::filesystem::path& path) {
  std::stringstream all;
  all << std::ifstream(path).rdbuf();
  return all.str();
}
// The shortest timer that is kept from running out in this state.
Duration shortest(const control::Policy& policy, State state) {
  Duration least = Duration::max();
  for (const control::PathTimer& timer : policy.path_timers)
    if (control::contains(timer.states, state)) least = earlier(least, timer.idle);
  return least;
}

// ---- what a text says

TEST(Policy, WithoutAFileIsTheBuiltInRule) {
  for (const NamedPolicy& policy : {built_in_policy(), read(""), read("profile = \"patient\"\n")}) {
    ASSERT_EQ(policy.rules, std::vector<std::string>{"default"});
    EXPECT_EQ(policy.policy.rule(0), Rule{});
    EXPECT_EQ(policy.policy.probes, control::ProbeBudget{});
    EXPECT_FALSE(policy.policy.has_orphan_budget());
    EXPECT_NE(policy.policy.fingerprint, 0U);
  }
}

TEST(Policy, TellsTextsApartByTheirFingerprint) {
  EXPECT_EQ(read("").policy.fingerprint, fingerprint(""));
  EXPECT_NE(fingerprint("[default]\n"), fingerprint("[default]"));
  EXPECT_EQ(fingerprint("a"), 0xaf63dc4c8601ec8cU);  // FNV-1a's published value
}

TEST(Policy, EveryRuleThatFlagsCanMakeComesBackFromItsText) {
  std::vector<Rule> rules(16);
  rules[0].probing = false;
  rules[1].interval = milliseconds(1500);
  rules[2].assumed_loss = 0.1;
  rules[2].probes_needed = control::probes_needed(0.1);
  rules[3].probes_needed = 31;
  rules[3].probes_derived = false;
  rules[4].most_loss = 1.0 / 3;
  rules[5].proof_span = hours(3);
  rules[6].idle_states = control::set_of(State::Established);
  rules[7].idle_states = 0;
  rules[8].ask_pending = false;
  rules[9].keep_path = KeepPath::Learned;
  rules[10].act = false;
  rules[11].when_gone = Act::Silent;
  rules[12].when_forgotten = Act::Finish;
  rules[12].forgotten_after = minutes(90);
  rules[13].when_orphaned = Act::Reset;
  rules[13].command_life = milliseconds(700);
  rules[13].exempt = true;
  rules[14].when_forgotten = Act::Keepalive;
  rules[14].keepalive = {600, 75, 9};
  rules[15].keepalive = {0, 32767, 0};
  for (const Rule& one : rules) EXPECT_EQ(read(policy_text(one)).policy.rule(0), one) << policy_text(one);
}

TEST(Policy, SaysEveryKeyOfARule) {
  const NamedPolicy policy = read(R"(
[[rule]]
name = "everything else"
match = "dport = :443"
probing = false
interval = "1.5h"
loss = 0
most_loss = 0.9
proof_span = "2min"
ask = ["established", "close_wait"]
ask_pending = false
keep_path = true
dry_run = true
exempt = true
when_gone = "tell"
when_forgotten = { after = "2d", do = "reset" }
when_orphaned = { do = "silent" }
keepalive = { idle = "10min", interval = "75s", count = 9 }
command_life = "500ms"
)");
  Rule wanted;
  wanted.probing = false;
  wanted.interval = minutes(90);
  wanted.assumed_loss = 0;
  wanted.probes_needed = 2;
  wanted.most_loss = 0.9;
  wanted.proof_span = minutes(2);
  wanted.idle_states = control::set_of(State::Established) | control::set_of(State::CloseWait);
  wanted.ask_pending = false;
  wanted.keep_path = KeepPath::Known;
  wanted.act = false;
  wanted.exempt = true;
  wanted.when_gone = Act::Tell;
  wanted.when_forgotten = Act::Reset;
  wanted.forgotten_after = hours(48);
  wanted.when_orphaned = Act::Silent;
  wanted.keepalive = {600, 75, 9};
  wanted.command_life = milliseconds(500);
  EXPECT_EQ(rule(policy, "everything else"), wanted);
  EXPECT_EQ(policy.matches, (std::vector<std::string>{"dport = :443", ""}));
  EXPECT_EQ(rule(policy, "default"), Rule{});
}

TEST(Policy, StartsEachRuleFromTheDefaultWhereverThatStands) {
  const NamedPolicy policy = read(R"(
[[rule]]
name = "web"
match = "dport = :443"
interval = "10s"
[[rule]]
name = "mail"
match = "dport = :25"
loss = 0.1
[default]
interval = "50s"
probes = 99
)");
  EXPECT_EQ(policy.rules, (std::vector<std::string>{"web", "mail", "default"}));
  EXPECT_EQ(rule(policy, "web").interval, seconds(10));
  EXPECT_EQ(rule(policy, "web").probes_needed, 99U);
  EXPECT_EQ(rule(policy, "mail").interval, seconds(50));
  // Whoever says a loss wants N from it, whatever the default says.
  EXPECT_EQ(rule(policy, "mail").probes_needed, control::probes_needed(0.1));
  EXPECT_TRUE(rule(policy, "mail").probes_derived);
}

TEST(Policy, TakesKeepaliveAsAnActWhereItMakesSense) {
  const NamedPolicy policy = read(R"(
[[rule]]
name = "held"
match = "plane kernel and state fin-wait-2"
always = "keepalive"
when_forgotten = { after = "10min", do = "keepalive" }
keepalive = { idle = "32767s" }
[default]
keepalive = { count = 5 }
)");
  EXPECT_EQ(rule(policy, "held").always, Act::Keepalive);
  EXPECT_EQ(rule(policy, "held").when_forgotten, Act::Keepalive);
  EXPECT_EQ(rule(policy, "held").keepalive, (plane::Keepalive{32767, 0, 5}));
}

// ---- profiles

TEST(Policy, OfProfileRfc9293AsksNobodyAndJudgesAll) {
  const NamedPolicy policy = read("profile = \"rfc9293\"\n");
  Rule wanted;
  wanted.probing = false;
  EXPECT_EQ(rule(policy, "default"), wanted);
  EXPECT_EQ(policy.rules.size(), 1U);
}

TEST(Policy, OfProfileLinuxHasItsTimersBehindTheFilesOwnRules) {
  const NamedPolicy policy = read("profile = \"linux\"\n[[rule]]\nname = \"mine\"\nmatch = \"dport = :443\"\n");
  EXPECT_EQ(policy.rules, (std::vector<std::string>{"mine", "linux tcp_fin_timeout", "linux tcp_orphan_retries",
                                                    "linux tcp_retries2", "default"}));
  for (const std::string& name : policy.rules) {
    EXPECT_FALSE(rule(policy, name).probing) << name;
    EXPECT_EQ(rule(policy, name).when_gone, Act::Tell) << name;
    EXPECT_EQ(rule(policy, name).always, name.starts_with("linux") ? Act::Silent : Act::Tell) << name;
  }
}

TEST(Policy, OfProfileLinuxEndsWhomLinuxEndsAndNobodyElse) {
  const NamedPolicy policy = read("profile = \"linux\"\n");
  const Instant now = Instant{0} + hours(1);
  plane::Record record;
  record.generation = 1;
  record.heard = 1;
  record.last_heard = now - minutes(10);
  const auto held_by = [&](State state, plane::Holder holder, Duration age, std::uint32_t attempts) {
    record.state = state;
    record.holder = holder;
    record.state_entered = now - age;
    record.attempts = attempts;
    control::PlaneFacts plane;
    return policy.rules[policy.policy.rule_for(control::SubjectOf(plane, record, now))];
  };
  using plane::Holder;
  EXPECT_EQ(held_by(State::FinWait2, Holder::Orphan, seconds(60), 0), "default");
  EXPECT_EQ(held_by(State::FinWait2, Holder::Orphan, seconds(60) + milliseconds(1), 0), "linux tcp_fin_timeout");
  EXPECT_EQ(held_by(State::FinWait2, Holder::Held, hours(1), 0), "default");
  EXPECT_EQ(held_by(State::FinWait2, Holder::Unknown, hours(1), 0), "default");
  for (const State state : {State::FinWait1, State::Closing, State::LastAck}) {
    EXPECT_EQ(held_by(state, Holder::Orphan, seconds(100), 9), "default");
    EXPECT_EQ(held_by(state, Holder::Orphan, seconds(100), 10), "linux tcp_orphan_retries");
    EXPECT_EQ(held_by(state, Holder::Held, seconds(900), 16), "default");
    EXPECT_EQ(held_by(state, Holder::Held, seconds(900), 17), "linux tcp_retries2");
  }
  EXPECT_EQ(held_by(State::Established, Holder::Held, hours(1), 17), "linux tcp_retries2");
  EXPECT_EQ(held_by(State::CloseWait, Holder::Held, hours(1), 0), "default");
  EXPECT_EQ(held_by(State::SynSent, Holder::Held, hours(1), 17), "default");
}

TEST(Policy, OfAFileInDryRunEndsNobodyByAnyRule) {
  const NamedPolicy policy = read("dry_run = true\nprofile = \"linux\"\n[[rule]]\nname = \"w\"\nmatch = \"pid 7\"\n");
  for (std::uint32_t i = 0; i < policy.rules.size(); ++i) EXPECT_FALSE(policy.policy.rule(i).act) << policy.rules[i];
}

// ---- budgets and timers

TEST(Policy, BoundsOrphansAndQuestions) {
  const NamedPolicy policy = read(R"(
[probes]
per_second = 100
per_host = 7
[pressure]
available_below = "5%"
[budget.orphans]
count = 1000
bytes = "256MiB"
[budget.orphans.under_pressure]
bytes = "1 MB"
)");
  EXPECT_EQ(policy.policy.probes, (control::ProbeBudget{100, 7}));
  EXPECT_EQ(policy.policy.orphans, (control::OrphanBudget{1000, 256ULL << 20}));
  EXPECT_EQ(policy.policy.orphans_under_pressure, (control::OrphanBudget{1000, 1'000'000}));
  EXPECT_DOUBLE_EQ(policy.pressure_below, 0.05);
  EXPECT_EQ(read("[budget.orphans]\ncount = 5\n").policy.orphans_under_pressure,
            (control::OrphanBudget{5, UINT64_MAX}));
}

TEST(Policy, KnowsTheShortestTimersOfMiddleboxes) {
  const control::Policy policy = built_in_policy().policy;
  EXPECT_EQ(shortest(policy, State::CloseWait), seconds(60));
  EXPECT_EQ(shortest(policy, State::FinWait2), seconds(60));
  EXPECT_EQ(shortest(policy, State::Established), seconds(240));
  EXPECT_EQ(policy.fitting_timer(State::Established, seconds(400)), seconds(350));
  EXPECT_EQ(policy.fitting_timer(State::Established, seconds(239)), Duration::max());
}

TEST(Policy, AddsTimersOfItsOwnAndReplacesOneByItsName) {
  const NamedPolicy policy = read(R"(
[[path_timers]]
name = "our firewall"
idle = "180s"
states = ["established"]
[[path_timers]]
name = "conntrack close_wait"
idle = "1h"
states = ["fin-wait-2", "close-wait"]
from = "sysctl here"
[default]
keep_path = "known"
interval = "1h"
)");
  EXPECT_EQ(policy.path_timers.size(), built_in_policy().path_timers.size() + 1);
  EXPECT_EQ(shortest(policy.policy, State::Established), seconds(180));
  EXPECT_EQ(shortest(policy.policy, State::CloseWait), seconds(120));  // IPVS tcpfin is next
  EXPECT_EQ(policy.policy.in_state(policy.policy.rule(0), State::Established).interval,
            control::interval_within(seconds(180)));
}

TEST(Memory, AvailableIsAShareOfAll) {
  EXPECT_EQ(available_memory("MemTotal:        1000 kB\nMemFree:  1 kB\nMemAvailable:     250 kB\n"), 0.25);
  EXPECT_EQ(available_memory("MemTotal:        1000 kB\n"), std::nullopt);
  EXPECT_EQ(available_memory("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), std::nullopt);
}

// ---- mistakes

TEST(PolicyMistakes, EachHasItsPlaceReasonAndRemedy) {
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(ADIEU_POLICY_MISTAKES)) {
    if (file.path().extension() != ".toml") continue;
    ++files;
    std::filesystem::path expected = file.path();
    const auto found = mistakes(content(file.path()));
    EXPECT_EQ(found.size(), 1U) << file.path();
    EXPECT_EQ(describe(file.path().filename().string(), found) + "\n",
              content(expected.replace_extension(".expected")));
  }
  EXPECT_GE(files, 20U);
}

TEST(PolicyMistakes, AreAllToldAtOnceInTheOrderOfTheFile) {
  const auto found = mistakes("dry_run = 1\n[default]\nprobes = 1\ninterval = 3\n[pressure]\nbelow = 3\n[[rule]]\n");
  std::vector<std::pair<unsigned, unsigned>> places;
  for (const PolicyMistake& m : found) {
    places.emplace_back(m.line, m.column);
    EXPECT_FALSE(m.reason.empty() || m.remedy.empty());
  }
  EXPECT_EQ(places, (std::vector<std::pair<unsigned, unsigned>>{{1, 11}, {3, 10}, {4, 12}, {6, 1}, {7, 1}, {7, 1}}));
}

TEST(PolicyMistakes, InAFilterAreFoundBehindEscapesAndLetters) {
  EXPECT_EQ(mistakes("[[rule]]\nname = \"x\"\nmatch = \"comm \\\"a b\\\" and pid x\"\n").at(0).column, 31U);
  EXPECT_EQ(mistakes("[[rule]]\nname = \"x\"\nmatch = \"comm \xc3\xa4 and pid x\"\n").at(0).column, 25U);
  EXPECT_EQ(mistakes("[[rule]]\nname = \"x\"\nmatch = 'comm \"a b\" and pid x'\n").at(0).column, 29U);
}

TEST(PolicyMistakes, OfBoundariesComeInPairs) {
  const auto pair = [](std::string_view key, std::string_view holds, std::string_view fails) {
    const auto in_default = [&](std::string_view value) {
      return mistakes("[default]\n" + std::string(key) + " = " + std::string(value) + "\n").size();
    };
    EXPECT_EQ(in_default(holds), 0U) << key << " = " << holds;
    EXPECT_EQ(in_default(fails), 1U) << key << " = " << fails;
  };
  pair("interval", "\"1s\"", "\"999ms\"");
  pair("loss", "0.9", "0.91");
  pair("loss", "0", "-0.01");
  pair("loss", "0.5", "nan");
  pair("probes", "2", "1");
  pair("probes", "10000", "10001");
  pair("probes", "2", "-9223372036854775808");
  pair("proof_span", "\"1s\"", "\"999ms\"");
  pair("command_life", "\"60s\"", "\"60001ms\"");
  pair("when_orphaned", "{ after = \"1s\" }", "{ after = \"999ms\" }");
  pair("ask", "[]", "[\"listen\"]");
}

TEST(PolicyMistakes, MoreRulesThanThereMayBe) {
  std::string text;
  for (std::size_t i = 1; i < control::Policy::kMostRules; ++i)
    text += "[[rule]]\nname = \"" + std::to_string(i) + "\"\nmatch = \"dport = :" + std::to_string(i) + "\"\n";
  EXPECT_EQ(read(text).rules.size(), control::Policy::kMostRules);
  text += "[[rule]]\nname = \"last\"\nmatch = \"dport = :9999\"\n";
  EXPECT_EQ(mistakes(text).size(), 1U);
}

TEST(PolicyMistakes, OfTextThatIsNoTomlAreOneEach) {
  for (const char* text : {"\xff", "[", "a", "a =", "= 1", "a = 1 2", "[[rule]", "\"", "a.b.c = {", "a = [", "\0"})
    EXPECT_EQ(mistakes(text).size(), *text == '\0' ? 0U : 1U) << text;
  EXPECT_EQ(mistakes(std::string(100'000, '[')).size(), 1U);
  EXPECT_EQ(mistakes("a = " + std::string(100'000, '[')).size(), 1U);
}

// ---- over the ledger's past

// Asked `questions` times in 100 s and silent all the while, in FIN-WAIT-2.
struct Past {
  explicit Past(std::uint16_t questions) {
    record.generation = 1;
    record.local = {Address::v4(10, 0, 0, 1), 1000};
    record.remote = {Address::v4(10, 0, 0, 2), questions};
    record.state = State::FinWait2;
    record.state_entered = record.last_heard = at - seconds(150);
    record.heard = 9;
    record.can_probe = true;
    record.probes[static_cast<unsigned>(ProbeForm::Bare)] = questions;
    record.probe_first = at - seconds(120);
    record.probe_last = at - seconds(20);
    using enum plane::Ability;
    const control::Attention attention{.abilities = ProbeBare | AbortReset | AbortSilent | GuardedAbort | ReportsHeard,
                                       .gaps = {},
                                       .plane_stopped_since = {},
                                       .time_wait = {}};
    decision.id = {0xfeed, questions, 1};
    decision.evidence = control::gather(record, attention, at);
    decision.verdict = control::judge(decision.evidence, Rule{}, at);
  }
  // As a control plane writes it down that follows the built-in policy.
  void into(SqliteLedger& ledger) {
    if (decision.verdict.standing == control::Standing::Gone) {
      plane::Command reset;
      reset.kind = plane::CommandKind::Abort;
      reset.id = decision.id;
      decision.command = reset;
    }
    ASSERT_TRUE(ledger.verdict(decision, at));
  }
  Instant at = Instant{0} + hours(1);
  plane::Record record;
  control::Decision decision;
};

struct Tried : testing::Test {
  Tried() {
    SqliteLedger ledger(dir.path() + "/ledger.db");
    ledger.name_plane(0, "engine", 0xfeed, plane::PlaneKind::Engine);
    Past(12).into(ledger);  // suspect
    Past(31).into(ledger);  // gone, and reset
    EXPECT_TRUE(ledger.commit());
  }
  Trial by(const std::string& text) {
    const auto ledger = LedgerReader::open(dir.path() + "/ledger.db");
    const auto trial = try_policy(read(text), *ledger);
    EXPECT_TRUE(trial);
    return *trial;
  }
  TemporaryDirectory dir;
};

TEST_F(Tried, ByThePolicyThatWasInForceNothingDiffers) {
  const Trial trial = by("");
  EXPECT_EQ(trial.verdicts, 2U);
  EXPECT_EQ(trial.rules.at(0).same, 2U);
  EXPECT_TRUE(trial.differences.empty());
}

TEST_F(Tried, ByARuleThatNeedsFewerQuestionsAnotherOneWouldHaveEnded) {
  const Trial trial = by("[default]\nprobes = 12\n");
  ASSERT_EQ(trial.differences.size(), 1U);
  EXPECT_EQ(trial.rules.at(0).ends, 1U);
  const Difference& d = trial.differences.front();
  EXPECT_TRUE(d.ends());
  EXPECT_EQ(d.id, (NamedId{"engine", 12, 1}));
  EXPECT_EQ(d.was, "suspect");
  EXPECT_EQ(d.would_be, "gone");
  EXPECT_EQ(d.would_do, "reset");
  EXPECT_EQ(by("[default]\nprobes = 13\n").differences.size(), 0U);
}

TEST_F(Tried, ByARuleThatOnlyTellsTheGoneOneWouldHaveBeenSpared) {
  const Trial trial = by("[[rule]]\nname = \"port\"\nmatch = \"dport = :31\"\nwhen_gone = \"tell\"\n");
  ASSERT_EQ(trial.differences.size(), 1U);
  EXPECT_EQ(trial.rules.at(0).spares, 1U);
  EXPECT_EQ(trial.rules.at(1).same, 1U);
  EXPECT_TRUE(trial.differences.front().spares());
  EXPECT_EQ(by("dry_run = true\n").rules.at(0).spares, 1U);
}

// It ends nobody by itself.
TEST_F(Tried, ByARuleThatSwitchesOnAKeepaliveNobodyIsSaidToEnd) {
  Difference d;
  d.would_do = "keepalive";
  EXPECT_FALSE(d.ends());
  EXPECT_TRUE(d.keeps_otherwise());
  d.did = "keepalive";
  EXPECT_FALSE(d.keeps_otherwise() || d.ends() || d.spares());
  d.did = "abort";
  EXPECT_TRUE(d.spares());
}

TEST_F(Tried, ARuleThatAsksForAProcessIsSaidToBeBlind) {
  EXPECT_TRUE(by("[[rule]]\nname = \"x\"\nmatch = \"pid 1\"\nexempt = true\n").needs_processes);
  EXPECT_FALSE(by("").needs_processes);
}

// ---- how it reaches readers

TEST(PublishedPolicy, IsFoundByItsFingerprintAndByNoOther) {
  const TemporaryDirectory dir;
  EXPECT_FALSE(published_policy(dir.run_dir(), fingerprint("")));
  const NamedPolicy policy = read("[[rule]]\nname = \"web\"\nmatch = \"dport = :443\"\n");
  ASSERT_TRUE(publish_policy(dir.run_dir(), policy));
  const auto found = published_policy(dir.run_dir(), policy.policy.fingerprint);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->rules, policy.rules);
  EXPECT_FALSE(published_policy(dir.run_dir(), policy.policy.fingerprint + 1));
  struct stat facts{};
  ASSERT_EQ(::stat(dir.run_dir().policy().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

class PolicyOfUp : public testing::Test {
 protected:
  void SetUp() override { ADIEU_NEEDS_A_NETWORK(); }
  void give(const std::string& text) {
    // As an editor does it; a reader finds one or the other.
    std::ofstream(dir.path() + "/fresh.toml") << text;
    std::filesystem::rename(dir.path() + "/fresh.toml", dir.path() + "/given.toml");
  }
  std::vector<std::string> in_force() {
    const Census seen = census(dir.run_dir());
    return seen.planes.empty() || !seen.policy_known ? std::vector<std::string>{} : seen.policy.rules;
  }
  bool comes_to_hold(const std::vector<std::string>& rules) {
    return eventually([&] { return in_force() == rules; });
  }

  TemporaryDirectory dir;
};

const std::string kFirst = "[[rule]]\nname = \"first\"\nmatch = \"dport = :1\"\n";
const std::string kSecond = "[[rule]]\nname = \"second\"\nmatch = \"dport = :2\"\n";

TEST_F(PolicyOfUp, ChangesAtSighupAndABadFileChangesNothing) {
  give(kFirst);
  Process up = start_up(dir.run_dir(), false, true);
  ASSERT_TRUE(comes_to_hold({"first", "default"}));
  const pid_t control = living(dir.run_dir(), "control");
  give(kSecond + "[default]\nprobes = 1\n");
  up.signal(SIGHUP);
  // Whoever takes it, takes it within a sweep: 50 ms here.
  for (int i = 0; i < 30; ++i, ::usleep(10'000)) ASSERT_EQ(in_force(), (std::vector<std::string>{"first", "default"}));
  give(kSecond);
  up.signal(SIGHUP);
  EXPECT_TRUE(comes_to_hold({"second", "default"}));
  EXPECT_EQ(living(dir.run_dir(), "control"), control);
}

TEST_F(PolicyOfUp, OutlivesAControlPlaneThatFindsABadFile) {
  give(kFirst);
  const Process up = start_up(dir.run_dir(), false, true);
  ASSERT_TRUE(comes_to_hold({"first", "default"}));
  give("probes = many\n");
  const pid_t control = living(dir.run_dir(), "control");
  ASSERT_EQ(::kill(control, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] {
    const pid_t other = living(dir.run_dir(), "control");
    return other > 0 && other != control && census(dir.run_dir()).control == ControlState::Running;
  }));
  EXPECT_TRUE(comes_to_hold({"first", "default"}));
}

TEST_F(PolicyOfUp, IsSaidToBeUnknownWhenItsTextIsNotTheOneInForce) {
  give(kFirst);
  const Process up = start_up(dir.run_dir(), false, true);
  ASSERT_TRUE(comes_to_hold({"first", "default"}));
  ASSERT_TRUE(publish_policy(dir.run_dir(), read(kSecond)));
  const Census seen = census(dir.run_dir());
  EXPECT_FALSE(seen.policy_known);
  EXPECT_EQ(seen.policy.rules, std::vector<std::string>{"default"});
}

}  // namespace
}  // namespace adieu::host
