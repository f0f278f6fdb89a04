// Planes come and go by the supervisor's word, policies (policy_keeper.h) by the operator's; in between, round after
// round of the attendant.
#include "host/control_process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <optional>

#include "control/attendant.h"
#include "host/api_server.h"
#include "host/clock.h"
#include "host/ledger.h"
#include "host/log.h"
#include "host/message.h"
#include "host/policy_keeper.h"
#include "host/poller.h"
#include "host/privileges.h"
#include "host/processes.h"
#include "host/run_dir.h"
#include "host/shared_memory.h"

namespace adieu::host {
namespace {

enum Token : std::uint64_t { kSignals, kSupervisor, kOrders, kFirstPlane = 16 };

constexpr Duration kRetry = milliseconds(200);
// Hints that come thicker than this are taken together: an event is looked at within it, and a flood costs no more.
constexpr Duration kHintSpacing = milliseconds(10);
// A new supervisor knows only the planes that have registered with it; one that has not within this, and whose process
// is gone, died while nobody listened.
constexpr Duration kRegistrationGrace = seconds(3);

struct WatchedPlane {
  std::string name;
  plane::PlaneKind kind = plane::PlaneKind::Engine;
  std::uint32_t process = 0;
  std::uint32_t index = 0;  // the attendant's
  std::uint64_t token = 0;
  std::shared_ptr<Mapping> table, control;  // the API's readers may outlive what is watched
  Descriptor wake_plane, wake_control;
  Descriptor life;  // pidfd: readable once the plane's process is dead
  std::uint64_t commands_rung = 0;
  bool listed = false;  // the supervisor of now knows it
  bool unkept = false;  // it has ended, and the ledger could not keep its last words yet
};

class ControlProcess {
 public:
  ControlProcess(const RunDir& run_dir, const ControlOptions& options, const FirstPolicy& policy,
                 const std::string& ledger, int signals)
      : run_dir_(run_dir),
        signals_(signals),
        ledger_(ledger, options.ledger),
        tally_(ledger_, policy.policy),
        attendant_(policy.policy->policy, tally_, host::now(),
                   [&] {
                     control::Attendant::Settings settings;
                     settings.sweep_period = options.sweep;
                     // A sweep that is three periods late was no sweep: nobody attended meanwhile.
                     settings.controller.gap_after = later(seconds(3), options.sweep * 3);
                     return settings;
                   }()),
        policy_(run_dir, options.policy_file, policy, {attendant_, ledger_, tally_, board_}),
        api_(board_, run_dir) {
    poller_.add(signals_, kSignals);
    poller_.add(board_.bell(), kOrders);
    know_hosts();
  }
  void run(HttpDoors doors);

 private:
  void know_hosts();
  void take_signals();
  void reach_supervisor(Instant now);
  void hear_supervisor(Instant now);
  void lost_supervisor(Instant now);
  void watch(Received received, Instant now);
  Result<WatchedPlane> open(Received& received, Instant now);
  void ended(std::uint64_t incarnation, bool failed, Instant now);
  void look_for_the_dead(Instant now);
  void notice_sleep(Instant now);
  void ring_planes();
  void attend(Instant now);
  void take_orders(Instant now);
  void show_planes();

  RunDir run_dir_;
  int signals_;
  SqliteLedger ledger_;
  TallyLedger tally_;
  control::Attendant attendant_;
  ApiBoard board_;
  PolicyKeeper policy_;
  Api api_;
  Poller poller_;
  Descriptor supervisor_;
  std::map<std::uint64_t, WatchedPlane> planes_;  // by incarnation
  std::uint64_t next_token_ = kFirstPlane;
  Instant reach_at_ = Instant::unknown();
  Instant dead_since_ = Instant::never();                    // when to look for planes that did not register
  Duration asleep_ = uptime() - (host::now() - Instant{0});  // since this host started
  std::string last_refusal_;
  bool ending_ = false;
  bool knows_all_planes_ = false;  // a supervisor's list has been heard to its end
};

void ControlProcess::run(HttpDoors doors) {
  std::optional<HttpServer> server;
  Instant attended = Instant::unknown();
  while (!ending_) {
    Instant now = host::now();
    if (!supervisor_) reach_supervisor(now);
    if (dead_since_ <= now) look_for_the_dead(now);
    notice_sleep(now);
    policy_.feel_pressure(now);
    attend(now);
    attended = now;
    ring_planes();
    Instant until = earlier(attendant_.next_deadline(), now + seconds(1));
    if (!supervisor_) until = earlier(until, reach_at_);
    const auto ready = poller_.wait(earlier(until, dead_since_));
    const std::vector<std::uint64_t> tokens(ready.begin(), ready.end());
    now = host::now();
    bool hinted = false;
    for (const std::uint64_t token : tokens) {
      if (token == kSignals)
        take_signals();
      else if (token == kSupervisor)
        hear_supervisor(now);
      else if (token == kOrders)
        take_orders(now);
      else
        hinted = true;
    }
    // Not before all planes are known: a connection that stands in a table would be said not to exist.
    if (knows_all_planes_ && !server) server.emplace(std::move(doors), api_);
    if (!hinted) continue;
    if (now - attended < kHintSpacing) ::usleep(static_cast<useconds_t>((kHintSpacing - (now - attended)).ns / 1000));
    for (auto& [incarnation, plane] : planes_) quiet(plane.wake_control.get());
  }
  attendant_.attend(host::now());
}

// CLOCK_BOOTTIME goes on while this host is suspended, the seam's clock does not.
void ControlProcess::notice_sleep(Instant now) {
  const Duration asleep = uptime() - (now - Instant{0});
  if (asleep - asleep_ > milliseconds(200)) attendant_.slept(now);
  asleep_ = asleep;
}

// What earlier control planes learned of hosts.
void ControlProcess::know_hosts() {
  const auto ledger = LedgerReader::open(run_dir_.ledger());
  const auto hosts = ledger ? ledger->hosts() : std::unexpected(ledger.error());
  if (!hosts) return;  // there is no ledger yet, or none of this version
  for (const control::HostLearned& host : *hosts) {
    attendant_.know(host);
    tally_.know(host);
  }
}

void ControlProcess::take_signals() {
  while (const int signal = next_signal(signals_)) {
    if (signal == SIGHUP)
      policy_.reload();
    else
      ending_ = true;
  }
}

void ControlProcess::attend(Instant now) {
  Tally& tally = tally_.tally();
  attendant_.attend(now);
  while (const auto answer = attendant_.poll_answer()) {
    OrderResult result{.what = OrderResult::What::NotGiven, .state = answer->state, .verdict = answer->verdict};
    if (answer->outcome) {
      result.what = OrderResult::What::Receipt;
      result.outcome = *answer->outcome;
    }
    board_.result(answer->ticket, result);
  }
  if (attendant_.counts().sweeps != tally.counts.sweeps) {
    ++tally.rounds;
    tally.last_sweep = host::now() - now;
    tally.sweeping = tally.sweeping + tally.last_sweep;
  }
  tally.counts = attendant_.counts();
  board_.show_tally(tally);
  if (tally_.had_news()) board_.tell_news();
  if (auto hosts = tally_.poll_hosts()) board_.show_hosts(std::move(hosts));
}

// People's, by way of the API. Each is answered at once if it is refused, and else with its receipt.
void ControlProcess::take_orders(Instant now) {
  for (const Order& order : board_.take_orders()) {
    const auto plane = planes_.find(order.id.incarnation);
    const auto refused = plane == planes_.end() ? std::optional(control::Refusal::Ended)
                                                : attendant_.request(plane->second.index, order.id, order.request, now);
    if (refused) board_.result(order.request.ticket, {.what = OrderResult::What::Refused, .refusal = *refused});
  }
}

void ControlProcess::show_planes() {
  std::vector<std::shared_ptr<const ApiPlane>> planes;
  for (const auto& [incarnation, plane] : planes_) {
    const auto reader = plane::TableReader::over(plane.table->bytes());
    if (!reader || plane.unkept) continue;
    planes.push_back(
        std::make_shared<const ApiPlane>(ApiPlane{plane.name, incarnation, plane.kind, plane.process, plane.table,
                                                  plane.control, *reader, plane::ControlView(plane.control->bytes())}));
  }
  board_.show_planes(std::move(planes));
}

void ControlProcess::ring_planes() {
  // One bell for whatever was published in this round; a plane that has nothing to take finds that out cheaply.
  const std::uint64_t published = attendant_.counts().commands;
  for (auto& [incarnation, plane] : planes_) {
    if (plane.commands_rung == published) continue;
    plane.commands_rung = published;
    ring(plane.wake_plane.get());
  }
}

// --- the supervisor

void ControlProcess::reach_supervisor(Instant now) {
  if (now < reach_at_) return;
  reach_at_ = now + kRetry;
  auto socket = connect_to(run_dir_.socket());
  if (!socket) return;
  Message hello;
  hello.kind = MessageKind::Attend;
  hello.process = static_cast<std::uint32_t>(::getpid());
  if (const auto sent = send_message(socket->get(), hello); !sent || !*sent) return;
  supervisor_ = std::move(*socket);
  poller_.add(supervisor_.get(), kSupervisor);
  for (auto& [incarnation, plane] : planes_) plane.listed = false;
  dead_since_ = now + kRegistrationGrace;
}

void ControlProcess::lost_supervisor(Instant now) {
  supervisor_.reset();
  reach_at_ = now + kRetry;
  // Without a supervisor nobody says what became of a plane: look for ourselves now and then.
  dead_since_ = now + kRegistrationGrace;
}

void ControlProcess::hear_supervisor(Instant now) {
  while (supervisor_) {
    auto received = receive_message(supervisor_.get());
    if (!received) {
      if (received.error().trouble == ReceiveTrouble::Nothing) return;
      return lost_supervisor(now);
    }
    const Message& message = received->message;
    switch (message.kind) {
      case MessageKind::Plane: watch(std::move(*received), now); break;
      case MessageKind::PlaneEnded: ended(message.incarnation, message.failed != 0, now); break;
      case MessageKind::Stop: ending_ = true; break;
      case MessageKind::Reload: policy_.reload(); break;
      case MessageKind::Refused: {
        const std::string why = text_of(message.text);
        if (why != last_refusal_) log_warning("`adieu up` refuses this control plane: " + why);
        last_refusal_ = why;
        return lost_supervisor(now);
      }
      case MessageKind::EndOfList: knows_all_planes_ = true; break;
      case MessageKind::Welcome:
      case MessageKind::RegisterPlane:
      case MessageKind::Attend:
      case MessageKind::Read:
      case MessageKind::Goodbye: break;
    }
  }
}

// --- planes

void ControlProcess::watch(Received received, Instant now) {
  const std::uint64_t incarnation = received.message.incarnation;
  if (const auto known = planes_.find(incarnation); known != planes_.end()) {
    // The same plane, registered with a new supervisor: all that is known of it stands.
    known->second.listed = true;
    return;
  }
  auto plane = open(received, now);
  if (!plane) {
    log_error(fmt::format("plane {} cannot be watched: {}", text_of(received.message.name), plane.error().text));
    return;
  }
  log_info(fmt::format("watching plane {} (process {})", plane->name, plane->process));
  planes_.emplace(incarnation, std::move(*plane));
  show_planes();
}

Result<WatchedPlane> ControlProcess::open(Received& received, Instant now) {
  auto& descriptors = received.descriptors;
  if (descriptors.size() != kMostDescriptors) return failed("it came without its descriptors");
  const auto table_bytes = check_shared(descriptors[0].get());
  const auto control_bytes = check_shared(descriptors[1].get());
  if (!table_bytes || !control_bytes) return std::unexpected((!table_bytes ? table_bytes : control_bytes).error());
  if (*control_bytes < plane::control_block_bytes()) return failed("its control block is too small");
  if (!is_bell(descriptors[2].get()) || !is_bell(descriptors[3].get())) return failed("its bells are no eventfds");
  auto table = Mapping::of(descriptors[0].get(), *table_bytes, Mapping::Access::Read);
  auto control = Mapping::of(descriptors[1].get(), *control_bytes, Mapping::Access::Write);
  if (!table || !control) return std::unexpected((!table ? table : control).error());
  const auto reader = plane::TableReader::over(table->bytes());
  if (!reader) return failed(std::string(name(reader.error())));

  WatchedPlane plane;
  plane.name = text_of(received.message.name);
  plane.kind = reader->kind();
  plane.process = received.message.process;
  plane.listed = true;
  plane.table = std::make_shared<Mapping>(std::move(*table));
  plane.control = std::make_shared<Mapping>(std::move(*control));
  plane.wake_plane = std::move(descriptors[2]);
  plane.wake_control = std::move(descriptors[3]);
  plane.life = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, plane.process, 0)));
  const auto before = plane::ControlView(plane.control->bytes()).status();
  const plane::ControlWriter writer(plane.control->writable(), static_cast<std::uint64_t>(::getpid()));
  plane.index = attendant_.watch(facts_of(plane.name, plane.process, *reader), *reader, writer, before, now);
  ledger_.name_plane(plane.index, plane.name, received.message.incarnation, plane.kind);
  plane.token = next_token_++;
  poller_.add(plane.wake_control.get(), plane.token);
  return plane;
}

void ControlProcess::ended(std::uint64_t incarnation, bool failed, Instant now) {
  const auto found = planes_.find(incarnation);
  if (found == planes_.end()) return;
  const bool is_news = !found->second.unkept;
  if (failed && is_news) {
    const bool kernel = found->second.kind == plane::PlaneKind::Kernel;
    log_warning(fmt::format(
        "plane {} failed: {}", found->second.name,
        kernel ? "the connections it watched live on, unseen until it is back" : "what lived in it has ended with it"));
  }
  if (is_news) poller_.remove(found->second.wake_control.get());
  if (!attendant_.plane_failed(found->second.index, now)) {
    found->second.unkept = true;
    show_planes();
    dead_since_ = earlier(dead_since_, now + seconds(1));
    return;
  }
  planes_.erase(found);
  show_planes();
}

void ControlProcess::look_for_the_dead(Instant now) {
  dead_since_ = Instant::never();
  std::vector<std::uint64_t> dead;
  for (const auto& [incarnation, plane] : planes_) {
    if (plane.unkept) {
      dead.push_back(incarnation);
      continue;
    }
    if (supervisor_ && plane.listed) continue;
    pollfd life{plane.life.get(), POLLIN, 0};
    if (::poll(&life, 1, 0) == 1)
      dead.push_back(incarnation);
    else
      dead_since_ = now + kRegistrationGrace;
  }
  for (const std::uint64_t incarnation : dead) ended(incarnation, true, now);
}

}  // namespace

Result<void> run_control_process(const std::string& run_dir, const ControlOptions& options) {
  name_log("control");
  const Descriptor wanted = signals({SIGTERM, SIGINT, SIGHUP});
  const RunDir dir(run_dir);
  const auto lock = Lock::take(dir.lock("control"));
  if (!lock) return failed("another control plane lives: " + lock.error().text);
  if (auto sound = check(options); !sound) return sound;
  ::umask(0077);
  if (auto dropped = drop_all_privileges(); !dropped) return dropped;
  const auto policy = first_policy(dir, options);
  if (!policy) return std::unexpected(policy.error());
  const auto ledger = place_ledger(dir, options.ledger_file);
  if (!ledger) return std::unexpected(ledger.error());
  // Threads start below here: they have what this one has left.
  HttpDoors doors{dir.api(), options.http, {}};
  if (options.http) {
    auto token = read_token(options.http_token_file);
    if (!token) return std::unexpected(token.error());
    doors.token = std::move(*token);
  }
  ControlProcess(dir, options, *policy, *ledger, wanted.get()).run(std::move(doors));
  return {};
}

}  // namespace adieu::host
