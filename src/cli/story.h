// `adieu story`: the half-close story, in network namespaces of its own.
#pragma once

namespace CLI {
class App;
}

namespace adieu::cli {

void add_story(CLI::App& app);

}  // namespace adieu::cli
