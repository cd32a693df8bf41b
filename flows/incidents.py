"""What people and Prefect are told of infrastructure beyond its limits, while a test runs and when it has ended.

Both are events that an automation can act on: `plimsoll.infrastructure.beyond` for the first sample beyond a limit,
which breaches nothing by itself, and `plimsoll.incident` for a breach, which is in the ledger by then.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

from catalog.ledger import Record
from catalog.shown import shown
from flows.progress import current
from tasks.alarm import Crossing, Tell

Logger = logging.Logger | logging.LoggerAdapter[Any]


@contextmanager
def telling(run: str, log: Logger) -> Iterator[Tell]:
    """While a test runs: tells of each crossing in a thread of its own, for whoever samples must not wait.

    It tells in the context of the flow, which knows Prefect's API.
    """
    context = copy_context()
    with ThreadPoolExecutor(1, "telling") as thread:
        yield lambda crossing: thread.submit(context.run, tell_crossing, run, log, crossing)


def tell_crossing(run: str, log: Logger, crossing: Crossing) -> None:
    """Tells that a sample of a run that goes on lies beyond a limit."""
    at = datetime.fromtimestamp(crossing.at_us / 1_000_000, UTC).strftime("%H:%M:%S")
    value, limit = (shown(each, crossing.unit) for each in (crossing.value, crossing.limit))
    text = f"{run}  {crossing.requirement}: {crossing.metric} is sampled at {value}, beyond {limit}, at {at} UTC"
    current().say(f"beyond limit  {text}")
    log.warning("beyond its limit: %s", text)
    _emit("plimsoll.infrastructure.beyond", run, f"{run}/{crossing.requirement}",
          {name: getattr(crossing, name) for name in crossing.__dataclass_fields__})  # fmt: skip


def tell_incident(record: Record, incident: Mapping[str, Any]) -> None:
    """Tells of an incident that was recorded."""
    from prefect import get_run_logger

    value, limit = (shown(incident[name], incident["unit"]) for name in ("value", "limit"))
    text = (
        f"{incident['run']}  {incident['requirement']}: {incident['metric']} {value}, beyond {limit}; "
        f"{incident['beyond']} of {incident['samples']} samples"
    )
    current().say(f"incident      {text}")
    get_run_logger().error("incident: %s, %s", text, record)
    _emit("plimsoll.incident", incident["run"], f"{incident['run']}/{incident['requirement']}",
          {**incident, "record": record.sequence, "digest": record.digest})  # fmt: skip


def _emit(event: str, run: str, subject: str, payload: Mapping[str, Any]) -> None:
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"plimsoll.requirement.{subject}", "prefect.resource.name": subject}
    related = [{"prefect.resource.id": f"plimsoll.run.{run}", "prefect.resource.role": "test-run"}]
    emit_event(event=event, resource=resource, related=related, payload=dict(payload))
