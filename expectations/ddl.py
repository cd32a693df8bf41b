"""The statements that create the tables of evidence, as they were generated from their contracts.

Contracts are pandera models, which take two seconds to load; whoever only makes the tables in DuckDB reads tables.sql.
"""

from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("tables.sql")
_CREATE = "CREATE TABLE "


@cache
def _known() -> dict[str, str]:
    parts = _FILE.read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    return {part.removeprefix(_CREATE).split()[0]: part for part in parts if part.startswith(_CREATE)}


def names() -> tuple[str, ...]:
    """The names of the tables, in the order of the pipeline."""
    return tuple(_known())


def ddl(name: str) -> str:
    """DuckDB statements that create the table empty, as `expectations.tables.ddl`. KeyError for a name of none."""
    return _known()[name]
