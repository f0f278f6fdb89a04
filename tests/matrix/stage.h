// From the table to a scene and back: brings a subject into a state, lets the event happen, and says in the table's
// words what came of it.
//
// What lives here: Cell, Stage. What does not: expectations (closing_matrix.inc), who is asked (subject.h).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/terms.h"
#include "subject.h"

namespace adieu::matrix {

enum class Event {
#define EVENT(id, title) id,
#define SAME(...)
#define OURS(...)
#define LINUX(...)
#include "closing_matrix.inc"
#undef EVENT
#undef SAME
#undef OURS
#undef LINUX
};

struct Outcome {
  std::string next;
  std::string answer;
  std::string application;
  bool operator==(const Outcome&) const = default;
};

struct Cell {
  Event event;
  std::string_view title;
  std::string_view state;
  Outcome expected;  // of the engine
  std::string_view step;
  bool kernel = false;   // Linux can be asked
  Outcome of_linux;      // then
  std::string_view why;  // it differs, or cannot be asked
};
std::span<const Cell> closing_matrix();

class Stage {
 public:
  explicit Stage(Subject& subject) : subject_(subject) {}

  // Empty if the road to the state was as expected; else what went wrong on it.
  std::string enter(std::string_view state, Event event);
  Outcome perform(const Cell& cell, std::string_view expected_answer);

 private:
  void say(wire::Segment segment);
  void hear(bool expected);
  wire::Segment plain(Seq seq) const;
  bool is_call(Event event, std::string& application);
  bool is_segment(Event event, wire::Segment& segment);
  std::string describe(const Heard& heard, std::uint32_t advanced) const;
  std::string application();
  void note(const std::vector<Heard>& heard);

  Subject& subject_;
  std::string state_;
  std::vector<Heard> heard_;   // since the event
  std::vector<Heard> before_;  // on the road
  wire::Segment sent_;         // the event's own
  bool sent_any_ = false;
  Seq una_;  // as the subject has them; RFC 9293 section 3.3.1
  Seq nxt_;
  Seq rcv_nxt_{5'000'000};
  Seq edge_{5'065'535};
  std::uint32_t octets_ = 0;  // readable since the event
  bool ended_ = false;        // the end of the stream, since the event
};

}  // namespace adieu::matrix
