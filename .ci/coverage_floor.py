# ruff: noqa: INP001  # a script, not a package
"""Fails when a ring is covered by less than it must be: 95 % of catalog and expectations, 90 % of tasks and flows."""

import json
import sys
from pathlib import Path

FLOORS = {"catalog": 95, "expectations": 95, "tasks": 90, "flows": 90}


def main() -> int:
    """Reads coverage.py's JSON report, named by the first argument; lines and branches count together."""
    files = json.loads(Path(sys.argv[1]).read_text())["files"]
    failed = False
    for ring, floor in FLOORS.items():
        found = [each["summary"] for name, each in files.items() if name.split("/")[0] == ring]
        covered = sum(each["covered_lines"] + each["covered_branches"] for each in found)
        total = sum(each["num_statements"] + each["num_branches"] for each in found)
        share = 100 * covered / total
        failed |= share < floor
        print(f"coverage of {ring}: {share:.1f} %, at least {floor} %")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
