// Each experiment runs twice, on the kernel and on an engine, each time in a world of its own; worlds run side by side
// and send what they found through a pipe.
#include "lab/experiment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>

#include "host/clock.h"

namespace adieu::lab {
namespace {

using Json = nlohmann::json;

constexpr Duration kLimit = seconds(50);  // for one world
constexpr std::string_view kCourses[] = {"measured", "not applicable", "skipped", "failed"};

Json json_of(const Cell& cell) {
  Json figures = Json::object();
  for (const auto& [name, value] : cell.figures) figures[name] = value;
  return {{"course", kCourses[static_cast<unsigned>(cell.course)]},
          {"text", cell.text},
          {"as_said", cell.as_said},
          {"figures", std::move(figures)},
          {"set", cell.set},
          {"seconds", cell.seconds}};
}

Cell cell_of(const std::string& text) {
  Cell cell;
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return cell;
  const auto course = std::ranges::find(kCourses, json.value("course", std::string("failed")));
  cell.course = static_cast<Course>(course - std::begin(kCourses));
  cell.text = json.value("text", std::string{});
  cell.as_said = json.value("as_said", false);
  for (const auto& [name, value] : json["figures"].items()) cell.figures.emplace_back(name, value.get<double>());
  for (const Json& one : json["set"]) cell.set.push_back(one.get<std::string>());
  cell.seconds = json.value("seconds", 0.0);
  return cell;
}

Cell measure(World& world, const Experiment& experiment, const StageSettings& settings) {
  const Instant start = host::now();
  Cell cell;
  Stage stage(world, settings);
  try {
    Finding finding = experiment.measure(stage);
    cell = {.course = Course::Measured,
            .text = std::move(finding.text),
            .as_said = finding.as_said,
            .figures = std::move(finding.figures),
            .set = stage.what_was_set()};
  } catch (const Skip& skip) {
    cell = {.course = Course::Skipped, .text = skip.what()};
  } catch (const Trouble& trouble) {
    cell = {.course = Course::Failed, .text = trouble.what(), .set = stage.what_was_set()};
  }
  cell.seconds = (host::now() - start).seconds();
  return cell;
}

// One experiment on one end, in its world, seen from outside.
class Trial {
 public:
  Trial(const Experiment& experiment, const StageSettings& settings, Cell& result) : result_(result) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw Trouble("no pipe");
    reader_ = host::Descriptor(ends[0]);
    const host::Descriptor writer(ends[1]);
    auto world = start_world([&](World& inside) {
      fcntl(writer.get(), F_SETFL, 0);
      const std::string text =
          json_of(measure(inside, experiment, settings)).dump(-1, ' ', false, Json::error_handler_t::replace);
      return write(writer.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1;
    });
    if (!world) throw Trouble(world.error().text);
    world_.emplace(std::move(*world));
  }

  int descriptor() const { return reader_.get(); }
  // False: it is over, and what it found is in its cell.
  bool goes_on() {
    char buffer[65536];
    ssize_t n = 0;
    while ((n = read(reader_.get(), buffer, sizeof buffer)) > 0) text_.append(buffer, static_cast<std::size_t>(n));
    const bool late = host::now() - start_ > kLimit;
    if (n != 0 && !late) return true;
    world_.reset();
    result_ = cell_of(text_);
    if (text_.empty()) result_.text = late ? fmt::format("took longer than {}", in_seconds(kLimit)) : "its world ended";
    return false;
  }

 private:
  Cell& result_;
  const Instant start_ = host::now();
  host::Descriptor reader_;
  std::optional<RunningWorld> world_;
  std::string text_;
};

struct Task {
  std::size_t row;
  Tried tried;
};

// The engine's first, for those that take longest: they wait for nobody. In the order given otherwise.
std::deque<Task> tasks_of(std::span<const Experiment* const> chosen, std::vector<Row>& rows) {
  std::deque<Task> tasks;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    rows[i].experiment = chosen[i];
    tasks.push_back({i, Tried::Kernel});
    if (chosen[i]->not_for_engine.empty())
      tasks.push_back({i, Tried::Engine});
    else
      rows[i].engine = {.course = Course::NotApplicable, .text = std::string(chosen[i]->not_for_engine)};
  }
  return tasks;
}

}  // namespace

std::string_view verdict(const Row& row) {
  switch (row.kernel.course) {
    case Course::Measured: return row.kernel.as_said ? "as said" : "not as said";
    case Course::NotApplicable:
    case Course::Skipped: return "skipped";
    case Course::Failed: return "failed";
  }
  return "failed";
}

const std::vector<Experiment>& all_experiments() {
  static const std::vector<Experiment> all = [] {
    std::vector<Experiment> list;
    for (const auto& some : {experiments_of_closing(), experiments_of_shutting(), experiments_of_probing(),
                             experiments_of_routers(), experiments_of_time_wait()})
      list.insert(list.end(), some.begin(), some.end());
    return list;
  }();
  return all;
}

void run_experiments(std::span<const Experiment* const> chosen, const RunSettings& settings,
                     const std::function<void(const Row&)>& each) {
  std::vector<Row> rows(chosen.size());
  std::deque<Task> tasks = tasks_of(chosen, rows);
  std::vector<unsigned> left(chosen.size());
  for (const Task& task : tasks) ++left[task.row];
  std::vector<std::pair<std::size_t, std::unique_ptr<Trial>>> running;
  for (std::size_t told = 0; told < rows.size();) {
    while (!tasks.empty() && running.size() < settings.at_a_time) {
      const auto [row, tried] = tasks.front();
      tasks.pop_front();
      Cell& cell = tried == Tried::Kernel ? rows[row].kernel : rows[row].engine;
      running.emplace_back(
          row, std::make_unique<Trial>(*chosen[row], StageSettings{tried, settings.quick, settings.program}, cell));
    }
    std::vector<pollfd> ready;
    for (const auto& [row, trial] : running) ready.push_back({trial->descriptor(), POLLIN, 0});
    poll(ready.data(), ready.size(), 200);
    std::erase_if(running, [&](const auto& one) {
      if (one.second->goes_on()) return false;
      --left[one.first];
      return true;
    });
    for (; told < rows.size() && left[told] == 0; ++told) each(rows[told]);
  }
}

std::string json_line(const Row& row) {
  utsname kernel{};
  uname(&kernel);
  return Json{{"name", row.experiment->name}, {"said", row.experiment->said}, {"source", row.experiment->source},
              {"verdict", verdict(row)},      {"release", kernel.release},    {"kernel", json_of(row.kernel)},
              {"engine", json_of(row.engine)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace adieu::lab
