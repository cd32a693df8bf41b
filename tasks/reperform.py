"""Computes the pure stages of a ledger again, from what is recorded, and compares: nobody's word is taken.

Declarations come from the files that the ledger holds, never from a catalogue of today. Each stage is performed as it
was in the first place (`tasks.perform`, `tasks.conclude`), on the ledger as it was then. Nothing is written but into a
scratch folder, and no network is used.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from catalog import rules
from catalog.bundle import said_in
from catalog.decisions import decisions, is_machines
from catalog.declarations import Programme
from catalog.errors import EvidenceError, PlimsollError, UsageError
from catalog.extensions import other
from catalog.ledger import Kind, Record
from catalog.reach import reach
from catalog.reading import read_catalogue
from catalog.runs import test_runs
from catalog.signing import statement_of
from catalog.store import disk
from catalog.workspace import HISTORY, Workspace
from tasks.compare_outputs import OutputDiffers, compare_output
from tasks.conclude import (
    comparison,
    decide_tests,
    endings,
    facts_of,
    gather,
    observations_of,
    plan_outputs,
    plan_versions,
    report_outputs,
    tally,
)
from tasks.declare import declared_outputs
from tasks.history import history
from tasks.issues import raising, refuted
from tasks.libraries import other_versions
from tasks.perform import Material, Outputs, perform
from tasks.plan import Decided
from tasks.scratch import scratch
from tasks.stage import document

if TYPE_CHECKING:
    from tasks.judge import Judge

ISSUE = "issue"
"""Testing issues that were raised from observations, whose records are of the stage that records what people say."""

STAGES = (
    "declare",
    "volumes",
    "volume-model",
    "plan",
    "arrivals",
    "rely",
    "measure",
    "observe",
    "incident",
    ISSUE,
    "compose",
    "report",
    HISTORY,
)
"""The pure stages, in the order of the pipeline."""

_PERFORMED = frozenset({"volumes", "volume-model", "arrivals", "measure", "observe", "incident", "compose", HISTORY})
_KINDS = frozenset({Kind.DECLARED, Kind.DERIVED, Kind.RELIED, Kind.OBSERVED, Kind.INCIDENT, Kind.ISSUE, Kind.REPORTED})
_COUNTS = ("verdicts", "ends", "repeatable")
_FILE = "file:"


class Result(StrEnum):
    """What computing a stage again came to."""

    SAME = "the same"
    SAME_VALUES = "the same values"
    DIFFERS = "differs"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reperformed:
    """One record's stage, computed again. `why`: why it is not comparable, or what other libraries may have changed."""

    stage: str
    record: Record
    result: Result
    differs: tuple[OutputDiffers, ...] = ()
    why: str = ""

    @property
    def same(self) -> bool:
        """Whether it came to the same, byte for byte or, by other libraries, value for value."""
        return self.result in (Result.SAME, Result.SAME_VALUES)

    def as_json(self) -> dict[str, Any]:
        """As `reperform --json` gives it."""
        return {
            "stage": self.stage,
            "record": self.record.sequence,
            "digest": self.record.digest,
            "outputs": len(self.record.outputs),
            "same": self.same,
            "result": self.result.value,
            "differs": [each.as_json() for each in self.differs],
            "why": self.why,
        }


class NotComparableError(Exception):
    """The record was made by other rules, or does not say all that its stage depended on."""


def pure_records(workspace: Workspace, only: Sequence[str] = (), sequences: Sequence[int] = ()) -> list[Record]:
    """The records of pure stages, oldest first: of a bundle, those that its phase reaches.

    `only` those of these stages, and `sequences`: only these records, where any are named. Raises UsageError for a
    record that is none of them.
    """
    found = _pure_records(workspace, only)
    known = {record.sequence for record in found}
    if other := next((each for each in sequences if each not in known), None):
        said = "in this ledger, of a pure stage" + (" that was asked for" if only else "")
        raise UsageError(f"there is no record {other} {said}", remedy="`plimsoll lineage RECORD` says what it is.")
    return [record for record in found if not sequences or record.sequence in sequences]


def _pure_records(workspace: Workspace, only: Sequence[str]) -> list[Record]:
    records, wanted, said = workspace.ledger.records(), set(only) or set(STAGES), said_in(workspace.home)
    reached = reach(records, said["phase"]).records if said else {each.digest for each in records}
    return [each for each in records if each.kind in _KINDS and _stage_of(each) in wanted and each.digest in reached]


def _stage_of(record: Record) -> str:
    """The pure stage that a record is of; what people signed is of none."""
    return ISSUE if is_machines(record) else record.stage


def sampled(records: Sequence[Record], share: float, seed: int) -> list[Record]:
    """A random share of the records, at least one of each stage, in their order; the same from the same seed."""
    chance = random.Random(seed)  # noqa: S311 - whoever draws may choose the seed
    drawn: set[int] = set()
    for stage in STAGES:
        mine = [record.sequence for record in records if _stage_of(record) == stage]
        drawn.update(chance.sample(mine, min(len(mine), max(1, round(share * len(mine))))))
    return [record for record in records if record.sequence in drawn]


def reperform(
    workspace: Workspace, records: Sequence[Record], *, judge: "Callable[[], Judge]"
) -> Iterator[Reperformed]:
    """Each record's stage computed again, one after the other. `judge`: gives the judge, if any needs it."""
    again = _Again(workspace, judge)
    for record in records:
        with scratch() as folder:
            yield again.compare(record, Path(folder))


@dataclass(slots=True)
class _Again:
    """What has been read so far, so that nothing is read or planned twice."""

    workspace: Workspace
    judge: "Callable[[], Judge]"
    _programmes: dict[str, Programme] = field(default_factory=dict)
    _decided: dict[str, list[Decided]] = field(default_factory=dict)
    _materials: dict[str, Material] = field(default_factory=dict)

    def compare(self, record: Record, folder: Path) -> Reperformed:
        """One record's stage, computed again and compared."""
        try:
            if is_machines(record):
                return self._issue(record)
            key = self._key(record)
            computed = self._compute(record, key, folder)
        except NotComparableError as error:
            return Reperformed(stage=_stage_of(record), record=record, result=Result.NOT_COMPARABLE, why=str(error))
        except (PlimsollError, KeyError, ValueError) as error:
            told = f"could not be computed again: {type(error).__name__}: {error}"
            differs = (OutputDiffers(output="", what=(told,), excused=False),)
            return Reperformed(stage=_stage_of(record), record=record, result=Result.DIFFERS, differs=differs)
        return self._held(record, computed)

    def _held(self, record: Record, computed: Outputs) -> Reperformed:
        others = other_versions(record.parameters.get("libraries"))
        counts = _COUNTED in computed
        found = [
            compare_output(each, computed[each.role], self.workspace.store, others=others)
            if each.role in computed
            else OutputDiffers(output=each.role, what=("is put out no more",), excused=False)
            for each in record.outputs
        ]
        differs = [each for each in found if each is not None]
        recorded = {each.role for each in record.outputs}
        differs += [
            OutputDiffers(output=role, what=("was not put out then",), excused=False)
            for role in computed
            if role not in recorded and role != _COUNTED
        ]
        if counts and computed[_COUNTED] != document({name: record.parameters.get(name) for name in _COUNTS}):
            differs.append(
                OutputDiffers(output="", what=("its counts of verdicts and ends are others",), excused=False)
            )
        excused = all(each.excused for each in differs)
        result = Result.SAME if not differs else Result.SAME_VALUES if excused else Result.DIFFERS
        why = f"libraries: {', '.join(others)}" if differs and others else ""
        return Reperformed(stage=record.stage, record=record, result=result, differs=tuple(differs), why=why)

    def _key(self, record: Record) -> dict[str, Any]:
        """The key document of a record, once it is certain that this code can follow it."""
        if record.key is None:
            raise NotComparableError("its record does not say what it depended on")
        key: dict[str, Any] = self.workspace.store.document(record.key)
        _refuse_other_rules(record, key)
        if record.stage == "report":
            return key
        named = {role: each["digest"] for role, each in key["inputs"].items() if _is_named(each)}
        if named != {item.role: item.digest for item in record.inputs}:
            raise EvidenceError("its record names other inputs than its key")
        return key

    def _compute(self, record: Record, key: Mapping[str, Any], folder: Path) -> Outputs:
        if record.stage in _PERFORMED:
            return perform(key, self._material(self._declared_for(record)), folder)
        if record.stage == "declare":
            return self._declare(record, folder)
        if record.stage == "plan":
            return plan_outputs(self._plan(record))
        return self._rely(record, key) if record.stage == "rely" else self._report(record)

    def _declare(self, record: Record, folder: Path) -> Outputs:
        """The programme read anew from the files that were recorded."""
        for item in record.outputs:
            if item.role.startswith(_FILE):
                path = folder / _inside(item.role.removeprefix(_FILE))
                with disk(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(self.workspace.store.get(item.digest))
        return declared_outputs(read_catalogue(folder), folder)

    def _material(self, programme: str) -> Material:
        if programme not in self._materials:
            read = Programme.model_validate(self.workspace.store.document(programme))
            self._materials[programme] = Material(workspace=self.workspace, programme=read, judge=self.judge)
        return self._materials[programme]

    def _declared_for(self, record: Record) -> str:
        """The digest of the programme that held for a record: the newest before it, with the volume inputs it names."""
        wanted = next((item.digest for item in record.inputs if item.role == "volume inputs"), None)
        if wanted is None and (
            volumes := next((item.digest for item in record.inputs if item.role == "volumes"), None)
        ):
            made = self._newest(record, lambda each: each.kind is Kind.DERIVED and each.output("volumes") == volumes)
            wanted = next((item.digest for item in made.inputs if item.role == "volume inputs"), None)
        declared = self._newest(
            record,
            lambda each: each.kind is Kind.DECLARED and (wanted is None or each.output("volume inputs") == wanted),
        )
        return declared.output("programme") or ""

    def _newest(self, before: Record, wanted: Callable[[Record], bool]) -> Record:
        for record in reversed(self.workspace.ledger.records()[: before.sequence - 1]):
            if wanted(record):
                return record
        raise EvidenceError(f"nothing before {before} was recorded that it could have been computed from")

    def _plan(self, record: Record) -> list[Decided]:
        """What was decided of each test, by the ledger as it was when the plan was made."""
        if record.digest not in self._decided:
            key = self._key(record)
            _refuse_other_extensions(record)
            inputs, sequence = key["inputs"], key["inputs"]["ledger"]["sequence"]
            then = self.workspace.until(sequence)
            head = then.ledger.head()
            if sequence != record.sequence - 1 or head is None or head.digest != inputs["ledger"]["head"]:
                raise EvidenceError("it was made by another ledger than the one before it")
            material = self._material(inputs["programme"]["digest"])
            self._decided[record.digest] = decide_tests(key, material, then)
        return self._decided[record.digest]

    def _rely(self, record: Record, key: Mapping[str, Any]) -> Outputs:
        """The comparison made anew, as the plan before it makes it."""
        occasion, test = record.parameters["occasion"], key["inputs"]["test"]
        planned = self._newest(record, lambda each: each.stage == "plan" and each.parameters["occasion"] == occasion)
        decided = next((each for each in self._plan(planned) if each.planned.test == test), None)
        if decided is None or decided.stands is None:
            raise EvidenceError(f"the plan before it, {planned}, does not let {test} rest on anything")
        if decided.stands.record.digest != key["inputs"]["executed"]["digest"]:
            raise EvidenceError(f"the plan before it, {planned}, lets {test} rest on {decided.stands.run}")
        return {"comparison": document(comparison(decided))}

    def _issue(self, record: Record) -> Reperformed:
        """What the observations and the issues before it have raised, held against what it states."""
        if record.rules != rules.ISSUE:
            raise NotComparableError(f"rules {record.rules}, this is {rules.ISSUE}: not comparable")
        then, said = self.workspace.until(record.sequence - 1), statement_of(record)
        observed = self._newest(record, lambda each: each.digest == said["of"] and each.kind is Kind.OBSERVED)
        programme = self._material(self._declared_for(observed)).programme
        runs = {run.run: run for run in test_runs(then.ledger.records()) if run.occasion == said["phase"]}
        told = next(
            (
                each
                for each in refuted(programme, observations_of(observed, self.workspace), runs)
                if all(each[name] == said["details"][name] for name in ("test", "requirement", "run"))
            ),
            None,
        )
        known = decisions(then.ledger.records(), then.withdrawals())
        about = {"phase": said["phase"], "of": said["of"], "by": said["by"], "at": said["time"]}
        made = raising(told, known, **about) if told else None
        if made is None:
            what: tuple[str, ...] = ("nothing is raised from these observations, or it was raised before",)
        else:
            what = tuple(
                f"{name}: recorded {said.get(name)!r}, computed {value!r}"
                for name, value in made.as_json().items()
                if said.get(name) != value
            )
        differs = (OutputDiffers(output="statement", what=what, excused=False),) if what else ()
        result = Result.DIFFERS if differs else Result.SAME
        return Reperformed(stage=ISSUE, record=record, result=result, differs=differs)

    def _report(self, record: Record) -> Outputs:
        """The facts gathered anew by the ledger before the report, and the report assembled and rendered from them."""
        then = self.workspace.until(record.sequence - 1)
        inputs = {item.role: item.digest for item in record.inputs}
        planned = self._newest(record, lambda each: each.stage == "plan" and each.output("plan") == inputs["plan"])
        if "chosen" not in record.parameters:
            raise NotComparableError("its record does not say which tests the run was for")
        plan_inputs = self._key(planned)["inputs"]
        material, occasion = self._material(inputs["programme"]), record.parameters["occasion"]
        known = history(then, material.programme)
        ended = endings(self._plan(planned), known, occasion, set(record.parameters["chosen"]))
        evidence = gather(inputs, ended, known, material, then, occasion)
        facts = facts_of(
            evidence,
            material,
            then,
            phase=record.parameters["phase"],
            occasion=occasion,
            environment=plan_inputs["environment"],
        )
        counts = {_COUNTED: document(tally(evidence, known))}
        return {"facts": document(facts), **report_outputs(facts), **counts}


_COUNTED = "counts"
"""What a report's record has beside its outputs: the counts in its parameters."""


def _refuse_other_extensions(record: Record) -> None:
    """A plan names what is installed by its digest: where that is not installed here, nobody can tell the same."""
    then: dict[str, dict[str, str]] = record.parameters.get("extensions", {})
    others = [f"{_told(name, each)}; here {found}" for name, each in then.items() if (found := other(name, each))]
    if others:
        raise NotComparableError(f"{', '.join(others)}: not comparable")


def _told(name: str, identity: Mapping[str, str]) -> str:
    return f"{name} was {identity['distribution']} {identity['version']} ({identity['digest'][:16]})"


def _refuse_other_rules(record: Record, key: Mapping[str, Any]) -> None:
    if record.stage == "report":
        then, now = key["rules"], rules.versions()
        others = [
            f"{name} rules {then.get(name, 'none')}, this is {now[name]}" for name in now if then.get(name) != now[name]
        ]
        if others:
            raise NotComparableError(f"{', '.join(others)}: not comparable")
        return
    now_ = plan_versions() if record.stage == "plan" else rules.versions()[record.stage.replace("-", "_")]
    if key["rules"] != now_:
        raise NotComparableError(f"rules {key['rules']}, this is {now_}: not comparable")


def _is_named(value: object) -> bool:
    """Whether an input of a key is an artefact or record by digest, and not a plain value."""
    return isinstance(value, dict) and value.keys() == {"digest"}


def _inside(name: str) -> PurePosixPath:
    """The name of a catalogue's file. Raises EvidenceError for one that leads out of its folder."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise EvidenceError(f"a declared file has the name {name!r}, which leads out of the catalogue")
    return path
