"""Assembles the completion report as one document: every figure with its evidence, every planned test accounted for.

Pure: no clock, no file, no order but that of the facts. The same facts give the same bytes.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.report import approvals, declared, sections, summary, testing, volumes
from tasks.report.behaviour import behaviour, by_component
from tasks.report.context import Context
from tasks.report.earlier import earlier
from tasks.report.end_to_end import end_to_end
from tasks.report.people import recorded
from tasks.report.reliance import reliance


def assemble_report(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a phase. `facts` are what the stages recorded, as plain JSON without floats.

    Every number stands in a figure: `{"figure": id, "value", "unit", "text", "evidence": [digest, …]}`, with `lower`,
    `upper`, `interval`, `samples`, `method` and `standing` where known; a figure drawn as a chart also has `columns`
    and `rows`. Outside figures there are texts only. Sentences whose numbers are figures are lists of both in turn.
    Raises ValueError when a figure would rest on nothing, or on a digest that no fact names.
    """
    context = Context.of(facts)
    report = {
        "report": "System capacity test completion report",
        "identity": summary.identity(context),
        "stamp": summary.stamp(context),
        "outcome": summary.outcome(context),
        "heat_map": summary.heat_map(context),
        "components": summary.components(context),
        "exit_criteria": declared.exit_criteria(context),
        "plans": sections.plans(context),
        "tests": testing.tests(context),
        "conduct": declared.conduct(context),
        "deviations": testing.deviations(context),
        "observations": testing.observations(context),
        "traceability": sections.traceability(context),
        "end_to_end": end_to_end(context),
        "by_component": by_component(context),
        "behaviour": behaviour(context),
        "earlier": earlier(context),
        "infrastructure": sections.infrastructure(context),
        "environment": sections.environment(context),
        "volumes": volumes.volume_model(context),
        "volumes_tested": sections.volumes_tested(context),
        "assumptions": declared.assumption_register(context),
        "forecasts": volumes.forecasts(context),
        "migration_plans": volumes.migration_plans(context),
        "requirements": declared.requirements(context),
        "scope": declared.scope(context),
        "reliance": reliance(context),
        "recorded": recorded(context),
        "glossary": sections.glossary(context),
    }
    return {**report, "evidence": _evidence(context)}


def _evidence(context: Context) -> list[dict[str, Any]]:
    """The index of evidence: every digest of the facts, and what it is."""
    named: dict[str, list[str]] = defaultdict(list)
    for what, digest in (*_artefacts(context.facts), *approvals.evidence(context)):
        if digest and what not in named[digest]:
            named[digest].append(what)
    named.pop("", None)
    if unknown := context.figures.evidence() - named.keys():
        raise ValueError(f"figures rest on digests that no fact names: {', '.join(sorted(unknown))}")
    return [{"digest": digest, "what": what} for digest, what in named.items() if what]


def _artefacts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "the programme as declared", facts["programme_digest"]
    for phase, digest in facts["volumes"]["digests"].items():
        yield f"the volume model of {phase}", digest
    yield "the tables of the volume model", facts["volumes"]["model_digest"]
    yield "the plan", facts["plan"]["digest"]
    observed = facts["observations"]
    yield "the observations", observed["digest"]
    yield "the record of the observations", observed.get("record", "")
    yield "the suites that judged", observed.get("suites", "")
    yield "what the suites found", observed.get("results", "")
    yield "latencies composed along the message paths", facts["end_to_end"]["digest"]
    yield "the newest record of the ledger", facts["ledger"]["head"]
    for each in facts.get("earlier", ()):
        yield f"the observations of {each['phase']}", each["digest"]
    for test in facts["tests"]:
        for run in test["runs"]:
            yield f"the record of {run['run']}", run["record"]
            for role, digest in sorted(run["digests"].items()):
                yield f"{role} of {run['run']}", digest
        if test["relied_on"]:
            yield f"the record of {test['relied_on']['run']}, relied on", test["relied_on"]["record"]
    for draw in facts["samples"]:
        yield "the draw of tests that may be relied on", draw["record"]
    for row in facts["measurements"]:
        yield f"measurements of {row['run']}", row["digest"]
    for run, series in facts["series"].items():
        for digest in series["digest"]:
            yield f"series of {run}", digest
