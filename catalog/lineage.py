"""What rests on what: the graph of records and artefacts that the ledger spans, and figures' way into it.

An artefact rests on the record that produced it, a record on its inputs. The same bytes may be produced more than once;
a record's input then rests on the newest production before that record, so edges always point back in the ledger.
Nothing here recurses: a graph may be as deep as the ledger is long.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import UsageError
from catalog.ledger import Kind, Record, Reference
from catalog.store import is_digest

GROUND = frozenset({Kind.EXECUTED, Kind.RECEIVED, Kind.RELIED, Kind.DERIVED, Kind.DECLARED})  # what a figure may end on
SHORTEST = 8  # characters of a digest that name a node
_WIDEST = 96  # characters of a tree's margin: a deeper one is cut on the left, so that a line stays a line


def figures(document: Any) -> Iterator[dict[str, Any]]:
    """Every figure of a report, in document order: the objects in it that have a member `figure`."""
    pending = [document]
    while pending:
        match pending.pop():
            case dict() as item:
                if "figure" in item:
                    yield item
                pending.extend(reversed(item.values()))
            case list() as items:
                pending.extend(reversed(items))


def withdrawn(records: Sequence[Record]) -> set[str]:
    """Digests of the records and artefacts that `withdrawn` records name as their inputs."""
    return set(_named(records))


def tainted(records: Sequence[Record]) -> set[str]:
    """Digests of everything that is withdrawn, or rests on what is; see `withdrawals`."""
    return set(withdrawals(records))


def _named(records: Sequence[Record]) -> dict[str, Record]:
    """What `withdrawn` records name, each with the first that does."""
    found: dict[str, Record] = {}
    for record in records:
        if record.kind is Kind.WITHDRAWN:
            for item in record.inputs:
                found.setdefault(item.digest, record)
    return found


def withdrawals(records: Sequence[Record]) -> dict[str, Record]:
    """Digests of everything that is withdrawn, or rests on what is, each with the withdrawal that it is so by.

    A record whose output is withdrawn is among it. An artefact that a sound record has produced before, or produces
    again, is not tainted by another one's withdrawal.
    """
    named = _named(records)
    found, sound = dict(named), set[str]()
    if not named:
        return found
    for record in records:
        outputs = {item.digest for item in record.outputs}
        if record.kind is Kind.WITHDRAWN:
            continue
        if cause := _cause(record, named, found):
            found[record.digest] = named.get(record.digest, cause)
            found |= {name: named.get(name, cause) for name in outputs - sound}
        else:
            sound |= outputs - named.keys()
            for name in outputs - named.keys():
                found.pop(name, None)
    return found


def _cause(record: Record, named: dict[str, Record], found: dict[str, Record]) -> Record | None:
    """The withdrawal that a record is tainted by, its own before that of what it rests on; None when it is sound."""
    own = [record.digest, *(item.digest for item in record.outputs)]
    return next(
        (
            known[name]
            for known, names in ((named, own), (found, [item.digest for item in record.inputs]))
            for name in names
            if name in known
        ),
        None,
    )


def told(withdrawal: Record) -> str:
    """Who withdrew, when and why, as a sentence goes on after what was withdrawn."""
    reason = str(withdrawal.parameters.get("reason", "")).strip() or "no reason given"
    return f"withdrawn by {withdrawal.actor.name} on {withdrawal.time[:10]}: {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a tree, in depth-first order: a node in its role, `depth` steps from the root.

    `record` is None for an artefact. `last` says that no sibling follows. A node whose own tree was given further up is
    `repeated`, and not opened again. `withdrawn` is the withdrawal that it is tainted by, None when it is sound.
    """

    digest: str
    role: str
    depth: int
    last: bool
    record: Record | None
    repeated: bool = False
    withdrawn: Record | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    """A record, or an artefact as one record produced or used it."""

    digest: str
    role: str
    record: Record | None
    producer: Record | None = None


class Lineage:
    """The graph over `records` (all of a ledger's, oldest first), built in one pass."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = {record.digest: record for record in records}
        self._produced: dict[str, Record] = {}
        self._sources: dict[str, list[tuple[Reference, Record | None]]] = {}
        self._users: dict[str, list[tuple[Reference, Record, Record | None]]] = {}
        for record in records:
            self._enter(record)
        self._tainted = withdrawals(records)
        self._names = sorted(self._records.keys() | self._produced.keys() | self._users.keys())

    def _enter(self, record: Record) -> None:
        sources = [(item, self._records.get(item.digest) or self._produced.get(item.digest)) for item in record.inputs]
        self._sources[record.digest] = sources
        for item, source in sources:
            self._users.setdefault(item.digest, []).append((item, record, source))
        self._produced.update((item.digest, record) for item in record.outputs)

    def resolve(self, name: str, report: Any = None) -> list[str]:
        """The digests that `name` means: a digest, the beginning of one (8 characters or more), or the id of a figure
        in the document `report`, which means that figure's evidence. Raises UsageError when it is none, or several.
        """
        for figure in figures(report):
            if figure["figure"] == name:
                return [item for item in figure.get("evidence", []) if is_digest(item)]
        if len(name) < SHORTEST:
            raise UsageError(f"{name!r} is no figure, and too short for a digest: give {SHORTEST} characters or more")
        start = bisect_left(self._names, name)
        found = [item for item in self._names[start : start + 2] if item.startswith(name)]
        if len(found) == 1:
            return found
        problem = "more than one digest in this ledger begins so" if found else "no digest in this ledger begins so"
        raise UsageError(f"{name!r}: {problem}, and no figure of the report has that name")

    def up(self, name: str) -> list[Step]:
        """What `name` (a whole digest) rests on, as a tree from it to declarations, executions and submissions."""
        return self._tree(_Node(name, "", self._records.get(name), self._produced.get(name)), self._rests_on)

    def down(self, name: str) -> list[Step]:
        """What rests on `name` (a whole digest), as a tree from it to reports and signatures."""
        return self._tree(_Node(name, "", self._records.get(name)), self._carries)

    def _rests_on(self, node: _Node) -> list[_Node]:
        if node.record is None:
            return [] if node.producer is None else [_Node(node.producer.digest, "", node.producer)]
        return [
            _Node(item.digest, item.role, self._records.get(item.digest), source)
            for item, source in self._sources[node.record.digest]
        ]

    def _carries(self, node: _Node) -> list[_Node]:
        """Of a record: who names it, and its outputs; of an artefact: who used it (as that producer made it)."""
        users = [
            _Node(user.digest, item.role, user)
            for item, user, source in self._users.get(node.digest, [])
            if node.producer is None or source is node.producer
        ]
        if node.record is None:
            return users
        return users + [_Node(item.digest, item.role, None, node.record) for item in node.record.outputs]

    def _tree(self, root: _Node, children: Callable[[_Node], list[_Node]]) -> list[Step]:
        steps: list[Step] = []
        opened: set[tuple[str, str]] = set()
        pending = [(root, 0, True)]
        while pending:
            node, depth, last = pending.pop()
            place = (node.digest, node.producer.digest if node.producer and node.record is None else "")
            below = children(node)
            repeated = place in opened and bool(below)
            steps.append(self._step(node, depth, last=last, repeated=repeated))
            if place not in opened:
                opened.add(place)
                pending.extend((child, depth + 1, child is below[-1]) for child in reversed(below))
        return steps

    def _step(self, node: _Node, depth: int, *, last: bool, repeated: bool) -> Step:
        return Step(
            digest=node.digest,
            role=node.role,
            depth=depth,
            last=last,
            record=node.record,
            repeated=repeated,
            withdrawn=self._tainted.get(node.digest),
        )


def as_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The tree as `lineage --json` gives it: a flat list in depth-first order, since JSON readers limit nesting."""
    return [_step_json(step) for step in steps]


def _step_json(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"depth": step.depth, "digest": step.digest, "repeated": step.repeated}
    if step.role:
        found["role"] = step.role
    if step.record:
        record = step.record
        found |= {"sequence": record.sequence, "kind": str(record.kind), "stage": record.stage, "time": record.time}
    if step.withdrawn:
        by = step.withdrawn
        found["withdrawn"] = {"record": by.sequence, "actor": by.actor.name, "reason": by.parameters.get("reason")}
    return found


def render(steps: Sequence[Step]) -> Iterator[str]:
    """The tree as lines of text, drawn with box characters."""
    margins = {0: ""}
    for step in steps:
        margin = margins[step.depth]
        branch = ("└─ " if step.last else "├─ ") if step.depth else ""
        yield margin + branch + _describe(step)
        deeper = margin + ("   " if step.last else "│  ") if step.depth else ""
        margins[step.depth + 1] = deeper if len(deeper) <= _WIDEST else "⋯" + deeper[4:]


def _describe(step: Step) -> str:
    parts = [step.role] if step.role else []
    if step.record:
        parts.append(f"{step.record.kind} by {step.record.stage}, record {step.record.sequence}, {step.record.time}")
    parts.append(step.digest[:16])
    return "  ".join(parts) + _soundness(step) + ("  (see above)" if step.repeated else "")


def _soundness(step: Step) -> str:
    """What a tree says of a node that is withdrawn, or rests on what is."""
    if step.withdrawn is None:
        return ""
    itself = any(item.digest == step.digest for item in step.withdrawn.inputs)
    return f"  [{told(step.withdrawn)}]" if itself else f"  [rests on what record {step.withdrawn.sequence} withdrew]"
