// The screen of `adieu why`, for whoever shows one: why itself, and watch when a line is opened.
#pragma once

#include <string>
#include <vector>

#include "host/view.h"

namespace adieu::cli {

// Lines for a screen of 24, or a few more where the advice is long.
std::vector<std::string> why_screen(const host::CensusView& census, const host::ConnectionView& view,
                                    const std::string& ledger_path, bool colour);

}  // namespace adieu::cli
