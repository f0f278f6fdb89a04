// `adieu`, and nothing more: what on this host will never end by itself, who has it open, and why.
#include "cli/overview.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <span>

#include "cli/command.h"
#include "cli/listing.h"
#include "host/clock.h"
#include "host/local_kernel.h"
#include "host/network_seen.h"
#include "host/sentences.h"
#include "host/text.h"

namespace adieu::cli {
namespace {

// Linux's own range begins here (net.ipv4.ip_local_port_range); services live below.
constexpr std::uint16_t kFirstEphemeral = 32768;
// A screen of 24 lines holds so many groups of three lines, and what is said around them.
constexpr std::size_t kGroupsOnAScreen = 6;

Service service_of(const plane::Record& record) {
  const bool is_ours = record.local.port < kFirstEphemeral && record.remote.port >= kFirstEphemeral;
  if (!is_ours) return {.endpoint = record.remote, .is_ours = false};
  // The clients of one service are one peer, wherever they come from.
  return {.endpoint = {.address = {}, .port = record.local.port}, .is_ours = true};
}

// At least so long; 0: nothing is known.
Duration age_of(const host::ConnectionView& view) {
  const plane::Record& record = view.record;
  const Instant since = record.state_entered.is_known() ? record.state_entered : record.beside.in_state_by;
  return since.is_known() ? later(Duration{}, view.now - since) : Duration{};
}

bool is_unremarkable(const host::ConnectionView& view) {
  const plane::Record& record = view.record;
  const control::Verdict& verdict = view.seen.verdict;
  if (record.state != State::Established || record.attempts > 1 || host::data_waits(record)) return false;
  if (verdict.standing == control::Standing::Gone || verdict.standing == control::Standing::Suspect) return false;
  return verdict.wanted == control::Wanted::Held || verdict.wanted == control::Wanted::Unknown;
}

std::string program_of(const Group& group) {
  if (group.program.empty()) {
    const plane::Record& record = group.example.record;
    if (record.holder == plane::Holder::Orphan || record.state == State::TimeWait) return "no process";
    return group.example.seen.verdict.wanted == control::Wanted::Hidden ? "no process" : "?";
  }
  const std::string name = host::printable(group.program);
  const std::uint32_t one = group.example.holder_process;
  if (group.processes.size() == 1) return fmt::format("{}[{}]", name, one);
  return fmt::format("{} in {} processes, e.g. {}", name, group.processes.size(), one);
}

std::string peer_of(const Group& group) {
  return group.service.is_ours ? fmt::format("clients of :{}", group.service.endpoint.port)
                               : "-> " + host::text(group.service.endpoint);
}

// What ends such a group; empty: its program's name is none that filter and shell take as it is.
std::string end_of_all(const Group& group) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (group.program.empty() || group.program.find_first_not_of(kPlain) != std::string::npos) return {};
  const Service& service = group.service;
  return fmt::format(
      "adieu end 'state {} comm {} {}'{}", name(group.example.record.state), group.program,
      service.is_ours ? fmt::format("sport = :{}", service.endpoint.port) : "dst " + host::text(service.endpoint),
      group.example.has_lasting_id ? "" : " (by `adieu up`)");
}

std::string step_of(const Group& group) {
  const std::string end = end_of_all(group);
  return host::next_step(
      group.example.seen.verdict, group.example.record,
      {.connections = group.connections, .processes = std::max<std::size_t>(group.processes.size(), 1), .end = end});
}

// Of all, where it counts octets.
std::string cause_of(const Group& group) {
  plane::Record record = group.example.record;
  if (host::data_waits(record))
    record.unsent = static_cast<std::uint32_t>(std::min<std::uint64_t>(group.unsent, plane::kUnknownCount - 1));
  return host::cause_of(group.example.seen.verdict, record);
}

// Nothing has to be said of the caller's own network.
std::string where_of(const Group& group, host::OtherNetworks& networks) {
  if (group.networks.size() > 1) return fmt::format("{} networks", group.networks.size());
  return networks.name_of(group.example.record);
}

std::string ends_of(const Group& group) {
  const host::ConnectionView& view = group.example;
  return host::ending_in_short(view.seen.verdict, view.record, view.now);
}

void print_group(const Group& group, host::OtherNetworks& networks) {
  const host::ConnectionView& view = group.example;
  std::string facts =
      fmt::format("{:>9} {:<11} {}  {}", group.connections, name(view.record.state), program_of(group), peer_of(group));
  if (group.oldest > Duration{})
    facts += fmt::format("  oldest {}{}", group.oldest_is_bound ? "at least " : "", host::readable(group.oldest));
  if (group.unread > 0) facts += "  " + host::counted(group.unread, "octet") + " unread";
  if (const std::string where = where_of(group, networks); !where.empty()) facts += "  in " + where;
  fmt::print("{}  ends {}\n", facts, ends_of(group));
  fmt::print("          why: {}\n", cause_of(group));
  if (const std::string step = step_of(group); !step.empty()) fmt::print("          do:  {}\n", step);
}

void print_sight(const std::optional<kernel::Sight>& sight) {
  if (!sight) return;
  const std::string_view remedy = ::geteuid() != 0 ? " Root sees more." : "";
  if (sight->processes_closed > 0)
    fmt::print("Not seen: what {} of {} processes have open.{}\n", sight->processes_closed, sight->processes, remedy);
  if (sight->networks_closed > 0)
    fmt::print("Not seen: the connections of {}.{}\n", host::counted(sight->networks_closed, "other network namespace"),
               remedy);
  if (!sight->by_bpf)
    fmt::print("Descriptors by a walk of /proc: those in flight cannot be counted (BPF is not permitted).\n");
  if (sight->own_network_only) fmt::print("Only this network namespace is looked at.\n");
  if (!sight->all_processes_visible) fmt::print("Not seen: processes outside this container.\n");
}

void print_for_people(const Overview& overview, const std::vector<Group>& groups, bool all) {
  std::uint64_t never = 0;
  std::size_t never_groups = 0;
  for (const Group& group : groups) {
    if (!group.never_ends) continue;
    never += group.connections;
    ++never_groups;
  }
  if (never == 0)
    fmt::print("Nothing here stays for ever: every connection is open, or ends by itself.\n");
  else
    fmt::print("{} in {} will never end by {}:\n", host::counted(never, "connection"),
               host::counted(never_groups, "group"), never == 1 ? "itself" : "themselves");
  host::OtherNetworks networks;
  const std::size_t shown = all ? groups.size() : std::min(groups.size(), kGroupsOnAScreen);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i == never_groups) fmt::print("{}\n", never_groups > 0 ? "Others:" : "They are:");
    print_group(groups[i], networks);
  }
  std::uint64_t more = 0;
  for (std::size_t i = shown; i < groups.size(); ++i) more += groups[i].connections;
  if (more > 0) fmt::print("and {} in {} more: adieu --all\n", more, host::counted(groups.size() - shown, "group"));
  if (overview.unremarkable() > 0)
    fmt::print("{} open both ways, and held.\n", host::counted(overview.unremarkable(), "connection"));
  if (!groups.empty()) {
    const plane::Record& first = groups.front().example.record;
    fmt::print("More on one: adieu why {} {}\n", host::text(first.local), host::text(first.remote));
  }
}

// The ones that have most of them open.
nlohmann::ordered_json processes_json(const Group& group) {
  constexpr std::size_t kMostShown = 16;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> all(group.processes.begin(), group.processes.end());
  std::erase_if(all, [](const auto& one) { return one.first == 0; });
  std::ranges::stable_sort(all, std::ranges::greater{}, &std::pair<std::uint32_t, std::uint64_t>::second);
  auto json = nlohmann::ordered_json::array();
  for (const auto& [process, connections] : std::span(all).first(std::min(all.size(), kMostShown)))
    json.push_back({{"pid", process}, {"connections", connections}});
  return json;
}

void print_json(const std::vector<Group>& groups) {
  host::OtherNetworks networks;
  for (const Group& group : groups) {
    const host::ConnectionView& view = group.example;
    nlohmann::ordered_json line = {
        {"connections", group.connections},
        {"state", name(view.record.state)},
        {"program", group.program},
        {"pid", group.processes.size() > 1 ? 0 : view.holder_process},
        {"process_count", group.program.empty() ? 0 : group.processes.size()},
        {"processes", processes_json(group)},
        {"service", host::text(group.service.endpoint)},
        {"service_is_ours", group.service.is_ours},
        {"cause", cause_of(group)},
        {"next_step", step_of(group)},
        {"wanted", control::name(view.seen.verdict.wanted)},
        {"ends", view.ending()},
        {"never_ends", group.never_ends},
        {"oldest_s", group.oldest > Duration{} ? nlohmann::ordered_json(static_cast<double>(group.oldest.ns) / 1e9)
                                               : nlohmann::ordered_json(nullptr)},
        {"oldest_is_bound", group.oldest_is_bound},
        {"networks", group.networks},
        {"other_network", networks.name_of(view.record)},
        {"unread", group.unread},
        {"unsent", group.unsent},
        {"example", {{"local", host::text(view.record.local)}, {"remote", host::text(view.record.remote)}}}};
    fmt::print("{}\n", line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace));
  }
}

}  // namespace

void Overview::add(const host::ConnectionView& view) {
  if (view.record.has_ended()) return;
  if (is_unremarkable(view)) {
    ++unremarkable_;
    return;
  }
  const control::Verdict& verdict = view.seen.verdict;
  const Service service = service_of(view.record);
  Group& group =
      groups_[Key{view.comm, view.record.state, service, verdict.wanted, verdict.ends, host::data_waits(view.record)}];
  const Duration age = age_of(view);
  if (group.connections == 0) {
    group.program = view.comm;
    group.service = service;
    // An open connection is none that stays: either end may speak. Unless the other one is gone.
    group.never_ends = (view.record.state != State::Established || verdict.standing == control::Standing::Gone) &&
                       host::ending_in_short(verdict, view.record, view.now).starts_with("never");
  }
  if (group.connections == 0 || age > group.oldest) group.example = view;
  if (view.record.beside.network != 0) group.networks.insert(view.record.beside.network);
  ++group.processes[view.holder_process];
  ++group.connections;
  group.oldest = later(group.oldest, age);
  if (!view.record.state_entered.is_known()) group.oldest_is_bound = true;
  if (view.record.unread != plane::kUnknownCount) group.unread += view.record.unread;
  if (view.record.unsent != plane::kUnknownCount) group.unsent += view.record.unsent;
}

std::vector<Group> Overview::groups() const {
  std::vector<Group> all;
  for (const auto& [key, group] : groups_) all.push_back(group);
  std::ranges::stable_sort(all, [](const Group& a, const Group& b) {
    // A peer that does not read may stay so for ever, too: it is not lost among those that end by themselves.
    const auto rank = [](const Group& group) {
      return group.never_ends ? 0 : host::data_waits(group.example.record) ? 1 : 2;
    };
    return std::tuple(rank(a), -static_cast<std::int64_t>(a.connections), -a.oldest.ns) <
           std::tuple(rank(b), -static_cast<std::int64_t>(b.connections), -b.oldest.ns);
  });
  return all;
}

void run_overview(const OverviewCommand& command) {
  std::signal(SIGPIPE, SIG_DFL);  // as every filter: see ls.cc
  auto around = host::look_around(command.run_dir);
  if (!around) throw Trouble(around.error().text);
  Overview overview;
  const host::Walk walk =
      host::for_each_connection(around->census, [&](const host::ConnectionView& view) { overview.add(view); });
  const std::vector<Group> groups = overview.groups();
  if (command.json) {
    print_json(groups);
  } else {
    print_for_people(overview, groups, command.all);
    print_sight(around->sight);
    if (!around->census.is_local)
      for (const std::string& note : notes(around->census, walk, host::now())) fmt::print("{}\n", note);
  }
  if (std::ranges::any_of(groups, &Group::never_ends)) throw Exit{kFound};
}

}  // namespace adieu::cli
