"""Composes what components showed apart: the latency along each message path, with bounds that assume nothing.

Components are tested one at a time, with stand-ins beyond them, so a path's latency was never seen as a whole. It is
inferred here from the latencies of the load tests of those on it: see `expectations.composition`. What is not tested in
the phase is named, and not in the sum: the inference is about the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.declarations import MessagePath, Programme
from expectations.composition import Composed, Latencies, compose
from expectations.verdicts import LATER, Verdict
from tasks.volumes.streams import resolve_steps

if TYPE_CHECKING:
    import duckdb

PERCENTILES = (500, 950, 990)
"""The percentiles that are composed, in permille; a path's own share comes on top."""

GRID_US = 1_000
"""The grid of the estimate under independence: a millisecond, which no round trip is limited as finely as."""

_LATENCIES = f"""
    SELECT CASE WHEN outcome = expect THEN latency_us ELSE {LATER} END AS latency_us, count(*) AS messages
    FROM read_parquet($results)
    WHERE run = $run AND path = $path AND (kind = 'request' OR kind = 'alert') AND expect = 'ok'
    GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - made of constants only; what varies is bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The run that a component's latencies are taken from, and its results as Parquet."""

    component: str
    run: str
    results: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way along a message path: the components that handle its messages, in order."""

    path: MessagePath
    components: tuple[str, ...]


def routes_of(programme: Programme, phase: str, tested: Sequence[str]) -> list[Route]:
    """Every way along every path that some of the tested components lie on, in declared order, each once.

    A role is filled by those components only that are held to requirements in the phase, or were in one before it.
    """
    order = [each.id for each in programme.programme.phases]
    so_far = {name for each in programme.programme.phases[: order.index(phase) + 1] for name in each.components}
    found: dict[tuple[str, tuple[str, ...]], Route] = {}
    for path in programme.system.message_paths:
        roles = {step.removeprefix("role:") for step in path.steps if step.startswith("role:")}
        for cohort in programme.volumes.cohorts:
            filled = {programme.component(name).role for name in cohort.served_by if name in so_far}
            if roles <= filled:
                names = tuple(step.id for step in resolve_steps(programme, path, cohort))[1:]
                if set(names) & set(tested):
                    found.setdefault((path.id, names), Route(path=path, components=names))
    return list(found.values())


def compose_paths(routes: Sequence[Route], legs: Mapping[str, Leg]) -> list[dict[str, Any]]:
    """A document for each route of which some component has a leg with messages of the path, as it is recorded.

    Percentiles in permille, latencies in microseconds (2^53 - 1: not answered). `verdict`, where the path declares a
    round trip: the upper bound decides that it is proved, if nothing on the way is left out; the lower that it is not.
    """
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        return [found for route in routes if (found := _composed(connection, route, legs))]


def _composed(connection: "duckdb.DuckDBPyConnection", route: Route, legs: Mapping[str, Leg]) -> dict[str, Any] | None:
    known = dict(_known(connection, route, legs))
    if not known:
        return None
    latencies = [each for _, each in known.values()]
    return {
        "path": route.path.id,
        "components": [
            {"component": name, "run": known[name][0].run, "messages": int(known[name][1].counts.sum())}
            if name in known
            else {"component": name, "run": "", "messages": 0}
            for name in route.components
        ],
        "percentiles": [_percentile(compose(latencies, permille, grid_us=GRID_US)) for permille in PERCENTILES],
        **_held(route.path, latencies, whole=len(known) == len(route.components)),
    }


def _known(
    connection: "duckdb.DuckDBPyConnection", route: Route, legs: Mapping[str, Leg]
) -> Iterator[tuple[str, tuple[Leg, Latencies]]]:
    """The components on the route that messages of its path were offered to, where all latencies are known."""
    import numpy as np

    for name in route.components:
        if name not in legs:
            continue
        bound = {"results": str(legs[name].results), "run": legs[name].run, "path": route.path.id}
        found = connection.execute(_LATENCIES, bound).fetchnumpy()
        values, counts = (np.ma.asarray(found[each], dtype=np.int64) for each in ("latency_us", "messages"))
        if len(values) and not np.ma.is_masked(values):  # of some it is not known when they were due
            yield name, (legs[name], Latencies(values=np.asarray(values), counts=np.asarray(counts)))


def _percentile(composed: Composed) -> dict[str, int]:
    return {
        "permille": composed.permille,
        "lower_us": composed.lower_us,
        "upper_us": composed.upper_us,
        "independent_us": composed.independent.value,
    }


def _held(path: MessagePath, latencies: Sequence[Latencies], *, whole: bool) -> dict[str, Any]:
    """The round trip that the path declares, held against the bounds."""
    if path.round_trip is None:
        return {}
    permille = -(-path.round_trip.share.value // 1000)
    composed, limit = compose(latencies, permille, grid_us=GRID_US), path.round_trip.within
    proved, refuted = whole and composed.upper_us <= limit, composed.lower_us > limit
    verdict = Verdict.PROVED if proved else Verdict.NOT_PROVED if refuted else Verdict.INCONCLUSIVE
    return {"round_trip": {**_percentile(composed), "limit_us": limit, "verdict": verdict.value}}
