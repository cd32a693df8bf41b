"""Over random programmes and changes: never relied on when a compared input changed, never executed when none did.

Whether something changed is told here from the declarations, by rules of its own, and not from the keys.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programmes import random_programmes

from catalog.canonical import canonical, document_digest
from catalog.declarations import Programme
from catalog.ledger import Actor, Kind, Record
from catalog.reading import read_catalogue
from catalog.runs import RunState, TestRun
from catalog.store import ObjectStore
from tasks.plan import Decided, Decision, History, PlannedTest, decide, plan_tests
from tasks.volumes.model import Volume, model_volumes, target_volumes
from tests.shops import write_shop

with tempfile.TemporaryDirectory() as _made:
    write_shop(Path(_made) / "shop")
    TEMPLATE = read_catalogue(Path(_made) / "shop").programme
ENVIRONMENT = "rehearsal"
SEEDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    phases=(Phase.explicit, Phase.generate),  # whole programmes take minutes to shrink, and tell no more
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Document = dict[str, Any]
Touches = Callable[[PlannedTest], bool]


def everything(_: PlannedTest) -> bool:
    return True


def nothing(_: PlannedTest) -> bool:
    return False


def of_component(name: str) -> Touches:
    return lambda planned: planned.component.id == name


def of_profile(name: str) -> Touches:
    return lambda planned: planned.profile.id == name


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An edit of the declarations: at a place, and the tests whose compared inputs it changes beside their volumes.

    `by_component` changes count for all tests where the scope is the whole programme.
    """

    place: tuple[str, ...]
    value: Any
    touches: Touches
    by_component: bool = False


def _components() -> list[Change]:
    return [
        Change(place=("system", "components", name, field), value=value, touches=of_component(name), by_component=True)
        for name in ("storefront", "orders")
        for field, value in (("version", "9.9"), ("artefact", "sha256:99"), ("configuration", {"replicas": 9}))
    ] + [
        Change(
            place=("system", "components", name, "solution", "name"),
            value="Another",
            touches=of_component(name),
            by_component=True,
        )
        for name in ("storefront", "orders")
    ]


def _elsewhere() -> list[Change]:
    """What no execution depends on."""
    places: list[tuple[tuple[str, ...], Any]] = [
        (("system", "components", "orders", "title"), "Another"),
        (("system", "components", "orders", "solution", "source"), "another"),
        (("system", "components", "payments", "version"), "9.9"),
        (("tests", "profiles", "load", "title"), "Another"),
        (("tests", "profiles", "soak", "source"), "another"),
        (("tests", "plans", "orders-plan", "success_criteria"), "Another"),
        (("tests", "plans", "orders-plan", "version"), "9"),
        (("environments", ENVIRONMENT, "title"), "Another"),
        (("requirements", "latency", "limit"), {"value": 9_000_000, "unit": "us"}),
        (("requirements", "latency", "title"), "Another"),
        (("programme", "approach_document", "version"), "9.9"),
        (("programme", "approach_document", "date"), "2030-01-01"),
        (("programme", "reliance", "reading"), "Another"),
        (("programme", "summary"), "Another"),
    ]
    return [Change(place=place, value=value, touches=nothing) for place, value in places]


CHANGES = [
    *_components(),
    *_elsewhere(),
    Change(place=("environments", ENVIRONMENT, "size"), value="half of production", touches=everything),
    Change(place=("environments", ENVIRONMENT, "kind"), value="real", touches=everything),
    Change(place=("environments", ENVIRONMENT, "seed"), value=99, touches=everything),
    Change(place=("environments", ENVIRONMENT, "connections"), value=9, touches=everything),
    Change(
        place=("environments", ENVIRONMENT, "components", "orders", "workers"), value=9, touches=of_component("orders")
    ),
    Change(place=("environments", ENVIRONMENT, "durations", "load"), value=7_000_000, touches=of_profile("load")),
    Change(place=("tests", "profiles", "soak", "blocks"), value=77, touches=of_profile("soak")),
    Change(place=("tests", "profiles", "stress", "lateness"), value=77_000, touches=of_profile("stress")),
]


@st.composite
def changes(draw: Any) -> tuple[list[Change], Fraction]:
    """Up to three edits, and what all meters forecast are multiplied by: fewer, as many, or more."""
    edits = draw(st.lists(st.sampled_from(CHANGES), max_size=3, unique_by=lambda each: each.place))
    return edits, draw(st.sampled_from([Fraction(1), Fraction(1), Fraction(1), Fraction(1, 2), Fraction(3, 2)]))


def edited(programme: Programme, edits: Sequence[Change], factor: Fraction) -> Programme:
    document = programme.model_dump(mode="json", by_alias=True)
    for edit in edits:
        *above, last = edit.place
        place: Any = document
        for step in above:
            place = next(each for each in place if each["id"] == step) if isinstance(place, list) else place[step]
        place[last] = edit.value
    for row in document["forecasts"]:
        row["meters"] = int(row["meters"] * factor)
    return Programme.model_validate(document)


def prepared(programme: Programme, rule: Mapping[str, Any]) -> Programme:
    """A random programme with that rule, forecasts for both phases, and few enough messages to be planned."""
    document = programme.model_dump(mode="json", by_alias=True)
    document["programme"]["reliance"] |= rule
    for assumption in document["assumptions"]:
        assumption["value"] = assumption["value"] if float(assumption["value"]) else "0.5"  # or there is no message
    document["forecasts"] = [
        {**row, "phase": phase, "meters": 1 + row["meters"] % 1_000}
        for phase in ("pilot", "launch")
        for row in document["forecasts"]
    ]
    for plan in document["tests"]["plans"]:
        plan["volumes_of"] = "pilot"
    for environment in document["environments"]:
        environment["estate"] = 2**32
    return Programme.model_validate(document)


def planned(programme: Programme, phase: str) -> tuple[list[PlannedTest], list[Volume]]:
    volumes = model_volumes(programme, "pilot")
    environment = programme.environment(ENVIRONMENT)
    return plan_tests(programme, phase, environment, {"pilot": volumes}, occasion=phase), volumes


def finished(test: PlannedTest, place: int, store: ObjectStore) -> TestRun:
    """A run of a planned test as the ledger would tell it; its key is in the store."""
    named = {name: test.key["inputs"]["test"][name] for name in ("role", "type", "name")}
    run = f"{test.occasion}/{test.test}/1"
    record = Record(
        kind=Kind.EXECUTED, stage="execute", key=store.put(canonical(test.key)), sequence=place + 1,
        parameters={"run": run, **named}, time="2026-01-01T00:00:00.000000Z", code="1", actor=Actor(name="tester"),
        previous="0" * 64, digest=document_digest(run),
    )  # fmt: skip
    return TestRun(
        run=run, test=test.test, occasion=test.occasion, state=RunState.FINISHED, record=record, why="", attempt=1
    )


def rates(programme: Programme, volumes: list[Volume], component: str) -> dict[str, int]:
    return {cell: count for cell, count in target_volumes(programme, volumes, component).items() if count}


def volumes_allow(rule: str, before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    if rule == "equal":
        return before == after
    return all(count <= before.get(cell, 0) for cell, count in after.items())


RULES = st.fixed_dictionaries(
    {"scope": st.sampled_from(["path", "programme"]), "volumes": st.sampled_from(["equal", "not-exceeding"])}
)


@SEEDED
@given(base=random_programmes(TEMPLATE), rule=RULES, drawn=st.lists(changes(), min_size=6, max_size=12))
def test_relied_on_exactly_when_nothing_that_is_compared_has_changed(
    base: Programme, rule: dict[str, str], drawn: list[tuple[list[Change], Fraction]]
) -> None:
    before = prepared(base, rule)
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(Path(folder))
        first, volumes = planned(before, "pilot")
        runs = tuple(finished(test, place, store) for place, test in enumerate(first))
        known = History(runs=runs, withdrawn=frozenset(), store=store, verdict=lambda _: ("proved", ""))
        for test in first:
            if test.messages:
                assert decide(before, test, known).decision is Decision.COMPLETE  # nothing changed: never again
        for edits, factor in drawn:
            after = edited(before, edits, factor)
            then, now = planned(after, "launch")
            for test in then:
                models = ((before, volumes), (after, now))
                counts = [rates(each, model, test.component.id) for each, model in models]
                if test.messages and all(counts):  # else it offers nothing, and is blocked
                    _holds(rule, test, edits, counts, decide(after, test, known))


def _holds(
    rule: Mapping[str, str],
    test: PlannedTest,
    edits: Sequence[Change],
    counts: Sequence[Mapping[str, int]],
    decided: Decided,
) -> None:
    whole = rule["scope"] == "programme"
    touched = any(each.touches(test) or (each.by_component and whole) for each in edits)
    allowed = not touched and volumes_allow(rule["volumes"], *counts)
    told = [(each.input, each.old, each.new) for each in decided.reasons if not each.allows]
    assert (decided.decision is Decision.RELY) == allowed, (test.test, [each.place for each in edits], told)
    assert allowed or told


@pytest.mark.parametrize("edit", CHANGES, ids=lambda edit: ".".join(edit.place))
def test_every_change_that_is_drawn_is_one(edit: Change) -> None:
    """An edit that changed nothing would be a test that cannot fail."""
    assert edited(TEMPLATE, [edit], Fraction(1)) != TEMPLATE
