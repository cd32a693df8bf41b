"""The Merkle tree over the ledger's records (RFC 6962, section 2.1): a part of it can be proved without the rest.

1. Its entries are the records' digests, 32 bytes each, in order. A leaf is SHA-256 over 0x00 and its entry, a node
   SHA-256 over 0x01 and its two children; the root over none is SHA-256 over nothing.
2. A head is `SIZE:ROOT`: what somebody saves, signs or has anchored in time to hold a ledger to its first SIZE records.
3. An inclusion proof shows that a record is one of a head's, a consistency proof that an older head's records are the
   first of a newer one's. Both are checked as RFC 9162 says (sections 2.1.3.2 and 2.1.4.2), from nothing but the heads.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import EvidenceError, UsageError
from catalog.ledger import Record, decode
from catalog.store import is_digest, parse

FORMAT = 1
EMPTY = hashlib.sha256(b"").hexdigest()
_HEAD = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The root (hexadecimal) of the tree over the first `size` records."""

    size: int
    root: str

    def __str__(self) -> str:
        return f"{self.size}:{self.root}"

    @classmethod
    def parse(cls, text: object) -> "Head | None":
        """The head that `text` states as `SIZE:ROOT`; None when it states none."""
        found = _HEAD.fullmatch(text) if isinstance(text, str) else None
        return cls(size=int(found[1]), root=found[2]) if found else None


def _leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows: it holds the roots of its whole subtrees only, one for each bit of its size that is set."""

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._whole: list[bytes] = []
        for entry in entries:
            self.append(entry)

    def append(self, entry: bytes) -> None:
        """Adds one entry."""
        self._whole.append(_leaf(entry))
        self.size += 1
        filled = self.size
        while filled & 1 == 0:  # two subtrees of one size have become one of the next
            right = self._whole.pop()
            self._whole.append(_node(self._whole.pop(), right))
            filled >>= 1

    def root(self) -> str:
        """Its root now, in hexadecimal."""
        if not self._whole:
            return EMPTY
        *others, found = self._whole
        for left in reversed(others):
            found = _node(left, found)
        return found.hex()


def entries_of(records: Iterable[Record]) -> Iterator[bytes]:
    """The tree's entries for `records`."""
    return (bytes.fromhex(record.digest) for record in records)


def head_of(records: Collection[Record]) -> Head:
    """The head of a ledger that consists of `records`."""
    return Head(size=len(records), root=Tree(entries_of(records)).root())


def roots(records: Iterable[Record], sizes: Collection[int]) -> dict[int, str]:
    """The roots over the first so many `records`, for those of `sizes` that there are so many records for."""
    tree = Tree()
    found = {0: EMPTY}
    for entry in entries_of(records):
        tree.append(entry)
        if tree.size in sizes:
            found[tree.size] = tree.root()
    return found


def inclusion(entries: Sequence[bytes], index: int) -> list[str]:
    """The audit path of entry `index` (from 0) in the tree over `entries`: RFC 6962's PATH, from the leaf up."""
    if len(entries) == 1:
        return []
    cut = _split(len(entries))
    mine, other = (entries[:cut], entries[cut:]) if index < cut else (entries[cut:], entries[:cut])
    return [*inclusion(mine, index if index < cut else index - cut), Tree(other).root()]


def consistency(entries: Sequence[bytes], old: int) -> list[str]:
    """The proof that the tree over the first `old` of `entries`, 1 or more, begins the one over all: PROOF."""
    return _subproof(entries, old, known=True)


def _subproof(entries: Sequence[bytes], old: int, *, known: bool) -> list[str]:
    """RFC 6962's SUBPROOF; `known`: the older root is the one of this subtree, so that nobody needs to be told it."""
    if old == len(entries):
        return [] if known else [Tree(entries).root()]
    cut = _split(len(entries))
    if old <= cut:
        return [*_subproof(entries[:cut], old, known=known), Tree(entries[cut:]).root()]
    return [*_subproof(entries[cut:], old - cut, known=False), Tree(entries[:cut]).root()]


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def includes(head: Head, index: int, entry: bytes, path: Sequence[str]) -> bool:
    """Whether `path` shows that `entry` is number `index` (from 0) of the tree of `head`."""
    if not 0 <= index < head.size:
        return False
    place, last, found = index, head.size - 1, _leaf(entry)
    for sibling in map(bytes.fromhex, path):
        if last == 0:
            return False
        if place & 1 or place == last:
            found = _node(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found.hex() == head.root


def continues(old: Head, new: Head, path: Sequence[str]) -> bool:
    """Whether `path` shows that the records of `old` are the first of those of `new`."""
    if not 0 < old.size <= new.size:
        return False
    if old.size == new.size:
        return not path and old.root == new.root
    given = [bytes.fromhex(each) for each in path]
    if old.size & (old.size - 1) == 0:  # a whole subtree: its root is the older one itself
        given.insert(0, bytes.fromhex(old.root))
    if not given:
        return False
    place, last = old.size - 1, new.size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = given[0]
    for sibling in given[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = _node(sibling, before), _node(sibling, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = _node(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before.hex() == old.root and after.hex() == new.root


def prove_record(records: Sequence[Record], line: bytes, head: Head | None = None) -> dict[str, Any]:
    """The proof that the record on `line` is one of those of `head` (None: the newest of a ledger of `records`).

    Raises UsageError for a record that is not among those of `head`, EvidenceError when `head` is not of this ledger.
    """
    record, whole = decode(line), _entries_to(records, head)
    if record.sequence > len(whole):
        raise UsageError(f"{record} came after the head {head}", remedy="Prove it of a newer head.")
    path = inclusion(whole, record.sequence - 1)
    return {
        "format": FORMAT,
        "proof": "inclusion",
        "head": str(Head(size=len(whole), root=Tree(whole).root())),
        "record": parse(line),
        "path": path,
    }


def prove_prefix(records: Sequence[Record], old: Head) -> dict[str, Any]:
    """The proof that `old` is the beginning of a ledger of `records`. Raises EvidenceError when it is not."""
    _entries_to(records, old)
    entries = list(entries_of(records))
    path = consistency(entries, old.size)
    return {
        "format": FORMAT,
        "proof": "consistency",
        "since": str(old),
        "head": str(head_of(records)),
        "path": path,
    }


def _entries_to(records: Sequence[Record], head: Head | None) -> list[bytes]:
    entries = list(entries_of(records if head is None else records[: head.size]))
    if not entries:
        raise UsageError("there is no record to be proved", remedy="Name a head of one record or more.")
    if head and (len(entries) != head.size or Tree(entries).root() != head.root):
        raise EvidenceError(
            f"the head {head} is not one of this ledger: it was cut short or replaced",
            remedy="Run `plimsoll verify --head` for the whole extent.",
        )
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a proof shows of the head that it was held against: a record of it, or a newer head that continues it."""

    record: Record | None
    head: Head


def check_proof(proof: Any, saved: Head) -> Proved:
    """Holds a proof against the head that its reader has saved. Raises EvidenceError where it does not lead there."""
    match proof:
        case {"format": 1, "proof": "inclusion", "head": str(), "record": dict(), "path": list()} if len(proof) == 5:
            return _check_inclusion(proof, saved)
        case {"format": 1, "proof": "consistency", "since": str(), "head": str(), "path": list()} if len(proof) == 5:
            return _check_consistency(proof, saved)
    raise EvidenceError("this is no proof as `plimsoll prove` writes it")


def _check_inclusion(proof: dict[str, Any], saved: Head) -> Proved:
    from catalog.canonical import canonical

    if proof["head"] != str(saved):
        raise EvidenceError(f"the proof is of head {proof['head']}, and the saved head is {saved}",
                            remedy="Ask for one with `plimsoll prove RECORD --head` and the saved head.")  # fmt: skip
    try:
        record = decode(canonical(proof["record"]))
    except (ValueError, TypeError, RecursionError) as error:
        raise EvidenceError(f"the record in the proof is not sound: {error}") from error
    if not includes(saved, record.sequence - 1, bytes.fromhex(record.digest), _path(proof)):
        raise EvidenceError(f"the proof does not lead from {record} to the head {saved}")
    return Proved(record=record, head=saved)


def _check_consistency(proof: dict[str, Any], saved: Head) -> Proved:
    new = Head.parse(proof["head"])
    if proof["since"] != str(saved) or new is None:
        raise EvidenceError(f"the proof is from head {proof['since']}, and the saved head is {saved}",
                            remedy="Ask for one with `plimsoll prove --head` and the saved head.")  # fmt: skip
    if not continues(saved, new, _path(proof)):
        raise EvidenceError(f"the proof does not lead from the head {saved} to the head {new}")
    return Proved(record=None, head=new)


def _path(proof: dict[str, Any]) -> list[str]:
    if not all(is_digest(each) for each in proof["path"]):
        raise EvidenceError("the path of the proof is none of digests")
    return list(proof["path"])
