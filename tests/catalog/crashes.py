"""Ends a process at every system call by which it writes evidence, and looks at what is left.

Every time, a process of its own works until the chosen call. What is left must verify, or have its damage named;
nothing that was promised may be lost; and the same work, done again, must come to its end. Prints one JSON document:
how many calls of which kind there were, and every trial in which something of that did not hold.

`python -m tests.catalog.crashes SCENARIO`: `evidence`, from nothing to a signed and published report; `torn`, the same
with an unfinished last line in the ledger; `bundle` and `index`, those alone. Endings: see `system_calls.Ending`.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.bundle import export
from catalog.errors import PlimsollError, WorldError
from catalog.ledger import Draft, Kind, Reference
from catalog.signing import Signer
from catalog.store import disk
from catalog.verification import verify
from catalog.workspace import Workspace
from tests.catalog.system_calls import SPACE, Ending, Seam

OCCASION = "ioc"
LARGE = bytes(range(256)) * 5000  # more than a megabyte: an object that is written in two calls
NO_RECORD = "records were taken away, or the first was never written"
Promise = Callable[[str], None]

REFUSED = 9
"""How a process ends that was told by a WorldError that the disk refused; any other error is none that a user gets."""


class Work:
    """What a phase records, each stage once: done again, it goes on from where it was."""

    def __init__(self, root: Path, promise: Promise) -> None:
        self.root, self.promise = root, promise
        self.workspace = Workspace.open(root / "home", create=True)
        self.signer = Signer.open(root / "keys" / "key.pem", outside=self.workspace.home)
        self.actor = self.signer.actor("tester")

    def stage(self, kind: Kind, stage: str, inputs: dict[str, str], outputs: dict[str, bytes], **said: Any) -> Any:
        """One stage and its record: what it recorded before, or what it records now."""
        store = self.workspace.store
        parameters = {"occasion": OCCASION, **said}
        key = store.put_document({"stage": stage, "kind": kind, **parameters})
        done = self.workspace.find(key, OCCASION) if kind is not Kind.STARTED else None
        if done or (done := next(iter(self.workspace.select(kind, **parameters)), None)):
            return done
        draft = Draft(
            kind=kind,
            stage=stage,
            key=key,
            inputs=tuple(Reference(role=role, digest=name) for role, name in inputs.items()),
            outputs=tuple(Reference(role=role, digest=self.put(data)) for role, data in outputs.items()),
            parameters=parameters,
        )
        return self.record(draft)[0]

    def put(self, data: bytes) -> str:
        """Stores bytes: small ones as they are, large ones from a file, as results are."""
        if len(data) < len(LARGE):
            return self.workspace.store.put(data)
        with self.workspace.store.incoming() as folder:
            with disk(folder):
                (folder / "results").write_bytes(data)
            return self.workspace.store.put_file(folder / "results")

    def record(self, *drafts: Draft) -> list[Any]:
        """Records a batch, and promises it."""
        records = self.workspace.record(*drafts, actor=self.actor, code="1")
        for record in records:
            self.promise(record.digest)
        return records

    def do(self) -> None:
        """All of it."""
        with self.workspace.lock():
            declared = self.stage(Kind.DECLARED, "declare", {}, {"programme": b"{}"})
            programme = {"programme": declared.output("programme")}
            volumes = self.stage(Kind.DERIVED, "volumes", programme, {"counts": b"3"}, table="volumes")
            self.stage(Kind.DERIVED, "plan", programme, {}, table="plan")
            offered = {"volumes": volumes.output("counts")}
            self.stage(Kind.STARTED, "execute", offered, {}, run="ioc/t/1")
            results = {"answers": LARGE}
            executed = self.stage(Kind.EXECUTED, "execute", offered, results, run="ioc/t/1", state="finished")
            self.observe(executed)
            reported = self.report(declared, executed)
            self.workspace.publish(reported)
            if not self.workspace.select(Kind.SIGNED):
                self.promise(self.workspace.sign(self.signer, phase=OCCASION, name="tester", code="1").digest)

    def observe(self, executed: Any) -> None:
        """A batch of three records in one append."""
        if not self.workspace.select(Kind.OBSERVED):
            inputs = (Reference(role="run", digest=executed.digest),)
            parameters = [{"occasion": OCCASION, "number": number} for number in range(3)]
            drafts = [Draft(kind=Kind.OBSERVED, stage="observe", inputs=inputs, parameters=said) for said in parameters]
            self.record(*drafts)

    def report(self, declared: Any, executed: Any) -> Any:
        """A report with one figure, which leads to the execution."""
        figure = json.dumps({"figure": "p99", "evidence": [executed.output("answers")]}).encode()
        inputs = {"programme": declared.output("programme"), "run": executed.digest}
        outputs = {"report.json": figure, "report.html": b"<p>report</p>"}
        return self.stage(Kind.REPORTED, "report", inputs, outputs, phase=OCCASION)


def evidence(root: Path, promise: Promise) -> None:
    """Everything from nothing to a signed and published report."""
    Work(root, promise).do()


def torn(root: Path, promise: Promise) -> None:
    """The same."""
    Work(root, promise).do()


def bundle(root: Path, _promise: Promise) -> None:
    """The bundle of a workspace that is there."""
    export(Workspace.open(root / "home"), OCCASION, root / "out" / "bundle.zip")


def index(root: Path, _promise: Promise) -> None:
    """The index over a workspace that is there."""
    from tasks.index import rebuild_index

    rebuild_index(root / "home")


SCENARIOS = {work.__name__: work for work in (evidence, torn, bundle, index)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: its exit code (less 0: by that signal), what it had promised, the calls it made."""

    status: int
    promised: list[str]
    seen: list[str]


def in_a_process(work: Callable[[Path, Promise], None], root: Path, seam: Seam) -> Ended:
    """Does `work` in a process of its own that has `seam`."""
    reader, writer = os.pipe()
    tell = os.write
    pid = os.fork()
    if not pid:
        seam.install()
        status = 1
        try:
            work(root, lambda digest: tell(writer, f"p{digest}\n".encode()) and None)
            status = 0
        except WorldError as error:
            status = REFUSED if error.help() and str(root) in str(error) else 1
        except Exception:  # noqa: BLE001  # whatever it is, the parent is to hear of it
            traceback.print_exc()
        finally:
            tell(writer, "".join(f"c{kind}\n" for kind in seam.seen).encode())
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as told:
        lines = told.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    promised = [line[1:] for line in lines if line.startswith("p")]
    return Ended(status=status, promised=promised, seen=[line[1:] for line in lines if line.startswith("c")])


def prepare(scenario: str, root: Path) -> list[str]:
    """What stands before the work begins; returns what was promised of it."""
    if scenario == "evidence":
        return []
    promised: list[str] = []
    Work(root, promised.append).do()
    if scenario == "torn":  # the last append comes to half of its line
        file = max((root / "home" / "ledger").glob("*.jsonl"))
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
        return promised[:-1]
    return promised


def trial(scenario: str, before: Path, promised: list[str], at: int, ending: Ending) -> tuple[str, Iterator[str]]:
    """One process that meets its end at call `at`: the call's kind, and what does not hold afterwards."""
    work = SCENARIOS[scenario]
    root = before.with_name(f"trial-{at}")
    shutil.copytree(before, root)
    ended = in_a_process(work, root, Seam(at, ending))
    problems = list(_left(root, ended, [*promised, *ended.promised], ending))
    again = in_a_process(work, root, Seam())
    problems += [f"the same work again ended with {again.status}"] * bool(again.status)
    problems += list(_whole(root, [*promised, *ended.promised, *again.promised]))
    shutil.rmtree(root)
    return f"call {at}, {ending.value}", iter(problems)


def _left(root: Path, ended: Ended, promised: list[str], ending: Ending) -> Iterator[str]:
    """What does not hold right after the end."""
    due = -9 if ending in (Ending.KILL, Ending.TEAR) else REFUSED
    if ended.status != due:
        yield f"ended with {ended.status}, and {due} is due"
    if not (root / "home" / "plimsoll.json").exists():
        if promised:
            yield "promised something without a workspace"
        return
    for fault in verify(root / "home").faults:
        if promised or NO_RECORD not in fault.what:  # which is the name of just that
            yield f"left at {fault.where}: {fault.what}"
    yield from _lost(root, promised)


def _whole(root: Path, promised: list[str]) -> Iterator[str]:
    """What does not hold at the end of the work."""
    yield from (f"at the end, {fault.where}: {fault.what}" for fault in verify(root / "home").faults)
    yield from _lost(root, promised)
    if (root / "out").exists():
        with zipfile.ZipFile(root / "out" / "bundle.zip") as bundle:
            if bad := bundle.testzip():
                yield f"in the bundle, {bad} is damaged"


def _lost(root: Path, promised: list[str]) -> Iterator[str]:
    try:
        known = {record.digest for record in Workspace.open(root / "home").ledger.records()}
    except PlimsollError as error:
        yield f"cannot be read: {error}"
        return
    yield from (f"lost {digest}" for digest in promised if digest not in known)


def warm(scenario: str) -> None:
    """Imports what the work will, once instead of in every process."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: F401  # loaded, not used

    if scenario == "index":
        import tasks.index  # noqa: F401  # loaded, not used


def main(scenario: str) -> dict[str, Any]:
    """Every call, with every ending that there is for it."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        before.mkdir()
        promised = prepare(scenario, before)
        shutil.copytree(before, Path(folder) / "counted")
        work = SCENARIOS[scenario]
        warm(scenario)
        seen = in_a_process(work, Path(folder) / "counted", Seam()).seen
        found: dict[str, list[str]] = {}
        trials = 0
        for at, kind in enumerate(seen, 1):
            endings = [Ending.KILL, *([Ending.TEAR] * (kind == "write")), *([Ending.FULL] * (kind in SPACE))]
            for ending in [*endings, *([Ending.READ_ONLY] * (kind not in ("fsync", *seen[: at - 1])))]:
                name, problems = trial(scenario, before, promised, at, ending)
                trials += 1
                if problem := list(problems):
                    found[f"{name} ({kind})"] = problem
        return {"calls": Counter(seen), "trials": trials, "problems": found}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1]), indent=1))
