// Which connections are meant: the filter grammar of ss(8), and adieu's own words beside it.
//
// What lives here: Filter, a parsed filter, and its three-valued answer for one connection. What does not: reading
// tables, finding processes, printing an error with the text it stands in.
//
//   state X, exclude X          several in a row are one term, a set of states, as in ss
//   src HOST, dst HOST          ADDR[/BITS][:PORT], [v6]:PORT, 10/8, *
//   sport OP PORT, dport OP PORT
//   standing alive|silent|suspect|gone|unknown|ended        age OP DURATION   in its state
//   held yes|no|unknown         eof read|unread|unknown     idle OP DURATION  since the peer was last heard
//   holder held|accept-queue|orphan|unknown                 unread, unsent, attempts OP NUMBER
//   plane engine|kernel|NAME    comm NAME    pid NUMBER     family inet|inet6
//   not > and > or; ( ); two terms side by side are joined by `and`
//
// A fact that is not known makes a term Unknown, and so Kleene's logic: whoever acts, acts on Yes alone. Only the value
// `unknown`, where a word has it, asks whether the fact is known.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "control/judge.h"
#include "control/rule.h"
#include "plane/record.h"
#include "plane/table.h"

namespace adieu::control {

struct Process {
  std::uint32_t pid = 0;
  std::string_view comm;
};

// One connection as its plane, its processes and the judge know it.
struct Subject {
  const plane::Record& record;
  std::string_view plane;  // its plane's name, as `adieu ls` shows it
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::span<const Process> processes;  // who holds it
  bool processes_known = false;        // false: there may be others
  Standing standing = Standing::Unknown;
  Instant now;
  bool plane_known = true;
};

// Kleene's three values, in the order in which `and` is the least and `or` the greatest.
enum class Truth : std::uint8_t { No, Unknown, Yes };

enum class FilterTrouble : std::uint8_t {
  TooLong,
  TooManyTerms,
  TooDeep,
  TermMissing,
  ValueMissing,
  ParenthesisOpen,
  ParenthesisExtra,
  QuoteOpen,
  UnknownWord,
  OnlyInSs,  // a word of ss about which no plane reports anything
  UnknownState,
  UnknownStanding,
  UnknownHeld,
  UnknownHolder,
  UnknownEndOfStream,
  UnknownFamily,
  BadAddress,
  BadPrefix,
  BadPort,
  ServiceName,
  BadNumber,
  BadDuration,
  UnitMissing,
  BadName,
  OnlyEquality,  // a word that is only compared by = and !=
  OnlyOrder,     // a word that is only compared by <, <=, > and >=
};
inline constexpr unsigned kFilterTroubles = 26;
// What is wrong and what to write instead, as one sentence for a person.
std::string_view message(FilterTrouble trouble);

struct FilterError {
  FilterTrouble trouble = FilterTrouble::UnknownWord;
  std::uint32_t at = 0;  // octets of the text
  std::uint32_t length = 0;
  bool operator==(const FilterError&) const = default;
};

struct FilterValue {
  std::string_view name;
  std::uint16_t number = 0;  // names with the same number mean the same
};
// A word that begins a term, and the values it may have where they are few; none: whatever the word takes.
struct FilterWord {
  std::string_view name;
  std::span<const FilterValue> values;
};
// By number, from 0; nullopt: there are no more.
std::optional<FilterWord> filter_word(std::size_t number);

class Filter {
 public:
  static constexpr std::size_t kMostOctets = 4096;
  static constexpr std::size_t kMostNodes = 64;  // terms and the operators between them
  static constexpr unsigned kMostNesting = 32;

  Filter() = default;  // everything
  // The empty text means everything.
  [[nodiscard]] static std::expected<Filter, FilterError> parse(std::string_view text);

  [[nodiscard]] Truth match(const Subject& subject) const;

  // The states outside of which the answer is No, whatever the other facts.
  StateSet states() const { return possible_; }
  // It can only be Yes.
  bool is_everything() const { return certain_ == kAllStates; }
  bool needs_standing() const;
  bool needs_processes() const;
  bool names_plane() const;
  // It asks what only a plane knows that was there when it happened (age, eof).
  bool needs_past() const;
  // The first instant after `now` at which the answer may change by time alone (age, idle); never(): it does not.
  Instant next_change(const plane::Record& record, Instant now) const;

  bool operator==(const Filter&) const = default;

 private:
  friend class FilterParser;
  static constexpr StateSet kAllStates = static_cast<StateSet>((1U << kStates) - 1);

  enum class Op : std::uint8_t {
    Not,
    And,
    Or,
    Anything,
    State,
    Local,
    Remote,
    LocalPort,
    RemotePort,
    Standing,
    Holder,
    Held,
    EndOfStream,
    Family,
    Plane,
    Pid,
    Comm,
    Age,
    Idle,
    Unread,
    Unsent,
    Attempts,
  };
  enum class Compare : std::uint8_t { Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual };
  // One step of a program in postfix order. What the numbers mean follows from `op` (filter.cc: value()).
  struct Node {
    Op op = Op::Anything;
    Compare compare = Compare::Equal;
    std::uint8_t bits = 0;     // of an address, of 128
    bool open_ended = false;   // the name ended in *
    std::uint16_t name = 0;    // where it begins in names_
    std::uint16_t length = 0;  // of the name
    std::uint64_t number = 0;
    std::uint64_t second = 0;
    bool operator==(const Node&) const = default;
  };

  bool uses(Op op) const;
  void learn_states();
  Truth value(const Node& node, const Subject& subject) const;
  std::string_view name_of(const Node& node) const;

  std::vector<Node> nodes_;
  std::vector<char> names_;
  StateSet possible_ = kAllStates;  // states in which it may be other than No
  StateSet certain_ = kAllStates;   // states in which it can only be Yes
};

}  // namespace adieu::control
