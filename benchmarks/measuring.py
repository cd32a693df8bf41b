"""From results to observations at scale, beside the bare queries: `python benchmarks/measuring.py [MILLIONS …]`.

Makes a Parquet file of results for each number of millions (10 unless told otherwise; a fixed seed), and prints as JSON
what each step takes, in a process of its own for each file: seconds, seconds of all cores (the machine may have other
things to do), and the most memory resident. Steps: the contract of the results; their measurement; the observation
against 24 requirements, by a judge that is ready. Beside them the bare queries of DuckDB for the same figures, by
component and by SRV. Libraries are imported before. About 17 MB of disk for each million.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tasks"))

MILLION = 1_000_000
SRVS = 24
A_SECOND = 1_000  # messages

_ROWS = """
    COPY (
        WITH drawn AS (
            SELECT range AS i, hash(range, $seed) AS h,
                   (hash(range, $seed + 1) >> 11) / 9007199254740992 AS u,
                   (hash(range, $seed + 2) >> 11) / 9007199254740992 AS w
            FROM range($count)
        ),
        timed AS (
            SELECT i, h, h % 2000 = 0 AS failed, $start + i * 1000 + (h % 900)::BIGINT AS intended_us,
                   20 + ((h >> 20) % 200)::BIGINT AS late_us,
                   (exp(10 + 0.6 * sqrt(-2 * ln(greatest(u, 1e-12))) * cos(2 * pi() * w))
                    * (1 + 0.5 * sin(i * 81.7 / $count)) + CASE WHEN h % 500 = 1 THEN 300000 * w ELSE 0 END)::BIGINT
                   + 1000 AS latency_us
            FROM drawn
        )
        SELECT 'ioc/ioc.dsp.load/1' AS run, i AS sequence, 'dsp' AS component,
               CASE WHEN h % 3 = 0 THEN 'migration' ELSE 'bau' END AS path, 'SRV' || (h >> 40) % $srvs AS srv,
               CASE WHEN (h >> 50) % 20 = 0 THEN 'alert' ELSE 'request' END AS kind,
               CASE WHEN h % 3 = 0 THEN 'migration' ELSE 'BAU' END AS traffic, 'ok' AS expect, intended_us,
               intended_us + late_us AS ready_us, intended_us + late_us + 10 AS sent_us,
               intended_us + latency_us AS done_us, latency_us, latency_us - late_us - 10 AS service_us,
               CASE WHEN failed THEN 0 ELSE 200 END::BIGINT AS status,
               CASE WHEN failed THEN 'timeout' ELSE 'ok' END AS outcome, (900 + (h >> 33) % 200)::BIGINT AS bytes
        FROM timed
    ) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 262144)
"""
"""Log-normal latencies around 22 ms that rise and fall over the run, one in 500 much slower, one in 2,000 never."""

_BARE = """
    SELECT {by}, count(*), count(*) FILTER (outcome = expect), max(latency_us),
           quantile_disc(CASE WHEN outcome = expect THEN latency_us ELSE 9007199254740991 END, [0.5, 0.95, 0.99])
    FROM read_parquet($path) WHERE kind IN ('request', 'alert') GROUP BY {by} ORDER BY {by}
"""


def timed(what):
    """What `what` takes in seconds, and in seconds of all cores of this process, and what it returns."""
    begun, busy = time.perf_counter(), time.process_time()
    found = what()
    return {"s": round(time.perf_counter() - begun, 2), "cpu_s": round(time.process_time() - busy, 2)}, found


def resident_mb() -> int:
    """The most memory that was resident at once in this process, in millions of bytes."""
    told = Path("/proc/self/status").read_text()  # what getrusage says includes the process that this one came from
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024 // MILLION


def make(path: Path, count: int) -> None:
    """Writes `count` results."""
    import duckdb
    from evidence import START

    with duckdb.connect() as connection:
        told = {"count": count, "seed": 7, "start": START, "srvs": SRVS}
        connection.execute(_ROWS.format(path=path), told)


def bare(path: Path) -> None:
    """The bare queries."""
    import duckdb

    with duckdb.connect() as connection:
        for by in ("component", "component, srv"):
            connection.execute(_BARE.format(by=by), {"path": str(path)}).fetchall()


def judged(path: Path, count: int) -> None:
    """Prints the figures of one file: contract, measurement and observation, then the bare queries."""
    import scipy.special  # noqa: F401  # imports are not counted
    from evidence import infrastructure, requirement, run_document, write

    from catalog.declarations import Metric
    from expectations import tables
    from tasks.judge import start_judge
    from tasks.measure import measure
    from tasks.observe import Subject, observe
    from tasks.parquet import hold

    limits = {
        **dict.fromkeys((Metric.LATENCY_P50, Metric.LATENCY_P95, Metric.LATENCY_P99, Metric.LATENCY_MAX), "1 s"),
        Metric.ANSWERED_SHARE: "99 %",
    }
    wanted = [
        requirement(metric, limit, name=f"{metric}-{group}", groups=[group] if group else [])
        for group in ("", "g0", "g1", "g2", "g3")
        for metric, limit in limits.items()
    ][:24]
    window = count * MILLION // A_SECOND
    run = run_document(window_us=window, target={"messages": count}, sampling_interval_us=window // 120)
    groups = {f"SRV{number}": f"g{number % 5}" for number in range(SRVS)}
    told = {"rows": count}
    with start_judge() as judge, tempfile.TemporaryDirectory() as name:
        sampled = write(Path(name), "infrastructure", infrastructure())
        observe([], [], judge)
        tables.columns("measurements")
        begun = resident_mb()
        told["contract"], _ = timed(lambda: hold("results", path))
        told["measure"], found = timed(lambda: measure(run, path, sampled, withins=(30 * MILLION,), groups=groups))
        subject = Subject(document=run, measurements=write(Path(name), "measurements", found))
        told["observe"], observed = timed(lambda: observe([subject], wanted, judge))
        told["measurements"], told["observations"] = len(found), len(observed.observations)
        told["resident MB before and most"] = [begun, resident_mb()]
    told["bare"], _ = timed(lambda: bare(path))
    told["resident MB most, bare queries included"] = resident_mb()
    for unit in ("s", "cpu_s"):
        spent = sum(told[step][unit] for step in ("contract", "measure", "observe"))
        allowed = 1.5 * told["bare"][unit] + 2
        told[f"together {unit}"] = round(spent, 2)
        told[f"together / (1.5 x bare + 2 s), {unit}"] = round(spent / allowed, 2)
    print(json.dumps(told, indent=2))


def main() -> None:
    """Makes the files one after the other, and judges each in a new process."""
    for millions in sys.argv[1:] or ["10"]:
        count = int(float(millions) * MILLION)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.parquet"
            make(path, count)
            subprocess.run([sys.executable, __file__, "--judge", str(path), str(count)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        judged(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
