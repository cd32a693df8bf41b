"""Whether invalid requests are refused as is right, and the rest is answered meanwhile."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.verdicts import Outcome
from tasks.measures.rows import ALL, Row, bootstrapped, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

VALID = "valid"
"""The scope of the requests and alerts that are right."""

_EXPECTED = f"""
    SELECT CASE WHEN expect = '{Outcome.OK}' THEN '{VALID}' ELSE traffic END AS scope, block,
           count(*) AS total, count(*) FILTER (good) AS right_ones
    FROM offered GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - made of constants only


def negative_path(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The share refused with the error that is right, of all invalid requests and of each kind; that of the rest."""
    import numpy as np

    found = fetched(connection.execute(_EXPECTED))
    invalid = found["scope"] != VALID
    for scope in sorted(set(found["scope"])):
        metric = Metric.ANSWERED_SHARE if scope == VALID else Metric.REFUSED_SHARE
        yield _share(run, scope, metric, {name: found[name][found["scope"] == scope] for name in found})
    if np.any(invalid):
        yield _share(run, ALL, Metric.REFUSED_SHARE, {name: found[name][invalid] for name in found})


def _share(run: Run, scope: str, metric: Metric, found: "dict[str, NDArray[Any]]") -> Row:
    import numpy as np

    blocks = run["blocks"]
    right, totals = (
        np.bincount(found["block"], weights=found[name], minlength=blocks).astype(np.int64).tolist()
        for name in ("right_ones", "total")
    )
    estimate = statistics.share_interval(right, totals, seed=run["seed"], level=run.level)
    what = "answered" if metric is Metric.ANSWERED_SHARE else "refused with an error"
    held = sum(1 for each in totals if each)
    method = bootstrapped(run, held, estimate, f"share {what}, of all such messages, Clopper-Pearson")
    return row(scope, metric, estimate, Unit.PARTS_PER_MILLION, sum(totals), method)
