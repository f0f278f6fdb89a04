// The text files that adieu carries in itself: folder data/, put into the program by cmake/embed.cmake.
//
// What lives here: their texts. What does not: what they mean (policy.h).
#pragma once

#include <string_view>

namespace adieu::host::built_in {

extern const std::string_view path_timers;
extern const std::string_view profiles_rfc9293;
extern const std::string_view profiles_linux;

}  // namespace adieu::host::built_in
