"""The verdict rules in plain Python: what the three suites must name, for answers that cannot wait for them.

The suites judge whatever is recorded. `plan` and `explain` ask here; a property test holds the two to each other.
"""

from collections.abc import Callable, Iterable, Mapping

from catalog.declarations import METRICS, Direction, Metric
from expectations.verdicts import Judged, Named, Need

_KNOWN = {(metric.value, str(unit), direction.value) for metric, (unit, direction, _) in METRICS.items()}


def named(rows: Iterable[Judged], unmet: Mapping[str, frozenset[str]] | None = None) -> Named:
    """The observations that each suite would name as failing. An unknown value fails whatever needs it.

    `unmet`: as `Named` has it, for whoever has asked the further expectations.
    """
    rows = list(rows)
    return Named(
        lacking={need: frozenset(row.observation for row in rows if not meets(row)) for need, meets in _NEEDS.items()},
        unproved=frozenset(row.observation for row in rows if not _inside(row)),
        unrefuted=frozenset(row.observation for row in rows if not _outside(row)),
        unmet=unmet or {},
    )


def _inside(row: Judged) -> bool:
    """The whole interval lies inside the limit, the limit itself included."""
    if Direction(row.direction) is Direction.AT_MOST:
        return row.upper is not None and row.upper <= row.limit
    return row.lower is not None and row.lower >= row.limit


def _outside(row: Judged) -> bool:
    if Direction(row.direction) is Direction.AT_MOST:
        return row.lower is not None and row.lower > row.limit
    return row.upper is not None and row.upper < row.limit


def _agrees(row: Judged) -> bool:
    return row.unit == row.limit_unit and (row.metric.split("/")[0], str(row.limit_unit), row.direction) in _KNOWN


def _has_interval(row: Judged) -> bool:
    if row.value is None:
        return True  # that it was not measured is a lack of its own
    return row.lower is not None and row.upper is not None and row.lower <= row.value <= row.upper


_NEEDS: dict[Need, Callable[[Judged], bool]] = {
    Need.REACHABLE: lambda row: not row.unreachable,
    Need.INTACT: lambda row: not row.withdrawn,
    Need.MEASURED: lambda row: row.value is not None,
    Need.AGREEING: _agrees,
    Need.OFFERED: lambda row: row.offered is not None and row.offered >= row.target,
    Need.IN_TIME: lambda row: (
        row.closed_loop or (row.lateness_us is not None and row.lateness_us <= row.lateness_limit_us)
    ),
    Need.COVERED: lambda row: (
        row.coverage_needed_ppm == 0 or (row.coverage_ppm is not None and row.coverage_ppm >= row.coverage_needed_ppm)
    ),
    Need.SAMPLES: lambda row: row.samples >= row.needed_samples,
    Need.INTERVAL: _has_interval,
}


def lacks_from_outside(row: Judged, found: Named) -> bool:
    """Whether a row's verdict is open for a cause outside the figure, so that the run may be repeated for it.

    The load was not offered in time, infrastructure metrics are missing, or the system was not reached. Too few
    messages in the target itself, or an interval that straddles the limit, are not such causes.
    """
    outside = (Need.REACHABLE, Need.OFFERED, Need.IN_TIME, Need.COVERED)
    if any(row.observation in found.lacking[need] for need in outside):
        return True
    return row.metric == Metric.HEADROOM and row.observation in found.lacking[Need.SAMPLES]
