// The flags, by CLI11.
#include "examples/flags.h"

#include <CLI/CLI.hpp>

#include <cstdlib>

namespace {

using namespace adieu::host;

void add_engine_flags(CLI::App& app, NativeOptions& options) {
  const auto add_to = [](std::vector<Prefix>& list) {
    return [&list](const std::string& text) {
      const auto prefix = parse_prefix(text);
      if (!prefix) throw CLI::ValidationError(prefix.error().text);
      list.push_back(*prefix);
    };
  };
  app.add_option("--run-dir", options.run_dir,
                 "of an `adieu up` that shall watch (default: $ADIEU_RUN_DIR, else nobody)");
  app.add_option("--tun", options.engine.tun, "name of the interface to make")->capture_default_str();
  app.add_option_function<std::string>("--address", add_to(options.engine.addresses), "ours, such as 10.77.0.2/24");
  app.add_option_function<std::string>("--gateway-address", add_to(options.engine.gateways), "the kernel's end");
  app.add_option("--pcap", options.engine.pcap, "write every packet to this file");
}

void parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    std::exit(app.exit(wrong));
  }
}

}  // namespace

ClientFlags client_flags(int argc, char** argv) {
  ClientFlags flags;
  CLI::App app("Connects to HOST:PORT, closes its sending side, prints what comes.");
  add_engine_flags(app, flags.engine);
  app.add_option("--seconds", flags.seconds, "exit after so long");
  app.add_option("--octets", flags.octets, "exit after so many octets");
  app.add_option("--close-after", flags.close_after_ms, "close() after MS without waiting: an orphan is left");
  app.add_option("peer", flags.peer, "HOST:PORT, or [HOST]:PORT for IPv6")->required();
  parse(app, argc, argv);
  return flags;
}

ServerFlags server_flags(int argc, char** argv, const char* what) {
  ServerFlags flags;
  CLI::App app(what);
  add_engine_flags(app, flags.engine);
  app.add_option("--seconds", flags.seconds, "exit after so long");
  app.add_option("--pace", flags.pace_ms, "milliseconds between two words")->capture_default_str();
  app.add_flag("--shut-receive", flags.shut_receive, "shut down the receiving side of each connection first");
  app.add_option("where", flags.where, "[ADDRESS] PORT")->required()->expected(1, 2);
  parse(app, argc, argv);
  return flags;
}
