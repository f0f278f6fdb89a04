#!/usr/bin/env python3
# The purity test of DESIGN section 2: what the archives of the pure rooms refer to and do not define themselves, held
# against an allow-list. No clock, no I/O, no random number, no thread can hide in a symbol that nobody listed.
#
# What lives here: reading `nm`, the list and the verdict. What does not: the list (allowed_symbols.txt); instructions
# that need no symbol (check.py's rule "clock"). Sanitizers add symbols of their own: not for their builds.
#
# usage: purity.py ROOT room=archive...
import re
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

LIST = Path(__file__).with_name("allowed_symbols.txt")

Symbol = namedtuple("Symbol", "room member name")  # member: "wheel.cc"
Allowed = namedtuple("Allowed", "scopes pattern")


def read_list(text):
    """Lines of `scope  pattern  reason`, two spaces or more between them; scope: *, a room, or room/file.cc,
    or several with commas."""
    allowed = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            scopes, pattern, _reason = re.split(r"\s{2,}", line.strip(), maxsplit=2)
            allowed.append(Allowed(set(scopes.split(",")), re.compile(pattern)))
    return allowed


def symbols(room, archive, *options):
    text = subprocess.run(["nm", "-A", "-C", *options, archive], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        _, member, rest = line.split(":", 2)
        yield Symbol(room, member.removesuffix(".o"), re.sub(r"^\s*[0-9a-f]*\s+\S\s+", "", rest))


def unlisted(undefined, defined, allowed):
    for symbol in undefined:
        scopes = {"*", symbol.room, f"{symbol.room}/{symbol.member}"}
        listed = any(a.scopes & scopes and a.pattern.fullmatch(symbol.name) for a in allowed)
        if symbol.name not in defined and not listed:
            yield symbol


def impure(archives, allowed):
    """`archives`: (room, path) of every pure room."""
    defined = {s.name for room, path in archives for s in symbols(room, path, "--defined-only", "--extern-only")}
    undefined = [s for room, path in archives for s in symbols(room, path, "--undefined-only")]
    return list(unlisted(undefined, defined, allowed))


def main(root, *arguments):
    archives = [tuple(argument.split("=", 1)) for argument in arguments]
    rooms = tomllib.loads((Path(root) / "rooms.toml").read_text())
    pure = {room for room, facts in rooms.items()
            if facts.get("pure") and any((Path(root) / facts["folder"]).rglob("*.cc"))}
    missing = pure - {room for room, _ in archives}
    for room in sorted(missing):
        print(f"{room}: a pure room whose archive was not given to this test")
    found = impure(archives, read_list(LIST.read_text()))
    for symbol in found:
        print(f"{symbol.room}/{symbol.member}: refers to {symbol.name}, which {LIST.name} does not allow there")
    print(f"{len(archives)} archives, {len(found)} symbols that are not allowed")
    return 1 if found or missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
