#!/usr/bin/env python3
"""docs/why.md, what `adieu why` says about seven connections, made from seven real ones.

What lives here: the seven, each brought about in a network namespace of its own, with `adieu up`, the examples, and
peers on this host's kernel. Without --write it is a test: what adieu prints now is compared with what the file holds,
numbers and times apart.

usage: why.py ADIEU [--write]
"""
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests"))
from own_network import enter_own_network, may_make_interfaces  # noqa: E402

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "why.md")
PATIENCE = 12  # seconds for a scene to look as it does in the page

HEAD = """# What `adieu why` says

Seven connections that people ask about at three in the morning, and what adieu says of each. Each was real: `docs/why.py`
brings them about in network namespaces of its own, and a test compares what adieu prints with this page, numbers and
times apart. To keep it short, peers are asked after 1 s of silence instead of 25 s (`interval`), and a proof takes 4
questions (`probes`) over 40 s (`proof_span`) instead of 31 over 100 s.
"""

POLICY = """
[default]
interval = "1s"
probes = 4
proof_span = "40s"
when_forgotten = { after = "1h", do = "finish" }
"""
BUDGET = POLICY + """
[budget.orphans]
count = 1
"""

# Small programs of the kernel's side: one that accepts, and neither reads nor closes; a client that does as it is told.
QUIET = """
import socket
s = socket.create_server(("0.0.0.0", %d)); kept = []
print("listening", flush=True)
while True: kept.append(s.accept())
"""
CLIENT = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"hello"); {read}
print("connected", s.getsockname()[1], flush=True); sys.stdin.readline()
{end}
print("done", flush=True); sys.stdin.readline()
"""


class World:
    def __init__(self, adieu):
        self.adieu, self.examples = adieu, os.path.join(os.path.dirname(adieu), "examples")
        self.directory = tempfile.TemporaryDirectory()
        self.programs = []
        if not (may_make_interfaces() and enter_own_network()):
            print("SKIPPED: this machine permits no network namespace of our own")
            raise SystemExit(77)
        run("nft", "add", "table", "inet", "world")
        for hook in ("input", "output"):
            run("nft", "add", "chain", "inet", "world", hook, f"{{ type filter hook {hook} priority 0; }}")

    def start(self, *arguments, says=None):
        program = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        self.programs.append(program)
        if says:
            line = program.stdout.readline()
            assert says in line, (arguments, line)
            return program, line
        return program

    def up(self, name, policy, *flags):
        run_dir = os.path.join(self.directory.name, name)
        os.mkdir(run_dir, 0o700)
        with open(run_dir + ".toml", "w") as file:
            file.write(policy)
        self.start(self.adieu, "up", "--run-dir", run_dir, "--policy", run_dir + ".toml", "--sweep", "100ms", *flags,
                   says="adieu: up")
        return run_dir

    def python(self, text, *arguments, **more):
        return self.start(sys.executable, "-u", "-c", text, *arguments, **more)

    def example(self, name, run_dir, number, *arguments, **more):
        """On an engine of its own: 10.78.NUMBER.2, the kernel being .1."""
        return self.start(os.path.join(self.examples, name), "--run-dir", run_dir, "--tun", f"adieu{number}",
                          "--address", f"10.78.{number}.2/24", "--gateway-address", f"10.78.{number}.1/24", *arguments,
                          **more)

    def cut(self, hook, match):
        run("nft", "add", "rule", "inet", "world", hook, *match.split(), "drop")

    def ls(self, run_dir, *words):
        done = subprocess.run([self.adieu, "ls", "--json", "--run-dir", run_dir, *words], text=True, timeout=10,
                              stdout=subprocess.PIPE)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def await_row(self, run_dir, *words):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if rows := self.ls(run_dir, *words):
                return rows[0]
            time.sleep(0.05)
        raise SystemExit(f"why.py: nothing came to be {' '.join(words)}: {self.ls(run_dir, '--all')}")

    def why(self, run_dir, id):
        return subprocess.run([self.adieu, "why", "--run-dir", run_dir, id], text=True, timeout=10,
                              stdout=subprocess.PIPE).stdout

    def end(self):
        for program in reversed(self.programs):
            program.terminate()
        for program in reversed(self.programs):
            try:
                program.wait(5)
            except subprocess.TimeoutExpired:
                program.kill()


def run(*arguments):
    subprocess.run(arguments, check=True, timeout=10)


# Each begins its scene and gives back (run directory, ID, what its text holds once it is ready).

def living_peer(world):
    world.start(sys.executable, "-u", os.path.join(os.path.dirname(PAGE), "../examples/endless_server.py"), "0.0.0.0",
                "5001", says="listening")
    world.example("half_closing_client", world.a, 1, "10.78.1.1:5001")
    return world.a, world.await_row(world.a, "dst 10.78.1.1 state fin-wait-2")["id"], r"data \(last heard"


def vanished_peer(world):
    world.python(QUIET % 5002, says="listening")
    world.example("half_closing_client", world.a, 2, "10.78.2.1:5002")
    row = world.await_row(world.a, "dst 10.78.2.1 state fin-wait-2")
    world.cut("input", "ip saddr 10.78.2.2")
    return world.a, row["id"], r"(?s)suspect.*asked, [5-9] of"


def unread(world):
    world.python(QUIET % 5003, says="listening")
    client, _ = world.python(CLIENT.format(read="", end="s.shutdown(socket.SHUT_WR)"), "127.0.0.1", "5003",
                             says="connected")
    client.stdin.write("\n")
    client.stdin.flush()
    return world.a, world.await_row(world.a, "state close-wait and sport = :5003 and unread > 0")["id"], "peer silent"


def forgotten(world):
    world.example("forgetful_server", world.a, 3, "5004", says="listening")
    client, _ = world.python(CLIENT.format(read="", end="s.shutdown(socket.SHUT_WR)"), "10.78.3.2", "5004",
                             says="connected")
    client.stdin.write("\n")
    client.stdin.flush()
    return world.a, world.await_row(world.a, "state close-wait and sport = :5004 and eof read")["id"], r"(?s)alive.*◀─+ last heard"


def last_ack(world):
    client, line = world.python(CLIENT.format(read="s.recv(5)", end="s.shutdown(socket.SHUT_WR)"), "10.77.0.2", "7",
                                says="connected")
    port = line.split()[1]
    world.cut("input", f"ip saddr 10.77.0.2 tcp dport {port}")
    # The client's FIN gets through once; sent again, it would be a sign of life.
    world.cut("output", f"ip daddr 10.77.0.2 tcp sport {port} tcp flags & fin == fin limit rate over 1/hour burst 1 packets")
    client.stdin.write("\n")
    client.stdin.flush()
    client.stdout.readline()
    row = world.await_row(world.a, f"plane engine and state last-ack and dport = :{port}")
    return world.a, row["id"], r"(?s)suspect.*asked, [4-9] of"


def over_budget(world):
    world.python(QUIET % 5006, says="listening")
    ids = []
    for number in (4, 5):
        world.example("half_closing_client", world.b, number, "--close-after", "100", f"10.78.{number}.1:5006")
        ids.append(world.await_row(world.b, f"dst 10.78.{number}.1 state fin-wait-2")["id"])
    return world.b, ids[0], "budget"


def time_wait(world):
    client, line = world.python(CLIENT.format(read="s.recv(5)", end="s.close()"), "10.77.0.2", "7", says="connected")
    client.stdin.write("\n")
    client.stdin.flush()
    return world.a, world.await_row(world.a, f"state time-wait and sport = :{line.split()[1]}")["id"], "TIME-WAIT"


SCENES = [
    ("FIN-WAIT-2, and the peer lives", living_peer,
     "We have closed our side and the peer talks on. No clock may end this; only the peer does."),
    ("FIN-WAIT-2, and the peer has vanished", vanished_peer,
     "The peer's host is cut off, and nobody tells. Each form of question stays unanswered, and the time of the earliest\n"
     "proof is known."),
    ("CLOSE-WAIT, the end of stream unread", unread,
     "A program on this host's kernel has not read what the peer sent before it closed. adieu cannot end it, and says who can."),
    ("CLOSE-WAIT, forgotten", forgotten,
     "The program has read the end of the stream, and has not closed since. By this policy that is a leak after an hour."),
    ("LAST-ACK, unanswered", last_ack,
     "Our FIN is under way and nobody acknowledges it. Its retransmissions are the questions."),
    ("An orphan over budget", over_budget,
     "Two connections that no program holds, where the policy grants one. This one went first, and the ledger tells why."),
    ("TIME-WAIT", time_wait, "The protocol's own quarantine: the one state whose end is a matter of time, and stays."),
]


def shape(text):
    """What remains of it when numbers, times and what follows from their widths are taken away."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    text = re.sub(r"; probe, [a-z ]+ -> done", "", text)  # whether a question fell due together with the verdict
    text = re.sub(r"FIN-WAIT-(\d)", lambda m: "FIN-WAIT-" + "IV"[int(m[1]) - 1], text)
    text = re.sub(r"\d+(\.\d+)? (us|ms|s|min \d+ s|h \d+ min|d \d+ h)\b", "TIME", text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    text = re.sub(r"questions?\b", "questions", text)
    return re.sub(r"[─╌ ]+", " ", text)


def page_of(texts):
    parts = [HEAD]
    for title, _, says in SCENES:
        parts.append(f"\n## {title}\n\n{says}\n\n```\n{texts[title]}```\n")
    return "".join(parts)


def texts_of(page):
    return {title: body for title, body in re.findall(r"\n## ([^\n]*)\n.*?\n```\n(.*?)```\n", page, re.S)}


def play(world, known):
    """The text of each scene; where a known one has the same shape, that one."""
    begun = {title: begin(world) for title, begin, _ in SCENES}
    texts, end = {}, time.monotonic() + PATIENCE
    while len(texts) < len(SCENES):
        late = time.monotonic() > end
        for title, (run_dir, id, ready) in begun.items():
            if title in texts:
                continue
            text = world.why(run_dir, id)
            if title in known and shape(text) == shape(known[title]):
                texts[title] = known[title]
            elif late or (title not in known and re.search(ready, text)):
                texts[title] = text
        time.sleep(0.05)
    return texts


def main():
    adieu, write = os.path.abspath(sys.argv[1]), "--write" in sys.argv
    known = {}
    if os.path.exists(PAGE):
        with open(PAGE) as file:
            known = texts_of(file.read())
    world = World(adieu)
    try:
        world.a = world.up("a", POLICY)
        world.b = world.up("b", BUDGET, "--plane", "kernel")
        texts = play(world, known)
    finally:
        world.end()
    page = page_of(texts)
    with open(PAGE, "w" if write else "r") as file:
        if write:
            file.write(page)
        elif file.read() != page:
            for title, text in texts.items():
                if text != known.get(title):
                    print(f"why.py: {title}: adieu says\n{text}which differs from docs/why.md in:")
                    print("\n".join(line for line in difflib.ndiff(shape(known.get(title, "")).splitlines(),
                                                                  shape(text).splitlines()) if line[0] in "+-"))
            raise SystemExit("why.py: docs/why.md is not what adieu says (any more): look, and then run it with --write")


main()
