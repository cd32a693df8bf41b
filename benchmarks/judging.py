"""What measuring and judging cost: `python benchmarks/judging.py` prints seconds as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tasks"))

from evidence import infrastructure, requirement, results, run_document, write

from expectations import statistics
from tasks.judge import start_judge
from tasks.measure import measure
from tasks.observe import Subject, observe


def timed(what):
    """How long `what` takes, in seconds, and what it returns."""
    begun = time.perf_counter()
    found = what()
    return round(time.perf_counter() - begun, 3), found


def main() -> None:
    """Times the interval of a percentile, the measuring of a run, and the judging of many rows."""
    drawn = np.random.default_rng(1)
    told = {}
    with start_judge() as judge, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        subjects = {}
        for count in (1_500, 10_000, 100_000):
            latency = np.exp(10 + drawn.normal(size=count) / 2).astype(np.int64)
            block = np.arange(count) * 30 // count
            told[f"interval, {count} messages"], _ = timed(
                lambda latency=latency, block=block: statistics.quantile_interval(latency, block, 950, seed=1)
            )
            run = run_document(target={"messages": count})
            paths = (
                write(folder, "results", results(count, latency_us=latency)),
                write(folder, "infrastructure", infrastructure()),
            )
            groups = {f"s{number}": f"g{number}" for number in range(5)}
            told[f"measure, {count} messages, 6 scopes"], found = timed(
                lambda run=run, paths=paths, groups=groups: measure(run, *paths, withins=(30_000_000,), groups=groups)
            )
            subjects[count] = Subject(document=run, measurements=write(folder, "measurements", found))
        observe([], [], judge)
        told["judge ready after"] = round(time.perf_counter() - begun, 3)
        for count in (50, 1_000, 10_000):
            wanted = [requirement("latency-p95", "1 s", name=f"r{number}") for number in range(count)]
            told[f"observe, {count} requirements"], _ = timed(
                lambda wanted=wanted: observe([subjects[1_500]], wanted, judge)
            )
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
