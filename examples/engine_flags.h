// The flags that both examples share: where their engine lives. What does not live here: what they do with it.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "host/native.h"

inline void add_engine_flags(CLI::App& app, adieu::host::NativeOptions& options) {
  const auto add_to = [](std::vector<adieu::host::Prefix>& list) {
    return [&list](const std::string& text) {
      const auto prefix = adieu::host::parse_prefix(text);
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
