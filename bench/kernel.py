#!/usr/bin/env python3
"""What `adieu` costs on a host with 100,000 sockets: its whole answer beside ss, and the daemon at rest.

What lives here: sockets in several processes of a network namespace of this program's own, and clocks around adieu and
ss, run in turn. What does not: whether the answers are right (tests/cli/leaks_test.py).

usage: kernel.py ADIEU [--sockets N] [--rounds N] [--idle SECONDS] [--json FILE]
Needs root: ss and adieu are to name the holders.
"""
import argparse
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


def at_rest(adieu, seconds):
    """Share of a core, in percent, and resident octets of each process of `adieu up --plane kernel`."""
    with tempfile.TemporaryDirectory() as run_dir:
        up = subprocess.Popen([adieu, "up", "--plane", "kernel", "--run-dir", run_dir], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        try:
            up.stdout.readline()
            time.sleep(seconds / 4)  # the first sweep, which opens every slot
            processes = [up.pid, *children(up.pid)]
            before = {pid: cpu_seconds(pid) for pid in processes}
            begin = time.monotonic()
            time.sleep(seconds)
            span = time.monotonic() - begin
            used = sum(cpu_seconds(pid) - before[pid] for pid in processes)
            return 100 * used / span, sum(resident(pid) for pid in processes)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(timeout=30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("adieu")
    parser.add_argument("--sockets", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--idle", type=float, default=40)
    parser.add_argument("--json")
    parser.add_argument("--hold", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.hold:
        return hold(*options.hold)
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
    percent, octets = at_rest(options.adieu, options.idle)
    print(subprocess.run([options.adieu], capture_output=True, text=True).stdout, end="")
    for holder in holders:
        holder.stdin.close()
        holder.wait(timeout=60)

    figures = [("kernel.sockets", options.sockets, "")]
    for name in commands:
        figures.append((f"kernel.{name}_cold", round(cold[name], 3), "s"))
        figures.append((f"kernel.{name}_warm", round(median[name], 3), "s"))
    figures += [("kernel.daemon_octets", octets, "octets"),
                ("kernel.answer_vs_ss_tan", round(median["adieu"] / median["ss_tan"], 3), ""),
                ("kernel.answer_vs_ss_tanp", round(median["adieu"] / median["ss_tanp"], 4), ""),
                ("kernel.idle_core_percent", round(percent, 2), "%")]
    for name, value, unit in figures:
        print(f"{name} = {value} {unit}".rstrip())
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"figures": {name: value for name, value, _ in figures}, "warm": warm}, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
