"""The Merkle tree: its roots are RFC 6962's, every proof holds, and nothing else passes for one."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from catalog.errors import EvidenceError, UsageError
from catalog.ledger import Actor, Draft, Kind, Ledger, Record
from catalog.tree import (
    EMPTY,
    Head,
    Tree,
    check_proof,
    consistency,
    continues,
    head_of,
    includes,
    inclusion,
    prove_prefix,
    prove_record,
    roots,
)


def some(size: int) -> list[bytes]:
    """So many entries, no two alike, as no two records are."""
    return [hashlib.sha256(b"%d" % number).digest() for number in range(size)]


Entries = st.integers(1, 70).map(some)


def definition(entries: list[bytes]) -> bytes:
    """MTH as RFC 6962 defines it."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    cut = max(1 << bit for bit in range(len(entries).bit_length()) if 1 << bit < len(entries))
    return hashlib.sha256(b"\x01" + definition(entries[:cut]) + definition(entries[cut:])).digest()


def head(entries: list[bytes]) -> Head:
    return Head(size=len(entries), root=Tree(entries).root())


def test_roots_are_those_of_certificate_transparency() -> None:
    """The vectors of the reference implementation (certificate-transparency, merkletree tests)."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    known = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, root in known.items():
        assert Tree(bytes.fromhex(leaf) for leaf in leaves[:size]).root() == root


@given(st.lists(st.binary(max_size=3), max_size=20))
def test_roots_are_those_of_the_definition_and_of_another_library(entries: list[bytes]) -> None:
    other = InmemoryTree(algorithm="sha256")
    for entry in entries:
        other.append_entry(entry)
    assert Tree(entries).root() == definition(entries).hex()
    assert not entries or other.get_root().hex() == definition(entries).hex()


@given(Entries, st.data())
def test_every_entry_is_proved_included_and_no_other_entry_place_root_or_path_is(
    entries: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    path, whole = inclusion(entries, index), head(entries)
    assert includes(whole, index, entries[index], path)
    assert not includes(whole, index, hashlib.sha256(entries[index]).digest(), path)
    assert not includes(Head(size=whole.size, root=EMPTY), index, entries[index], path)
    assert not includes(whole, whole.size, entries[index], path)
    other = data.draw(st.integers(0, len(entries) - 1))
    assert includes(whole, other, entries[index], path) == (other == index)
    for changed in damaged(path, data):
        assert not includes(whole, index, entries[index], changed)


def test_of_trees_of_every_shape_each_older_head_is_proved_a_prefix() -> None:
    """Up to five levels, in which a path may skip several."""
    entries = [bytes([number]) for number in range(33)]
    heads = [head(entries[:size]) for size in range(len(entries) + 1)]
    for size in range(1, len(entries) + 1):
        for old in range(1, size + 1):
            assert continues(heads[old], heads[size], consistency(entries[:size], old)), (old, size)


@given(Entries, st.data())
def test_every_older_head_is_proved_a_prefix_and_no_other_head_or_path_is(
    entries: list[bytes], data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, len(entries)))
    before, after, path = head(entries[:old]), head(entries), consistency(entries, old)
    assert continues(before, after, path)
    assert not continues(Head(size=old, root=EMPTY), after, path)
    assert not continues(before, Head(size=after.size, root=EMPTY), path)
    rewritten = [hashlib.sha256(entries[0]).digest(), *entries[1:]]
    assert not continues(before, head(rewritten), consistency(rewritten, old))
    assert not continues(Head(size=0, root=EMPTY), after, path)
    if old < len(entries):
        assert not continues(after, before, path)
        assert not continues(before, after, [])
    for changed in damaged(path, data):
        assert not continues(before, after, changed)


def damaged(path: list[str], data: st.DataObject) -> list[list[str]]:
    """The path with something more, with something less, and with one step changed."""
    found = [[*path, "00" * 32], ["00" * 32, *path]]
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        other = hashlib.sha256(path[place].encode()).hexdigest()
        found += [path[:place] + path[place + 1 :], [*path[:place], other, *path[place + 1 :]]]
    return found


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Seven records."""
    kept = Ledger(tmp_path_factory.mktemp("ledger"))
    drafts = [Draft(kind=Kind.DERIVED, stage=f"stage {number}") for number in range(7)]
    kept.append(drafts, actor=Actor(name="é"), code="1")
    return kept


@pytest.fixture
def records(ledger: Ledger) -> list[Record]:
    return ledger.records()


@pytest.fixture
def lines(ledger: Ledger) -> list[bytes]:
    return [line for path in sorted(ledger.root.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def through_json(proof: Any) -> Any:
    return json.loads(json.dumps(proof))


@given(index=st.integers(0, 6), size=st.integers(1, 7))
@settings(deadline=None)
def test_a_record_is_proved_of_any_head_that_has_it(ledger: Ledger, index: int, size: int) -> None:
    records = ledger.records()
    line = next(iter(ledger.root.glob("*.jsonl"))).read_bytes().splitlines()[index]
    saved = head_of(records[:size])
    if index >= size:
        with pytest.raises(UsageError, match="came after the head"):
            prove_record(records, line, saved)
        return
    shown = check_proof(through_json(prove_record(records, line, saved)), saved)
    assert (shown.record, shown.head) == (records[index], saved)
    assert check_proof(through_json(prove_record(records, line)), head_of(records)).record == records[index]


def test_a_newer_head_is_proved_to_continue_a_saved_one(records: list[Record]) -> None:
    for size in range(1, 8):
        shown = check_proof(through_json(prove_prefix(records, head_of(records[:size]))), head_of(records[:size]))
        assert (shown.record, shown.head) == (None, head_of(records))


def test_a_head_of_another_ledger_is_not_proved(records: list[Record], lines: list[bytes]) -> None:
    for saved in (Head(size=3, root=EMPTY), Head(size=9, root=EMPTY)):
        with pytest.raises(EvidenceError, match="cut short or replaced"):
            prove_prefix(records, saved)
        with pytest.raises(EvidenceError, match="cut short or replaced"):
            prove_record(records, lines[0], saved)
    with pytest.raises(UsageError, match="no record"):
        prove_prefix(records, Head(size=0, root=EMPTY))


def test_a_proof_that_was_changed_shows_nothing(records: list[Record], lines: list[bytes]) -> None:
    saved = head_of(records[:5])
    inclusion_, prefix = prove_record(records, lines[2], saved), prove_prefix(records, saved)
    altered = {**inclusion_["record"], "stage": "another"}
    for proof, what in (
        ({}, "no proof"),
        ([], "no proof"),
        ({**inclusion_, "more": 1}, "no proof"),
        ({**inclusion_, "format": 2}, "no proof"),
        ({**inclusion_, "head": str(head_of(records))}, "the saved head is"),
        ({**inclusion_, "record": altered}, "not sound: altered"),
        ({**inclusion_, "record": json.loads(lines[1])}, "does not lead"),
        ({**inclusion_, "path": []}, "does not lead"),
        ({**inclusion_, "path": [7]}, "none of digests"),
        ({**prefix, "since": str(head_of(records))}, "the saved head is"),
        ({**prefix, "head": "7:x"}, "the saved head is"),
        ({**prefix, "head": f"7:{EMPTY}"}, "does not lead"),
        ({**prefix, "path": prefix["path"][1:]}, "does not lead"),
    ):
        with pytest.raises(EvidenceError, match=what):
            check_proof(through_json(proof), saved)


def test_the_roots_of_several_sizes_come_from_one_pass(records: list[Record]) -> None:
    assert roots(records, {0, 3, 7, 9}) == {size: head_of(records[:size]).root for size in (0, 3, 7)}


def test_a_head_is_read_as_it_is_written(tmp_path: Path) -> None:
    assert Head.parse(str(Head(size=41, root=EMPTY))) == Head(size=41, root=EMPTY)
    for text in ("", "41", EMPTY, f"x:{EMPTY}", f"1:{EMPTY[:-1]}", f"-1:{EMPTY}", f"1:{EMPTY}\n", None, 7):
        assert Head.parse(text) is None
