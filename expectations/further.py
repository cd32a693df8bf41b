"""Further expectations: what a programme demands of every observation beyond what every observation needs.

They come from installed distributions, by name. One that is not met leaves an observation inconclusive: nothing that is
added can prove or refute anything, nor take away what `expectations.verdicts.Need` asks for.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What every row of the judged table must meet, or its observation is inconclusive.

    `condition`: SQL (DuckDB) over the columns of `expectations.verdicts.Judged`; a row for which it is not true, or not
    known, does not meet it. `description`: the same in words, for whoever reads the reason.
    """

    name: str
    condition: str
    description: str

    @property
    def words(self) -> str:
        """How a reason tells it."""
        return f"{self.description} ({self.name})"

    def as_json(self) -> dict[str, Any]:
        """As keys, and requests to the judge, hold it."""
        return asdict(self)


def check_of(name: str) -> str:
    """What the check of an expectation is called in its suite, so that no name is that of a need."""
    return f"expectation:{name}"


def failing(condition: str, table: str) -> str:
    """The SQL that names the observations of `table` which do not meet a condition, in order."""
    return f"SELECT observation FROM {table} WHERE NOT coalesce({condition}, false) ORDER BY observation"  # noqa: S608  # conditions are code: declared here, or by a distribution that somebody installed
