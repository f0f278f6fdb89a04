// Experiments behind adieu's claims: what is commonly said of TCP, and what a kernel and an engine do.
//
// What lives here: their list, and running them, each on the kernel and on an engine in worlds of their own. What does
// not: the experiments (experiment_*.cc, by subject), how they are shown (cli/lab.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lab/stage.h"

namespace adieu::lab {

// What one end did.
struct Finding {
  std::string text;
  bool as_said = false;
  std::vector<std::pair<std::string, double>> figures{};  // for programs; what the text says, in numbers
};

struct Experiment {
  std::string_view name;
  std::string_view said;    // what is commonly said, as a sentence that an experiment can refute
  std::string_view source;  // who says it
  Finding (*measure)(Stage& stage);
  std::string_view not_for_engine = {};  // why an engine cannot be asked; empty: it can
};

// What became of an experiment on one end.
enum class Course : std::uint8_t { Measured, NotApplicable, Skipped, Failed };
struct Cell {
  Course course = Course::Failed;
  std::string text;  // or why there is nothing to tell
  bool as_said = false;
  std::vector<std::pair<std::string, double>> figures{};
  std::vector<std::string> set{};
  double seconds = 0;
};

struct Row {
  const Experiment* experiment = nullptr;
  Cell kernel;
  Cell engine;
};
// "as said", "not as said", "skipped", "failed": the kernel's.
std::string_view verdict(const Row& row);

std::vector<Experiment> experiments_of_closing();
std::vector<Experiment> experiments_of_shutting();
std::vector<Experiment> experiments_of_probing();
std::vector<Experiment> experiments_of_routers();
std::vector<Experiment> experiments_of_time_wait();
const std::vector<Experiment>& all_experiments();

struct RunSettings {
  bool quick = false;
  std::string program;      // adieu itself
  unsigned at_a_time = 24;  // worlds
};
// Calls `each` for every row, in the order given, as soon as it and those before it are there.
void run_experiments(std::span<const Experiment* const> chosen, const RunSettings& settings,
                     const std::function<void(const Row&)>& each);

// One JSON object in a line, without its end.
std::string json_line(const Row& row);

}  // namespace adieu::lab
