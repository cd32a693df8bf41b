"""Whether today's service is no worse than the baseline's: figures of whole runs, compared as ratios."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import regression, statistics
from expectations.regression import Figure, Worse
from expectations.statistics import MILLION, Estimate
from expectations.verdicts import LATER
from tasks.course import Part
from tasks.measures.rows import ALL, Row, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb

_OF_TURN = f"""
    WITH compared AS (
        SELECT *, path || '|' || srv || '|' || kind AS label FROM read_parquet(getvariable('results'))
        WHERE run = getvariable('run') AND kind IN ('request', 'alert') AND sequence BETWEEN $first AND $last
          AND path || '|' || srv || '|' || kind IN (SELECT unnest($compared::VARCHAR[])) AND intended_us IS NOT NULL
    ), known AS (SELECT *, lag(label) OVER (ORDER BY sequence) AS followed FROM compared)
    SELECT path, srv, kind, CASE WHEN follows.label IS NULL THEN intended_us - $start ELSE -1 END AS offset_us,
           outcome = expect AS good,
           CASE WHEN outcome = expect THEN coalesce(latency_us, {LATER}) ELSE {LATER} END AS latency_us
    FROM known LEFT JOIN follows USING (label, followed) ORDER BY sequence
"""  # noqa: S608 - made of constants only; what varies is bound
"""The messages of a turn that are compared. What waited for another was due when that was answered: -1."""

PERCENTILES = {Metric.LATENCY_P50_RATIO: 500, Metric.LATENCY_P95_RATIO: 950, Metric.LATENCY_P99_RATIO: 990}
_METRICS = (*PERCENTILES, Metric.ANSWERED_SHARE_RATIO)
_TAILS = (Metric.LATENCY_P95_RATIO, Metric.LATENCY_P99_RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """One run of either side: the messages that are compared, and its figures by metric, whole numbers above 0."""

    part: str
    schedule: list[tuple[Any, ...]]
    figures: dict[Metric, int]


def compared(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The ratio of today's figures to the baseline's, each with one-sided bounds at the level, and what so many runs
    can show. No row where there is no baseline, or where its turns were not offered the same messages.
    """
    turns = [_turn(connection, run, step) for step in run["steps"]]
    old, new = ([turn for turn in turns if turn.part == part] for part in (Part.BASELINE, Part.CANDIDATE))
    if not old or [turn.schedule for turn in old] != [turn.schedule for turn in new]:
        return
    alpha = 1 - run.level
    sides = {
        metric: ([turn.figures[metric] for turn in old], [turn.figures[metric] for turn in new]) for metric in _METRICS
    }
    together = _together({metric: sides[metric] for metric in _TAILS}, alpha)
    for metric, (before, today) in sides.items():
        each = alpha / len(_TAILS) if metric in _TAILS else alpha
        yield _row(metric, before, today, each, together.get(metric, ""))


def _together(tails: Mapping[Metric, tuple[Sequence[int], Sequence[int]]], alpha: float) -> dict[Metric, str]:
    """What Holm's procedure says of the tails together, each at the margin that so many runs can show, in words."""
    figures = {}
    for metric, (old, new) in tails.items():
        spread = regression.spread([old, new])
        least = regression.margin(spread, min(len(old), len(new))) if spread else None
        if least is not None:
            figures[metric.value] = Figure(baseline=tuple(old), candidate=tuple(new), margin_ppm=least)
    return {
        metric: f"; at that margin {found[metric.value].verdict} among the tails (Holm)"
        for found in [regression.secondary(figures, alpha=alpha)]
        for metric in tails
        if metric.value in found
    }


def _turn(connection: "duckdb.DuckDBPyConnection", run: Run, step: dict[str, Any]) -> _Turn:
    import numpy as np

    bound = {**{name: step[name] for name in ("first", "last")}, "start": step["start_us"], "compared": run["compared"]}
    found = fetched(connection.execute(_OF_TURN, bound))
    latency = np.sort(found["latency_us"])
    figures = {metric: max(1, statistics.quantile(latency, at)) for metric, at in PERCENTILES.items() if len(latency)}
    figures[Metric.ANSWERED_SHARE_RATIO] = max(1, int(found["good"].sum()) * MILLION // max(1, len(latency)))
    schedule = list(zip(*(found[name].tolist() for name in ("path", "srv", "kind", "offset_us")), strict=True))
    return _Turn(part=str(step["part"]), schedule=schedule, figures=figures)


def _row(metric: Metric, old: Sequence[int], new: Sequence[int], alpha: float, together: str) -> Row:
    if _is_without_answers(metric, old):
        why = "the baseline did not answer so much in each of its runs that there is a figure to compare with"
        return row(ALL, metric, Estimate(0, None, None), Unit.PARTS_PER_MILLION, 0, why)
    worse = Worse.LOWER if metric is Metric.ANSWERED_SHARE_RATIO else Worse.HIGHER
    figure = Figure(baseline=tuple(old), candidate=tuple(new), margin_ppm=0, worse=worse)
    found = regression.non_inferiority(figure, alpha=alpha)
    known = found.ratio_ppm is not None
    estimate = Estimate(found.ratio_ppm or 0, found.lower_ppm, found.upper_ppm)
    what = "secondary, bounds shared between the tails (Bonferroni)" if metric in _TAILS else "primary"
    method = (
        f"{what}: mean logarithm of {len(new)} runs today over {len(old)} of the baseline, taken in turns; one-sided "
        f"bounds at {1 - alpha:.6g} (Welch's t)" + _power(old, new, worse) + together
        if known
        else found.reason
    )
    samples = len(old) + len(new) if known else 0
    return row(ALL, metric, estimate, Unit.PARTS_PER_MILLION, samples, method)


def _is_without_answers(metric: Metric, baseline: Sequence[int]) -> bool:
    """Whether a run of the baseline answered nothing right, or not the share that a percentile is of: against such a
    baseline nothing is worse."""
    return min(baseline) <= 1 if metric is Metric.ANSWERED_SHARE_RATIO else max(baseline) >= LATER


def _power(old: Sequence[int], new: Sequence[int], worse: Worse) -> str:
    """What margin so many runs can show on an unchanged system, from the spread within both sides."""
    spread = regression.spread([old, new])
    if not spread:
        return "; all runs of a side are the same"
    least = regression.margin(spread, min(len(old), len(new)), worse=worse)
    told = "no margin at all" if least is None else f"{regression.percent(least)}"
    return f"; by the runs' own spread so many show {told} with a power of {regression.POWER:.0%}"
