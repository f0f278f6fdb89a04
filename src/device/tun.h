// A TUN device: IP packets from and to the kernel, as super-segments where the kernel grants it.
//
// What lives here: opening or adopting the device, reading and writing packets, and the translation between struct
// virtio_net_hdr and Offload. What does not: the interface's addresses (interface.h), what is in a packet, waiting.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string_view>

#include "base/bytes.h"
#include "base/packet.h"
#include "device/device.h"

namespace adieu::device {

struct TunOptions {
  // Packets carry a virtio header, so that checksums and segmentation are left to whoever does them last. Without it,
  // every packet fits the MTU and its checksum is complete, both ways.
  bool vnet_header = true;
  // One queue of several; each open() of the same name then adds a queue.
  bool multi_queue = false;
};

// What the kernel may hand to us unfinished. What we may hand to the kernel depends on `vnet_header` alone: with it,
// partial checksums and segments up to 64 KiB; without it, neither.
struct TunGranted {
  bool vnet_header = false;
  bool checksum = false;
  bool tso_v4 = false;
  bool tso_v6 = false;
};

class Tun {
 public:
  // Creates the interface `name` ("%d" in it is replaced by a number), or attaches to a persistent one. It lives as
  // long as a descriptor of it.
  static std::expected<Tun, Error> open(std::string_view name, TunOptions options = {});
  // Takes over a descriptor that somebody opened for us; whether it has a virtio header is asked of the kernel.
  // Needs no privilege. The descriptor is ours from then on, also if this fails.
  static std::expected<Tun, Error> adopt(int descriptor);

  Tun(Tun&& other) noexcept;
  Tun& operator=(Tun&& other) noexcept;
  Tun(const Tun&) = delete;
  Tun& operator=(const Tun&) = delete;
  ~Tun();

  int descriptor() const { return descriptor_; }
  std::string_view name() const { return name_.data(); }
  const TunGranted& granted() const { return granted_; }

  // One packet. A buffer smaller than limits::kPacketBytes may cut a packet off, as the kernel does without a word.
  [[nodiscard]] ReceiveResult receive(MutableBytes buffer);
  [[nodiscard]] SendResult send(Bytes packet, const Offload& offload);

 private:
  explicit Tun(int descriptor) : descriptor_(descriptor) {}
  std::expected<void, Error> set_up_queue();

  int descriptor_ = -1;
  TunGranted granted_;
  std::array<char, 16> name_{};  // IFNAMSIZ
};

}  // namespace adieu::device
