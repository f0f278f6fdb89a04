#!/usr/bin/env python3
"""What `adieu` costs on a host with 100,000 sockets: its whole answer beside ss, and the daemon at rest and while
5,000 connections a second open and close, also when it was stopped meanwhile.

What lives here: sockets in several processes of a network namespace of this program's own, and clocks around adieu and
ss, run in turn. What does not: whether the answers are right (tests/cli/leaks_test.py).

usage: kernel.py ADIEU [--sockets N] [--rounds N] [--idle SECONDS] [--churn SECONDS] [--json FILE]
Needs root: ss and adieu are to name the holders.
"""
import argparse
import collections
import ctypes
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CLONE_NEWNET = 0x40000000
RATE = 5_000  # connections a second
PER_PROCESS = 16_000  # descriptors: both ends of 8,000 connections


def hold(number, connections):
    """In a process of its own: connections, four in ten of them half-closed, until its standard input ends."""
    listener = socket.socket()
    listener.bind((f"127.0.{number + 1}.1", 8000))
    listener.listen(1024)
    held = []
    for i in range(connections):
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        if i % 10 < 4:
            client.shutdown(socket.SHUT_WR)
        held.append((client, server))
    print("ready", flush=True)
    sys.stdin.read()


def churn(number, rate, seconds):
    """In a process of its own: so many connections a second open, live for a second, and are closed by both ends."""
    listener = socket.socket()
    listener.bind(("0.0.0.0", 9000 + number))
    listener.listen(1024)
    living, made, begin = collections.deque(), 0, time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        while made < now * rate:
            # Each address has ports of its own: TIME-WAIT keeps them for a minute.
            to = f"127.{100 + number}.{made >> 4 & 255}.{1 + (made >> 12 & 127)}"
            client = socket.create_connection((to, 9000 + number))
            living.append((client, listener.accept()[0]))
            made += 1
            if len(living) > rate:
                for end in living.popleft():
                    end.close()
        time.sleep(0.001)
    print(made, flush=True)
    sys.stdin.read()


def timed(command):
    begin = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took = time.monotonic() - begin
    if done.returncode not in (0, 1):
        sys.exit(f"{command[0]} failed with status {done.returncode}")
    return took


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(one) for one in file.read().split()]


class Daemon:
    """`adieu up --plane kernel` as long as a `with` lasts."""

    def __init__(self, adieu):
        self.adieu = adieu

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.errors = open(self.directory.name + "/errors", "w+", encoding="utf-8")
        self.around = ["--run-dir", self.directory.name + "/run"]
        self.process = subprocess.Popen([self.adieu, "up", "--plane", "kernel", *self.around],
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.errors.close()
        self.directory.cleanup()

    def processes(self):
        return [self.process.pid, *children(self.process.pid)]

    def kernel_plane(self):
        for pid in children(self.process.pid):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                if "kernel-process" in file.read():
                    return pid
        sys.exit("there is no kernel plane")

    def share_during(self, wait):
        """Of a core, in percent, while wait() lasts."""
        before, begin = {pid: cpu_seconds(pid) for pid in self.processes()}, time.monotonic()
        wait()
        span = time.monotonic() - begin
        return 100 * sum(cpu_seconds(pid) - before[pid] for pid in self.processes()) / span

    def octets(self):
        return sum(resident(pid) for pid in self.processes())

    def lost(self):
        """Whether the kernel told more than was read."""
        self.errors.seek(0)
        return "were lost" in self.errors.read()

    def wrong(self):
        """Of how many connections the table and the kernel say another state, or one of them nothing."""
        rows = subprocess.run([self.adieu, "ls", "--json", *self.around], capture_output=True, text=True).stdout
        ours = {(row["local"], row["remote"]): row["state"] for row in map(json.loads, rows.splitlines())}
        kernel = {}
        for line in subprocess.run(["ss", "-tanH"], capture_output=True, text=True).stdout.splitlines():
            state, _, _, local, remote = line.split()[:5]
            if state != "LISTEN":
                kernel[local, remote] = {"ESTAB": "ESTABLISHED"}.get(state, state)
        return sum(ours.get(key) != kernel.get(key) for key in ours.keys() | kernel.keys())


class Churn:
    """Connections that come and go, and live on when it is over."""

    def __init__(self, adieu, seconds, numbers):
        self.processes = [subprocess.Popen([sys.executable, __file__, adieu, "--make", str(n), str(RATE // 2),
                                            str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                          for n in numbers]

    def made(self):
        return sum(int(one.stdout.readline()) for one in self.processes)

    def end(self):
        for one in self.processes:
            one.stdin.close()
            one.wait(timeout=60)


def repaired(daemon):
    """How many connections the table still has wrong when a sweep had time to repair what was lost."""
    late = time.monotonic() + 90
    while (wrong := daemon.wrong()) and time.monotonic() < late:
        time.sleep(1)
    return wrong


def with_daemon(adieu, idle, seconds):
    """Figures of the daemon at rest, while connections come and go, and after it was stopped in the midst of that."""
    with Daemon(adieu) as daemon:
        time.sleep(idle / 4)  # the first sweep, which opens every slot
        figures = [("kernel.idle_core_percent", round(daemon.share_during(lambda: time.sleep(idle)), 2), "%"),
                   ("kernel.daemon_octets", daemon.octets(), "octets")]
        made = []
        churn_of_all = Churn(adieu, seconds, (0, 1))
        share = daemon.share_during(lambda: made.append(churn_of_all.made()))
        figures += [("kernel.churn_connections_per_second", round(made[0] / seconds), ""),
                    ("kernel.churn_core_percent", round(share, 2), "%"),
                    ("kernel.churn_daemon_octets", daemon.octets(), "octets"),
                    ("kernel.churn_events_lost", "some" if daemon.lost() else "none", ""),
                    ("kernel.churn_wrong", repaired(daemon), "connections")]
        churn_of_all.end()
        # Longer than its ring holds what is told.
        churn_of_all = Churn(adieu, 10, (2, 3))
        time.sleep(2)
        plane = daemon.kernel_plane()
        os.kill(plane, signal.SIGSTOP)
        time.sleep(5)
        os.kill(plane, signal.SIGCONT)
        churn_of_all.made()
        wrong = repaired(daemon)
        figures += [("kernel.stopped_events_lost", "some" if daemon.lost() else "none", ""),
                    ("kernel.events_lost_unrepaired", wrong, "connections")]
        churn_of_all.end()
        return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("adieu")
    parser.add_argument("--sockets", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--idle", type=float, default=90)
    parser.add_argument("--json")
    parser.add_argument("--churn", type=float, default=20)
    parser.add_argument("--make", type=float, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--hold", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.hold:
        return hold(*options.hold)
    if options.make:
        return churn(int(options.make[0]), *options.make[1:])
    if os.getuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        sys.exit("it needs root, and a network namespace of its own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    holders, left = [], options.sockets // 2
    while left > 0:
        connections = min(left, PER_PROCESS // 2)
        holders.append(subprocess.Popen([sys.executable, __file__, options.adieu, "--hold", str(len(holders)),
                                         str(connections)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        left -= connections
    for holder in holders:
        if holder.stdout.readline() != "ready\n":
            sys.exit("a process could not open its sockets: is the limit of open files below 20,000?")

    commands = {"adieu": [options.adieu], "ss_tan": ["ss", "-tan"], "ss_tanp": ["ss", "-tanp"]}
    cold = {name: timed(command) for name, command in commands.items()}
    # In turn, so that what else the machine does meets all alike.
    warm = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            if name != "ss_tanp" or len(warm[name]) < 3:
                warm[name].append(timed(command))
    median = {name: statistics.median(times) for name, times in warm.items()}
    daemon = with_daemon(options.adieu, options.idle, options.churn)
    print(subprocess.run([options.adieu], capture_output=True, text=True).stdout, end="")
    for holder in holders:
        holder.stdin.close()
        holder.wait(timeout=60)

    figures = [("kernel.sockets", options.sockets, "")]
    for name in commands:
        figures.append((f"kernel.{name}_cold", round(cold[name], 3), "s"))
        figures.append((f"kernel.{name}_warm", round(median[name], 3), "s"))
    figures += [("kernel.answer_vs_ss_tan", round(median["adieu"] / median["ss_tan"], 3), ""),
                ("kernel.answer_vs_ss_tanp", round(median["adieu"] / median["ss_tanp"], 4), ""), *daemon]
    for name, value, unit in figures:
        print(f"{name} = {value} {unit}".rstrip())
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"figures": {name: value for name, value, _ in figures}, "warm": warm}, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
