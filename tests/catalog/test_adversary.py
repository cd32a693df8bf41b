"""Somebody who can write to the workspace and has none of its keys: what they do is found and named, by both verifiers.

The auditor has saved a head, and the owner's public key. docs/auditing.md has the table.
"""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_evidence import ledger_file, make, page, put, rechain, report

from catalog import second_verifier
from catalog.bundle import _MEMBER, export, unpack
from catalog.canonical import canonical, digest
from catalog.errors import EvidenceError
from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.signing import Signer
from catalog.tree import head_of, roots
from catalog.verification import verify
from catalog.workspace import Workspace

SOURCE = Path(second_verifier.__file__)
RESULTS = "results of ioc"


class Case:
    """A workspace to be attacked, as its auditor knows it: `head` is what they saved, `key` what they were given."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root / "home"
        self.head = str(head_of(self.workspace.ledger.records()))
        self.owner = Signer.open(root / "key.pem", outside=self.home)
        self.key = self.owner.public_key

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(self.home)

    def object(self, data: str) -> Path:
        return self.workspace.store.path(digest(data.encode()))

    def name(self, path: Path) -> str:
        return path.relative_to(self.home).as_posix()

    def lines(self) -> list[bytes]:
        return ledger_file(self.home).read_bytes().splitlines(keepends=True)

    def keep(self, lines: list[bytes]) -> None:
        ledger_file(self.home).write_bytes(b"".join(lines))

    def bundle(self) -> Path:
        return export(self.workspace, "moc", self.root / "moc.zip").file


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    make(root, "ioc", "moc")
    return root


@pytest.fixture
def case(original: Path, tmp_path: Path) -> Case:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return Case(tmp_path)


Answer = tuple[bool, str]
Check = Callable[..., Answer]


def ours(path: Path, head: str | None, *keys: str) -> Answer:
    """Whether our verifier accepts, and all that it says."""
    home = path
    if path.is_file():
        home = Path(tempfile.mkdtemp(dir=path.parent))
        try:
            unpack(path, home)
        except EvidenceError as error:
            return False, str(error)
    outcome = verify(home, head=head, keys=keys)
    return outcome.ok, "\n".join([*(f"{each.where}: {each.what}" for each in outcome.faults), *outcome.notes])


@pytest.fixture(params=["ours", "second"])
def check(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Check:
    """One of the two verifiers."""

    def second(path: Path, head: str | None, *keys: str) -> Answer:
        given = [*(["--head", head] if head else []), *(word for key in keys for word in ("--key", key))]
        status = second_verifier.main([str(path), *given])
        assert status in (0, 4)
        return status == 0, capsys.readouterr().out

    return ours if request.param == "ours" else second


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def flip(path: Path, place: int) -> None:
    data = path.read_bytes()
    overwrite(path, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_an_honest_workspace_and_bundle_are_accepted(case: Case, check: Check) -> None:
    for path in (case.home, case.bundle()):
        for head in (case.head, str(head_of(case.workspace.ledger.records()[:4])), None):
            accepted, told = check(path, head, case.key)
            assert accepted, told
        assert check(path, case.head, case.owner.fingerprint)[0]
        assert check(path, case.head)[0]


def flips_a_byte_of_an_object(case: Case) -> str:
    flip(case.object(RESULTS), 3)
    return case.name(case.object(RESULTS))


def flips_a_byte_of_a_record(case: Case) -> str:
    flip(ledger_file(case.home), len(b"".join(case.lines()[:4])) + 60)
    return "ledger/000000000001.jsonl:5"


def flips_a_byte_of_a_report(case: Case) -> str:
    flip(case.home / "reports/moc/report.html", 4)
    return "reports/moc/report.html"


def swaps_two_objects(case: Case) -> str:
    one, two = case.object(RESULTS), case.object("run of ioc")
    data = one.read_bytes(), two.read_bytes()
    overwrite(one, data[1])
    overwrite(two, data[0])
    return case.name(two)


def swaps_two_records(case: Case) -> str:
    lines = case.lines()
    case.keep([*lines[:2], lines[3], lines[2], *lines[4:]])
    return "ledger"


def deletes_an_object(case: Case) -> str:
    case.object(RESULTS).unlink()
    return case.name(case.object(RESULTS))


def deletes_a_record(case: Case) -> str:
    lines = case.lines()
    case.keep([*lines[:4], *lines[5:]])
    return "ledger"


def deletes_the_ledger(case: Case) -> str:
    shutil.rmtree(case.home / "ledger")
    return "ledger"


def deletes_a_record_and_chains_anew(case: Case) -> str:
    rechain(case.home, lambda records: records.pop(5) and None)
    return "(signed sign)"


def truncates_an_object(case: Case) -> str:
    os.truncate(case.object(RESULTS), 4)
    return case.name(case.object(RESULTS))


def truncates_the_ledger(case: Case) -> str:
    case.keep(case.lines()[:10])
    return "cut short"


def tears_the_ledger(case: Case) -> str:
    os.truncate(ledger_file(case.home), ledger_file(case.home).stat().st_size - 9)
    return "cut short"


def repeats_a_record(case: Case) -> str:
    lines = case.lines()
    case.keep([*lines[:4], lines[3], *lines[4:]])
    return "ledger"


def replays_an_older_workspace(case: Case) -> str:
    """As it was after its first phase, and correctly signed."""
    case.keep(case.lines()[:10])
    shutil.rmtree(case.home / "reports/moc")
    assert verify(case.home, keys=[case.key]).ok
    return "cut short"


def hides_a_withdrawal(case: Case) -> str:
    executed = case.workspace.select(Kind.EXECUTED)[0]
    draft = Draft(kind=Kind.WITHDRAWN, stage="withdraw", inputs=(Reference(role="withdrawn", digest=executed.digest),))
    case.workspace.record(draft, actor=Actor(name="tester"), code="1")
    case.head = str(head_of(case.workspace.ledger.records()))
    case.keep(case.lines()[:-1])
    return "cut short"


def forges_a_record_in_the_middle(case: Case) -> str:
    rechain(case.home, lambda records: records.insert(8, {**records[5], "inputs": list(records[5]["inputs"])}))
    return "(signed sign)"


def forges_a_report_at_the_end(case: Case) -> str:
    """Correctly chained, with everything that it names."""
    workspace = case.workspace
    measured = next(each for each in workspace.ledger.records() if each.stage == "measure")
    observed = next(each for each in workspace.ledger.records() if each.stage == "observe")
    rosy = {"report.json": page(measured, observed), "report.html": b"<p>all proved</p>"}
    workspace.publish(put(workspace, Kind.REPORTED, "report", {}, rosy, occasion="moc", phase="moc"))
    return "record 20 (reported report): no key that you gave vouches for it"


def edits_a_report_and_not_the_evidence(case: Case) -> str:
    file = case.home / "reports/moc/report.json"
    overwrite(file, file.read_bytes().replace(b"41", b"14"))
    return "reports/moc/report.json"


def edits_evidence_and_computes_every_digest(case: Case) -> str:
    was, forged = digest(RESULTS.encode()), case.workspace.store.put(b"better results")

    def change(records: list[dict[str, Any]]) -> None:
        for record in records:
            for item in (*record["inputs"], *record["outputs"]):
                item["digest"] = forged if item["digest"] == was else item["digest"]

    rechain(case.home, change)
    return "(signed sign)"


def edits_evidence_and_drops_the_signatures(case: Case) -> str:
    edits_evidence_and_computes_every_digest(case)
    rechain(case.home, lambda records: records.__delitem__(slice(8, 10)) or (records.pop() and None))
    assert verify(case.home).ok
    return "that you gave has signed nothing in this ledger"


def swaps_the_public_key(case: Case) -> str:
    """Everything is signed anew, and announced, with the attacker's key."""
    shutil.rmtree(case.home)
    (case.root / "key.pem").rename(case.root / "owner.pem")
    make(case.root, "ioc", "moc")
    assert verify(case.home).ok
    return "no key that you gave vouches for it"


def swaps_the_public_key_in_the_records(case: Case) -> str:
    other = Signer.open(case.root / "other.pem", outside=case.home)

    def change(records: list[dict[str, Any]]) -> None:
        for record in records:
            if record["parameters"].get("public_key"):
                record["parameters"]["public_key"] = other.public_key

    rechain(case.home, change)
    return "(signed sign)"


def links_an_object_elsewhere(case: Case) -> str:
    path = case.object(RESULTS)
    path.rename(case.root / "elsewhere")
    path.symlink_to(case.root / "elsewhere")
    return case.name(path)


def hides_a_file_among_the_objects(case: Case) -> str:
    (case.home / "objects/notes.txt").write_text("mine")
    return "objects/notes.txt"


def hides_a_file_in_the_ledger(case: Case) -> str:
    (case.home / "ledger/copy.jsonl").write_bytes(b"".join(case.lines()))
    return "ledger/copy.jsonl"


def changes_the_format(case: Case) -> str:
    (case.home / "plimsoll.json").write_text('{"format":1,"x":2}\n')
    return "plimsoll.json"


ATTACKS = [
    flips_a_byte_of_an_object, flips_a_byte_of_a_record, flips_a_byte_of_a_report, swaps_two_objects, swaps_two_records,
    deletes_an_object, deletes_a_record, deletes_the_ledger, deletes_a_record_and_chains_anew, truncates_an_object,
    truncates_the_ledger, tears_the_ledger, repeats_a_record, replays_an_older_workspace, hides_a_withdrawal,
    forges_a_record_in_the_middle, forges_a_report_at_the_end, edits_a_report_and_not_the_evidence,
    edits_evidence_and_computes_every_digest, edits_evidence_and_drops_the_signatures, swaps_the_public_key,
    swaps_the_public_key_in_the_records, links_an_object_elsewhere, hides_a_file_among_the_objects,
    hides_a_file_in_the_ledger, changes_the_format,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_an_attack_on_a_workspace_is_found_and_named(case: Case, check: Check, attack: Callable[[Case], str]) -> None:
    named = attack(case)
    accepted, told = check(case.home, case.head, case.key)
    assert not accepted
    assert named in told


def test_a_record_put_behind_the_last_signature_is_vouched_for_by_nobody(case: Case, check: Check) -> None:
    """No fault, since whoever works on has such records too; both say where the signatures end."""
    put(case.workspace, Kind.DERIVED, "volumes", {}, {"volumes": b"9"}, occasion="moc")
    accepted, told = check(case.home, case.head, case.key)
    assert accepted
    assert "records 1 to 18 of 20" in told


def test_an_auditor_who_countersigned_needs_their_own_key_alone(case: Case, check: Check) -> None:
    auditor = Signer.open(case.root / "auditor.pem", outside=case.home)
    made = auditor.countersign(head_of(case.workspace.ledger.records()), name="Ada")
    draft = Draft(kind=Kind.SIGNED, stage="countersign", parameters=made)
    case.workspace.record(draft, actor=case.owner.actor("owner"), code="1")
    assert check(case.home, None, auditor.public_key)[0]
    make(case.root / "again", "ioc", "moc")
    again = Workspace.open(case.root / "again" / "home")
    accepted, told = check(again.home, None, auditor.public_key)
    assert (accepted, "has signed nothing in this ledger" in told) == (False, True)
    again.record(draft, actor=case.owner.actor("owner"), code="1")
    accepted, told = check(again.home, None, auditor.public_key)
    assert (accepted, "that it states is not one of this ledger" in told) == (False, True)


def signs_when_revoked(case: Case, head: Any) -> None:
    draft = case.owner.revoke(case.key, head, reason="a stolen laptop")
    case.workspace.record(draft, actor=case.owner.actor("owner"), code="1")


def signs_when_replaced(case: Case, head: Any) -> None:
    draft = case.owner.hand_over(Signer.open(case.root / "next.pem", outside=case.home), head)
    case.workspace.record(draft, actor=case.owner.actor("owner"), code="1")


@pytest.mark.parametrize("end", [signs_when_revoked, signs_when_replaced])
def test_a_signature_of_a_key_that_was_ended_is_a_fault_and_an_earlier_one_holds(
    case: Case, check: Check, end: Callable[[Case, Any], None]
) -> None:
    end(case, head_of(case.workspace.ledger.records()))
    assert check(case.home, case.head, case.key)[0]
    if end is signs_when_replaced:
        report(case.workspace, "foc", Signer.open(case.root / "next.pem", outside=case.home))
        assert check(case.home, case.head, case.key)[0]
    records = case.workspace.ledger.records()
    draft = case.owner.sign_head(records[-1], head_of(records).root, phase="moc")
    case.workspace.record(draft, actor=case.owner.actor("owner"), code="1")
    accepted, told = check(case.home, case.head, case.key)
    assert (accepted, f"record {len(records) + 1} (signed sign): its key" in told) == (False, True)


def test_what_a_key_signed_in_wrong_hands_counts_for_nothing_and_is_no_fault(case: Case, check: Check) -> None:
    """Neither a head, nor a successor that it named; what it signed before the stated record holds."""
    thief, colleague = (Signer.open(case.root / f"{name}.pem", outside=case.home) for name in ("thief", "colleague"))
    case.workspace.record(colleague.announcement(), actor=colleague.actor("colleague"), code="1")
    since = case.workspace.ledger.records()[-1].sequence + 1
    report(case.workspace, "foc", case.owner)
    signs = case.owner.hand_over(thief, head_of(case.workspace.ledger.records()))
    case.workspace.record(signs, actor=case.owner.actor("owner"), code="1")
    report(case.workspace, "late", thief)
    assert check(case.home, case.head, case.key)[0]  # nobody knows yet
    head = head_of(case.workspace.ledger.records())
    revoked = colleague.revoke(case.key, head, reason="a stolen laptop", since=since)
    case.workspace.record(revoked, actor=colleague.actor("colleague"), code="1")
    assert check(case.home, case.head)[0]
    accepted, told = check(case.home, case.head, case.key, colleague.public_key)
    reported = [each for each in case.workspace.ledger.records() if each.kind is Kind.REPORTED]
    assert (accepted, [f"{each}: no key that you gave" in told for each in reported]) == (
        False,
        [False, False, True, True],
    )
    case.workspace.sign(colleague, phase="foc", name="colleague", code="1")  # who has looked at them, and vouches
    assert check(case.home, case.head, case.key, colleague.public_key)[0]


@pytest.mark.parametrize("since", [99, 0, -1, "3", True])
def test_a_compromise_begins_at_a_record_that_there_is(case: Case, check: Check, since: Any) -> None:
    draft = case.owner.revoke(case.key, head_of(case.workspace.ledger.records()), reason="x", since=3)
    said = case.owner.signed({**draft.parameters["statement"], "since": since})
    (record,) = case.workspace.record(replace(draft, parameters=said), actor=case.owner.actor("owner"), code="1")
    accepted, told = check(case.home, case.head, case.key)
    assert (accepted, f"{record}: " in told) == (False, True)


@pytest.mark.parametrize("kind", ["revocation", "succession", "announcement", "stranger's revocation"])
def test_a_key_record_of_somebody_without_the_key_is_a_fault(case: Case, check: Check, kind: str) -> None:
    other, head = Signer.open(case.root / "other.pem", outside=case.home), head_of(case.workspace.ledger.records())
    drafts = {
        "revocation": [other.revoke(case.key, head, reason="x")],
        "succession": [other.hand_over(other, head)],
        "announcement": [Draft(kind=Kind.KEY, stage="sign", parameters={"public_key": "ab", "fingerprint": "cd"})],
        "stranger's revocation": [other.announcement(), other.revoke(case.key, head, reason="x")],
    }
    for draft in drafts[kind]:
        case.workspace.record(draft, actor=other.actor("other"), code="1")
    accepted, told = check(case.home, case.head, case.key)
    assert (accepted, f"record {19 + len(drafts[kind])} (key" in told) == (False, True)


@pytest.mark.parametrize("forgery", ["none", "signature", "unknown key", "revoked key", "another's name"])
def test_a_persons_signed_word_is_theirs_and_by_a_key_in_force(case: Case, check: Check, forgery: str) -> None:
    """Whatever record carries it; what it is about is not for the verifiers of a ledger to say."""
    other = Signer.open(case.root / "other.pem", outside=case.home)
    signer = other if forgery == "unknown key" else case.owner
    signed = signer.signed({"purpose": "a decision", "matter": "plan", "decision": "approved"})
    if forgery == "signature":
        signed["statement"] = {**signed["statement"], "decision": "rejected"}
    if forgery == "revoked key":
        signs_when_revoked(case, head_of(case.workspace.ledger.records()))
    actor = (other if forgery == "another's name" else signer).actor("somebody")
    draft = Draft(kind=Kind.APPROVED, stage="sign", parameters=signed)
    (record,) = case.workspace.record(draft, actor=actor, code="1")
    accepted, told = check(case.home, case.head, case.key)
    assert (accepted, f"{record}: its " in told) == (forgery == "none", forgery != "none"), told


def unplanned(case: Case) -> None:
    run = {"run": "foc/x/1", "test": "x", "why": "", "occasion": "foc"}
    volumes = case.workspace.ledger.records()[1]
    put(case.workspace, Kind.STARTED, "execute", {}, {}, **run)
    put(case.workspace, Kind.EXECUTED, "execute", {"volumes": volumes.outputs[0].digest}, {}, **run)


def without_volumes(case: Case) -> None:
    run = {"run": "moc/x/1", "test": "x", "why": "", "occasion": "moc"}
    put(case.workspace, Kind.STARTED, "execute", {}, {}, **run)
    put(case.workspace, Kind.EXECUTED, "execute", {"volumes": digest(RESULTS.encode())}, {}, **run)


def never_started(case: Case) -> None:
    volumes = case.workspace.ledger.records()[1]
    run = {"run": "moc/x/9", "test": "x", "why": "", "occasion": "moc"}
    put(case.workspace, Kind.EXECUTED, "execute", {"volumes": volumes.outputs[0].digest}, {}, **run)


def results_of_no_run(case: Case) -> None:
    put(case.workspace, Kind.DERIVED, "compose", {}, {"results": b"invented"}, occasion="moc")


def measured_of_no_run(case: Case) -> None:
    volumes = case.workspace.ledger.records()[1].outputs[0].digest
    put(case.workspace, Kind.DERIVED, "measure", {"results": volumes}, {"measurements": b"7"}, occasion="moc")


def measured_of_nothing(case: Case) -> None:
    put(case.workspace, Kind.DERIVED, "measure", {}, {"measurements": b"7"}, occasion="moc")


def observed_of_no_measurement(case: Case) -> None:
    put(case.workspace, Kind.OBSERVED, "observe", {"measurements:x": digest(RESULTS.encode())}, {}, occasion="moc")


def figure(name: str, evidence: object) -> Callable[[Case], None]:
    def attack(case: Case) -> None:
        document = canonical({"deep": [{"figure": name, "evidence": evidence}]})
        both = {"report.json": document, "report.html": b"<p>"}
        case.workspace.publish(put(case.workspace, Kind.REPORTED, "report", {}, both, occasion="moc", phase="moc"))

    return attack


@pytest.mark.parametrize(
    ("invent", "named"),
    [
        (unplanned, "record 21 (executed execute)"),
        (without_volumes, "record 21 (executed execute)"),
        (never_started, "record 20 (executed execute)"),
        (results_of_no_run, "record 20 (derived compose)"),
        (measured_of_no_run, "record 20 (derived measure)"),
        (measured_of_nothing, "record 20 (derived measure)"),
        (observed_of_no_measurement, "record 20 (observed observe)"),
        (figure("measurement/p99", [digest(b"proved ioc")]), "record 20 (reported report)"),
        (figure("observation/p99", [digest(RESULTS.encode())]), "record 20 (reported report)"),
        (figure("run/x", []), "record 20 (reported report)"),
        (figure("run/x", ["ab" * 32]), "record 20 (reported report)"),
        (figure("run/x", [7]), "record 20 (reported report)"),
    ],
)
def test_evidence_that_leads_nowhere_is_named_whoever_signed_it(
    case: Case, check: Check, invent: Callable[[Case], None], named: str
) -> None:
    invent(case)
    case.workspace.sign(case.owner, phase="moc", name="tester", code="1")
    accepted, told = check(case.home, case.head, case.key)
    assert (accepted, named in told) == (False, True), told


LINK = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../evil.txt", {}),
        ("/etc/passwd", {}),
        ("objects/../../evil", {}),
        ("C:evil", {}),
        ("catalogue/more.yaml", {}),
        ("evil.sh", {}),
        ("objects/notes.txt", {}),
        ("objects/ab/" + "0" * 62, {}),
        ("README.md", {}),
        ("readme.md", {}),
        ("catalogue/link.yaml", {"external_attr": LINK}),
        ("catalogue/bomb.yaml", {"compress_type": zipfile.ZIP_DEFLATED}),
        ("catalogue/shared.yaml", {"header_offset": 0}),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_hidden_in_a_bundle_is_found_and_named(
    case: Case, check: Check, name: str, changes: dict[str, int]
) -> None:
    file = case.bundle()
    with zipfile.ZipFile(file, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = changes.get("external_attr", 0)
        if "header_offset" in changes:  # claims the bytes of the whole file, which are there already
            entry.header_offset, entry.file_size, entry.compress_size, entry.CRC = 0, 1 << 30, 1 << 30, 0
            archive.filelist.append(entry)
            archive._didModify = True  # type: ignore[attr-defined]  # so that the forged directory is written
        else:
            archive.writestr(entry, bytes(1 << 16), compress_type=changes.get("compress_type", zipfile.ZIP_STORED))
    accepted, told = check(file, case.head, case.key)
    assert not accepted
    assert ("claims" if changes.get("header_offset") == 0 else name) in told
    assert not (case.root / "evil.txt").exists()


def rewrite(file: Path, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """Changes one member of a bundle, or leaves it out."""
    with zipfile.ZipFile(file) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(file, "w") as archive:
        for member, data in members:
            changed = change(data) if member.filename == name else data
            if changed is not None:
                archive.writestr(member.filename, changed)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bundle.json", lambda data: data.replace(b"moc", b"foc")),
        ("bundle.json", lambda data: data.replace(b'"19:', b'"18:')),
        ("bundle.json", lambda _: b"{}"),
        ("catalogue/system.yaml", lambda data: data + b"more: 1\n"),
        ("reports/moc/report.html", lambda data: data.replace(b"41", b"14")),
        ("plimsoll.json", lambda data: data + b"\n"),
    ],
)
def test_what_a_bundle_says_beside_its_evidence_is_held_against_it(
    case: Case, check: Check, name: str, change: Callable[[bytes], bytes]
) -> None:
    file = case.bundle()
    rewrite(file, name, change)
    accepted, told = check(file, case.head, case.key)
    assert (accepted, name in told) == (False, True), told


@pytest.mark.parametrize("name", ["reports/moc/report.html", "reports/moc/report.json"])
def test_a_bundle_without_its_report_is_at_fault(case: Case, check: Check, name: str) -> None:
    file = case.bundle()
    rewrite(file, name, lambda _: None)
    accepted, told = check(file, case.head, case.key)
    assert (accepted, name in told) == (False, True), told


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("reports/moc/report-tests-2.html", True),
        ("reports/moc/report-tests.html", True),
        ("reports/moc/lineage.html", True),
        ("reports/moc/report-2.html", False),
        ("reports/moc/notes.html", False),
        ("lineage.json", True),
        ("lineage.html", False),
        ("ledger/000000000001.jsonl", True),
        ("ledger/lock", False),
        ("catalogue/data/forecasts é.csv", True),
        ("catalogue/.hidden", False),
    ],
)
def test_both_verifiers_know_the_same_names(name: str, is_one: bool) -> None:
    assert bool(_MEMBER.fullmatch(name)) is is_one
    assert bool(second_verifier.BELONGS.fullmatch(name)) is is_one


def test_a_verifier_that_was_changed_in_the_bundle_is_found_by_ours(case: Case) -> None:
    file = case.bundle()
    rewrite(file, "verify.py", lambda data: data + b"# accepts everything\n")
    accepted, told = ours(file, case.head, case.key)
    assert (accepted, "verify.py: altered" in told) == (False, True)


def test_bytes_flipped_anywhere_in_the_evidence_are_never_accepted(case: Case, check: Check) -> None:
    """A byte of every object, one at a time, and some of the ledger."""
    chance = random.Random(7)  # noqa: S311 - picks places, not secrets
    for path in [*sorted((case.home / "objects").glob("??/*")), *[ledger_file(case.home)] * 20]:
        place = chance.randrange(path.stat().st_size)
        flip(path, place)
        assert not check(case.home, case.head, case.key)[0], (path, place)
        flip(path, place)
    assert check(case.home, case.head, case.key)[0]


def test_a_missing_or_broken_container_is_a_fault(tmp_path: Path, check: Check) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x05\x06" + bytes(10))
    (tmp_path / "empty").mkdir()
    for name in ("broken.zip", "empty"):
        assert not check(tmp_path / name, None)[0]


def packages_of_cryptography(folder: Path) -> Path:
    """A folder with `cryptography` and what it needs, and nothing else."""
    folder.mkdir()
    installed = Path(sysconfig.get_path("platlib"))
    wanted = [
        installed / "cryptography",
        *installed.glob("_cffi_backend*"),
        installed / "cffi",
        installed / "pycparser",
    ]
    for each in wanted:
        if each.exists():
            (folder / each.name).symlink_to(each)
    return folder


def test_the_second_verifier_runs_where_only_cryptography_is_installed(case: Case, tmp_path: Path) -> None:
    file = case.bundle()
    home = unpack(file, tmp_path / "unpacked")
    packages = packages_of_cryptography(tmp_path / "packages")
    program = (
        "import sys, runpy; sys.path.append(sys.argv.pop(1)); sys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )

    def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", program, str(packages), str(home / "verify.py"), str(path)]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)

    for path in (file, home):
        ended = run(path, "--head", case.head, "--key", case.key)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
        assert "0 faults in 19 records" in ended.stdout
    flip(next((home / "objects").glob("??/*")), 0)
    ended = run(home, "--head", case.head, "--key", case.key)
    assert (ended.returncode, ended.stderr) == (4, "")


def test_the_second_verifier_is_short_imports_nothing_of_ours_and_is_the_one_in_the_documentation(case: Case) -> None:
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= 300
    modules = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert modules - set(sys.stdlib_module_names) == {"cryptography"}
    assert not modules & {"catalog", "expectations", "tasks", "flows"}
    with zipfile.ZipFile(case.bundle()) as archive:
        assert archive.read("verify.py") == SOURCE.read_bytes()
    documented = (Path(__file__).parents[2] / "docs" / "auditing.md").read_text()
    assert digest(SOURCE.read_bytes()) in documented


Documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(Documents)
def test_both_verifiers_have_the_same_canonical_form(document: object) -> None:
    assert second_verifier.canonical(document) == canonical(document)
    assert json.loads(canonical(document)) == document


def test_both_verifiers_have_the_same_heads(case: Case) -> None:
    records = case.workspace.ledger.records()
    found = roots(records, range(len(records) + 1))
    assert second_verifier.heads([each.digest for each in records]) == [f"{size}:{found[size]}" for size in found]
