// What a chapter of the story works with: a world, the programs in it, what they say, and the claims that are checked.
//
// What lives here: Scene and its small tools. What does not: the chapters (story_*.cc), the order in which they
// are told (story.cc).
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "lab/ladder.h"
#include "lab/process.h"
#include "lab/watch.h"
#include "lab/world.h"

namespace adieu::cli {

using Json = nlohmann::json;

struct StorySettings {
  std::string program;  // adieu itself
  std::string scripts;  // where the Python examples are
  std::string natives;  // where the examples on the native API are
  bool colour = false;
  bool keep_output = false;     // print what the programs printed, also when all went well
  bool default_timers = false;  // a chapter's long form: nothing is shortened, and so long is the silence
  Duration idle;
};

// A line of `ss -tano`, its state in the RFC's spelling.
struct SsRow {
  std::string state;
  std::string local;
  std::string remote;
  std::string timer;  // "timer:(timewait,2.9sec,0)"; empty: there is none
};

class Scene {
 public:
  using Row = std::optional<Json>;

  Scene(lab::World& world, const StorySettings& settings) : world_(world), settings_(settings) {}
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  const StorySettings& settings() const { return settings_; }

  // Telling.
  void title(int number, std::string_view text);
  void say(std::string_view text);
  void shortened(std::string_view what, std::string_view here, std::string_view by_default);
  // Claims are printed below the ladders they rest on, when the chapter is over.
  void claim(bool held, std::string_view text, std::string_view evidence);
  void print_claims() const;
  void ladder(const lab::Ladder& ladder);
  bool all_held() const { return all_held_; }
  const Json& claims() const { return claims_; }

  // The world and its programs.
  lab::World& world() { return world_; }
  // A namespace whose sockets are looked at in every sample.
  lab::Net net(std::string name);
  // Of the first `adieu up`.
  std::string run_dir() const { return world_.directory() + "/run"; }
  // At most one in each namespace; what `native` starts there is watched by it.
  lab::Process& up(const lab::Net& net, std::string_view flags);
  lab::Process& native(const lab::Net& net, std::string_view program, std::string_view arguments);
  lab::Process& python(const lab::Net& net, std::string_view script, std::string_view arguments);
  lab::Process& python_text(const lab::Net& net, const std::string& text, std::string_view arguments);
  // Waits until it has printed that.
  void await_output(lab::Process& process, std::string_view text);
  // Ends the programs, latest first, as a person would.
  void end_programs();
  // What every program printed, for a chapter that went wrong.
  std::string all_output() const;

  // Looking: `ls` of every running adieu and `ss` in every namespace; at most every 60 ms, unless told to.
  void sample(bool now = false);
  const std::vector<Json>& rows() const { return rows_; }
  // The row of one plane ("engine", "kernel") with these ends; either may lack its port: "10.0.0.1:".
  Row row(std::string_view kind, std::string_view local, std::string_view remote) const;
  std::optional<SsRow> ss(const lab::Net& net, std::string_view local, std::string_view remote) const;
  // States as they were sampled.
  std::vector<lab::StateSeen> states(std::string_view kind, std::string_view local, std::string_view remote) const;
  std::vector<lab::StateSeen> ss_states(const lab::Net& net, std::string_view local, std::string_view remote) const;
  std::string why(const std::string& id);
  Json why_json(const std::string& id);

  // Samples until the condition holds; false at the limit.
  bool until(Duration limit, const std::function<bool()>& condition);
  // The same, but not to be had is Trouble.
  void await(Duration limit, std::string_view what, const std::function<bool()>& condition);
  void pass(Duration time);

 private:
  lab::Process& keep(std::string name, lab::Process process);
  std::string run_dir_in(const lab::Net& net) const;
  std::string run_why(const std::string& id, std::string_view flags);
  void sample_ls(const std::string& run_dir);
  void sample_ss(const lab::Net& net);
  void remember(const std::string& key, std::string state, Instant since);

  lab::World& world_;
  const StorySettings& settings_;
  std::vector<lab::Net> nets_;
  std::vector<std::pair<std::string, std::unique_ptr<lab::Process>>> programs_;
  std::vector<std::pair<std::string, std::string>> ups_;  // namespace and run-dir of each `adieu up`
  Instant sampled_;
  std::vector<Json> rows_;
  std::map<std::string, std::vector<SsRow>> ss_;
  std::map<std::string, std::vector<lab::StateSeen>> history_;
  Json claims_ = Json::array();
  bool all_held_ = true;
};

Endpoint endpoint(const std::string& text);
std::string first_line(std::string_view text);
// A field of a row of `ls --json` as text; "unknown" if there is no row, no field, or nothing in it.
std::string field(const Scene::Row& row, const char* key);
std::string seconds_text(Duration time);
// How often a character occurs: what a client of the endless server heard.
std::size_t count_of(std::string_view text, char c);
bool contains(std::string_view text, std::string_view part);

// The chapters. Each throws lab::Trouble if its world does not do what it needs.
void chapter_engine_client(Scene& scene);
void chapter_engine_server(Scene& scene);
void chapter_shut_receive(Scene& scene);
void chapter_silence(Scene& scene);
void chapter_router(Scene& scene);
void chapter_vanished(Scene& scene);
void chapter_killed(Scene& scene);

}  // namespace adieu::cli
