"""Gathers what the completion report is made from: one plain document of facts, each with the digests behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.declarations import Environment, Programme
from catalog.ledger import Record
from catalog.runs import TestEnd, TestRun
from catalog.store import ObjectStore
from tasks.plan import Decided, Decision
from tasks.series import series
from tasks.volumes.model import Volume
from tasks.volumes.tables import a3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a planned test ended, why, and every run of it in this occasion; `stands` is the run that is judged.

    `withdrawn`: who withdrew that run's evidence, when and why; empty when nobody did.
    """

    decided: Decided
    end: TestEnd
    why: str
    stands: TestRun | None
    runs: tuple[TestRun, ...]
    withdrawn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a phase came to: how its tests ended, what was measured and observed, and the records of it.

    `volumes` maps each phase to the record of its volume model and its rows: the phase's own, and those that tests are
    planned at; `tabulated` is the record of its own tables. `measured` maps each standing run to the record of its
    measurements; `composed` is the record of latencies along whole paths; `verdicts` maps each finished run to its
    verdict under the requirements now in force, whether it stands or not; `withdrawn` who withdrew a run's evidence;
    `samples` every draw of relied tests that were executed all the same (`tasks.sampling.outcomes`). `impacts`: each
    test's impact analysis (`tasks.impact`); `then`: what the plan before the run that stands said of it. `earlier`: the
    observations of each phase before this one, by their digest and as rows.
    """

    declared: Record
    volumes: Mapping[str, tuple[Record, Sequence[Volume]]]
    tabulated: Record
    plan: Record
    ended: Sequence[Ended]
    measured: Mapping[str, Record]
    measurements: Sequence[Mapping[str, Any]]
    observed: Record
    composed: Record
    observations: Sequence[Mapping[str, Any]]
    verdicts: Mapping[str, str]
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    impacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    then: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    earlier: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]] = field(default_factory=dict)


def gather_facts(
    evidence: Evidence,
    *,
    store: ObjectStore,
    phase: str,
    occasion: str,
    environment: Environment,
    head: Record,
    decided: Mapping[str, Any],
) -> dict[str, Any]:
    """The facts of a phase, as `tasks.report` takes them: integers, strings and digests only.

    `decided`: what people decided, and incidents, as facts.
    """
    programme = store.document(_output(evidence.declared, "programme"))
    read = Programme.model_validate(programme)
    return {
        "programme": programme,
        "programme_digest": _output(evidence.declared, "programme"),
        "phase": phase,
        "occasion": occasion,
        "environment": environment.model_dump(mode="json"),
        "code": evidence.observed.code,
        "volumes": {
            "digests": {name: _output(record, "volumes") for name, (record, _) in evidence.volumes.items()},
            "rows": {name: a3(read, rows) for name, (_, rows) in evidence.volumes.items()},
            "model_digest": _output(evidence.tabulated, "volume model"),
            "model": store.document(_output(evidence.tabulated, "volume model")),
        },
        "plan": {
            "digest": _output(evidence.plan, "plan"),
            "tests": [each.decided.as_json() for each in evidence.ended],
        },
        "tests": [_test(each, evidence, store) for each in evidence.ended],
        "measurements": [dict(row) for row in evidence.measurements],
        "observations": {
            "digest": _output(evidence.observed, "observations"),
            "record": evidence.observed.digest,
            "rows": [dict(row) for row in evidence.observations],
            "suites": _output(evidence.observed, "suites"),
            "results": _output(evidence.observed, "validation results"),
        },
        "end_to_end": {
            "digest": _output(evidence.composed, "end to end"),
            "paths": store.document(_output(evidence.composed, "end to end")),
        },
        "series": {
            run.run: _series(run, store)
            for each in evidence.ended
            if (run := each.stands) and _has_results(run) and not each.withdrawn
        },
        "samples": [dict(each) for each in evidence.samples],
        "earlier": [
            {"phase": name, "digest": digest, "rows": _earlier(read, phase, name, rows, evidence.observations)}
            for name, (digest, rows) in evidence.earlier.items()
        ],
        **decided,
        "ledger": {"head": head.digest, "records": head.sequence},
    }


def _earlier(
    programme: Programme,
    phase: str,
    earlier: str,
    rows: Sequence[Mapping[str, Any]],
    observations: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Each observation of the earlier phase beside that of the same test here: of the same role and conduct.

    One that rests on the very run is left out: it is the same.
    """
    before, now = (_tests(programme, each) for each in (earlier, phase))
    known = {(before[row["test"]], row["requirement"], row["scope"]): row for row in rows if row["test"] in before}
    pairs = [
        (row, known[place])
        for row in observations
        if row["test"] in now and (place := (now[row["test"]], row["requirement"], row["scope"])) in known
    ]
    return [{"now": row["observation"], "then": dict(then)} for row, then in pairs if row["run"] != then["run"]]


def _tests(programme: Programme, phase: str) -> dict[str, tuple[str, str]]:
    """The tests that a phase may have by id: the role, or the component where several play it, and the conduct."""
    components = [programme.component(name) for name in programme.phase(phase).components]
    roles = [each.role for each in components]
    return {
        f"{phase}.{each.id}.{profile.id}": (each.role if roles.count(each.role) == 1 else each.id, profile.id)
        for each in components
        for profile in programme.tests.profiles
    }


def _test(ended: Ended, evidence: Evidence, store: ObjectStore) -> dict[str, Any]:
    relied = ended.end is TestEnd.RELIED and ended.stands is not None
    decided, test = ended.decided, ended.decided.planned.test
    found = decided.compared if decided.decision is not Decision.COMPLETE else ()  # a run that stands is its own equal
    impact = {name: each for name, each in evidence.impacts.get(test, {}).items() if name in _TOLD_OF_IMPACTS}
    return {
        **decided.as_json(),
        "end": ended.end.value,
        "why": ended.why,
        "compared": [
            {
                "input": each.input,
                "old": each.old,
                "new": each.new,
                "same": each.old == each.new,
                "allows": each.allows,
            }
            for each in found
        ],
        "impact": impact,
        "decided_then": evidence.then.get(test),
        "relied_on": _relied_on(ended.stands) if relied and ended.stands else None,
        "runs": [_run(run, ended, evidence, store) for run in ended.runs],
    }


_TOLD_OF_IMPACTS = frozenset(
    {"evidence", "roots", "by_themselves", "apart", "untraced", "traced", "affected", "conclusion"}
)
"""What facts hold of an impact analysis beside the inputs compared, which they hold once."""


def _relied_on(run: TestRun) -> dict[str, str]:
    return {"run": run.run, "phase": run.occasion, "record": run.record.digest}


def _run(run: TestRun, ended: Ended, evidence: Evidence, store: ObjectStore) -> dict[str, Any]:
    judged = ended.stands is not None and run.run == ended.stands.run
    verdict, reason = _verdict(run, evidence.observations)
    measured = evidence.measured.get(run.run)
    arrivals = [given for given in run.record.inputs if given.role == "arrivals"]
    digests = {item.role: item.digest for item in (*arrivals, *run.record.outputs)}
    return {
        "run": run.run,
        "record": run.record.digest,
        "state": run.state.value,
        "judged": judged,
        "verdict": verdict if judged else evidence.verdicts.get(run.run),
        "reason": reason if judged else evidence.withdrawn.get(run.run, ""),
        "again": run.why,
        "document": store.document(digests["run"]) if "run" in digests else None,
        "account": store.document(digests["account"]) if "account" in digests else None,
        "digests": {**digests, **({"measurements": _output(measured, "measurements")} if measured else {})},
    }


def _verdict(run: TestRun, observations: Sequence[Mapping[str, Any]]) -> tuple[str | None, str]:
    """The worst of a run's observations, and its reason."""
    mine = [row for row in observations if row["run"] == run.run]
    for worst in ("not proved", "inconclusive", "proved"):
        found = [row for row in mine if row["verdict"] == worst]
        if found:
            return worst, "" if worst == "proved" else str(found[0]["reason"])
    return None, ""


def _has_results(run: TestRun) -> bool:
    return run.record.output("results") is not None


def _series(run: TestRun, store: ObjectStore) -> dict[str, Any]:
    results, infrastructure = _output(run.record, "results"), _output(run.record, "infrastructure")
    found = series(store.document(_output(run.record, "run")), store.path(results), store.path(infrastructure))
    return {**found, "digest": [results, infrastructure]}


def _output(record: Record, role: str) -> str:
    digest = record.output(role)
    if digest is None:
        raise KeyError(f"{record} has no output {role!r}")
    return digest
