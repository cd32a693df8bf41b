"""Sides of a comparison, measured in turns on the same machine in the same minutes, and the ratios that they give.

A side is a command, whose seconds and seconds of processor the kernel tells when it ends (`wait4`), or a script that
measures several sides itself and prints JSON. On a machine that has other things to do, seconds of processor are the
steadier ones: they count what a side does and not what it waits for.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

OWN = "plimsoll"


class NoPeerError(Exception):
    """A program to compare with is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side does: a command, where, with which surroundings, and the statuses it may end with."""

    command: Sequence[str | Path]
    cwd: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    ends: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one round took: by the clock and by processors, in the claim's unit; memory in MiB, where it is known."""

    clock: float
    processors: float | None = None
    memory: int | None = None


Rounds = dict[str, list[Taken]]
"""What each side took, round by round; ours is named `OWN`."""


def run_side(side: Side) -> Taken:
    """Runs a side once; raises SystemExit, with the end of what it wrote, where it ends as it must not."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in side.command],
        cwd=side.cwd,
        env={**os.environ, **side.environ},
        stdin=subprocess.PIPE if side.stdin is not None else subprocess.DEVNULL,
        stdout=(out := _spool()),
        stderr=subprocess.STDOUT,
    )
    if process.stdin is not None and side.stdin is not None:
        with process.stdin as given:
            given.write(side.stdin)
    _, status, used = os.wait4(process.pid, 0)
    taken = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in side.ends:
        os.lseek(out, max(0, os.lseek(out, 0, os.SEEK_END) - 2_000), os.SEEK_SET)
        told = os.read(out, 2_000).decode(errors="replace")
        raise SystemExit(f"{' '.join(map(str, side.command))[:300]} ended with {process.returncode}:\n{told}")
    os.close(out)
    return Taken(clock=taken, processors=used.ru_utime + used.ru_stime)


def _spool() -> int:
    return os.memfd_create("output")


def race(sides: Mapping[str, Side], rounds: int) -> Rounds:
    """Each side once without counting, for what it finds in memory later; then in turns, as often as asked."""
    for side in sides.values():
        run_side(side)
    found: Rounds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(run_side(side))
    return found


def told(script: Sequence[str | Path], rounds: int, pick: Callable[[Any], dict[str, Taken]]) -> Rounds:
    """Rounds of a script that measures all sides itself: what `pick` finds in the JSON that it prints."""
    found: Rounds = {}
    for _ in range(rounds):
        ended = subprocess.run([sys.executable, *map(str, script)], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"{' '.join(map(str, script))} ended with {ended.returncode}:\n{ended.stderr[-2_000:]}")
        for name, taken in pick(json.loads(ended.stdout[ended.stdout.index("{") :])).items():
            found.setdefault(name, []).append(taken)
    return found


def ratios(found: Rounds, peer: str, what: str) -> tuple[float, float, float] | None:
    """How many times the peer's ours took, round by round: median, least, most; None where it is unknown."""
    rounds = zip(found[OWN], found[peer], strict=True)
    pairs = [(getattr(own, what), getattr(its, what)) for own, its in rounds]
    known = [own / its for own, its in pairs if own is not None and its]
    return (median(known), min(known), max(known)) if known else None
