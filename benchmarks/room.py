"""What a message takes of the memory of the host that conducts a test: `python -m benchmarks.room [MESSAGES]`, by hand.

Draws the arrivals of a test (four million messages unless given), makes the load of them, and the rows that an injector
would have told, two columns of integers a field as they are when they have just been read; then writes both tables, as
a run does when it is over. Prints one JSON document: bytes a message, of what is resident beyond what was before,
highest while each part is made.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil

from catalog.apportion import apportion
from catalog.reading import read_programme
from flows.cli import CATALOG
from tasks.arrivals import Offer, collected, stream_arrivals
from tasks.course import Part, Turn
from tasks.execute import Step, _tables, load_of
from tasks.inject.files import RESULTS, ROW
from tasks.inject.injector import SEGMENTS, recovered
from tasks.parquet import write_table
from tasks.volumes.model import traffic_labels

_MESSAGES, _LABELS, _PER_SECOND = 4_000_000, 24, 3_000
_EPOCH_US = 1_800_000_000_000_000
_SEGMENT = 3_000


def main(messages: int = _MESSAGES) -> dict[str, float]:
    """Bytes a message, by what is being made."""
    programme = read_programme(CATALOG)
    labels = [f"{path}|{srv}|request" for path, srv in sorted(traffic_labels(programme))[:_LABELS]]
    counts = apportion(messages, range(1, len(labels) + 1))
    offer = Offer(
        messages=dict(zip(labels, counts, strict=True)), window_us=messages * 1_000_000 // _PER_SECOND, seed=1
    )
    before, found = psutil.Process().memory_info().rss, dict[str, float]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _watched(found, "arrivals", before, messages):
            arrivals = collected(offer, stream_arrivals(offer))
        with _watched(found, "load", before, messages):
            load = load_of(arrivals, 0)
        _tell(arrivals.offset_us, folder / SEGMENTS)
        with _watched(found, "rows", before, messages):
            injection = recovered(load, folder)
        step = Step(turn=Turn(part=Part.WHOLE, multiple=Fraction(1)), first=0, arrivals=arrivals, injection=injection)
        document = {"run": "run/1", "component": "dsp", "injector": {"kind": "own, open loop"}}
        for table, batches in _tables(programme, document, [step], []).items():
            with _watched(found, f"writing {table}", before, messages), (folder / table).open("wb") as file:
                write_table(table, batches(), file)
    return found


def _tell(offset_us: "np.typing.NDArray[np.int64]", folder: Path) -> None:
    """Rows of requests that all were answered, in segments as an injector writes them."""
    folder.mkdir()
    for first in range(0, len(offset_us), _SEGMENT):
        due = offset_us[first : first + _SEGMENT] + _EPOCH_US
        rows = np.zeros((len(due), len(RESULTS)), dtype=np.int64)
        rows[:, RESULTS.index("sequence")] = np.arange(first, first + len(due))
        for place, name in enumerate(("intended_us", "ready_us", "sent_us", "done_us")):
            rows[:, RESULTS.index(name)] = due + 1_000 * place
        rows[:, RESULTS.index("status")] = 200
        (folder / f"{first:012d}.rows").write_bytes(rows.tobytes())
    assert rows.itemsize * len(RESULTS) == ROW.size  # noqa: S101 - a benchmark


@contextmanager
def _watched(found: dict[str, float], what: str, before: int, messages: int) -> Iterator[None]:
    """Notes the highest that is resident meanwhile, looked at fifty times a second."""
    process, over, highest = psutil.Process(), threading.Event(), [0]

    def look() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], process.memory_info().rss)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    found[what] = round((max(highest[0], process.memory_info().rss) - before) / messages, 1)


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:])), indent=2))
