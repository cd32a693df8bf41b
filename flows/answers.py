"""The commands that answer a question and execute nothing."""

import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import DeclarationError, Status, UsageError
from catalog.hints import did_you_mean
from expectations.reliance import NEVER
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from tasks.plan import Decided

_LONGEST = 1 << 20  # bytes of a file that a saved head is looked for in
_WIDEST = 100  # characters of a compared value that are shown


def init(options: Namespace) -> Status:
    """Writes a new programme that `check` accepts."""
    from catalog.template import write_template

    write_template(options.folder)
    folder = options.folder
    console().print(
        f"A new programme is in {escape(folder)}. Its README.md says what each file holds. Next:\n"
        f"  plimsoll check --catalog {escape(folder)}\n"
        f"  plimsoll plan PHASE --catalog {escape(folder)}"
    )
    return Status.PROVED


def check(options: Namespace) -> Status:
    """Reads the catalogue and reports every fault, the sources of which no stage would read either."""
    from tasks.hold_inputs import read_held

    try:
        programme = read_held(options.catalog).programme
    except DeclarationError as error:
        if not options.json:
            raise
        print_json({"phases": [], "faults": [fault.as_json() for fault in error.faults]})
        return error.status
    phases = [phase.id for phase in programme.programme.phases]
    if options.json:
        print_json({"phases": phases, "faults": []})
        return Status.PROVED
    console().print(
        f"{escape(programme.programme.title)}: no faults\n"
        f"  phases        {', '.join(phases)}\n"
        f"  components    {len(programme.system.components)} ({_tested(programme)} tested)\n"
        f"  requirements  {len(programme.requirements)}\n"
        f"  exclusions    {len(programme.scope.exclusions)}\n"
        f"  assumptions   {len(programme.assumptions)} ({_unagreed(programme.assumptions)} not agreed)"
    )
    return Status.PROVED


def _tested(programme: Any) -> int:
    return sum(each.scope == "tested" for each in programme.system.components)


def _unagreed(stated: Any) -> int:
    return sum(each.standing != "agreed" for each in stated)


def verify(options: Namespace) -> Status:
    """Checks a workspace or a bundle offline."""
    from catalog.shown import shown
    from catalog.verification import verify as verify_evidence
    from flows.audit import opened
    from flows.progress import Progress

    path: Path = options.path or options.home
    head = saved_head(options.head) if options.head is not None else None
    with opened(path) as home:
        if not home.is_dir() or not any(home.iterdir()):
            remedy = "Name one, or make one with `plimsoll run PHASE`."
            raise UsageError(f"there is no workspace at {path}", remedy=remedy)
        with Progress().reading(f"verifying {path}") as progress:
            outcome = verify_evidence(home, head=head, progress=progress)
    if options.json:
        print_json(outcome.as_json())
    else:
        out = console()
        for fault in outcome.faults:
            out.print(f"[red]✘[/] {escape(fault.where)}: {escape(fault.what)}", soft_wrap=True)
        for note in outcome.notes:
            out.print(f"[yellow]·[/] {escape(note)}", soft_wrap=True)
        sound = "[green]✔ the evidence holds[/]" if outcome.ok else f"[red]✘ {_counted(outcome.faults)}[/]"
        out.print(
            f"{sound}: {outcome.records} records, {outcome.objects} objects, {shown(outcome.bytes, 'bytes')}; "
            f"freshness {outcome.freshness}\nhead {outcome.head}  (keep it, and verify with --head the next time)",
            soft_wrap=True,
        )
    return Status.PROVED if outcome.ok else Status.EVIDENCE


def saved_head(text: str) -> str:
    """The head that was given, or that is in the file of that name: as `sequence:digest`, alone, in the answer of
    `verify --json`, or on a line of what `verify` or `export` said. Raises UsageError for a file without any."""
    file = Path(text)
    if not file.is_file():
        return text
    found = (
        re.findall(r"[0-9]+:[0-9a-f]{64}", file.read_text(errors="replace")) if file.stat().st_size < _LONGEST else []
    )
    if len(set(found)) != 1:
        remedy = "Save the line after `head` in what `plimsoll verify` says, such as 41:0123…, and name that file."
        raise UsageError(f"{file} holds {'no' if not found else 'more than one'} head of a ledger", remedy=remedy)
    return str(found[0])


def _counted(faults: Sized) -> str:
    return f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"


def lineage(options: Namespace) -> Status:
    """Shows what a figure, record, run or artefact rests on, or what rests on it."""
    from catalog.lineage import Lineage, as_json, render
    from catalog.workspace import Workspace, newest_reports
    from flows.audit import opened

    with opened(options.home) as home:
        workspace = Workspace.open(home)
        reports = newest_reports(workspace)
        if options.phase and options.phase not in reports:
            hint = did_you_mean(options.phase, sorted(reports))
            remedy = f"{hint[:1].upper()}{hint[1:]}"
            raise UsageError(f"there is no report of phase {options.phase!r} in {options.home}", remedy=remedy)
        graph = Lineage(workspace.ledger.records(), reports)
        subjects = graph.find(options.subject, options.phase)
    walk = graph.down if options.down else graph.up
    trees = [walk(each) for each in subjects]
    if options.json:
        print_json({"subject": options.subject, "trees": [as_json(tree) for tree in trees]})
        return Status.PROVED
    for tree in trees:
        for line in render(tree):
            print(line)
    return Status.PROVED


def plan(options: Namespace) -> Status:
    """Says what would be executed, what relied on, and why; writes nothing."""
    decided = _decide(options, options.phase)
    if options.json:
        print_json({"phase": options.phase, "tests": [each.as_json() for each in decided]})
        return Status.PROVED
    rows = (
        (each.planned.test, str(each.decision), escape(each.why), escape(_shown(each.reasons, only_different=True)))
        for each in decided
    )
    console().print(table(f"Plan of {options.phase}", ("test", "decision", "why", "what differs"), rows))
    return Status.PROVED


def explain(options: Namespace) -> Status:
    """Says why a test is executed, relied on or complete: every input compared, those that decided first."""
    from dataclasses import asdict

    from flows.desk import find_test

    phase = options.test.split(".")[0]
    decided = {each.planned.test: each for each in _decide(options, phase)}
    found = decided[find_test([each.planned for each in decided.values()], phase, options.test).test]
    if options.json:
        print_json({**found.as_json(), "compared": [asdict(each) for each in found.compared]})
        return Status.PROVED
    out = console()
    out.print(f"[bold]{escape(options.test)}[/]  {found.decision}: {escape(found.why)}")
    if found.stands and found.decision == "complete":
        out.print(f"it had been executed because: {escape(found.stands.why)}")
    if found.compared:
        out.print(table("Inputs compared", ("", "input", "old", "new"), _compared_rows(found.compared)))
    if found.stands:
        out.print(f"evidence  run {escape(found.stands.run)}, record {found.stands.record.digest}")
    out.print(_NOT_COMPARED)
    return Status.PROVED


def _compared_rows(compared: Any) -> Iterator[tuple[str, ...]]:
    """Inputs compared, as rows: what is equal is shown once, and target volumes that allow it are counted."""
    volumes = [each for each in compared if each.allows and each.input.startswith("volumes.") and "|" in each.input]
    for each in compared:
        if each not in volumes:
            yield "[green]✔[/]" if each.allows else "[red]✘[/]", *map(escape, _sides(each))
    for what, found in (
        ("equal", [each for each in volumes if each.old == each.new]),
        ("not exceeding those proved", [each for each in volumes if each.old != each.new]),
    ):
        if found:
            old, new = (f"{sum(counts):,} messages" for counts in zip(*((x.old, x.new) for x in found), strict=True))
            yield "[green]✔[/]", f"volumes, {len(found)} kinds of message {what}", old, _same(old, new)


def _sides(each: Any) -> tuple[str, str, str]:
    old = "" if each.input == NEVER else _value(each.old)
    return each.input, old, _same(old, _value(each.new))


def _same(old: str, new: str) -> str:
    return "the same" if old == new else new


_NOT_COMPARED = (
    "not compared, on purpose: test id, phase, success criteria, times, hosts, run ids, the code's commit; "
    "requirements (they are observed afresh)"
)


def _decide(options: Namespace, phase_id: str) -> "list[Decided]":
    """What will become of each planned test of a phase. Reads the workspace where there is one, and writes nothing."""
    from catalog.reading import read_catalogue
    from catalog.workspace import Workspace, is_workspace, refuse_as_home
    from flows.desk import planned_tests
    from tasks.history import history, no_history
    from tasks.plan import decide

    programme = read_catalogue(options.catalog).programme
    planned = planned_tests(programme, phase_id, options.environment)
    refuse_as_home(options.home)
    if is_workspace(options.home):
        known = history(Workspace.open(options.home), programme)
    else:
        known = no_history(options.home)
        print(f"plimsoll: there is no workspace at {options.home} yet, so nothing was executed", file=sys.stderr)
    return [decide(programme, each, known) for each in planned]


def _shown(reasons: Any, *, only_different: bool) -> str:
    shown = [each for each in reasons if not (only_different and each.old == each.new)]
    lines = [_difference(each) for each in shown[:4]]
    return "\n".join(lines + ([f"… and {len(shown) - 4} more"] if len(shown) > 4 else []))


def _difference(each: Any) -> str:
    return (
        f"{each.input}: {_value(each.new)}"
        if each.input == NEVER
        else (f"{each.input}: {_value(each.old)} → {_value(each.new)}")
    )


def _value(value: Any) -> str:
    """A compared value: text as it is, documents by their beginning."""
    import json

    if isinstance(value, str):
        return value
    text = "none" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
