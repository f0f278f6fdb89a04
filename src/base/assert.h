// Our own bugs end the process, loudly. What lives here: ADIEU_ASSERT. What does not: errors of a caller
// (a [[nodiscard]] result) or of a peer (counted, and dropped or reset).
#pragma once

namespace adieu {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}  // namespace adieu

// On in every build: a broken invariant must not become a wrong byte or a wrong verdict.
#define ADIEU_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::adieu::assertion_failed(#expression, __FILE__, __LINE__))
