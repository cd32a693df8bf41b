"""The pack of all phases: whole, the same every time, safe to open, and refused where there is nothing to submit."""

import csv
import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from deciders import Deciders
from report_facts import phase_facts

from catalog.errors import UsageError
from catalog.ledger import Kind, Record
from tasks.conclude import report_outputs
from tasks.declare import programme_document
from tasks.stage import document
from tasks.submission import pack, tables, text, write_submission


def report(deciders: Deciders, runbook: Any, phase: str) -> Record:
    """Records a phase as reported, from facts as its stages would have gathered them."""
    programme = programme_document(deciders.programme)
    declared = runbook.recorder.record(Kind.DECLARED, "declare", outputs={"programme": document(programme)})
    facts = phase_facts(deciders.programme, phase)
    recorded: Record = runbook.recorder.record(
        Kind.REPORTED,
        "report",
        inputs={"programme": declared.output("programme") or ""},
        outputs={"facts": document(facts), **report_outputs(facts)},
        parameters={"phase": phase, "occasion": phase},
    )
    return recorded


@pytest.fixture
def submitted(deciders: Deciders, runbook: Any, tmp_path: Path) -> Deciders:
    """The pilot reported, decided on, with a document attached to a decision and one to a withdrawn decision."""
    report(deciders, runbook, "pilot")
    letter = tmp_path / ".. =letter of €.pdf"
    letter.write_bytes(b"%PDF letter")
    other = tmp_path / "other.txt"
    other.write_bytes(b"not this one")
    deciders.sign("assurance:payments-carry", "test-assurance", "Ann", "given", file=letter)
    signed = deciders.sign("phase:pilot", "board", "Bo", "not-complete", reason="=1+1 is open", file=other)
    runbook.withdraw(signed.record.digest)
    deciders.sign("discharge:pilot.orders.load", "test-assurance", "Ann", "discharged")
    return deciders


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


def test_every_phase_is_in_the_pack_reported_or_not(submitted: Deciders) -> None:
    parts, files = pack(submitted.workspace)
    assert [(part.phase, bool(part.record), part.rehearsal) for part in parts] == [
        ("pilot", True, True),
        ("launch", False, False),
    ]
    assert {"README.md", "submission.json", "pilot/report.html", "pilot/report.json", "pilot/test-plans.csv"} <= set(
        files
    )
    assert "not reported" in files["README.md"].decode()
    said = json.loads(files["submission.json"])
    assert said["files"] == {
        name: sha256(data).hexdigest() for name, data in files.items() if name != "submission.json"
    }
    head = submitted.workspace.ledger.records()[-1]
    assert said["head"] == f"{head.sequence}:{head.digest}"
    criteria = rows(files["pilot/exit-criteria.csv"])
    states = [row[2] for row in criteria[1:]]
    assert said["phases"][0]["criteria"] == {
        state: states.count(state) for state in ("met", "not met", "cannot be told")
    }
    assert len(rows(files["pilot/tests.csv"])) == 7


def test_documents_of_decisions_that_stand_are_in_it_by_harmless_names(submitted: Deciders) -> None:
    _, files = pack(submitted.workspace)
    (name,) = [name for name in files if name.startswith("documents/")]
    assert files[name] == b"%PDF letter"
    assert name == f"documents/{sha256(b'%PDF letter').hexdigest()[:12]}-_letter_of_.pdf"


def test_a_zip_file_and_a_folder_hold_the_same_every_time(submitted: Deciders, tmp_path: Path) -> None:
    first, second, folder = tmp_path / "a.zip", tmp_path / "b.zip", tmp_path / "folder"
    written = write_submission(submitted.workspace, first)
    write_submission(submitted.workspace, second)
    write_submission(submitted.workspace, folder)
    write_submission(submitted.workspace, second)  # a pack is replaced by a newer one
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert held == {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert len(held) == written.files
    assert written.as_json()["phases"][1]["reported"] is False


def test_what_is_in_the_way_is_left_alone(submitted: Deciders, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "mine.zip").write_text("mine")
    for out in (tmp_path / "full", tmp_path / "mine.zip", submitted.workspace.home / "pack"):
        with pytest.raises(UsageError) as refused:
            write_submission(submitted.workspace, out)
        assert refused.value.help()
    assert (tmp_path / "mine.zip").read_text() == "mine"


def test_there_is_nothing_to_submit_before_a_report(deciders: Deciders, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no phase is reported"):
        write_submission(deciders.workspace, tmp_path / "pack.zip")


def test_no_cell_is_a_formula(submitted: Deciders) -> None:
    from tasks.submission import _csv

    cells = ["=1", "+1", "-1", "@a", "\tx", "plain", 'a "quoted", one']
    assert rows(_csv([cells])) == [["'=1", "'+1", "'-1", "'@a", "'\tx", "plain", 'a "quoted", one']]


def test_tables_of_a_report_made_before_there_were_decisions(submitted: Deciders) -> None:
    found = submitted.workspace.select(Kind.REPORTED)[-1]
    old = submitted.workspace.store.document(found.output("report.json") or "")
    del old["recorded"]
    assert set(tables(old)) == {"exit-criteria", "tests", "exclusions"}
    assert text({"figure": "f", "text": "7"}) == "7"
    assert text(["a ", {"figure": "f", "text": "7"}]) == "a 7"
    assert text({"link": "e-ab", "text": "record 3"}) == "record 3"
