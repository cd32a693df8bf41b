"""What the report tells of results that a service provider submitted: by whom, what with, and what is odd about them.

All of it is read off the intake's record and its account; nothing is judged anew.
"""

from collections.abc import Iterator
from typing import Any

from expectations.verdicts import CLOSED_LOOP
from tasks.report.context import Context, Row, quoted
from tasks.report.figures import Figure

UNSTATED = "not stated"

_CLOSED = (
    "A closed loop waits for its answers: which messages it did not send, and how late it sent them, is not known. "
    "Service times count from sending, and nothing that is limited from when a message was due can be proved."
)
_NOT_MESSAGES = {
    "headers": "a header",
    "blank": "blank",
    "continued": "within a record that began before",
}


def received(context: Context, run: Row) -> dict[str, Any] | None:
    """The submission that a run stands on; None for a run of our own."""
    account, document = run.get("account"), run["document"] or {}
    told = document.get("received")
    if not account or not told:
        return None
    manifest, capability = account["manifest"], told["capability"]
    evidence = [run["digests"]["account"], run["record"]]

    def figure(name: str, value: int, unit: str = "count") -> Figure:
        return context.figures.figure(f"run/{run['run']}/intake/{name}", value, unit, evidence)

    return {
        "by": manifest["submitted_by"]["name"],
        "organisation": manifest["submitted_by"]["organisation"],
        "at": manifest["submitted_at"] or UNSTATED,
        "tool": told["tool"],
        "tool_stated": _told(manifest["tool"]),
        "gives": "messages" if capability["gives"] == "raw" else "the tool's own figures, and no message",
        "loop": capability["loop"],
        "caution": _CLOSED if capability["loop"] == CLOSED_LOOP else "",
        "latency_from": capability["latency_from"],
        "percentiles": capability["percentiles"],
        "warm_up": manifest["load"]["warm_up"] or capability["warm_up"],
        "resolution": figure("resolution", capability["resolution_us"], "us") if capability["resolution_us"] else None,
        "messages": figure("messages", told["messages"]),
        "stated": list(_stated(manifest)),
        "files": [
            {"name": each["name"], "size": figure(f"file/{number}", each["bytes"], "bytes"), "digest": each["digest"]}
            for number, each in enumerate(account["files"], 1)
        ],
        "read": [_read(each, f"read/{number}", figure) for number, each in enumerate(account["read"], 1)],
        "findings": [{name: each[name] for name in ("code", "message")} for each in account["findings"]],
    }


def _stated(manifest: Row) -> Iterator[dict[str, str]]:
    """What its submitter states of the results, and what they do not."""
    environment, load, clock = manifest["environment"], manifest["load"], manifest["clock"]
    for name, each in manifest["components"].items():
        yield {"what": f"component {name}", "value": _told(each)}
    if not manifest["components"]:
        yield {"what": "components", "value": UNSTATED}
    yield {"what": "environment", "value": _told(environment)}
    yield {"what": "load", "value": _told(load)}
    yield {"what": "clock", "value": _told(clock)}
    window = manifest["window"]
    yield {"what": "window", "value": f"{window['start']} to {window['end']}" if window else UNSTATED}
    yield {"what": "assumptions", "value": _told(manifest["assumptions"])}
    if manifest["notes"]:
        yield {"what": "notes", "value": quoted(manifest["notes"])}


def _told(parts: Row) -> str:
    found = {name.replace("_", " "): value for name, value in parts.items() if value}
    return "; ".join(f"{name} {quoted(value)}" for name, value in found.items()) or UNSTATED


def _read(each: Row, name: str, figure: Any) -> dict[str, Any]:
    """What became of every unit of one file; the counts add up to its total."""
    account = [{"what": "taken", "count": figure(f"{name}/taken", each["taken"]), "where": ""}]
    beside = {**{what: each[part] for part, what in _NOT_MESSAGES.items()}, **each["beside"]}
    for number, (what, count) in enumerate(beside.items()):
        if count:
            account.append({"what": what, "count": figure(f"{name}/beside/{number}", count), "where": ""})
    for number, skipped in enumerate(each["skipped"]):
        where = ", ".join(map(str, skipped["lines"][:5])) + (" …" if skipped["count"] > 5 else "")
        account.append({
            "what": f"skipped: {skipped['reason']}",
            "count": figure(f"{name}/skipped/{number}", skipped["count"]),
            "where": f"at {where}" if where else "",
        })  # fmt: skip
    return {
        "name": each["name"],
        "format": each["format"],
        "tool": f"{each['tool']} {each['version']}".strip(),
        "unit": each["unit"],
        "total": figure(f"{name}/total", each["total"]),
        "account": account,
        "assumed": [{"what": what, "value": quoted(value)} for what, value in each["assumed"].items()],
    }
