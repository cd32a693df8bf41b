"""`plimsoll intake`: takes in a service provider's own results for a planned test."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from catalog.errors import Status, UsageError
from flows.progress import Progress, use
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from tasks.intake.compare import Compared
    from tasks.intake.manifest import Manifest
    from tasks.intake.receive import Reader, Received, Submission


def intake(options: Namespace) -> Status:
    """Receives files for a planned test; with --compare shows the tool's own report beside what they come to.

    Without --test nothing is recorded: that is for a look at a report.
    """
    from tasks.intake.manifest import read_manifest, refuse_other_test

    if options.test and not options.manifest:
        raise UsageError(
            "results are received with a manifest only", remedy="Give it: --manifest FILE (docs/intake.md)."
        )
    if not options.test and not options.compare:
        raise UsageError(
            "nothing was asked for", remedy="Name the planned test, --test TEST, or a report to --compare."
        )
    progress = Progress(quiet=options.json or not sys.stderr.isatty())
    manifest, stated = read_manifest(options.manifest) if options.manifest else (_no_manifest(), b"")
    if options.test:
        refuse_other_test(manifest, options.test)
        return _receive(options, manifest, stated, progress)
    with TemporaryDirectory() as folder:
        submission = _read(options.files, manifest, Path(folder), progress)
        compared = _compared(options.compare, submission, manifest, Path(folder), progress)
    if options.json:
        print_json({"compared": [each.as_json() for each in compared]})
    else:
        _show_compared(compared)
    return Status.PROVED


def _receive(options: Namespace, manifest: "Manifest", stated: bytes, progress: Progress) -> Status:
    received, submission, compared = receive(
        options.test,
        options.files,
        (manifest, stated),
        catalog=options.catalog,
        home=options.home,
        environment=options.environment,
        reports=options.compare,
        progress=progress,
        cluster=options.cluster,
    )
    if options.json:
        told = {"compared": [each.as_json() for each in compared]} if compared else {}
        print_json({**received.as_json(), **told})
    else:
        _show(received, submission)
        _show_compared(compared)
    return Status.PROVED


def receive(
    test: str,
    files: Sequence[Path],
    stated: "tuple[Manifest, bytes]",
    *,
    catalog: Path,
    home: Path,
    environment: str,
    progress: Progress,
    reports: Sequence[Path] = (),
    wait: Callable[[str], object] | None = None,
    cluster: str = "",
) -> "tuple[Received, Submission, list[Compared]]":
    """Receives files for a planned test, with the manifest as read and its bytes; see `open_desk` for the rest.

    Raises SubmittedError and UsageError for what cannot be received, before anything is recorded.
    """
    from flows.desk import find_test, open_desk, planned_tests
    from tasks.intake.receive import Intake

    phase, (manifest, written) = test.split(".")[0], stated
    with open_desk(phase, catalog=catalog, home=home, environment=environment, wait=wait) as desk:
        tests = planned_tests(desk.programme, phase, environment)
        planned = find_test(tests, phase, test)
        with desk.workspace.store.incoming() as folder:
            (folder / "originals").mkdir()
            with _joined(cluster, progress) as elsewhere:
                submission = _read(
                    files, manifest, folder / "read", progress, copies=folder / "originals", elsewhere=elsewhere
                )
            compared = _compared(reports, submission, manifest, folder, progress)
            progress.say("writing       the tables, and what is odd about them")
            received = Intake(
                recorder=desk.recorder,
                programme=desk.programme,
                environment=desk.environment,
                planned=planned,
                manifest=manifest,
                manifest_bytes=written,
                folder=folder,
            ).receive(submission)
    return received, submission, compared


def _no_manifest() -> "Manifest":
    from tasks.intake.manifest import Manifest, Submitter

    return Manifest(submitted_by=Submitter(name="nobody", organisation="nobody"))


def _compared(
    reports: Sequence[Path], submission: "Submission", manifest: "Manifest", folder: Path, progress: Progress
) -> "list[Compared]":
    from tasks.intake.compare import compare

    if not reports:
        return []
    with _within(folder, "report") as read, _within(folder, "compared") as work:
        found = _read(reports, manifest, read, progress)
        return compare(submission.staged, found.staged, work)


@contextmanager
def _within(folder: Path, name: str) -> Iterator[Path]:
    (folder / name).mkdir(parents=True)
    yield folder / name


def _read(
    files: Sequence[Path],
    manifest: "Manifest",
    folder: Path,
    progress: Progress,
    *,
    copies: Path | None = None,
    elsewhere: "Reader | None" = None,
) -> "Submission":
    from tasks.intake.receive import read_files

    with progress.reading("reading") as told:
        return read_files(files, manifest, folder, copies=copies, say=progress.say, progress=told, elsewhere=elsewhere)


@contextmanager
def _joined(cluster: str, progress: Progress) -> "Iterator[Reader | None]":
    """What has the workers of the cluster at that address read files; nothing where none was."""
    if not cluster:
        yield None
        return
    from flows.cluster import join
    from flows.run import api_for_cluster

    use(progress)
    with api_for_cluster(cluster), join(cluster) as joined:
        yield joined.read if joined else None


def _show(received: "Received", submission: "Submission") -> None:
    out = console()
    head = "was received before, and nothing was recorded" if received.already else "received"
    out.print(
        f"[bold]{escape(received.test)}[/]  {head}: {received.samples:,} messages, {received.skipped:,} skipped "
        f"({escape(received.format)})"
    )
    rows = [row for each in submission.staged for row in _account(each)]
    out.print(table("What became of every unit", ("file", "unit", "count"), rows, right=("count",)))
    for finding in received.findings:
        out.print(f"[yellow]·[/] {escape(finding.code)}: {escape(finding.message)}", soft_wrap=True)
    out.print(f"evidence  run {escape(received.record.parameters['run'])}, record {received.record.digest}")


def _account(staged: Any) -> Iterator[tuple[str, str, str]]:
    account, name = staged.account, escape(staged.source.name)
    yield name, f"{account.unit} in all", f"{account.total:,}"
    told = {
        "taken": account.taken,
        "headers": account.headers,
        "blank": account.blank,
        "within a record": account.continued,
    }
    for what, count in [*told.items(), *account.beside.items()]:
        if count:
            yield "", escape(what), f"{count:,}"
    for reason, skipped in account.skipped.items():
        places = ", ".join(map(str, skipped.lines[:5])) + (" …" if skipped.count > 5 else "")
        yield "", escape(f"skipped: {reason} ({places})"), f"{skipped.count:,}"


def _show_compared(compared: "Sequence[Compared]") -> None:
    if not compared:
        return
    from catalog.shown import shown

    rows = (
        (
            escape(each.scope),
            each.metric,
            shown(each.theirs, each.unit),
            "none" if each.ours is None else shown(each.ours, each.unit),
            escape(each.why),
        )
        for each in compared
    )
    columns = ("scope", "metric", "the tool's", "ours", "why they differ")
    console().print(table("The tool's own report beside ours", columns, rows, right=("the tool's", "ours")))
