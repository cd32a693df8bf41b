"""Measures each stage of a message path, in and out, from what the emulated components count path by path.

A stage is one component on one path: the component under test, or the stand-ins beyond it. Exact counts and sums, no
intervals: everything that passed was counted. A real system that counts nothing of this has no such rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from expectations.metrics import STAGE, StageMetric
from expectations.statistics import MILLION
from tasks.course import Part
from tasks.measures.rows import Row
from tasks.measures.subject import OFFERED, Run, Tables

if TYPE_CHECKING:
    import duckdb

SCOPE = "stage:"
"""What the scope of a stage's measurements begins with; the message path follows."""


_COUNTS = ("received", "served", "forwarded", "returned", "answered", "failed", "invalid", "rejected")
_SUMS = ("served_us", "ended_us")

_COUNTED = f"""
    SELECT component, sub_component AS path, at_us,
           {", ".join(f"max(value) FILTER (metric = 'path_{name}')::BIGINT AS {name}" for name in (*_COUNTS, *_SUMS))}
    FROM read_parquet(getvariable('infrastructure'))
    WHERE run = getvariable('run') AND metric IN ({", ".join(f"'path_{name}'" for name in (*_COUNTS, *_SUMS))})
    GROUP BY ALL ORDER BY path, component, at_us
"""  # noqa: S608 - made of constants only; what varies is bound

_SENT = f"""
    SELECT path, count(*) FROM read_parquet(getvariable('results'))
    WHERE run = getvariable('run') AND sent_us IS NOT NULL AND {OFFERED} {{elsewhere}}
    GROUP BY path ORDER BY path
"""  # noqa: S608 - made of constants and whole numbers only; what varies is bound
"""What was sent to the component under test; what its baseline got in its turns is not of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a component counted on a path during the run, and by the last look within the time of the load."""

    component: str
    path: str
    whole: Mapping[str, int]
    within: Mapping[str, int]
    within_us: int

    @property
    def ended(self) -> int:
        return _ended(self.whole)


def stages(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """Rows of the measurements table, each with its component, for every stage that was counted in this run."""
    found = list(_stages(connection, run))
    sent = _sent(connection, run) if any(stage.component == run["component"] for stage in found) else {}
    forwarded = {stage.path: stage.whole["forwarded"] for stage in found if stage.component == run["component"]}
    for stage in found:
        is_first = stage.component == run["component"]
        handed = (sent if is_first else forwarded).get(stage.path, 0)
        yield from _counts(stage, handed, "the injector sent" if is_first else f"{run['component']} sent on")
        if stage.whole["received"]:
            yield from _averages(stage)
        if not run["steps"] and stage.within_us:
            yield from _rates(stage)


def _sent(connection: "duckdb.DuckDBPyConnection", run: Run) -> dict[str, int]:
    baseline = [step for step in run["steps"] if step.get("part") == Part.BASELINE]
    elsewhere = [f"AND sequence NOT BETWEEN {step['first']:d} AND {step['last']:d}" for step in baseline]
    return dict(connection.execute(_SENT.format(elsewhere=" ".join(elsewhere))).fetchall())


def _stages(connection: "duckdb.DuckDBPyConnection", run: Run) -> Iterator[_Stage]:
    found = connection.execute(_COUNTED)
    names = [column[0] for column in found.description][2:]
    looks: dict[tuple[str, str], list[dict[str, int]]] = {}
    for component, path, *values in found.fetchall():
        looks.setdefault((component, path), []).append(dict(zip(names, values, strict=True)))
    for (component, path), each in looks.items():
        yield _stage(component, path, each, run)


def _stage(component: str, path: str, looks: list[dict[str, int]], run: Run) -> _Stage:
    """Counters run from a component's start: what stood there before the load is taken off."""
    start_us = run["start_us"]
    before = next((look for look in reversed(looks) if look["at_us"] <= start_us), dict.fromkeys(looks[0], 0))
    last = next((look for look in reversed(looks) if start_us < look["at_us"] <= start_us + run["window_us"]), before)
    return _Stage(
        component=component,
        path=path,
        whole=_difference(looks[-1], before),
        within=_difference(last, before),
        within_us=last["at_us"] - start_us if last is not before else 0,
    )


def _difference(later: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    return {name: later[name] - earlier[name] for name in (*_COUNTS, *_SUMS)}


def _ended(counts: Mapping[str, int]) -> int:
    return sum(counts[name] for name in ("answered", "failed", "invalid", "rejected"))


def _counts(stage: _Stage, handed: int, by: str) -> Iterator[Row]:
    counted = "counted by the component"
    for metric, name in (
        (StageMetric.RECEIVED, "received"),
        (StageMetric.ANSWERED, "answered"),
        (StageMetric.INVALID, "invalid"),
        (StageMetric.FAILED, "failed"),
        (StageMetric.REJECTED, "rejected"),
        (StageMetric.FORWARDED, "forwarded"),
        (StageMetric.RETURNED, "returned"),
    ):
        yield _row(stage, metric, stage.whole[name], f"{name}, {counted}")
    method = f"received less the {handed} that {by} on this path: 0 when nothing was lost or came twice"
    yield _row(stage, StageMetric.HANDOVER, stage.whole["received"] - handed, method)


def _averages(stage: _Stage) -> Iterator[Row]:
    good, received = stage.whole["answered"] + stage.whole["invalid"], stage.whole["received"]
    method = "answered, or refused for a flaw of their own, of all received"
    yield _row(stage, StageMetric.SUCCESS, _rounded(good * MILLION, received), method)
    for metric, total, count, what in (
        (StageMetric.SERVICE_MEAN, stage.whole["served_us"], stage.whole["served"], "its service here"),
        (StageMetric.TIME_MEAN, stage.whole["ended_us"], stage.ended, "its end, what lies beyond included"),
    ):
        if count:
            method = f"mean from a message's arrival to {what}: {total} µs over {count}"
            yield _row(stage, metric, _rounded(total, count), method, samples=count)


def _rates(stage: _Stage) -> Iterator[Row]:
    for metric, count, what in (
        (StageMetric.RATE_IN, stage.within["received"], "received"),
        (StageMetric.RATE_OUT, _ended(stage.within), "ended"),
    ):
        method = f"{what} in 1,000 s, from {count} in the first {stage.within_us} µs of the load"
        yield _row(stage, metric, _rounded(count * 1000 * MILLION, stage.within_us), method, samples=count)


def _row(stage: _Stage, metric: StageMetric, value: int, method: str, *, samples: int | None = None) -> Row:
    return {
        "component": stage.component,
        "scope": f"{SCOPE}{stage.path}",
        "metric": metric.value,
        **dict.fromkeys(("value", "lower", "upper"), value),
        "unit": str(STAGE[metric][0]),
        "samples": stage.whole["received"] if samples is None else samples,
        "method": method,
    }


def _rounded(total: int, parts: int) -> int:
    """The quotient, rounded half to even."""
    return round(Fraction(total, parts))
