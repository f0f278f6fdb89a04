// Plain ANSI sequences, the alternate screen, and signals as keys.
#include "cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string_view>

#include "cli/command.h"
#include "host/clock.h"

namespace adieu::cli {
namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";  // the alternate screen, no cursor
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr int kCrashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr int kEscapeMs = 40;  // the octets of one key come together

termios saved;  // for the handler: what the terminal was

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// A fault of our own must not leave a person without a terminal. Only what a handler may call.
void give_back_and_die(int signal) {
  write_all(kLeave);
  tcsetattr(STDIN_FILENO, TCSANOW, &saved);
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Terminal::Terminal() {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before_) != 0)
    throw Trouble("watch needs a terminal; without one, use `adieu watch --once` or `adieu ls`");
  saved = before_;
  const sigset_t set = our_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = host::Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  for (const int crash : kCrashes) std::signal(crash, give_back_and_die);
  termios raw = before_;
  cfmakeraw(&raw);
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  write_all(kEnter);
}

Terminal::~Terminal() {
  write_all(kLeave);
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  for (const int crash : kCrashes) std::signal(crash, SIG_DFL);
  const sigset_t set = our_signals();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

ScreenSize Terminal::size() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

Key Terminal::read(Instant until) {
  pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
  const Duration left = later(Duration{}, until - host::now());
  if (poll(ready, 2, static_cast<int>(std::min<std::int64_t>(left.milliseconds() + 1, 60'000))) <= 0) return {};
  if (ready[1].revents != 0) return of_signal();
  return of_input();
}

Key Terminal::of_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return {};
  return {info.ssi_signo == SIGWINCH ? KeyKind::Resize : KeyKind::Quit};
}

int Terminal::next_octet(int milliseconds) {
  pollfd ready{STDIN_FILENO, POLLIN, 0};
  unsigned char octet = 0;
  if (poll(&ready, 1, milliseconds) <= 0 || ::read(STDIN_FILENO, &octet, 1) != 1) return -1;
  return octet;
}

Key Terminal::of_input() {
  const int first = next_octet(0);
  switch (first) {
    case -1:
    case 3: return {KeyKind::Quit};  // the input has ended; ^C
    case '\r':
    case '\n': return {KeyKind::Enter};
    case 8:
    case 127: return {KeyKind::Backspace};
    case 21: return {KeyKind::Clear};
    case 27: break;
    default: return {first >= ' ' && first <= '~' ? KeyKind::Character : KeyKind::None, static_cast<char>(first)};
  }
  const int second = next_octet(kEscapeMs);
  if (second == -1) return {KeyKind::Escape};
  if (second != '[' && second != 'O') return {};
  int last = next_octet(kEscapeMs);
  const int number = last;
  while (last >= '0' && last <= '9') last = next_octet(kEscapeMs);
  if (last == 'A') return {KeyKind::Up};
  if (last == 'B') return {KeyKind::Down};
  if (last == '~' && number == '5') return {KeyKind::PageUp};
  if (last == '~' && number == '6') return {KeyKind::PageDown};
  return {};
}

void Terminal::show(const std::vector<std::string>& lines) const {
  const ScreenSize screen = size();
  std::string frame = "\x1b[H";
  for (std::size_t i = 0; i < std::min(lines.size(), screen.rows); ++i) {
    if (i > 0) frame += "\r\n";
    frame += clipped(lines[i], screen.columns) + "\x1b[0m\x1b[K";
  }
  write_all(frame + "\x1b[J");
}

std::string clipped(const std::string& line, std::size_t columns) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < line.size();) {
    const auto octet = static_cast<unsigned char>(line[i]);
    if (octet == 27) {  // colours take no room
      const std::size_t end = line.find('m', i);
      if (end == std::string::npos) return line.substr(0, i);
      i = end + 1;
      continue;
    }
    if (used == columns) return line.substr(0, i);
    ++used;
    ++i;
    while (i < line.size() && (static_cast<unsigned char>(line[i]) & 0xc0U) == 0x80U) ++i;  // the rest of a character
  }
  return line;
}

}  // namespace adieu::cli
