// Programs are started and asked as a person would: `adieu ls --json`, `adieu why`, `ss -tano`.
#include "cli/story_scene.h"

#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "host/clock.h"
#include "host/text.h"
#include "lab/trouble.h"

namespace adieu::cli {
namespace {

constexpr Duration kSampleEvery = milliseconds(60);
constexpr Duration kStart = seconds(15);  // for a program to say that it is there, on a busy machine

std::string rfc_state(const std::string& of_ss) {
  if (of_ss == "ESTAB") return "ESTABLISHED";
  if (of_ss == "SYN-RECV") return "SYN-RECEIVED";
  if (of_ss == "UNCONN") return "CLOSED";
  return of_ss;
}

// `pattern` is an endpoint, or one without its port.
bool matches(std::string_view endpoint, std::string_view pattern) {
  return pattern.ends_with(':') ? endpoint.starts_with(pattern) : endpoint == pattern;
}

Duration to_duration(double in_seconds) { return {static_cast<std::int64_t>(in_seconds * 1e9)}; }

std::string key_of(std::string_view who, std::string_view local, std::string_view remote) {
  return fmt::format("{} {} {}", who, local, remote);
}

// In lines that end before column 100.
std::vector<std::string> wrapped(const std::string& text) {
  constexpr std::size_t kColumns = 92;
  std::vector<std::string> lines(1);
  for (const std::string& word : lab::words(text)) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > kColumns) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

std::vector<lab::StateSeen> find(const std::map<std::string, std::vector<lab::StateSeen>>& history,
                                 const std::string& key) {
  const auto found = history.find(key);
  return found == history.end() ? std::vector<lab::StateSeen>{} : found->second;
}

}  // namespace

void Scene::title(int number, std::string_view text) {
  const std::string line = fmt::format("{}. {}", number, text);
  fmt::print("\n{}{}{}\n\n", settings_.colour ? "\x1b[1;34m" : "", line, settings_.colour ? "\x1b[0m" : "");
  std::fflush(stdout);
}

void Scene::say(std::string_view text) {
  fmt::print("{}{}\n", text.empty() ? "" : "   ", text);
  std::fflush(stdout);
}

void Scene::shortened(std::string_view what, std::string_view here, std::string_view by_default) {
  say(fmt::format("shortened: {} = {} (default {})", what, here, by_default));
}

void Scene::claim(bool held, std::string_view text, std::string_view evidence) {
  claims_.push_back({{"claim", text}, {"held", held}, {"evidence", evidence}});
  all_held_ = all_held_ && held;
}

void Scene::print_claims() const {
  for (const Json& c : claims_) {
    const bool held = c["held"].get<bool>();
    const std::string mark = settings_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", held ? 32 : 31, held ? "✓" : "✗")
                                              : std::string(held ? "✓" : "✗");
    fmt::print("   {} {}\n", mark, c["claim"].get<std::string>());
    for (const std::string& line : wrapped(c["evidence"].get<std::string>()))
      fmt::print("{}       {}{}\n", settings_.colour ? "\x1b[2m" : "", line, settings_.colour ? "\x1b[0m" : "");
  }
  std::fflush(stdout);
}

void Scene::ladder(const lab::Ladder& ladder) {
  fmt::print("{}\n", lab::draw(ladder, settings_.colour));
  std::fflush(stdout);
}

lab::Net Scene::net(std::string name) {
  nets_.push_back(world_.add(std::move(name)));
  return nets_.back();
}

lab::Process& Scene::keep(std::string name, lab::Process process) {
  programs_.emplace_back(std::move(name), std::make_unique<lab::Process>(std::move(process)));
  return *programs_.back().second;
}

lab::Process& Scene::up(const lab::Net& net, std::string_view flags) {
  const std::string own = ups_.empty() ? run_dir() : fmt::format("{}.{}", run_dir(), net.name());
  auto arguments = lab::words(fmt::format("{} up --run-dir {} {}", settings_.program, own, flags));
  lab::Process& process = keep("adieu up", world_.start(net, arguments));
  await_output(process, "adieu: up");
  ups_.emplace_back(net.name(), own);
  return process;
}

std::string Scene::run_dir_in(const lab::Net& net) const {
  const auto found = std::ranges::find(ups_, net.name(), [](const auto& up) { return up.first; });
  return found == ups_.end() ? run_dir() : found->second;
}

lab::Process& Scene::native(const lab::Net& net, std::string_view program, std::string_view arguments) {
  const auto all =
      lab::words(fmt::format("{}/{} --run-dir {} {}", settings_.natives, program, run_dir_in(net), arguments));
  return keep(std::string(program), world_.start(net, all));
}

lab::Process& Scene::python(const lab::Net& net, std::string_view script, std::string_view arguments) {
  const auto all = lab::words(fmt::format("python3 -u {}/{} {}", settings_.scripts, script, arguments));
  return keep(std::string(script), world_.start(net, all));
}

lab::Process& Scene::python_text(const lab::Net& net, const std::string& text, std::string_view arguments) {
  std::vector<std::string> all = {"python3", "-u", "-c", text};
  for (auto& word : lab::words(arguments)) all.push_back(word);
  return keep("python3", world_.start(net, all));
}

void Scene::await_output(lab::Process& process, std::string_view text) {
  const Instant end = host::now() + kStart;
  while (!contains(process.output(), text)) {
    const bool over = !process.runs();
    if (over && contains(process.output(), text)) return;
    if (over || host::now() > end)
      throw lab::Trouble(fmt::format("a program did not say \"{}\" but: {}", text, process.output()));
    poll(nullptr, 0, 10);
  }
}

void Scene::end_programs() {
  while (!programs_.empty()) {
    programs_.back().second->end(seconds(2));
    programs_.pop_back();
  }
}

std::string Scene::all_output() const {
  std::string text;
  for (const auto& [name, process] : programs_) text += fmt::format("--- {} printed:\n{}\n", name, process->output());
  return text;
}

void Scene::remember(const std::string& key, std::string state, Instant since) {
  auto& seen = history_[key];
  if (seen.empty() || seen.back().state != state) seen.push_back({since, std::move(state)});
}

void Scene::sample_ls(const std::string& run_dir) {
  lab::Process ls = world_.start(nets_.front(), {settings_.program, "ls", "--all", "--run-dir", run_dir, "--json"});
  const auto status = ls.wait(seconds(5));
  if (!status || *status > 1)
    throw lab::Trouble(fmt::format("adieu ls failed ({}): {}", status.value_or(-1), ls.output()));
  std::istringstream lines(ls.output());
  for (std::string line; std::getline(lines, line);) {
    Json row = Json::parse(line, nullptr, false);
    if (row.is_discarded() || !row.contains("state")) continue;  // a warning on standard error
    // The engine knows since when; of the kernel's only what each look shows is known.
    const Json age = row.value("state_age_s", Json());
    const Duration ago = age.is_number() && row["kind"] == "engine" ? to_duration(age.get<double>()) : Duration{};
    remember(key_of(row["kind"].get<std::string>(), row["local"].get<std::string>(), row["remote"].get<std::string>()),
             row["state"].get<std::string>(), host::now() - ago);
    rows_.push_back(std::move(row));
  }
}

void Scene::sample_ss(const lab::Net& net) {
  std::vector<SsRow> rows;
  std::istringstream lines(world_.run(net, {"ss", "-tanoH"}));
  for (std::string line; std::getline(lines, line);) {
    const auto words = lab::words(line);
    if (words.size() < 5) continue;
    rows.push_back({rfc_state(words[0]), words[3], words[4], words.size() > 5 ? words[5] : ""});
    remember(key_of("ss " + net.name(), words[3], words[4]), rows.back().state, host::now());
  }
  // What was there and is not any more.
  for (const SsRow& old : ss_[net.name()]) {
    const bool there =
        std::ranges::any_of(rows, [&](const SsRow& r) { return r.local == old.local && r.remote == old.remote; });
    if (!there) remember(key_of("ss " + net.name(), old.local, old.remote), "(no socket)", host::now());
  }
  ss_[net.name()] = std::move(rows);
}

void Scene::sample(bool now) {
  const Instant started = host::now();
  if (!now && sampled_.is_known() && started - sampled_ < kSampleEvery) return;
  rows_.clear();
  for (const auto& [net, run_dir] : ups_) sample_ls(run_dir);
  for (const lab::Net& net : nets_) sample_ss(net);
  sampled_ = host::now();
}

Scene::Row Scene::row(std::string_view kind, std::string_view local, std::string_view remote) const {
  for (const Json& row : rows_) {
    if (row["kind"] == kind && matches(row["local"].get<std::string>(), local) &&
        matches(row["remote"].get<std::string>(), remote))
      return row;
  }
  return std::nullopt;
}

std::optional<SsRow> Scene::ss(const lab::Net& net, std::string_view local, std::string_view remote) const {
  const auto found = ss_.find(net.name());
  if (found == ss_.end()) return std::nullopt;
  for (const SsRow& row : found->second)
    if (matches(row.local, local) && matches(row.remote, remote)) return row;
  return std::nullopt;
}

std::vector<lab::StateSeen> Scene::states(std::string_view kind, std::string_view local,
                                          std::string_view remote) const {
  return find(history_, key_of(kind, local, remote));
}

std::vector<lab::StateSeen> Scene::ss_states(const lab::Net& net, std::string_view local,
                                             std::string_view remote) const {
  return find(history_, key_of("ss " + net.name(), local, remote));
}

std::string Scene::run_why(const std::string& id, std::string_view flags) {
  const auto command = fmt::format("{} why --run-dir {} {} {}", settings_.program, run_dir(), flags, id);
  lab::Process why = world_.start(nets_.front(), lab::words(command));
  const auto status = why.wait(seconds(10));
  if (status != 1)
    throw lab::Trouble(fmt::format("adieu why found nothing ({}): {}", status.value_or(-1), why.output()));
  return why.output();
}

std::string Scene::why(const std::string& id) { return run_why(id, ""); }

Json Scene::why_json(const std::string& id) {
  const std::string text = run_why(id, "--json");
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw lab::Trouble("adieu why --json printed: " + text);
  return json;
}

bool Scene::until(Duration limit, const std::function<bool()>& condition) {
  const Instant end = host::now() + limit;
  sample(true);
  while (!condition()) {
    if (host::now() > end) return false;
    poll(nullptr, 0, 10);
    sample();
  }
  return true;
}

void Scene::await(Duration limit, std::string_view what, const std::function<bool()>& condition) {
  if (!until(limit, condition)) throw lab::Trouble(fmt::format("waited {} s in vain: {}", limit.seconds(), what));
}

void Scene::pass(Duration time) {
  (void)until(time, [] { return false; });
}

Endpoint endpoint(const std::string& text) {
  const auto value = host::parse_endpoint(text);
  if (!value) throw lab::Trouble(value.error().text);
  return *value;
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }
std::string field(const Scene::Row& row, const char* key) {
  if (!row || !row->contains(key) || (*row)[key].is_null()) return "unknown";
  const Json& value = (*row)[key];
  if (value.is_number_float()) return fmt::format("{:.1f}", value.get<double>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}
std::string seconds_text(Duration time) { return fmt::format("{:.1f} s", time.seconds()); }
std::size_t count_of(std::string_view text, char c) { return static_cast<std::size_t>(std::ranges::count(text, c)); }
bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace adieu::cli
