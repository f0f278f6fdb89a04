// This host's Linux as the one who is asked: sockets in a network namespace, behind a TUN device that the peer holds.
#pragma once

#include <string>
#include <vector>

#include "device/tun.h"
#include "kernel/sock_diag.h"
#include "subject.h"
#include "tests/kernel/namespace.h"

namespace adieu::matrix {

// The stage of all cells: the device, and the way to see states that no descriptor tells.
struct Linux {
  device::Tun tun;
  kernel::Diag diag;
  std::uint16_t echoes = 0;
};

class KernelSubject : public Subject {
 public:
  KernelSubject(Linux& host, Endpoint local, Endpoint peer) : Subject(local, peer), host_(host) {}
  ~KernelSubject() override;

  void listen() override;
  std::string connect() override;
  bool accept() override;
  std::string send(Bytes octets) override;
  std::string receive(std::string& octets) override;
  std::string shut_send() override;
  std::string shut_receive() override;
  std::string close() override;
  std::string abort() override;
  void inject(Bytes packet) override;
  std::vector<Heard> answers(bool expected) override;
  std::vector<Heard> wait(Duration patience) override;
  // What is in none of TCP's tables is CLOSED, whatever the reason.
  std::string state() override;
  std::string error() override;

 private:
  kernel::test::Fd bound() const;
  // Takes packets until `echo` is answered (0: none is awaited) or a segment has come, at most `patience`.
  void collect(std::vector<Heard>& heard, std::uint16_t echo, Duration patience);

  Linux& host_;
  kernel::test::Fd listener_;
  kernel::test::Fd socket_;
};

}  // namespace adieu::matrix
