// What stops an experiment: something that the world should have done and did not, in words for a person.
//
// What lives here: Trouble, thrown by this room and by the story. (Below `host` nothing is thrown.) What does not: a
// claim that turned out false, which is a result and no trouble.
#pragma once

#include <stdexcept>

namespace adieu::lab {

class Trouble : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace adieu::lab
