"""The scheduled regression: the tests that the programme declares for it, executed again, relying on nothing."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow

from catalog.declarations import Programme
from catalog.errors import UsageError
from catalog.reading import read_catalogue
from flows.capability_phase import capability_phase
from flows.cli import CATALOG

_OCCASION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # it names a folder of reports


@flow(name="regression", persist_result=False)
def regression(
    catalog: str = str(CATALOG), home: str = ".plimsoll", environment: str = "", occasion: str = ""
) -> dict[str, Any]:
    """Executes the declared regression tests; returns what the phase's flow returns, and the occasion.

    `occasion`: what the runs are counted within and where the report is published, `regression-YYYY-MM-DD` (UTC) unless
    it is given. Within one occasion finished tests are not repeated: a second run on the same day completes the first.
    """
    programme = read_catalogue(Path(catalog)).programme
    occasion = occasion_of(programme, occasion)
    declared = programme.programme.regression
    types = [each.value for each in declared.types]
    done = capability_phase(
        phase=declared.phase, catalog=catalog, home=home, environment=environment, types=types, occasion=occasion
    )
    return {**done, "occasion": occasion}


def occasion_of(programme: Programme, asked: str) -> str:
    """The occasion of a regression: what was asked for, else today's.

    Raises UsageError for a capability phase's name, whose own runs would be taken for the regression's, and for what
    is no name of a folder.
    """
    occasion = asked or f"regression-{datetime.now(UTC).date().isoformat()}"
    if occasion in {phase.id for phase in programme.programme.phases}:
        raise UsageError(f"{occasion!r} is a capability phase, and a regression is none", remedy=_REMEDY)
    if not _OCCASION.fullmatch(occasion):
        raise UsageError(f"{occasion!r} does not name an occasion", remedy=_REMEDY)
    return occasion


_REMEDY = "Give none for today's, or a name such as regression-2026-01-31."
