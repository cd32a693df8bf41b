"""How long a million records take to index, and a figure's lineage then: `python -m benchmarks.lineage [RECORDS]`.

A ledger of programmes' phases, 2,500 tests each: a catalogue, volumes and a plan are declared and derived; each test is
executed, measured and observed, or every fifth rests on a run of the phase before; a report has a figure of each test.
Prints one JSON line. Of seconds there are two, of the clock and of the processor (on a busy machine the first says
little): `index`, building plimsoll.duckdb, which should take 30 s or less; `figure`, the answer of `plimsoll lineage
FIGURE` in a process that is up, which should take 0.1 s or less (the median of several figures, each with nothing
remembered of those before); `whole_ledger`, the same where the index is not there; `command`, the whole process, from
its start. Records go straight to their files, a file of 10,000 at a time, since how fast the ledger takes them is for
`benchmarks.ledger` to say. The store holds the reports alone.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from catalog.canonical import canonical, digest
from catalog.ledger import GENESIS, Actor, Draft, Kind, Reference, encode
from catalog.workspace import Workspace

ACTOR = Actor(name="benchmark", fingerprint="ab" * 32)
TESTS = 2_500
RELIED = 5  # every which test rests on a run of the phase before
ROLL = 10_000
ASKED = 9  # figures


class _Files:
    """The files of a ledger, written one whole file at a time."""

    def __init__(self, root: Path) -> None:
        self._root, self._lines = root, list[bytes]()
        self.sequence, self._previous = 0, GENESIS
        root.mkdir(parents=True, exist_ok=True)

    def add(self, draft: Draft) -> str:
        """Puts the record behind those before; returns its digest."""
        self.sequence += 1
        time = f"2026-11-24T00:00:{self.sequence % 60:02d}.000000Z"
        line = encode(draft, sequence=self.sequence, previous=self._previous, time=time, actor=ACTOR, code="1.0")
        self._lines.append(line)
        self._previous = json.loads(line)["digest"]
        if len(self._lines) == ROLL:
            self.flush()
        return self._previous

    def flush(self) -> None:
        """Writes what is not in a file yet."""
        if self._lines:
            first = self.sequence - len(self._lines) + 1
            (self._root / f"{first:012d}.jsonl").write_bytes(b"\n".join(self._lines) + b"\n")
            self._lines = []


def _name(*parts: object) -> str:
    return digest(":".join(map(str, parts)).encode())


def _references(named: dict[str, str]) -> tuple[Reference, ...]:
    """With roles that no table of evidence has: the store holds none."""
    return tuple(Reference(role=f"{role}.json", digest=name) for role, name in named.items())


def write_ledger(home: Path, count: int) -> int:
    """A workspace of `count` records or a few more; returns how many."""
    workspace = Workspace.open(home, create=True)
    files = _Files(home / "ledger")
    before: list[tuple[str, str]] = []
    phase = 0
    while files.sequence < count:
        before = _phase(files, workspace, phase, before)
        phase += 1
    files.flush()
    return files.sequence


def _phase(
    files: _Files, workspace: Workspace, number: int, before: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """One phase; returns its `executed` records, each with its results."""
    phase = f"phase-{number:04d}"
    about = {"occasion": phase, "phase": phase}
    catalogue, volumes, plan = (_name(each, number) for each in ("catalogue", "volumes", "plan"))
    files.add(_draft(Kind.DECLARED, "declare", {}, {"catalogue": catalogue}, about))
    files.add(_draft(Kind.DERIVED, "volumes", {"catalogue": catalogue}, {"volumes": volumes}, about))
    files.add(_draft(Kind.DERIVED, "plan", {"catalogue": catalogue, "volumes": volumes}, {"plan": plan}, about))
    executed, figures = list[tuple[str, str]](), list[dict[str, Any]]()
    for test in range(TESTS):
        told = {**about, "test": f"test-{test:04d}", "run": f"{phase}/test-{test:04d}"}
        if before and test % RELIED == 0:
            run, results = before[test % len(before)]
            source = {"executed": run, "results": results}
            files.add(_draft(Kind.RELIED, "rely", source, {"comparison": _name("comparison", number, test)}, told))
        else:
            results = _name("results", number, test)
            files.add(_draft(Kind.STARTED, "execute", {"plan": plan, "volumes": volumes}, {}, told))
            out = {"results": results, "events": _name("events", number, test)}
            run = files.add(_draft(Kind.EXECUTED, "execute", {"plan": plan, "volumes": volumes}, out, told))
            executed.append((run, results))
        measured, observed = _name("measured", number, test), _name("observed", number, test)
        files.add(_draft(Kind.DERIVED, "measure", {"results": results}, {"measurements": measured}, told))
        sources = {"measurements": measured, "catalogue": catalogue}
        files.add(_draft(Kind.OBSERVED, "observe", sources, {"observations": observed}, told))
        figures.append(_figure(f"test-{test:04d}/p95", [observed, measured]))
    report = workspace.store.put(canonical({"observations": figures}))
    sources = {f"observations-{test}": _name("observed", number, test) for test in range(TESTS)}
    files.add(_draft(Kind.REPORTED, "report", sources, {"report": report}, about))
    return executed


def _draft(kind: Kind, stage: str, inputs: dict[str, str], outputs: dict[str, str], told: dict[str, str]) -> Draft:
    key = _name(kind, *inputs.values(), told.get("test"))
    named = {"inputs": _references(inputs), "outputs": _references(outputs)}
    return Draft(kind=kind, stage=stage, key=key, parameters=told, **named)


def _figure(name: str, evidence: list[str]) -> dict[str, Any]:
    return {"figure": name, "value": "1200", "unit": "us", "text": "1.2 ms", "evidence": evidence, "verdict": "proved"}


_TIMED = """
import json, resource, sys
from pathlib import Path
from time import perf_counter, process_time
import duckdb
from catalog.lineage import Lineage, as_json
from catalog.workspace import Workspace, newest_reports
from tasks.index import rebuild_index
from tasks.index_lineage import figure_trees
work, home, figure, phase = sys.argv[1:]
start, used = perf_counter(), process_time()
workspace = Workspace.open(Path(home))
match work:
    case "index":
        rebuild_index(workspace.home)
        trees = []
    case "figure":
        trees = figure_trees(workspace, figure, phase)
    case "whole_ledger":
        graph = Lineage(workspace.ledger.records(), newest_reports(workspace))
        trees = [graph.up(each) for each in graph.find(figure, phase)]
told = {"seconds": perf_counter() - start, "processor": process_time() - used}
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({**told, "memory_kb": most, "tree": [as_json(tree) for tree in trees]}))
"""


def timed(work: str, home: Path, figure: str = "", phase: str = "") -> dict[str, Any]:
    """What one piece of work takes, in a process of its own whose start is not counted, and its trees."""
    arguments = [sys.executable, "-c", _TIMED, work, str(home), figure, phase]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))  # DuckDB shows its progress before it


def command(home: Path, figure: str, phase: str) -> dict[str, float]:
    """What the whole command takes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    plimsoll = str(Path(sys.executable).with_name("plimsoll"))
    asked = ["lineage", figure, "--phase", phase, "--home", str(home), "--json"]
    subprocess.run([plimsoll, *asked], capture_output=True, check=True)
    after, taken = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter() - start
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": taken, "processor": used}


def main(home: Path, count: int) -> dict[str, Any]:
    """What is said above; raises SystemExit where index and ledger do not give the same tree."""
    records = write_ledger(home, count)
    index = timed("index", home)
    phases = -(-records // (4 * TESTS))
    asked = [(f"test-{number * 97:04d}/p95", f"phase-{number * phases // ASKED:04d}") for number in range(ASKED)]
    answers = [timed("figure", home, *each) for each in asked]
    whole = timed("whole_ledger", home, *asked[-1])
    if whole.pop("tree") != answers[-1]["tree"]:
        raise SystemExit("the index gives another tree than the ledger")
    commands = [command(home, *each) for each in asked]
    index.pop("tree")
    return {
        "records": records,
        "index": index,
        "figure": _median(answers),
        "whole_ledger": whole,
        "command": _median(commands),
        "index_mb": (home / "plimsoll.duckdb").stat().st_size // 1_000_000,
    }


def _median(found: list[dict[str, Any]]) -> dict[str, float]:
    return {name: median(each[name] for each in found) for name in ("seconds", "processor")}


if __name__ == "__main__":
    asked_for = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(main(Path(folder) / "home", asked_for)))
