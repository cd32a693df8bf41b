"""The scheduled regression: the tests that the programme declares for it, executed again, relying on nothing.

What comes of it is held against every regression before it (`tasks.trend`): a slow slide is in no day's own report.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.states import Completed

from catalog.declarations import NamedRegression, Programme, Regression
from catalog.reading import read_catalogue
from flows.cli import CATALOG
from flows.deployed import HOOKS, patience, settle
from flows.desk import occasion_of, open_desk, regression_of, today
from flows.phase import conclude, joined
from flows.remote import at_home
from flows.stages import index, trace_history
from tasks.trend import told


def run_name() -> str:
    """What Prefect's pages call a run: its occasion, as `occasion_of` gives it."""
    given = flow_run.parameters
    return given.get("occasion") or f"{given.get('which') or 'regression'}-{today()}"


@flow(name="regression", flow_run_name=run_name, persist_result=False, **HOOKS)
def regression(
    catalog: str = str(CATALOG),
    home: str = "",
    environment: str = "",
    occasion: str = "",
    which: str = "",
    cluster: str = "",
    shards: int = 0,
) -> "dict[str, Any] | State[Any]":
    """Executes the declared regression tests; returns what the phase's flow returns, the occasion, and the history.

    `history` is the digest of the history's record, `worse` how many figures are worse than before. The same is told to
    Prefect: as an artifact, and as the event `plimsoll.regression.held` or `plimsoll.regression.worse`.

    `which`: the id of a regression that is declared beside the scheduled one. `occasion`: what the runs are counted
    within and where the report is published, `regression-YYYY-MM-DD` (UTC; the id in place of `regression` where there
    is one) unless it is given. Within one occasion finished tests are not repeated: a second run on the same day
    completes the first. A run that a schedule planned for a day that is over ends as *Missed*, and executes nothing.
    `cluster`, `shards`: as of a capability phase.
    """
    if missed := _missed():
        return Completed(name="Missed", message=missed)
    programme = read_catalogue(Path(catalog)).programme
    declared, occasion = regression_of(programme, which), occasion_of(programme, occasion, which)
    folder = at_home(settle(home))
    where: dict[str, Any] = {"catalog": Path(catalog), "home": folder, "environment": environment}
    with (
        open_desk(declared.phase, **where, occasion=occasion, wait=patience()) as desk,
        joined(cluster, shards) as desk.cluster,
    ):
        types = [each.value for each in declared.types]
        done = conclude(desk, types=types, tests=_tests(programme, declared), environment=environment)
        traced = trace_history(desk)
        index(desk)
        reported = next(record for record in desk.workspace.ledger.records() if record.digest == done["record"])
        history = desk.workspace.store.document(traced.output("history.json") or "")
    verdicts = reported.parameters["verdicts"]
    tell(programme.programme.programme, history, verdicts, folder / "reports" / occasion)
    return {**done, "occasion": occasion, "history": traced.digest, "worse": history["worse"]}


def _tests(programme: Programme, declared: Regression | NamedRegression) -> list[str]:
    """Patterns of the tests of the roles that are declared; none where all are meant."""
    if isinstance(declared, Regression) or not declared.roles:
        return []
    roles = {each.id: each.role for each in programme.system.components}
    tested = programme.phase(declared.phase).components
    return [f"{declared.phase}.{each}.*" for each in tested if roles[each] in declared.roles]


def _missed() -> str:
    """Why this run comes too late: a schedule planned it for an earlier day (UTC). Empty where it does not."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.auto_scheduled or run.expected_start_time is None:
        return ""
    day = run.expected_start_time.astimezone(UTC).date()
    return f"planned for {day}, and a day that is over is not measured" if day < datetime.now(UTC).date() else ""


def tell(programme: str, history: Mapping[str, Any], verdicts: Mapping[str, int], folder: Path) -> None:
    """Tells Prefect how the regression came out: a table for people, an event for automations."""
    from prefect.artifacts import create_markdown_artifact
    from prefect.events import emit_event

    occasion, worse = history["days"][-1]["occasion"], history["worse"]
    held = not worse and not verdicts["not proved"] and not verdicts["inconclusive"]
    create_markdown_artifact(_markdown(history, verdicts, folder), key="plimsoll-regression", description=occasion)
    emit_event(
        event=f"plimsoll.regression.{'held' if held else 'worse'}",
        resource={"prefect.resource.id": f"plimsoll.regression.{programme}", "prefect.resource.name": occasion},
        payload={"occasion": occasion, "verdicts": dict(verdicts), "worse": worse, "report": str(folder)},
    )


def _markdown(history: Mapping[str, Any], verdicts: Mapping[str, int], folder: Path) -> str:
    """The outcome as Markdown; texts that are not ours stand as code."""
    counted = ", ".join(f"{count} {name}" for name, count in verdicts.items())
    head = f"# {history['days'][-1]['occasion']}\n\n{counted}. {history['worse']} figures are worse than before."
    rows = [
        f"| `{each['test']}` | `{_plain(each['requirement'])}` | `{_plain(each['scope'])}` | {'; '.join(told(each))} |"
        for each in history["series"]
        if each["worse"]
    ]
    table = ["", "| test | requirement | scope | what was found |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([head, *table, "", f"Report and history: `{folder}`", ""])


def _plain(text: str) -> str:
    return text.replace("`", "'").replace("|", "/")
