// Connections in an order, and as the cells of a table: what `adieu ls` and `adieu watch` share.
//
// What lives here: Listing (what matches, sorted, a hundred octets a connection), Cells, Columns. What does not: where
// they go (ls.cc, watch.cc), words (host/sentences.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "host/view.h"

namespace adieu::cli {

enum class Order : std::uint8_t { Ends, Age, State, Standing, Local, Peer, Recv, Send, Heard };
inline constexpr const char* kOrders[] = {"ends", "age", "state", "standing", "local", "peer", "recv", "send", "heard"};
inline constexpr unsigned kOrderCount = 9;
// One of kOrders; Ends for anything else.
Order order_of(const std::string& name);

// What will end it, from what never ends by itself to what has ended.
enum class EndRank : std::uint8_t { Never, NeverHalfClosed, NeverOpen, Unknown, AtTime, Ended };

struct Line {
  std::uint32_t plane = 0;  // with slot and generation: for CensusView::at()
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  std::uint32_t recv = 0;
  std::uint32_t send = 0;
  State state = State::Closed;
  control::Standing standing = control::Standing::Unknown;
  EndRank rank = EndRank::Unknown;
  Instant entered;
  Instant heard;
  Endpoint local;
  Endpoint remote;
};

struct Listing {
  std::vector<Line> lines;
  host::Walk walk;
};
// What --all and --never say, beside the filter.
struct Extent {
  bool ended_too = false;
  bool only_never = false;  // EndRank::Never, NeverHalfClosed and NeverOpen
};
Listing list(const host::CensusView& census, const control::Filter& filter, Extent extent, Order order);

inline constexpr std::size_t kColumns = 10;
using Cells = std::array<std::string, kColumns>;
inline constexpr std::size_t kStandingColumn = 6;
inline const Cells kHeads{"State",   "Recv-Q",   "Send-Q", "Local:Port", "Peer:Port",
                          "Process", "Standing", "Age",    "Ends",       "ID"};
Cells cells_of(const host::ConnectionView& view);

class Columns {
 public:
  void fit(const Cells& cells);
  // No row shall be wider: the least important columns go first, Ends and ID never.
  void squeeze(std::size_t width);
  // Without trailing blanks; a colour for the standing, if wanted.
  std::string row(const Cells& cells, bool colour) const;

 private:
  bool is_dropped(std::size_t column) const { return column != kColumns - 1 && widths_[column] == 0; }
  std::size_t total() const;

  std::array<std::size_t, kColumns> widths_{};  // 0: not shown
};

// The escape sequence for a standing; empty: none.
std::string_view colour_of(std::string_view standing);
inline constexpr std::string_view kPlain = "\x1b[0m";
// Standard output is a terminal whose user does not mind.
bool may_colour();
// What a reader must know about what has been printed: control is stopped, planes have failed.
std::vector<std::string> notes(const host::Census& census, const host::Walk& walk, Instant now);

}  // namespace adieu::cli
