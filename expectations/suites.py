"""The three suites of Great Expectations that run over the judged table: *sufficient*, *proved* and *refuted*.

They are generated from the declarations of metrics, units and directions, never from single requirements: a thousand
requirements are a thousand rows, not a thousand expectations. Importing this takes as long as importing Great
Expectations does (many seconds), so only the judge's own process does it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from great_expectations import ExpectationSuite
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
from great_expectations.expectations.metrics.query_metrics.query_table.query_table import QueryTable

from catalog.declarations import METRICS, Direction
from expectations.further import Expectation, check_of, failing
from expectations.verdicts import Need

SUFFICIENT, PROVED, REFUTED = "sufficient", "proved", "refuted"

_KNOWN = ", ".join(f"('{metric}', '{unit}', '{direction}')" for metric, (unit, direction, _) in METRICS.items())

_NEEDS: dict[Need, tuple[str, str]] = {
    Need.REACHABLE: ("unreachable = ''", "the system under test was reachable"),
    Need.INTACT: ("withdrawn = ''", "the evidence is not withdrawn"),
    Need.MEASURED: ("value IS NOT NULL", "every requirement has its measurement"),
    Need.AGREEING: (
        f"unit = limit_unit AND (split_part(metric, '/', 1), limit_unit, direction) IN ({_KNOWN})",
        "measurement and limit have the metric's declared unit and direction",
    ),
    Need.OFFERED: ("offered >= target", "every message of the target volume was taken up"),
    Need.IN_TIME: (
        "closed_loop OR lateness_us <= lateness_limit_us",
        "messages were taken up when they were due, where they were due at all",
    ),
    Need.COVERED: (
        "coverage_needed_ppm = 0 OR coverage_ppm >= coverage_needed_ppm",
        "enough of the expected infrastructure samples are there",
    ),
    Need.SAMPLES: ("samples >= needed_samples", "the measurement rests on enough samples"),
    Need.INTERVAL: ("value IS NULL OR (lower <= value AND value <= upper)", "the measurement has its interval"),
}
"""What each row needs, as a condition that it must meet, and in words."""

_INSIDE = {Direction.AT_MOST: 'upper <= "limit"', Direction.AT_LEAST: 'lower >= "limit"'}
_OUTSIDE = {Direction.AT_MOST: 'lower > "limit"', Direction.AT_LEAST: 'upper < "limit"'}


class CompleteUnexpectedRows(QueryTable):
    """Every row that a query returns: Great Expectations' own metric stops at 200."""

    metric_name = "plimsoll.unexpected_rows"
    value_keys = ("unexpected_rows_query", "fetch_all")
    query_param_name: ClassVar[str] = "unexpected_rows_query"


class ExpectObservations(UnexpectedRowsExpectation):
    """Expects every row to meet a condition, and names each one that does not; an unknown does not meet it."""

    fetch_all: bool = True

    metric_dependencies: ClassVar[tuple[str, ...]] = (
        CompleteUnexpectedRows.metric_name,
        "unexpected_rows_query.row_count",
    )
    success_keys: ClassVar[tuple[str, ...]] = ("unexpected_rows_query", "fetch_all")

    @classmethod
    def to(cls, condition: str, *, check: str, description: str) -> "ExpectObservations":
        """The expectation that `condition` (SQL over a row of the judged table) holds for all of them."""
        return cls(unexpected_rows_query=failing(condition, "{batch}"), description=description, meta={"check": check})

    def _validate(
        self, metrics: Mapping[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        complete = {**metrics, "unexpected_rows_query.table": metrics[CompleteUnexpectedRows.metric_name]}
        return super()._validate(complete, runtime_configuration, execution_engine)


def suites(further: Iterable[Expectation] = ()) -> dict[str, ExpectationSuite]:
    """The three suites by name; each expectation's `meta` names its check.

    `further` ones are among those of what suffices, under the names of `check_of`.
    """
    needs = [(need.value, sql, words) for need, (sql, words) in _NEEDS.items()]
    needs += [(check_of(each.name), each.condition, each.description) for each in further]
    checks = [ExpectObservations.to(sql, check=check, description=words) for check, sql, words in needs]
    return {
        SUFFICIENT: _suite(SUFFICIENT, checks),
        PROVED: _suite(PROVED, _sided(_INSIDE, "inside")),
        REFUTED: _suite(REFUTED, _sided(_OUTSIDE, "outside")),
    }


def _suite(name: str, expectations: Iterable[ExpectObservations]) -> ExpectationSuite:
    return ExpectationSuite(name=name, expectations=list(expectations))


def _sided(conditions: Mapping[Direction, str], where: str) -> Iterable[ExpectObservations]:
    for direction, condition in conditions.items():
        yield ExpectObservations.to(
            f"direction <> '{direction}' OR {condition}",
            check=direction,
            description=f"the whole interval lies {where} the limit, where good is {direction}",
        )
