"""What the volume model costs: `python benchmarks/volumes.py`, by hand, prints one JSON document; a few seconds.

The shipped programme with 53 million meters and every variant of the register, all phases: messages by period,
component, path, SRV, kind and mode. Beside it, from the same rounds, one hand-written DuckDB query of the same
aggregation over tables that are loaded already, in doubles and rounded row by row: it conserves no total. Medians.
"""

import json
import time
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from catalog.declarations import ComponentScope, MessageKind, Programme
from catalog.reading import read_programme
from tasks.volumes.model import _modes, busiest_day, model_phase
from tasks.volumes.spread import minute_weights, period_weights
from tasks.volumes.streams import declared_values, passing, streams
from tasks.volumes.tables import levels_tested, tabulate

_FOLDER = Path(__file__).parents[1] / "catalog" / "smets1"
_METERS = 53_000_000
_ROUNDS = 7

_QUERY = """
    SELECT phase, period, component, path, srv, kind, mode,
           CAST(round(sum(amount * part * portion)) AS BIGINT) AS messages
    FROM parts
    JOIN cells USING ("group")
    JOIN portions USING (source)
    JOIN passed USING (path, cohort)
    WHERE (passed.kind <> 'acknowledgement' OR cells.mode <> 'scheduled')
    GROUP BY ALL
    HAVING messages > 0
    ORDER BY ALL
"""


def whole_estate() -> Programme:
    """The shipped programme, its forecasts scaled to 53 million meters in the last phase, with every variant in it."""
    document = read_programme(_FOLDER).model_dump(mode="json", by_alias=True)
    last = sum(row["meters"] for row in document["forecasts"] if row["phase"] == "foc")
    for row in document["forecasts"]:
        row["meters"] = row["meters"] * _METERS // last
    listed = {each["srv"] for group in document["volumes"]["groups"] for each in group["srvs"]}
    other = next(group for group in document["volumes"]["groups"] if group["id"] == "other")
    other["srvs"] += [{"srv": row["srv"], "weight": 1} for row in document["srv_register"] if row["srv"] not in listed]
    return Programme.model_validate(document)


def load(connection: duckdb.DuckDBPyConnection, programme: Programme) -> None:
    """The tables of the query: exact parts of each stream, the cells of each group, portions of the day, paths."""
    parts: list[tuple[Any, ...]] = []
    passed: set[tuple[str, str, str, str]] = set()
    portions: set[tuple[str, str, float]] = set()
    for phase in (phase.id for phase in programme.programme.phases):
        for stream in streams(programme, busiest_day(programme, phase), declared_values(programme)):
            source = f"{stream.source}/{stream.in_window}/{stream.profile}"
            parts += [
                (phase, source, stream.cohort.id, stream.path.id, part.message or part.group, float(part.amount))
                for part in stream.parts
            ]
            inside = Fraction(programme.assumption(stream.in_window).value)
            weights = period_weights(programme.volumes.periods, minute_weights(programme, inside, stream.profile))
            for period, weight in zip(programme.volumes.periods, weights, strict=True):
                portions.add((source, period.id, weight / sum(weights)))
            for component in passing(programme, stream):
                if component.scope is not ComponentScope.OUTSIDE:
                    kinds = [stream.path.offers.value]
                    kinds += [MessageKind.RESPONSE.value] if stream.path.offers is MessageKind.REQUEST else []
                    kinds += ["acknowledgement"] if component.id in stream.path.acknowledged_by else []
                    passed |= {(stream.path.id, stream.cohort.id, component.id, kind) for kind in kinds}
    cells = [
        (group.id, weighted.srv, mode, weighted.weight / sum(each.weight for each in group.srvs) * float(share))
        for group in programme.volumes.groups
        for weighted in group.srvs
        for mode, share in _modes(programme, group, weighted.srv)
    ]
    cells += [(each.id, each.id, "not split", 1.0) for each in programme.volumes.own_messages]
    for name, columns, rows in (
        ("parts", 'phase VARCHAR, source VARCHAR, cohort VARCHAR, path VARCHAR, "group" VARCHAR, amount DOUBLE', parts),
        ("cells", '"group" VARCHAR, srv VARCHAR, mode VARCHAR, part DOUBLE', cells),
        ("portions", "source VARCHAR, period VARCHAR, portion DOUBLE", sorted(portions)),
        ("passed", "path VARCHAR, cohort VARCHAR, component VARCHAR, kind VARCHAR", sorted(passed)),
    ):
        connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608 - ours


def main() -> None:
    """Times the model and the query in turn, and the tables apart."""
    programme = whole_estate()
    phases = [phase.id for phase in programme.programme.phases]
    connection = duckdb.connect()
    load(connection, programme)
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        models = {phase: model_phase(programme, phase) for phase in phases}
        between = time.perf_counter()
        rows = connection.execute(_QUERY).fetchall()
        ours.append(between - begun)
        theirs.append(time.perf_counter() - between)
    begun = time.perf_counter()
    tabulate(programme, models["foc"], levels_tested(programme, "foc", {name: m.rows for name, m in models.items()}))
    tables = time.perf_counter() - begun
    modelled = sum(row.messages for model in models.values() for row in model.rows)
    queried = sum(row[-1] for row in rows)
    print(
        json.dumps(
            {
                "rows, model": sum(len(model.rows) for model in models.values()),
                "rows, query": len(rows),
                "messages, model": modelled,
                "messages, query (rounded row by row)": queried,
                "model, s": round(median(ours), 3),
                "one DuckDB query, s": round(median(theirs), 3),
                "allowed (1.5 times the query + 0.5), s": round(1.5 * median(theirs) + 0.5, 3),
                "tables, peaks, sensitivity of one phase (10,000 draws), s": round(tables, 3),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
