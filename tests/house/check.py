#!/usr/bin/env python3
# The tests of the house itself: what rooms.toml and the style promise, checked in the sources of a tree.
#
# What lives here: one function a rule; each yields Violations. What does not: symbols of archives (purity.py), proof
# that each rule can fail (check_test.py). These are readers of text, not compilers: they know what people write.
#
# usage: check.py ROOT [compile_commands.json]
import itertools
import json
import re
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

WIDTH = 120
FUNCTION_LINES = 70
HEAVY = {"chrono", "functional", "string", "regex", "iostream"}
LIVENESS = {"alive", "suspect", "dead"}
SEQUENCE = {"seq", "iss", "irs", "una", "nxt"}
SEQUENCE_ROOMS = {"base", "wire"}  # where a sequence number may be a bare integer: it is read and made there
# Neither leaves a symbol behind that purity.py could see.
CLOCK_INSTRUCTIONS = {"asm", "__asm__", "__rdtsc", "__rdtscp", "__builtin_ia32_rdtsc", "__builtin_ia32_rdtscp"}
OTHER_FOLDERS = ["tests", "fuzz", "bench", "cmake", "tools"]
SCRIPTS = ["rooms.toml", "CMakeLists.txt", "Makefile", ".ci/run", "debian/rules"]

# (rule, path, what) -> why it may stay. One that nothing needs any more is itself a violation.
EXCEPTIONS = {
    ("seq", "src/lab/exchange.h", "seq"): "relative to the first: an offset to be printed, not a point on the circle",
}

Violation = namedtuple("Violation", "rule path line what why", defaults=[""])
Source = namedtuple("Source", "path room text code bare")  # code: without comments; bare: without literals either

TOKEN = re.compile(r'''(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<raw>R"(?P<tag>[^()\\ \n]*)\(.*?\)(?P=tag)")'''
                   r'''|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<char>(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+')''', re.S)


def blank(text, kinds):
    """`text` with tokens of these kinds as spaces; every other character stays on its line and column."""
    def replace(match):
        kind = next(kind for kind in ("comment", "raw", "string", "char") if match[kind])
        return re.sub(r"[^\n]", " ", match[0]) if kind in kinds else match[0]
    return TOKEN.sub(replace, text)


class Tree:
    def __init__(self, root):
        self.root = Path(root)
        self.rooms = tomllib.loads((self.root / "rooms.toml").read_text())
        self.sources = [self.source(path, room) for room, facts in self.rooms.items()
                        for path in self.files(facts["folder"], (".cc", ".h"))]
        self.others = [self.source(path, None)
                       for folder in OTHER_FOLDERS for path in self.files(folder, (".cc", ".h"))]
        self.scripts = [self.root / name for name in SCRIPTS]
        self.scripts += [path for folder in [facts["folder"] for facts in self.rooms.values()] + OTHER_FOLDERS
                         for path in self.files(folder, (".py", ".sh", ".cmake", "CMakeLists.txt"))]

    def files(self, folder, suffixes):
        return sorted(p for p in (self.root / folder).rglob("*") if p.is_file() and p.name.endswith(suffixes))

    def source(self, path, room):
        text = path.read_text()
        code = blank(text, {"comment"})
        return Source(str(path.relative_to(self.root)), room, text, code, blank(code, {"string", "char", "raw"}))

    def where(self, flag):
        return [s for s in self.sources if self.rooms[s.room].get(flag)]

    def includes(self):
        """(source, line, header, room) of every #include "..."; room None: not in a room."""
        folders = {facts["folder"].removeprefix("src/"): room for room, facts in self.rooms.items()}
        for source in self.sources:
            for line, text in enumerate(source.code.splitlines(), 1):
                if found := re.match(r'\s*#\s*include\s*"([^"]+)"', text):
                    yield source, line, found[1], folders.get(found[1].split("/")[0])


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def words_of(identifier):
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)]


# --- rooms ---

def room_folders(tree):
    known = {facts["folder"] for facts in tree.rooms.values()}
    for path in sorted((tree.root / "src").iterdir()):
        if f"src/{path.name}" not in known:
            yield Violation("room-folders", f"src/{path.name}", 1, path.name, "is no room of rooms.toml")


def room_includes(tree):
    for source, line, header, room in tree.includes():
        facts = tree.rooms[source.room]
        if room is None or not any((tree.root / base / header).is_file() for base in ("src", "")):
            yield Violation("includes", source.path, line, header, 'is not "room/file.h" of any room')
        elif room != source.room and room not in facts["may_include"]:
            yield Violation("includes", source.path, line, header, f"{source.room} may not include {room}")
        elif header in facts.get("except", []):
            yield Violation("includes", source.path, line, header, f"{source.room} may not include this one")


def room_cycles(tree):
    edges = {room: set(facts["may_include"]) for room, facts in tree.rooms.items()}
    for source, _, _, room in tree.includes():
        if room and room != source.room:
            edges[source.room].add(room)
    done, seen = set(), set()

    def visit(room, path):
        if room in path:
            cycle = path[path.index(room):] + [room]
            if frozenset(cycle) not in seen:
                seen.add(frozenset(cycle))
                yield Violation("cycles", "rooms.toml", 1, " -> ".join(cycle), "is a cycle")
        elif room not in done:
            for used in sorted(edges.get(room, ())):
                yield from visit(used, path + [room])
            done.add(room)
    for room in tree.rooms:
        yield from visit(room, [])


def cmake_edges(tree):
    for folder in [""] + [facts["folder"] for facts in tree.rooms.values()]:
        file = tree.root / folder / "CMakeLists.txt"
        if not file.is_file():
            continue
        text = re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), file.read_text())
        path = str(file.relative_to(tree.root))
        for call in re.finditer(r"adieu_room\(\s*(\w+)([^)]*)\)", text):
            line = line_of(text, call.start())
            if call[1] not in tree.rooms:
                yield Violation("cmake", path, line, call[1], "is no room of rooms.toml")
                continue
            facts = tree.rooms[call[1]]
            uses = re.search(r"\bUSES\b((?:\s+[a-z_]\w*)*)", call[2])
            for used in uses[1].split() if uses else []:
                if used not in facts["may_include"]:
                    yield Violation("cmake", path, line, used, f"{call[1]} may not use it")
            if bool(re.search(r"\bPURE\b", call[2])) != facts.get("pure", False):
                yield Violation("cmake", path, line, call[1], "is PURE here or in rooms.toml, but not in both")
        room = next((r for r, facts in tree.rooms.items() if folder and facts["folder"] == folder), None)
        if room:
            for used in re.finditer(r"\badieu_([a-z]\w*)", text):
                if used[1] in tree.rooms and used[1] != room and used[1] not in tree.rooms[room]["may_include"]:
                    yield Violation("cmake", path, line_of(text, used.start()), used[1], f"{room} may not use it")


def compiled(tree, commands):
    """Every .cc of a room is part of some target."""
    known = {str(Path(c["directory"], c["file"]).resolve()) for c in json.loads(Path(commands).read_text())}
    for source in tree.sources:
        if source.path.endswith(".cc") and str((tree.root / source.path).resolve()) not in known:
            yield Violation("compiled", source.path, 1, source.path, "is in no target")


def tests_exist(tree):
    """A room without tests would pass them all; what it promises must be seen to hold somewhere."""
    for room, facts in tree.rooms.items():
        folders = [facts["tests"]] if "tests" in facts else [f"tests/{room}", facts["folder"]]
        pattern = "*" if "tests" in facts else "*_test.*"
        if not any(path for folder in folders for path in (tree.root / folder).rglob(pattern)):
            yield Violation("tests", folders[0], 1, room, "has no tests")


# --- words ---

def heavy_headers(tree):
    for source in tree.where("pure"):
        for found in re.finditer(r"^\s*#\s*include\s*<(\w+)>", source.code, re.M):
            if source.path.endswith(".h") and found[1] in HEAVY:
                line = line_of(source.code, found.start(1))
                yield Violation("heavy", source.path, line, f"<{found[1]}>", "in a header of a pure room")


def liveness(tree):
    for source in tree.where("facts_only"):
        for found in re.finditer(r"[A-Za-z_]\w*", source.code):
            if words := LIVENESS.intersection(words_of(found[0])):
                line = line_of(source.code, found.start())
                yield Violation("liveness", source.path, line, found[0], f"`{words.pop()}` is an opinion")


def bare_sequence(tree):
    for source in tree.sources:
        if source.room in SEQUENCE_ROOMS:
            continue
        for found in re.finditer(r"\bu?int(?:32|64)_t\s*[&*]?\s*([A-Za-z_]\w*)", source.bare):
            if SEQUENCE.intersection(words_of(found[1])):
                yield Violation("seq", source.path, line_of(source.bare, found.start()), found[1], "is a Seq")


def clock_instructions(tree):
    for source in tree.where("pure"):
        for found in re.finditer(r"[A-Za-z_]\w*", source.bare):
            if found[0] in CLOCK_INSTRUCTIONS:
                yield Violation("clock", source.path, line_of(source.bare, found.start()), found[0], "in a pure room")


# --- shape ---

def enum_defaults(tree):
    """`default:` beside an enumerator: a new one would be swallowed where the compiler could have named it."""
    for source in tree.where("pure"):
        for switch in re.finditer(r"\bswitch\s*\(", source.bare):
            start = source.bare.find("{", switch.end())
            depth, own = 0, []
            for offset in range(start, len(source.bare)):
                depth += {"{": 1, "}": -1}.get(source.bare[offset], 0)
                own.append(source.bare[offset] if depth == 1 else " ")
                if depth == 0:
                    break
            labels = re.findall(r"\bcase\s+([\w:]*\w)\s*:", "".join(own))
            default = re.search(r"\bdefault\s*:", "".join(own))
            if default and any(is_enumerator(label, source) for label in labels):
                line = line_of(source.bare, start + default.start())
                yield Violation("default", source.path, line, labels[0], "a switch over an enum has no default")


def is_enumerator(label, source):
    """Not a kConstant or MACRO for some octet; a bare name is one only where `using enum` brings such names in."""
    return label.split("::")[-1][0].isupper() and ("::" in label or "using enum" in source.bare)


def functions(bare):
    """(name, first line, last line) of each function, by its braces; what is inside one belongs to it."""
    scopes, head, last = [], 0, None  # a scope: (kind, head, its offset)
    for found in re.finditer(r"[{};]|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", bare, re.M):
        token, at = found[0], found.start()
        inside = any(kind == "function" for kind, _, _ in scopes)
        if token == "{":
            text = bare[head:at].strip()
            if inside or scopes and scopes[-1][0] == "value":
                kind = "block"
            elif re.search(r"\)(?:\s*(?:const|noexcept|override|final|mutable|&&?|->[^=;]*|requires[^;]*))*$", text):
                kind = "function"
            elif not text and last == "value":
                kind = "function"  # after a member initialiser of a constructor
            elif re.search(r"\b(?:namespace|class|struct|union|extern)\b[^=]*$", text):
                kind = "scope"
            else:
                kind = "value"
            scopes.append((kind, text, head + len(bare[head:at]) - len(bare[head:at].lstrip())))
        elif token == "}" and scopes:
            last, text, start = scopes.pop()
            if last == "function":
                test = re.match(r"\w*TEST\w*\(\s*(\w+),\s*(\w+)\s*\)", text)
                name = re.search(r"([\w:~]+|operator\S+)\s*\(", text)
                yield (f"{test[1]}.{test[2]}" if test else name[1] if name else "?",
                       line_of(bare, start), line_of(bare, at))
        if token != "}":
            last = None
        head = found.end()


def function_lines(tree):
    for source in itertools.chain(tree.sources, tree.others):
        for name, first, end in functions(source.bare):
            if end - first + 1 > FUNCTION_LINES:
                why = f"has {end - first + 1} lines, more than {FUNCTION_LINES}"
                yield Violation("function", source.path, first, name, why)


def first_comment(tree):
    for source in itertools.chain(tree.sources, tree.others):
        if source.text.strip() and not source.text.startswith("//"):
            yield Violation("comment", source.path, 1, source.path, "says at its top what lives here and what does not")
    for path in tree.scripts:
        text = path.read_text() if path.is_file() else ""
        if text.strip() and not re.match(r'(#!.*\n)?(#(?!!)|""")', text):
            name = str(path.relative_to(tree.root))
            yield Violation("comment", name, 1, name, "says at its top what lives here and what does not")


def width(tree):
    texts = [(s.path, s.text) for s in itertools.chain(tree.sources, tree.others)]
    texts += [(str(p.relative_to(tree.root)), p.read_text()) for p in tree.scripts if p.is_file()]
    for path, text in texts:
        for line, content in enumerate(text.splitlines(), 1):
            if len(content) > WIDTH:
                yield Violation("width", path, line, f"line {line}", f"has {len(content)} columns, more than {WIDTH}")


RULES = [room_folders, room_includes, room_cycles, cmake_edges, tests_exist, heavy_headers, liveness, bare_sequence,
         clock_instructions, enum_defaults, function_lines, first_comment, width]


def violations(root, commands=None, exceptions=EXCEPTIONS):
    tree = Tree(root)
    found = [v for rule in RULES for v in rule(tree)]
    if commands:
        found += compiled(tree, commands)
    stale = set(exceptions) - {v[:2] + v[3:4] for v in found}
    found = [v for v in found if v[:2] + v[3:4] not in exceptions]
    return found + [Violation("exception", "tests/house/check.py", 1, str(e), "is not needed any more") for e in stale]


if __name__ == "__main__":
    found = violations(*sys.argv[1:])
    for v in found:
        print(f"{v.path}:{v.line}: [{v.rule}] {v.what} {v.why}")
    print(f"{len(found)} violations of the house's rules")
    sys.exit(1 if found else 0)
