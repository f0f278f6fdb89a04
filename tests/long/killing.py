#!/usr/bin/env python3
"""Control is killed by SIGKILL every 200 ms under real traffic: no connection is lost, and the ledger stays consistent.

Kernel programs hold connections to the engine's echo and chargen, in a network namespace of this script's own. Some of
the peers vanish at the beginning, so that there are verdicts of death and commands to tell. What does not live here:
what one control plane decides (tests/control), what one ledger survives (tests/host/ledger_test.cc).

usage: killing.py ADIEU [--seconds N] [--connections N] [--json FILE]
"""
import argparse
import hashlib
import json
import os
import random
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network, may_make_interfaces  # noqa: E402

ENGINE, GONE_FROM = "10.77.0.2", "10.77.0.3"
ECHO, CHARGEN = 7, 19
KILL_EVERY = 0.2
# A proof in half a minute of attended time, so that verdicts of death fall into the killing. What the TUN's queue drops
# under full load is loss like any other: the number of questions is the one derived for 30 %, each way.
SWEEP = ["--sweep", "50ms"]
POLICY = ["--interval", "1s", "--loss", "0.3", "--proof-span", "31s"]
ESTABLISHED, FIN_WAIT_2 = 1, 5
SKIPPED = 77


def chargen_line(number):
    return bytes(32 + (number + column) % 95 for column in range(72)) + b"\r\n"


# RFC 864: 95 lines, then the same again.
CHARGEN_RING = b"".join(chargen_line(number) for number in range(95))


class Peer:
    """One connection of a kernel program; it knows what must come back."""

    def __init__(self, port, source=""):
        self.socket = socket.create_connection((ENGINE, port), timeout=20,
                                               source_address=(source, 0) if source else None)
        self.socket.setblocking(False)
        # BBR answers such loss by pacing a few octets a second: it would be alive, and not done before the test is.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        self.port = port
        self.name = "%s:%d" % self.socket.getsockname()
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.octets_sent = self.octets_received = 0
        self.half_closed = False
        self.trouble = None

    def send(self, octets):
        """What an echo is given; a chargen needs nothing."""
        try:
            taken = self.socket.send(octets)
        except BlockingIOError:
            return
        except OSError as error:
            self.trouble = str(error)
            return
        self.sent.update(octets[:taken])
        self.octets_sent += taken

    def read(self, most=65536):
        try:
            octets = self.socket.recv(most)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.trouble = str(error)
            return 0
        if not octets:
            self.trouble = "end of stream"
            return 0
        if self.port == CHARGEN:
            begin = self.octets_received % len(CHARGEN_RING)
            ring = CHARGEN_RING * (2 + len(octets) // len(CHARGEN_RING))
            self.sent.update(ring[begin:begin + len(octets)])
            self.octets_sent += len(octets)
        self.received.update(octets)
        self.octets_received += len(octets)
        return len(octets)

    def state(self):
        return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]

    def is_whole(self):
        return (self.trouble is None and self.sent.digest() == self.received.digest() and
                self.octets_received > 0 and self.state() == (FIN_WAIT_2 if self.half_closed else ESTABLISHED))


class Killer:
    """Whoever is control now is killed, and a new one started at once; `adieu up` adopts it."""

    def __init__(self, adieu, run_dir):
        self.lock = os.path.join(run_dir, "control.lock")
        with open(os.path.join(run_dir, "policy.toml")) as file:  # in force
            policy = file.read()
        self.command = [adieu, "control-process", "--run-dir", run_dir, "--policy-text", policy, *SWEEP]
        self.started, self.kills, self.last = [], 0, 0

    def kill(self):
        try:
            with open(self.lock) as file:
                pid = int(file.read().split()[0])
            if pid != self.last:
                os.kill(pid, signal.SIGKILL)
                self.last = pid
                self.kills += 1
        except (OSError, ValueError, IndexError):
            pass  # the new one has not come so far
        self.started = [child for child in self.started if child.poll() is None]
        self.started.append(subprocess.Popen(self.command, stderr=subprocess.DEVNULL))


def traffic(peers, until, rng, killer=None):
    """Chunks to a few hundred peers at a time, and whatever comes back."""
    poll = select.epoll()
    by_file = {peer.socket.fileno(): peer for peer in peers}
    echoes = [peer for peer in peers if peer.port == ECHO]
    for peer in echoes:
        poll.register(peer.socket.fileno(), select.EPOLLIN | select.EPOLLHUP)
    blocks = [rng.randbytes(rng.randint(1, 4096)) for _ in range(64)]
    generators = [peer for peer in peers if peer.port == CHARGEN]
    kill_at = time.monotonic()
    while (now := time.monotonic()) < until:
        if killer and now >= kill_at:
            killer.kill()
            kill_at += KILL_EVERY
        for peer in rng.sample(echoes, min(100, len(echoes))):
            if peer.octets_sent - peer.octets_received < 16384 and peer.trouble is None:
                peer.send(rng.choice(blocks))
        for peer in rng.sample(generators, min(4, len(generators))):
            peer.read(8192)
        for file, _ in poll.poll(0.02):
            if by_file[file].trouble is None:
                by_file[file].read()
            if by_file[file].trouble is not None:
                poll.unregister(file)
    poll.close()


def drain(peers):
    """Every peer says one thing more, and hears the rest: who cannot has been lost."""
    deadline = time.monotonic() + 180
    for peer in peers:
        if peer.port == ECHO:
            peer.send(b"still there?")
    waiting = [peer for peer in peers if peer.trouble is None]
    wanted = {peer: 200_000 + peer.octets_received for peer in peers if peer.port == CHARGEN}
    while waiting and time.monotonic() < deadline:
        moved = sum(peer.read() for peer in waiting)
        waiting = [peer for peer in waiting if peer.trouble is None and
                   peer.octets_received < wanted.get(peer, peer.octets_sent)]
        if moved == 0:
            time.sleep(0.01)


def ledger_faults(path, living, vanished, until):
    """Sentences about what does not fit, and counts of what is there. The living lived up to entry `until`."""
    ledger = sqlite3.connect(path)
    faults = []

    def none(what, sql, *values):
        rows = ledger.execute(sql, values).fetchall()
        if rows:
            faults.append(f"{what}: {len(rows)}, the first {rows[0]}")

    (state,) = ledger.execute("PRAGMA integrity_check").fetchone()
    if state != "ok":
        faults.append(f"integrity_check: {state}")
    none("commands without a verdict", """SELECT number, verdict FROM entry c WHERE kind = 'command' AND NOT EXISTS
         (SELECT 1 FROM entry v WHERE v.number = c.verdict AND v.kind = 'verdict' AND v.slot = c.slot
          AND v.generation = c.generation AND v.incarnation = c.incarnation)""")
    none("receipts without a command", """SELECT number, verdict FROM entry r WHERE kind = 'receipt' AND NOT EXISTS
         (SELECT 1 FROM entry c WHERE c.verdict = r.verdict AND c.kind = 'command' AND c.slot = r.slot
          AND c.generation = r.generation AND c.incarnation = r.incarnation)""")
    none("receipts told twice", """SELECT verdict, count(*) FROM entry WHERE kind = 'receipt'
         GROUP BY verdict, incarnation, number_in_ring HAVING count(*) > 1""")
    none("ends by command without a verdict of death", """SELECT number, verdict FROM entry e WHERE kind = 'end'
         AND what = 'commanded' AND NOT EXISTS (SELECT 1 FROM entry v WHERE v.number = e.verdict AND v.kind = 'verdict'
         AND (v.standing = 'gone' OR v.cause = 'person') AND v.slot = e.slot AND v.generation = e.generation
         AND v.incarnation = e.incarnation)""")
    none("ends by command without the command", """SELECT number, verdict FROM entry e WHERE kind = 'end'
         AND what = 'commanded' AND NOT EXISTS (SELECT 1 FROM entry c WHERE c.verdict = e.verdict
         AND c.kind = 'command' AND c.what != 'probe')""")
    none("connections that ended twice", """SELECT incarnation, slot, generation FROM entry WHERE kind = 'end'
         GROUP BY incarnation, slot, generation HAVING count(*) > 1""")
    none("entries without what their kind needs", """SELECT number, kind FROM entry WHERE
         (kind IN ('verdict', 'command', 'receipt', 'end') AND (slot IS NULL OR plane IS NULL OR state IS NULL))
         OR (kind = 'verdict' AND (standing IS NULL OR NOT json_valid(detail)))""")
    ends = dict(ledger.execute("""SELECT remote, what FROM entry WHERE kind = 'end' AND plane = 'engine'
                               AND number <= ?""", (until,)))
    dead = {remote for (remote,) in ledger.execute("""SELECT remote FROM entry WHERE kind = 'verdict'
            AND plane = 'engine' AND standing = 'gone'""")}
    for peer in living:
        if peer.name in ends:
            faults.append(f"{peer.name} lives, and the ledger says: {ends[peer.name]}")
        if peer.name in dead:
            faults.append(f"{peer.name} lives, and has been judged gone")
    for peer in vanished:
        if ends.get(peer.name) != "commanded":
            faults.append(f"{peer.name} has vanished, and the ledger says: {ends.get(peer.name)}")
    counts = dict(ledger.execute("SELECT kind, count(*) FROM entry GROUP BY kind"))
    ledger.close()
    return faults, counts


def wait_for_the_end_of(vanished, path, timeout):
    names = {peer.name for peer in vanished}
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with sqlite3.connect(path) as ledger:
            ended = {remote for (remote,) in ledger.execute(
                "SELECT remote FROM entry WHERE kind = 'end' AND plane = 'engine'")}
        if names <= ended:
            return
        time.sleep(0.2)


def engine_rows(adieu, run_dir):
    listed = subprocess.run([adieu, "ls", "--json", "--run-dir", run_dir], capture_output=True, text=True, timeout=60)
    return [row for row in map(json.loads, listed.stdout.splitlines()) if row["kind"] == "engine"]


def vanish(peers):
    """Their address is this host's no more: nobody hears what the engine sends to them, and nobody answers."""
    subprocess.run(["ip", "addr", "del", GONE_FROM + "/32", "dev", "adieu0"], check=True)
    for peer in peers:
        try:
            peer.socket.send(b"never heard")
        except OSError:
            pass


def run(options, run_dir, up):
    rng = random.Random(options.seed)
    path = os.path.join(run_dir, "ledger.db")
    subprocess.run(["ip", "addr", "add", GONE_FROM + "/32", "dev", "adieu0"], check=True)
    few = max(4, options.connections // 100)
    vanished = [Peer(CHARGEN, GONE_FROM) for _ in range(few)]
    living = [Peer(CHARGEN) for _ in range(few)]
    living += [Peer(ECHO) for _ in range(options.connections - len(living))]
    for peer in living[:few // 2]:
        peer.socket.shutdown(socket.SHUT_WR)
        peer.half_closed = True
    traffic(living, time.monotonic() + 1, rng)
    vanish(vanished)
    killer = Killer(options.adieu, run_dir)
    begin = time.monotonic()
    traffic(living, begin + options.seconds, rng, killer)
    killed_for = time.monotonic() - begin
    wait_for_the_end_of(vanished, path, 120)
    drain(living)
    rows = engine_rows(options.adieu, run_dir)
    standing = {row["remote"] for row in rows if row["reason"] == "none"}
    lost = [peer for peer in living if not peer.is_whole() or peer.name not in standing]
    how = {peer: f"{peer.trouble}, state {peer.state()}" for peer in lost}
    up_lives = up.poll() is None
    with sqlite3.connect(path) as ledger:
        (until,) = ledger.execute("SELECT max(number) FROM entry").fetchone()
    up.send_signal(signal.SIGTERM)
    up.wait(timeout=30)
    for child in killer.started:
        child.wait(timeout=10)
    faults, counts = ledger_faults(path, living, vanished, until)
    if not up_lives:
        faults.append("`adieu up` ended")
    figures = {"killing.kills": killer.kills, "killing.seconds": round(killed_for, 1),
               "killing.connections": len(living), "killing.lost": len(lost),
               "killing.octets": sum(peer.octets_received for peer in living),
               "killing.vanished": len(vanished), "killing.ledger_faults": len(faults)}
    figures.update({f"killing.ledger.{kind}": count for kind, count in sorted(counts.items())})
    for peer in lost[:5]:
        print(f"lost: {peer.name} port {peer.port}: {how[peer]}, sent {peer.octets_sent}, received "
              f"{peer.octets_received}, {'in' if peer.name in standing else 'not in'} the engine's table")
    for fault in faults[:20]:
        print("fault:", fault)
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("adieu")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < options.connections + 1000:
        print(f"SKIPPED: only {hard} open files are permitted here")
        return SKIPPED
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not (may_make_interfaces() and enter_own_network()):
        print("SKIPPED: this machine permits no network namespace of our own")
        return SKIPPED
    with tempfile.TemporaryDirectory() as run_dir:
        up = subprocess.Popen([options.adieu, "up", "--run-dir", run_dir, *SWEEP, *POLICY], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            up.stdout.readline()
            figures = run(options, run_dir, up)
        finally:
            if up.poll() is None:
                up.terminate()
                up.wait(timeout=30)
    for name, value in figures.items():
        unit = "s" if name.endswith("seconds") else "octets" if name.endswith("octets") else ""
        print(f"{name} = {value} {unit}".rstrip())
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)
    # A run in which nothing was killed or judged would show nothing.
    sound = figures["killing.kills"] >= options.seconds / KILL_EVERY / 2 and figures["killing.octets"] > 0
    return 0 if sound and figures["killing.lost"] == 0 and figures["killing.ledger_faults"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
