"""What Prefect's pages show of a run beside its state: how far it is, how each test ended, and where the report is."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from catalog.ledger import Record
from flows.desk import Desk
from flows.run import counted


@contextmanager
def showing(desk: Desk, total: int) -> Iterator[Callable[[int, str], None]]:
    """While tests are executed: what it gives is told how many are done, and which was the last."""
    if not total:
        yield lambda _done, _last: None
        return
    made: Any = create_progress_artifact(0.0, key=f"{key_of(desk)}-progress", description=f"0 of {total} tests")

    def tell(done: int, last: str) -> None:
        update_progress_artifact(made, 100 * done / total, description=f"{done} of {total} tests: {last}")

    yield tell


def show_report(desk: Desk, reported: Record) -> None:
    """A table of how every test ended, with its verdicts, and a link to the report."""
    columns = ("test", "ended", "proved", "not proved", "inconclusive")
    facts: Mapping[str, Any] = desk.workspace.store.document(reported.output("facts") or "")
    table = [dict(zip(columns, row, strict=True)) for row in counted(facts)]
    if table:
        create_table_artifact(table, key=f"{key_of(desk)}-tests", description=f"{desk.occasion}: how each test ended")
    create_link_artifact(link_of(desk), link_text=f"{desk.occasion}: completion report", key=f"{key_of(desk)}-report")


def link_of(desk: Desk) -> str:
    """Where the report of this occasion is: in the bucket, or a file of the machine that ran it."""
    name = f"reports/{desk.occasion}/report.html"
    bucket = desk.workspace.bucket
    return f"{bucket.url}/{name}" if bucket else (desk.workspace.home.resolve() / name).as_uri()


def key_of(desk: Desk) -> str:
    """What the artifacts' keys of this phase begin with; a regression's days share one, so that Prefect shows them
    as versions of the same."""
    day = re.compile(r"-?\d{4}-\d{2}-\d{2}$")
    named = f"{desk.programme.programme.programme}-{day.sub('', desk.occasion)}"
    return "plimsoll-" + re.sub("[^a-z0-9]+", "-", named.lower()).strip("-")
