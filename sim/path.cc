// Spans of a plan, joined where they touch.
#include "sim/path.h"

#include <algorithm>

namespace adieu::sim {
namespace {

template <typename Span>
void join(std::vector<Span>& spans) {
  std::ranges::sort(spans, [](const Span& a, const Span& b) { return a.from < b.from; });
  std::vector<Span> joined;
  for (const Span& span : spans) {
    if (!joined.empty() && span.from <= joined.back().until)
      joined.back().until = later(joined.back().until, span.until);
    else
      joined.push_back(span);
  }
  spans = joined;
}

}  // namespace

Cuts::Cuts(const Plan& plan) {
  for (const Fault& fault : plan.faults) {
    const Span span{fault.at, fault.until()};
    switch (fault.kind) {
      case FaultKind::NatForgets:
      case FaultKind::BlackHole:
        for (auto& cut : cut_) cut.push_back(span);  // either way: a question needs its answer
        break;
      case FaultKind::PowerOff:
      case FaultKind::Reboot:
      case FaultKind::Freeze:
        away_[fault.host].push_back(span);
        cut_[other(fault.host)].push_back(span);
        break;
      case FaultKind::ControlStop:
      case FaultKind::ControlKill:
      case FaultKind::DiskFull: break;
    }
  }
  for (auto& cut : cut_) join(cut);
}

bool Cuts::is_away(unsigned host, Instant at) const {
  return std::ranges::any_of(away_[host], [at](const Span& span) { return span.from <= at && at < span.until; });
}

Instant Cuts::last_return(unsigned host, Instant until) const {
  Instant last;
  for (const Span& span : away_[host])
    if (span.until <= until) last = later(last, span.until);
  return last;
}

Duration Cuts::longest(unsigned host, Instant from, Instant to) const {
  Duration longest;
  for (const Span& span : cut_[host]) {
    const Instant first = later(span.from, from);
    const Instant last = earlier(span.until, to);
    if (first < last) longest = later(longest, last - first);
  }
  return longest;
}

}  // namespace adieu::sim
