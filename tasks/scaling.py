"""Tells a real system beforehand when its capacity is to change in a test of scaling; it changes it by its own means.

A POST of JSON, `{"changes": [{"after_us": 0, "capacity": "0.5"}, …]}`: multiples of the declared capacity, and instants
in microseconds from the first message on, as an emulated component counts them. After the load, whatever came of it,
there is another with no changes: all capacity is to be there again.
"""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

from catalog.declarations import CapacityPlan
from catalog.errors import WorldError
from tasks.wire import tls

_WITHIN_S = 10


def changes_of(plan: CapacityPlan, compression: Fraction) -> list[dict[str, Any]]:
    """The changes as they are told, of a test that is so many times shorter than declared."""
    timed = [(0, plan.begins_with), *((each.at, each.capacity) for each in (plan.added, plan.removed))]
    return [{"after_us": round(at / compression), "capacity": format(capacity, "f")} for at, capacity in timed]


@contextmanager
def scaled_system(url: str, changes: list[dict[str, Any]], names: tls.Names) -> Iterator[dict[str, Any]]:
    """A system that knows of the changes while it is entered; gives what a run's document says of it.

    Raises WorldError where it does not take them.
    """
    try:
        yield {"scaled": {"told": url, "changes": changes, "answer": _tell(url, changes, names)}}
    finally:
        _tell(url, [], names)


def _tell(url: str, changes: list[dict[str, Any]], names: tls.Names) -> str:
    parts = urlsplit(url)
    place: dict[str, Any] = {"host": parts.hostname or "", "port": parts.port, "timeout": _WITHIN_S}
    connection = (
        http.client.HTTPSConnection(**place, context=tls.client_context(names))
        if parts.scheme == "https"
        else http.client.HTTPConnection(**place)
    )
    remedy = "Check what `scaled_by` names in environments.yaml."
    try:
        body = json.dumps({"changes": changes})
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        why = tls.reason(error) if isinstance(error, OSError) else f"no HTTP answer: {type(error).__name__}"
        raise WorldError(f"{url} cannot be told of changes of capacity: {why}", remedy=remedy) from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise WorldError(f"{url} did not take changes of capacity: it answered {answer.status}", remedy=remedy)
    return text[:200]
