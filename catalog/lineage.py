"""What rests on what: the graph of records and artefacts that the ledger spans, and figures' way into it.

A figure rests on its evidence, an artefact on the record that produced it, a record on its inputs, on the document that
it is keyed on, and a signature on the record that it vouches for. The same bytes may be produced more than once; a
record's input then rests on the newest production before that record, so edges always point back in the ledger.
Nothing here recurses: a graph may be as deep as the ledger is long.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.claims import Claim, claims
from catalog.errors import UsageError
from catalog.hints import did_you_mean
from catalog.ledger import Kind, Record, Reference
from catalog.store import is_digest

GROUND = frozenset({Kind.EXECUTED, Kind.RECEIVED, Kind.RELIED, Kind.DERIVED, Kind.DECLARED})  # what a figure may end on
SHORTEST = 8  # characters of a digest that name a node
KEY, VOUCHED, SIGNED_REPORT = "key", "vouched for", "report signed"
"""Roles of what a record rests on beside its inputs: the document that it is keyed on; the newest record that a
signature is over, and the report that it was made for."""

_MOST_FIGURES = 12  # figures that a drawn tree shows under one node
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


def sources(record: Record) -> list[Reference]:
    """What a record rests on: its inputs, its key's document, and the record that a signature vouches for."""
    statement = record.parameters.get("statement")
    head = statement.get("head") if isinstance(statement, dict) else None
    return [
        *record.inputs,
        *([Reference(role=KEY, digest=record.key)] if record.key else []),
        *([Reference(role=VOUCHED, digest=str(head))] if is_digest(head) else []),
    ]


def _occasion(record: Record) -> str:
    return str(record.parameters.get("occasion", record.parameters.get("phase")))


def _phase_signed(record: Record) -> str:
    statement = record.parameters.get("statement")
    return str(statement.get("phase")) if isinstance(statement, dict) else ""


def resting(records: Sequence[Record]) -> Iterator[tuple[Record, list[Reference]]]:
    """Each record of a ledger with what it rests on: `sources`, and of a signature the report that it was made for."""
    reported: dict[str, Record] = {}
    for record in records:
        rests_on = sources(record)
        if record.kind is Kind.REPORTED:
            reported[_occasion(record)] = record
        signed = reported.get(_phase_signed(record)) if record.kind is Kind.SIGNED else None
        if signed and signed.digest not in {item.digest for item in rests_on}:
            rests_on.append(Reference(role=SIGNED_REPORT, digest=signed.digest))
        yield record, rests_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the newest report of a phase (or of a regression's date): the claim, and the report's record."""

    phase: str
    claim: Claim
    report: Record

    @property
    def name(self) -> str:
        """Its id, which is its own within the phase."""
        return self.claim.figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a tree, in depth-first order: a node in its role, `depth` steps from the root.

    `record` is None for an artefact, `figure` for all but a figure, whose `digest` is that of the report's record.
    `last` says that no sibling follows. A node whose own tree was given further up is `repeated`, and not opened again.
    `withdrawn` is the withdrawal that it is tainted by, None when it is sound.
    """

    digest: str
    role: str
    depth: int
    last: bool
    record: Record | None
    figure: Figure | None = None
    repeated: bool = False
    withdrawn: Record | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    """A record, an artefact as one record produced or used it, or a figure."""

    digest: str
    role: str
    record: Record | None
    producer: Record | None = None
    figure: Figure | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What tells nodes apart: equal bytes by two producers are two."""
        if self.figure:
            return self.digest, f"figure {self.figure.phase} {self.figure.name}"
        return self.digest, self.producer.digest if self.producer and self.record is None else ""


class Lineage:
    """The graph over `records` (all of a ledger's, oldest first), built in one pass.

    `reports`: the newest report of each phase by its name, as its record and its document, so that figures are in it.
    Where the records are a part of a ledger: `tainted` is what `withdrawals` says of the whole; `only` is the one
    figure whose sources are in the part. What a record or that figure rests on is then as in the whole ledger's graph,
    if the part holds all of it.
    """

    def __init__(
        self,
        records: Sequence[Record],
        reports: "Mapping[str, tuple[Record, Any]] | None" = None,
        tainted: Mapping[str, Record] | None = None,
        only: str | None = None,
    ) -> None:
        self._all = records
        self._records = {record.digest: record for record in records}
        self._produced: dict[str, Record] = {}
        self._sources: dict[str, list[tuple[Reference, Record | None]]] = {}
        self._users: dict[str, list[tuple[Reference, Record, Record | None]]] = {}
        self._reports = reports or {}
        self._only = only
        self._figures: dict[str, dict[str, Figure]] | None = None
        self._shown: dict[str, list[tuple[Figure, Record | None]]] = {}
        self._grounds: dict[tuple[str, str], Record | None] = {}
        made_by = {record.digest: phase for phase, (record, _) in self._reports.items()}
        for record, rests_on in resting(records):
            if record.digest in made_by:  # what its figures rest on was produced before it
                self._ground(made_by[record.digest])
            self._enter(record, rests_on)
        self._tainted = withdrawals(records) if tainted is None else tainted
        self._names = sorted(self._records.keys() | self._produced.keys() | self._users.keys())

    def _enter(self, record: Record, rests_on: Sequence[Reference]) -> None:
        known = [(item, self._records.get(item.digest) or self._produced.get(item.digest)) for item in rests_on]
        self._sources[record.digest] = known
        for item, source in known:
            self._users.setdefault(item.digest, []).append((item, record, source))
        self._produced.update((item.digest, record) for item in record.outputs)

    def _ground(self, phase: str) -> None:
        """Enters a report's figures, each with the productions of its evidence that were the newest then."""
        report, document = self._reports[phase]
        self._figures = self._figures or {}
        mine = self._figures[phase] = {}
        for claim in claims(document, self._only):
            mine[claim.figure] = figure = Figure(phase=phase, claim=claim, report=report)
            for name in claim.evidence:
                source = self._records.get(name) or self._produced.get(name)
                self._grounds[phase, name] = source
                self._shown.setdefault(name, []).append((figure, source))

    def figures(self, name: str, phase: str | None = None) -> list[Figure]:
        """The figures of that id: of one phase, or of every phase that has one."""
        known = self._figures or {}
        return [mine[name] for key, mine in known.items() if name in mine and phase in (None, key)]

    def find(self, name: str, phase: str | None = None) -> list[Figure | str]:
        """What `name` means: figures by their id; a record by its sequence, or by its digest; a test run by its id; an
        artefact by its digest. Of a digest, its beginning will do (8 characters or more).

        Raises UsageError when it is none, or the beginning of several digests.
        """
        if found := self.figures(name, phase):
            return list(found)
        ran = [record for record in self._all if record.parameters.get("run") == name and record.stage == "execute"]
        ran = ran or [each for each in self._all if each.kind is Kind.RECEIVED and each.parameters.get("run") == name]
        if ran:
            return [ran[-1].digest]
        if name.isascii() and name.isdigit() and len(name) < SHORTEST:
            if 0 < int(name) <= len(self._all):
                return [self._all[int(name) - 1].digest]
            raise UsageError(f"there is no record {name}: this ledger has {len(self._all)}, counted from 1")
        return list(self._by_digest(name))

    def resolve(self, name: str, report: Any = None) -> list[str]:
        """The digests that `name` means: a digest, the beginning of one (8 characters or more), or the id of a figure
        in the document `report`, which means that figure's evidence. Raises UsageError when it is none, or several.
        """
        for figure in figures(report):
            if figure["figure"] == name:
                return [item for item in figure.get("evidence", []) if is_digest(item)]
        return self._by_digest(name)

    def _by_digest(self, name: str) -> list[str]:
        if len(name) < SHORTEST:
            raise UsageError(
                f"{name!r} is no figure, and too short for a digest: give {SHORTEST} characters or more",
                remedy=self._nearest(name),
            )
        start = bisect_left(self._names, name)
        found = [item for item in self._names[start : start + 2] if item.startswith(name)]
        if len(found) == 1:
            return found
        problem = "more than one digest in this ledger begins so" if found else "no digest in this ledger begins so"
        raise UsageError(f"{name!r}: {problem}, and no figure of the report has that name", remedy=self._nearest(name))

    def _nearest(self, name: str) -> str:
        known = {each for mine in (self._figures or {}).values() for each in mine}
        kin = {each for each in known if each.partition("/")[0] == name.partition("/")[0]}  # so many can be compared
        hint = did_you_mean(name, sorted(kin or known))
        return f"D{hint[1:]}" if hint.startswith("did you mean") else ""

    def up(self, subject: Figure | str) -> list[Step]:
        """What a figure, or what has this (whole) digest, rests on: a tree to declarations, executions, submissions."""
        if isinstance(subject, Figure):
            return self._tree(_Node(subject.report.digest, "", None, figure=subject), self._rests_on)
        node = _Node(subject, "", self._records.get(subject), self._produced.get(subject))
        return self._tree(node, self._rests_on)

    def down(self, subject: Figure | str) -> list[Step]:
        """What rests on what has this (whole) digest, as a tree from it to figures, reports and signatures.

        Of a figure: the report that claims it, and what rests on that.
        """
        if isinstance(subject, Figure):
            return self._tree(_Node(subject.report.digest, "", None, figure=subject), self._carries)
        return self._tree(_Node(subject, "", self._records.get(subject)), self._carries)

    def _rests_on(self, node: _Node) -> list[_Node]:
        if node.figure:
            phase = node.figure.phase
            return [
                _Node(name, "evidence", self._records.get(name), self._grounds[phase, name])
                for name in node.figure.claim.evidence
            ]
        if node.record is None:
            return [] if node.producer is None else [_Node(node.producer.digest, "", node.producer)]
        return [
            _Node(item.digest, item.role, self._records.get(item.digest), source)
            for item, source in self._sources[node.record.digest]
        ]

    def _carries(self, node: _Node) -> list[_Node]:
        """Of a record: who names it, and its outputs; of an artefact: who used it (as that producer made it).

        Figures stand last; the report that claims one is opened under a figure only where that is the root.
        """
        if node.figure:
            return [_Node(node.digest, "claimed", node.figure.report)] if not node.role else []
        users = [
            _Node(user.digest, item.role, user)
            for item, user, source in self._users.get(node.digest, [])
            if node.producer is None or source is node.producer
        ]
        shown = [
            _Node(figure.report.digest, "figure", None, figure=figure)
            for figure, source in self._shown.get(node.digest, [])
            if node.producer is None or source is node.producer
        ]
        outputs = [] if node.record is None else node.record.outputs
        return [*users, *(_Node(item.digest, item.role, None, node.record) for item in outputs), *shown]

    def _tree(self, root: _Node, children: Callable[[_Node], list[_Node]]) -> list[Step]:
        steps: list[Step] = []
        opened: set[tuple[str, str]] = set()
        pending = [(root, 0, True)]
        while pending:
            node, depth, last = pending.pop()
            below = children(node)
            repeated = node.place in opened and bool(below)
            steps.append(self._step(node, depth, last=last, repeated=repeated))
            if node.place not in opened:
                opened.add(node.place)
                pending.extend((child, depth + 1, child is below[-1]) for child in reversed(below))
        return steps

    def _step(self, node: _Node, depth: int, *, last: bool, repeated: bool) -> Step:
        names = node.figure.claim.evidence if node.figure else (node.digest,)
        return Step(
            digest=node.digest,
            role=node.role,
            depth=depth,
            last=last,
            record=node.record,
            figure=node.figure,
            repeated=repeated,
            withdrawn=next((self._tainted[name] for name in names if name in self._tainted), None),
        )


def as_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The tree as `lineage --json` gives it: a flat list in depth-first order, since JSON readers limit nesting."""
    return [_step_json(step) for step in steps]


def _step_json(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"depth": step.depth, "digest": step.digest, "repeated": step.repeated}
    if step.role:
        found["role"] = step.role
    if step.figure:
        found |= {"phase": step.figure.phase, **step.figure.claim.as_json()}
    if step.record:
        record = step.record
        found |= {"sequence": record.sequence, "kind": str(record.kind), "stage": record.stage, "time": record.time}
    if step.withdrawn:
        by = step.withdrawn
        found["withdrawn"] = {"record": by.sequence, "actor": by.actor.name, "reason": by.parameters.get("reason")}
    return found


def render(steps: Sequence[Step]) -> Iterator[str]:
    """The tree as lines of text, drawn with box characters. Of many figures under one node the first are shown."""
    margins = {0: ""}
    figures_here, left = 0, 0
    for step in steps:
        margin = margins[step.depth]
        figures_here = figures_here + 1 if step.figure and step.depth else 0
        if figures_here > _MOST_FIGURES:
            left += 1
            if step.last:
                yield f"{margin}└─ … and {left} more figures (--json lists them all)"
                left = 0
            continue
        branch = ("└─ " if step.last else "├─ ") if step.depth else ""
        yield margin + branch + _describe(step)
        deeper = margin + ("   " if step.last else "│  ") if step.depth else ""
        margins[step.depth + 1] = deeper if len(deeper) <= _WIDEST else "⋯" + deeper[4:]


def _describe(step: Step) -> str:
    if step.figure:
        claim = step.figure.claim
        said = f"  {claim.verdict}" if claim.verdict else ""
        told = f"figure  {claim.figure} = {claim.text}{said}  in the report of {step.figure.phase}"
        return told + _soundness(step)
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
