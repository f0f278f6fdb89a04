// Everything becomes a row with a time; rows are sorted, folded, and written.
#include "lab/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace adieu::lab {
namespace {

constexpr std::size_t kArrow = 56;    // columns between the two rails
constexpr std::size_t kState = 12;    // SYN-RECEIVED
constexpr std::size_t kFoldFrom = 9;  // shorter runs are shown whole
constexpr std::size_t kHead = 3;      // of a folded run, shown at its start
constexpr std::size_t kTail = 2;      // and at its end

constexpr std::string_view kBold = "\x1b[1m", kDim = "\x1b[2m", kRed = "\x1b[31m", kGreen = "\x1b[32m",
                           kYellow = "\x1b[33m", kCyan = "\x1b[36m", kPlain = "\x1b[0m";

enum class RowKind : std::uint8_t { Segment, States, Note };

struct Row {
  Instant at;
  RowKind kind = RowKind::Segment;
  const Step* step = nullptr;
  std::string left_state = {};
  std::string right_state = {};
  std::string note = {};
  std::size_t order = 0;  // among rows of one time
};

// Which rows may be folded together.
enum class Run : std::uint8_t { None, Data, Probes };

Run run_of(const Row& row, Run current) {
  if (row.kind != RowKind::Segment) return Run::None;
  switch (row.step->kind) {
    case Kind::Data: return Run::Data;
    case Kind::DataEcho:
    case Kind::Bare:
    case Kind::Answer: return Run::Probes;
    case Kind::Ack: return current;
    case Kind::Syn:
    case Kind::Fin:
    case Kind::Reset:
    case Kind::Again: return Run::None;
  }
  return Run::None;
}

std::string size_of(std::uint64_t octets) {
  if (octets < 10'000) return fmt::format("{} B", octets);
  if (octets < 10'000'000) return fmt::format("{} kB", octets / 1000);
  return fmt::format("{} MB", octets / 1'000'000);
}

std::string label_of(const Step& step) {
  const wire::Segment& s = step.seen.segment;
  std::string text;
  const auto add = [&text](std::string_view word) { text += (text.empty() ? "" : " ") + std::string(word); };
  if (s.syn) add("SYN");
  if (s.fin) add("FIN");
  if (s.rst) add("RST");
  if (s.psh) add("PSH");
  if (s.ack_flag) add("ACK");
  add(fmt::format("seq {}", step.seq));
  if (s.ack_flag) add(fmt::format("ack {}", step.ack));
  if (step.seen.payload > 0) add(fmt::format("len {}", step.seen.payload));
  if (step.window == 0 && !s.rst) add("WINDOW 0");
  if (step.kind == Kind::Answer && s.sack_count > 0) add("D-SACK");
  if (step.kind == Kind::DataEcho) add("(probe: data echo)");
  if (step.kind == Kind::Bare) add("(probe: bare)");
  if (step.kind == Kind::Again) add("(again)");
  return text;
}

std::string repeat(std::string_view unit, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += unit;
  return text;
}

// ── label ─────▶, exactly kArrow columns; the label is ASCII.
std::string arrow(const std::string& label, bool rightward) {
  const std::string text = label.substr(0, kArrow - 8);
  const std::size_t line = kArrow - text.size() - 4;
  if (rightward) return "─ " + text + " " + repeat("─", line) + "▶";
  return "◀" + repeat("─", line) + " " + text + " ─";
}

std::string_view colour_of(const Step& step) {
  switch (step.kind) {
    case Kind::Fin: return kYellow;
    case Kind::Reset: return kRed;
    case Kind::DataEcho:
    case Kind::Bare:
    case Kind::Answer: return kCyan;
    case Kind::Syn:
    case Kind::Data:
    case Kind::Ack:
    case Kind::Again: return {};
  }
  return {};
}

std::vector<Row> rows_of(const Ladder& ladder) {
  std::vector<Row> rows;
  for (const Step& step : ladder.steps) rows.push_back({.at = step.seen.at, .kind = RowKind::Segment, .step = &step});
  for (const StateSeen& s : ladder.left_states)
    rows.push_back({.at = s.at, .kind = RowKind::States, .left_state = s.state});
  for (const StateSeen& s : ladder.right_states)
    rows.push_back({.at = s.at, .kind = RowKind::States, .right_state = s.state});
  for (const Note& n : ladder.notes) rows.push_back({.at = n.at, .kind = RowKind::Note, .note = n.text});
  std::erase_if(rows, [&](const Row& row) { return row.at > ladder.until; });
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].order = i;
  std::ranges::sort(rows, {}, [](const Row& row) { return std::pair(row.at, row.order); });
  std::vector<Row> merged;
  for (Row& row : rows) {
    Row* last = merged.empty() ? nullptr : &merged.back();
    const bool joins = row.kind == RowKind::States && last != nullptr && last->kind == RowKind::States &&
                       (row.left_state.empty() || last->left_state.empty()) &&
                       (row.right_state.empty() || last->right_state.empty());
    if (!joins) {
      merged.push_back(std::move(row));
      continue;
    }
    if (!row.left_state.empty()) last->left_state = std::move(row.left_state);
    if (!row.right_state.empty()) last->right_state = std::move(row.right_state);
  }
  return merged;
}

class Writer {
 public:
  Writer(const Ladder& ladder, bool colour) : ladder_(ladder), colour_(colour) {}

  std::string write() {
    head();
    const std::vector<Row> rows = rows_of(ladder_);
    for (std::size_t i = 0; i < rows.size();) {
      std::size_t end = i;
      Run run = Run::None;
      while (end < rows.size()) {
        const Run next = run_of(rows[end], run);
        if (next == Run::None || (run != Run::None && next != run)) break;
        run = next;
        ++end;
      }
      end = std::max(end, i + 1);
      const bool folds = end - i > kFoldFrom;
      const std::size_t fold_from = folds ? i + kHead : end;
      const std::size_t fold_to = folds ? end - kTail : end;
      for (std::size_t k = i; k < fold_from; ++k) line(rows[k]);
      if (folds) fold(rows, fold_from, fold_to, run);
      for (std::size_t k = fold_to; k < end; ++k) line(rows[k]);
      i = end;
    }
    return std::move(text_);
  }

 private:
  std::string paint(std::string_view colour, std::string_view text) const {
    if (!colour_ || colour.empty() || text.empty()) return std::string(text);
    return fmt::format("{}{}{}", colour, text, kPlain);
  }

  void put(std::string_view time, std::string_view left, std::string_view middle, std::string_view right) {
    std::string row = fmt::format("{:>10} {} │{}│ {}", time, paint(kBold, fmt::format("{:>{}}", left, kState)), middle,
                                  paint(kBold, right));
    if (right.empty()) row.pop_back();
    text_ += row + "\n";
  }

  std::string time_of(Instant at) const { return fmt::format("{:.3f} s", (at - ladder_.zero).seconds()); }

  void head() {
    // The left name ends where the left rail stands, the right one begins at the right rail.
    const std::size_t gap = kArrow > 2 ? kArrow - 2 : 0;
    const std::size_t spill = ladder_.left.size() > 23 ? ladder_.left.size() - 23 : 0;
    const std::size_t overlap = ladder_.right.size() > 15 ? ladder_.right.size() - 15 : 0;
    const std::size_t blank = gap > spill + overlap ? gap - spill - overlap : 1;
    text_ +=
        fmt::format("{:>23}  {}{}\n", paint(kBold, ladder_.left), std::string(blank, ' '), paint(kBold, ladder_.right));
  }

  void line(const Row& row) {
    const std::string blank(kArrow, ' ');
    switch (row.kind) {
      case RowKind::Segment:
        put(time_of(row.at), "", paint(colour_of(*row.step), arrow(label_of(*row.step), row.step->from_left)), "");
        return;
      case RowKind::States: put(time_of(row.at), row.left_state, blank, row.right_state); return;
      case RowKind::Note:
        put(time_of(row.at), "", paint(kGreen, fmt::format("{:^{}}", row.note.substr(0, kArrow), kArrow)), "");
        return;
    }
  }

  void fold(const std::vector<Row>& rows, std::size_t from, std::size_t to, Run run) {
    std::size_t asked = 0, acks = 0;
    std::uint64_t octets = 0;
    for (std::size_t i = from; i < to; ++i) {
      const Kind kind = rows[i].step->kind;
      if (kind == Kind::Data || is_probe(kind))
        ++asked;
      else
        ++acks;
      if (kind == Kind::Data) octets += rows[i].step->seen.payload;
    }
    const std::string text = run == Run::Data
                                 ? fmt::format("... {} data segments, {}, {} ACKs ...", asked, size_of(octets), acks)
                                 : fmt::format("... {} probes, {} answers ...", asked, acks);
    put("", "", paint(kDim, fmt::format("{:^{}}", text, kArrow)), "");
  }

  const Ladder& ladder_;
  const bool colour_;
  std::string text_;
};

}  // namespace

std::string draw(const Ladder& ladder, bool colour) { return Writer(ladder, colour).write(); }

}  // namespace adieu::lab
