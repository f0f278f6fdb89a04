// What the man pages say beyond the options. What does not live here: roff (man.cc), options (flags.cc).
#include "cli/description.h"

namespace adieu::cli {
namespace {

struct Prose {
  std::string_view command;
  std::string_view text;
};

constexpr Prose kProse[] = {
    {"adieu", R"(A TCP whose connections end for a reason, never because a clock ran out. A data plane moves octets
and keeps the state machine of RFC 9293; a control plane, a process of its own, gathers evidence about each connection,
reaches a verdict, and acts by a rule. There are two data planes: a user-space TCP engine, and the TCP of the Linux
kernel. The kernel's connections belong to programs that know nothing of adieu: they are watched, and asked or ended
only where a person (`adieu probe`, `adieu end`) or a rule that says `plane kernel` wants it.

`adieu up` starts it all. The other commands look at what runs, and do nothing to it unless they say so.
# ENVIRONMENT
ADIEU_RUN_DIR names the run directory where `--run-dir` is not given. NO_COLOR, if set, keeps colours off a terminal.
# EXIT STATUS
0, or 2 on trouble, with one line on standard error. Where a command looks for something (`ls`, `why`, `watch --once`,
`log`, `probe`, `end`, `policy try`), 0 says that nothing was found, and 1 that something was. A well-formed ID that no
connection has is nothing found: 0, with a line on standard error.
)"},
    {"up", R"(Runs the engine, watches the kernel's TCP, and judges the connections of both, in the foreground. SIGTERM
or SIGINT ends all of it in good order: the engine's connections are reset, the kernel's are left alone. Any of its
processes may be killed: the others go on, and what died is started again. Where `adieu up` itself dies (SIGKILL), the
next one adopts what still runs, its policy included: a control plane that is adopted keeps the policy in force until
its process is killed, which no connection notices, or its file is read again (SIGHUP).

A service manager that asks for it (sd_notify(3)) is told when all of it is ready.

Should the run directory be moved or removed meanwhile, `adieu up` says so: data planes go on, but no command finds them
until it is back.
# EXIT STATUS
0 when it was told to end, 2 on trouble.
)"},
    {"ls", R"(Lists the connections of every plane, one a line: those that will never end by themselves first, and among
those the one longest in its state. Control need not run; what is shown is read from the planes' own tables.

Columns are those of ss(8): Recv-Q, octets that the application has not read, and Send-Q, octets that the peer has not
acknowledged, are the members unread and unsent of the JSON and of the filter. Then: Standing, what is known of the peer
(alive, silent, suspect, gone, unknown, ended); Age, the time in that state; Ends, what will end it ("never", "in 41 s",
"unknown: ..."); ID, its name for `adieu why`.
A dash is a fact that its plane cannot know.
# FILTER
The words after the options are one filter, in the grammar of ss(8) and with words of adieu's own. Only what surely
matches is listed; how much may match besides is said below the list.

    state X, exclude X       several in a row are a set of states
    src HOST, dst HOST       ADDR[/BITS][:PORT], [v6]:PORT, *
    sport OP PORT, dport OP PORT
    standing alive|silent|suspect|gone|unknown|ended
    age OP DURATION          in its state
    idle OP DURATION         since the peer was last heard
    held yes|no|unknown      holder held|accept-queue|orphan|unknown
    eof read|unread|unknown  attempts OP NUMBER
    unread, unsent OP NUMBER (the columns Recv-Q and Send-Q)
    plane engine|kernel|NAME comm NAME    pid NUMBER    family inet|inet6
    not > and > or; ( ); two terms side by side are joined by and

Quote parentheses and < and > for the shell. Connections that have ended are listed with `--all`, and where the filter
asks for a standing. What will end a connection is no fact of it but follows from the rule, so no filter asks for it;
`--never` lists only those whose Ends begins with "never".
# JSON
With `--json`, one object a line. Ages and spans are in seconds; null is a fact that nobody knows. The members stay;
others may be added.

    id                    PLANE/SLOT.GENERATION
    incarnation           of the plane; with the id it names a connection for ever
    plane, kind, pid      its plane: name, engine or kernel, process
    comm                  the program that holds it, where that is known
    local, remote         ADDRESS:PORT
    state                 as RFC 9293 spells it
    reason, ended_by      why it ended; the verdict that commanded it
    holder, wanted        who on this host refers to it, and whether anyone wants it
    standing              what is known of the peer
    state_age_s, heard_ago_s, heard
    progress_in_ago_s, progress_out_ago_s, oldest_unacked_ago_s
    attempts, probes      what was asked and not answered
    unread, unsent        octets: Recv-Q and Send-Q
    send_shut, receive_shut, peer_window_closed, end_of_stream_read
    ends                  what will end it
    ends_short            the same as in the column
    ends_in_s             when, where time alone ends it
    rule                  the name of the rule that holds
    judged_ago_s, control the last whole sweep; running, stopped or absent
# EXIT STATUS
0 nothing found, 1 found, 2 trouble.
# EXAMPLES
    adieu ls state close-wait and age '>' 1h
    adieu ls standing gone or standing suspect
    adieu ls --json --sort recv 'unread > 0' | jq -r .id
)"},
    {"why", R"(One screen about one connection: what it waits for, and since when; what will end it, and when; what the
rule does about it; the evidence, each item with its strength (proof, counts, hint, lacking), age and source; what you
can do; what the ledger keeps; and a ladder, our end left and the peer right, from the past over now to what is pending.

What conntrack of this host (NAT, firewalls) keeps of the connection is asked for in its own network and in ours: the
entry's state, both tuples, when it expires unless a packet passes, what passes before, and what a packet meets after.
An entry ends no connection: neither end learns that it has expired. Asking takes CAP_NET_ADMIN.

When the kernel itself gives a connection of its own up is asked for in the connection's network: retransmissions,
zero-window probes or keepalives so far, how many are left, which setting limits them (most limits are times:
tcp_retries2 = 15 is 924.6 s from the first retransmission on), and about when that is reached if nobody answers. Timers
fire late, by an eighth of their length at the most. What the program has set (TCP_USER_TIMEOUT, keepalive,
TCP_LINGER2) is read through a duplicate of its descriptor, closed at once: as root, or as the program's user.

In the ladder a whole line is a segment that was sent or heard, a broken one that ends in ? was not answered, and a
broken one with an arrow is planned. A state of the peer with ? follows from ours, if the peer is still there. Between
the two stands what conntrack has.
# JSON
With `--json`, one object: the members of `adieu ls --json`, and waits_for, rule_does, evidence (sentences), grounds
(sentence, source, strength, age), conntrack (entries, unseen), own_limits (when its kernel gives it up), advice,
verdicts (of the ledger), end.
# EXIT STATUS
0 no such connection, in a table or in the ledger, said on standard error; 1 found; 2 trouble.
)"},
    {"watch",
     R"(A table as of `adieu ls`, looked at anew all the time. Where there are more connections than lines, those
of one plane, state and standing are folded into one line with their count and the oldest one's age. Where the terminal
is too narrow, columns are left out: Process, Recv-Q, Send-Q, Local, Age and Standing, in this order; Ends and ID stay.
# KEYS
    up, down, k, j, page up, page down   move
    enter        open a group, or one connection as `adieu why` shows it; enter again goes back
    p            ask the peer of the connection once, as `adieu probe` does
    s            sort by the next order
    /            change the filter: backspace, ctrl-u clears it, enter applies it, escape leaves it; empty shows all
    ?            these keys
    q, escape    back, or quit
# EXIT STATUS
With `--once`: 0 nothing found, 1 found, 2 trouble. Else 0, or 2 on trouble.
)"},
    {"log", R"(Prints what the ledger in the run directory has kept: verdicts with their evidence, the commands that
followed, what became of them, ends, and facts about more than one connection. Only the file is read: nothing needs to
run. Where `adieu up --ledger FILE` keeps it elsewhere, a link leads there; without that link, `--run-dir` may name the
folder of a FILE that is called ledger.db.

The receipt of a probe says that the question was sent. That it was answered is told by the verdict that follows, where
one does: "suspect -> alive ... an acceptable segment was heard". A peer that was alive before and answers changes no
verdict, and questions that change nothing share one row, so the ledger cannot count them.

Where the 100 newest are not all, that is said on standard error, except with `--json` or `--limit`.
# EXIT STATUS
0 nothing found, 1 found, 2 trouble.
# EXAMPLES
    adieu log --since 1h --kind end
    adieu log --kind verdict,command engine/12.3
    adieu log --follow --json engine/12.3
)"},
    {"probe", R"(Asks the peer of one connection for a sign, now, in a form that the connection's history allows, and
waits for it. One unanswered question proves nothing: only the rule's number of them does. A peer that has forgotten the
connection answers with a reset, which ends it.

While the control plane starts again (a second), it is tried for 3 seconds. One that does not even say how it is within
2 seconds is sent no order. An order that was sent and is not answered within 6 seconds (and `--wait`) is given up with
status 2: it may still be carried out.
# JSON
With `--json`, one object: id, act, done, outcome, sentence, state, verdict; heard and heard_after_s, whether and when a
segment that belongs to the connection came; ended, the reason where it ended meanwhile ("reset by path or peer": the
peer has forgotten it), else null.
# EXIT STATUS
0 it did not answer, or it ended meanwhile and nothing told why, or there is no such connection (said on standard
error); 1 it did, be it by a reset; 2 trouble: it could not be asked.
# EXAMPLES
    adieu probe engine/12.3
    adieu probe --wait 10s 10.77.0.2:7 10.77.0.1:51234
)"},
    {"end", R"(Ends one connection by its ID or both its endpoints, or all that a filter (see adieu-ls(1)) matches.
Without a flag, a connection in ESTABLISHED or CLOSE-WAIT is finished (our FIN, behind whatever waits to be sent), any
other is reset. What is told by `--dry-run` is what the application and the peer will see. A finish waits for the peer
like any close; `--reset` waits for nobody. Each is in the ledger before it is done. How long an unresponsive
control plane is waited for: see adieu-probe(1).

`--keepalive` ends nothing now: the kernel asks the peer of its connection from now on, by SO_KEEPALIVE, which stays on,
and ends the connection once nobody answers. What is not given of `--idle`, `--interval` and `--count` stays as the
connection has it.

A dry run tells once what is the same for many (program, state and words), with three examples; `--all` tells each.
Before several are ended, the same is told of the three largest such groups, and asked for a yes. Of the kernel's
connections the descriptor stays open: only the program can close it.
# EXIT STATUS
0 nothing matched, or there is no such connection (said on standard error); 1 all of it was done, or had ended
meanwhile; 2 trouble: something was not done.
# EXAMPLES
    adieu end --dry-run state close-wait and eof read and age '>' 1h
    adieu end --reset engine/12.3
    adieu end --keepalive --idle 10min state fin-wait-2 and holder held
    adieu end 10.77.0.2:7 10.77.0.1:51234
)"},
    {"policy", R"(Reads policies: rules, matched from the top, that say whom to ask and how often, what proves a peer
gone, and what is done to whom. docs/policy.md lists every key.
# EXAMPLES
    adieu policy check FILE
    adieu policy show
    adieu policy try FILE
)"},
    {"story", R"(Tells the half-close story, chapter by chapter, in network namespaces of its own: what happens is drawn
as it was seen on the wire, and each claim is checked on the wire, in ss(8) and in the tables. It changes nothing
outside.
# EXIT STATUS
0 when every claim held, 1 when one did not, 2 on trouble.
)"},
    {"completion", R"(Prints a script that completes commands, options and their values. It knows every option that this
adieu knows.
# EXAMPLES
    source <(adieu completion bash)
    adieu completion zsh > "${fpath[1]}/_adieu"
    adieu completion fish > ~/.config/fish/completions/adieu.fish
)"},
    {"man", R"(Prints the manual page of a command, or of adieu itself, in roff.
# EXAMPLES
    adieu man ls | man -l -
)"},
};

}  // namespace

std::string_view prose_of(std::string_view command) {
  for (const Prose& prose : kProse)
    if (prose.command == command) return prose.text;
  return {};
}

}  // namespace adieu::cli
