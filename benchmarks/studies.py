"""How often the statistics tell the truth: `python benchmarks/studies.py [NAME…]`, by hand, prints one JSON document.

Each study simulates systems whose truth is known, seeded, and counts how often a verdict or an interval held it; the
suite runs the same in short (`tests/expectations/simulated.py`). All of them take three to four minutes; names choose.
"""

import json
import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "expectations"))

import simulated

from expectations import regression

Study = Callable[[], list[dict[str, Any]]]


def knees() -> list[dict[str, Any]]:
    """Stress tests: short and long steps, narrow and wide rooms to the limit, ends offered once and twice."""
    ways = [{"room": 60, "length": 4}, {"agreeing": 1}, {}, {"room": 240}]
    return [way | simulated.knees(200, **way) for way in ways]


def drifts() -> list[dict[str, Any]]:
    """Soaks without and with a leak, of noise ever more dependent."""
    noise = [(blocks, rho) for blocks in (30, 60, 120) for rho in (0.0, 0.3, 0.6)]
    return [
        *(simulated.drifts(2_000, blocks, rho) for blocks, rho in noise),
        *(simulated.drifts(1_000, blocks, rho, leak=6) for blocks, rho in noise),
    ]


def comparisons() -> list[dict[str, Any]]:
    """Regression: 200 A/A pairs at margin 0, and 2,000; systems at and beyond the margin; power over runs."""
    power = [
        simulated.comparisons(2_000, runs=runs, spread=0.1, margin_ppm=100_000)
        | {"shown in theory": round(2_000 * regression.power(100_000, 0.1, runs))}
        for runs in (5, 10, 20, 40)
    ]
    return [
        *(
            simulated.comparisons(pairs, spread=spread, seed=seed)
            for pairs in (200, 2_000)
            for seed, spread in enumerate((0.02, 0.2))
        ),
        simulated.comparisons(200, margin_ppm=100_000),
        simulated.comparisons(2_000, margin_ppm=100_000, change=1.1),
        simulated.comparisons(2_000, margin_ppm=100_000, change=1.25),
        *power,
        simulated.queue_runs(200),
        simulated.families(1_000),
        simulated.recorded_days(1_000),
    ]


def margins() -> list[dict[str, Any]]:
    """The least margin that so many runs a side show with 80 % power, and the runs that 10 % takes."""
    return [
        {
            "spread": spread,
            "margin_ppm by runs": {runs: regression.margin(spread, runs) for runs in (5, 6, 10, 20)},
            "runs for 10 %": _runs_for(100_000, spread),
        }
        for spread in (0.02, 0.05, 0.22, 0.59)
    ]


def _runs_for(margin_ppm: int, spread: float) -> int | None:
    """The fewest runs a side that show the margin with 80 % power, of up to 10,000."""
    sides = range(regression.FEWEST_RUNS, 10_001)
    place = bisect_left(sides, regression.POWER, key=lambda runs: regression.power(margin_ppm, spread, runs))
    return sides[place] if place < len(sides) else None


def coverage() -> list[dict[str, Any]]:
    """Intervals of percentiles of log-normal latencies, of dependence 0, 0.7 and 0.9."""
    return [
        simulated.coverage(1_000, permille, rho, count=count)
        for permille in (500, 950, 990)
        for rho, count in ((0.0, 1_500), (0.7, 1_500), (0.7, 6_000), (0.9, 1_500))
    ]


def freezes() -> list[dict[str, Any]]:
    """A second's freeze in 14 s at 1,000 a second, by pools of connections."""
    return [simulated.freeze(pool=pool, seed=seed) for pool in (1, 4, 16, 64) for seed in (1, 2, 3)]


def paths() -> list[dict[str, Any]]:
    """Composed latencies of two to five components against every dependence tried, and against Monte Carlo."""
    return [simulated.paths(40, permille, components=count) for count in (2, 3, 5) for permille in (500, 950, 990)]


STUDIES: tuple[Study, ...] = (knees, drifts, comparisons, margins, coverage, freezes, paths)


def main(names: list[str]) -> None:
    """Runs the studies named, or all."""
    told = {}
    for study in STUDIES:
        if not names or study.__name__ in names:
            begun = time.perf_counter()
            found = study()
            told[study.__name__] = {"seconds": round(time.perf_counter() - begun, 1), "found": found}
    print(json.dumps(told, indent=1, default=lambda each: asdict(each) if is_dataclass(each) else str(each)))


if __name__ == "__main__":
    main(sys.argv[1:])
