"""How fast submitted results are taken in, against the least that must be done with the same file, in one run.

    python benchmarks/intake.py [--rows N] [--rounds N] [--folder DIR]

JMeter CSV against DuckDB's own `read_csv` of the file into Parquet, k6 NDJSON against `read_json`, JMeter XML against
lxml's `iterparse` doing nothing else (where lxml is installed; else against expat with handlers that do nothing). Ours
counts everything: reading, the account of every line, the results table held to its contract, the plausibility checks,
and the original hashed and copied into a store. Each measurement is a process of its own, so that its peak of resident
memory is its own; rounds are interleaved, and the medians are told.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.parsers import expat

START = 1_795_480_000_000
LABELS = ("Read inventory", "Send command, prepay", "Update firmware")
HEAD = (
    "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,"
    "grpThreads,allThreads,URL,Latency,IdleTime,Connect\n"
)


def write_jtl(file: Path, rows: int) -> None:
    """A JTL as JMeter's default configuration writes it."""
    with file.open("w") as out:
        out.write(HEAD)
        for number, at, took, ok in made(rows):
            label = LABELS[number % 3]
            quoted = f'"{label}"' if "," in label else label
            code, message = (200, "OK") if ok else (500, "Internal Server Error")
            out.write(
                f"{at},{took},{quoted},{code},{message},Thread Group 1-{number % 50},text,{str(ok).lower()},,"
                f"{900 + number % 7},345,50,50,https://10.0.0.1/duis/{number % 9},{max(1, took - 1)},0,0\n"
            )


def write_k6(file: Path, rows: int) -> None:
    """NDJSON as k6 writes it: nine points a request, of which one is its duration. `rows`: points."""
    names = ("http_reqs", "http_req_duration", "http_req_blocked", "http_req_connecting", "http_req_tls_handshaking",
             "http_req_sending", "http_req_waiting", "http_req_receiving", "http_req_failed")  # fmt: skip
    with file.open("w") as out:
        for number, at, took, ok in made(rows // len(names)):
            tags = {"expected_response": str(ok).lower(), "group": "", "method": "POST", "name": LABELS[number % 3],
                    "proto": "HTTP/1.1", "scenario": "default", "status": "200" if ok else "500",
                    "url": "https://10.0.0.1/duis"}  # fmt: skip
            stamp = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03d}{number % 10**6:06d}Z"
            )
            for name in names:
                value = took + number % 1000 / 1000
                data = {"time": stamp, "value": value, "tags": tags}
                out.write(json.dumps({"metric": name, "type": "Point", "data": data}, separators=(",", ":")) + "\n")


def write_xml(file: Path, rows: int) -> None:
    """A JTL as XML."""
    with file.open("w") as out:
        out.write('<?xml version="1.0" encoding="UTF-8"?>\n<testResults version="1.2">\n')
        for number, at, took, ok in made(rows):
            out.write(
                f'<httpSample t="{took}" it="0" lt="{took}" ct="0" ts="{at}" s="{str(ok).lower()}" '
                f'lb="{LABELS[number % 3]}" '
                f'rc="{200 if ok else 500}" rm="OK" tn="Thread Group 1-{number % 50}" dt="text" by="900" sby="345" '
                'ng="50" '
                'na="50">\n  <java.net.URL>https://10.0.0.1/duis</java.net.URL>\n</httpSample>\n'
            )
        out.write("</testResults>\n")


def made(rows: int):  # type: ignore[no-untyped-def]  # a generator of plain tuples
    """Number, start and duration in ms, and success of each request."""
    rng, at = random.Random(1), START  # noqa: S311  # the same file every time
    for number in range(rows):
        at += rng.randrange(3)
        yield number, at, int(rng.expovariate(1 / 40)) + 1, number % 100 != 0


def ours(file: Path) -> None:
    """All that an intake does with the rows of a file."""
    from catalog.store import ObjectStore
    from tasks.intake.manifest import Manifest, Submitter
    from tasks.intake.plausible import implausible
    from tasks.intake.receive import read_files
    from tasks.intake.staging import connect
    from tasks.intake.table import labels_of, write_results

    with TemporaryDirectory(dir=file.parent) as name:
        folder = Path(name)
        (folder / "copies").mkdir()
        manifest = Manifest(submitted_by=Submitter(name="nobody", organisation="nobody"))
        submission = read_files([file], manifest, folder / "read", copies=folder / "copies")
        (staged,) = submission.staged
        connection = connect(folder)
        write_results(
            connection,
            staged.samples,
            folder / "results",
            run="r",
            component="c",
            labels=labels_of(connection, staged.samples),
            meanings={},
            in_order=len(staged.samples) == 1,
        )
        implausible(connection, [staged.samples])
        connection.close()
        ObjectStore(folder / "objects").adopt(submission.originals[0])


def read_csv(file: Path) -> None:
    """DuckDB's own reader into Parquet."""
    import duckdb

    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(f"COPY (FROM read_csv('{file}')) TO '{file}.parquet'")
    Path(f"{file}.parquet").unlink()


def read_json(file: Path) -> None:
    """DuckDB's own reader into Parquet."""
    import duckdb

    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(f"COPY (FROM read_json('{file}')) TO '{file}.parquet'")
    Path(f"{file}.parquet").unlink()


def iterparse(file: Path) -> None:
    """lxml's, and nothing done with what it gives but to forget it."""
    from lxml import etree  # type: ignore[import-not-found]  # installed by hand, to compare with

    for _, element in etree.iterparse(str(file)):
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]


def bare_expat(file: Path) -> None:
    """Expat with handlers that do nothing."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda _name, _attributes: None
    parser.EndElementHandler = lambda _name: None
    with file.open("rb") as stream:
        parser.ParseFile(stream)


WAYS: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (ours, read_csv, read_json, iterparse, bare_expat)
}


def measured(way: str, file: Path) -> tuple[float, float, int]:
    """Seconds, those of all processors, and MiB at the peak, of a process of its own."""
    found = subprocess.run(
        [sys.executable, __file__, "--measure", way, "--file", str(file)], check=True, capture_output=True, text=True
    )
    seconds, busy, peak = found.stdout.split()
    return float(seconds), float(busy), int(peak)


def xml_baseline() -> str:
    """lxml where it is installed."""
    try:
        import lxml  # type: ignore[import-not-found]  # noqa: F401  # whether it is there is asked
    except ImportError:
        return "bare_expat"
    return "iterparse"


def main() -> None:
    """Writes the files, measures, and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        began = time.perf_counter()
        WAYS[options.measure](options.file)
        took = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(took, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)
        return
    with TemporaryDirectory(dir=options.folder) as name:
        for kind, write, baseline, rows in (
            ("jtl", write_jtl, "read_csv", options.rows),
            ("k6", write_k6, "read_json", options.rows),
            ("xml", write_xml, xml_baseline(), options.rows // 4),
        ):
            if options.only in ("", kind):
                file = Path(name) / f"results.{kind}"
                write(file, rows)
                tell(kind, file, baseline, rows, options.rounds)
                file.unlink()


def tell(kind: str, file: Path, baseline: str, rows: int, rounds: int) -> None:
    """Two lines: medians of both, and what of the baseline's speed ours has; by the clock, and by the processors' time.

    On a machine that does other things the second is the steadier: it counts what either way does, and not what it
    waits for.
    """
    found: dict[str, list[tuple[float, float, int]]] = {baseline: [], "ours": []}
    for _ in range(rounds):
        for way, runs in found.items():
            runs.append(measured(way, file))
    size = file.stat().st_size
    print(f"{kind}: {rows:,} rows, {size / 1e6:,.0f} MB")
    for place, what in enumerate(("by the clock", "of processors")):
        theirs, own = (statistics.median(run[place] for run in runs) for runs in found.values())
        ratios = [a[place] / b[place] for a, b in zip(*found.values(), strict=True)]
        print(
            f"  {what}: {baseline} {theirs:.2f} s, ours {own:.2f} s ({size / 1e6 / own:,.0f} MB/s): "
            f"{100 * statistics.median(ratios):.0f} % of its speed ({100 * min(ratios):.0f} to {100 * max(ratios):.0f})"
        )
    peaks = ", ".join(f"{way} {max(run[2] for run in runs)} MiB" for way, runs in found.items())
    print(f"  at the peak: {peaks}", flush=True)


if __name__ == "__main__":
    main()
