"""The report's sections on what was declared: volumes, assumptions, requirements, scope, conduct and exit criteria."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from catalog.decimals import decimal_text
from catalog.declarations import (
    CONDUCT,
    METRICS,
    Assumption,
    CriterionKind,
    EnvironmentKind,
    Matter,
    Profile,
    Requirement,
    TestType,
)
from catalog.quantities import Quantity
from expectations.exit_criteria import assumptions_in_use, exclusions_in_force, hold_criteria, plans_in_force
from expectations.held import Held
from expectations.people_criteria import told
from tasks.report.context import Context, shown
from tasks.report.figures import Figure, Parts, signed

_HUNDREDTHS = Decimal("0.01")
_SECONDS_AN_HOUR = 3_600


def assumption_register(context: Context) -> list[dict[str, Any]]:
    """Every assumption with its standing, and whether some traffic of the model rests on it."""
    used = assumptions_in_use(context.programme)
    return [_assumption(context, assumption, used) for assumption in context.programme.assumptions]


def _assumption(context: Context, assumption: Assumption, used: frozenset[str]) -> dict[str, Any]:
    return {
        **_texts(assumption, "id", "title", "standing", "source", "owner", "date", "note"),
        "value": context.declared(
            f"assumption/{assumption.id}",
            decimal_text(assumption.value),
            assumption.unit,
            text=f"{assumption.value:,f}",
            standing=str(assumption.standing),
        ),
        "in_use": assumption.id in used,
        "sensitivity": _sensitivity(context, assumption.id),
    }


def _sensitivity(context: Context, assumption: str) -> dict[str, Any] | None:
    """How far this assumption alone moves the peak of the component that it moves most; None where it has no range."""
    found = [
        (
            Decimal(max(abs(swing["at_high"] - each["peak"]), abs(swing["at_low"] - each["peak"]))) / each["peak"],
            each,
            swing,
        )
        for each in context.facts["volumes"]["model"]["sensitivity"]["components"]
        for swing in each["swings"]
        if swing["assumption"] == assumption and each["peak"]
    ]
    if not found:
        return None
    _, each, swing = max(found, key=lambda one: (one[0], one[1]["component"]))
    return {
        "component": each["component"],
        **{
            end: context.figures.figure(
                f"sensitivity/{assumption}/{end}",
                int((Decimal(swing[end]) / each["peak"] - 1) * 1_000_000),
                "ppm",
                [context.facts["volumes"]["model_digest"]],
                text=f"{signed((Decimal(swing[end]) / each['peak'] - 1) * 100)} %",
            )
            for end in ("at_low", "at_high")
        },
    }


def requirements(context: Context) -> list[dict[str, Any]]:
    """The requirements in force with limit, scope and standing."""
    return [
        {
            **_texts(requirement, "id", "title", "metric", "standing", "source", "owner"),
            "meaning": METRICS[requirement.metric][2],
            "direction": str(METRICS[requirement.metric][1]),
            "limit": limit(context, requirement),
            "within": requirement.within and context.declared(f"within/{requirement.id}", requirement.within, "us"),
            "roles": list(requirement.scope.roles),
            "types": [str(each) for each in requirement.scope.types],
            "groups": list(requirement.scope.groups),
        }
        for requirement in context.programme.requirements
    ]


def limit(context: Context, requirement: Requirement) -> Figure:
    """A requirement's declared limit."""
    value, unit = requirement.limit.value, str(requirement.limit.unit)
    return context.declared(
        f"limit/{requirement.id}",
        value,
        unit,
        text=shown(value, unit, requirement.metric),
        standing=str(requirement.standing),
    )


def scope(context: Context) -> dict[str, Any]:
    """What is tested and by what; what is not, why not, where it is assured, and the risk that remains."""
    stated = ("rationale", "assured_elsewhere", "residual_risk", "monitoring", "owner", "standing", "source")
    return {
        "included": [
            _texts(each, "id", "title", "kind", "tested_by", "source") for each in context.programme.scope.included
        ],
        "exclusions": [
            _texts(each, "id", "title", "kind", *stated)
            for each in exclusions_in_force(context.programme, context.facts["phase"])
        ],
    }


def conduct(context: Context) -> list[dict[str, Any]]:
    """How each type of test is declared to be conducted."""
    planned = {name for plan in plans_in_force(context.programme, context.facts["phase"]) for name in plan.tests}
    return [
        {
            **_texts(profile, "id", "type", "title", "standing", "source"),
            **{
                field: context.declared(f"conduct/{profile.id}/{field}", getattr(profile, field), unit)
                for field, unit in (("duration", "us"), ("timeout", "us"), ("lateness", "us"), ("blocks", "count"))
            },
            "a_part": A_PART.get(profile.type, ""),
            "needs": _needs(context, profile),
        }
        for profile in context.programme.tests.profiles
        if profile.id in planned
    ]


def _needs(context: Context, profile: Profile) -> list[dict[str, Any]]:
    """What this type of test alone needs, each value under the words that lead to it."""
    field = CONDUCT.get(profile.type)
    if field is None:
        return []
    found = _values(getattr(profile, field), (field,))
    return [
        {"label": " ".join(path[1:] or path).replace("_", " "), "value": _need(context, profile, path, *each)}
        for path, each in found
    ]


def _need(context: Context, profile: Profile, path: tuple[str, ...], value: int | str, unit: str) -> Figure:
    name = "/".join(("conduct", profile.id, *path)).replace("_", "-")
    return context.declared(name, value, unit, text=str(value) if unit == "text" else "")


def _values(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[int | str, str]]]:
    """The numbers below a declared value, each with its unit, and the path to it; texts stand as they are."""
    match value:
        case BaseModel() if not isinstance(value, Quantity):
            for name in type(value).model_fields:
                yield from _values(getattr(value, name), (*path, name))
        case dict():
            for name, each in value.items():
                yield from _values(each, (*path, str(name)))
        case tuple():
            yield path, (", ".join(map(str, value)), "text")
        case Quantity():
            yield path, (value.value, str(value.unit))
        case Decimal():
            yield path, (decimal_text(value), "times")
        case int():
            is_duration = path[-1] in _DURATIONS
            yield path, (value, "us" if is_duration else "count")
        case _:
            yield path, (str(value), "text")


A_PART = {TestType.STRESS: "a step", TestType.REGRESSION: "a run"}
"""Of what a duration is declared, where it is not the whole test's."""

_DURATIONS = ("latency", "at")
"""Of the fields that `_values` meets, those that hold microseconds."""


def exit_criteria(context: Context) -> list[dict[str, Any]]:
    """Each exit criterion held against the facts. `rehearsal`: those are a rehearsal's, and hold nowhere else."""
    rehearsal = context.environment.kind is EnvironmentKind.REHEARSAL
    held = hold_criteria(
        context.programme,
        context.facts["phase"],
        verdicts=[row["verdict"] for row in context.observations],
        ends=[test["end"] for test in context.tests],
        people=context.people,
    )
    return [
        {
            **_texts(each.criterion, "id", "text", "kind", "source"),
            "state": str(each.state),
            "rehearsal": rehearsal and each.criterion.kind in _FROM_RUNS,
            "reason": [*_reason(context, each), *_board_on(context, each.criterion.id)],
        }
        for each in held
    ]


def _board_on(context: Context, criterion: str) -> list[str]:
    """What the board decided on a criterion; nothing when it has not."""
    found = context.people.about(Matter.CRITERION, f"{context.facts['phase']}/{criterion}")
    return [f" The board: {told(found[-1])}"] if found else []


_FROM_RUNS = (CriterionKind.OBSERVATIONS_PROVED, CriterionKind.TESTS_ENDED)
"""The criteria that are held against what test runs came to."""


def _reason(context: Context, held: Held) -> Parts:
    """The reason with its counts as figures, resting on everything that the criteria are held against."""
    facts = context.facts
    evidence = [facts["programme_digest"], facts["plan"]["digest"], facts["observations"]["digest"]]
    parts: Parts = [held.reason]
    for name, value in held.counts.items():
        figure = context.figures.figure(
            f"exit-criterion/{held.criterion.id}/{name.replace(' ', '-')}", value, "count", evidence
        )
        parts = [piece for part in parts for piece in _split(part, f"{{{name}}}", figure)]
    return [part for part in parts if part != ""]


def _split(part: str | Figure, mark: str, figure: Figure) -> Parts:
    if not isinstance(part, str) or mark not in part:
        return [part]
    before, after = part.split(mark, 1)
    return [before, figure, after]


def _texts(declared: Any, *names: str) -> dict[str, str]:
    return {name: str(getattr(declared, name)) for name in names}
