"""What every section of the report is assembled from: the facts, the programme that they speak of, and the figures."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.canonical import canonical, digest
from catalog.declarations import Environment, Metric, Phase, Profile, Programme, Requirement
from expectations.governance import People
from expectations.verdicts import LATER
from tasks.people import people_from
from tasks.report.figures import Figure, Figures, show

_LONGEST = 240

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The facts of one phase. `programme` and `environment` are read back from them."""

    facts: Mapping[str, Any]
    programme: Programme
    environment: Environment
    figures: Figures
    by_name: Mapping[tuple[str, str, str], Row]
    """Measurements by run, scope and metric: the first, where a component's stages have several."""
    by_run: Mapping[str, Sequence[Row]]
    by_test: Mapping[str, Sequence[Row]]
    """Measurements by run, and observations by test."""
    runs: Mapping[str, Row]
    """Runs by id."""
    people: People

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Context":
        """The context of plain facts. Raises pydantic's ValidationError when their programme is no programme."""
        by_name: dict[tuple[str, str, str], Row] = {}
        by_run: dict[str, list[Row]] = {}
        by_test: dict[str, list[Row]] = {}
        for row in facts["measurements"]:
            by_name.setdefault((row["run"], row["scope"], row["metric"]), row)
            by_run.setdefault(row["run"], []).append(row)
        for row in facts["observations"]["rows"]:
            by_test.setdefault(row["test"], []).append(row)
        return cls(
            facts=facts,
            by_name=by_name,
            by_run=by_run,
            by_test=by_test,
            runs={run["run"]: run for test in facts["tests"] for run in test["runs"]},
            programme=Programme.model_validate(facts["programme"]),
            environment=Environment.model_validate(facts["environment"]),
            figures=Figures(),
            people=people_from(facts),
        )

    @property
    def phase(self) -> Phase:
        """The phase that is reported."""
        return self.programme.phase(self.facts["phase"])

    @property
    def tests(self) -> Sequence[Row]:
        """Every planned test, as planned."""
        return self.facts["tests"]  # type: ignore[no-any-return]  # plain facts

    @property
    def observations(self) -> Sequence[Row]:
        """The observations' rows."""
        return self.facts["observations"]["rows"]  # type: ignore[no-any-return]  # plain facts

    @property
    def series(self) -> Mapping[str, Any]:
        """How runs went over time, by run."""
        return self.facts["series"]  # type: ignore[no-any-return]  # plain facts

    def profile(self, name: str) -> Profile | None:
        """The declared conduct of that id; None when it is no longer declared."""
        return next((profile for profile in self.programme.tests.profiles if profile.id == name), None)

    def requirement(self, name: str) -> Requirement | None:
        """The requirement of that id; None for a target volume."""
        return next((each for each in self.programme.requirements if each.id == name), None)

    def measurement(self, run: str, metric: str, scope: str = "all") -> Row | None:
        """The measurement of that run, scope and metric; None when there is none."""
        return self.by_name.get((run, scope, metric))

    # --- figures ---

    def declared(self, name: str, value: int | str, unit: str, **more: Any) -> Figure:
        """A figure that stands in the declared programme."""
        return self.figures.figure(f"declared/{name}", value, unit, [self.facts["programme_digest"]], **more)

    def planned(self, name: str, value: int) -> Figure:
        """A count of what was planned, and of how it ended."""
        return self.figures.figure(name, value, "count", [self.facts["plan"]["digest"], self.facts["ledger"]["head"]])

    def observed(self, name: str, value: int) -> Figure:
        """A count of observations."""
        return self.figures.figure(name, value, "count", [self.facts["observations"]["digest"]])

    def verdicts(self, name: str, rows: Iterable[Row]) -> dict[str, Figure]:
        """How many of the observations were proved, not proved and inconclusive, and how many there are."""
        counts = Counter(row["verdict"] for row in rows)
        each = {verdict: counts[verdict] for verdict in ("proved", "not proved", "inconclusive")}
        each["all"] = counts.total()
        return {
            verdict.replace(" ", "_"): self.observed(f"{name}/{verdict.replace(' ', '-')}", count)
            for verdict, count in each.items()
        }

    def measured(self, row: Row | None) -> Figure | None:
        """A measurement as a figure, with interval, samples and method."""
        if row is None:
            return None
        name = f"measurement/{row['run']}/{row['scope']}/{row['metric']}"
        return self.figures.figure(
            name, row["value"], row["unit"], [row["digest"]], **interval(row), method=row["method"]
        )


def interval(row: Row) -> dict[str, Any]:
    """What a figure says beside its value, of a row with value, lower, upper, unit, metric and samples."""
    lower, upper = row["lower"], row["upper"]
    ends = [shown(end, row["unit"], row["metric"]) for end in (lower, upper) if end is not None]
    exact = row["value"] is not None and lower == upper == row["value"]
    return {
        "text": shown(row["value"], row["unit"], row["metric"]),
        "lower": lower,
        "upper": upper,
        "interval": "exact" if exact else " to ".join(ends) if len(ends) > 1 else "no interval",
        "samples": row["samples"],
    }


def shown(value: int | None, unit: str, metric: str) -> str:
    """A measured value as a reader sees it."""
    if value is None:
        return "not measured"
    return show(Decimal(value) / 1_000_000, "times") if metric in _MULTIPLES and value < LATER else show(value, unit)


_MULTIPLES = {
    Metric.HEADROOM,
    Metric.CAPACITY,
    Metric.SCALING_GAIN,
    Metric.LATENCY_P50_RATIO,
    Metric.LATENCY_P95_RATIO,
    Metric.LATENCY_P99_RATIO,
    Metric.ANSWERED_SHARE_RATIO,
    "throughput",
}
"""What is held in parts per million, and read as a multiple."""


def quoted(value: Any) -> str:
    """A recorded value as text; a long one is cut and named by its digest."""
    if value is None or value == "":
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (SHA-256 {digest(canonical(value))})"


def standing_run(test: Row) -> str:
    """The id of the run that a test's result rests on: its own, or the earlier one relied on; empty when none does."""
    if test["relied_on"]:
        return str(test["relied_on"]["run"])
    return next((str(run["run"]) for run in test["runs"] if run["judged"]), "")
