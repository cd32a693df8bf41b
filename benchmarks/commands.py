"""How long commands take as whole processes: help, plan, a whole phase, and that phase again with nothing changed.

    python -m benchmarks.commands [--phase ioc] [--home FOLDER]

Uses a workspace of its own unless one is named; medians of several runs, the whole phase once. Prints JSON: seconds,
and of the whole phase how many were not test execution (up to the first test, and from the end of the last test on).
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLIMSOLL = str(Path(sys.executable).with_name("plimsoll"))
ROUNDS = 7


def timed(*arguments: str) -> tuple[float, str]:
    """Seconds that a command took, and what it wrote to stderr."""
    began = time.perf_counter()
    ended = subprocess.run([PLIMSOLL, *arguments], capture_output=True, text=True, check=False)
    return time.perf_counter() - began, ended.stderr


def median(*arguments: str) -> dict[str, float]:
    """Median, least and most of several runs, after one that is not counted."""
    timed(*arguments)
    taken = sorted(timed(*arguments)[0] for _ in range(ROUNDS))
    return {"median": round(statistics.median(taken), 3), "min": round(taken[0], 3), "max": round(taken[-1], 3)}


def whole_phase(phase: str, home: str) -> dict[str, float]:
    """The phase from an empty workspace, and its share that is not test execution."""
    seconds, told = timed("run", phase, "--home", home)
    lines = [(float(found[1]), found[2]) for found in re.finditer(r"^ *([\d.]+) s  (.*)$", told, re.MULTILINE)]
    first = next(at for at, text in lines if "executing" in text)
    last = next(at for at, text in lines if text.startswith("measured"))
    return {"seconds": round(seconds, 1), "not test execution": round(seconds - (last - first), 1)}


def main() -> None:
    """Runs the benchmark and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phase", default="ioc")
    parser.add_argument("--home")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = options.home or f"{scratch}/home"
        found = {"machine": f"{platform.platform()}, {os.cpu_count()} cores", "python": platform.python_version()}
        found["whole phase"] = whole_phase(options.phase, home)
        found["again, nothing changed"] = median("run", options.phase, "--home", home)
        found["plan"] = median("plan", options.phase, "--home", home)
        found["plan, empty workspace"] = median("plan", options.phase, "--home", f"{scratch}/none")
        found["verify"] = median("verify", home)
        found["--help"] = median("--help")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
