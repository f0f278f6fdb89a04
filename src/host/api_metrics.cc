// A Collectable that counts when it is asked, and its families.
#include "host/api_metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

#include "host/sentences.h"

namespace adieu::host {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Upper bounds of an age in its state, in seconds; the last one is +Inf.
struct Age {
  std::int64_t seconds;
  const char* bound;
};
constexpr std::array<Age, 9> kAges{{{10, "10"},
                                    {60, "60"},
                                    {300, "300"},
                                    {1800, "1800"},
                                    {7200, "7200"},
                                    {43'200, "43200"},
                                    {86'400, "86400"},
                                    {604'800, "604800"},
                                    {INT64_MAX, "+Inf"}}};
constexpr unsigned kEndings = static_cast<unsigned>(control::Ends::Nothing) + 1;

// States and standings that a connection which has not ended can have.
constexpr auto kFirstState = static_cast<unsigned>(State::SynSent);
constexpr auto kFirstStanding = static_cast<unsigned>(control::Standing::Unknown);

// One plane's connections, counted.
struct Counted {
  std::uint64_t standings[kStates][control::kStandings] = {};
  std::uint64_t ages[kStates][kAges.size()] = {};  // each counts for every bound above it as well
  std::uint64_t ends[kEndings] = {};
  std::vector<std::uint64_t> rules;
};

Counted count(const ApiTables& tables, std::size_t plane) {
  Counted counted;
  counted.rules.resize(tables.snapshot().policy->policy.clauses().size());
  const std::uint32_t slots = tables.snapshot().planes[plane]->table.slots_used();
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    const auto view = tables.read(plane, slot);
    if (!view || view->record.has_ended()) continue;
    const auto state = static_cast<std::size_t>(view->record.state);
    ++counted.standings[state][static_cast<std::size_t>(view->seen.verdict.standing)];
    ++counted.ends[static_cast<std::size_t>(view->seen.verdict.ends)];
    ++counted.rules[view->seen.rule_number];
    if (!view->record.state_entered.is_known()) continue;
    const std::int64_t age = (view->now - view->record.state_entered).ns / 1'000'000'000;
    for (std::size_t i = 0; i < kAges.size(); ++i)
      if (age < kAges[i].seconds) ++counted.ages[state][i];
  }
  return counted;
}

class Tables final : public prometheus::Collectable {
 public:
  Tables(const ApiTables& tables, std::string_view version) : tables_(tables), version_(version) {}

  std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> families;
    add_connections(families);
    add_totals(families);
    add_tally(families);
    return families;
  }

 private:
  static MetricFamily family(const char* name, const char* help, MetricType type) { return {name, help, type, {}}; }
  static void put(MetricFamily& family, Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family.type == MetricType::Counter)
      metric.counter.value = value;
    else
      metric.gauge.value = value;
    family.metric.push_back(std::move(metric));
  }
  static void put(MetricFamily& family, Labels labels, std::uint64_t value) {
    put(family, std::move(labels), static_cast<double>(value));
  }

  void add_connections(std::vector<MetricFamily>& families) const {
    auto standings = family("adieu_connections", "Connections that have not ended", MetricType::Gauge);
    auto ages = family("adieu_connections_by_age", "Connections that have been in their state for less than le seconds",
                       MetricType::Gauge);
    auto ends = family("adieu_connections_by_ending", "Connections by what will end them", MetricType::Gauge);
    auto rules = family("adieu_connections_by_rule", "Connections by the rule that holds for them", MetricType::Gauge);
    const ApiSnapshot& snapshot = tables_.snapshot();
    for (std::size_t i = 0; i < snapshot.planes.size(); ++i) {
      const std::string& plane = snapshot.planes[i]->name;
      const Counted counted = count(tables_, i);
      for (unsigned s = kFirstState; s < kStates; ++s) {
        const std::string state(name(static_cast<State>(s)));
        for (unsigned k = kFirstStanding; k < control::kStandings; ++k)
          put(standings,
              {{"plane", plane},
               {"state", state},
               {"standing", std::string(control::name(static_cast<control::Standing>(k)))}},
              counted.standings[s][k]);
        for (std::size_t k = 0; k < kAges.size(); ++k)
          put(ages, {{"plane", plane}, {"state", state}, {"le", kAges[k].bound}}, counted.ages[s][k]);
      }
      for (unsigned k = 1; k < kEndings; ++k)
        put(ends, {{"plane", plane}, {"ending", std::string(control::name(static_cast<control::Ends>(k)))}},
            counted.ends[k]);
      for (std::uint32_t k = 0; k < counted.rules.size(); ++k)
        put(rules, {{"plane", plane}, {"rule", rule_name(*snapshot.policy, k)}}, counted.rules[k]);
    }
    families.insert(families.end(), {standings, ages, ends, rules});
  }

  void add_totals(std::vector<MetricFamily>& families) const {
    auto opened = family("adieu_opened_total", "Connections that have been opened", MetricType::Counter);
    auto ends = family("adieu_ends_total", "Connections that have ended, by reason", MetricType::Counter);
    auto outcomes =
        family("adieu_commands_total", "Commands that planes have answered, by outcome", MetricType::Counter);
    for (const auto& plane : tables_.snapshot().planes) {
      const plane::Totals totals = plane->table.totals();
      put(opened, {{"plane", plane->name}}, totals.opened);
      for (unsigned i = 1; i < kEndReasons; ++i)
        put(ends, {{"plane", plane->name}, {"reason", std::string(name(static_cast<EndReason>(i)))}}, totals.ended[i]);
      for (unsigned i = 1; i < plane::kOutcomes; ++i)
        put(outcomes, {{"plane", plane->name}, {"outcome", std::string(plane::name(static_cast<plane::Outcome>(i)))}},
            totals.outcomes[i]);
    }
    families.insert(families.end(), {opened, ends, outcomes});
  }

  void add_tally(std::vector<MetricFamily>& families) const {
    const Tally& tally = tables_.snapshot().tally;
    auto decisions = family("adieu_decisions_total", "Verdicts that changed something, by what is done and why",
                            MetricType::Counter);
    for (const auto& [key, number] : tally.decisions)
      put(decisions, {{"cause", std::string(control::name(key.first))}, {"rule", key.second}}, number);
    auto probes = family("adieu_probes_total", "Questions that were decided, by form", MetricType::Counter);
    for (unsigned i = 0; i < kProbeForms; ++i)
      put(probes, {{"form", std::string(name(static_cast<ProbeForm>(i)))}}, tally.probes[i]);
    auto sweeps = family("adieu_sweep_seconds", "Rounds of the control plane over every table, and how long they took",
                         MetricType::Summary);
    ClientMetric sweep;
    sweep.summary.sample_count = tally.rounds;
    sweep.summary.sample_sum = tally.sweeping.seconds();
    sweeps.metric.push_back(std::move(sweep));
    auto withheld = family("adieu_commands_withheld_total",
                           "Commands not given: no room, or the ledger could not write", MetricType::Counter);
    put(withheld, {}, tally.counts.withheld);
    auto failures = family("adieu_ledger_failures_total", "Times the ledger could not write", MetricType::Counter);
    put(failures, {}, tally.counts.ledger_failures);
    auto build = family("adieu_build_info", "Always 1", MetricType::Gauge);
    put(build, {{"version", version_}}, 1.0);
    families.insert(families.end(), {decisions, probes, sweeps, withheld, failures, build});
  }

  const ApiTables& tables_;
  std::string version_;
};

}  // namespace

std::string metrics_text(const ApiTables& tables, std::string_view version) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, Tables(tables, version).Collect());
  return out.str();
}

}  // namespace adieu::host
