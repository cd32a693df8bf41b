"""How fast the ledger takes durable records, reads them back and verifies: `python -m benchmarks.ledger [DIRECTORY]`.

Prints one JSON line. The goal is 5,000 durable records a second in batches of 100. Give a directory on the file system
that counts: in memory (tmpfs) a sync costs nothing.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from catalog.ledger import Actor, Draft, Kind, Ledger, Reference
from catalog.lineage import Lineage, render
from catalog.store import ObjectStore
from catalog.verification import verify
from catalog.workspace import Workspace

BATCH = 100
ACTOR = Actor(name="benchmark", fingerprint="ab" * 32)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def drafts(store: ObjectStore) -> list[Draft]:
    """A batch of records of the size that a phase writes: a key, three inputs, two outputs."""
    names = [store.put(f"artefact {number}".encode()) for number in range(5)]
    inputs = tuple(Reference(role=f"input-{name[:4]}", digest=name, rows=name) for name in names[:3])
    outputs = tuple(Reference(role=f"output-{name[:4]}", digest=name) for name in names[3:])
    parameters = {"occasion": "ioc", "phase": "ioc", "run": "2026-11-24T00:00:00Z", "test": "ioc.dsp.load"}
    draft = Draft(
        kind=Kind.DERIVED, stage="derive", key=names[0], inputs=inputs, outputs=outputs, parameters=parameters
    )
    return [draft] * BATCH


def append(ledger: Ledger, batch: list[Draft], count: int) -> None:
    """Appends `count` records, batch by batch."""
    for _ in range(count // len(batch)):
        ledger.append(batch, actor=ACTOR, code="1.0")


def main(place: Path, count: int = 20_000) -> dict[str, int]:
    """Rates in records a second (puts: objects a second), over `count` records."""
    workspace = Workspace.open(place / "home", create=True)
    batch = drafts(workspace.store)
    head = workspace.ledger.append(batch[:1], actor=ACTOR, code="1.0")[0].digest
    rates = {
        "append_in_batches_of_100": count / timed(lambda: append(workspace.ledger, batch, count)),
        "append_one_by_one": 500 / timed(lambda: append(workspace.ledger, batch[:1], 500)),
        "read": (count + 501) / timed(lambda: Ledger(workspace.ledger.root).records()),
        "verify": (count + 501) / timed(lambda: verify(workspace.home)),
        "lineage": (count + 501) / timed(lambda: list(render(Lineage(workspace.ledger.records()).down(head)))),
        "put_4_kb": 500 / timed(lambda: [workspace.store.put(bytes([n % 256, n // 256]) * 2048) for n in range(500)]),
    }
    return {name: round(rate) for name, rate in rates.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        print(json.dumps(main(Path(folder))))
