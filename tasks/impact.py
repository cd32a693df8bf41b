"""The impact analysis of a decision: what was compared, what changed at the root, what that affects, the conclusion.

What differs between two keys is often propagated: an assumption changes, and a hundred target volumes with it. So each
part of the declarations that differs from what was declared when the evidence was made is undone by itself, and the
tests are planned again: the inputs that are otherwise then are what that change propagates to. A change that touches no
input of a test is told apart too: it changed, and was not compared.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from catalog.canonical import document_digest
from catalog.declarations import Programme
from catalog.errors import PlimsollError
from catalog.keys import Difference, differences
from catalog.ledger import Kind
from catalog.runs import TestRun
from catalog.workspace import Workspace
from expectations.reliance import HELD, VERDICT, VOLUMES, members, not_compared
from tasks.declare import programme_document, volume_inputs
from tasks.labels import parted
from tasks.plan import Decided, Decision, PlannedTest, phases_needed, plan_tests
from tasks.volumes.model import Volume, model_volumes

MOST_PARTS = 48
"""More parts that changed than this are undone by whole lists and tables, so that an answer does not take minutes."""

_FILES = ("programme", "system", "scope", "volumes", "tests")
_CELLS = f"{VOLUMES}.messages."
_REQUIREMENTS = "requirements"

Document = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A part of the declarations that differs: its path, such as `assumptions[ordering-share]`, and how.

    `touches`: the inputs that are as they are because of it, by test; None where the declarations do not hold, or
    nothing can be planned by them, without it.
    """

    part: str
    old: Any
    new: Any
    differences: tuple[Difference, ...]
    touches: Mapping[str, frozenset[str]] | None

    def inputs(self, test: str) -> frozenset[str]:
        """The inputs of a test that it propagates to."""
        return (self.touches or {}).get(test, frozenset())

    def as_json(self, test: str, changed: Sequence[str]) -> dict[str, Any]:
        """The change as the root of what changed of a test."""
        return {
            "declared": self.part,
            "differences": [each.as_json() for each in self.differences],
            "old_digest": None if self.old is None else document_digest(self.old),
            "new_digest": None if self.new is None else document_digest(self.new),
            "propagates": [name for name in changed if _covered(name, self.inputs(test))],
        }


@dataclass(slots=True, kw_only=True)
class Tracer:
    """Traces what changed since evidence was made to what was declared; nothing is traced twice.

    `planned`: every test that the phase plans now, by `programme`, in `environment`; `volumes`: its models' rows.
    """

    workspace: Workspace
    programme: Programme
    environment: str
    planned: Sequence[PlannedTest]
    volumes: Mapping[str, list[Volume]]
    _known: dict[str, tuple[Change, ...] | None] = field(default_factory=dict)

    def since(self, run: TestRun) -> tuple[Change, ...] | None:
        """What changed in the declarations since a run was recorded; None where those are not known any more."""
        declared = self._declared(run)
        if declared is None:
            return None
        if declared not in self._known:
            self._known[declared] = self._trace(declared)
        return self._known[declared]

    def _declared(self, run: TestRun) -> str | None:
        records = self.workspace.ledger.records()
        before = (each for each in reversed(records[: run.record.sequence - 1]) if each.kind is Kind.DECLARED)
        found = next(before, None)
        return found.output("programme") if found else None

    def _trace(self, declared: str) -> tuple[Change, ...] | None:
        store = self.workspace.store
        if not store.intact(declared):
            return None
        old, new = store.document(declared), programme_document(self.programme)
        return tuple(self._changes(old, new))

    def _changes(self, old: Document, new: Document) -> Iterator[Change]:
        parts = list(_parts(old, new, whole=False))
        if len(parts) > MOST_PARTS:
            parts = list(_parts(old, new, whole=True))
        keys = {each.test: _inputs(each) for each in self.planned}
        inputs = volume_inputs(new)
        for part in parts:
            was, now = _at(old, part), _at(new, part)
            name = _named(part)
            found = tuple(replace(each, input=f"{name}{_below(each.input)}") for each in differences(was, now))
            touches = None if part[0] != _REQUIREMENTS else self._judged(was, now)
            if touches is None:
                touches = self._undone(_with(new, part, was), inputs, keys)
            yield Change(part=name, old=was, new=now, differences=found, touches=touches)

    def _judged(self, was: Any, now: Any) -> dict[str, frozenset[str]]:
        """A requirement is compared with nothing: it decides whether the evidence is proved now."""
        each = now or was
        named = [each["id"]] if isinstance(each, dict) else [row["id"] for row in each]
        told = frozenset({VERDICT, *(f"requirement {name}" for name in named)})
        return dict.fromkeys((planned.test for planned in self.planned), told)

    def _undone(
        self, document: Document, inputs: Document, keys: Mapping[str, Mapping[str, str]]
    ) -> dict[str, frozenset[str]] | None:
        """The inputs of each test that would be otherwise, were things declared as in `document`."""
        try:
            programme = Programme.model_validate(document)
            phase = self.planned[0].phase if self.planned else ""
            volumes: Mapping[str, list[Volume]] = self.volumes
            if volume_inputs(programme_document(programme)) != inputs:
                volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, phase)}
            environment = programme.environment(self.environment)
            occasion = self.planned[0].occasion if self.planned else phase
            before = {
                each.test: _inputs(each)
                for each in plan_tests(programme, phase, environment, dict(volumes), occasion=occasion)
            }
        except (PlimsollError, ValueError, KeyError, ArithmeticError):
            return None
        return {
            test: frozenset(
                name for name in now.keys() | before[test].keys() if now.get(name) != before[test].get(name)
            )
            for test, now in keys.items()
            if test in before
        }


def _inputs(planned: PlannedTest) -> dict[str, str]:
    """The inputs of a test's key by the names that the rule compares them under, each as a digest."""
    return {name: document_digest(value) for name, value in _leaves("", members(planned.key))}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, each)
    else:
        yield path.replace(_CELLS, f"{VOLUMES}."), value


def _parts(old: Document, new: Document, *, whole: bool) -> Iterator[Path]:
    """The parts that differ: entries by id, tables and members of a file as a whole; with `whole`, lists as a whole."""
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if name in _FILES and isinstance(was, dict) and isinstance(now, dict):
            for member in sorted(was.keys() | now.keys()):
                yield from _entries((name, member), was.get(member), now.get(member), whole=whole)
        else:
            yield from _entries((name,), was, now, whole=whole)


def _entries(path: Path, was: Any, now: Any, *, whole: bool) -> Iterator[Path]:
    if was == now:
        return
    ids = [_ids(each) for each in (was, now)]
    if whole or ids[0] is None or ids[1] is None:
        yield path
        return
    differing = [
        (*path, name) for name in sorted(ids[0].keys() | ids[1].keys()) if ids[0].get(name) != ids[1].get(name)
    ]
    yield from differing or [path]  # the same entries in another order


def _ids(entries: Any) -> dict[str, Any] | None:
    """The entries of a list by their ids; None unless each has one of its own."""
    if not isinstance(entries, list) or not all(isinstance(each, dict) and "id" in each for each in entries):
        return None
    found = {each["id"]: each for each in entries}
    return found if len(found) == len(entries) else None


def _at(document: Document, part: Path) -> Any:
    """What stands at a part; None where nothing does."""
    value: Any = document
    for step in part:
        value = (_ids(value) or {}).get(step) if isinstance(value, list) else (value or {}).get(step)
    return value


def _with(document: Document, part: Path, value: Any) -> Document:
    """The document with that part as it was: an entry put back, replaced or taken away."""
    first, *rest = part
    inside = document.get(first)
    if not rest:
        kept = {name: each for name, each in document.items() if name != first}
        return kept if value is None else {**document, first: value}
    if isinstance(inside, list):
        others = [each for each in inside if each["id"] != rest[0]]
        if value is None:
            return {**document, first: others}
        places = [place for place, each in enumerate(inside) if each["id"] == rest[0]]
        others.insert(places[0] if places else len(others), value)
        return {**document, first: others}
    return {**document, first: _with(inside or {}, tuple(rest), value)}


def _named(part: Path) -> str:
    """A part as people write it: `system.components[orders]`."""
    file, *rest = part
    if file in _FILES:
        return ".".join([file, *rest[:1]]) + "".join(f"[{each}]" for each in rest[1:])
    return file + "".join(f"[{each}]" for each in rest)


def _below(path: str) -> str:
    return path if not path or path.startswith(("[", " ")) else f".{path}"


def _covered(name: str, inputs: Collection[str]) -> bool:
    """Whether an input is one of `inputs`, or holds or is held by one of them."""
    return any(
        name == each or name.startswith((f"{each}.", f"{each}[")) or each.startswith((f"{name}.", f"{name}["))
        for each in inputs
    )


def impact(decided: Decided, programme: Programme, others: Sequence[Decided], tracer: Tracer | None) -> dict[str, Any]:
    """A decision as a small impact analysis report.

    `compared`: every input, old and new, each with its digest; `roots`: what changed in the declarations, with the
    inputs that it propagates to, and inputs that changed by themselves; `apart`: what changed in the declarations and
    touches nothing that was compared; `affected`: what rests on the answer, and which other tests of the phase
    (`others`) the roots touch; `conclusion`. `tracer` None: roots are not looked for.
    """
    compared = [each.as_json() for each in decided.compared]
    differing = [
        each.input for each in decided.compared if each.old != each.new and not (each.allows and each.input in HELD)
    ]
    run, test = decided.against, decided.planned.test
    changes = tracer.since(run) if tracer and run else None
    roots = [each for each in changes or () if any(_covered(name, each.inputs(test)) for name in differing)]
    traced = [name for each in roots for name in each.inputs(test)]
    rule = programme.programme.reliance
    return {
        "test": test,
        "decision": decided.decision.value,
        "evidence": {"run": run.run, "occasion": run.occasion, "record": run.record.digest} if run else None,
        "compared": compared,
        "roots": [each.as_json(test, differing) for each in roots],
        "by_themselves": [name for name in differing if not _covered(name, traced)],
        "apart": [each.part for each in changes or () if each not in roots and each.touches is not None],
        "untraced": [each.part for each in changes or () if each.touches is None],
        "traced": changes is not None,
        "affected": {
            "component": decided.planned.component.id,
            "paths": sorted({parted(label)[0] for label in decided.planned.key["inputs"][VOLUMES]["messages"]}),
            "requirements": [
                each.id
                for each in programme.requirements
                if decided.planned.component.role in each.scope.roles
                and decided.planned.profile.type in each.scope.types
            ],
            "tests": [
                each.planned.test
                for each in others
                if each.planned.test != test and any(root.inputs(each.planned.test) for root in roots)
            ],
        },
        "conclusion": _conclusion(decided),
        "not_compared": [{"what": what, "why": why} for what, why in not_compared(rule)],
    }


_CONCLUSIONS = {
    Decision.RELY: "relied on",
    Decision.EXECUTE: "to be executed",
    Decision.COMPLETE: "complete",
    Decision.BLOCKED: "blocked",
}


def _conclusion(decided: Decided) -> str:
    """How the decision is told at the end of its report."""
    told = f"{_CONCLUSIONS[decided.decision]}: {decided.why}"
    answer = decided.answer
    if decided.decision is not Decision.EXECUTE or answer is None:
        return told
    if answer.candidate is None:
        (only,) = answer.compared
        return f"{told}; {only.input}: {only.new if only.old is None else only.old}"
    if answer.relies:
        return told
    count, all_ = len(answer.in_the_way), len(answer.compared)
    return f"{told}; {count} of {all_} inputs compared are in the way of resting on run {answer.candidate.run}"
