// The engine as the one who is asked, under virtual time.
#pragma once

#include <string>
#include <vector>

#include "stack/engine.h"
#include "subject.h"

namespace adieu::matrix {

class EngineSubject : public Subject {
 public:
  EngineSubject(Endpoint local, Endpoint peer);

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
  std::string state() override;
  std::string error() override;

 private:
  template <typename T>
  std::string told(const std::expected<T, stack::Error>& result, const char* good) const;
  // Everything that happens within `span`; until the first segment, if `first`.
  std::vector<Heard> run(Duration span, bool first);

  Instant now_{seconds(1000).ns};
  std::vector<std::uint64_t> memory_;
  stack::Engine engine_;
  stack::Listener listener_;
  stack::Socket socket_;
};

}  // namespace adieu::matrix
