#!/usr/bin/env python3
# Proof that each rule of check.py can fail: a small tree that is in order, then one fault at a time.
import json
import tempfile
import unittest
from pathlib import Path

import check

GOOD = {
    "rooms.toml": """# rooms
[base]
folder = "src/base"
may_include = []
pure = true
facts_only = true
[tcp]
folder = "src/tcp"
may_include = ["base"]
except = ["base/address.h"]
pure = true
facts_only = true
[host]
folder = "src/host"
may_include = ["base", "tcp"]
[sim]
folder = "sim"
may_include = ["base", "tcp"]
""",
    "CMakeLists.txt": """# adieu
adieu_room(base PURE)
adieu_room(tcp PURE USES base LIBRARIES absl::hash)
adieu_room(host USES base tcp)
adieu_room(sim DIRECTORY sim USES tcp)
""",
    "src/base/seq.h": "// Sequence numbers.\nstruct Seq { std::uint32_t seq; };\n",
    "src/base/address.h": "// Addresses.\n",
    "src/tcp/input.h": '// Input.\n#include "base/seq.h"\n',
    "src/tcp/input.cc": '''// Input. A dead peer may be suspect in a comment.
#include "tcp/input.h"
#include <string>
void walk(State s) {
  std::int64_t deadline = 1'000;
  switch (s) {
    case State::Listen: switch (octet) { case 3: break; case kMss: break; default: break; } break;
    case State::Closed: { consequence('{'); } break;
  }
}
Connection::Connection(int a) : a_{a}, b_(2) { int x[] = {1, 2}; }
''',
    "src/host/host.cc": '// Host.\n#include <chrono>\n#include "tcp/input.h"\nbool alive = true;\n',
    "sim/world.cc": '// World.\n#include "sim/world.h"\n',
    "sim/world.h": '// World.\n#include "tcp/input.h"\n',
    "tests/base/a_test.cc": "// Tests.\n",
    "tests/tcp/a_test.cc": "// Tests.\n",
    "tests/host/a_test.cc": "// Tests.\n",
    "tests/sim/a_test.py": "# Tests.\n",
}

LONG = "".join(f"  work({n});\n" for n in range(check.FUNCTION_LINES - 2))

# (rule that must speak, file, its contents)
FAULTS = [
    ("room-folders", "src/attic/old.cc", "// Old.\n"),
    ("includes", "src/base/up.h", '// Up.\n#include "tcp/input.h"\n'),
    ("includes", "src/host/sideways.cc", '// Sideways.\n  #  include "sim/world.h"\n'),
    ("includes", "src/host/near.cc", '// Near.\n#include "host.h"\n'),
    ("includes", "src/host/absent.cc", '// Absent.\n#include "base/absent.h"\n'),
    ("includes", "src/tcp/excepted.cc", '// Excepted.\n#include "base/address.h"\n'),
    ("cycles", "src/base/round.h", '// Round.\n#include "tcp/input.h"\n'),
    ("cmake", "CMakeLists.txt", "# adieu\nadieu_room(base PURE USES tcp)\n"),
    ("cmake", "CMakeLists.txt", "# adieu\nadieu_room(tcp USES base)\n"),
    ("cmake", "CMakeLists.txt", "# adieu\nadieu_room(attic)\n"),
    ("cmake", "src/tcp/CMakeLists.txt", "# tcp\ntarget_link_libraries(x PRIVATE adieu_host)\n"),
    ("tests", "rooms.toml", GOOD["rooms.toml"] + '[lab]\nfolder = "lab"\nmay_include = []\n'),
    ("heavy", "src/tcp/text.h", "// Text.\n#include <string>\n"),
    ("liveness", "src/tcp/opinion.cc", "// Opinion.\nbool peer_is_alive();\n"),
    ("liveness", "src/tcp/opinion.cc", "// Opinion.\nbool isDeadPeer();\n"),
    ("liveness", "src/tcp/opinion.cc", '// Opinion.\nauto name = "suspect";\n'),
    ("seq", "src/tcp/bare.cc", "// Bare.\nvoid f(std::uint32_t seq_expected);\n"),
    ("seq", "src/host/bare.cc", "// Bare.\nuint32_t snd_una = 0;\n"),
    ("clock", "src/tcp/cycles.cc", "// Cycles.\nauto now() { return __builtin_ia32_rdtsc(); }\n"),
    ("default", "src/tcp/swallow.cc", "// Swallow.\n"
     "int f(State s) { switch (s) { case State::A: { g(); } default: return 1; } }\n"),
    ("default", "src/tcp/swallow.cc", "// Swallow.\nusing enum K;\n"
     "int f(K k) { switch (k) {\n default: return 1; case Open: return 2; } }\n"),
    ("function", "src/tcp/long.cc", "// Long.\nint f(int a = 1) const noexcept {\n" + LONG + "\n}\n"),
    ("function", "src/tcp/long.cc", "// Long.\nnamespace a {\nclass B {\n auto f() -> int {\n" + LONG + "\n}\n};\n}\n"),
    ("function", "src/tcp/long.cc", "// Long.\nB::B()\n : a_{1} {\n" + LONG + "\n\n}\n"),
    ("function", "tests/tcp/long_test.cc", "// Long.\nTEST(A, Holds) {\n" + LONG + "\n}\n"),
    ("comment", "src/tcp/mute.cc", "#include <string>\n"),
    ("comment", "tests/tcp/mute.py", "#!/usr/bin/python3\nimport os\n"),
    ("width", "src/tcp/wide.cc", "//" + "w" * (check.WIDTH - 1) + "\n"),
]
# As near to a fault as may be: none may speak.
NEAR = [
    ("src/tcp/short.cc", "// Short.\nint f(int a = 1) const noexcept {\n" + LONG + "}\n"),
    ("src/tcp/wide.cc", "//" + "w" * (check.WIDTH - 2) + "\n"),
    ("src/tcp/words.cc", "// Words.\nInstant deadline; // alive\nauto text = R\"(a \" {)\"; int x = 1'000 + '\"';\n"),
    ("src/tcp/seq.cc", "// Seq.\nstd::uint32_t consequence, sequence_number_of_event; Seq seq;\n"),
    ("src/tcp/default.cc", "// Default.\nX(const X&) = default;\n"
     "int f(int i) { switch (i) { case 1: case kMss: case TCP_MSS: default: return 1; } }\n"),
]


class House(unittest.TestCase):
    def rules_broken(self, *files, **options):
        with tempfile.TemporaryDirectory() as root:
            for path, text in list(GOOD.items()) + list(files):
                (Path(root) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(root) / path).write_text(text)
            if commands := options.pop("compiled", None):
                entries = [{"directory": root, "file": file} for file in commands]
                (Path(root) / "commands.json").write_text(json.dumps(entries))
                options["commands"] = Path(root) / "commands.json"
            options.setdefault("exceptions", {})
            return [v.rule for v in check.violations(root, **options)]

    def test_a_tree_in_order_breaks_no_rule(self):
        self.assertEqual(self.rules_broken(), [])

    def test_each_fault_is_found_by_its_rule(self):
        for rule, path, text in FAULTS:
            with self.subTest(rule=rule, text=text[:60]):
                self.assertIn(rule, self.rules_broken((path, text)))

    def test_what_only_looks_like_a_fault_is_none(self):
        for path, text in NEAR:
            with self.subTest(path=path):
                self.assertEqual(self.rules_broken((path, text)), [])

    def test_every_rule_has_a_fault(self):
        self.assertEqual(len({rule for rule, _, _ in FAULTS}), len(check.RULES))

    def test_a_source_in_no_target_is_found(self):
        sources = [path for path in GOOD if path.endswith(".cc")]
        self.assertEqual(self.rules_broken(compiled=sources), [])
        self.assertEqual(self.rules_broken(compiled=sources[:1] + sources[2:]), ["compiled"])

    def test_an_exception_covers_one_violation_and_must_be_needed(self):
        fault = ("src/tcp/text.h", "// Text.\n#include <string>\n")
        reason = {("heavy", "src/tcp/text.h", "<string>"): "because"}
        self.assertEqual(self.rules_broken(fault, exceptions=reason), [])
        self.assertEqual(self.rules_broken(exceptions=reason), ["exception"])


if __name__ == "__main__":
    unittest.main()
