// pipe(2) and splice(2): octets that wait between two descriptors.
//
// What lives here: PipeEnd, both ends of a pipe, and splice. What does not: sockets.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "packetdrill/file.h"

namespace adieu::packetdrill {

class PipeEnd : public File {
 public:
  static std::pair<std::shared_ptr<PipeEnd>, std::shared_ptr<PipeEnd>> make();  // to read from, to write to

  std::uint32_t events(Machine& machine) override;
  long receive(Call& call, MutableBytes out, int flags) override;
  long send(Call& call, Bytes bytes, int flags) override;
  long ioctl(Call& call, unsigned long request, int* value) override;
  void close(Call& call) override;

  bool is_writer() const { return is_writer_; }
  // Waits for octets (or for room, at the writer's end): how many there are. 0: the other end is closed.
  long await(Call& call, int flags);

 private:
  struct Pipe {
    std::deque<std::uint8_t> octets;
    PipeEnd* reader = nullptr;
    PipeEnd* writer = nullptr;
  };
  explicit PipeEnd(bool is_writer) : File(Kind::Pipe), is_writer_(is_writer) {}
  std::size_t room() const;

  std::shared_ptr<Pipe> pipe_;
  bool is_writer_;
};

// One of the two is a pipe. Returns how many octets moved.
long splice(Call& call, File& in, File& out, std::size_t count, unsigned flags);

}  // namespace adieu::packetdrill
