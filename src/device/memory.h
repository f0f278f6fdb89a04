// A link between two stacks in one process: what one end sends, the other receives, in order and at once.
//
// What lives here: MemoryLink and its ends, which speak as Tun does. What does not: time, loss (impairment.h).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/packet.h"
#include "device/device.h"

namespace adieu::device {

class MemoryLink {
 private:
  struct Packet {
    std::vector<std::uint8_t> octets;
    Offload offload;
  };
  using Queue = std::deque<Packet>;

 public:
  class End {
   public:
    // A packet larger than `buffer` is cut off, as Tun does.
    [[nodiscard]] ReceiveResult receive(MutableBytes buffer);
    [[nodiscard]] SendResult send(Bytes packet, const Offload& offload);

   private:
    friend MemoryLink;
    End(Queue& in, Queue& out, std::size_t capacity) : in_(in), out_(out), capacity_(capacity) {}
    Queue& in_;
    Queue& out_;
    std::size_t capacity_;
  };

  // At most `capacity` packets wait in each direction.
  explicit MemoryLink(std::size_t capacity)
      : left(to_left_, to_right_, capacity), right(to_right_, to_left_, capacity) {}
  MemoryLink(const MemoryLink&) = delete;
  MemoryLink& operator=(const MemoryLink&) = delete;

 private:
  Queue to_left_;
  Queue to_right_;

 public:
  End left;
  End right;
};

}  // namespace adieu::device
