// The answer of a filter for one connection, and the sentences for what cannot be read.
#include "control/filter.h"

#include <algorithm>

#include "base/assert.h"

namespace adieu::control {
namespace {

constexpr Truth truth(bool yes) { return yes ? Truth::Yes : Truth::No; }
constexpr Truth negation(Truth t) { return static_cast<Truth>(2 - static_cast<int>(t)); }

// One of few values, of which `unknown` is one: that alone can be asked for when nothing is known.
template <typename T>
constexpr Truth is_one(T value, std::uint64_t asked, T unknown) {
  if (value == unknown && asked != static_cast<std::uint64_t>(unknown)) return Truth::Unknown;
  return truth(static_cast<std::uint64_t>(value) == asked);
}

plane::Known held(plane::Holder holder) {
  switch (holder) {
    case plane::Holder::Unknown: return plane::Known::Unknown;
    case plane::Holder::Held: return plane::Known::Yes;
    case plane::Holder::AcceptQueue:
    case plane::Holder::Orphan: return plane::Known::No;
  }
  return plane::Known::Unknown;
}

// As the judge sees it (judge.cc, wanted_of): octets before the end that nobody has read prove that nobody has read it.
plane::Known end_of_stream_read(const plane::Record& r) {
  const bool some_unread = r.unread != plane::kUnknownCount && r.unread > 0;
  return r.end_of_stream_read == plane::Known::Unknown && some_unread ? plane::Known::No : r.end_of_stream_read;
}

// `bits` of 128. An IPv6 network that is wide enough to hold ::ffff:0:0/96 holds no IPv4 address all the same.
bool is_within(const Address& address, std::uint64_t high, std::uint64_t low, unsigned bits) {
  std::uint64_t own_high = 0;
  std::uint64_t own_low = 0;
  for (unsigned i = 0; i < 8; ++i) {
    own_high = own_high << 8 | address.octets[i];
    own_low = own_low << 8 | address.octets[8 + i];
  }
  const auto mask = [](unsigned count) { return count == 0 ? 0 : ~std::uint64_t{0} << (64 - count); };
  if (((own_high ^ high) & mask(std::min(bits, 64U))) != 0) return false;
  if (bits > 64 && ((own_low ^ low) & mask(bits - 64)) != 0) return false;
  return bits >= 96 || address.family() == Family::V6;
}

bool is_named(std::string_view name, std::string_view asked, bool open_ended) {
  return open_ended ? name.starts_with(asked) : name == asked;
}

template <typename Matches>
Truth any_process(const Subject& subject, Matches matches) {
  if (std::ranges::any_of(subject.processes, matches)) return Truth::Yes;
  return subject.processes_known ? Truth::No : Truth::Unknown;
}

// Of a record that is newer than `now`, too: no age is negative.
Duration since(Instant then, Instant now) { return later(Duration{}, now - then); }

}  // namespace

Truth Filter::match(const Subject& subject) const {
  const State state = subject.record.state;
  if (!contains(possible_, state)) return Truth::No;
  if (contains(certain_, state)) return Truth::Yes;
  Truth stack[kMostNodes];
  std::size_t top = 0;
  for (const Node& node : nodes_) {
    if (node.op == Op::Not) {
      stack[top - 1] = negation(stack[top - 1]);
    } else if (node.op == Op::And) {
      --top;
      stack[top - 1] = std::min(stack[top - 1], stack[top]);
    } else if (node.op == Op::Or) {
      --top;
      stack[top - 1] = std::max(stack[top - 1], stack[top]);
    } else {
      stack[top++] = value(node, subject);
    }
  }
  ADIEU_ASSERT(top == 1);
  return stack[0];
}

Truth Filter::value(const Node& node, const Subject& subject) const {
  const plane::Record& r = subject.record;
  const auto compare = [&](std::uint64_t value) {
    switch (node.compare) {
      case Compare::Equal: return truth(value == node.number);
      case Compare::NotEqual: return truth(value != node.number);
      case Compare::Less: return truth(value < node.number);
      case Compare::LessEqual: return truth(value <= node.number);
      case Compare::Greater: return truth(value > node.number);
      case Compare::GreaterEqual: return truth(value >= node.number);
    }
    return Truth::Unknown;
  };
  const auto count = [&](std::uint32_t n) { return n == plane::kUnknownCount ? Truth::Unknown : compare(n); };
  const auto time = [&](Instant then) {
    if (!then.is_known() || !subject.now.is_known()) return Truth::Unknown;
    return compare(static_cast<std::uint64_t>(since(then, subject.now).ns));
  };
  const auto unless = [&](Truth t) { return node.compare == Compare::NotEqual ? negation(t) : t; };
  switch (node.op) {
    case Op::Not:
    case Op::And:
    case Op::Or: break;  // match() does them
    case Op::Anything: return Truth::Yes;
    case Op::State: return truth((node.number & set_of(r.state)) != 0);
    case Op::Local: return truth(is_within(r.local.address, node.number, node.second, node.bits));
    case Op::Remote: return truth(is_within(r.remote.address, node.number, node.second, node.bits));
    case Op::LocalPort: return compare(r.local.port);
    case Op::RemotePort: return compare(r.remote.port);
    case Op::Standing:
      // Whether it has ended is always known.
      if (subject.standing == Standing::Unknown && node.number == static_cast<std::uint64_t>(Standing::Ended))
        return unless(r.has_ended() ? Truth::Yes : Truth::No);
      return unless(is_one(subject.standing, node.number, Standing::Unknown));
    case Op::Holder: return unless(is_one(r.holder, node.number, plane::Holder::Unknown));
    case Op::Held: return unless(is_one(held(r.holder), node.number, plane::Known::Unknown));
    case Op::EndOfStream:
      if (!is_receiving_closed(r.state)) return unless(Truth::No);  // it has not ended: there is no end to read
      return unless(is_one(end_of_stream_read(r), node.number, plane::Known::Unknown));
    case Op::Family: return compare(static_cast<std::uint64_t>(r.local.address.family()));
    case Op::Plane:
      if (!subject.plane_known) return Truth::Unknown;
      return unless(truth(static_cast<std::uint64_t>(subject.kind) == node.number ||
                          is_named(subject.plane, name_of(node), node.open_ended)));
    case Op::Pid: return unless(any_process(subject, [&](const Process& p) { return p.pid == node.number; }));
    case Op::Comm:
      return unless(
          any_process(subject, [&](const Process& p) { return is_named(p.comm, name_of(node), node.open_ended); }));
    case Op::Age: return time(r.state_entered);
    case Op::Idle: return time(r.last_heard);
    case Op::Unread: return count(r.unread);
    case Op::Unsent: return count(r.unsent);
    case Op::Attempts: return compare(r.attempts);
  }
  return Truth::Unknown;
}

std::string_view Filter::name_of(const Node& node) const { return {names_.data() + node.name, node.length}; }

bool Filter::uses(Op op) const {
  return std::ranges::any_of(nodes_, [op](const Node& node) { return node.op == op; });
}
bool Filter::needs_standing() const { return uses(Op::Standing); }
bool Filter::needs_processes() const { return uses(Op::Pid) || uses(Op::Comm); }
bool Filter::names_plane() const { return uses(Op::Plane); }
bool Filter::needs_past() const { return uses(Op::Age) || uses(Op::EndOfStream); }

Instant Filter::next_change(const plane::Record& record, Instant now) const {
  Instant next = Instant::never();
  for (const Node& node : nodes_) {
    if (node.op != Op::Age && node.op != Op::Idle) continue;
    const Instant then = node.op == Op::Age ? record.state_entered : record.last_heard;
    // At the limit itself < and >= have changed already; <= and > have not.
    const bool at_limit = node.compare == Compare::Less || node.compare == Compare::GreaterEqual;
    const Instant change = then + Duration{static_cast<std::int64_t>(node.number)} + Duration{at_limit ? 0 : 1};
    if (change > now) next = earlier(next, change);
  }
  return next;
}

// The program once more, over all states at once.
void Filter::learn_states() {
  struct Sets {
    StateSet possible, certain;
  };
  constexpr StateSet kNone = 0;
  const auto but = [](StateSet set) { return static_cast<StateSet>(kAllStates & ~set); };
  StateSet ending = kNone;  // in which the peer's stream has ended
  for (unsigned s = 0; s < kStates; ++s)
    if (is_receiving_closed(static_cast<State>(s))) ending = static_cast<StateSet>(ending | 1U << s);

  Sets stack[kMostNodes];
  std::size_t top = 0;
  for (const Node& node : nodes_) {
    const bool joins = node.op == Op::And || node.op == Op::Or;
    if (joins) --top;
    Sets& a = stack[joins || node.op == Op::Not ? top - 1 : top++];
    const Sets& b = stack[top];
    const bool unless = node.compare == Compare::NotEqual;
    const auto states = static_cast<StateSet>(node.number);
    if (node.op == Op::Not)
      a = {but(a.certain), but(a.possible)};
    else if (node.op == Op::And)
      a = {static_cast<StateSet>(a.possible & b.possible), static_cast<StateSet>(a.certain & b.certain)};
    else if (node.op == Op::Or)
      a = {static_cast<StateSet>(a.possible | b.possible), static_cast<StateSet>(a.certain | b.certain)};
    else if (node.op == Op::State)
      a = {states, states};
    else if (node.op == Op::EndOfStream)
      a = {unless ? kAllStates : ending, unless ? but(ending) : kNone};
    else
      a = {kAllStates, node.op == Op::Anything ? kAllStates : kNone};
  }
  ADIEU_ASSERT(top == 1);
  possible_ = stack[0].possible;
  certain_ = stack[0].certain;
}

std::string_view message(FilterTrouble trouble) {
  switch (trouble) {
    case FilterTrouble::TooLong:
      return "the filter is longer than 4096 octets: write a shorter one, such as prefixes instead of single addresses";
    case FilterTrouble::TooManyTerms:
      return "the filter has more than 64 terms and operators: write a shorter one, such as prefixes instead of single "
             "addresses, or two rules";
    case FilterTrouble::TooDeep:
      return "parentheses are nested deeper than 32: write fewer of them; not binds before and, and before or";
    case FilterTrouble::TermMissing:
      return "a term is missing here: write one, such as `state close-wait` or `dport = :443`";
    case FilterTrouble::ValueMissing:
      return "this word needs a value behind it: write one, such as `state close-wait`, `dport = :443` or `age > 1h`";
    case FilterTrouble::ParenthesisOpen: return "this parenthesis is never closed: write the missing )";
    case FilterTrouble::ParenthesisExtra:
      return "this parenthesis was never opened: leave it out, or write the missing (";
    case FilterTrouble::QuoteOpen: return "this quotation never ends: write the same quotation mark behind the name";
    case FilterTrouble::UnknownWord:
      return "this word begins no term: write state, exclude, src, dst, sport, dport, standing, age, idle, held, "
             "holder, "
             "eof, plane, pid, comm, unread, unsent, attempts or family";
    case FilterTrouble::OnlyInSs:
      return "ss knows this word, but no plane reports the fact: leave the term out, and write what you seek with src, "
             "dst, sport, dport, comm or pid";
    case FilterTrouble::UnknownState:
      return "no such state: write established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, close-wait, closing, "
             "last-ack, "
             "time-wait, listen or closed, or one of the groups all, connected, synchronized, bucket and big";
    case FilterTrouble::UnknownStanding:
      return "no such standing: write alive, silent, suspect, gone, unknown or ended";
    case FilterTrouble::UnknownHeld: return "held is yes, no or unknown: write one of them";
    case FilterTrouble::UnknownHolder: return "no such holder: write held, accept-queue, orphan or unknown";
    case FilterTrouble::UnknownEndOfStream:
      return "the end of the peer's stream is read, unread or unknown: write one of them behind eof";
    case FilterTrouble::UnknownFamily: return "no such family: write inet or inet6";
    case FilterTrouble::BadAddress:
      return "no address in numbers: write one, such as 10.0.0.1, 10/8, 10.0.0.1:443, [fd77::2]:443 or * (names are "
             "not "
             "looked up)";
    case FilterTrouble::BadPrefix:
      return "no such prefix length: write a number up to 32 for IPv4 and up to 128 for IPv6, such as 10/8 or "
             "fd77::/64";
    case FilterTrouble::BadPort: return "no such port: write a number from 0 to 65535, such as :443";
    case FilterTrouble::ServiceName:
      return "services are not looked up: write the port's number, such as :443 for :https (/etc/services lists them)";
    case FilterTrouble::BadNumber: return "no whole number from 0 to 4294967295: write one, in decimal digits";
    case FilterTrouble::BadDuration:
      return "no duration: write a number and one of ns, us, ms, s, min, h and d, such as 90s, 1.5h or 2d";
    case FilterTrouble::UnitMissing:
      return "a duration needs its unit: write one of ns, us, ms, s, min, h and d, such as 90s";
    case FilterTrouble::BadName:
      return "no name: write one that is not empty and has a * only at its end, such as nginx or \"my server*\"";
    case FilterTrouble::OnlyEquality: return "this word has no order: write = or !=";
    case FilterTrouble::OnlyOrder:
      return "time passes every instant by, so that equality would never hold: write <, <=, > or >=, such as `age > "
             "1h`";
  }
  return "?";
}

}  // namespace adieu::control
