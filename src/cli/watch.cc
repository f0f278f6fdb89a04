// `adieu watch`: the listing in a terminal, looked at anew all the time, folded into groups where it is too long.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "cli/command.h"
#include "cli/listing.h"
#include "cli/terminal.h"
#include "cli/why_screen.h"
#include "host/api_client.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

// What folds into one line.
using Group = std::tuple<std::uint32_t, State, control::Standing>;
Group group_of(const Line& line) { return {line.plane, line.state, line.standing}; }

// A line of the table: a group's, or a connection's own.
struct Item {
  const Line* line = nullptr;  // of a group: the one longest in its state
  std::size_t count = 1;       // more than 1, or folded: a group
  bool is_group = false;
};

constexpr std::string_view kKeys = "arrows move  enter opens  p asks the peer  s sorts  / filters  ? keys  q quits";
constexpr std::string_view kEditKeys = "enter applies  ctrl-u clears  escape leaves it as it was";
constexpr const char* kHelp[] = {
    "up down k j, page up, page down   move",
    "enter                             open a group or a connection; again: back",
    "p                                 ask the peer once, as adieu probe does",
    "s                                 sort by the next order",
    "/                                 change the filter (ctrl-u clears it); empty shows all",
    "q escape                          back, or quit"};

class Watch {
 public:
  Watch(const WatchCommand& command, control::Filter filter)
      : run_dir_(host::RunDir::chosen(command.run_dir)),
        filter_(std::move(filter)),
        order_(order_of(command.sort)),
        extent_{command.all, command.never} {
    for (const std::string& word : command.filter) filter_text_ += (filter_text_.empty() ? "" : " ") + word;
  }

  // Looks into all tables; what is wrong, if it cannot.
  std::optional<std::string> look();
  std::vector<std::string> frame(ScreenSize screen, bool colour, bool interactive);
  bool found() const { return !listing_.lines.empty(); }
  // False: it is over.
  bool press(const Key& key, std::size_t page);

 private:
  enum class Mode : std::uint8_t { Table, Why, Help, Filter };

  std::vector<Item> items(std::size_t room) const;
  Cells cells(const Item& item) const;
  std::vector<std::string> table(ScreenSize screen, std::size_t room, bool colour, bool interactive);
  void press_in_table(const Key& key, std::size_t page);
  bool press_in_filter(const Key& key);
  void open();
  void probe();

  const host::RunDir run_dir_;
  control::Filter filter_;
  std::string filter_text_;
  Order order_;
  const Extent extent_;
  std::optional<host::Census> census_;
  std::optional<host::CensusView> view_;
  Listing listing_;
  std::vector<Item> shown_;
  std::set<Group> open_;
  std::size_t at_ = 0, first_ = 0;  // the cursor, and the first item on the screen
  Mode mode_ = Mode::Table;
  host::NamedId opened_;
  std::string typed_, told_;
};

std::optional<std::string> Watch::look() {
  auto census = host::take_census(run_dir_);
  if (!census) return census.error().text;
  view_.reset();
  census_.emplace(std::move(*census));
  view_.emplace(*census_);
  shown_.clear();
  listing_ = list(*view_, filter_, extent_, order_);
  return std::nullopt;
}

// All lines if they fit; else groups where their first lines are, and the lines of those that are open.
std::vector<Item> Watch::items(std::size_t room) const {
  std::vector<Item> all;
  if (listing_.lines.size() <= room) {
    for (const Line& line : listing_.lines) all.push_back({&line});
    return all;
  }
  std::map<Group, std::size_t> places;
  std::vector<std::vector<const Line*>> groups;
  for (const Line& line : listing_.lines) {
    const auto [place, is_new] = places.try_emplace(group_of(line), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(&line);
  }
  for (const auto& lines : groups) {
    if (lines.size() == 1) {
      all.push_back({lines.front()});
      continue;
    }
    const auto oldest = std::ranges::min_element(lines, {}, [](const Line* line) { return line->entered; });
    all.push_back({*oldest, lines.size(), true});
    if (open_.contains(group_of(*lines.front())))
      for (const Line* line : lines) all.push_back({line});
  }
  return all;
}

Cells Watch::cells(const Item& item) const {
  const auto view = view_->at(item.line->plane, item.line->slot, item.line->generation);
  Cells cells;
  if (view) cells = cells_of(*view);
  if (!item.is_group) return cells;
  cells[0] = std::string(name(item.line->state));
  cells[1] = cells[2] = cells[3] = "";
  cells[4] = fmt::format("{} connections {}", item.count, open_.contains(group_of(*item.line)) ? "(open)" : "(folded)");
  cells[5] = "oldest:";
  cells[9] = host::printable(census_->planes[item.line->plane].name);
  return cells;
}

std::vector<std::string> Watch::table(ScreenSize screen, std::size_t room, bool colour, bool interactive) {
  shown_ = items(room);
  at_ = std::min(at_, shown_.empty() ? 0 : shown_.size() - 1);
  first_ = std::clamp(first_, at_ >= room ? at_ - room + 1 : 0, at_);
  std::vector<Cells> rows{kHeads};
  for (std::size_t i = first_; i < std::min(first_ + room, shown_.size()); ++i) rows.push_back(cells(shown_[i]));
  Columns columns;
  for (const Cells& row : rows) columns.fit(row);
  if (interactive) columns.squeeze(screen.columns);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool is_cursor = interactive && i == at_ - first_ + 1;
    std::string line = columns.row(rows[i], colour && !is_cursor);
    if (is_cursor) line = fmt::format("\x1b[7m{:<{}}\x1b[0m", line, screen.columns);
    if (i == 0 && colour) line = "\x1b[1m" + line + "\x1b[0m";
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::string> Watch::frame(ScreenSize screen, bool colour, bool interactive) {
  std::vector<std::string> lines;
  if (mode_ == Mode::Help) return {std::begin(kHelp), std::end(kHelp)};
  if (mode_ == Mode::Why) {
    const auto found = view_ ? view_->find(opened_) : std::nullopt;
    if (!found)
      return {fmt::format("{} stands in no table any more; its end is in the ledger: adieu why",
                          host::printable(host::text(opened_)))};
    auto screen_of_one = why_screen(*view_, *found, run_dir_.ledger(), colour);
    if (!told_.empty()) screen_of_one.push_back(told_);
    return screen_of_one;
  }
  lines.push_back(fmt::format("adieu: {} connection{}, by {}{}", listing_.lines.size(),
                              listing_.lines.size() == 1 ? "" : "s", kOrders[static_cast<unsigned>(order_)],
                              filter_text_.empty() ? "" : ", " + host::printable(filter_text_)));
  auto below = census_ ? notes(*census_, listing_.walk, host::now()) : std::vector<std::string>{};
  if (!told_.empty()) below.push_back(told_);
  if (interactive && mode_ == Mode::Filter) below.push_back("filter: " + host::printable(typed_) + "_");
  if (interactive) below.push_back(std::string(mode_ == Mode::Filter ? kEditKeys : kKeys));
  const std::size_t used = lines.size() + 1 + below.size();
  const std::size_t room = screen.rows > used ? screen.rows - used : 1;
  if (view_)
    for (std::string& line : table(screen, room, colour, interactive)) lines.push_back(std::move(line));
  for (std::string& line : below) lines.push_back(std::move(line));
  return lines;
}

void Watch::open() {
  if (at_ >= shown_.size()) return;
  const Item& item = shown_[at_];
  if (item.is_group) {
    const Group group = group_of(*item.line);
    if (open_.erase(group) == 0) open_.insert(group);
    return;
  }
  opened_ = {census_->planes[item.line->plane].name, item.line->slot, item.line->generation};
  mode_ = Mode::Why;
}

// The one under the cursor, or the one that is open. The answer is awaited no longer than a person notices.
void Watch::probe() {
  if (mode_ == Mode::Table && (at_ >= shown_.size() || shown_[at_].is_group)) return;
  if (mode_ == Mode::Table) {
    const Line& line = *shown_[at_].line;
    opened_ = {census_->planes[line.plane].name, line.slot, line.generation};
  }
  const std::string id = host::text(opened_);
  const auto answer = host::ApiClient(run_dir_).probe(id, milliseconds(300));
  if (!answer)
    told_ = answer.error().text;
  else if (!answer->value.done)
    told_ = fmt::format("{} was not asked: {}", id, answer->value.sentence);
  else if (!answer->value.ended.empty())
    told_ = fmt::format("{}: {}", id, answer->value.sentence);
  else
    told_ = fmt::format("{}: asked, {}", id, answer->value.heard.value_or(false) ? "and heard" : "not heard yet");
  told_ = host::printable(told_);
}

void Watch::press_in_table(const Key& key, std::size_t page) {
  const auto move = [&](std::size_t down, std::size_t up) { at_ = at_ + down > up ? at_ + down - up : 0; };
  if (key.kind == KeyKind::Down || key.character == 'j') move(1, 0);
  if (key.kind == KeyKind::Up || key.character == 'k') move(0, 1);
  if (key.kind == KeyKind::PageDown) move(page, 0);
  if (key.kind == KeyKind::PageUp) move(0, page);
  if (key.kind == KeyKind::Enter) open();
  if (key.character == '?') mode_ = Mode::Help;
  if (key.character == 'p') probe();
  if (key.character == 's') {
    order_ = static_cast<Order>((static_cast<unsigned>(order_) + 1) % kOrderCount);
    (void)look();  // said at the next tick, if it cannot
  }
  if (key.character == '/') {
    mode_ = Mode::Filter;
    typed_ = filter_text_;
  }
}

// True: the filter is another one.
bool Watch::press_in_filter(const Key& key) {
  if (key.kind == KeyKind::Character && typed_.size() < control::Filter::kMostOctets) typed_ += key.character;
  if (key.kind == KeyKind::Backspace && !typed_.empty()) typed_.pop_back();
  if (key.kind == KeyKind::Clear) typed_.clear();
  if (key.kind == KeyKind::Escape) mode_ = Mode::Table;
  if (key.kind != KeyKind::Enter) return false;
  auto filter = host::parse_filter({typed_});
  told_ = filter ? std::string{} : filter.error().text.substr(0, filter.error().text.find('\n'));
  if (!filter) return false;
  filter_ = std::move(*filter);
  filter_text_ = typed_;
  mode_ = Mode::Table;
  at_ = first_ = 0;
  return true;
}

bool Watch::press(const Key& key, std::size_t page) {
  if (key.kind == KeyKind::Quit) return false;
  if (mode_ != Mode::Filter && key.kind != KeyKind::Resize) told_.clear();
  const bool is_back = key.kind == KeyKind::Escape || key.character == 'q';
  switch (mode_) {
    case Mode::Filter:
      if (press_in_filter(key)) (void)look();
      return true;
    case Mode::Table:
      if (is_back) return false;
      press_in_table(key, page);
      return true;
    case Mode::Why:
      if (key.character == 'p') probe();
      [[fallthrough]];
    case Mode::Help:
      if (is_back || key.kind == KeyKind::Enter) mode_ = Mode::Table;
      return true;
  }
  return true;
}

void run_live(Watch& watch, Duration interval) {
  Terminal terminal;
  Instant next = Instant::unknown();
  std::optional<std::string> trouble;
  for (;;) {
    const Instant now = host::now();
    if (now >= next) {
      trouble = watch.look();
      next = now + interval;
    }
    const ScreenSize screen = terminal.size();
    terminal.show(trouble ? std::vector{*trouble} : watch.frame(screen, may_colour(), true));
    const Key key = terminal.read(next);
    if (key.kind != KeyKind::None && !watch.press(key, screen.rows > 4 ? screen.rows - 4 : 1)) return;
  }
}

}  // namespace

void run_watch(const WatchCommand& command) {
  auto filter = host::parse_filter(command.filter);
  if (!filter) throw Trouble(filter.error().text);
  if (command.interval < milliseconds(100) || command.interval > hours(1))
    throw Trouble("--interval: an interval below 100ms or above 1h is of no use to anybody");
  Watch watch(command, std::move(*filter));
  if (!command.once) return run_live(watch, command.interval);
  std::signal(SIGPIPE, SIG_DFL);
  if (const auto trouble = watch.look()) throw Trouble(*trouble);
  for (const std::string& line : watch.frame({}, may_colour(), false)) fmt::print("{}\n", line);
  if (watch.found()) throw Exit{kFound};
}

}  // namespace adieu::cli
