// What went wrong, in words for the person who reads them.
//
// What lives here: Failure, and Result<T> for calls that may fail for reasons outside this program. What does not: the
// engine's own errors (stack/engine.h), our bugs (base/assert.h).
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace adieu::host {

// One clear line without a full stop: what could not be done, why, and what to do where that is known.
struct Failure {
  std::string text;
};

template <typename T>
using Result = std::expected<T, Failure>;

inline std::unexpected<Failure> failed(std::string text) { return std::unexpected(Failure{std::move(text)}); }
// "text: strerror(number)"
std::unexpected<Failure> failed_by_system(std::string text, int number);

}  // namespace adieu::host
