#!/usr/bin/env python3
# docs/policy_mistakes.md, made from the mistakes that tests/host/policy_test.cc holds `adieu policy check` to.
#
# usage: policy_mistakes.py ROOT [--check]     --check: exit 1 if the document is not what would be written
import sys
from pathlib import Path

HEAD = """# Mistakes in a policy, and what adieu says about them

Made by `tools/policy_mistakes.py` from tests/host/policy_mistakes, where each file stands beside what
`adieu policy check` answers; a test runs both. What can be written is in [policy.md](policy.md).
Each answer is `FILE:LINE:COLUMN: reason; remedy`, and the exit status is 2. A file with one mistake is not
used at all: `adieu up` refuses to start by it, and one that runs keeps the policy it has.
"""


def document(root):
    parts = [HEAD]
    for file in sorted((root / "tests/host/policy_mistakes").glob("*.toml")):
        number, title = file.stem.split("_", 1)
        said = file.with_suffix(".expected").read_text().strip()
        heading = f"{int(number)}. {title.replace('_', ' ').capitalize()}"
        parts.append(f"## {heading}\n\n```toml\n{file.read_text().strip()}\n```\n\n```text\n{said}\n```\n")
    return "\n".join(parts)


def main(root, check):
    path = root / "docs/policy_mistakes.md"
    wanted = document(root)
    if not check:
        path.write_text(wanted)
    elif not path.is_file() or path.read_text() != wanted:
        print(f"{path} is not what tools/policy_mistakes.py writes: run it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--check" in sys.argv[2:]))
