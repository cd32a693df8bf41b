"""The history of the scheduled regression: every figure that a requirement is held against, day after day.

A day's own comparison with the baseline sees a step. Small steps, and a slow slide, are seen in the history
(`expectations.changes`, `expectations.trends`), and it names the day. Only days on which a test was conducted in the
same way are compared: its messages, window, arrivals, environment and injector; components may differ, since what
became of them is the question.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from catalog.canonical import document_digest
from catalog.decisions import decisions
from catalog.declarations import BaselineOf, Direction, Environment, Matter, Programme, RecordedBaseline
from catalog.runs import TestRun, test_runs
from catalog.shown import shown
from catalog.workspace import Workspace, newest_reported
from expectations.changes import LEVEL, Change, changes
from expectations.regression import Comparison, Figure, Worse, non_inferiority_to_recorded
from expectations.statistics import FEWEST_BLOCKS, MILLION
from expectations.trends import drift

OBSERVATIONS = "observations:"
"""What roles of inputs begin with that are a day's observations: the occasion follows."""

MOST_DAYS = 90
"""The newest days that are compared: the search takes time with their square."""

_NOT_CONDUCT = frozenset({"components"})
_WANTED = ("test", "requirement", "scope", "metric", "unit", "direction", "limit")

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One regression: its occasion, the day it was reported (UTC), its observations, and how each run was conducted.

    `releases`: by run, the digest of the components that it tested.
    """

    occasion: str
    day: str
    observations: str
    conduct: Mapping[str, str]
    releases: Mapping[str, str]

    def as_json(self) -> Row:
        """As it stands in the stage's key."""
        return {"occasion": self.occasion, "day": self.day, "conduct": dict(self.conduct)}


def days_of(workspace: Workspace, programme: Programme) -> list[Day]:
    """Every regression that was reported, oldest first, by the newest report of each; withdrawn runs are left out."""
    records, phases = workspace.ledger.records(), {phase.id for phase in programme.programme.phases}
    runs = {run.run: run for run in test_runs(records)}
    withdrawn, digests = workspace.withdrawals(), {record.digest: record for record in records}
    newest = {name: record for name, record in newest_reported(records).items() if name not in phases}
    found = []
    for occasion, reported in newest.items():
        named = {each.role: each.digest for each in reported.inputs}
        if named["observed"] in digests:
            mine = [run for run in runs.values() if run.occasion == occasion and run.record.digest not in withdrawn]
            keys = {run.run: workspace.store.document(run.record.key or "") for run in mine if _is_keyed(run)}
            found.append(
                Day(
                    occasion=occasion,
                    day=reported.time[:10],
                    observations=named["observations"],
                    conduct={run: _conduct(key["inputs"]) for run, key in keys.items()},
                    releases={run: document_digest(key["inputs"]["components"]) for run, key in keys.items()},
                )
            )
    return found


def _is_keyed(run: TestRun) -> bool:
    return run.record.key is not None and not run.received


def _conduct(given: Mapping[str, Any]) -> str:
    """The digest of how a run was conducted: its key without the components, the seed and the versions of the rules."""
    inputs = {name: value for name, value in given.items() if name not in _NOT_CONDUCT}
    arrivals = {name: value for name, value in inputs.get("arrivals", {}).items() if name != "seed"}
    return document_digest({**inputs, "arrivals": arrivals})


def accepted_on(workspace: Workspace) -> str:
    """The day (UTC) of the newest decision in force that a phase is complete; empty where there is none."""
    records = workspace.ledger.records()
    days = {record.digest: record.time[:10] for record in records}
    found = decisions(records, workspace.withdrawals())
    accepted = [each for each in found if each.matter is Matter.PHASE and each.is_positive and not each.withdrawn]
    return days[accepted[-1].record] if accepted else ""


def baseline_runs(days: Sequence[Day], declared: RecordedBaseline, accepted: str) -> Row:
    """What the newest day is held against: the title, the margin, and the runs of the days that the declaration means.

    `accepted`: the day of the newest decision that a phase is complete; empty where there is none.
    """
    *earlier, newest = days
    match declared.of:
        case BaselineOf.RECORDED:
            since, until = declared.since or "", declared.until or ""
            runs = [run for day in earlier if since <= day.day <= until for run in day.conduct]
        case BaselineOf.LAST_ACCEPTED:
            runs = [run for day in earlier if day.day <= accepted for run in day.conduct]
        case BaselineOf.LAST_RELEASE:
            runs = [run for test in newest.releases for run in _release_before(test, earlier, newest)]
        case _:
            assert_never(declared.of)
    return {"title": declared.title, "margin_ppm": declared.margin.value, "runs": sorted(runs)}


def _release_before(run: str, earlier: Sequence[Day], newest: Day) -> list[str]:
    """The runs of the same test, of the newest components that are not those of `run`, in all the days they were in."""
    test, today = _test_of(run), newest.releases[run]
    mine = [(each, release) for day in earlier for each, release in day.releases.items() if _test_of(each) == test]
    others = [release for _, release in mine if release != today]
    return [each for each, release in mine if others and release == others[-1]]


def _test_of(run: str) -> str:
    return run.rsplit("/", 2)[-2]


def inputs_of(
    days: Sequence[Day], programme: Programme, environment: Environment, accepted: str = ""
) -> tuple[dict[str, str], dict[str, Any]]:
    """The artefacts and the settings that the stage depends on; `accepted`: see `baseline_runs`."""
    declared = programme.programme.regression.baseline
    return (
        {f"{OBSERVATIONS}{each.occasion}": each.observations for each in days},
        {
            "days": [each.as_json() for each in days],
            **({"baseline": baseline_runs(days, declared, accepted)} if declared else {}),
            "about": {
                "programme": programme.programme.title,
                "environment": {"id": environment.id, "kind": environment.kind.value},
            },
        },
    )


def trend(
    days: Sequence[Mapping[str, Any]],
    observed: Sequence[Sequence[Row]],
    about: Mapping[str, Any],
    baseline: Mapping[str, Any] | None = None,
) -> Row:
    """The history as it is recorded: every series, its changes of level, its slide, and how it stands to the baseline.

    `days`: as `Day.as_json` gives them, oldest first; `observed`: the observations of each; `about`: the programme's
    title, and the id and kind of the newest day's environment; `baseline`: as `baseline_runs` gives it.
    """
    places: dict[tuple[str, str, str], list[Row]] = {}
    for place, (day, rows) in enumerate(zip(days, observed, strict=True)):
        for row in rows:
            if row["run"] in day["conduct"] and row["value"] is not None:
                of_day = {"place": place, "occasion": day["occasion"], "conduct": day["conduct"][row["run"]]}
                places.setdefault((row["test"], row["requirement"], row["scope"]), []).append({**row, **of_day})
    series = [_series(rows, baseline) for _, rows in sorted(places.items()) if rows[-1]["place"] == len(days) - 1]
    return {
        **about,
        "days": [{"occasion": each["occasion"], "day": each["day"]} for each in days],
        "level_ppm": round(LEVEL * MILLION),
        "series": series,
        "worse": sum(each["worse"] for each in series),
    }


def observations_of(files: Sequence[Path]) -> list[list[Row]]:
    """The rows of each table of observations as plain values. They were held to their contract when recorded."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        return [_rows(connection, file) for file in files]


def _rows(connection: "duckdb.DuckDBPyConnection", file: Path) -> list[Row]:
    read = connection.execute("SELECT * FROM read_parquet(?)", [str(file)])
    names = [column[0] for column in read.description or ()]
    return [dict(zip(names, row, strict=True)) for row in read.fetchall()]


def _series(rows: Sequence[Row], baseline: Mapping[str, Any] | None) -> Row:
    """One figure's history: what was conducted as on the newest day is compared, and how much was not is said."""
    newest = rows[-1]
    alike = [row for row in rows if row["conduct"] == newest["conduct"]][-MOST_DAYS:]
    values, higher_is_worse = [row["value"] for row in alike], newest["direction"] == Direction.AT_MOST
    found, slide = [_change(each, alike, higher_is_worse) for each in changes(values)], _slide(values, higher_is_worse)
    held = _held_against(baseline, rows) if baseline else None
    return {
        **{name: newest[name] for name in _WANTED},
        "points": [
            {name: row[name] for name in ("occasion", "value", "lower", "upper", "limit", "verdict")} for row in alike
        ],
        "otherwise": sum(row["conduct"] != newest["conduct"] for row in rows),
        "changes": found,
        "slide": slide,
        **({"baseline": held} if held else {}),
        "worse": bool(found and found[-1]["worse"])
        or bool(slide and slide["found"] and slide["worse"])
        or bool(held and held["verdict"] == Comparison.VIOLATED),
    }


def _held_against(baseline: Mapping[str, Any], rows: Sequence[Row]) -> Row:
    """How the newest day's figure stands to the baseline's days, by `non_inferiority_to_recorded`.

    What was conducted otherwise than on the newest day is left out, and so is the newest day itself.
    """
    newest = rows[-1]
    runs = set(baseline["runs"])
    days: dict[int, list[int]] = {}
    for row in rows:
        if row["run"] in runs and row["conduct"] == newest["conduct"] and row["place"] != newest["place"]:
            days.setdefault(row["place"], []).append(row["value"])
    figure = Figure(
        baseline=(),
        candidate=tuple(row["value"] for row in rows if row["place"] == newest["place"]),
        margin_ppm=baseline["margin_ppm"],
        worse=Worse.HIGHER if newest["direction"] == Direction.AT_MOST else Worse.LOWER,
    )
    found = non_inferiority_to_recorded(list(days.values()), figure)
    return {"title": baseline["title"], "days": len(days), **asdict(found), "verdict": found.verdict.value}


def _change(change: Change, alike: Sequence[Row], higher_is_worse: bool) -> Row:  # noqa: FBT001 - one of two ways
    return {
        **asdict(change),
        "occasion": alike[change.at]["occasion"],
        "worse": (change.after > change.before) is higher_is_worse,
    }


def _slide(values: Sequence[int], higher_is_worse: bool) -> Row | None:  # noqa: FBT001 - one of two ways
    """The robust trend of the whole history, a day for each unit; None where it is too short to tell."""
    if len(values) < FEWEST_BLOCKS:
        return None
    found = drift(range(len(values)), values)
    return {
        "slope": found.slope,
        "lower": found.lower,
        "upper": found.upper,
        "p_ppm": found.p_ppm,
        "found": found.p_ppm is not None and found.p_ppm <= LEVEL * MILLION,
        "worse": (float(found.slope) > 0) is higher_is_worse,
    }


def told(series: Mapping[str, Any]) -> Iterator[str]:
    """What makes a series worse: its newest change of level, its slide, the baseline; nothing where it is not."""
    unit = series["unit"]
    held = series.get("baseline")
    if held and held["verdict"] == Comparison.VIOLATED:
        yield f"against {held['title']}, {held['days']} days: {held['reason']}"
    if series["changes"] and series["changes"][-1]["worse"]:
        change = series["changes"][-1]
        times = "" if change["ratio_ppm"] is None else f" ({change['ratio_ppm'] / MILLION:.3g} times)"
        yield (
            f"since {change['occasion']} its level is {shown(change['after'], unit)}, and was "
            f"{shown(change['before'], unit)} before{times}"
        )
    slide = series["slide"]
    if slide and slide["found"] and slide["worse"]:
        slope, lower, upper = (shown(Decimal(slide[name]), unit) for name in ("slope", "lower", "upper"))
        yield f"it slides by {slope} a day, in [{lower}, {upper}]"
