"""Whether submitted results can be what they say: duplicates, gaps, overlaps, impossible rates, jumping clocks.

Each is a finding on the record, and nothing is mended.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.intake.format import BATCH, Finding
from tasks.intake.staging import samples_of

if TYPE_CHECKING:
    import duckdb

_SECOND = 1_000_000
_PASS = 8_000_000  # hashes held at once: 64 MB
_GAP_PERCENT, _SHORTEST_GAP = 5, 10
_JUMP = 60 * _SECOND
_ALIKE_PERCENT = 99
_FEWEST = 30
_PARTS, _STRETCH = 1000, 1010


def implausible(
    connection: "duckdb.DuckDBPyConnection", files: Sequence[Sequence[Path]], window: tuple[int, int] | None = None
) -> list[Finding]:
    """What is odd about the samples of a run, given by the files that they came in.

    `window`: when the load that counts was offered, as stated, in microseconds since the epoch.
    """
    everything = samples_of(tuple(path for each in files for path in each))
    found = [*_overlaps(connection, files), *_gaps(connection, everything), *_latencies(connection, everything)]
    found += _outside(connection, everything, window) if window else []
    for number, each in enumerate(files, 1):
        found += _impossible(connection, samples_of(tuple(each)), f"file {number}: " if len(files) > 1 else "")
        for part in each:  # rows that had to be mended stand in a part of their own, in order too
            found += _jumps(connection, samples_of((part,)))
    return [*dict.fromkeys(found), *_duplicates(connection, everything)]


def most_within(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path], time_us: int) -> int:
    """The most messages that were due, or sent where that is not known, within any stretch of `time_us`.

    Counted by thousandths of it, in stretches of one hundredth more, so that none is missed by the width of one.
    """
    step, rows = max(1, time_us // _PARTS), samples_of(tuple(files))
    place = f"coalesce(intended_us, sent_us) // {step} AS place"
    bins = f"SELECT place, count(*) AS messages FROM (SELECT {place} FROM ({rows})) GROUP BY place"  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    found = connection.execute(f"SELECT * FROM ({bins}) WHERE place IS NOT NULL ORDER BY place")  # noqa: S608  # see above
    within: deque[tuple[int, int]] = deque()
    held = most = 0
    while batch := found.fetchmany(BATCH):
        for each in batch:
            within.append(each)
            held += each[1]
            while within[0][0] <= each[0] - _STRETCH:
                held -= within.popleft()[1]
            most = max(most, held)
    return most


def _overlaps(connection: "duckdb.DuckDBPyConnection", files: Sequence[Sequence[Path]]) -> list[Finding]:
    spans = []
    for number, each in enumerate(files, 1):
        rows = samples_of(tuple(each))
        spans.append((*_row(connection, f"SELECT min(sent_us), max(sent_us) FROM ({rows})"), number))  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    spans = sorted(span for span in spans if span[0] is not None)
    pairs = [(a[2], b[2]) for a, b in pairwise(spans) if b[0] <= a[1]]
    return [
        Finding(code="overlap", message=f"files {one} and {other} overlap in time: parts of one run, or the same twice")
        for one, other in pairs
    ]


def _outside(connection: "duckdb.DuckDBPyConnection", rows: str, window: tuple[int, int]) -> list[Finding]:
    start, end = window
    at = "coalesce(intended_us, sent_us)"
    query = f"SELECT count(*), count(*) FILTER ({at} < {start} OR {at} > {end}) FROM ({rows})"  # noqa: S608  # `samples_of` quotes its files; the rest is our own, and numbers
    count, outside = _row(connection, query)
    if not outside:
        return []
    message = f"{outside} of {count} messages were sent outside the window that the manifest states; all of them count"
    return [Finding(code="outside-window", message=message)]


def _gaps(connection: "duckdb.DuckDBPyConnection", rows: str) -> list[Finding]:
    seconds = f"SELECT DISTINCT sent_us // {_SECOND} AS second FROM ({rows}) WHERE sent_us IS NOT NULL"  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    spaced = f"SELECT second, second - lag(second) OVER (ORDER BY second) AS apart FROM ({seconds})"  # noqa: S608  # see above
    first, last, widest = _row(connection, f"SELECT min(second), max(second), max(apart) FROM ({spaced})")  # noqa: S608  # see above
    if first is None or widest is None or widest <= max(_SHORTEST_GAP, (last - first) * _GAP_PERCENT // 100):
        return []
    return [Finding(code="gap", message=f"nothing was sent for {widest - 1} s, of {last - first + 1} s in all")]


def _latencies(connection: "duckdb.DuckDBPyConnection", rows: str) -> list[Finding]:
    count, zero = _row(connection, f"SELECT count(*), count(*) FILTER (done_us = sent_us) FROM ({rows})")  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    found = []
    if count >= _FEWEST and zero * 100 >= count * _ALIKE_PERCENT:
        found.append(Finding(code="zero-latency", message=f"{zero} of {count} messages took no time at all"))
    elif count >= _FEWEST:
        (kinds,) = _row(connection, f"SELECT count(*) FROM (SELECT DISTINCT done_us - sent_us FROM ({rows}) LIMIT 2)")  # noqa: S608  # `samples_of` quotes its files; the rest is our own
        if kinds == 1:
            found.append(Finding(code="constant-latency", message=f"all {count} messages took exactly as long"))
    return found


def _impossible(connection: "duckdb.DuckDBPyConnection", rows: str, where: str) -> list[Finding]:
    """Of one file, as every generator counts its own threads."""
    threads, busy, first, last = _row(
        connection,
        "SELECT max(threads), sum(done_us - sent_us)::HUGEINT, min(sent_us), max(done_us) "  # noqa: S608  # `samples_of` quotes its files; the rest is our own
        f"FROM ({rows})",
    )
    if not threads or last <= first or busy <= threads * (last - first):
        return []
    message = f"{where}{threads} threads cannot wait {_seconds(busy)} within {_seconds(last - first)}"
    return [Finding(code="impossible-rate", message=message)]


def _seconds(us: int) -> str:
    return f"{us // _SECOND}.{us % _SECOND // 1000:03} s"


def _jumps(connection: "duckdb.DuckDBPyConnection", rows: str) -> list[Finding]:
    spaced = f"SELECT done_us - lag(done_us) OVER () AS apart, done_us - sent_us AS took FROM ({rows})"  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    back, negative = _row(
        connection,
        f"SELECT count(*) FILTER (apart < -{_JUMP}), count(*) FILTER (took < 0) FROM ({spaced})",  # noqa: S608  # see above
    )
    found = []
    if back:
        message = (
            f"times go back by more than {_JUMP // _SECOND} s in {back} places: a clock that was set, or runs appended"
        )
        found.append(Finding(code="clock-jump", message=message))
    if negative:
        found.append(Finding(code="negative-latency", message=f"{negative} messages were done before they were sent"))
    return found


def _duplicates(connection: "duckdb.DuckDBPyConnection", rows: str) -> list[Finding]:
    """Rows alike in everything that the file says of them, by a hash of 64 bits."""
    import numpy as np

    (count,) = _row(connection, f"SELECT count(*) FROM ({rows})")  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    passes, twice = -(-count // _PASS) or 1, 0
    hashed = f"SELECT hash(label, sent_us, done_us, status, outcome, bytes, origin) AS found FROM ({rows})"  # noqa: S608  # `samples_of` quotes its files; the rest is our own
    for number in range(passes):
        chosen = f"SELECT found FROM ({hashed}) WHERE found % {passes} = {number}"  # noqa: S608  # see above; whole numbers
        values = np.asarray(connection.execute(chosen).fetchnumpy()["found"])
        values.sort()
        twice += int((values[1:] == values[:-1]).sum())
    if not twice:
        return []
    message = (
        f"{twice} messages are the same as another in every column: the same rows twice, or times too coarse to tell"
    )
    return [Finding(code="duplicates", message=message)]


def _row(connection: "duckdb.DuckDBPyConnection", query: str) -> tuple[int, ...]:
    found = connection.execute(query).fetchone()
    return tuple(found) if found else ()
