"""The ledger: a chain that grows, survives kills and torn tails, and refuses every other damage."""

import io
import json
import random
import resource
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.canonical import canonical, digest, document_digest
from catalog.errors import EvidenceError, WorldError
from catalog.ledger import GENESIS, Actor, Cursor, Draft, Kind, Ledger, LedgerPart, Record, Reference, decode, now, scan

ACTOR = Actor(name="tester", fingerprint="ab" * 32)
ROOT = Path(__file__).parents[2]
ASKED = ("kind", "stage", "key", "inputs", "outputs", "parameters", "rules")

APPENDER = """
import sys
from pathlib import Path
from catalog.ledger import Actor, Draft, Kind, Ledger
ledger, name, count, batch = Ledger(Path(sys.argv[1]), roll=50), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for turn in range(count):
    drafts = [Draft(kind=Kind.DERIVED, stage=name, parameters={"turn": turn, "item": item}) for item in range(batch)]
    for record in ledger.append(drafts, actor=Actor(name=name), code="1"):
        print(record.digest, flush=True)
"""


def draft(number: int = 0) -> Draft:
    return Draft(
        kind=Kind.DERIVED,
        stage="volumes",
        key="0f" * 32,
        inputs=(Reference(role="forecast", digest="aa" * 32), Reference(role="t", digest="ab" * 32, rows="cd" * 32)),
        outputs=(Reference(role="volumes", digest="bb" * 32),),
        parameters={"occasion": "ioc", "number": number, "text": 'é,"digest":"' + "0" * 64},
        rules=3,
    )


def grow(root: Path, count: int, *, roll: int = 10_000) -> list[Record]:
    return Ledger(root, roll=roll).append([draft(number) for number in range(count)], actor=ACTOR, code="1.0")


def only_file(root: Path) -> Path:
    (file,) = root.glob("*.jsonl")
    return file


def appender(root: Path, name: str, *, count: int, batch: int) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", APPENDER, str(root), name, str(count), str(batch)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_records_come_back_as_they_were_appended(tmp_path: Path) -> None:
    records = grow(tmp_path, 3)
    assert Ledger(tmp_path).records() == records
    assert [record.sequence for record in records] == [1, 2, 3]
    assert [record.previous for record in records] == [GENESIS, records[0].digest, records[1].digest]
    assert GENESIS == 64 * "0"
    for number, record in enumerate(records):
        wanted = draft(number)
        assert {name: getattr(record, name) for name in ASKED} == {name: getattr(wanted, name) for name in ASKED}
    times = [json.loads(line)["time"] for line in only_file(tmp_path).read_bytes().splitlines()]
    assert [record.time for record in records] == times
    assert (records[0].actor, records[0].code, records[0].rules) == (ACTOR, "1.0", 3)
    assert Ledger(tmp_path).head() == records[2]
    assert (records[0].output("volumes"), records[0].output("forecast")) == ("bb" * 32, None)


def test_after_an_append_to_a_new_file_nothing_is_torn(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, roll=1)
    for number in range(2):
        ledger.append([draft(number)], actor=ACTOR, code="1")
        assert ledger.torn == b""


def test_times_are_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        apart = datetime.fromisoformat(now()) - datetime.now(UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(apart) < timedelta(hours=1)


def test_a_line_is_canonical_and_its_digest_can_be_computed_by_anyone(tmp_path: Path) -> None:
    records = grow(tmp_path, 2)
    for line, record in zip(only_file(tmp_path).read_bytes().splitlines(keepends=True), records, strict=True):
        document = json.loads(line)
        assert line == canonical(document) + b"\n"
        assert document.pop("digest") == record.digest == document_digest(document)
        assert document["format"] == 1


def test_members_of_parameters_may_be_named_as_those_of_records_are(tmp_path: Path) -> None:
    named = {"a": 1, "digest": "aa" * 32, "format": 2, "previous": {"b": 1, "digest": "bb" * 32, "format": 3}}
    drafts = [Draft(kind=Kind.DERIVED, stage="x", parameters=named)]
    (record,) = Ledger(tmp_path).append(drafts, actor=ACTOR, code="1")
    line = only_file(tmp_path).read_bytes()
    assert line == canonical(json.loads(line)) + b"\n"
    assert decode(line[:-1]) == record
    assert record.parameters == named


PARAMETERS = st.dictionaries(
    st.text(max_size=5), st.recursive(st.text(max_size=8) | st.integers(-(2**53) + 1, 2**53 - 1) | st.none(), st.lists)
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(stage=st.text(max_size=10), name=st.text(max_size=10), parameters=PARAMETERS)
def test_any_draft_makes_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, stage: str, name: str, parameters: dict[str, object]
) -> None:
    root = tmp_path_factory.getbasetemp() / "one-ledger-for-all-examples"
    drafts = [Draft(kind=Kind.OBSERVED, stage=stage, parameters=parameters)]
    (record,) = Ledger(root).append(drafts, actor=Actor(name=name), code="1")
    assert (record.stage, record.actor.name, record.parameters) == (stage, name, parameters)
    assert Ledger(root).head() == record


def test_an_empty_ledger_has_no_records_and_no_head(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none")
    assert ledger.records() == []
    assert ledger.head() is None
    assert not (tmp_path / "none").exists()


def test_the_chain_runs_on_across_files(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, roll=2)
    for number in range(5):
        ledger.append([draft(number)], actor=ACTOR, code="1")
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == ["000000000001.jsonl", "000000000003.jsonl", "000000000005.jsonl"]
    assert Ledger(tmp_path, roll=2).records() == ledger.records()
    assert [record.parameters["number"] for record in ledger.records()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("parameters", [{"value": 0.5}, {"value": 2**60}, {"value": {1: 2}}, {"value": "\ud800"}])
def test_a_draft_that_cannot_be_canonical_changes_nothing(tmp_path: Path, parameters: dict[str, object]) -> None:
    grow(tmp_path, 1)
    before = only_file(tmp_path).read_bytes()
    with pytest.raises((TypeError, ValueError)):
        Ledger(tmp_path).append(
            [draft(), Draft(kind=Kind.ISSUE, stage="x", parameters=parameters)], actor=ACTOR, code="1"
        )
    assert only_file(tmp_path).read_bytes() == before


def test_a_draft_of_the_wrong_shape_changes_nothing(tmp_path: Path) -> None:
    wrong = Draft(kind=Kind.DERIVED, stage="x", outputs=(Reference(role="x", digest="no digest"),))
    with pytest.raises(ValueError, match="no reference"):
        Ledger(tmp_path).append([wrong], actor=ACTOR, code="1")
    assert Ledger(tmp_path).records() == []


def test_every_altered_byte_is_refused_with_file_and_line(tmp_path: Path) -> None:
    grow(tmp_path, 2)
    file = only_file(tmp_path)
    whole = file.read_bytes()
    for place in range(len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(EvidenceError, match=r"ledger/000000000001.jsonl:[123]: "):
            Ledger(tmp_path).records()
    file.write_bytes(whole)
    assert len(Ledger(tmp_path).records()) == 2


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (lambda lines: lines[1:], ":1: out of place: record 2"),
        (lambda lines: [lines[0], lines[2]], ":2: out of place: record 3"),
        (lambda lines: [lines[1], lines[0], lines[2]], ":1: out of place"),
        (lambda lines: [lines[0], lines[0], lines[1]], ":2: out of place: record 1"),
        (lambda lines: [lines[0], b"\n", lines[1]], ":2: "),
        (lambda lines: [lines[0].rstrip(), lines[1], lines[2]], ":1: Extra data"),
        (lambda lines: [lines[0].replace(b":1", b": 1", 1), *lines[1:]], ":1: altered"),
    ],
)
def test_damage_to_the_chain_is_refused(tmp_path: Path, damage: object, where: str) -> None:
    grow(tmp_path, 3)
    file = only_file(tmp_path)
    file.write_bytes(b"".join(damage(file.read_bytes().splitlines(keepends=True))))  # type: ignore[operator] # a lambda
    ledger = Ledger(tmp_path)
    for attempt in (ledger.records, ledger.records, lambda: ledger.append([draft()], actor=ACTOR, code="1")):
        with pytest.raises(EvidenceError) as caught:
            attempt()
        assert f"000000000001.jsonl{where}" in str(caught.value)
        assert "plimsoll verify" in caught.value.help()


def test_a_record_put_in_from_another_chain_is_refused(tmp_path: Path) -> None:
    grow(tmp_path / "one", 2)
    Ledger(tmp_path / "two").append([draft(8), draft(9)], actor=ACTOR, code="1")
    ours, theirs = (only_file(tmp_path / name).read_bytes().splitlines(keepends=True) for name in ("one", "two"))
    only_file(tmp_path / "one").write_bytes(ours[0] + theirs[1])
    with pytest.raises(EvidenceError, match="record 2 does not follow the record before it"):
        Ledger(tmp_path / "one").records()


@pytest.mark.parametrize("name", ["1.jsonl", "0000000000001.jsonl", "000000000001.jsonl.bak", "x000000000001.jsonl"])
def test_files_of_other_names_are_none_of_the_ledger(tmp_path: Path, name: str) -> None:
    records = grow(tmp_path, 2)
    (tmp_path / name).write_bytes(b"{}\n")
    assert Ledger(tmp_path).records() == records


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, roll=1)
    for number in range(3):
        ledger.append([draft(number)], actor=ACTOR, code="1")
    (tmp_path / "000000000002.jsonl").unlink()
    with pytest.raises(EvidenceError, match="begins with record 3 by its name, and record 2 is due"):
        Ledger(tmp_path).records()


def test_a_ledger_cut_short_under_a_reader_is_refused(tmp_path: Path) -> None:
    grow(tmp_path, 3)
    ledger = Ledger(tmp_path)
    assert len(ledger.records()) == 3
    lines = only_file(tmp_path).read_bytes().splitlines(keepends=True)
    only_file(tmp_path).write_bytes(lines[0])
    with pytest.raises(EvidenceError, match=r"^ledger/000000000001.jsonl: cut short since it was read$"):
        ledger.append([draft()], actor=ACTOR, code="1")


def test_a_ledger_that_lost_its_last_newline_under_a_reader_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append([draft()], actor=ACTOR, code="1")
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EvidenceError, match="cut short since it was read"):
        ledger.records()


@pytest.mark.parametrize("also", [0, 1])
def test_what_another_process_wrote_out_of_place_behind_an_append_is_refused(tmp_path: Path, also: int) -> None:
    ledger = Ledger(tmp_path)
    ledger.append([draft(number) for number in range(2)], actor=ACTOR, code="1")
    with only_file(tmp_path).open("r+b") as file:
        line = file.readlines()[also]
        file.write(line)
    with pytest.raises(EvidenceError, match=f":3: out of place: record {also + 1} stands where record 3 is due"):
        ledger.records()


def test_a_newer_format_is_refused_with_both_versions(tmp_path: Path) -> None:
    grow(tmp_path, 1)
    newer = only_file(tmp_path).read_bytes().replace(b'"format":1', b'"format":7').replace(b'"rules"', b'"rulez"')
    only_file(tmp_path).write_bytes(newer)
    with pytest.raises(
        EvidenceError, match="written in format 7, and this version reads format 1: upgrade Plimsoll"
    ) as it:
        Ledger(tmp_path).records()
    assert "nothing is wrong with this one" in it.value.help()


NAME = "ab" * 32


@pytest.mark.parametrize(
    ("member", "value", "told"),
    [
        ("kind", "guessed", "'guessed' is not a valid Kind"),
        ("time", "2026-01-01", "time '2026-01-01' is not UTC with microseconds"),
        ("time", 7, "member .time. is 7"),
        ("time", "2026-01-01T10:00:00.000000Z ", "is not UTC with microseconds"),
        ("time", "2026-01-01T10:00:00Z", "is not UTC with microseconds"),
        ("key", "k", "key 'k' is no digest"),
        ("sequence", True, "member 'sequence' is True"),
        ("sequence", "1", "member 'sequence' is '1'"),
        ("inputs", [{"role": "x"}], r"\{'role': 'x'\} is no reference to an artefact"),
        ("inputs", [{"role": "x", "digest": "no"}], "no reference"),
        ("inputs", [{"role": 7, "digest": NAME}], "no reference"),
        ("inputs", [{"role": "x", "digest": NAME, "rows": 7}], "no reference"),
        ("inputs", [{"role": "x", "digest": NAME, "rows": None}], "no reference"),
        ("inputs", [{"role": "x", "digest": NAME, "more": "y"}], "no reference"),
        ("outputs", [7], "7 is no reference"),
        ("actor", {"name": "x"}, r"\{'name': 'x'\} is no actor"),
        ("actor", {"name": "x", "fingerprint": "", "more": ""}, "no actor"),
        ("actor", {"name": 7, "fingerprint": ""}, "no actor"),
        ("extra", 1, "wrong shape: members 'extra'$"),
        ("format", 0, "format 0 never was"),
        ("parameters", [], r"member 'parameters' is \[\]"),
    ],
)
def test_a_record_of_the_wrong_shape_is_none_even_with_the_right_digest(
    tmp_path: Path, member: str, value: object, told: str
) -> None:
    grow(tmp_path, 1)
    document = json.loads(only_file(tmp_path).read_bytes())
    del document["digest"]
    assert decode(canonical({**document, "digest": document_digest(document)})).sequence == 1
    document[member] = value
    with pytest.raises(ValueError, match=told):
        decode(canonical({**document, "digest": document_digest(document)}))


def found(root: Path) -> list[tuple[str, bytes, int | None, str, bool]]:
    """What a reader finds who reads on behind every damage: place, line, record, problem, and whether it is newer."""
    return [
        (each.where, each.line, each.record.sequence if each.record else None, each.problem, each.newer)
        for each in scan(root, Cursor())
    ]


def test_reading_goes_on_behind_damage(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, roll=3)
    for number in range(7):
        ledger.append([draft(number)], actor=ACTOR, code="1")
    files = sorted(tmp_path.glob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    names = [f"ledger/{file.name}" for file in files]
    assert found(tmp_path) == [
        (f"{names[place // 3]}:{place % 3 + 1}", line, place + 1, "", False) for place, line in enumerate(lines)
    ]
    newer = lines[1].replace(b'"format":1', b'"format":7')
    files[0].write_bytes(b"\n".join([lines[0], newer, lines[2][:20]]))
    files[1].rename(tmp_path / "000000000005.jsonl")
    names[1] = "ledger/000000000005.jsonl"
    told = found(tmp_path)
    assert [each[:3] for each in told] == [
        (f"{names[0]}:1", lines[0], 1),
        (f"{names[0]}:2", newer, None),
        (f"{names[0]}:3", b"", None),
        (f"{names[1]}:1", lines[3], 4),
        (f"{names[1]}:2", lines[4], 5),
        (f"{names[1]}:3", lines[5], 6),
        (f"{names[2]}:1", lines[6], 7),
    ]
    assert [each[4] for each in told] == [False, True, *[False] * 5]
    assert [each[3] for each in told] == [
        "",
        "written in format 7, and this version reads format 1: upgrade Plimsoll",
        "an unfinished line, and the ledger goes on behind it",
        "out of place: record 4 stands where record 5 is due",
        "",
        "",
        "",
    ]


def test_a_file_that_is_missing_is_told_once_and_what_follows_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, roll=1)
    for number in range(4):
        ledger.append([draft(number)], actor=ACTOR, code="1")
    (tmp_path / "000000000002.jsonl").unlink()
    assert [(each[0], each[2], each[3]) for each in found(tmp_path)] == [
        ("ledger/000000000001.jsonl:1", 1, ""),
        ("ledger/000000000003.jsonl", None, "begins with record 3 by its name, and record 2 is due"),
        ("ledger/000000000003.jsonl:1", 3, ""),
        ("ledger/000000000004.jsonl:1", 4, ""),
    ]


class Grudging(io.FileIO):
    """A file that takes a few bytes at a time, as a disk that fills up may."""

    def write(self, data: Any) -> int:
        return super().write(bytes(data)[:300])


def test_a_line_is_written_whole_however_few_bytes_are_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, asked = Path.open, []

    def grudging(self: Path, mode: str = "r", buffering: int = -1, **more: Any) -> Any:
        if (mode, buffering) != ("ab", 0):
            return usual(self, mode, buffering, **more)
        asked.append(self.name)
        return Grudging(self, "ab")

    monkeypatch.setattr(Path, "open", grudging)
    records = grow(tmp_path, 3)
    assert asked == ["000000000001.jsonl"]  # past all buffers: what is synced is what was written
    assert Ledger(tmp_path).records() == records


def test_a_part_of_a_ledger_is_as_it_was_and_only_read(tmp_path: Path) -> None:
    records = grow(tmp_path, 3)
    whole = Ledger(tmp_path)
    part = LedgerPart(whole, 2)
    assert (part.records(), part.head(), part.root) == (records[:2], records[1], tmp_path)
    with pytest.raises(ValueError, match=r"1 records by tester \(1\) for a part of a ledger, which is only read"):
        part.append([draft()], actor=ACTOR, code="1")
    whole.append([draft()], actor=ACTOR, code="1")
    assert part.records() == records[:2]


def test_a_line_that_states_its_digest_twice_is_refused(tmp_path: Path) -> None:
    (record,) = grow(tmp_path, 1)
    member = f',"digest":"{record.digest}"'.encode()
    line = only_file(tmp_path).read_bytes().rstrip()
    assert line.count(member) == 1
    with pytest.raises(ValueError):
        decode(line.replace(member, 2 * member))


@pytest.mark.parametrize("line", [b"", b"[]", b"7", b"null", b"{}", b"\xff", b"[" * 200_000, b'{"digest":7}'])
def test_nonsense_is_no_record(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


@pytest.mark.parametrize("keep", [1, 100, -1])
def test_a_torn_tail_is_passed_over_and_set_aside_by_the_next_append(tmp_path: Path, keep: int) -> None:
    grow(tmp_path, 3)
    file = only_file(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    torn = lines[2][:keep]
    file.write_bytes(lines[0] + lines[1] + torn)
    ledger = Ledger(tmp_path)
    assert len(ledger.records()) == 2
    assert ledger.torn == torn
    assert file.read_bytes().endswith(torn)
    (record,) = ledger.append([draft(7)], actor=ACTOR, code="1")
    assert (record.sequence, ledger.torn) == (3, b"")
    assert [item.parameters["number"] for item in Ledger(tmp_path).records()] == [0, 1, 7]
    (aside,) = (tmp_path / "torn").iterdir()
    assert aside.read_bytes() == torn
    assert aside.name == f"000000000003-{digest(torn)[:16]}"


def test_a_torn_line_at_the_start_of_a_new_file_is_set_aside(tmp_path: Path) -> None:
    grow(tmp_path, 2, roll=2)
    (tmp_path / "000000000003.jsonl").write_bytes(b'{"actor"')
    ledger = Ledger(tmp_path, roll=2)
    assert len(ledger.records()) == 2
    ledger.append([draft(5)], actor=ACTOR, code="1")
    assert [record.sequence for record in Ledger(tmp_path).records()] == [1, 2, 3]


def test_a_new_file_that_is_still_empty_is_filled(tmp_path: Path) -> None:
    grow(tmp_path, 2, roll=2)
    (tmp_path / "000000000003.jsonl").touch()
    Ledger(tmp_path, roll=2).append([draft(5)], actor=ACTOR, code="1")
    assert [record.sequence for record in Ledger(tmp_path).records()] == [1, 2, 3]
    assert (tmp_path / "000000000003.jsonl").stat().st_size > 0


def test_an_unfinished_line_before_the_end_is_damage(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, roll=1)
    for number in range(2):
        ledger.append([draft(number)], actor=ACTOR, code="1")
    file = tmp_path / "000000000001.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EvidenceError, match=r"000000000001.jsonl:1: an unfinished line, and the ledger goes on"):
        Ledger(tmp_path).records()


def test_two_processes_append_at_once_and_share_one_chain(tmp_path: Path) -> None:
    children = [appender(tmp_path, name, count=30, batch=3) for name in ("left", "right")]
    outputs = [child.communicate()[0].split() for child in children]
    records = Ledger(tmp_path).records()
    assert [child.returncode for child in children] == [0, 0]
    assert len(records) == 180
    assert sorted(record.digest for record in records) == sorted(outputs[0] + outputs[1])
    for name in ("left", "right"):
        turns = [(item.parameters["turn"], item.parameters["item"]) for item in records if item.stage == name]
        assert turns == [(turn, item) for turn in range(30) for item in range(3)]


def test_threads_share_one_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    def work() -> None:
        for number in range(20):
            ledger.append([draft(number)], actor=ACTOR, code="1")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.records()) == 80
    assert Ledger(tmp_path).records() == ledger.records()


def test_whatever_was_acknowledged_survives_kills_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(20)  # noqa: S311 - picks moments, not secrets
    promised: list[str] = []
    for turn in range(20):
        child = appender(tmp_path, f"turn-{turn}", count=100_000, batch=chance.choice([1, 7, 400]))
        assert child.stdout is not None
        promised += [child.stdout.readline().strip() for _ in range(chance.randrange(1, 60))]
        child.kill()
        promised += [line for line in child.communicate()[0].split("\n")[:-1] if line]
        digests = [record.digest for record in Ledger(tmp_path).records()]
        assert set(promised) <= set(digests)
    assert Ledger(tmp_path).append([draft()], actor=ACTOR, code="1")[0].sequence == len(digests) + 1


def test_a_full_disk_is_the_environments_fault_and_what_stood_stands(tmp_path: Path) -> None:
    grow(tmp_path, 2)
    size = only_file(tmp_path).stat().st_size
    program = (
        "import resource, sys; from pathlib import Path; from catalog.errors import WorldError\n"
        "from catalog.ledger import Actor, Draft, Kind, Ledger\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {resource.RLIM_INFINITY}))\n"
        "try: Ledger(Path(sys.argv[1])).append([Draft(kind=Kind.ISSUE, stage='x')], actor=Actor(name='a'), code='1')\n"
        "except WorldError as error: print(error, error.help())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "File too large" in done.stdout
    assert "free space" in done.stdout
    ledger = Ledger(tmp_path)
    assert len(ledger.records()) == 2
    assert len(ledger.torn) == 100
    assert ledger.append([draft()], actor=ACTOR, code="1")[0].sequence == 3


def test_a_place_that_cannot_be_written_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match="File exists"):
        Ledger(tmp_path / "file" / "ledger").append([draft()], actor=ACTOR, code="1")
