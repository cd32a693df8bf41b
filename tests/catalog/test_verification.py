"""Verification: an honest workspace is accepted whatever killed its writers; every damage is a fault that names it."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog import underway
from catalog.canonical import canonical, digest, document_digest
from catalog.errors import EvidenceError
from catalog.ledger import GENESIS, Actor, Draft, Kind, Record, Reference
from catalog.signing import Signer
from catalog.tree import head_of
from catalog.verification import Verification, verify
from catalog.workspace import Workspace

ACTOR = Actor(name="tester")
ROOT = Path(__file__).parents[2]


def put(workspace: Workspace, kind: Kind, stage: str, inputs: list[str], *outputs: str, **parameters: Any) -> Record:
    """Records a stage with inputs by digest and outputs by content (each in the role that is its content's name)."""
    draft = Draft(
        kind=kind,
        stage=stage,
        inputs=tuple(Reference(role="input", digest=item) for item in inputs),
        outputs=tuple(Reference(role=item, digest=workspace.store.put(item.encode())) for item in outputs),
        parameters=parameters,
    )
    return workspace.record(draft, actor=ACTOR, code="1")[0]


def report(workspace: Workspace, evidence: object, *, phase: str = "ioc") -> Record:
    document = {"sections": [{"figure": "p99", "value": 41, "unit": "us", "evidence": evidence}]}
    outputs = (
        Reference(role="report.json", digest=workspace.store.put_document(document)),
        Reference(role="report.html", digest=workspace.store.put(b"<p>41 us</p>")),
    )
    draft = Draft(kind=Kind.REPORTED, stage="report", outputs=outputs, parameters={"phase": phase})
    (record,) = workspace.record(draft, actor=ACTOR, code="1")
    workspace.publish(record)
    return record


def build(root: Path) -> Workspace:
    """A phase from its declaration to its signed report."""
    workspace = Workspace.open(root / "home", create=True)
    declared = put(workspace, Kind.DECLARED, "declare", [], "catalogue")
    volumes = put(workspace, Kind.DERIVED, "volumes", [declared.outputs[0].digest], "volumes")
    put(workspace, Kind.DERIVED, "plan", [volumes.outputs[0].digest], "plan")
    put(workspace, Kind.STARTED, "execute", [volumes.outputs[0].digest], run="r1")
    executed = put(workspace, Kind.EXECUTED, "execute", [volumes.outputs[0].digest], "results", run="r1")
    observed = put(workspace, Kind.OBSERVED, "observe", [executed.outputs[0].digest], "observations")
    report(workspace, [observed.outputs[0].digest, executed.digest])
    signer = Signer.open(root / "key.pem", outside=workspace.home)
    workspace.sign(signer, phase="ioc", name="tester", code="1")
    return workspace


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    build(root)
    return root


@pytest.fixture
def workspace(original: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return Workspace.open(tmp_path / "home")


def ledger_file(workspace: Workspace) -> Path:
    return workspace.home / "ledger" / "000000000001.jsonl"


def objects(workspace: Workspace) -> list[Path]:
    return [workspace.store.path(name) for name in workspace.store.digests()]


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def fault_at(outcome: Verification, where: str) -> str:
    """What is wrong at `where`; fails unless exactly that was found there."""
    assert not outcome.ok
    found = [fault.what for fault in outcome.faults if fault.where.endswith(where)]
    assert found, outcome.faults
    return "; ".join(found)


def rechain(workspace: Workspace, change: Callable[[int, dict[str, Any]], None]) -> None:
    """Rewrites the ledger as somebody would who changes a record and computes every digest behind it again."""
    previous, lines = GENESIS, []
    for number, line in enumerate(ledger_file(workspace).read_bytes().splitlines(), 1):
        document = json.loads(line)
        del document["digest"]
        document["previous"] = previous
        change(number, document)
        previous = document_digest(document)
        lines.append(canonical({**document, "digest": previous}) + b"\n")
    ledger_file(workspace).write_bytes(b"".join(lines))


def test_an_honest_workspace_is_accepted(workspace: Workspace) -> None:
    outcome = verify(workspace.home)
    assert outcome.faults == []
    assert outcome.ok
    assert (outcome.records, outcome.objects, outcome.freshness) == (9, 7, "not proven")
    assert outcome.bytes == sum(path.stat().st_size for path in objects(workspace))
    assert outcome.head == str(head_of(workspace.ledger.records()))
    assert [note for note in outcome.notes if "signatures are by the key" not in note] == []


def test_the_outcome_is_given_to_scripts(workspace: Workspace) -> None:
    overwrite(objects(workspace)[0], b"")
    outcome = json.loads(json.dumps(verify(workspace.home).as_json()))
    assert {"ok", "records", "objects", "bytes", "faults", "freshness"} <= outcome.keys()
    assert outcome["ok"] is False
    assert outcome["faults"][0].keys() == {"what", "where"}


def test_progress_counts_the_bytes_of_objects(workspace: Workspace) -> None:
    calls: list[tuple[int, int]] = []
    outcome = verify(workspace.home, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (outcome.bytes, outcome.bytes)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert {total for _, total in calls} == {outcome.bytes}


def flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every copy of `data` with one byte changed, by a mask that differs from place to place."""
    chance = random.Random(1)  # noqa: S311 - picks masks, not secrets
    for place in range(len(data)):
        yield place, data[:place] + bytes([data[place] ^ chance.randrange(1, 256)]) + data[place + 1 :]


def small(root: Path) -> Workspace:
    workspace = Workspace.open(root / "home", create=True)
    put(workspace, Kind.DECLARED, "d", [], "catalogue")
    put(workspace, Kind.DERIVED, "v", [workspace.ledger.records()[0].outputs[0].digest], "volumes")
    return workspace


def test_every_single_byte_of_the_ledger_counts(tmp_path: Path) -> None:
    workspace = small(tmp_path)
    whole = ledger_file(workspace).read_bytes()
    for place, data in flips(whole):
        ledger_file(workspace).write_bytes(data)
        outcome = verify(workspace.home)
        if place == len(whole) - 1:
            assert outcome.ok
            assert "ledger/000000000001.jsonl:2: an interrupted append" in " ".join(outcome.notes)
        else:
            line = 1 + whole[:place].count(b"\n")
            assert fault_at(outcome, f"ledger/000000000001.jsonl:{line}"), place


def test_every_single_byte_of_every_object_counts(tmp_path: Path) -> None:
    workspace = small(tmp_path)
    for path in objects(workspace):
        whole = path.read_bytes()
        path.chmod(0o644)
        for _, data in flips(whole):
            path.write_bytes(data)
            what = fault_at(verify(workspace.home), f"objects/{path.parent.name}/{path.name}")
            assert f"object {path.parent.name}{path.name} is altered" in what
        path.write_bytes(whole)
    assert verify(workspace.home).ok


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: lines[:2] + lines[3:], 3),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2),
        (lambda lines: [*lines, lines[-1]], 10),
        (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"{}\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"[" * 100_000 + b"\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"\xff\n", *lines[3:]], 4),
        (lambda lines: [lines[0][:-10] + b"\n", *lines[1:]], 1),
        (lambda lines: [lines[0].rstrip(), *lines[1:]], 1),
    ],
)
def test_a_line_lost_moved_repeated_or_put_in_is_named(
    workspace: Workspace, damage: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    file = ledger_file(workspace)
    file.write_bytes(b"".join(damage(file.read_bytes().splitlines(keepends=True))))
    fault_at(verify(workspace.home), f"ledger/000000000001.jsonl:{line}")


def test_all_damages_are_found_at_once(workspace: Workspace) -> None:
    file = ledger_file(workspace)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"x\n", *lines[2:4], b"y\n", *lines[5:]]))
    overwrite(objects(workspace)[0], b"")
    outcome = verify(workspace.home)
    damaged = {fault.where for fault in outcome.faults}
    assert {"ledger/000000000001.jsonl:2", "ledger/000000000001.jsonl:5"} <= damaged
    assert any(where.startswith("objects/") for where in damaged)


def test_two_objects_that_changed_places_are_both_named(workspace: Workspace) -> None:
    one, two = objects(workspace)[:2]
    first, second = one.read_bytes(), two.read_bytes()
    overwrite(one, second)
    overwrite(two, first)
    outcome = verify(workspace.home)
    assert {fault.where for fault in outcome.faults} == {
        f"objects/{path.parent.name}/{path.name}" for path in (one, two)
    }


def test_every_missing_object_is_named(workspace: Workspace) -> None:
    for path in objects(workspace):
        data = path.read_bytes()
        path.unlink()
        assert "is missing" in fault_at(verify(workspace.home), f"objects/{path.parent.name}/{path.name}")
        path.write_bytes(data)
    assert verify(workspace.home).ok


@pytest.mark.parametrize(
    "name",
    ["objects/notes.txt", "objects/ab/short", "objects/abc/" + "0" * 61, "objects/ab/" + "G" * 62,
     "ledger/copy.jsonl", "ledger/000000000001.jsonl.bak", "ledger/1.jsonl"],
)  # fmt: skip
def test_a_file_that_does_not_belong_is_named(workspace: Workspace, name: str) -> None:
    (workspace.home / name).parent.mkdir(exist_ok=True)
    (workspace.home / name).write_text("mine")
    assert "does not belong" in fault_at(verify(workspace.home), name)


def test_what_is_no_plain_file_is_named_and_not_waited_for(workspace: Workspace) -> None:
    one, two = objects(workspace)[:2]
    content = workspace.home / "elsewhere"
    one.rename(content)
    one.symlink_to(content)
    two.unlink()
    os.mkfifo(two)
    os.mkfifo(workspace.home / "ledger" / "000000000002.jsonl")
    outcome = verify(workspace.home)
    for path in (one, two):
        assert "does not belong" in fault_at(outcome, f"{path.parent.name}/{path.name}")
    assert "does not belong" in fault_at(outcome, "ledger/000000000002.jsonl")


def test_names_that_no_terminal_should_get_are_escaped(workspace: Workspace) -> None:
    (workspace.home / "objects" / os.fsdecode(b"\x1b[31mred\xff")).touch()
    outcome = verify(workspace.home)
    assert outcome.faults[0].where == "objects/\\x1b[31mred\\udcff"
    json.dumps(outcome.as_json(), ensure_ascii=False).encode()


def test_a_saved_head_proves_freshness(workspace: Workspace) -> None:
    for record in workspace.ledger.records():
        for head in (record.digest, f"{record.sequence}:{record.digest}"):
            outcome = verify(workspace.home, head=head)
            assert (outcome.ok, outcome.freshness) == (True, "proven")


def test_a_ledger_cut_at_a_line_is_caught_by_the_saved_head(workspace: Workspace) -> None:
    head = verify(workspace.home).head
    lines = ledger_file(workspace).read_bytes().splitlines(keepends=True)
    ledger_file(workspace).write_bytes(b"".join(lines[:-1]))
    assert verify(workspace.home).ok
    outcome = verify(workspace.home, head=head)
    assert outcome.freshness == "not proven"
    assert "saved head" in fault_at(outcome, "ledger")


@pytest.mark.parametrize("head", ["", ":", "nonsense", "0" * 64, "9:" + "0" * 64])
def test_a_head_that_is_no_record_is_a_fault(workspace: Workspace, head: str) -> None:
    assert not verify(workspace.home, head=head).ok


def test_a_head_of_the_wrong_sequence_is_a_fault(workspace: Workspace) -> None:
    records = workspace.ledger.records()
    assert not verify(workspace.home, head=f"8:{records[-1].digest}").ok


def test_a_saved_head_is_told_with_what_came_after_it(workspace: Workspace) -> None:
    saved = workspace.ledger.records()[3]
    outcome = verify(workspace.home, head=saved.digest)
    assert (
        f"the saved head is {saved} of {saved.time}: a prefix of this ledger; 5 records came after it" in outcome.notes
    )
    later = f"12:{saved.digest[::-1]}"
    assert "it was cut short, and ends with record 9" in fault_at(verify(workspace.home, head=later), "ledger")


def test_a_head_proves_nothing_of_a_chain_that_is_broken(workspace: Workspace) -> None:
    head = verify(workspace.home).head
    lines = ledger_file(workspace).read_bytes().splitlines(keepends=True)
    ledger_file(workspace).write_bytes(b"".join([lines[0], lines[2], *lines[2:]]))
    outcome = verify(workspace.home, head=head)
    assert (outcome.ok, outcome.freshness) == (False, "not proven")


def test_a_chain_computed_again_breaks_at_its_signature(workspace: Workspace) -> None:
    def change(number: int, document: dict[str, Any]) -> None:
        if number == 4:
            document["time"] = "2020-01-01T00:00:00.000000Z"

    rechain(workspace, change)
    assert "not the record it names" in fault_at(verify(workspace.home), "record 9 (signed sign)")


@pytest.mark.parametrize(
    ("change", "record", "what"),
    [
        ({"signature": "00" * 64}, 9, "its signature is not"),
        ({"public_key": "11" * 32}, 9, "was not announced"),
        ({"public_key": 7}, 9, "was not announced"),
        ({"statement": None}, 9, "another purpose"),
        ({"public_key": "11" * 32}, 8, "announces no sound key"),
        ({"public_key": "no key"}, 8, "announces no sound key"),
    ],
)
def test_a_wrong_signature_or_key_is_named(
    workspace: Workspace, change: dict[str, object], record: int, what: str
) -> None:
    rechain(workspace, lambda number, document: document["parameters"].update(change if number == record else {}))
    kind = {8: "key", 9: "signed"}[record]
    assert what in fault_at(verify(workspace.home), f"record {record} ({kind} sign)")


def test_a_signature_by_another_than_the_actor_is_named(workspace: Workspace) -> None:
    rechain(workspace, lambda _, document: document["actor"].update({"fingerprint": "ab" * 32}))
    assert "actor has another key" in fault_at(verify(workspace.home), "record 9 (signed sign)")


def test_a_line_that_is_not_canonical_is_named_even_with_the_right_digest(workspace: Workspace) -> None:
    lines = ledger_file(workspace).read_bytes().splitlines(keepends=True)
    document = json.loads(lines[-1])
    del document["digest"]
    spaced = json.dumps(document, sort_keys=True).encode()
    name = digest(spaced)
    code = json.dumps({"code": document["code"]})[1:-1].encode()
    lines[-1] = spaced.replace(code, code + b',"digest":"' + name.encode() + b'"', 1) + b"\n"
    ledger_file(workspace).write_bytes(b"".join(lines))
    assert "is not canonical" in fault_at(verify(workspace.home), "ledger/000000000001.jsonl:9")


def test_a_newer_format_is_named(workspace: Workspace) -> None:
    (workspace.home / "plimsoll.json").write_text('{"format":9}')
    assert "format 9" in verify(workspace.home).faults[0].what


@pytest.mark.parametrize("from_record", [1, 3])
def test_lines_of_a_newer_version_are_one_fault(workspace: Workspace, from_record: int) -> None:
    def renew(_: object, document: dict[str, Any]) -> None:
        if document["sequence"] >= from_record:
            document["format"] = 8

    rechain(workspace, renew)
    outcome = verify(workspace.home, head="ab" * 32)
    assert [fault.where for fault in outcome.faults] == [f"ledger/000000000001.jsonl:{from_record}"]
    assert "written in format 8, and this version reads format 1: upgrade Plimsoll" in outcome.faults[0].what
    assert f"this line and {9 - from_record} more are" in outcome.faults[0].what
    with pytest.raises(EvidenceError) as caught:
        Workspace.open(workspace.home).ledger.records()
    assert "Upgrade" in caught.value.help()
    assert "copy" not in caught.value.help()


@pytest.mark.parametrize(
    "text", ['{"format":1}', '{"format": 1}\n', '{"format":1,"format":1}\n', '{"format":1,"x":2}\n']
)
def test_the_format_file_is_held_to_its_very_bytes(workspace: Workspace, text: str) -> None:
    (workspace.home / "plimsoll.json").write_text(text)
    (fault,) = verify(workspace.home).faults
    assert "plimsoll.json was altered" in fault.what


@pytest.mark.parametrize("left", ["objects", "reports", "both"])
def test_evidence_without_a_single_record_is_a_fault(workspace: Workspace, left: str) -> None:
    ledger_file(workspace).unlink()
    if left == "reports":
        shutil.rmtree(workspace.home / "objects")
    if left == "objects":
        shutil.rmtree(workspace.reports)
    assert "holds no record" in fault_at(verify(workspace.home), "ledger")


@pytest.mark.parametrize("role", ["report.json", "report.html"])
def test_what_stands_in_place_of_a_report_is_named(workspace: Workspace, role: str, tmp_path: Path) -> None:
    file = workspace.reports / "ioc" / role
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert fault_at(verify(workspace.home), f"reports/ioc/{role}").startswith("a link where a report is due")
    file.unlink()
    file.mkdir()
    assert fault_at(verify(workspace.home), f"reports/ioc/{role}").startswith("a folder where a report is due")


def test_stray_files_are_noted(workspace: Workspace) -> None:
    (workspace.reports / "stray").touch()
    (workspace.reports / "ioc" / "notes.txt").touch()
    (workspace.home / "ledger" / "000000000010.jsonl").touch()
    outcome = verify(workspace.home)
    assert outcome.ok
    assert {note for note in outcome.notes if "no record names" in note or "is empty" in note} == {
        "reports/stray: a file that no record names",
        "reports/ioc/notes.txt: a file that no record names",
        "ledger/000000000010.jsonl is empty: whoever began it was interrupted before the first record",
    }


@pytest.mark.parametrize("role", ["report.json", "report.html"])
def test_an_edited_report_is_named_and_a_missing_one_noted(workspace: Workspace, role: str) -> None:
    file = workspace.reports / "ioc" / role
    whole = file.read_bytes()
    for _, data in flips(whole):
        file.write_bytes(data)
        assert "altered" in fault_at(verify(workspace.home), f"reports/ioc/{role}")
    file.unlink()
    outcome = verify(workspace.home)
    assert outcome.ok
    assert any(f"reports/ioc/{role} is missing" in note for note in outcome.notes)


def test_an_earlier_report_that_still_lies_there_is_noted(workspace: Workspace) -> None:
    old = (workspace.reports / "ioc" / "report.json").read_bytes()
    executed = workspace.select(Kind.EXECUTED)[0]
    report(workspace, [executed.digest])
    (workspace.reports / "ioc" / "report.json").write_bytes(old)
    outcome = verify(workspace.home)
    assert outcome.ok
    assert any("is an earlier report" in note for note in outcome.notes)
    assert any("(reported report) is not signed" in note for note in outcome.notes)


def test_a_report_that_no_record_names_is_a_fault(workspace: Workspace) -> None:
    (workspace.reports / "foc").mkdir()
    (workspace.reports / "foc" / "report.html").write_text("all proved")
    assert "no record names" in fault_at(verify(workspace.home), "reports/foc/report.html")


@pytest.mark.parametrize(
    ("evidence", "what"),
    [
        ([], "carries no evidence"),
        (None, "carries no evidence"),
        ("x", "carries no evidence"),
        ([7], "is no digest"),
        (["ab"], "is no digest"),
        (["ab" * 32], "is neither an object nor a record here"),
    ],
)
def test_a_figure_without_sound_evidence_is_named(workspace: Workspace, evidence: object, what: str) -> None:
    report(workspace, evidence)
    assert what in fault_at(verify(workspace.home), "record 10 (reported report), figure 'p99'")


def test_a_figure_whose_evidence_leads_nowhere_is_named(workspace: Workspace) -> None:
    observed = put(workspace, Kind.OBSERVED, "observe", [], "out of thin air")
    loose = workspace.store.put(b"named by no record")
    for evidence in (observed.digest, observed.outputs[0].digest, loose):
        record = report(workspace, [evidence])
        what = fault_at(verify(workspace.home), f"record {record.sequence} (reported report), figure 'p99'")
        assert "leads to nothing executed" in what


def test_a_report_record_must_name_both_files_and_a_proper_phase(workspace: Workspace) -> None:
    put(workspace, Kind.REPORTED, "report", [], "report.json", phase="../../etc")
    what = fault_at(verify(workspace.home), "record 10 (reported report)")
    assert "has no output report.html" in what
    assert "proper name" in what


def test_a_report_that_is_no_document_is_named(workspace: Workspace) -> None:
    record = put(workspace, Kind.REPORTED, "report", [], "report.json", "report.html", phase="moc")
    assert "not a JSON document" in fault_at(verify(workspace.home), (record.output("report.json") or "")[2:])


def test_figures_on_withdrawn_evidence_are_noted(workspace: Workspace) -> None:
    executed = workspace.select(Kind.EXECUTED)[0]
    put(workspace, Kind.WITHDRAWN, "withdraw", [executed.digest], reason="a wrong clock")
    outcome = verify(workspace.home)
    assert outcome.ok
    assert any("figure 'p99' rests on withdrawn evidence" in note for note in outcome.notes)


def test_an_execution_without_its_start_is_named_and_a_start_without_its_end_noted(workspace: Workspace) -> None:
    put(workspace, Kind.STARTED, "execute", [], run="r2")
    outcome = verify(workspace.home)
    assert outcome.ok
    assert any("run 'r2' was interrupted" in note for note in outcome.notes)
    put(workspace, Kind.EXECUTED, "execute", [], run="r3")
    assert "executed run 'r3'" in fault_at(verify(workspace.home), "record 11 (executed execute)")


def test_what_runs_have_left_behind_is_noted_and_no_fault(workspace: Workspace) -> None:
    put(workspace, Kind.STARTED, "execute", [], run="a/b/1")
    put(workspace, Kind.STARTED, "execute", [], run="a/b/2")
    volumes = workspace.ledger.records()[1].outputs[0].digest
    killed = {"state": "interrupted", "reason": "killed\n3 of 9 are lost"}
    put(workspace, Kind.EXECUTED, "execute", [volumes], run="a/b/2", **killed)
    for run in ("a/b/1", "a/b/2", "../b/3"):
        folder = underway.make(workspace.home, run) / "step-0" / "segments"
        folder.mkdir(parents=True)
        (folder / "000000000000.rows").write_bytes(bytes(64))
    assert set(underway.left(workspace.home)) == {"a/b/1", "a/b/2", "../b/3"}
    outcome = verify(workspace.home)
    assert outcome.ok, outcome.faults
    held = "64 bytes of results in 1 segments"
    goes_on = "which goes on or was interrupted; the next `plimsoll run` records them"
    assert {
        f"incoming/a%2Fb%2F1: {held} of run 'a/b/1', {goes_on}",
        f"incoming/a%2Fb%2F2: {held} of run 'a/b/2', whose end is recorded; they are needed no more",
        f"incoming/%2E%2E%2Fb%2F3: {held} of no run that a record names",
    } <= set(outcome.notes)
    assert any(note.endswith("run 'a/b/2' was interrupted: 3 of 9 are lost") for note in outcome.notes)
    with pytest.raises(EvidenceError, match="is there already"):
        underway.make(workspace.home, "a/b/1")
    for run in ("a/b/1", "a/b/2", "../b/3", "../b/3"):
        underway.remove(workspace.home, run)
    assert underway.left(workspace.home) == {}


def test_an_interrupted_append_is_noted_and_stays_noted_once_set_aside(workspace: Workspace) -> None:
    with ledger_file(workspace).open("ab") as file:
        file.write(b'{"actor":{"fing')
    outcome = verify(workspace.home)
    assert outcome.ok
    assert any("000000000001.jsonl:10: an interrupted append of 15 bytes" in note for note in outcome.notes)
    put(workspace, Kind.DERIVED, "x", [])
    outcome = verify(workspace.home)
    assert (outcome.ok, outcome.records) == (True, 10)
    assert any("ledger/torn: 1 interrupted appends were set aside" in note for note in outcome.notes)


def test_what_a_killed_writer_left_in_the_store_is_noted(workspace: Workspace) -> None:
    (workspace.home / "objects" / "incoming" / "tmpabc").write_bytes(b"half a res")
    workspace.store.put(b"stored, and not yet recorded")
    outcome = verify(workspace.home)
    assert outcome.ok
    assert any("objects/incoming: 1 unfinished writes" in note for note in outcome.notes)
    assert any("1 are named by no record" in note for note in outcome.notes)


@pytest.mark.parametrize("make", [lambda _: None, Path.mkdir, Path.touch])
def test_what_is_no_workspace_is_a_fault(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "home")
    outcome = verify(tmp_path / "home")
    assert not outcome.ok
    assert (outcome.records, outcome.objects) == (0, 0)


def test_a_new_workspace_is_accepted(tmp_path: Path) -> None:
    home = Workspace.open(tmp_path / "home", create=True).home
    assert verify(home).ok


def test_a_ledger_that_was_taken_away_is_a_fault(workspace: Workspace) -> None:
    shutil.rmtree(workspace.home / "ledger")
    assert "missing" in fault_at(verify(workspace.home), "ledger")


def test_verification_changes_nothing(workspace: Workspace) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in workspace.home.rglob("*")}

    before = state()
    verify(workspace.home, head="nonsense")
    assert state() == before


WRITER = """
import sys
from pathlib import Path
from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), create=True)
turn = 0
while True:
    turn += 1
    name = workspace.store.put(f"{sys.argv[2]} {turn}".encode() * 2000)
    outputs = (Reference(role="table", digest=name),)
    drafts = [Draft(kind=Kind.DERIVED, stage="derive", outputs=outputs, parameters={"turn": turn})] * 20
    for record in workspace.record(*drafts, actor=Actor(name="writer"), code="1"):
        print(record.digest, flush=True)
"""


def test_a_killed_writer_leaves_a_workspace_that_is_accepted(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311 - picks moments, not secrets
    promised: list[str] = []
    for turn in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "home"), str(turn)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert child.stdout is not None
        promised += [child.stdout.readline().strip() for _ in range(chance.randrange(1, 90))]
        child.kill()
        child.communicate()
        outcome = verify(tmp_path / "home", head=promised[-1])
        assert (outcome.faults, outcome.freshness) == ([], "proven")
    assert set(promised) <= {record.digest for record in Workspace.open(tmp_path / "home").ledger.records()}
