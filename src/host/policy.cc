// Reading a policy: one walk over the TOML tables, each key with what it may hold, every mistake with its place.
#include "host/policy.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "base/assert.h"
#include "control/filter_text.h"
#include "host/built_in.h"
#include "host/text.h"

namespace adieu::host {
namespace {

using control::Act;
using control::Rule;
using Mistakes = std::vector<PolicyMistake>;

constexpr std::size_t kLongestName = 64;

struct ReasonAndRemedy {
  std::string reason, remedy;
};
// The sentences of control are "reason: remedy", or "what: why; remedy".
ReasonAndRemedy split(std::string_view sentence, bool first_colon = false) {
  const std::size_t semicolon = first_colon ? std::string_view::npos : sentence.rfind("; ");
  const std::size_t at = semicolon != std::string_view::npos ? semicolon : sentence.find(": ");
  if (at == std::string_view::npos) return {std::string(sentence), "see docs/policy.md"};
  return {std::string(sentence.substr(0, at)), std::string(sentence.substr(at + 2))};
}

// Letters to insert, drop, replace or swap with their neighbour.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      row[j + 1] = std::min({row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0U : 1U)});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
    }
    before = std::exchange(last, row);
  }
  return last[b.size()];
}

std::string listed(std::span<const std::string_view> words, std::string_view quote) {
  std::string all;
  for (std::size_t i = 0; i < words.size(); ++i)
    all += fmt::format("{0}{1}{2}{1}", i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", quote, words[i]);
  return all;
}

// The one that was meant, as far as one can tell; else all there are.
std::string meant(std::string_view given, std::span<const std::string_view> known, std::string_view quote = "") {
  const std::string_view head = given.substr(0, kLongestName);
  const auto nearest = std::ranges::min_element(known, {}, [&](std::string_view word) { return distance(head, word); });
  if (nearest != known.end() && distance(head, *nearest) * 2 <= std::min(head.size(), nearest->size()))
    return fmt::format("write {0}{1}{0}", quote, *nearest);
  return fmt::format("write {}", listed(known, quote));
}

// As much of what somebody wrote as a line can show.
std::string shown(std::string_view given) {
  std::string out;
  for (const char c : given.substr(0, kLongestName)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return given.size() > kLongestName ? out + "..." : out;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none: return "nothing";
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "text";
    case toml::node_type::integer: return "a whole number";
    case toml::node_type::floating_point: return "a decimal number";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::date: return "a date";
    case toml::node_type::time: return "a time of day";
    case toml::node_type::date_time: return "a date";
  }
  return "?";
}

// A value under its key.
struct Entry {
  std::string_view key;
  const toml::node& node;
};
struct Key {
  std::string_view name;
  std::function<void(const Entry&)> take;
};

// Where it is none of the acts there are: set() says why.
bool is_keepalive(const Entry& e) { return e.node.value_or(std::string_view{}) == name(Act::Keepalive); }

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::optional<NamedPolicy> read();
  // Of the compiled-in file.
  void known_path_timers(const toml::table& file);
  Mistakes& mistakes() { return mistakes_; }

 private:
  struct NamedClause {
    std::string name, match;
    control::Clause clause;
  };

  // --- mistakes
  void mistake(const toml::source_region& where, std::string reason, std::string remedy) {
    mistakes_.push_back({where.begin.line, where.begin.column, std::move(reason), std::move(remedy)});
  }
  void mistake(const Entry& e, std::string reason, std::string remedy) {
    mistake(e.node.source(), std::move(reason), std::move(remedy));
  }
  void mistake(const Entry& e, const ReasonAndRemedy& both) { mistake(e, both.reason, both.remedy); }
  void wrong_kind(const Entry& e, std::string_view wanted, std::string_view example) {
    mistake(e, fmt::format("{} is {}, and {} is wanted", e.key, kind_of(e.node), wanted),
            fmt::format("write {} = {}", e.key, example));
  }

  // --- values
  void walk(const toml::table& table, std::string_view where, const std::vector<Key>& keys);
  std::optional<bool> boolean(const Entry& e);
  std::optional<std::string> word(const Entry& e, std::string_view example);
  std::optional<std::size_t> choice(const Entry& e, std::span<const std::string_view> words);
  std::optional<Duration> duration(const Entry& e, std::string_view example);
  std::optional<std::int64_t> whole(const Entry& e, std::int64_t least, std::int64_t most, std::string_view example);
  std::optional<double> number(const Entry& e, std::string_view example);
  std::optional<double> percentage(const Entry& e);
  std::optional<std::uint64_t> octets(const Entry& e);
  std::optional<control::StateSet> states(const Entry& e, std::string_view example, control::StateSet allowed);
  std::optional<Act> act(const Entry& e, std::initializer_list<Act> allowed);
  const toml::table* table(const Entry& e, std::string_view example);
  void each_table(const Entry& e, std::string_view header, const std::function<void(const toml::table&)>& take);
  template <typename Apply>
  void set(const Entry& e, Rule& rule, Apply apply);

  // --- the file's parts
  void top(const toml::table& file);
  void probes(const toml::table& table);
  void budget(const toml::table& table);
  control::OrphanBudget orphan_budget(const toml::table& table, const control::OrphanBudget& base, bool is_pressed);
  void path_timer(const toml::table& table, bool is_known);
  std::vector<Key> rule_keys(Rule& rule, bool is_default);
  void judged_keys(Rule& rule, std::vector<Key>& keys);
  void act_keys(Rule& rule, std::vector<Key>& keys, bool is_default);
  void later_act(const Entry& e, Rule& rule, bool is_forgotten);
  void keepalive(const Entry& e, Rule& rule);
  void contradictions(const toml::table& table);
  void default_rule(const toml::table& table);
  void rule(const toml::table& table, std::vector<NamedClause>& to);
  std::optional<std::string> rule_name(const Entry& e);
  std::optional<control::Filter> filter(const Entry& e);
  toml::source_position place_in(const Entry& e, std::size_t offset) const;
  void profile(std::string_view text, std::vector<NamedClause>& to);
  std::optional<NamedPolicy> assemble(std::vector<NamedClause> clauses);

  std::string_view text_;
  Mistakes mistakes_;
  NamedPolicy result_;
  Rule default_;
  bool dry_ = false;
  const toml::table* default_table_ = nullptr;
  const toml::node* rules_ = nullptr;
  std::string_view profile_text_;
  std::vector<std::string> names_;
};

// ---- values ----

void Reader::walk(const toml::table& table, std::string_view where, const std::vector<Key>& keys) {
  for (auto&& [key, node] : table) {
    const auto known = std::ranges::find(keys, key.str(), &Key::name);
    if (known != keys.end()) {
      known->take(Entry{known->name, node});
      continue;
    }
    std::vector<std::string_view> names;
    for (const Key& one : keys) names.push_back(one.name);
    mistake(key.source(), fmt::format("{} is no key {}", shown(key.str()), where), meant(key.str(), names));
  }
}

std::optional<bool> Reader::boolean(const Entry& e) {
  if (const auto value = e.node.value_exact<bool>()) return *value;
  wrong_kind(e, "true or false", "true or false, without quotes");
  return std::nullopt;
}

std::optional<std::string> Reader::word(const Entry& e, std::string_view example) {
  if (auto value = e.node.value_exact<std::string>()) return value;
  wrong_kind(e, "text", example);
  return std::nullopt;
}

std::optional<std::size_t> Reader::choice(const Entry& e, std::span<const std::string_view> words) {
  const auto given = word(e, fmt::format("\"{}\"", words.front()));
  if (!given) return std::nullopt;
  const auto found = std::ranges::find(words, *given);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  mistake(e, fmt::format("{} cannot be \"{}\"", e.key, shown(*given)), meant(*given, words, "\""));
  return std::nullopt;
}

std::optional<Duration> Reader::duration(const Entry& e, std::string_view example) {
  const auto given = e.node.value_exact<std::string>();
  if (!given) {
    wrong_kind(e, "a duration with its unit, in quotes,", fmt::format("\"{}\"", example));
    return std::nullopt;
  }
  const auto parsed = control::parse_duration(*given);
  if (parsed) return *parsed;
  const auto both = split(message(parsed.error().trouble), true);
  mistake(e, fmt::format("{} = \"{}\": {}", e.key, shown(*given), both.reason), both.remedy);
  return std::nullopt;
}

std::optional<std::int64_t> Reader::whole(const Entry& e, std::int64_t least, std::int64_t most,
                                          std::string_view example) {
  const auto value = e.node.value_exact<std::int64_t>();
  if (!value) {
    wrong_kind(e, "a whole number", example);
    return std::nullopt;
  }
  if (*value >= least && *value <= most) return *value;
  mistake(e, fmt::format("{} = {} is out of bounds", e.key, *value), fmt::format("write {} to {}", least, most));
  return std::nullopt;
}

std::optional<double> Reader::number(const Entry& e, std::string_view example) {
  if (const auto value = e.node.value_exact<double>()) return *value;
  if (const auto value = e.node.value_exact<std::int64_t>()) return static_cast<double>(*value);
  wrong_kind(e, "a number", example);
  return std::nullopt;
}

std::optional<double> Reader::percentage(const Entry& e) {
  const auto given = word(e, "\"10%\"");
  if (!given) return std::nullopt;
  const std::string_view digits = std::string_view(*given).substr(0, given->size() - (given->ends_with('%') ? 1 : 0));
  const auto value = control::parse_count(digits);
  if (given->ends_with('%') && value && *value <= 90) return *value / 100.0;
  mistake(e, fmt::format("{} = \"{}\" is no share of this host's memory", e.key, shown(*given)),
          "write a whole percentage from \"0%\" (never short) to \"90%\", such as \"10%\"");
  return std::nullopt;
}

std::optional<std::uint64_t> Reader::octets(const Entry& e) {
  struct Unit {
    std::string_view name;
    std::uint64_t octets;
  };
  static constexpr Unit kUnits[] = {
      {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30},   {"TiB", 1ULL << 40},
      {"kB", 1'000},       {"MB", 1'000'000},   {"GB", 1'000'000'000}, {"B", 1}};
  constexpr std::string_view kRemedy =
      "write a whole number and one of B, KiB, MiB, GiB, TiB, kB, MB and GB, in quotes";
  const auto given = e.node.value_exact<std::string>();
  if (!given) {
    wrong_kind(e, "a size with its unit, in quotes,", "\"256MiB\"");
    return std::nullopt;
  }
  for (const Unit& unit : kUnits) {
    if (!given->ends_with(unit.name)) continue;
    std::string_view digits(*given);
    digits.remove_suffix(unit.name.size());
    if (digits.ends_with(' ')) digits.remove_suffix(1);
    const auto value = control::parse_count(digits);
    if (!value) break;
    if (*value != 0) return *value * unit.octets;
    mistake(e, fmt::format("{} = \"{}\" would end every orphan at once", e.key, shown(*given)),
            "write a size that is not 0, or leave it out for no bound");
    return std::nullopt;
  }
  mistake(e, fmt::format("{} = \"{}\" is no size", e.key, shown(*given)), std::string(kRemedy));
  return std::nullopt;
}

std::optional<control::StateSet> Reader::states(const Entry& e, std::string_view example, control::StateSet allowed) {
  const toml::array* const list = e.node.as_array();
  if (list == nullptr) {
    wrong_kind(e, "a list of states", example);
    return std::nullopt;
  }
  control::StateSet all = 0;
  bool sound = true;
  for (const toml::node& one : *list) {
    const Entry entry{e.key, one};
    const auto given = word(entry, example);
    const auto parsed = given ? control::parse_states(*given) : control::FromText<control::StateSet>(0);
    if (!parsed) {
      const auto both = split(message(parsed.error().trouble), true);
      mistake(entry, fmt::format("\"{}\": {}", shown(*given), both.reason), both.remedy);
    }
    if (parsed && (*parsed & ~allowed) != 0) mistake(entry, split(message(control::RuleError::StateNotAskable)));
    sound = sound && given && parsed && (*parsed & ~allowed) == 0;
    if (parsed) all |= *parsed;
  }
  return sound ? std::optional(all) : std::nullopt;
}

std::optional<Act> Reader::act(const Entry& e, std::initializer_list<Act> allowed) {
  std::vector<std::string_view> words;
  for (const Act one : allowed) words.push_back(name(one));
  const auto chosen = choice(e, words);
  return chosen ? std::optional(allowed.begin()[*chosen]) : std::nullopt;
}

const toml::table* Reader::table(const Entry& e, std::string_view example) {
  if (const toml::table* const found = e.node.as_table()) return found;
  mistake(e, fmt::format("{} is {}, and a table is wanted", e.key, kind_of(e.node)), fmt::format("write {}", example));
  return nullptr;
}

void Reader::each_table(const Entry& e, std::string_view header, const std::function<void(const toml::table&)>& take) {
  const toml::array* const list = e.node.as_array();
  if (list == nullptr)
    return mistake(e, fmt::format("{} is {}, and there may be several", e.key, kind_of(e.node)),
                   fmt::format("write {} above each", header));
  for (const toml::node& one : *list) {
    if (const toml::table* const found = one.as_table())
      take(*found);
    else
      mistake(one.source(), fmt::format("{} holds {}, and tables are wanted", e.key, kind_of(one)),
              fmt::format("write {} above each", header));
  }
}

// Each number of a rule is sound or not whatever the others are, so each is tried in a rule of its own.
template <typename Apply>
void Reader::set(const Entry& e, Rule& rule, Apply apply) {
  Rule alone;
  apply(alone);
  if (const auto sound = validate(alone); !sound) {
    auto both = split(message(sound.error()));
    return mistake(e, both);
  }
  apply(rule);
}

// ---- everything but rules ----

void Reader::top(const toml::table& file) {
  static constexpr std::string_view kProfiles[] = {"patient", "rfc9293", "linux"};
  walk(file, "of a policy",
       {{"profile",
         [&](const Entry& e) {
           const auto chosen = choice(e, kProfiles);
           if (chosen == 1U) profile_text_ = built_in::profiles_rfc9293;
           if (chosen == 2U) profile_text_ = built_in::profiles_linux;
         }},
        {"dry_run", [&](const Entry& e) { dry_ = boolean(e).value_or(false); }},
        {"probes",
         [&](const Entry& e) {
           if (const auto* const found = table(e, "[probes] above per_second and per_host")) probes(*found);
         }},
        {"budget",
         [&](const Entry& e) {
           if (const auto* const found = table(e, "[budget.orphans] above count and bytes")) budget(*found);
         }},
        {"pressure",
         [&](const Entry& e) {
           const auto* const found = table(e, "[pressure] above available_below");
           if (found == nullptr) return;
           walk(*found, "of [pressure]", {{"available_below", [&](const Entry& below) {
                                             result_.pressure_below =
                                                 percentage(below).value_or(result_.pressure_below);
                                           }}});
         }},
        {"path_timers",
         [&](const Entry& e) {
           each_table(e, "[[path_timers]]", [&](const toml::table& one) { path_timer(one, false); });
         }},
        {"rule", [&](const Entry& e) { rules_ = &e.node; }},
        {"default", [&](const Entry& e) { default_table_ = table(e, "[default] above the keys of the last rule"); }}});
}

void Reader::probes(const toml::table& found) {
  const auto rate = [&](const Entry& e) -> std::optional<std::uint32_t> {
    const auto given = e.node.value_exact<std::int64_t>();
    if (given == std::int64_t{0}) {
      const auto both = split(message(control::PolicyError::BudgetOfNothing));
      mistake(e, both);
      return std::nullopt;
    }
    const auto value = whole(e, 1, 10'000'000, "5000");
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
  };
  control::ProbeBudget& budget = result_.policy.probes;
  walk(found, "of [probes]",
       {{"per_second", [&](const Entry& e) { budget.per_second = rate(e).value_or(budget.per_second); }},
        {"per_host", [&](const Entry& e) { budget.per_host = rate(e).value_or(budget.per_host); }}});
}

void Reader::budget(const toml::table& found) {
  walk(found, "of [budget]", {{"orphans", [&](const Entry& e) {
                                 const auto* const orphans = table(e, "[budget.orphans] above count and bytes");
                                 if (orphans == nullptr) return;
                                 control::Policy& policy = result_.policy;
                                 policy.orphans = orphan_budget(*orphans, {}, false);
                                 policy.orphans_under_pressure = policy.orphans;
                                 const toml::node* const pressed = orphans->get("under_pressure");
                                 if (pressed == nullptr) return;
                                 const Entry under{"under_pressure", *pressed};
                                 if (const auto* const tight = table(under, "[budget.orphans.under_pressure]"))
                                   policy.orphans_under_pressure = orphan_budget(*tight, policy.orphans, true);
                               }}});
}

control::OrphanBudget Reader::orphan_budget(const toml::table& found, const control::OrphanBudget& base,
                                            bool is_pressed) {
  control::OrphanBudget budget = base;
  const auto looser = [&](const Entry& e, bool is) {
    if (is)
      mistake(e, fmt::format("{} is more under pressure than without it", e.key),
              "write less than [budget.orphans] has, or leave it out");
  };
  std::vector<Key> keys{{"count",
                         [&](const Entry& e) {
                           const auto value = whole(e, 1, UINT32_MAX - 1, "10000");
                           budget.count = value ? static_cast<std::uint32_t>(*value) : budget.count;
                           looser(e, budget.count > base.count);
                         }},
                        {"bytes", [&](const Entry& e) {
                           budget.bytes = octets(e).value_or(budget.bytes);
                           looser(e, budget.bytes > base.bytes);
                         }}};
  if (!is_pressed) keys.push_back({"under_pressure", [](const Entry&) {}});
  walk(found, is_pressed ? "of [budget.orphans.under_pressure]" : "of [budget.orphans]", keys);
  return budget;
}

void Reader::path_timer(const toml::table& found, bool is_known) {
  std::optional<std::string> given_name;
  std::optional<Duration> idle;
  std::optional<control::StateSet> in;
  const std::size_t before = mistakes_.size();
  const std::string_view example = "[\"established\"]";
  walk(found, "of a path timer",
       {{"name", [&](const Entry& e) { given_name = rule_name(e); }},
        {"idle",
         [&](const Entry& e) {
           idle = duration(e, "350s");
           if (idle && *idle < seconds(5))
             mistake(e, "idle is below 5 s, and two questions must fit into it, a second apart",
                     "write 5 s or more, such as \"350s\"");
         }},
        {"states", [&](const Entry& e) { in = states(e, example, UINT16_MAX); }},
        {"from", [&](const Entry& e) { (void)word(e, "\"who says so\""); }}});
  if (mistakes_.size() != before) return;
  for (const auto& [key, there, remedy] : {std::tuple{"name", given_name.has_value(), "name = \"our firewall\""},
                                           std::tuple{"idle", idle.has_value(), "idle = \"350s\""},
                                           std::tuple{"states", in.has_value(), "states = [\"established\"]"}})
    if (!there) mistake(found.source(), fmt::format("this path timer has no {}", key), fmt::format("write {}", remedy));
  if (mistakes_.size() != before) return;
  auto& timers = result_.policy.path_timers;
  const auto same = std::ranges::find(result_.path_timers, *given_name);
  if (same != result_.path_timers.end() && !is_known) {
    timers[static_cast<std::size_t>(same - result_.path_timers.begin())] = {*idle, *in};
    return;
  }
  result_.path_timers.push_back(std::move(*given_name));
  timers.push_back({*idle, *in});
}

void Reader::known_path_timers(const toml::table& file) {
  for (const toml::node& one : *file["path_timers"].as_array()) path_timer(*one.as_table(), true);
}

// ---- rules ----

std::vector<Key> Reader::rule_keys(Rule& rule, bool is_default) {
  std::vector<Key> keys;
  judged_keys(rule, keys);
  act_keys(rule, keys, is_default);
  return keys;
}

void Reader::judged_keys(Rule& rule, std::vector<Key>& keys) {
  const auto span = [this, &rule](std::string_view key, Duration Rule::* member, std::string_view example) {
    return Key{key, [this, &rule, member, example](const Entry& e) {
                 if (const auto value = duration(e, example)) set(e, rule, [&](Rule& r) { r.*member = *value; });
               }};
  };
  const auto flag = [this, &rule](std::string_view key, bool Rule::* member) {
    return Key{key, [this, &rule, member](const Entry& e) { rule.*member = boolean(e).value_or(rule.*member); }};
  };
  keys.push_back(flag("probing", &Rule::probing));
  keys.push_back(span("interval", &Rule::interval, "25s"));
  keys.push_back({"loss", [this, &rule](const Entry& e) {
                    const auto value = number(e, "0.3");
                    if (!value) return;
                    set(e, rule, [&](Rule& r) {
                      r.assumed_loss = *value;
                      r.probes_needed = control::probes_needed(std::clamp(*value, 0.0, 0.9));
                      r.probes_derived = true;
                    });
                  }});
  keys.push_back({"most_loss", [this, &rule](const Entry& e) {
                    if (const auto value = number(e, "0.5")) set(e, rule, [&](Rule& r) { r.most_loss = *value; });
                  }});
  keys.push_back({"probes", [this, &rule](const Entry& e) {
                    const auto value = e.node.value_exact<std::int64_t>();
                    if (!value) return wrong_kind(e, "a whole number", "31, or leave it out to have it derived");
                    const auto few = std::clamp<std::int64_t>(*value, 0, UINT32_MAX);
                    set(e, rule, [&](Rule& r) {
                      r.probes_needed = static_cast<std::uint32_t>(few);
                      r.probes_derived = false;
                    });
                  }});
  keys.push_back(span("proof_span", &Rule::proof_span, "100s"));
  keys.push_back({"ask", [this, &rule](const Entry& e) {
                    const std::string_view example = "[\"fin-wait-2\", \"close-wait\"]";
                    rule.idle_states = states(e, example, control::kIdleStatesAllowed).value_or(rule.idle_states);
                  }});
  keys.push_back(flag("ask_pending", &Rule::ask_pending));
  keys.push_back({"keep_path", [this, &rule](const Entry& e) {
                    static constexpr std::string_view kWords[] = {"no", "learned", "known"};
                    using control::KeepPath;
                    if (const auto is = e.node.value_exact<bool>()) {
                      rule.keep_path = *is ? KeepPath::Known : KeepPath::No;
                    } else if (const auto chosen = choice(e, kWords)) {
                      rule.keep_path = *chosen == 0 ? KeepPath::No : *chosen == 1 ? KeepPath::Learned : KeepPath::Known;
                    }
                  }});
  keys.push_back(span("command_life", &Rule::command_life, "2s"));
}

void Reader::act_keys(Rule& rule, std::vector<Key>& keys, bool is_default) {
  keys.push_back({"dry_run", [this, &rule](const Entry& e) {
                    const auto is = boolean(e);
                    if (!is) return;
                    if (dry_ && !*is)
                      return mistake(e, "dry_run is false here and true for the whole file",
                                     "leave this one out, or write dry_run = true in the rules that are meant");
                    rule.act = !*is;
                  }});
  keys.push_back({"exempt", [this, &rule](const Entry& e) { rule.exempt = boolean(e).value_or(rule.exempt); }});
  keys.push_back({"when_gone", [this, &rule](const Entry& e) {
                    if (is_keepalive(e)) return set(e, rule, [](Rule& r) { r.when_gone = Act::Keepalive; });
                    rule.when_gone = act(e, {Act::Reset, Act::Silent, Act::Tell}).value_or(rule.when_gone);
                  }});
  keys.push_back({"when_forgotten", [this, &rule](const Entry& e) { later_act(e, rule, true); }});
  keys.push_back({"when_orphaned", [this, &rule](const Entry& e) { later_act(e, rule, false); }});
  keys.push_back({"always", [this, &rule, is_default](const Entry& e) {
                    const auto wanted = act(e, {Act::Tell, Act::Finish, Act::Reset, Act::Silent, Act::Keepalive});
                    if (is_default && wanted && *wanted != Act::Tell)
                      return mistake(e,
                                     fmt::format("always in [default] would {} every connection of this host",
                                                 *wanted == Act::Keepalive ? "act on" : "end"),
                                     "write it in a [[rule]] whose match says which ones");
                    rule.always = wanted.value_or(rule.always);
                  }});
  keys.push_back({"keepalive", [this, &rule](const Entry& e) { keepalive(e, rule); }});
}

// How the act of that name has the kernel ask.
void Reader::keepalive(const Entry& e, Rule& rule) {
  constexpr std::string_view kExample = R"({ idle = "10min", interval = "75s", count = 9 })";
  const toml::table* const found = table(e, fmt::format("keepalive = {}", kExample));
  if (found == nullptr) return;
  const auto span = [&](std::string_view key, std::uint16_t plane::Keepalive::* member, std::string_view example) {
    return Key{key, [this, &rule, member, example](const Entry& value) {
                 const auto given = duration(value, example);
                 if (!given) return;
                 const auto told = keepalive_span(*given);
                 if (told)
                   rule.keepalive.*member = *told;
                 else
                   mistake(value, fmt::format("{} cannot be {}", value.key, text(*given)),
                           "write whole seconds from \"1s\" to \"32767s\"");
               }};
  };
  walk(*found, "of keepalive",
       {span("idle", &plane::Keepalive::idle, "10min"),
        span("interval", &plane::Keepalive::interval, "75s"),
        {"count", [&](const Entry& value) {
           if (const auto count = whole(value, 1, plane::kMostKeepalives, "9"))
             rule.keepalive.count = static_cast<std::uint8_t>(*count);
         }}});
}

void Reader::later_act(const Entry& e, Rule& rule, bool is_forgotten) {
  const toml::table* const found = e.node.as_table();
  if (found == nullptr)
    return wrong_kind(e, "a table",
                      is_forgotten ? "{ after = \"1h\", do = \"finish\" }" : "{ after = \"60s\", do = \"reset\" }");
  walk(*found, fmt::format("of {}", e.key),
       {{"after",
         [&](const Entry& after) {
           const auto value = duration(after, is_forgotten ? "1h" : "60s");
           if (!value) return;
           set(after, rule, [&](Rule& r) { (is_forgotten ? r.forgotten_after : r.orphaned_after) = *value; });
         }},
        {"do", [&](const Entry& what) {
           if (!is_forgotten && is_keepalive(what))
             return set(what, rule, [](Rule& r) { r.when_orphaned = Act::Keepalive; });
           const auto value = is_forgotten ? act(what, {Act::Tell, Act::Finish, Act::Reset, Act::Keepalive})
                                           : act(what, {Act::Tell, Act::Reset, Act::Silent});
           Act& target = is_forgotten ? rule.when_forgotten : rule.when_orphaned;
           target = value.value_or(target);
         }}});
}

// What one table says twice, in two ways.
void Reader::contradictions(const toml::table& found) {
  const toml::node* const probes = found.get("probes");
  if (probes != nullptr && found.contains("loss"))
    mistake(probes->source(), "probes and loss both say how many questions must stay unanswered",
            "leave one of them out: from loss, N is derived");
  const toml::node* const always = found.get("always");
  if (always != nullptr && found["exempt"].value_or(false) && always->value_or(std::string_view{}) != "tell")
    mistake(always->source(), "the rule exempts from every act, and always acts", "leave out exempt or always");
}

void Reader::default_rule(const toml::table& found) {
  walk(found, "of [default]", rule_keys(default_, true));
  contradictions(found);
}

std::optional<std::string> Reader::rule_name(const Entry& e) {
  auto given = word(e, "\"web servers\"");
  if (!given) return given;
  const bool printable =
      std::ranges::none_of(*given, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (!given->empty() && given->size() <= kLongestName && printable) return given;
  mistake(e, fmt::format("\"{}\" is no name", shown(*given)),
          fmt::format("write 1 to {} letters, none of them a control character", kLongestName));
  return std::nullopt;
}

// Where the octet `offset` of a text stands in the file: behind the quotation mark, escapes counted as they are
// written.
toml::source_position Reader::place_in(const Entry& e, std::size_t offset) const {
  toml::source_position at = e.node.source().begin;
  std::size_t here = 0;
  for (toml::source_index line = 1; line < at.line && here != std::string_view::npos; ++line)
    here = text_.find('\n', here) + 1;
  const auto step = [&] {
    if (here >= text_.size()) return;
    if (text_[here] == '\n') ++at.line, at.column = 0;
    ++here;
    while (here < text_.size() && (static_cast<unsigned char>(text_[here]) & 0xc0) == 0x80) ++here;
    ++at.column;
  };
  const toml::source_index start = at.column;
  at.column = 1;
  while (at.column < start) step();
  if (here >= text_.size()) return at;
  const char quote = text_[here];
  const bool is_long = text_.substr(here, 3) == std::string(3, quote);
  for (int i = is_long ? 3 : 1; i > 0; --i) step();
  if (is_long && here < text_.size() && text_[here] == '\r') step();
  if (is_long && here < text_.size() && text_[here] == '\n') step();
  while (offset > 0 && here < text_.size()) {
    const std::size_t from = here;
    if (quote == '"' && text_[here] == '\\') {
      step();
      if (here < text_.size() && (text_[here] == 'u' || text_[here] == 'U' || text_[here] == '\n')) return at;
      step();
      --offset;
      continue;
    }
    step();
    offset -= std::min(offset, here - from);
  }
  return at;
}

std::optional<control::Filter> Reader::filter(const Entry& e) {
  const auto given = word(e, "\"state close-wait and dport = :443\"");
  if (!given) return std::nullopt;
  const auto parsed = control::Filter::parse(*given);
  if (!parsed) {
    const auto both = split(message(parsed.error().trouble), true);
    const std::string_view where = std::string_view(*given).substr(parsed.error().at, parsed.error().length);
    const toml::source_position at = place_in(e, parsed.error().at);
    mistake({at, at, nullptr}, where.empty() ? both.reason : fmt::format("\"{}\": {}", shown(where), both.reason),
            both.remedy);
    return std::nullopt;
  }
  if (parsed->needs_standing())
    mistake(e, split(message(control::PolicyError::AsksStanding)));
  else if (parsed->is_everything())
    mistake(e, "this rule matches everything, so that no rule below it would ever hold",
            "write its keys in [default], which holds for whatever no rule matches");
  else if (parsed->states() == 0)
    mistake(e, "this rule can match nothing: no connection is in two states at once",
            "write the states behind each other without and, or join them with or");
  else
    return *parsed;
  return std::nullopt;
}

void Reader::rule(const toml::table& found, std::vector<NamedClause>& to) {
  NamedClause one;
  one.clause.rule = default_;
  std::vector<Key> keys = rule_keys(one.clause.rule, false);
  keys.insert(keys.begin(), {{"name",
                              [&](const Entry& e) {
                                const auto given = rule_name(e);
                                if (!given) return;
                                if (*given == "default" || std::ranges::find(names_, *given) != names_.end())
                                  mistake(e, fmt::format("there is another rule with the name {}", *given),
                                          "write a name of its own: it tells in verdicts which rule held");
                                one.name = *given;
                                names_.push_back(*given);
                              }},
                             {"match", [&](const Entry& e) {
                                one.match = e.node.value_or(std::string{});
                                if (auto parsed = filter(e)) one.clause.filter = std::move(*parsed);
                              }}});
  walk(found, "of a rule", keys);
  contradictions(found);
  if (!found.contains("name")) mistake(found.source(), "this rule has no name", "write name = \"what it is for\"");
  if (!found.contains("match"))
    mistake(found.source(), "this rule has no match, so that no rule below it would ever hold",
            "write match = \"state close-wait and dport = :443\", or write its keys in [default]");
  to.push_back(std::move(one));
}

// ---- the whole ----

// A file that is no TOML, in words for people who do not read grammars.
PolicyMistake syntax(const toml::parse_error& error) {
  const std::string_view said = error.description();
  const auto says = [&](std::string_view part) { return said.find(part) != std::string_view::npos; };
  ReasonAndRemedy both;
  const std::size_t quote = said.find('\'');
  const std::string_view quoted = quote == std::string_view::npos
                                      ? std::string_view{}
                                      : said.substr(quote + 1, said.find('\'', quote + 1) - quote - 1);
  if (says("cannot redefine") && (says("as table") || says("as array-of-tables")))
    both = {fmt::format("{} stands above already, in another form or once too often", shown(quoted)),
            "write [[rule]] above every rule, and each other table once"};
  else if (says("cannot redefine"))
    both = {fmt::format("{} is given twice in one table", shown(quoted)), "keep one of the two"};
  else if (says("integer: expected digit") || says("floating-point"))
    both = {"a number goes on with letters", "write durations and sizes in quotes, such as interval = \"25s\""};
  else if (says("could not determine value type"))
    both = {"this is no value", "write text in quotes, numbers and true or false without"};
  else if (says("parsing string"))
    both = {"the text that begins in this line does not end in it", "write the closing quotation mark"};
  else if (says("expected value"))
    both = {"a value is missing here", "write one behind the ="};
  else if (says("expected '='"))
    both = {"a key is not followed by =", "write key = value, and names with spaces in quotes"};
  else if (says("table header"))
    both = {"a table's name has no closing bracket", "write [name] or [[name]] on a line of its own"};
  else if (says("utf-8"))
    both = {"these octets are no UTF-8", "save the file as UTF-8"};
  else
    both = {fmt::format("this is no TOML: {}", shown(said)), "see https://toml.io/en/v1.0.0"};
  return {error.source().begin.line, error.source().begin.column, both.reason, both.remedy};
}

// The line of a dotted name with more parts than any policy has. The library builds a table within a table for each
// part, and takes them apart again by recursion.
std::optional<unsigned> deep_key(std::string_view text) {
  unsigned line = 1;
  unsigned dots = 0;
  char quote = 0;
  for (const char c : text) {
    if (c == '\n') {
      ++line;
      dots = 0;
      quote = 0;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#') {
      quote = '\n';
    } else if (c == '=' || c == ',' || c == '[' || c == '{') {
      dots = 0;
    } else if (c == '.' && ++dots > 32) {
      return line;
    }
  }
  return std::nullopt;
}

// In this order: the profile says what the default is, the file changes it, rules start from that; the profile's own
// rules come after the file's.
std::optional<NamedPolicy> Reader::read() {
  toml::table file;
  if (const auto deep = deep_key(text_)) {
    mistakes_.push_back({*deep, 1, "a name has more than 32 parts", "write at most two: budget.orphans"});
    return std::nullopt;
  }
  try {
    const toml::table known = toml::parse(built_in::path_timers);
    known_path_timers(known);
    file = toml::parse(text_);
  } catch (const toml::parse_error& error) {
    mistakes_.push_back(syntax(error));
    return std::nullopt;
  }
  top(file);
  const toml::table profile = toml::parse(profile_text_);
  const auto in_profile = [&](const char* key) { return profile.get(key); };
  if (const toml::node* const found = in_profile("default")) default_rule(*found->as_table());
  default_.act = !dry_;
  if (default_table_ != nullptr) default_rule(*default_table_);
  if (const toml::node* const found = in_profile("rule"))
    for (const toml::node& one : *found->as_array())
      names_.push_back(one.as_table()->get("name")->value_or(std::string{}));
  std::vector<NamedClause> clauses;
  if (rules_ != nullptr) each_table({"rule", *rules_}, "[[rule]]", [&](const toml::table& one) { rule(one, clauses); });
  names_.clear();
  if (const toml::node* const found = in_profile("rule"))
    for (const toml::node& one : *found->as_array()) rule(*one.as_table(), clauses);
  if (clauses.size() >= control::Policy::kMostRules)
    mistake(
        rules_ != nullptr ? rules_->source() : toml::source_region{},
        fmt::format("there are {} rules, and at most {} are possible", clauses.size() + 1, control::Policy::kMostRules),
        "join some of them with or");
  if (!mistakes_.empty()) return std::nullopt;
  return assemble(std::move(clauses));
}

std::optional<NamedPolicy> Reader::assemble(std::vector<NamedClause> clauses) {
  clauses.push_back({"default", "", {control::Filter(), default_}});
  std::vector<control::Clause> bare;
  for (NamedClause& one : clauses) {
    result_.rules.push_back(std::move(one.name));
    result_.matches.push_back(std::move(one.match));
    bare.push_back(std::move(one.clause));
  }
  auto made = control::Policy::make(std::move(bare));
  ADIEU_ASSERT(made.has_value());  // whatever it refuses has been refused above, with its place
  const control::Policy& stated = result_.policy;
  made->orphans = stated.orphans;
  made->orphans_under_pressure = stated.orphans_under_pressure;
  made->probes = stated.probes;
  made->path_timers = stated.path_timers;
  made->fingerprint = fingerprint(text_);
  made->derive();
  result_.policy = std::move(*made);
  result_.text = text_;
  return std::move(result_);
}

}  // namespace

std::expected<NamedPolicy, std::vector<PolicyMistake>> read_policy(std::string_view text) {
  Reader reader(text);
  if (auto policy = reader.read()) return std::move(*policy);
  std::ranges::stable_sort(reader.mistakes(), {}, [](const PolicyMistake& m) { return std::pair(m.line, m.column); });
  return std::unexpected(std::move(reader.mistakes()));
}

NamedPolicy built_in_policy() {
  auto policy = read_policy(policy_text({}));
  ADIEU_ASSERT(policy.has_value());
  return std::move(*policy);
}

}  // namespace adieu::host
