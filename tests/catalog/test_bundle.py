"""Bundles: the same bytes from the same workspace, checked by themselves, and refused when they are something else."""

import random
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.bundle import export, is_bundle, unpack
from catalog.errors import EvidenceError, PlimsollError, UsageError
from catalog.ledger import Actor, Draft, Kind, Ledger, Record, Reference
from catalog.reach import reach
from catalog.second_verifier import Verifier
from catalog.signing import Signer
from catalog.verification import Verification, verify
from catalog.workspace import Workspace

ACTOR = Actor(name="tester")


def put(
    workspace: Workspace, kind: Kind, stage: str, inputs: dict[str, str], outputs: dict[str, bytes], **parameters: str
) -> Record:
    draft = Draft(
        kind=kind,
        stage=stage,
        key=workspace.store.put_document({"stage": stage, "inputs": inputs, "asked": parameters}),
        inputs=tuple(Reference(role=role, digest=name) for role, name in inputs.items()),
        outputs=tuple(Reference(role=role, digest=workspace.store.put(data)) for role, data in outputs.items()),
        parameters=parameters,
    )
    return workspace.record(draft, actor=ACTOR, code="1")[0]


def phase(workspace: Workspace, name: str) -> Record:
    """A phase as its stages record it, down to its published report."""
    files = {"file:system.yaml": b"components: []", "file:data/forecasts é.csv": b"meters\n1\n", "file:.hidden": b"x"}
    declared = put(workspace, Kind.DECLARED, "declare", {}, {"programme": b"{}", **files}, occasion=name)
    programme = declared.output("programme") or ""
    volumes = put(workspace, Kind.DERIVED, "volumes", {"programme": programme}, {"volumes": b"3"}, occasion=name)
    offered = {"volumes": volumes.output("volumes") or ""}
    plan = put(workspace, Kind.DERIVED, "plan", {"programme": programme}, {"plan": name.encode()}, occasion=name)
    run = {"occasion": name, "run": f"{name}/t/1"}
    put(workspace, Kind.STARTED, "execute", offered, {}, **run)
    executed = put(workspace, Kind.EXECUTED, "execute", offered, {"results": f"results of {name}".encode()}, **run)
    results = {"results": executed.output("results") or ""}
    measured = put(
        workspace, Kind.DERIVED, "measure", results, {"measurements": f"41 of {name}".encode()}, occasion=name
    )
    figure = b'{"figures":[{"evidence":["%s"],"figure":"p99"}]}' % (measured.output("measurements") or "").encode()
    reported = put(
        workspace,
        Kind.REPORTED,
        "report",
        {"programme": programme, "plan": plan.output("plan") or "", "run": executed.digest},
        {"report.json": figure, "report.html": f"<p>{name}</p>".encode()},
        occasion=name,
        phase=name,
    )
    workspace.publish(reported)
    return reported


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    workspace = Workspace.open(root / "home", create=True)
    phase(workspace, "ioc")
    signer = Signer.open(root / "key.pem", outside=workspace.home)
    workspace.sign(signer, phase="ioc", name="tester", code="1")
    phase(workspace, "moc")
    workspace.sign(signer, phase="moc", name="tester", code="1")
    return root / "home"


@pytest.fixture
def workspace(original: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(original, tmp_path / "home")
    return Workspace.open(tmp_path / "home")


@pytest.fixture
def bundle(workspace: Workspace, tmp_path: Path) -> Path:
    return export(workspace, "ioc", tmp_path / "ioc.zip").file


def verified(file: Path, folder: Path, head: str | None = None) -> Verification:
    folder.mkdir()
    return verify(unpack(file, folder), head=head)


def faults(outcome: Verification) -> str:
    return "; ".join(f"{fault.where}: {fault.what}" for fault in outcome.faults)


def test_the_same_workspace_gives_the_same_bytes_anywhere(workspace: Workspace, original: Path, tmp_path: Path) -> None:
    first = export(workspace, "ioc", tmp_path / "a.zip")
    second = export(Workspace.open(original), "ioc", tmp_path / "deep" / "b.zip")
    assert first.digest == second.digest
    assert first.file.read_bytes() == second.file.read_bytes()
    assert first.head == verify(original).head
    again = export(workspace, "ioc", first.file)
    assert again == first
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_is_accepted_by_itself_and_its_head_is_that_of_the_workspace(
    bundle: Path, workspace: Workspace, tmp_path: Path
) -> None:
    assert is_bundle(bundle)
    assert not is_bundle(tmp_path / "home" / "plimsoll.json")
    outcome = verified(bundle, tmp_path / "out", head=verify(workspace.home).head)
    assert outcome.faults == []
    assert (outcome.ok, outcome.freshness) == (True, "proven")
    assert any(note.startswith("this is a bundle of phase ioc") for note in outcome.notes)
    assert any("that only other phases rest on are not in this bundle" in note for note in outcome.notes)
    names = set(zipfile.ZipFile(bundle).namelist())
    assert {
        "README.md",
        "lineage.json",
        "catalogue/system.yaml",
        "reports/ioc/report.html",
        "reports/ioc/lineage.html",
    } <= names
    assert {"catalogue/data/forecasts é.csv", "catalogue/_.hidden"} <= names
    held = {name[8:].replace("/", "") for name in names if name.startswith("objects/")}
    everything = {item.digest for record in workspace.ledger.records() for item in record.outputs}
    assert everything - held  # the other phase's
    assert verified(export(workspace, "moc", tmp_path / "moc.zip").file, tmp_path / "later").ok


def test_what_a_later_plan_looked_at_goes_with_it(workspace: Workspace) -> None:
    results = [record.output("results") for record in workspace.ledger.records() if record.kind is Kind.EXECUTED]
    records = workspace.ledger.records()
    assert set(results) <= reach(records, "moc").objects
    assert results[1] not in reach(records, "ioc").objects


@pytest.mark.parametrize(
    "name",
    ["README.md", "lineage.json", "catalogue/system.yaml", "reports/ioc/report.json", "reports/ioc/lineage.html"],
)
def test_what_a_bundle_says_beside_its_evidence_must_follow_from_it(bundle: Path, tmp_path: Path, name: str) -> None:
    home = tmp_path / "out"
    unpack(bundle, home)
    data = (home / name).read_bytes()
    (home / name).write_bytes(data + b" ")
    assert f"{name}: altered" in faults(verify(home))
    (home / name).unlink()
    outcome = verify(home)
    assert (f"{name}: missing" in faults(outcome)) or any(f"{name} is missing" in note for note in outcome.notes)
    (home / name).write_bytes(data)
    assert verify(home).ok
    (home / "catalogue" / "more.yaml").write_text("mine")
    assert "catalogue/more.yaml: a file that does not belong in a bundle" in faults(verify(home))


def test_a_bundle_that_lacks_what_its_phase_reaches_is_at_fault(bundle: Path, tmp_path: Path) -> None:
    home = unpack(bundle, tmp_path / "out")
    for path in sorted((home / "objects").rglob("*/*")):
        data = path.read_bytes()
        path.unlink()
        assert f"objects/{path.parent.name}/{path.name}" in faults(verify(home))
        path.write_bytes(data)
    assert verify(home).ok


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('{"format":2}', "does not say"),
        ("nonsense", "does not say"),
        ('{"format":1,"head":"1:00","phase":"ioc"}\n', "was made at record 1:00"),
        ('{"format":1,"head":"1:00","phase":"foc"}\n', "the ledger has no report"),
    ],
)
def test_a_bundle_that_says_it_is_another_is_at_fault(bundle: Path, tmp_path: Path, said: str, what: str) -> None:
    home = unpack(bundle, tmp_path / "out")
    (home / "bundle.json").write_text(said)
    assert what in faults(verify(home))


def test_a_bundle_without_its_report_is_at_fault(bundle: Path, tmp_path: Path) -> None:
    home = unpack(bundle, tmp_path / "out")
    for name in ("report.json", "report.html"):
        (home / "reports" / "ioc" / name).unlink()
    assert [fault.where for fault in verify(home).faults] == ["reports/ioc/report.json", "reports/ioc/report.html"]


def test_a_phase_without_a_report_is_refused_with_the_nearest_that_has_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no report of 'icc'") as refused:
        export(workspace, "icc", tmp_path / "x.zip")
    assert "'ioc'" in refused.value.help()
    empty = Workspace.open(tmp_path / "empty", create=True)
    with pytest.raises(UsageError) as refused:
        export(empty, "ioc", tmp_path / "x.zip")
    assert "plimsoll run" in refused.value.help()


def test_what_is_in_the_way_is_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_text("my own")
    for file in (tmp_path / "mine.zip", tmp_path / "home", workspace.home / "b.zip"):
        with pytest.raises(UsageError):
            export(workspace, "ioc", file)
    assert (tmp_path / "mine.zip").read_text() == "my own"


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_damaged_evidence_is_not_exported_and_nothing_is_left(
    workspace: Workspace, tmp_path: Path, damage: str
) -> None:
    (executed, _) = workspace.select(Kind.EXECUTED)
    path = workspace.store.path(executed.output("results") or "")
    path.chmod(0o644)
    path.unlink() if damage == "missing" else path.write_bytes(b"other results!")
    with pytest.raises(EvidenceError, match=damage):
        export(workspace, "ioc", tmp_path / "x.zip")
    assert [each.name for each in tmp_path.iterdir()] == ["home"]


def test_a_torn_line_and_what_is_appended_meanwhile_stay_out(workspace: Workspace, tmp_path: Path) -> None:
    with next((workspace.home / "ledger").glob("*.jsonl")).open("ab") as file:
        file.write(b'{"actor"')
    home = unpack(export(workspace, "ioc", tmp_path / "x.zip").file, tmp_path / "out")
    assert Ledger(home / "ledger").torn == b""
    assert len(Ledger(home / "ledger").records()) == len(workspace.ledger.records())


def member(name: str, data: bytes = b"{}", **changes: int) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    for attribute, value in changes.items():
        setattr(entry, attribute, value)
    return entry, data


LINK = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([member("../evil")], "name that no file"),
        ([member("/etc/passwd")], "name that no file"),
        ([member("objects/../../evil")], "name that no file"),
        ([member("objects\\ab\\evil")], "name that no file"),
        ([member("catalogue/a/../b")], "name that no file"),
        ([member("catalogue//b")], "name that no file"),
        ([member("C:evil")], "name that no file"),
        ([member("verify.sh")], "name that no file"),
        ([member("ledger/0000000000\u0660\u0661.jsonl")], "name that no file"),
        ([member("reports/ioc/other.html")], "name that no file"),
        ([member("catalogue/")], "name that no file"),
        ([member("README.md"), member("README.md", b"twice")], "stands there twice"),
        ([member("catalogue/a"), member("catalogue/A")], "stands there twice"),
        ([member("catalogue/a"), member("catalogue/a/b")], "is a file and a folder"),
        ([member("README.md", b"/etc/passwd", external_attr=LINK)], "is no plain file"),
        ([member("README.md", bytes(1 << 20), compress_type=zipfile.ZIP_DEFLATED)], "is compressed"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_no_bundle_has_is_refused_before_anything_is_written(
    members: list[tuple[zipfile.ZipInfo, bytes]], problem: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for entry, data in members:
            archive.writestr(entry, data, compress_type=entry.compress_type)
    (tmp_path / "out").mkdir()
    with pytest.raises(EvidenceError, match=problem):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A zip bomb without compression: many entries of the directory point to one stretch of the file."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("catalogue/a"), bytes(100_000))
        for number in range(20):
            entry = zipfile.ZipInfo(f"catalogue/a{number}")
            entry.header_offset, entry.file_size, entry.compress_size, entry.CRC = 0, 100_000, 100_000, 0
            archive.filelist.append(entry)
        archive._didModify = True  # type: ignore[attr-defined]  # so that the forged directory is written
    with pytest.raises(EvidenceError, match="claims 2100000 bytes"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_a_damaged_bundle_is_refused_or_found_at_fault_or_holds_the_same(bundle: Path, tmp_path: Path) -> None:
    """Bytes changed or cut at random: what is accepted is, file by file, what was exported."""
    whole, chance = bundle.read_bytes(), random.Random(5)  # noqa: S311 - picks places, not secrets
    home = unpack(bundle, tmp_path / "whole")
    held = {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    damaged = tmp_path / "damaged.zip"
    for turn in range(120):
        place = chance.randrange(len(whole))
        changed = whole[:place] + bytes([whole[place] ^ chance.randrange(1, 256)]) + whole[place + 1 :]
        damaged.write_bytes(whole[:place] if turn % 10 == 0 else changed)
        out = tmp_path / f"out{turn}"
        out.mkdir()
        try:
            accepted = verify(unpack(damaged, out)).ok
        except PlimsollError:
            continue
        found = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert not accepted or found == held, place


Drafts = st.lists(
    st.tuples(
        st.sampled_from([Kind.DERIVED, Kind.EXECUTED, Kind.OBSERVED, Kind.REPORTED, Kind.WITHDRAWN]),
        st.sampled_from(["ioc", "moc"]),
        st.lists(st.integers(0, 9), max_size=3),
        st.booleans(),
    ),
    max_size=10,
)


@given(Drafts)
@settings(max_examples=60, deadline=None)
def test_what_is_reached_rests_on_nothing_that_is_not(
    tmp_path_factory: pytest.TempPathFactory, drafts: list[tuple[Kind, str, list[int], bool]]
) -> None:
    workspace = Workspace.open(tmp_path_factory.mktemp("reach") / "home", create=True)
    records: list[Record] = []
    for number, (kind, occasion, rests, on_records) in enumerate(drafts):
        earlier = [records[place] for place in rests if place < len(records)]
        named = {f"i{n}": each.digest if on_records else each.outputs[0].digest for n, each in enumerate(earlier)}
        records.append(put(workspace, kind, "any", named, {"out": b"%d" % number}, occasion=occasion))
    found = reach(records, "ioc")
    second = Verifier(workspace.home, set())
    second._list_folder()
    second._read_ledger()
    second.bundle = {"phase": "ioc"}
    if any(record.kind is Kind.REPORTED and record.parameters["occasion"] == "ioc" for record in records):
        assert second._reached() - {None} - {record.digest for record in records} == found.objects
    by_digest = {record.digest: record for record in records}
    producer = {record.outputs[0].digest: record.digest for record in records}
    assert {record.digest for record in records if record.parameters["occasion"] == "ioc"} <= found.records
    for digest in found.records:
        record = by_digest[digest]
        assert {record.key, record.outputs[0].digest} <= found.objects
        assert all(producer.get(item.digest, item.digest) in found.records for item in record.inputs)


def test_a_later_withdrawal_is_in_every_bundle(workspace: Workspace, tmp_path: Path) -> None:
    executed = workspace.select(Kind.EXECUTED)[0]
    put(workspace, Kind.WITHDRAWN, "withdraw", {"withdrawn": executed.digest}, {}, reason="a wrong clock")
    home = unpack(export(workspace, "ioc", tmp_path / "x.zip").file, tmp_path / "out")
    assert any("rests on withdrawn evidence" in note for note in verify(home).notes)
    assert "1 withdrawals" in (home / "README.md").read_text()
