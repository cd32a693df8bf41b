"""A figure's lineage by the index: as the whole ledger has it, or nothing where the index cannot say."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import EvidenceError
from catalog.ledger import Actor, Draft, Kind, Ledger, Reference
from catalog.lineage import Lineage
from catalog.workspace import Workspace, newest_reports
from tasks.index import rebuild_index
from tasks.index_lineage import figure_trees

ACTOR = Actor(name="somebody", fingerprint="f")
PHASES = ("ioc", "moc")
FIGURES = ("p95", "total")

number = st.integers(0, 9)
steps = st.one_of(
    st.tuples(st.just("derive"), st.lists(number, max_size=3), st.lists(st.integers(0, 4), max_size=2)),
    st.tuples(st.just("report"), st.sampled_from(PHASES), st.lists(st.lists(number, max_size=3), max_size=2)),
    st.tuples(st.just("sign"), st.sampled_from(PHASES), number),
    st.tuples(st.just("withdraw"), number, number),
)


class Author:
    """Writes a ledger whose steps name records and artefacts by a number: counted back from the newest."""

    def __init__(self, home: Path) -> None:
        self.workspace = Workspace.open(home, create=True)
        self.workspace.ledger = Ledger(home / "ledger", roll=4)
        self.names: list[str] = []

    def write(self, step: tuple[str, Any, Any]) -> None:
        match step:
            case "derive", inputs, outputs:
                made = {f"out-{each}": self.workspace.store.put_document({"bytes": each}) for each in outputs}
                self.add(Kind.DERIVED, self.named(*inputs), made, key=made.get("out-0"))
            case "report", phase, evidence:
                listed = [self._figure(*each) for each in zip(FIGURES, evidence, strict=False)]
                report = self.workspace.store.put_document({"observations": listed, "of": len(self.names)})
                self.add(Kind.REPORTED, self.named(0), {"report.json": report}, phase=phase)
            case "sign", phase, head:
                statement = {"phase": phase, **({"head": name} if (name := next(iter(self.named(head)), "")) else {})}
                self.add(Kind.SIGNED, self.named(1), {}, statement=statement)
            case "withdraw", first, second:
                self.add(Kind.WITHDRAWN, self.named(first, second), {}, reason="a wrong clock")

    def named(self, *numbers: int) -> list[str]:
        return list(dict.fromkeys(self.names[-1 - each] for each in numbers if each < len(self.names)))

    def _figure(self, name: str, evidence: list[int]) -> dict[str, Any]:
        return {"it": {"figure": name, "value": 5, "unit": "us", "text": "5 µs", "evidence": self.named(*evidence)}}

    def add(self, kind: Kind, inputs: list[str], outputs: dict[str, str], key: str | None = None, **told: Any) -> None:
        used = tuple(Reference(role=f"in-{place}", digest=name) for place, name in enumerate(inputs))
        made = tuple(Reference(role=role, digest=name) for role, name in outputs.items())
        draft = Draft(kind=kind, stage="step", key=key, inputs=used, outputs=made, parameters=told)
        [record] = self.workspace.ledger.append([draft], actor=ACTOR, code="1")
        self.names += [record.digest, *outputs.values()]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=4, max_size=16))
def test_the_tree_is_that_of_the_whole_ledger(written: list[tuple[str, Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        author = Author(Path(folder) / "home")
        for step in [*written, ("report", "ioc", [[1], [0, 2, 4]])]:
            author.write(step)
        workspace = Workspace.open(author.workspace.home)
        rebuild_index(workspace.home)
        graph = Lineage(workspace.ledger.records(), newest_reports(workspace))
        for name in FIGURES:
            for phase in (None, *PHASES):
                expected = [graph.up(figure) for figure in graph.figures(name, phase)]
                assert figure_trees(workspace, name, phase) == (expected or None)


@pytest.fixture
def indexed(tmp_path: Path) -> Workspace:
    """Two steps and a report of them, indexed."""
    author = Author(tmp_path / "home")
    for step in (("derive", [], [1]), ("derive", [0, 1], [2]), ("report", "ioc", [[0]])):
        author.write(step)
    rebuild_index(author.workspace.home)
    return Workspace.open(author.workspace.home)


def _grown(workspace: Workspace) -> None:
    draft = Draft(kind=Kind.DERIVED, stage="later")
    workspace.ledger.append([draft], actor=ACTOR, code="1")


def _touched(workspace: Workspace) -> None:
    [file] = workspace.ledger.root.glob("*.jsonl")
    os.utime(file, ns=(1, 1))


def _forged(workspace: Workspace) -> None:
    """A line is altered, and the file given back its time."""
    [file] = workspace.ledger.root.glob("*.jsonl")
    before = file.stat()
    file.write_bytes(file.read_bytes().replace(b"somebody", b"somebodx", 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _moved(workspace: Workspace) -> None:
    """The index says another line than it did."""
    with duckdb.connect(workspace.home / "plimsoll.duckdb") as connection:
        connection.execute("UPDATE places SET start = 0, bytes = (SELECT bytes FROM places WHERE sequence = 1)")


def _older(workspace: Workspace) -> None:
    """The index is one that a version made which did not know where lines stand."""
    with duckdb.connect(workspace.home / "plimsoll.duckdb") as connection:
        connection.execute("DROP TABLE places")


def _garbled(workspace: Workspace) -> None:
    (workspace.home / "plimsoll.duckdb").write_bytes(b"no index")


def _removed(workspace: Workspace) -> None:
    (workspace.home / "plimsoll.duckdb").unlink()


@pytest.mark.parametrize("change", [_grown, _touched, _forged, _moved, _older, _garbled, _removed])
def test_an_index_of_another_ledger_says_nothing(indexed: Workspace, change: Callable[[Workspace], None]) -> None:
    assert figure_trees(indexed, "p95") is not None
    change(indexed)
    assert figure_trees(indexed, "p95") is None


def test_it_knows_figures_alone(indexed: Workspace) -> None:
    assert figure_trees(indexed, "p95", "moc") is None
    assert figure_trees(indexed, "1") is None


def test_a_report_that_was_altered_is_refused(indexed: Workspace) -> None:
    report = indexed.store.path(indexed.ledger.records()[-1].outputs[0].digest)
    report.chmod(0o644)
    report.write_bytes(report.read_bytes().replace(b"5 ", b"4 "))
    with pytest.raises(EvidenceError, match="altered"):
        figure_trees(indexed, "p95")
