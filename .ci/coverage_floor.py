# ruff: noqa: INP001  # a script, not a package
"""Fails when a ring is covered by less than it must be: 95 % of catalog and expectations, 90 % of tasks and flows.

Each ring's lines and branches together; and branches alone, of tasks and flows as one.
"""

import json
import sys
from pathlib import Path
from typing import Any

FLOORS = {"catalog": 95, "expectations": 95, "tasks": 90, "flows": 90}
BRANCHES = {("catalog",): 95, ("expectations",): 95, ("tasks", "flows"): 90}


def main() -> int:
    """Reads coverage.py's JSON report, named by the first argument."""
    files: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())["files"]
    held = [_held(files, (ring,), floor, ("statements", "branches")) for ring, floor in FLOORS.items()]
    held += [_held(files, rings, floor, ("branches",)) for rings, floor in BRANCHES.items()]
    return int(not all(held))


def _held(files: dict[str, Any], rings: tuple[str, ...], floor: int, what: tuple[str, ...]) -> bool:
    found = [each["summary"] for name, each in files.items() if name.split("/")[0] in rings]
    covered = sum(
        each["covered_lines" if name == "statements" else "covered_branches"] for each in found for name in what
    )
    share = 100 * covered / sum(each[f"num_{name}"] for each in found for name in what)
    print(f"{' and '.join(what)} of {' and '.join(rings)}: {share:.1f} % covered, at least {floor} %")
    return share >= floor


if __name__ == "__main__":
    sys.exit(main())
