// The one place where the lower rooms write and abort.
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace adieu {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "adieu: this is a bug in adieu: %s does not hold (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace adieu
