"""The report's opening: what it is about, the rehearsal stamp, the outcome in plain sentences, and each component."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from catalog.decimals import decimal_text
from catalog.declarations import ApproachDocument, EnvironmentKind, Matter, Standing, TestType
from expectations.exit_criteria import exclusions_in_force, numbers_in_use
from expectations.governance import approach_document, decided_on
from expectations.people_criteria import told
from tasks.report.context import Context, Row, standing_run
from tasks.report.declared import A_PART
from tasks.report.figures import Figure, Parts
from tasks.report.testing import TARGET, worst

_ISO_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_ENDS = {
    "executed": "executed",
    "relied": "resting on earlier evidence",
    "received": "received from a service provider",
    "waived": "waived",
    "blocked": "blocked",
    "failed": "failed",
    "not run": "not run",
}


def identity(context: Context) -> dict[str, Any]:
    """Programme, phase, approach document, environment, and the records that the report stands on."""
    programme, facts = context.programme.programme, context.facts
    document, environment = programme.approach_document, context.environment
    return {
        "programme": {name: getattr(programme, name) for name in ("programme", "title", "operator", "summary")},
        "phase": {"id": context.phase.id, "title": context.phase.title, "components": list(context.phase.components)},
        "occasion": facts["occasion"],
        "approach_document": {
            **{name: str(getattr(document, name)) for name in ("title", "version", "date", "standing", "source")},
            **_approval(context, document),
        },
        "environment": {
            **{name: str(getattr(environment, name)) for name in ("id", "title", "kind", "size", "defect")},
        },
        "code": facts["code"],
        "programme_digest": facts["programme_digest"],
        "ledger": {
            "head": facts["ledger"]["head"],
            "records": context.figures.figure(
                "ledger/records", facts["ledger"]["records"], "count", [facts["ledger"]["head"]]
            ),
        },
    }


def _approval(context: Context, document: ApproachDocument) -> dict[str, str]:
    """Whether the approach document is approved, as it was signed or else declared, and whether tests came before."""
    signed = context.people.of(Matter.APPROACH, "document", approach_document(context.programme))
    if signed is None:
        return {"approved": document.approved or "no approval is known", "order": _order(context, document.approved)}
    day = decided_on(signed)[:10] if signed.is_positive else None
    return {"approved": told(signed), "order": _order(context, day)}


def _order(context: Context, approved: str | None) -> str:
    """Whether testing began before the approach document was approved, as far as that is known."""
    starts = [(run["document"] or {}).get("start_us") for test in context.tests for run in test["runs"]]
    began = min((start for start in starts if start), default=None)
    if began is None:
        return "No test run of this phase began."
    day = datetime.fromtimestamp(began // 1_000_000, UTC).strftime("%Y-%m-%d")
    if approved is None or not _ISO_DATE.match(approved):
        return f"Testing began on {day}; as no date of approval is known, it cannot be shown to have followed approval."
    if day < approved:
        return f"Testing began on {day}, before the approval of {approved}."
    return f"Testing began on {day}, not before the approval of {approved}."


def stamp(context: Context) -> dict[str, Any] | None:
    """What makes this a rehearsal: durations compressed and rates multiplied; None in a real environment."""
    environment = context.environment
    if environment.kind is EnvironmentKind.REAL:
        return None
    planned = {test["name"]: TestType(test["type"]) for test in context.tests}
    return {
        "text": "Rehearsal on an emulated system: not evidence of the real system's capacity",
        "durations": [
            {
                "name": name,
                "declared": context.declared(f"conduct/{name}/duration", profile.duration, "us"),
                "conducted": context.declared(f"rehearsal/duration/{kind}", environment.durations[kind], "us"),
                "a_part": A_PART.get(kind, ""),
            }
            for name, kind in planned.items()
            if kind in environment.durations and (profile := context.profile(name))
        ],
        "rates": [{"component": name, "factor": _rate(context, name)} for name in context.phase.components],
    }


def _rate(context: Context, component: str) -> Figure:
    rates = context.environment.rates
    name = component if component in rates else "default"
    value = decimal_text(rates[name]) if name in rates else "1"
    return context.declared(f"rehearsal/rate/{name}", value, "times")


def outcome(context: Context) -> dict[str, Any]:
    """What was proved, what was not, what could not be told, and where to look: facts, no decision."""
    verdicts = context.verdicts("outcome", context.observations)
    counts = Counter(test["end"] for test in context.tests)
    ends = {end: context.planned(f"outcome/tests/{end.replace(' ', '-')}", counts[end]) for end in _ENDS if counts[end]}
    planned = context.planned("outcome/tests/planned", len(context.tests))
    return {
        "headline": _headline(context),
        "verdicts": verdicts,
        "tests": {"planned": planned, **ends},
        "sentences": [_observed(verdicts), _ended(planned, ends), _numbers(context), _excluded(context)],
        "look_at": [_look_at(context, row) for row in context.observations if row["verdict"] != "proved"],
    }


def _headline(context: Context) -> str:
    verdicts = {row["verdict"] for row in context.observations}
    if not verdicts:
        return "Nothing was observed"
    if "not proved" in verdicts:
        return "Not everything is proved"
    if "inconclusive" in verdicts:
        return "Some observations are inconclusive"
    if any(test["end"] not in ("executed", "relied", "received") for test in context.tests):
        return "Every observation is proved, but some planned tests have no result"
    return "Every observation is proved"


def _observed(verdicts: dict[str, Figure]) -> Parts:
    return [
        "Of ",
        verdicts["all"],
        " observations (a measurement held against a target volume or a requirement), ",
        verdicts["proved"],
        " are proved, ",
        verdicts["not_proved"],
        " not proved and ",
        verdicts["inconclusive"],
        " inconclusive.",
    ]


def _ended(planned: Figure, ends: dict[str, Figure]) -> Parts:
    parts: Parts = ["The test plans hold ", planned, " tests for this phase: "]
    for index, (end, figure) in enumerate(ends.items()):
        parts += [", " if index else "", figure, f" {_ENDS[end]}"]
    return [*parts, "."]


def _numbers(context: Context) -> Parts:
    numbers = numbers_in_use(context.programme, context.facts["phase"])
    unagreed = sum(number.standing is not Standing.AGREED for number in numbers)
    return [
        "The results rest on ",
        context.declared("numbers/in-use", len(numbers), "count"),
        " declared numbers (assumptions, forecasts, plans, profiles, requirements, conduct of tests), of which ",
        context.declared("numbers/not-agreed", unagreed, "count"),
        " are not agreed: they are marked as proposed or unverified wherever they appear.",
    ]


def _excluded(context: Context) -> Parts:
    count = len(exclusions_in_force(context.programme, context.facts["phase"]))
    return [
        context.declared("exclusions", count, "count"),
        " systems, processes and kinds of test are not covered; each is listed with the risk that remains.",
    ]


def _look_at(context: Context, row: Row) -> dict[str, str]:
    requirement = context.requirement(row["requirement"])
    title = requirement.title if requirement else TARGET
    return {"title": title, **{name: row[name] for name in ("observation", "test", "scope", "verdict", "reason")}}


def heat_map(context: Context) -> Figure:
    """Components by type of test on one page: the worst verdict of each, and how many observations are proved."""
    types = [kind for kind in TestType if any(test["type"] == kind for test in context.tests)]
    rows: list[list[str | int]] = []
    for component in context.phase.components:
        for kind in types:
            own = [test for test in context.tests if (test["component"], test["type"]) == (component, kind)]
            found = [row for test in own for row in context.by_test.get(test["test"], ())]
            proved = sum(row["verdict"] == "proved" for row in found)
            ends = ", ".join(dict.fromkeys(test["end"] for test in own))
            rows.append([component, str(kind), worst(found), proved, len(found), ends])
    told = [f"{row[0]} {row[1]} {row[2]}" for row in rows if row[2] not in ("", "proved")]
    alt = "Worst verdict of each component by type of test. "
    alt += f"Not proved or inconclusive: {', '.join(told)}." if told else "Every cell that was observed is proved."
    columns = ["component", "type", "verdict", "proved", "observations", "ended"]
    evidence = [context.facts["observations"]["digest"], context.facts["plan"]["digest"]]
    return context.figures.figure("outcome/heat-map", len(rows), "rows", evidence, alt=alt, columns=columns, rows=rows)


def components(context: Context) -> list[dict[str, Any]]:
    """Each component of the phase: who provides it, its verdicts, and the measurements most asked for."""
    return [_component(context, name) for name in context.phase.components]


def _component(context: Context, name: str) -> dict[str, Any]:
    component = context.programme.component(name)
    tests = [test for test in context.tests if test["component"] == name]
    ids = {test["test"] for test in tests}
    rows = [row for row in context.observations if row["test"] in ids]
    providers = {provider.id: provider.title for provider in context.programme.system.service_providers}
    return {
        "component": name,
        "title": component.title,
        "provider": providers.get(component.provider, component.provider),
        "version": component.version,
        "solution": {"name": component.solution.name, "standing": str(component.solution.standing)},
        "verdicts": context.verdicts(f"component/{name}", rows),
        "measures": {
            "offered": _measured(context, tests, "load", "offered"),
            "latency_p95": _measured(context, tests, "load", "latency-p95"),
            "headroom": _measured(context, tests, "stress", "headroom"),
            "memory_growth": _measured(context, tests, "soak", "memory-growth"),
        },
        "tests": [{name: test[name] for name in ("test", "type", "end")} for test in tests],
    }


def _measured(context: Context, tests: list[Row], kind: str, metric: str) -> Figure | None:
    runs = [standing_run(test) for test in tests if test["type"] == kind]
    return next((figure for run in runs if (figure := context.measured(context.measurement(run, metric)))), None)
