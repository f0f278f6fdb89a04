// Tells the chapters, each in a world of its own; several worlds run at a time, and are told in order.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>

#include "cli/command.h"
#include "cli/story_scene.h"
#include "host/clock.h"
#include "host/descriptor.h"
#include "lab/trouble.h"

namespace adieu::cli {
namespace {

namespace fs = std::filesystem;

struct Chapter {
  std::string_view title;
  void (*tell)(Scene&);
  bool has_long_form = false;  // --default-timers
};

constexpr Chapter kChapters[] = {
    {"The engine's client shuts down its sending side; the kernel's server talks on", chapter_engine_client},
    {"The kernel's client shuts down its sending side; the engine's server talks on", chapter_engine_server},
    {"The engine's server shuts down its receiving side, and nobody can tell", chapter_shut_receive},
    {"Silence, longer than tcp_fin_timeout", chapter_silence},
    {"A masquerading router between the two ends", chapter_router, true},
    {"The peer's host vanishes", chapter_vanished},
    {"The control process is killed", chapter_killed},
};
static_assert(std::size(kChapters) == kChapterCount);
constexpr Duration kChapterLimit = seconds(75);
constexpr char kJsonMark = '\x1e';  // begins the line that is the chapter's result, and no other

// The story's programs lie beside this one: build/adieu, build/examples/, examples/; or where a package puts them.
std::string directory_with(const std::string& asked, const std::string& file, const fs::path& program) {
  if (!asked.empty()) return asked;
  const fs::path here = program.parent_path();
  const fs::path source = fs::path(__FILE__).parent_path().parent_path().parent_path();
  for (const fs::path& directory :
       {here / "examples", here.parent_path() / "examples", source / "examples",
        here.parent_path() / "share/adieu/examples", here.parent_path() / "lib/adieu/examples"}) {
    if (fs::exists(directory / file)) return directory.string();
  }
  return {};
}

int tell_inside(lab::World& world, const StorySettings& settings, int number) {
  const Chapter& chapter = kChapters[number - 1];
  Scene scene(world, settings);
  scene.title(number, chapter.title);
  const Instant start = host::now();
  std::string trouble;
  try {
    chapter.tell(scene);
  } catch (const lab::Trouble& t) {
    trouble = t.what();
    scene.claim(false, "the chapter could be told to its end", trouble);
  }
  scene.print_claims();
  if (!trouble.empty() || settings.keep_output) fmt::print("{}\n", scene.all_output());
  const bool held = scene.all_held() && trouble.empty();
  fmt::print("{}{}\n", kJsonMark,
             Json{{"chapter", number},
                  {"title", chapter.title},
                  {"held", held},
                  {"seconds", (host::now() - start).seconds()},
                  {"claims", scene.claims()}}
                 .dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
  scene.end_programs();
  return held ? 0 : 1;
}

// A chapter that runs in its world, seen from outside.
class Telling {
 public:
  Telling(int number, const StorySettings& settings) : limit_(kChapterLimit + settings.idle) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw lab::Trouble("no pipe");
    reader_ = host::Descriptor(ends[0]);
    const host::Descriptor writer(ends[1]);
    auto world = lab::start_world([&](lab::World& inside) {
      fcntl(writer.get(), F_SETFL, 0);
      dup2(writer.get(), STDOUT_FILENO);
      dup2(writer.get(), STDERR_FILENO);
      return tell_inside(inside, settings, number);
    });
    if (!world) throw lab::Trouble(world.error().text);
    world_.emplace(std::move(*world));
  }

  int descriptor() const { return reader_.get(); }
  bool over() const { return over_; }
  const Json& result() const { return result_; }

  // Reads what there is; true when something came.
  void read_on() {
    char buffer[65536];
    const ssize_t n = read(reader_.get(), buffer, sizeof buffer);
    if (n > 0) pending_.append(buffer, static_cast<std::size_t>(n));
    if (n == 0 || host::now() - start_ > limit_) finish(n == 0);
  }
  // Prints what has been read, line by line.
  void print() {
    for (std::size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
      const std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      if (line.starts_with(kJsonMark))
        result_ = Json::parse(line.substr(1), nullptr, false);
      else
        fmt::print("{}\n", line);
    }
    std::fflush(stdout);
  }

 private:
  void finish(bool ended) {
    over_ = true;
    if (!ended) pending_ += fmt::format("   ✗ this chapter took longer than {} s\n", limit_.seconds());
    pending_ += '\n';
    world_.reset();
  }

  const Instant start_ = host::now();
  const Duration limit_;
  host::Descriptor reader_;
  std::optional<lab::RunningWorld> world_;
  std::string pending_;
  Json result_ = {{"held", false}};
  bool over_ = false;
};

// Runs the chapters, `at_a_time` of them together, and prints them in order, the first as it goes.
std::vector<Json> tell(const std::vector<int>& chapters, unsigned at_a_time, const StorySettings& settings) {
  std::vector<Json> results;
  std::deque<std::unique_ptr<Telling>> running;
  std::size_t started = 0;
  while (results.size() < chapters.size()) {
    const auto busy = [&] { return std::ranges::count_if(running, [](const auto& t) { return !t->over(); }); };
    while (started < chapters.size() && busy() < at_a_time)
      running.push_back(std::make_unique<Telling>(chapters[started++], settings));
    std::vector<pollfd> ready;
    for (const auto& telling : running)
      if (!telling->over()) ready.push_back({telling->descriptor(), POLLIN, 0});
    poll(ready.data(), ready.size(), 200);
    for (const auto& telling : running)
      if (!telling->over()) telling->read_on();
    while (!running.empty()) {
      running.front()->print();
      if (!running.front()->over()) break;
      results.push_back(running.front()->result());
      running.pop_front();
    }
  }
  return results;
}

int summary(const std::vector<int>& chapters, const std::vector<Json>& results, Duration took) {
  fmt::print("\n");
  bool all = true;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const bool held = results[i].value("held", false);
    all = all && held;
    fmt::print("{} {}. {} ({:.1f} s)\n", held ? "✓" : "✗", chapters[i], kChapters[chapters[i] - 1].title,
               results[i].value("seconds", 0.0));
  }
  fmt::print("\n{} in {:.1f} s.\n", all ? "Every chapter held" : "Not every chapter held", took.seconds());
  return all ? 0 : 1;
}

void write_json(const std::string& path, const std::vector<Json>& results, Duration took, bool held) {
  std::ofstream file(path);
  file << Json{{"held", held}, {"seconds", took.seconds()}, {"chapters", results}}.dump(2) << "\n" << std::flush;
  if (!file) throw lab::Trouble(fmt::format("cannot write {}", path));
}

// What the story needs and this host lacks; empty if nothing.
std::string what_is_missing(const StorySettings& settings) {
  if (const std::string reason = lab::why_no_world(); !reason.empty()) return reason;
  for (const char* program : {"ip", "nft", "ss", "python3"}) {
    if (std::system(fmt::format("command -v {} >/dev/null", program).c_str()) != 0)
      return fmt::format("{} is not installed (Debian: apt-get install iproute2 nftables python3)", program);
  }
  if (access("/dev/net/tun", R_OK | W_OK) != 0)
    return fmt::format("/dev/net/tun cannot be opened ({}): run as root, or allow it", std::strerror(errno));
  if (settings.scripts.empty()) return "the Python examples are not found: say where with --scripts";
  if (settings.natives.empty()) return "the examples on the native API are not found: say where with --natives";
  return {};
}

// The chapters to tell; or what is wrong with those that were asked for.
std::vector<int> chosen(const StoryCommand& options) {
  std::vector<int> chapters = options.chapters;
  if (chapters.empty())
    for (int i = 1; i <= kChapterCount; ++i) chapters.push_back(i);
  const auto has_none = [](int number) { return !kChapters[number - 1].has_long_form; };
  if (const auto found = std::ranges::find_if(chapters, has_none); options.default_timers && found != chapters.end())
    throw Trouble(fmt::format("chapter {} has no long form: write `adieu story --chapter 5 --default-timers`", *found));
  return chapters;
}

int run(const StoryCommand& options) {
  const std::vector<int> chapters = chosen(options);
  // nft and ip live in /usr/sbin, which an ordinary user's PATH often lacks; and Debian's own python3 starts fastest.
  setenv("PATH",
         fmt::format("/usr/sbin:/usr/bin:/sbin:/bin:{}", std::getenv("PATH") ? std::getenv("PATH") : "").c_str(), 1);
  signal(SIGPIPE, SIG_IGN);
  StorySettings settings;
  settings.program = options.program.empty() ? fs::read_symlink("/proc/self/exe").string() : options.program;
  settings.scripts = directory_with(options.scripts, "endless_server.py", settings.program);
  settings.natives = directory_with(options.natives, "half_closing_client", settings.program);
  settings.colour = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  settings.keep_output = options.keep_output;
  settings.default_timers = options.default_timers;
  settings.idle = options.default_timers ? options.idle : Duration{};
  if (const std::string missing = what_is_missing(settings); !missing.empty()) throw Trouble(missing);
  const Instant start = host::now();
  const auto results = tell(chapters, options.at_a_time, settings);
  const Duration took = host::now() - start;
  const int status = summary(chapters, results, took);
  if (!options.json.empty()) write_json(options.json, results, took, status == 0);
  return status;
}

}  // namespace

void run_story(const StoryCommand& command) {
  try {
    if (const int status = run(command); status != 0) throw Exit{status};
  } catch (const lab::Trouble& trouble) {
    throw Trouble(trouble.what());
  }
}

}  // namespace adieu::cli
