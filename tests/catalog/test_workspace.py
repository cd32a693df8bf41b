"""The workspace: made once, refused when newer, locked for a run, and the lookups that decide what is done already."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import underway
from catalog.errors import EvidenceError, UsageError, WorldError
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.signing import Signer
from catalog.verification import verify
from catalog.workspace import Workspace

ACTOR = Actor(name="tester")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "deep" / "home", create=True)


def put(workspace: Workspace, kind: Kind, *, key: str | None = None, output: str = "", **parameters: str) -> Record:
    outputs = (Reference(role="out", digest=workspace.store.put(output.encode())),) if output else ()
    return workspace.record(
        Draft(kind=kind, stage="stage", key=key, outputs=outputs, parameters=parameters), actor=ACTOR, code="1"
    )[0]


def withdraw(workspace: Workspace, name: str) -> None:
    reference = Reference(role="withdrawn", digest=name)
    draft = Draft(kind=Kind.WITHDRAWN, stage="withdraw", inputs=(reference,), parameters={"reason": "a wrong clock"})
    workspace.record(draft, actor=ACTOR, code="1")


def test_a_workspace_is_made_only_when_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no workspace at"):
        Workspace.open(tmp_path / "home")
    assert not (tmp_path / "home").exists()
    Workspace.open(tmp_path / "home", create=True)
    assert (tmp_path / "home" / "plimsoll.json").read_bytes() == b'{"format":1}\n'
    Workspace.open(tmp_path / "home")
    Workspace.open(tmp_path / "home", create=True)


def test_a_workspace_of_a_newer_version_is_refused(workspace: Workspace) -> None:
    (workspace.home / "plimsoll.json").write_text('{"format":2}')
    with pytest.raises(EvidenceError, match="written in format 2, and this version reads format 1") as caught:
        Workspace.open(workspace.home)
    assert "Upgrade" in caught.value.help()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format":"1"}', '{"format":true}', '{"format":0}'])
def test_a_workspace_of_no_format_is_refused(workspace: Workspace, text: str) -> None:
    (workspace.home / "plimsoll.json").write_text(text)
    with pytest.raises(EvidenceError, match=r"plimsoll.json does not state the format"):
        Workspace.open(workspace.home, create=True)


def test_a_workspace_that_lost_its_format_file_is_not_made_anew(workspace: Workspace) -> None:
    put(workspace, Kind.DERIVED)
    (workspace.home / "plimsoll.json").unlink()
    with pytest.raises(EvidenceError, match=r"plimsoll.json is missing"):
        Workspace.open(workspace.home, create=True)


def test_a_workspace_killed_while_it_was_made_is_finished(tmp_path: Path) -> None:
    (tmp_path / "home" / "ledger").mkdir(parents=True)
    assert Workspace.open(tmp_path / "home", create=True).ledger.records() == []


def test_a_place_where_none_can_be_made_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError):
        Workspace.open(tmp_path / "file" / "home", create=True)


def test_what_is_recorded_is_found_by_key_within_its_occasion(workspace: Workspace) -> None:
    key, other = (workspace.store.put_document({"stage": name}) for name in "ab")
    first = put(workspace, Kind.EXECUTED, key=key, occasion="ioc", output="one")
    second = put(workspace, Kind.EXECUTED, key=key, occasion="ioc", output="two")
    assert workspace.find(key, "ioc") == second
    assert workspace.matching(key, "ioc") == [first, second]
    assert workspace.find(key, "moc") is None
    assert workspace.find(other, "ioc") is None
    assert Workspace.open(workspace.home).find(key, "ioc") == second


def test_a_start_alone_is_not_a_stage_that_was_done(workspace: Workspace) -> None:
    key = workspace.store.put_document({"stage": "execute"})
    put(workspace, Kind.STARTED, key=key, occasion="ioc", run="1")
    assert workspace.find(key, "ioc") is None


def test_what_was_withdrawn_is_not_found(workspace: Workspace) -> None:
    key = workspace.store.put_document({"stage": "execute"})
    first = put(workspace, Kind.EXECUTED, key=key, occasion="ioc", output="one")
    second = put(workspace, Kind.EXECUTED, key=key, occasion="ioc", output="two")
    withdraw(workspace, second.digest)
    assert workspace.find(key, "ioc") == first
    withdraw(workspace, first.outputs[0].digest)
    assert workspace.find(key, "ioc") is None
    assert {first.digest, second.digest} < workspace.withdrawn()


def test_what_rests_on_withdrawn_evidence_is_not_found(workspace: Workspace) -> None:
    key = workspace.store.put_document({"stage": "measure"})
    executed = put(workspace, Kind.EXECUTED, output="results")
    inputs = (Reference(role="results", digest=executed.outputs[0].digest),)
    draft = Draft(kind=Kind.DERIVED, stage="measure", key=key, inputs=inputs, parameters={"occasion": "ioc"})
    workspace.record(draft, actor=ACTOR, code="1")
    assert workspace.find(key, "ioc") is not None
    withdraw(workspace, executed.digest)
    assert workspace.find(key, "ioc") is None


def test_a_workspace_can_be_read_as_it_was(workspace: Workspace) -> None:
    key = workspace.store.put_document({"stage": "execute"})
    first = put(workspace, Kind.EXECUTED, key=key, occasion="ioc", output="one")
    put(workspace, Kind.EXECUTED, key=key, occasion="ioc", output="two")
    withdraw(workspace, first.digest)
    then = workspace.until(1)
    assert (then.ledger.records(), then.ledger.head()) == ([first], first)
    assert then.find(key, "ioc") == first
    assert then.withdrawn() == set()
    assert workspace.withdrawals()[first.digest].kind is Kind.WITHDRAWN
    with pytest.raises(ValueError, match="only read"):
        put(then, Kind.EXECUTED, key=key, occasion="ioc", output="three")
    assert workspace.until(0).ledger.head() is None


def test_a_record_whose_output_is_gone_is_not_found(workspace: Workspace) -> None:
    key = workspace.store.put_document({"stage": "volumes"})
    record = put(workspace, Kind.DERIVED, key=key, occasion="ioc", output="table")
    workspace.store.path(record.outputs[0].digest).unlink()
    assert workspace.find(key, "ioc") is None


def test_records_of_a_kind_are_selected_by_their_parameters(workspace: Workspace) -> None:
    one = put(workspace, Kind.EXECUTED, test="load", occasion="ioc")
    two = put(workspace, Kind.EXECUTED, test="load", occasion="moc")
    put(workspace, Kind.EXECUTED, test="soak", occasion="ioc")
    put(workspace, Kind.OBSERVED, test="load", occasion="ioc")
    assert workspace.select(Kind.EXECUTED, test="load") == [one, two]
    withdraw(workspace, one.digest)
    assert workspace.select(Kind.EXECUTED, test="load") == [two]


def test_runs_pair_their_starts_with_their_ends(workspace: Workspace) -> None:
    for run in ("1", "2"):
        put(workspace, Kind.STARTED, run=run)
    put(workspace, Kind.EXECUTED, run="2")
    assert [(run.id, run.executed is not None) for run in workspace.runs()] == [("1", False), ("2", True)]


def test_nothing_dangling_is_recorded(workspace: Workspace) -> None:
    absent = Reference(role="gone", digest="ab" * 32)
    record = put(workspace, Kind.EXECUTED)
    for draft in (
        Draft(kind=Kind.DERIVED, stage="x", inputs=(absent,)),
        Draft(kind=Kind.DERIVED, stage="x", outputs=(absent,)),
        Draft(kind=Kind.DERIVED, stage="x", key=absent.digest),
        Draft(kind=Kind.DERIVED, stage="x", outputs=(Reference(role="record", digest=record.digest),)),
    ):
        with pytest.raises(EvidenceError, match="not in the evidence store"):
            workspace.record(draft, actor=ACTOR, code="1")
    relied = Draft(kind=Kind.RELIED, stage="rely", inputs=(Reference(role="run", digest=record.digest),))
    assert workspace.record(relied, actor=ACTOR, code="1")[0].sequence == 2


def test_reports_are_published_as_they_were_recorded(workspace: Workspace) -> None:
    outputs = tuple(
        Reference(role=role, digest=workspace.store.put(role.encode()))
        for role in ("report.json", "report.html", "chart")
    )
    draft = Draft(kind=Kind.REPORTED, stage="report", outputs=outputs, parameters={"phase": "ioc"})
    (record,) = workspace.record(draft, actor=ACTOR, code="1")
    files = workspace.publish(record)
    assert [file.relative_to(workspace.home).as_posix() for file in files] == [
        "reports/ioc/report.json",
        "reports/ioc/report.html",
    ]
    assert [file.read_bytes() for file in files] == [b"report.json", b"report.html"]


def test_signing_announces_the_key_once(workspace: Workspace, tmp_path: Path) -> None:
    signer = Signer.open(tmp_path / "key.pem", outside=workspace.home)
    for phase in ("ioc", "moc"):
        workspace.sign(signer, phase=phase, name="tester", code="1")
    records = workspace.ledger.records()
    assert [record.kind for record in records] == [Kind.KEY, Kind.SIGNED, Kind.SIGNED]
    assert records[1].parameters["statement"]["head"] == records[0].digest
    assert records[2].parameters["statement"]["head"] == records[1].digest
    assert records[1].actor == signer.actor("tester")


def test_a_second_run_is_refused_and_told_who_has_the_workspace(workspace: Workspace) -> None:
    program = (
        "import sys; from pathlib import Path; from catalog.workspace import Workspace\n"
        "with Workspace.open(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(workspace.home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WorldError, match=f"process {holder.pid}"), workspace.lock():
            pass
        holder.kill()
    with workspace.lock():
        assert (workspace.home / "run.lock").read_text() == f"{os.getpid()}\n"
    with workspace.lock():
        pass


def test_a_run_within_a_run_is_refused(workspace: Workspace) -> None:
    with workspace.lock(), pytest.raises(WorldError, match=f"process {os.getpid()}"), workspace.lock():
        pass


def test_a_workspace_that_was_moved_while_it_was_in_use_is_not_begun_anew(tmp_path: Path) -> None:
    home, place = tmp_path / "home", tmp_path / "elsewhere"
    workspace = Workspace.open(home, create=True)
    workspace.record(Draft(kind=Kind.DERIVED, stage="first"), actor=Actor(name="tester"), code="1")
    home.rename(place)
    for write in (
        lambda: workspace.store.put(b"data"),
        lambda: workspace.ledger.append([Draft(kind=Kind.DERIVED, stage="next")], actor=Actor(name="tester"), code="1"),
        lambda: underway.make(home, "pilot/test/1"),
    ):
        with pytest.raises(WorldError, match="was moved or removed while it was in use"):
            write()
    assert not home.exists()
    assert verify(place).ok
