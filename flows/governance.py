"""The commands by which people decide: signing what a phase needs, and testing issues."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from catalog.errors import Status
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.issues import Issue
    from catalog.signing import Signer
    from tasks.sign import Asked, Deciding

OCCASION = "people"
"""The occasion that the catalogue is recorded for when people decide on it: that of no phase."""


@contextmanager
def deciding_at(
    catalog: "Path", home: "Path", key: "Callable[[], Signer]", refuse: "Callable[[Deciding], object]"
) -> "Iterator[Deciding]":
    """The workspace, held while somebody decides with a key; made where there is none, once `refuse` did not raise.

    Raises DeclarationError with every fault of the catalogue.
    """
    from catalog.ledger import Actor, Record
    from catalog.reading import read_catalogue
    from catalog.workspace import Workspace, is_workspace, refuse_as_home
    from flows.desk import actor_name, code_version
    from tasks.declare import declare
    from tasks.sign import Deciding
    from tasks.stage import Recorder

    catalogue = read_catalogue(catalog)
    refuse_as_home(home)
    signer = key()
    actor = Actor(name=actor_name(), fingerprint=signer.fingerprint)

    def at(workspace: Workspace) -> Deciding:
        @cache
        def declared() -> Record:
            recorder = Recorder(workspace=workspace, occasion=OCCASION, actor=actor, code=code_version())
            return declare(recorder, catalogue, catalog)

        return Deciding(
            programme=catalogue.programme, workspace=workspace, signer=signer, code=code_version(), declare=declared
        )

    if not is_workspace(home):
        refuse(at(Workspace(home)))
    workspace = Workspace.open(home, create=True)
    with workspace.lock():
        yield at(workspace)


def _key(options: Namespace) -> "Callable[[], Signer]":
    """The key that was named, else one's own."""
    from catalog.signing import Signer, own_signer

    outside = options.home
    return lambda: Signer.open(options.key, outside=outside) if options.key else own_signer(outside=outside)


def sign(options: Namespace) -> Status:
    """Records a signed decision."""
    from tasks.sign import Asked, prepare, sign

    asked = Asked(
        what=options.what,
        role=options.role,
        by=options.by,
        decision=options.decision,
        reason=options.reason,
        file=options.file,
        until=options.until,
        dated=options.dated,
        environment=options.environment,
    )
    where = (options.catalog, options.home, _key(options))
    with deciding_at(*where, lambda deciding: prepare(asked, deciding)) as deciding:
        signed = sign(asked, deciding)
    if options.json:
        print_json(signed.as_json())
        return Status.PROVED
    statement = signed.statement
    attached = f"\nfile     {escape(statement.file_name)}, {statement.file}" if statement.file else ""
    console().print(
        f"{escape(statement.matter)} {escape(statement.subject)}: {escape(statement.decision)}\n"
        f"by       {escape(statement.by)} as {escape(statement.role)}, {statement.time}, "
        f"key {signed.record.actor.fingerprint[:16]}\n"
        f"of       {statement.of}{attached}\n"
        f"record   {signed.record.sequence}, {signed.record.digest}\n"
        "next     plimsoll report PHASE   shows it; plimsoll withdraw RECORD --reason … takes it back",
        soft_wrap=True,
    )
    return Status.PROVED


def raise_issue(options: Namespace) -> Status:
    """Raises a testing issue by hand."""
    from tasks.issues import Raised
    from tasks.issues import raise_issue as raise_by_hand

    raised = Raised(
        phase=options.phase, title=options.title, severity=options.severity, test=options.test, run=options.run
    )
    return _told(options, lambda asked, deciding: raise_by_hand(raised, asked, deciding))


def change_issue(options: Namespace) -> Status:
    """Changes, closes or reopens a testing issue."""
    from tasks.issues import change_issue as change

    severity, title = getattr(options, "severity", 0), getattr(options, "title", "")

    def do(asked: "Asked", deciding: "Deciding") -> "Issue":
        return change(options.issue, options.event, asked, deciding, severity=severity, title=title)

    return _told(options, do)


def _told(options: Namespace, do: "Callable[[Asked, Deciding], Issue]") -> Status:
    """Does it at an existing workspace, and tells what became of the issue."""
    from catalog.workspace import Workspace
    from tasks.sign import Asked

    Workspace.open(options.home)  # an issue is found in something: none is raised where nothing is recorded
    asked = Asked(what="issue", role=options.role, by=options.by, reason=options.reason)
    with deciding_at(options.catalog, options.home, _key(options), lambda _: None) as deciding:
        issue = do(asked, deciding)
    if options.json:
        print_json(_as_json(issue))
    else:
        console().print(
            f"{escape(issue.id)}  {_severity(issue)}, {'open' if issue.is_open else 'closed'}: {escape(issue.title)}\n"
            f"next     plimsoll issue list   and plimsoll report {escape(issue.phase)}   show it",
            soft_wrap=True,
        )
    return Status.PROVED


def list_issues(options: Namespace) -> Status:
    """Lists the testing issues of all phases, or of one."""
    from catalog.workspace import Workspace, refuse_as_home
    from tasks.issues import all_issues

    refuse_as_home(options.home)
    found = [
        issue
        for issue in all_issues(Workspace.open(options.home))
        if options.phase in ("", issue.phase) and (issue.is_open or not options.open)
    ]
    if options.json:
        print_json({"issues": [_as_json(issue) for issue in found]})
        return Status.PROVED
    rows = (
        (
            escape(issue.id),
            _severity(issue),
            "open" if issue.is_open else "closed",
            escape(issue.test),
            escape(issue.title),
            escape(issue.resolution),
        )
        for issue in found
    )
    columns = ("issue", "severity", "state", "test", "what", "resolution")
    console().print(table(f"{len(found)} testing issues", columns, rows))
    return Status.PROVED


def _severity(issue: "Issue") -> str:
    return f"severity {issue.severity}" if issue.severity else "no severity yet"


def _as_json(issue: "Issue") -> dict[str, object]:
    """An issue as `issue --json` gives it."""
    return {
        **{name: getattr(issue, name) for name in ("id", "phase", "title", "severity", "test", "requirement", "run")},
        "state": "open" if issue.is_open else "closed",
        "resolution": issue.resolution,
        "events": [
            {"decision": each.decision, "by": each.by, "role": each.role, "time": each.time, "reason": each.reason,
             "record": each.sequence, "digest": each.record, "key": each.key}
            for each in issue.events
        ],
    }  # fmt: skip


def submission(options: Namespace) -> Status:
    """Writes the pack of all phases."""
    from catalog.workspace import Workspace, refuse_as_home
    from tasks.submission import write_submission

    refuse_as_home(options.home)
    written = write_submission(Workspace.open(options.home), options.out)
    if options.json:
        print_json(written.as_json())
        return Status.PROVED
    rows = (
        (
            escape(part.phase),
            f"record {part.record}" if part.record else "not reported",
            *(str(count) if part.record else "" for count in part.criteria.values()),
            "yes" if part.rehearsal else "",
        )
        for part in written.phases
    )
    columns = ("phase", "report", "met", "not met", "cannot be told", "rehearsal")
    out = console()
    out.print(table("Exit criteria in the pack", columns, rows, right=columns[2:5]))
    out.print(
        f"pack     {escape(written.path)}: {written.files} files, their digests in submission.json", soft_wrap=True
    )
    return Status.PROVED
