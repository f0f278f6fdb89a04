"""A network namespace of the caller's own, for tests and scripts that make interfaces and connections.

What lives here: entering it. What does not: what is made in it; the same for C++ (tests/kernel/namespace.h).
"""
import ctypes
import os
import subprocess

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000


def enter_own_network():
    """For an ordinary user with a user namespace around it, in which he is root. False: it is not permitted here."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(CLONE_NEWNET | (CLONE_NEWUSER if user else 0)) != 0:
        return False
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    return subprocess.run(["ip", "link", "set", "lo", "up"]).returncode == 0


def may_make_interfaces():
    return os.access("/dev/net/tun", os.R_OK | os.W_OK)
