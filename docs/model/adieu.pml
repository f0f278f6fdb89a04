/* The verdict ladder, and commands and receipts across crashes: adieu's promise, small enough to try every case.

   What lives here: one connection slot of a plane, its peer, the rings of the seam, the ledger and one control plane,
   as one set of guarded steps; what may never happen (assert), and what must happen at last (ltl). The order of things
   is that of src/control/judge.cc (standing), controller.cc (look, hear_receipt), attendant.cc (the order of a round)
   and src/stack/commands.cc (take). Each step that spin takes prints, once, the transition that the simulation is held
   against (NOTE; transitions.txt). README.md says how to run it. What does not live here: bytes, numbers of seconds.

   Bounds: one slot, GENS connections in it one after the other; N questions over T attended ticks; RING commands and
   RECEIPTS receipts; FAULTS faults of any kind, in any order: control killed, control stopped, plane killed, plane (or
   its host) asleep, disk full, and an eviction, which is none but costs as much. A fault lasts at most two ticks
   (longer adds nothing: all counts are full by then).

   Time is a tick: the time for an answer, the spacing of questions, the life of a command. Between two ticks everybody
   who runs has a turn, in every possible order; that, and that faults are finitely many (control is started again, the
   disk gets room again, who sleeps wakes), is all the fairness assumed.

   Abstracted: the count of segments heard is whether it moved (it does not come round within the life of a command),
   the epoch is whether a later control plane has begun; forms of a question are whether one is left untried; states are
   CLOSE-WAIT with nothing outstanding (Idle), with data outstanding (Sending), and LAST-ACK (Closed). The control
   acts (no dry run), and the plane has every ability. A peer that is There within the bound loses fewer than N
   answers in a row; what this host sleeps through comes on top of that, and its question does not count. Each gap (host
   or plane asleep; control stopped or killed for a tick) is remembered by the next control plane too. Of which form a
   question was that a gap took is not known here: the code asks for one more of each, the model for none. Over
   budget may be any idle connection at any time, and it goes first.

   Each switch takes one guard away; spin must then find a fault (tests/model/model_test.py):
   NO_HEARD_CHECK NO_GENERATION_CHECK NO_EPOCH_CHECK NO_EXPIRY_CHECK NO_RECEIPT_ROOM RING_BEFORE_LEDGER
   FORGET_BEFORE_LEDGER FEWER_QUESTIONS NO_SPAN NEVER_AGAIN SPOILED_COUNTS (a question that a gap took counts all the
   same) BURIED_ONCE (a dead plane's last words are offered to the ledger once, not until it has kept them). */

#ifndef N
#define N 2
#endif
#ifndef T
#define T 3
#endif
#ifndef GENS
#define GENS 2
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef RING
#define RING 2
#endif
#ifndef RECEIPTS
#define RECEIPTS 2
#endif
#define INTERVAL 2 /* ticks since it was heard in which a peer is alive */
#define LONGEST 2  /* ticks of a fault */

/* Standings; Unknown: nothing is remembered. */
#define Unknown 0
#define Alive 1
#define Silent 2
#define Suspect 3
#define Gone 4
/* Commands. */
#define None 0
#define Probe 1
#define Abort 2 /* it is gone */
#define Evict 3 /* an abort for another reason, whatever the peer says: a budget, a person's word */
/* Outcomes. */
#define Done 1
#define WrongIdentity 2
#define AlreadyEnded 3
#define WrongState 4
#define HeardSince 5
#define Expired 6
#define Void 7
#define Unable 8
#define TooSoon 9
/* Since this control plane's last recorded verdict on the connection. */
#define First 0
#define Same 1
#define Heard 2
/* Phases of a connection. */
#define Idle 0
#define Sending 1
#define Closed 2
/* The peer. */
#define There 0
#define Cut 1
#define Vanished 2
/* Processes. */
#define Up 0
#define Stopped 1
#define Down 2
/* Steps of control's round. */
#define Drain 0
#define Forget 1
#define Look 2
#define Commit 3
#define Publish 4

typedef Command {
  byte kind;
  byte gen;
  byte phase;       /* expected */
  bit recorded;     /* its verdict is in the ledger */
  bit late;         /* it has expired */
  bit old_epoch;         /* a later control plane has begun: its epoch is old */
  bit heard_since;  /* the count of segments heard has moved since the verdict */
  bit mine          /* the control plane that runs waits for this very one */
};
typedef Receipt {
  byte kind;
  byte gen;
  byte outcome;
  bit recorded;
  bit kept; /* in the ledger */
  bit mine
};

/* The plane's record. */
bit live = 1;
byte gen = 1;
byte opens = 1;
unsigned phase : 2 = Idle;
byte age;     /* ticks since heard */
bit asked;    /* since heard */
byte proof;   /* questions that count, the one on its way included */
byte debt;    /* questions yet to be asked that will not count: more gaps than questions */
unsigned on_way : 2;  /* 1: the last one may be answered; 2: its answer is lost */
byte span;    /* attended ticks since the first question */
bit untried;  /* a possible form has not been tried */
/* The plane. */
bit asleep;
bit stale; /* its heartbeat is old */
bit dead;
bit half; /* a command is done and its receipt not yet written */
Receipt writing;
/* The peer. */
unsigned peer : 2 = There;
byte missed; /* answers lost in a row */
bit said;    /* it spoke of itself in this tick */
/* The rings. */
Command ring[RING];
byte waiting;
Receipt receipts[RECEIPTS];
byte written;
/* The control plane. */
unsigned control : 2 = Up;
unsigned away : 2; /* ticks that it is not Up */
unsigned step : 3 = Drain;
bit attended; /* in this tick */
bit hint;     /* it may look again: an event told it of a sign of life */
byte told;    /* receipts that the controller has heard */
bit entry;
byte entry_gen;
unsigned decided : 3;
unsigned in_flight : 2;
bit in_flight_late;
bit hold; /* no command before the next tick */
unsigned since : 2 = First;
Command pending; /* decided, not yet published */
bit told_verdict;
/* The ledger. */
bit disk_full;
unsigned full_for : 2;
/* The adversary's budget, and what is owed: commands that ended something and are not yet told of in the ledger. */
byte faults = FAULTS;
byte owed;

/* What the next NOTE prints. */
hidden byte n_before, n_since, n_after, n_kind, n_outcome, i;
hidden byte s_now, s_unanswered;
hidden byte s_news;

c_decl {
  \#include "note.h"
}

#define NOTE_VERDICT c_code { note_verdict(n_before, n_since, n_after, n_kind); }
#define NOTE_EVICTION c_code { note_eviction(n_after); }
#define NOTE_RECEIPT c_code { note_receipt(n_kind, n_outcome); }

inline clear_command(c) {
  c.kind = None; c.gen = 0; c.phase = 0; c.recorded = 0; c.late = 0; c.old_epoch = 0; c.heard_since = 0; c.mine = 0
}
inline clear_receipt(r) {
  r.kind = None; r.gen = 0; r.outcome = 0; r.recorded = 0; r.kept = 0; r.mine = 0
}
inline copy_command(to, from) {
  to.kind = from.kind; to.gen = from.gen; to.phase = from.phase; to.recorded = from.recorded; to.late = from.late;
  to.old_epoch = from.old_epoch; to.heard_since = from.heard_since; to.mine = from.mine
}
inline copy_receipt(to, from) {
  to.kind = from.kind; to.gen = from.gen; to.outcome = from.outcome; to.recorded = from.recorded; to.kept = from.kept;
  to.mine = from.mine
}
inline forget_questions() {
  asked = 0; proof = 0; debt = 0; on_way = 0; span = 0; untried = (phase == Closed -> 1 : 0)
}
inline forget_entry() {
  entry = 0; entry_gen = 0; decided = Unknown; in_flight = None; in_flight_late = 0; hold = 0
}
/* Whatever is answered from here on is not what the control plane waits for. */
inline nothing_is_mine() {
  i = 0;
  do :: i < RING -> ring[i].mine = 0; i++ :: else -> break od;
  i = 0;
  do :: i < RECEIPTS -> receipts[i].mine = 0; i++ :: else -> break od;
  writing.mine = 0;
  i = 0
}
/* More than MOST prove nothing else, were all faults that are left gaps. */
#define MOST (N + 1 + faults)
inline ask() {
  asked = 1; untried = 0;
  if
  :: debt > 0 -> debt--
  :: debt == 0 && proof < MOST -> proof++
  :: else
  fi
}
/* Nobody attended, or this host was asleep: one question may have been answered unheard, and does not count. */
inline spoil() {
#ifndef SPOILED_COUNTS
  if
  :: asked && proof > 0 -> proof--
  :: asked && proof == 0 -> debt++
  :: else
  fi
#else
  skip
#endif
}
inline end_connection() {
  live = 0; phase = Idle; age = 0; missed = 0; peer = There; said = 0;
  asked = 0; proof = 0; debt = 0; on_way = 0; span = 0; untried = 0
}

/* ---- the peer and the application ---- */

/* An acceptable segment: the plane counts it, and every question before it is answered. */
inline hear() {
  age = 0; missed = 0; peer = There;
  if :: phase == Sending -> phase = Idle :: else fi;
  forget_questions();
  i = 0;
  do :: i < RING -> ring[i].heard_since = (ring[i].kind != None -> 1 : 0); i++ :: else -> break od;
  i = 0;
  pending.heard_since = (pending.kind != None -> 1 : 0);
  since = (since == Same -> Heard : since)
}

/* ---- the plane ---- */

inline obey(c) {
  if
#ifndef NO_EPOCH_CHECK
  :: c.old_epoch -> n_outcome = Void
#endif
#ifndef NO_EXPIRY_CHECK
  :: else -> if :: c.late -> n_outcome = Expired
#else
  :: else -> if :: false
#endif
  :: else -> if :: c.gen == gen && !live -> n_outcome = AlreadyEnded
#ifndef NO_GENERATION_CHECK
  :: else -> if :: c.gen != gen -> n_outcome = WrongIdentity
#else
  :: else -> if :: !live -> n_outcome = AlreadyEnded
#endif
  :: else -> if :: (c.phase == Closed) != (phase == Closed) -> n_outcome = WrongState
  :: else -> if :: c.kind == Probe && c.phase != phase -> n_outcome = Unable
  :: else -> if :: c.kind == Probe && on_way > 0 -> n_outcome = TooSoon
#ifndef NO_HEARD_CHECK
  :: else -> if :: c.kind == Abort && c.heard_since -> n_outcome = HeardSince
#else
  :: else -> if :: false
#endif
  :: else -> n_outcome = Done
  fi fi fi fi fi fi fi fi
}

/* Takes the oldest command. Its receipt is written in the next step, with a crash possible between. */
inline take() {
  obey(ring[0]);
  n_kind = ring[0].kind;
  NOTE_RECEIPT;
  if
  :: n_outcome == Done && n_kind == Probe ->
     ask(); on_way = 1
  :: n_outcome == Done && n_kind >= Abort ->
     /* No other is ended than was meant. */
     assert(ring[0].gen == gen);
     assert(!ring[0].late);
     assert(!ring[0].old_epoch);
     /* No living connection is ended for its silence. */
     assert(n_kind == Evict || !ring[0].heard_since);
     assert(n_kind == Evict || peer != There);
     assert(n_kind == Evict || span >= T);
     /* No end without its verdict in the ledger. */
     assert(ring[0].recorded);
     owed++;
     end_connection()
  :: else
  fi;
  writing.kind = (ring[0].kind == Evict -> Abort : ring[0].kind);
  writing.gen = ring[0].gen; writing.outcome = n_outcome;
  writing.recorded = ring[0].recorded; writing.mine = ring[0].mine;
  i = 0;
  do :: i + 1 < RING -> copy_command(ring[i], ring[i + 1]); i++ :: else -> break od;
  clear_command(ring[RING - 1]);
  waiting--;
  half = 1;
  i = 0; n_kind = 0; n_outcome = 0
}
inline write_receipt() {
  if
  :: written < RECEIPTS -> copy_receipt(receipts[written], writing); written++
  :: else -> /* only without the check for room: the oldest is overwritten */
     assert(receipts[0].kind != Abort || receipts[0].kept);
     drop_first_receipt();
     copy_receipt(receipts[written], writing); written++
  fi;
  clear_receipt(writing);
  half = 0
}
inline drop_first_receipt() {
  i = 0;
  do :: i + 1 < RECEIPTS -> copy_receipt(receipts[i], receipts[i + 1]); i++ :: else -> break od;
  clear_receipt(receipts[RECEIPTS - 1]);
  written--;
  told = (told > 0 -> told - 1 : 0);
  i = 0
}
inline fresh_plane() {
  i = 0;
  do :: i < RING -> clear_command(ring[i]); i++ :: else -> break od;
  i = 0;
  do :: i < RECEIPTS -> clear_receipt(receipts[i]); i++ :: else -> break od;
  i = 0;
  clear_receipt(writing);
  waiting = 0; written = 0; told = 0; half = 0; dead = 0; asleep = 0; stale = 0;
  end_connection();
  forget_entry();
  since = First
}

/* ---- the control plane ---- */

/* Controller::receipt. */
inline hear_receipt(r) {
  if
  :: entry && in_flight == r.kind && r.mine && entry_gen == r.gen ->
     in_flight = None; in_flight_late = 0;
     if
     :: r.outcome == WrongIdentity || r.outcome == AlreadyEnded -> forget_entry()
     :: r.outcome == Done || r.outcome == HeardSince -> skip
     :: else -> hold = 1
     fi
  :: else
  fi;
  r.mine = 0
}
inline keep(r) {
  if
  :: !disk_full && !r.kept -> r.kept = 1;
     if :: r.kind == Abort && r.outcome == Done -> owed-- :: else fi
  :: else
  fi
}
inline drain_receipts() {
  do :: told < written -> hear_receipt(receipts[told]); told++ :: else -> break od;
#ifndef FORGET_BEFORE_LEDGER
  keep_all()
#endif
}
inline keep_all() {
  i = 0;
  do :: i < told -> keep(receipts[i]); i++ :: else -> break od;
  i = 0
}
/* Gives back what the ledger has, and probes, of which it need not know. */
inline forget_receipts() {
  do
#ifdef FORGET_BEFORE_LEDGER
  :: told > 0 -> assert(receipts[0].kind != Abort || receipts[0].kept); drop_first_receipt()
#else
  :: told > 0 && (receipts[0].kept || receipts[0].kind == Probe || !receipts[0].recorded) ->
     assert(receipts[0].kind != Abort || receipts[0].kept);
     drop_first_receipt()
#endif
  :: else -> break
  od
}

/* Judge. */
inline judge() {
  s_unanswered = proof - (on_way > 0 && proof > 0 -> 1 : 0);
  if
  :: age < INTERVAL -> s_now = Alive
  :: age >= INTERVAL && s_unanswered == 0 -> s_now = Silent
#ifdef FEWER_QUESTIONS
  :: age >= INTERVAL && s_unanswered > 0 && s_unanswered + 1 >= N && span >= T && !untried -> s_now = Gone
#elif defined(NO_SPAN)
  :: age >= INTERVAL && s_unanswered >= N && !untried -> s_now = Gone
#else
  :: age >= INTERVAL && s_unanswered >= N && span >= T && !untried -> s_now = Gone
#endif
  :: else -> s_now = Suspect
  fi
}
/* Controller::command_for, and the room in the ring. */
inline choose_command() {
  if
  :: hold || waiting >= RING || (entry && in_flight != None) -> n_kind = None
  :: else ->
     if
     :: s_now == Gone -> n_kind = Abort
     :: s_now != Gone && on_way == 0 -> n_kind = Probe
     :: else -> n_kind = None
     fi
  fi
}
/* What the ledger is told, and what comes of it. */
inline decide() {
  n_before = decided; n_since = since; n_after = s_now;
  if
  :: !disk_full -> told_verdict = 1; since = Same; NOTE_VERDICT
  :: else -> told_verdict = 0
  fi;
  decided = s_now;
  if
  :: n_kind != None ->
     in_flight = n_kind; in_flight_late = 0;
     pending.kind = n_kind; pending.gen = gen; pending.phase = phase
  :: else
  fi;
  step = Commit
}
/* Controller::observe. */
inline look() {
  n_kind = None;
  if
  :: stale -> finish_round() /* its plane is stopped: no verdict */
  :: else ->
     if :: entry && entry_gen != gen -> forget_entry(); nothing_is_mine() :: else fi;
     if :: in_flight_late -> in_flight = None; in_flight_late = 0; nothing_is_mine() :: else fi;
     if
     :: !live -> forget_entry(); nothing_is_mine(); finish_round()
     :: else ->
        judge();
        if
        :: s_now == Alive && !entry -> finish_round()
        :: s_now == Alive && entry ->
           if
           :: decided == Suspect || decided == Gone -> decide()
           :: else -> decided = Alive; finish_round()
           fi;
           if :: in_flight == None -> forget_entry() :: else fi
        :: else ->
           choose_command();
           s_news = (s_now != decided && s_now >= Suspect -> 1 : 0);
           if
           :: s_news || n_kind != None -> entry = 1; entry_gen = gen; decide()
           :: else ->
              if :: entry -> decided = s_now :: else fi;
              finish_round()
           fi
        fi
     fi
  fi;
  n_before = 0; n_since = 0; n_after = 0; n_kind = 0; s_now = 0; s_unanswered = 0; s_news = 0
}
/* Controller::end_of_round, after the look of the same round: over its budget. What is remembered of the ladder
   stays. */
inline evict() {
  judge();
  n_after = s_now; n_kind = Evict;
  if
  :: !disk_full -> told_verdict = 1; since = Same; NOTE_EVICTION
  :: else -> told_verdict = 0
  fi;
  entry = 1; entry_gen = gen; in_flight = Abort; in_flight_late = 0; /* to its plane it is one */
  pending.kind = Evict; pending.gen = gen; pending.phase = phase;
  attended = 0;
  step = Commit;
  n_after = 0; n_kind = 0; s_now = 0; s_unanswered = 0
}
inline finish_round() {
  step = Drain; attended = 1; told_verdict = 0;
  clear_command(pending)
}
/* Attendant::publish. A destructive command without its verdict in the ledger is withheld. */
inline publish() {
  if
  :: pending.kind == None -> skip
#ifndef RING_BEFORE_LEDGER
  :: pending.kind >= Abort && !pending.recorded ->
     if :: entry -> in_flight = None; in_flight_late = 0; hold = 1 :: else fi
#endif
  :: else -> pending.mine = 1; copy_command(ring[waiting], pending); waiting++
  fi;
  finish_round()
}
inline stop_control_process() {
  forget_entry(); nothing_is_mine();
  clear_command(pending);
  step = Drain; attended = 0; hint = 0; told = 0; told_verdict = 0; since = First;
  control = Down; away = 0
}
inline start_control() {
  i = 0;
  do :: i < RING -> ring[i].old_epoch = (ring[i].kind != None -> 1 : 0); i++ :: else -> break od;
  i = 0;
  if :: away > 0 -> spoil() :: else fi;
  control = Up; away = 0
}
/* Attendant::plane_failed, when the ledger can keep what it says, and another plane begins. A done command whose
   receipt was never written stands in the record of the end. */
inline bury_plane() {
  if :: half && writing.kind == Abort && writing.outcome == Done -> keep(writing) :: else fi;
  told = written;
  keep_all();
  i = 0;
  do :: i < written -> assert(receipts[i].kind != Abort || receipts[i].kept); i++ :: else -> break od;
  fresh_plane()
}

/* ---- time ---- */

#define ANSWERED (on_way != 1 || peer != There)
#define CONTROL_HAD_ITS_TURN ((control == Up && attended) || (control != Up && away < LONGEST))
#define PLANE_HAD_ITS_TURN                                                   \
  (!half && ((asleep && !stale) || (!asleep && (waiting == 0 || written == RECEIPTS))) && \
   (!dead || control != Up || disk_full))

inline tick() {
  if :: live && asked && control == Up && attended && !asleep && span < T -> span++ :: else fi;
  if :: live && age < INTERVAL -> age++ :: else fi;
  on_way = 0;
  i = 0;
  do :: i < RING -> ring[i].late = (ring[i].kind != None -> 1 : 0); i++ :: else -> break od;
  i = 0;
  pending.late = (pending.kind != None -> 1 : 0);
  in_flight_late = (in_flight != None -> 1 : 0);
#ifndef NEVER_AGAIN
  hold = 0;
#endif
  said = 0; attended = 0; hint = 0;
  stale = asleep;
  away = (control != Up -> away + 1 : 0);
  full_for = (disk_full -> full_for + 1 : 0)
}

active proctype world() {
  do
  /* the peer */
  :: d_step { live && !asleep && !dead && !said && peer != Vanished -> said = 1; hear();
       hint = (control == Up && attended -> 1 : 0) }
  :: d_step { live && !asleep && !dead && on_way == 1 && peer == There -> hear() }
  :: d_step { live && on_way == 1 && peer == There && missed + 1 < N -> on_way = 2; missed++ }
  :: d_step { live && asleep && on_way == 1 && peer == There -> on_way = 2 }
  :: d_step { live && peer == There -> peer = Cut }
  :: d_step { live && peer != Vanished -> peer = Vanished }
  /* the application, and the protocol's own ends */
  :: d_step { live && !asleep && !dead && phase == Idle -> phase = Sending }
  :: d_step { live && !asleep && !dead && phase != Closed -> phase = Closed; untried = 1 }
  :: d_step { live && !asleep && !dead && peer != Vanished -> end_connection() }
  :: d_step { !live && !asleep && !dead && opens < GENS ->
       opens++; gen++; live = 1; since = First; forget_questions() }
  /* the plane; it retransmits of itself what is outstanding */
#ifndef NO_RECEIPT_ROOM
  :: d_step { !asleep && !dead && !half && waiting > 0 && written < RECEIPTS -> take() }
#else
  :: d_step { !asleep && !dead && !half && waiting > 0 -> take() }
#endif
  :: d_step { half && !dead -> write_receipt() }
  /* the control plane's round */
  :: d_step { control == Up && hint -> attended = 0; hint = 0 }
  :: d_step { control == Up && !dead && step == Drain && !attended -> drain_receipts(); step = Forget }
  :: d_step { control == Up && !dead && step == Forget -> forget_receipts();
#ifdef FORGET_BEFORE_LEDGER
              keep_all();
#endif
              step = Look }
  :: d_step { control == Up && !dead && step == Look -> look() }
  :: d_step { faults > 0 && control == Up && !dead && step == Look && live && phase == Idle && !stale &&
              waiting < RING ->
              look();
              if :: pending.kind == None && in_flight == None -> faults--; evict() :: else fi }
#ifndef RING_BEFORE_LEDGER
  :: d_step { control == Up && !dead && step == Commit ->
              pending.recorded = (pending.kind != None && told_verdict && !disk_full -> 1 : 0);
              step = Publish }
  :: d_step { control == Up && !dead && step == Publish -> publish() }
#else
  :: d_step { control == Up && !dead && step == Commit -> publish() }
#endif
#ifdef BURIED_ONCE
  :: d_step { control == Up && dead -> bury_plane(); finish_round() }
#else
  :: d_step { control == Up && dead && !disk_full -> bury_plane(); finish_round() }
#endif
  /* faults, and their ends */
  :: d_step { faults > 0 && control != Down -> faults--; stop_control_process() }
  :: d_step { control == Down -> start_control() }
  :: d_step { faults > 0 && control == Up -> faults--; control = Stopped; away = 0 }
  :: d_step { control == Stopped ->
              if :: away > 0 -> spoil() :: else fi;
              control = Up; away = 0 }
  :: d_step { faults > 0 && !asleep && !dead -> faults--; asleep = 1 }
  :: d_step { asleep -> spoil(); asleep = 0; stale = 0; attended = (step == Drain -> 0 : attended) }
  :: d_step { faults > 0 && !dead -> faults--; dead = 1; asleep = 0; stale = 0; end_connection() }
  :: d_step { faults > 0 && !disk_full -> faults--; disk_full = 1; full_for = 0 }
  :: d_step { disk_full -> disk_full = 0; full_for = 0 }
  /* time */
  :: d_step { CONTROL_HAD_ITS_TURN && PLANE_HAD_ITS_TURN && ANSWERED && (!disk_full || full_for < LONGEST) -> tick() }
  :: d_step { CONTROL_HAD_ITS_TURN && PLANE_HAD_ITS_TURN && ANSWERED && (!disk_full || full_for < LONGEST) &&
              live && phase != Idle && !asleep && !dead && (peer != There || missed + 1 < N) ->
              if :: peer == There -> missed++ :: else fi;
              tick();
              ask() }
  od
}

/* Every gone one is ended at last, and every end by command is told of in the ledger at last. */
ltl at_last { []<> !((live && peer == Vanished) || owed > 0) }
