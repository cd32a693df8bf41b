"""How fast evidence is verified, beside OpenSSL: `python -m benchmarks.verifying [DIRECTORY] [MEGABYTES] [ROUNDS]`.

Each round times `verify` over a workspace, and in the same minute `openssl dgst -sha256`, two at a time (`xargs -P 2`),
over the very same files; once with objects as a phase's results are (64 MB each), once with many of 16 kB. Prints one
JSON line of medians and bests, in MB/s, of the ratio, which should be 0.8 or more for objects of size, and of the most
memory that verifying added. Files are read once before, so that both find them in memory: the disk is not timed.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.verification import verify
from catalog.workspace import Workspace

ACTOR = Actor(name="benchmark", fingerprint="ab" * 32)
LARGE, SMALL = 64 << 20, 16 << 10


def build(home: Path, size: int, count: int) -> list[Path]:
    """A workspace of `count` objects of `size` bytes, each the output of a record; returns the objects' files."""
    workspace = Workspace.open(home, create=True)
    generator = random.Random(7)  # noqa: S311  # bytes to hash, not secrets
    block = generator.randbytes(min(size, 1 << 20))
    for start in range(0, count, 100):
        names = [
            workspace.store.put(generator.randbytes(16) + block * (size // len(block)))
            for _ in range(min(100, count - start))
        ]
        drafts = [
            Draft(kind=Kind.DERIVED, stage="volumes", outputs=(Reference(role="volumes", digest=name),))
            for name in names
        ]
        workspace.record(*drafts, actor=ACTOR, code="1.0")
    return [workspace.store.path(name) for name in workspace.store.digests()]


def ours(home: Path) -> float:
    """Seconds that `verify` takes; it must hold."""
    start = perf_counter()
    outcome = verify(home)
    if not outcome.ok:
        raise SystemExit(f"the evidence does not hold: {outcome.faults[:3]}")
    return perf_counter() - start


def theirs(files: list[Path]) -> float:
    """Seconds that OpenSSL takes, two processes at a time, each with many files."""
    each = max(1, min(200, -(-len(files) // 8)))
    listed = b"\0".join(os.fsencode(file) for file in files)
    command = ["xargs", "-0", "-P", "2", "-n", str(each), "openssl", "dgst", "-sha256"]
    start = perf_counter()
    subprocess.run(command, input=listed, stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - start


def compared(place: Path, size: int, count: int, rounds: int) -> dict[str, float | int]:
    """Medians and bests of both, taking turns."""
    files = build(place, size, count)
    total = sum(file.stat().st_size for file in files) / 1e6
    theirs(files)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = [(ours(place), theirs(files)) for _ in range(rounds)]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "files": len(files),
        "megabytes": round(total),
        "verify_median": round(total / median(mine for mine, _ in pairs)),
        "verify_best": round(total / min(mine for mine, _ in pairs)),
        "openssl_median": round(total / median(peer for _, peer in pairs)),
        "openssl_best": round(total / min(peer for _, peer in pairs)),
        "ratio_median": round(median(peer / mine for mine, peer in pairs), 2),
        "memory_added_kb": grown,
    }


def main(place: Path, megabytes: int = 1024, rounds: int = 5) -> dict[str, dict[str, float | int]]:
    """The comparison for large objects and for small ones (an eighth of the bytes)."""
    return {
        "large": compared(place / "large", LARGE, max(2, (megabytes << 20) // LARGE), rounds),
        "small": compared(place / "small", SMALL, max(2, (megabytes << 17) // SMALL), rounds),
    }


if __name__ == "__main__":
    directory, *numbers = [*sys.argv[1:], None][:1] + [int(text) for text in sys.argv[2:]]
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        print(json.dumps(main(Path(folder), *numbers)))
