"""plimsoll.duckdb: everything that the ledger names, rebuilt at any time."""

from pathlib import Path

import duckdb
import pytest
from evidence import infrastructure, results

from catalog.canonical import canonical
from catalog.errors import EvidenceError
from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.lineage import Lineage
from catalog.workspace import Workspace, newest_reports
from expectations import tables
from tasks import index_tables
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
    assert set(found) == {*tables.NAMES, *(table.name for table in index_tables.TABLES)}
    views = dict(ask(path, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"))
    assert set(views) == {"claims", "evidence", "reliance", "lineage"}
    assert all(comment.startswith("Grain: ") for comment in (found | views).values())
    bare = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND coalesce(comment, '') = ''"
    assert ask(path, bare) == []
    macros = (
        "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal AND function_type = 'table_macro'"
    )
    assert dict(ask(path, macros)) == {macro.name: macro.meaning for macro in index_tables.MACROS}
    for example in index_tables.EXAMPLES:
        ask(path, example.query)


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


def test_the_page_about_it_is_what_is_declared():
    committed = Path(__file__).parents[2] / "docs" / "sql.md"
    assert committed.read_text() == index_tables.documentation(), "run: python -m tasks.index_tables > docs/sql.md"


def record(workspace, kind, stage, inputs, outputs, **parameters):
    draft = Draft(
        kind=kind,
        stage=stage,
        key=workspace.store.put_document({"stage": stage, "of": sorted(inputs)}),
        inputs=tuple(Reference(role=role, digest=name) for role, name in inputs.items()),
        outputs=tuple(Reference(role=role, digest=workspace.store.put(data)) for role, data in outputs.items()),
        parameters=parameters,
    )
    return workspace.record(draft, actor=ACTOR, code="0.1.0")[0]


@pytest.fixture
def reported(workspace):
    """Two phases, the second relying on the run of the first; the first was reported twice."""
    executed = execute(workspace, "ioc/ioc.dsp.load/1")
    run = {"run": "ioc/ioc.dsp.load/1", "test": "ioc.dsp.load", "component": "dsp"}
    again = record(workspace, Kind.EXECUTED, "execute", {}, {"run": b"{}"}, occasion="ioc", **run)
    results = {"results": executed.output("results")}
    measured = record(workspace, Kind.DERIVED, "measure", results, {"numbers": b"5"}, occasion="ioc", run=run["run"])
    figure = {"figure": "p95", "value": 5, "unit": "us", "text": "5 µs", "evidence": [measured.output("numbers")]}
    for text in ("4 µs", "5 µs"):
        rows = [{"run": run["run"], "verdict": "proved", "metric": "latency-p95", "it": {**figure, "text": text}}]
        report = canonical({"observations": rows, "tests": [{**run, "runs": [{"run": run["run"]}]}]})
        record(workspace, Kind.REPORTED, "report", {}, {"report.json": report}, phase="ioc")
    sides = [{"input": "size", "old": 1, "new": 1, "allows": True}, {"input": "x", "old": 2, "new": 1, "allows": True}]
    relied = {"comparison": canonical(sides)}
    rests = {"executed": again.digest}
    record(workspace, Kind.RELIED, "rely", rests, relied, occasion="moc", test="moc.dsp.load", run=run["run"])
    return executed, measured


def test_claims_are_those_of_the_newest_report_and_lead_to_runs_as_lineage_says(workspace, reported):
    _, measured = reported
    path = rebuild_index(workspace.home)
    assert ask(path, "SELECT phase, figure, text, verdict, component, evidence, withdrawn_by FROM claims") == [
        ("ioc", "p95", "5 µs", "proved", "dsp", [measured.output("numbers")], None)
    ]
    assert ask(path, "SELECT newest, text FROM figures ORDER BY report") == [(False, "4 µs"), (True, "5 µs")]
    supported = ask(path, "SELECT sequence FROM supports('p95', 'ioc')")
    graph = Lineage(workspace.ledger.records(), newest_reports(workspace))
    steps = graph.up(graph.find("p95")[0])
    assert supported == [(number,) for number in sorted({step.record.sequence for step in steps if step.record})]
    assert ask(path, "SELECT stage FROM rests_on(1)") == [("measure",)]
    assert ask(path, "SELECT role, claims, component FROM evidence WHERE claims > 0") == [("numbers", 1, "dsp")]


def test_reliance_says_what_was_compared_and_where_it_was_executed(workspace, reported):
    path = rebuild_index(workspace.home)
    asked = "SELECT phase, test, run, executed, executed_phase, compared, differing FROM reliance"
    assert ask(path, asked) == [("moc", "moc.dsp.load", "ioc/ioc.dsp.load/1", 2, "ioc", 2, 1)]


def test_what_was_withdrawn_shows_in_every_view_that_rests_on_it(workspace, reported):
    executed, _ = reported
    named = (Reference(role="withdrawn", digest=executed.digest),)
    draft = Draft(kind=Kind.WITHDRAWN, stage="withdraw", inputs=named, parameters={"reason": "a wrong clock"})
    (withdrawal,) = workspace.record(draft, actor=ACTOR, code="0.1.0")
    path = rebuild_index(workspace.home)
    assert ask(path, "SELECT withdrawn_by FROM claims") == [(withdrawal.sequence,)]
    question = next(
        each for each in index_tables.EXAMPLES if "withdrawn?" in each.question and "claimed" in each.question
    )
    assert ask(path, question.query)[0][-1] == "a wrong clock"
    spoilt = "SELECT role FROM evidence WHERE withdrawn_by IS NOT NULL ORDER BY role"
    assert ask(path, spoilt) == [("infrastructure",), ("numbers",), ("results",)]


def test_an_unfinished_last_line_is_left_out_and_any_other_damage_is_named(workspace):
    execute(workspace, "a")
    execute(workspace, "b")
    [file] = workspace.ledger.root.glob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert ask(rebuild_index(workspace.home), "SELECT count(*) FROM records") == [(1,)]
    first, second = whole.splitlines(keepends=True)
    for damaged in (first.replace(b"somebody", b"somebodx") + second, second, b"nonsense\n" + second):
        file.write_bytes(damaged)
        with pytest.raises(EvidenceError, match=r"ledger/000000000001.jsonl:[12]: "):
            rebuild_index(workspace.home)
    file.write_bytes(whole)
    assert ask(rebuild_index(workspace.home), "SELECT count(*) FROM records") == [(2,)]
