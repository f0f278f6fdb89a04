// An exchange drawn as a ladder of text: time, segments either way, and the state at each end as it goes.
//
// What lives here: drawing, at most 100 columns wide. What does not: finding out what happened (watch.h, exchange.h).
#pragma once

#include <string>
#include <vector>

#include "lab/exchange.h"

namespace adieu::lab {

// From `at` on, this end was seen in that state.
struct StateSeen {
  Instant at;
  std::string state;
};

struct Note {
  Instant at;
  std::string text;
};

struct Ladder {
  std::string left;  // names of the two ends: "engine 10.77.0.2:19"
  std::string right;
  std::vector<Step> steps;
  std::vector<StateSeen> left_states;
  std::vector<StateSeen> right_states;
  std::vector<Note> notes;
  Instant zero;                      // what is called 0.000 s
  Instant until = Instant::never();  // what comes later is not drawn
};

// Long runs of data, and of probes with their answers, are folded into one line.
std::string draw(const Ladder& ladder, bool colour);

}  // namespace adieu::lab
