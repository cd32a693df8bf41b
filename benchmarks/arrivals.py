"""What drawing arrivals costs: `python benchmarks/arrivals.py`, by hand, prints one JSON document; some minutes.

First the most memory that a process of its own takes for a stream, and for one of 288 million messages: 10,000 a second
for eight hours. Then millions of messages a second of one core's time, as column batches with devices: 50 labels on 5
paths, 2,475 a second, 30 s to answer; the median of several rounds, and beside it, from the same rounds, plain numpy
doing the same arithmetic batch by batch, without exact counts, parts that stand alone, or paths. Writing is apart.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from statistics import median

import fastparquet
import numpy as np
import pandas as pd

from catalog.apportion import apportion
from catalog.declarations import ArrivalsShape
from tasks.arrivals import Arrivals, Offer, stream_arrivals
from tasks.draw.due import LEAF
from tasks.parquet import RowsDigest, frame, write_table

_SHAPES = {
    "even": ArrivalsShape(process="even"),
    "poisson": ArrivalsShape(),
    "bursty": ArrivalsShape(process="bursty", dispersion=Decimal("4.5"), burst=500_000),
}
_LABELS, _PATHS, _PER_SECOND, _HOLD_US = 50, 5, 2_475, 30_000_000
_ESTATE = 10_000_000
_MESSAGES, _ROUNDS = 10_000_000, 5
_STREAMS = (50_000_000, 288_000_000)
_ROWS = (1_000_000, 4_000_000)

Columns = tuple[np.ndarray, np.ndarray, np.ndarray]


def offer(shape: str, messages: int) -> Offer:
    """An offer of the mix, its labels of unequal weight."""
    labels = [f"path-{number % _PATHS}|{number}|request" for number in range(_LABELS)]
    counts = apportion(messages, range(1, _LABELS + 1))
    return Offer(
        messages=dict(zip(labels, counts, strict=True)),
        window_us=messages * 1_000_000 // _PER_SECOND,
        seed=1,
        shape=_SHAPES[shape],
        estate=_ESTATE,
        hold_us=_HOLD_US,
    )


def bare_even(messages: int) -> Iterator[Columns]:
    """Offsets, labels and devices by plain arithmetic."""
    stops, window = np.cumsum(apportion(messages, range(1, _LABELS + 1))), messages * 1_000_000 // _PER_SECOND
    for first in range(0, messages, LEAF):
        at = np.arange(first, min(first + LEAF, messages))
        yield at * window // messages, np.searchsorted(stops, at * 3_090_169 % messages, side="right"), _devices(at)


def bare_poisson(messages: int) -> Iterator[Columns]:
    """Uniform offsets within each batch's stretch, sorted together with their labels."""
    drawn = np.random.Generator(np.random.PCG64(1))
    labels = np.repeat(np.arange(_LABELS), apportion(LEAF, range(1, _LABELS + 1)))
    for first in range(0, messages, LEAF):
        yield _sorted(drawn.integers(0, LEAF * 1_000_000 // _PER_SECOND, size=LEAF), labels, first)


def bare_bursty(messages: int) -> Iterator[Columns]:
    """Uniform bursts of four or five, uniform offsets within each, sorted together with their labels."""
    drawn = np.random.Generator(np.random.PCG64(1))
    bursts = 2 * LEAF // 9
    sizes = np.resize([4, 5], bursts)
    labels = np.repeat(np.resize(np.arange(_LABELS), bursts), sizes)
    for first in range(0, messages, len(labels)):
        slots = drawn.integers(0, LEAF * 1_000_000 // _PER_SECOND // 500_000, size=bursts)
        yield _sorted(np.repeat(slots * 500_000, sizes) + drawn.integers(0, 500_000, size=len(labels)), labels, first)


def _sorted(offsets: np.ndarray, labels: np.ndarray, first: int) -> Columns:
    ordered = np.sort(offsets << 6 | labels)
    return first + (ordered >> 6), ordered & 63, _devices(np.arange(first, first + len(ordered)))


def _devices(at: np.ndarray) -> np.ndarray:
    return at * 6_180_339 % _ESTATE


_BARE = {"even": bare_even, "poisson": bare_poisson, "bursty": bare_bursty}


def drawing(shape: str) -> dict[str, float]:
    """Millions a second of one core's time, of ours and of plain numpy's, turn about."""
    ours, bare = [], []
    for _ in range(_ROUNDS):
        ours.append(_rate(_MESSAGES, lambda: stream_arrivals(offer(shape, _MESSAGES))))
        bare.append(_rate(_MESSAGES, lambda: _BARE[shape](_MESSAGES)))
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return {
        "million_a_second": _rounded(ours),
        "bare_numpy_million_a_second": _rounded(bare),
        "ratio": _rounded(ratios),
    }


def _rate(messages: int, make: Callable[[], Iterator[object]]) -> float:
    begun = time.process_time()
    deque(make(), maxlen=0)
    return messages / (time.process_time() - begun) / 1e6


def _rounded(values: list[float]) -> float:
    return round(median(values), 2)


def writing(messages: int) -> dict[str, float]:
    """Millions of rows a second written with contract and digest, and by fastparquet alone from rows made before."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _rate(messages, lambda: iter([_write(messages, Path(folder))]))
        rows = pd.concat([_rows(each) for each in islice(stream_arrivals(offer("poisson", messages)), 16)])
        bare = _rate(len(rows), lambda: iter([fastparquet.write(f"{folder}/bare", rows, compression="ZSTD")]))
    return {
        "million_rows_a_second": round(ours, 3),
        "bare_fastparquet_million_rows_a_second": round(bare, 3),
        "ratio": round(ours / bare, 2),
    }


def _write(messages: int, folder: Path) -> None:
    rows = RowsDigest()
    with (folder / "arrivals").open("wb") as file:
        write_table("arrivals", rows.passing(map(_rows, stream_arrivals(offer("poisson", messages)))), file)


def _rows(batch: Arrivals) -> pd.DataFrame:
    parts = [label.split("|") for label in batch.labels]
    names = {
        name: np.array([part[place] for part in parts], dtype=object)[batch.label]
        for place, name in enumerate(("path", "srv", "kind"))
    }
    same = {"traffic": ["BAU"] * len(batch), "expect": ["ok"] * len(batch)}
    numbers = {"sequence": batch.sequence, "offset_us": batch.offset_us, "device": batch.device}
    return frame("arrivals", names | same | numbers)


def memory(what: str, messages: int) -> int:
    """The most memory, in MiB, that a process of its own took."""
    command = [sys.executable, __file__, what, str(messages)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _alone(what: str, messages: int) -> None:
    if what == "write":
        with tempfile.TemporaryDirectory() as folder:
            _write(messages, Path(folder))
    else:
        deque(stream_arrivals(offer(what, messages)), maxlen=0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Takes memory before anything is large here, for a new process counts what its parent held; then times."""
    if len(sys.argv) > 1:
        _alone(sys.argv[1], int(sys.argv[2]))
        return
    peaks = {f"{shape}, {count:,} messages": memory(shape, count) for shape in _SHAPES for count in _STREAMS}
    peaks |= {f"writing, {count:,} rows": memory("write", count) for count in _ROWS}
    told: dict[str, object] = {"peak_mib": peaks, **{shape: drawing(shape) for shape in _SHAPES}}
    told["writing"] = writing(_ROWS[0])
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
