"""`plimsoll run` and `plimsoll report`: the capability phase from the command line.

When the ledger shows that nothing is left to do, the answer comes from there, and Prefect is not even started.
"""

import atexit
import os
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import rules
from catalog.canonical import digest
from catalog.errors import Status, UsageError
from catalog.extensions import other
from catalog.inspection.page import publish_page
from catalog.ledger import Kind, Record
from catalog.workspace import FORMAT_FILE, Workspace, refuse_as_home
from flows.cli import usual_catalog
from flows.desk import asked
from flows.progress import Progress, current, use
from flows.show import MARKS, console, escape, print_json, table

if TYPE_CHECKING:
    from tasks.wire.process import ChildProcess

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_CLI_PROMPT": "false",
}
"""Prefect says nothing to anybody and leaves stderr to our progress; whatever is set already wins."""


def run(options: Namespace) -> Status:
    """Runs a phase, or finds that it is complete."""
    again = _again(options)
    types, tests = _types(options.types), _listed(options.tests)
    sample = _sample(options.sample_reliance)
    refuse_as_home(options.home)
    wanted = asked(options.environment, types, tests, sample)
    complete = None if again else finished(options.home, options.catalog, options.phase, wanted)
    if complete is not None:
        return _answer(options, complete, executed=0)
    reported, executed = _run_flow(options, types, again, tests=tests, sample=sample)
    return _answer(options, reported, executed=executed)


def report(options: Namespace) -> Status:
    """Assembles a phase's report again from what is recorded; executes nothing. Or sets two side by side."""
    refuse_as_home(options.home)
    if options.compare:
        return _compared(options)
    if not options.phase:
        raise UsageError(
            "which phase's report?", remedy="Name it: plimsoll report PHASE, or compare two: --compare A B."
        )
    reported = finished(options.home, options.catalog, options.phase, asked(options.environment, [], []))
    if reported is None:
        reported, workspace = _assembled(options), Workspace.open(options.home)
    else:  # what was published may have been altered, or be gone
        workspace = Workspace.open(options.home)
        workspace.publish(reported)
        publish_page(workspace, reported)
    path = None
    if options.format != "html" or options.out:
        from flows.report import write_copy

        path = write_copy(workspace, reported, options.format, options.out)
    return _answer(options, reported, executed=0, path=path)


def _assembled(options: Namespace) -> Record:
    """The phase's report, assembled from what is recorded. Nothing is executed, so no flow of Prefect is run for it."""
    from flows.phase import run_phase

    use(Progress(quiet=False))
    done = run_phase(
        options.phase, catalog=options.catalog, home=str(options.home), environment=options.environment, execute=False
    )
    return _record(options.home, done["record"])


def _compared(options: Namespace) -> Status:
    """Prints what changed between two phases or runs, and writes the page of it."""
    from catalog.canonical import canonical
    from catalog.store import write_durably
    from flows.report import compare_reports
    from tasks.report.render import render_comparison

    if options.format not in ("html", "json"):
        raise UsageError("a comparison is a page or JSON", remedy="Take --format html or --format json.")
    found = compare_reports(options)
    name = "-".join(each.replace("/", ".") for each in options.compare)
    file = options.out or Path(f"compare-{name}.{options.format}")
    written = canonical(found) + b"\n" if options.format == "json" else render_comparison(found).encode()
    write_durably(file, written)
    if options.json:
        print_json({**found, "page": str(file)})
        return Status.PROVED
    out = console()
    out.print(escape("".join(part if isinstance(part, str) else part["text"] for part in found["outcome"])))
    rows = [
        [escape(cell if isinstance(cell, str) else cell.get("text") or cell.get("badge", "")) for cell in row]
        for row in found["sections"][0]["tables"][0]["rows"]
    ]
    matters = [(row[1], row[0], row[2], row[4], row[6], row[8]) for row in rows if not row[8].startswith("cannot be")]
    if matters:
        columns = ("test", "requirement", *options.compare, "change", "whether it matters")
        out.print(table("What changed", columns, matters, right=(*options.compare, "change")))
    out.print(f"page     {escape(file)}")
    return Status.PROVED


def finished(home: Path, catalog: Path, phase: str, wanted: dict[str, Any]) -> Record | None:
    """The record of the phase's report, when everything that it rests on is as it was and nothing is left to do.

    Fails closed: whatever is unknown, changed, withdrawn, damaged, or was inconclusive for a cause outside the figure
    means that the phase is run.
    """
    if not (home / FORMAT_FILE).exists():
        return None
    workspace = Workspace.open(home)
    reported = workspace.select(Kind.REPORTED, phase=phase, occasion=phase)
    if not reported or not _is_current(workspace, reported[-1], catalog, wanted):
        return None
    return reported[-1]


def _is_current(workspace: Workspace, reported: Record, catalog: Path, wanted: dict[str, Any]) -> bool:
    key = workspace.store.document(reported.key or "")
    settled = (
        not reported.parameters["repeatable"] and key["rules"] == rules.versions() and key["inputs"]["asked"] == wanted
    )
    added = any(other(name, then) for name, then in key["inputs"].get("extensions", {}).items())
    return settled and not added and _unchanged(catalog, key["inputs"]["files"]) and _undisturbed(workspace, reported)


def _unchanged(catalog: Path, files: Mapping[str, str]) -> bool:
    """Whether the catalogue's files are byte for byte those that were read; volumes.yaml names all that may vary."""
    return all(
        (catalog / name).is_file() and digest((catalog / name).read_bytes()) == was for name, was in files.items()
    )


def _undisturbed(workspace: Workspace, reported: Record) -> bool:
    """Whether nothing was recorded for the phase since, nothing is withdrawn, and every artefact of it is intact."""
    records = workspace.ledger.records()
    later = [record for record in records[reported.sequence :] if record.kind is not Kind.SIGNED]
    if workspace.withdrawn() or any(_bears_on(record, reported.parameters["occasion"]) for record in later):
        return False
    named = {item.digest for item in reported.inputs + reported.outputs}
    named |= {output.digest for record in records if record.digest in named for output in record.outputs}
    digests = {record.digest for record in records}
    return all(workspace.store.intact(name) for name in named - digests)


def _bears_on(record: Record, occasion: str) -> bool:
    """Whether a record is of an occasion, or of none in particular and a decision of people or a key's revocation."""
    if record.kind is Kind.KEY:
        return record.stage == "revoke"
    return occasion == record.parameters.get("occasion", occasion if record.kind is Kind.APPROVED else None)  # type: ignore[no-any-return]  # two texts


def _types(listed: str) -> list[str]:
    """The test types of a comma-separated list, each once, in order. Raises UsageError for what is none."""
    from catalog.declarations import TestType

    types = _listed(listed)
    if unknown := set(types) - set(TestType):
        raise UsageError(
            f"no such type of test: {', '.join(sorted(unknown))}", remedy=f"There are: {', '.join(TestType)}."
        )
    return types


def _listed(text: str) -> list[str]:
    """The entries of a comma-separated list, each once, in order."""
    return sorted({each.strip() for each in text.split(",") if each.strip()})


def _again(options: Namespace) -> dict[str, str]:
    if options.again and not options.reason.strip():
        raise UsageError("a test is executed anew only for a reason", remedy="Give it: --again TEST --reason '…'.")
    return dict.fromkeys(options.again, options.reason.strip())


def _sample(text: str) -> str:
    """The share of relied tests that was asked for, as it was. Raises UsageError for what is none."""
    if text:
        from tasks.sampling import parse

        parse(text)
    return text


def _run_flow(
    options: Namespace,
    types: list[str],
    again: Mapping[str, str],
    *,
    tests: Sequence[str] = (),
    sample: str = "",
) -> tuple[Record, int]:
    """Runs the flow in this process, after what can be refused without it has been refused.

    Returns the record of the report and how many tests were executed.
    """
    from catalog.reading import read_catalogue
    from flows.desk import refuse_missing_injectors, refuse_unplanned

    programme = read_catalogue(options.catalog).programme
    refuse_unplanned(programme, options.phase, options.environment, again, tests)
    refuse_missing_injectors(programme, options.phase, options.environment)
    with _prefect(options, options.phase, again=again):
        from flows.capability_phase import capability_phase

        done = capability_phase(
            phase=options.phase,
            catalog=str(options.catalog),
            home=str(options.home),
            environment=options.environment,
            types=types,
            tests=list(tests),
            again=dict(again),
            sample_reliance=sample,
            cluster=getattr(options, "cluster", ""),
            shards=getattr(options, "shards", 0),
        )
    return _record(options.home, done["record"]), done["executed"]


def regress(options: Namespace) -> Status:
    """Executes the declared regression, and holds it against those before it; worse than before is not proved."""
    from catalog.reading import read_catalogue
    from flows.desk import occasion_of, refuse_missing_injectors, regression_of

    programme = read_catalogue(options.catalog).programme
    phase = regression_of(programme, options.which).phase
    occasion = occasion_of(programme, options.occasion, options.which)
    refuse_missing_injectors(programme, phase, options.environment)
    with _prefect(options, phase):
        from flows.regression import regression

        done: Any = regression(
            catalog=str(options.catalog),
            home=str(options.home),
            environment=options.environment,
            occasion=occasion,
            cluster=options.cluster,
            shards=options.shards,
            which=options.which,
        )
    reported, traced = _record(options.home, done["record"]), _record(options.home, done["history"])
    folder = options.home / "reports" / occasion
    history = Workspace.open(options.home).store.document(traced.output("history.json") or "")
    options.phase = phase
    status = _answer(options, reported, executed=done["executed"], path=folder / "report.html", history=history)
    return max(status, Status.NOT_PROVED) if history["worse"] else status


def _record(home: Path, digest: str) -> Record:
    return next(record for record in reversed(Workspace.open(home).ledger.records()) if record.digest == digest)


@contextmanager
def _prefect(options: Namespace, phase: str, again: Mapping[str, str] | None = None) -> Iterator[None]:
    """Prefect's own API for as long as a flow runs in this process, once workspace and machine are known to be free."""
    from flows.desk import open_desk, warm_judge
    from flows.machine import refuse_taken
    from flows.prefect_api import use_api

    refuse_as_home(options.home)
    refuse_taken()
    api = _api(getattr(options, "cluster", ""))  # loads on one core, the judge on the other
    warm_judge()
    where = {"catalog": options.catalog, "home": options.home, "environment": options.environment}
    with open_desk(phase, **where, again=again or {}):
        pass  # the catalogue holds, and nobody else works in this workspace
    use(Progress(quiet=False))
    current().say("starting      Prefect's API and the judge")
    with use_api(api):
        yield


@contextmanager
def api_for_cluster(address: str) -> Iterator[None]:
    """Prefect's own API for as long as work is handed to a cluster."""
    from flows.prefect_api import use_api

    with use_api(_api(address)):
        yield


def _api(cluster: str) -> "ChildProcess":
    """Prefect's API, which loads. It listens where workers of a cluster reach this machine, if there is a cluster."""
    from flows.prefect_api import LOOPBACK, start_api

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if cluster:
        from flows.cluster import facing
    api = start_api(facing(cluster) if cluster else LOOPBACK)
    atexit.register(api.stop)  # after Prefect's own clients have drained, which is before any exit handler runs
    return api


def _answer(
    options: Namespace,
    reported: Record,
    *,
    executed: int,
    path: Path | None = None,
    history: Mapping[str, Any] | None = None,
) -> Status:
    """Prints what was proved, not proved and inconclusive and where to look next; returns the exit status.

    `history`: that of the regressions, where the report is of one.
    """
    from tasks.report.sampling import summary

    counts, ends = reported.parameters["verdicts"], reported.parameters["ends"]
    path = path or options.home / "reports" / options.phase / "report.html"
    facts = Workspace.open(options.home).store.document(reported.output("facts") or "")
    sampled = summary(facts["samples"])
    if options.json:
        print_json(
            {
                "phase": options.phase,
                "verdicts": {name.replace(" ", "_"): count for name, count in counts.items()},
                "executed": executed,
                "relied": ends.get("relied", 0),
                "ends": ends,
                **({"sampled": sampled} if sampled else {}),
                **({"history": _told(history)} if history else {}),
                "report": str(path),
                "status": int(_status(reported)),
            }
        )
        return _status(reported)
    out = console()
    out.print(table(_title(facts), ("test", "ended", "proved", "not proved", "inconclusive"), _by_test(facts),
                    right=("proved", "not proved", "inconclusive")))  # fmt: skip
    for line in _unproved(facts["observations"]["rows"]):
        out.print(line)
    if sampled:
        out.print(escape(sampled["text"]), soft_wrap=True)
    for line in _told(history)["worse"] if history else ():
        out.print(f"{MARKS['not proved']}  {escape(line)}", soft_wrap=True)
    out.print(
        f"{MARKS['proved']} {counts['proved']}   {MARKS['not proved']} {counts['not proved']}   "
        f"{MARKS['inconclusive']} {counts['inconclusive']}   "
        f"executed now {executed}, relied on {ends.get('relied', 0)}\n"
        f"report   {escape(path)}\nnext     {_next(options, reported)}"
    )
    return _status(reported)


def _told(history: Mapping[str, Any]) -> dict[str, Any]:
    """How many regressions the history has, and each figure that is worse than before."""
    from tasks.trend import told

    worse = [each for each in history["series"] if each["worse"]]
    return {
        "regressions": len(history["days"]),
        "worse": [
            f"{each['test']}  {each['requirement']} ({each['scope']}): {'; '.join(told(each))}" for each in worse
        ],
    }


def _title(facts: Mapping[str, Any]) -> str:
    stamp = "a rehearsal" if facts["environment"]["kind"] == "rehearsal" else "a real environment"
    title, environment = facts["programme"]["programme"]["title"], facts["environment"]["id"]
    return f"{title}, phase {facts['phase']}, in {environment} ({stamp})"


def counted(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int, int]]:
    """Every planned test: how it ended, and how many observations are proved, not proved and inconclusive."""
    counts: Counter[tuple[str, str]] = Counter((row["test"], row["verdict"]) for row in facts["observations"]["rows"])
    for test in facts["tests"]:
        proved, refuted, open_ = (counts[test["test"], each] for each in ("proved", "not proved", "inconclusive"))
        yield test["test"], test["end"], proved, refuted, open_


def _by_test(facts: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for test, end, *counts in counted(facts):
        yield escape(test), escape(end), *(str(count) if count else "·" for count in counts)


def _unproved(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Observations that are not proved, a line each; of several with one reason, a line for all of them."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["verdict"] != "proved":
            groups.setdefault((row["verdict"], row["reason"]), []).append(row)
    for (verdict, reason), alike in groups.items():
        tests = list(dict.fromkeys(row["test"] for row in alike))
        named = ", ".join(tests[:3]) + (f" and {len(tests) - 3} more tests" if len(tests) > 3 else "")
        what = f"{alike[0]['requirement']} ({alike[0]['scope']})" if len(alike) == 1 else f"{len(alike)} observations"
        yield f"{MARKS[verdict]}  {escape(named)}  {escape(what)}: {escape(reason)}"


def _next(options: Namespace, reported: Record) -> str:
    home = "" if options.home == Path(".plimsoll") else f" --home {getattr(options, 'remote', options.home)}"
    if _status(reported) is Status.PROVED:
        return escape(f"plimsoll verify{home}   then sign-offs: what people decide is listed under exit criteria")
    catalog = "" if options.catalog == usual_catalog() else f" --catalog {options.catalog}"
    return escape(f"plimsoll explain TEST{catalog}{home}   and the report's observations, with intervals and reasons")


def _status(reported: Record) -> Status:
    """0 when every planned test ended executed, relied or received and every observation is proved; else the worst."""
    verdicts, ends = reported.parameters["verdicts"], reported.parameters["ends"]
    if ends.get("failed") and not ends.keys() & {"executed", "relied", "received"}:
        return Status.ENVIRONMENT
    open_ends = ends.keys() - {"executed", "relied", "received"}
    return Status.NOT_PROVED if verdicts["not proved"] or verdicts["inconclusive"] or open_ends else Status.PROVED
