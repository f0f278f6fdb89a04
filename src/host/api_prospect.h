// What would happen if a person had a connection ended, before it is done.
//
// What lives here: the ways to end it, the one that is meant when none is named, and what each would do, in words:
// here, for the application, for the peer. What does not: doing it (control/controller.h), which is where it may be
// refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/terms.h"
#include "control/controller.h"
#include "plane/command.h"
#include "plane/record.h"
#include "plane/table.h"

namespace adieu::host {

// Keepalive: not now, but once nobody answers.
enum class EndHow : std::uint8_t { Finish, Reset, Silent, Keepalive };
std::string_view name(EndHow how);
std::optional<EndHow> parse_end_how(std::string_view text);

// A FIN where our stream is still open, so that the peer reads an end and may finish what it does; else a reset. From
// TIME-WAIT nothing but its own quarantine leads out: this is then refused.
EndHow default_end(State state);

control::Request request_of(EndHow how, std::uint32_t user, const plane::Keepalive& keepalive = {});

// As a person gives it.
struct EndOrder {
  std::optional<EndHow> how;   // nullopt: what fits its state
  plane::Keepalive keepalive;  // Keepalive only
};

struct Prospect {
  EndHow how = EndHow::Finish;
  std::optional<control::Refusal> refused;  // as things stand now
  std::string here;                         // what will be done, or why not
  std::string application;                  // what it will see; empty: nothing is done
  std::string peer;
};
// `kind`: whose TCP it is. What the kernel's does stands in kernel_prospect.h.
Prospect prospect_of(EndHow how, const plane::Record& record, plane::Abilities abilities,
                     plane::PlaneKind kind = plane::PlaneKind::Engine);

}  // namespace adieu::host
