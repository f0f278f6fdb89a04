// The `adieu` command: which subcommand, and how its trouble is told. What does not live here: any of their work.
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/command.h"
#if __has_include("cli/story.h")
#include "cli/story.h"
#endif

namespace {

int trouble(const char* what) {
  std::fprintf(stderr, "adieu: %s\n", what);
  return 2;
}

void add_commands(CLI::App& app) {
  app.set_version_flag("--version", std::string("adieu ") + adieu::cli::kVersion);
  adieu::cli::add_up(app);
  adieu::cli::add_ls(app);
  adieu::cli::add_why(app);
#if __has_include("cli/story.h")
  adieu::cli::add_story(app);
#endif
  adieu::cli::add_engine_process(app);
  adieu::cli::add_kernel_process(app);
  adieu::cli::add_control_process(app);
  app.require_subcommand(0, 1);
}

}  // namespace

int main(int argc, char** argv) {
  // Whoever reads our stderr may stop reading: no reason for an engine to die with a signal.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("TCP whose connections end for a reason, never because a clock ran out.", "adieu");
  try {
    add_commands(app);
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const adieu::cli::Exit& exit) {
    return exit.status;
  } catch (const adieu::cli::Trouble& error) {
    return trouble(error.what());
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    return trouble((std::string(error.what()) + "; see `adieu " +
                    (app.get_subcommands().empty() ? "" : app.get_subcommands().front()->get_name() + " ") + "--help`")
                       .c_str());
  } catch (const std::exception& error) {
    return trouble(error.what());
  }
}
