// Errors of the system calls, in words.
#include "host/failure.h"

#include <system_error>

namespace adieu::host {

std::unexpected<Failure> failed_by_system(std::string text, int number) {
  return failed(std::move(text) + ": " + std::generic_category().message(number));
}

}  // namespace adieu::host
