// Any text, read as a filter: nothing may break, a mistake stands within the text, and what is read keeps its promises
// for connections of every state.
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "control/filter.h"

namespace adieu::control {
namespace {

void check_error(const FilterError& error, std::string_view text) {
  ADIEU_ASSERT(error.at <= text.size() && error.length <= text.size() - error.at);
  ADIEU_ASSERT(message(error.trouble).size() > 1);
}

plane::Record record_of(State state, bool known) {
  plane::Record r;
  r.local = {Address::v4(10, 0, 0, 1), 443};
  r.remote = {Address{{0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}}, 50000};
  r.state = state;
  if (!known) return r;
  r.holder = plane::Holder::Held;
  r.end_of_stream_read = plane::Known::No;
  r.state_entered = r.last_heard = Instant{1'000};
  r.unread = 1;
  r.unsent = 0;
  return r;
}

void check(const Filter& filter, const Filter* opposite, const plane::Record& record, bool known) {
  const Process process{1234, "nginx"};
  const std::span<const Process> processes(&process, known ? 1 : 0);
  const Subject subject{record,
                        "web",
                        plane::PlaneKind::Engine,
                        processes,
                        known,
                        known ? Standing::Gone : Standing::Unknown,
                        Instant{5'000'000'000}};
  const Truth truth = filter.match(subject);
  if (!contains(filter.states(), record.state)) ADIEU_ASSERT(truth == Truth::No);
  if (filter.is_everything()) ADIEU_ASSERT(truth == Truth::Yes);
  if (opposite != nullptr) ADIEU_ASSERT(static_cast<int>(opposite->match(subject)) == 2 - static_cast<int>(truth));
  ADIEU_ASSERT(filter.next_change(record, subject.now) > subject.now);
}

void check(std::string_view text) {
  const auto filter = Filter::parse(text);
  if (!filter) return check_error(filter.error(), text);
  ADIEU_ASSERT(*filter == *Filter::parse(text));
  const bool is_empty = text.find_first_not_of(" \t\r\n") == std::string_view::npos;
  const auto opposite = Filter::parse("not (" + std::string(text) + ")");
  ADIEU_ASSERT(opposite || is_empty || opposite.error().trouble == FilterTrouble::TooLong ||
               opposite.error().trouble == FilterTrouble::TooDeep ||
               opposite.error().trouble == FilterTrouble::TooManyTerms);
  for (unsigned s = 0; s < kStates; ++s)
    for (const bool known : {false, true})
      check(*filter, opposite ? &*opposite : nullptr, record_of(static_cast<State>(s), known), known);
}

}  // namespace
}  // namespace adieu::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // In memory of its own length, so that a read beyond the end is seen.
  const std::vector<char> text(data, data + size);
  adieu::control::check({text.data(), text.size()});
  return 0;
}
