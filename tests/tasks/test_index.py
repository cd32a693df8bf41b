"""plimsoll.duckdb: everything that the ledger names, rebuilt at any time."""

import duckdb
import pytest
from evidence import infrastructure, results

from catalog.errors import EvidenceError
from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.workspace import Workspace
from expectations import tables
from tasks.index import rebuild_index
from tasks.parquet import canonical_rows_digest, table_bytes

ACTOR = Actor(name="somebody", fingerprint="f")


@pytest.fixture
def workspace(tmp_path):
    return Workspace.open(tmp_path / "home", create=True)


def execute(workspace, run):
    frames = {"results": results(40, run=run), "infrastructure": infrastructure(run=run, samples=5)}
    outputs = tuple(
        Reference(
            role=name, digest=workspace.store.put(table_bytes(name, rows)), rows=canonical_rows_digest(name, rows)
        )
        for name, rows in frames.items()
    )
    draft = Draft(kind=Kind.EXECUTED, stage="execute", outputs=outputs, parameters={"run": run})
    return workspace.record(draft, actor=ACTOR, code="0.1.0")[0]


def ask(path, query):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_tables_records_and_edges_are_indexed(workspace):
    first, second = execute(workspace, "a"), execute(workspace, "b")
    relied = Draft(kind=Kind.RELIED, stage="rely", inputs=(Reference(role="executed", digest=first.digest),))
    workspace.record(relied, actor=ACTOR, code="0.1.0")
    path = rebuild_index(workspace.home)
    assert ask(path, "SELECT run, count(*), min(artefact) FROM results GROUP BY run ORDER BY run") == [
        ("a", 40, first.output("results")),
        ("b", 40, second.output("results")),
    ]
    assert ask(path, "SELECT count(*) FROM infrastructure") == [(30,)]
    assert ask(path, "SELECT kind, actor, parameters->>'run' FROM records ORDER BY sequence") == [
        ("executed", "somebody", "a"),
        ("executed", "somebody", "b"),
        ("relied", "somebody", None),
    ]
    assert ask(path, "SELECT direction, role, digest FROM edges WHERE direction = 'input'") == [
        ("input", "executed", first.digest)
    ]
    assert ask(path, "SELECT count(*), sum(bytes) > 0 FROM artefacts") == [(4, True)]


def test_an_empty_workspace_has_all_tables_described(workspace):
    path = rebuild_index(workspace.home)
    found = dict(ask(path, "SELECT table_name, comment FROM duckdb_tables()"))
    assert set(found) == {*tables.NAMES, "records", "artefacts", "edges"}
    assert all(comment.startswith("Grain: ") for comment in found.values())


def test_rebuilding_replaces_the_old_index_whole(workspace):
    execute(workspace, "a")
    rebuild_index(workspace.home)
    execute(workspace, "b")
    (workspace.home / "plimsoll.duckdb.new").write_bytes(b"half an index")
    path = rebuild_index(workspace.home)
    assert ask(path, "SELECT count(*) FROM results") == [(80,)]
    assert not list(workspace.home.glob("plimsoll.duckdb.*"))


def test_a_table_that_cannot_be_read_is_named_and_the_old_index_stays(workspace):
    record = execute(workspace, "a")
    path = rebuild_index(workspace.home)
    broken = workspace.store.path(record.output("results"))
    broken.chmod(0o644)
    broken.write_bytes(b"no table")
    with pytest.raises(EvidenceError, match=record.output("results")):
        rebuild_index(workspace.home)
    assert ask(path, "SELECT count(*) FROM results") == [(40,)]
    assert not list(workspace.home.glob("plimsoll.duckdb.*"))
