"""A breach: an infrastructure requirement beyond whose limit lies what was measured of a run; when, and by how much.

The samples beyond the limit say when. Growth over a run has no such moment and is left to its observation. A breach
needs no verdict, so it can be told as soon as the run that it happened in is measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalog.declarations import Direction, Metric, Requirement
from tasks.measures.resources import sampled_as, samples_of
from tasks.measures.rows import ALL
from tasks.measures.subject import Run, Tables, database, prepare
from tasks.observe import Subject, judged_rows
from tasks.scratch import scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An infrastructure requirement, and what was measured of it over a run, which lies beyond its limit."""

    run: str
    test: str
    requirement: str
    metric: str
    value: int
    limit: int
    unit: str

    def as_json(self) -> dict[str, Any]:
        """The breach as an incident's key and document hold it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def out_of(cls, document: Mapping[str, Any]) -> "Breach":
        """The breach in a document or row that holds more."""
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})


def breaches(observations: Sequence[Mapping[str, Any]]) -> Iterator[Breach]:
    """The breaches among the rows of an observations table."""
    for row in observations:
        if is_infrastructure(str(row["metric"])) and row["scope"] == ALL and _is_beyond(row):
            yield Breach.out_of(row)


def measured_breaches(run: Mapping[str, Any], measurements: Path, requirements: Sequence[Requirement]) -> list[Breach]:
    """The breaches in one run by its measurements alone: those that its observations will tell of.

    `run`: its document; `measurements`: its table; `requirements`: those in force.
    """
    with scratch() as folder:
        subject = Subject(document=run, measurements=measurements)
        rows = judged_rows([subject], requirements, Path(folder) / "measured.duckdb")
    return list(breaches([asdict(row) for row in rows]))


def is_infrastructure(metric: str) -> bool:
    """Whether a metric is of an infrastructure resource, of which single samples tell."""
    return metric in set(Metric) and sampled_as(Metric(metric)) is not None


def _is_beyond(row: Mapping[str, Any]) -> bool:
    if row["value"] is None:
        return False
    beyond = row["value"] - row["limit"]
    return bool(beyond > 0 if row["direction"] == Direction.AT_MOST else beyond < 0)


def describe(breach: Breach, run: Mapping[str, Any], infrastructure: Path) -> dict[str, Any]:
    """A breach with the samples beyond the limit: how many of how many, the first, the last and the farthest.

    `run`: the run's document. Times are microseconds since the epoch, values in the unit of the requirement.
    """
    metric = Metric(breach.metric)
    name, factor = sampled_as(metric) or ("", 1)
    with database() as connection:
        tables = Tables(results=None, infrastructure=infrastructure, withins=(), groups={})
        prepare(connection, Run(run), tables)
        at_us, values = samples_of(connection).get(name, ((), ()))
    told = [(int(at), int(value) * factor) for at, value in zip(at_us, values, strict=True)]
    beyond = [(at, value) for at, value in told if value > breach.limit]
    return {
        **breach.as_json(),
        "component": run["component"],
        "samples": len(told),
        "beyond": len(beyond),
        "first_us": beyond[0][0] if beyond else None,
        "last_us": beyond[-1][0] if beyond else None,
        "peak": max((value for _, value in told), default=None),
    }
