"""The further expectations that a programme names: found, and as the key of whatever is observed under them holds them.

A key has their conditions by value, so that whoever computes an observation again needs nothing but the evidence.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from catalog.declarations import Programme
from catalog.extensions import ExtensionError, Point, load, used
from expectations.further import Expectation, failing

EXPECTATIONS = "expectations"
"""The setting of a key under which they stand."""


def expectations_of(programme: Programme) -> dict[str, Any]:
    """The setting of a key; absent where a programme names none. Raises ExtensionError where one cannot be used."""
    found = [{**expectation(name).as_json(), **_identity(name)} for name in programme.expectations]
    return {EXPECTATIONS: found} if found else {}


def expectation(name: str) -> Expectation:
    """The expectation of that name. Raises ExtensionError where there is none, or it is none."""
    found = load(Point.EXPECTATIONS, name)
    made = found() if callable(found) else found
    if not isinstance(made, Expectation) or made.name != name:
        raise ExtensionError(f"the expectation '{name}' is no Expectation of that name: docs/extending.md shows one")
    return made


def expected(settings: Mapping[str, Any]) -> list[Expectation]:
    """The expectations that a key's settings hold."""
    names = ("name", "condition", "description")
    return [Expectation(**{name: each[name] for name in names}) for each in settings.get(EXPECTATIONS, ())]


def unmet(database: Path, table: str, expectations: Iterable[Expectation]) -> dict[str, frozenset[str]]:
    """By name, the observations in a DuckDB file that do not meet each; ExtensionError where one cannot be asked."""
    import duckdb

    found = {}
    with duckdb.connect(database, read_only=True) as connection:
        for each in expectations:
            try:
                rows = connection.execute(failing(each.condition, table)).fetchall()
            except duckdb.Error as error:
                told = str(error).splitlines()[0]
                raise ExtensionError(f"the expectation '{each.name}' has no condition to be asked: {told}") from error
            found[each.name] = frozenset(row[0] for row in rows)
    return found


def _identity(name: str) -> dict[str, Any]:
    [identity] = used({Point.EXPECTATIONS: [name]}).values()
    return {"extension": identity}
