// A terminal taken over for a while: raw keys in, whole frames out, and given back as it was whatever happens.
//
// What lives here: Terminal, Key. What does not: what is shown (watch.cc). One at a time in a process, of one thread.
#pragma once

#include <termios.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "host/descriptor.h"

namespace adieu::cli {

enum class KeyKind : std::uint8_t {
  None,
  Character,
  Up,
  Down,
  PageUp,
  PageDown,
  Enter,
  Backspace,
  Clear,  // ^U, as in a shell
  Escape,
  Resize,
  Quit
};
struct Key {
  KeyKind kind = KeyKind::None;  // None: nothing was pressed until the limit
  char character = 0;
};

struct ScreenSize {
  std::size_t rows = 24;
  std::size_t columns = 100;
};

class Terminal {
 public:
  // Both standard input and output are terminals. Throws Trouble if they are not.
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  ScreenSize size() const;
  // SIGINT, SIGTERM, SIGHUP and the end of the input are Quit, SIGWINCH is Resize.
  Key read(Instant until);
  // What does not fit is cut off.
  void show(const std::vector<std::string>& lines) const;

 private:
  Key of_signal();
  Key of_input();
  int next_octet(int milliseconds);

  termios before_{};
  host::Descriptor signals_;
};

// The first `columns` columns of a line with colours in it.
std::string clipped(const std::string& line, std::size_t columns);

}  // namespace adieu::cli
