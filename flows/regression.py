"""The scheduled regression: the tests that the programme declares for it, executed again, relying on nothing.

What comes of it is held against every regression before it (`tasks.trend`): a slow slide is in no day's own report.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow

from catalog.reading import read_catalogue
from flows.capability_phase import capability_phase
from flows.cli import CATALOG
from flows.desk import occasion_of, open_desk
from flows.remote import at_home
from flows.stages import index, trace_history
from tasks.trend import told


@flow(name="regression", persist_result=False)
def regression(
    catalog: str = str(CATALOG),
    home: str = ".plimsoll",
    environment: str = "",
    occasion: str = "",
    cluster: str = "",
    shards: int = 0,
) -> dict[str, Any]:
    """Executes the declared regression tests; returns what the phase's flow returns, the occasion, and the history.

    `history` is the digest of the history's record, `worse` how many figures are worse than before. The same is told to
    Prefect: as an artifact, and as the event `plimsoll.regression.held` or `plimsoll.regression.worse`.

    `occasion`: what the runs are counted within and where the report is published, `regression-YYYY-MM-DD` (UTC) unless
    it is given. Within one occasion finished tests are not repeated: a second run on the same day completes the first.
    `cluster`, `shards`: as of a capability phase.
    """
    programme = read_catalogue(Path(catalog)).programme
    occasion = occasion_of(programme, occasion)
    declared = programme.programme.regression
    types = [each.value for each in declared.types]
    done = capability_phase(
        phase=declared.phase,
        catalog=catalog,
        home=home,
        environment=environment,
        types=types,
        occasion=occasion,
        cluster=cluster,
        shards=shards,
    )
    folder = at_home(home)
    where: dict[str, Any] = {"catalog": Path(catalog), "home": folder, "environment": environment}
    with open_desk(declared.phase, **where, occasion=occasion) as desk:
        traced = trace_history(desk)
        index(desk)
        reported = next(record for record in desk.workspace.ledger.records() if record.digest == done["record"])
        history = desk.workspace.store.document(traced.output("history.json") or "")
    verdicts = reported.parameters["verdicts"]
    tell(programme.programme.programme, history, verdicts, folder / "reports" / occasion)
    return {**done, "occasion": occasion, "history": traced.digest, "worse": history["worse"]}


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
