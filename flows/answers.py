"""The commands that answer a question and execute nothing."""

import re
from argparse import Namespace
from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import DeclarationError, Status, UsageError
from catalog.hints import suggestion
from catalog.store import disk, is_file
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from catalog.lineage import Step
    from catalog.verification import Verification
    from catalog.workspace import Workspace

_LONGEST = 1 << 20  # bytes of a file that a saved head is looked for in
_HEAD = "[0-9]+:[0-9a-f]{64}"


def init(options: Namespace) -> Status:
    """Writes a new programme that `check` accepts."""
    from catalog.reading import read_programme
    from catalog.template import write_template

    write_template(options.folder, options.example)
    folder = options.folder
    phases = ", ".join(phase.id for phase in read_programme(folder).programme.phases)
    console().print(
        f"A new programme is in {escape(folder)}. Its README.md says what each file holds. Next:\n"
        f"  plimsoll check --catalog {escape(folder)}\n"
        f"  plimsoll plan PHASE --catalog {escape(folder)}     its phases: {phases}\n"
        f"  plimsoll run PHASE --catalog {escape(folder)}",
        soft_wrap=True,
    )
    return Status.PROVED


def extensions(options: Namespace) -> Status:
    """Lists every extension that is installed here, by the digest that evidence names it by, and why it fails if so."""
    from catalog.extensions import Extension, ExtensionError, installed

    def identity(extension: Extension) -> dict[str, str]:
        try:
            return extension.as_json()
        except ExtensionError:
            return {"distribution": extension.distribution, "version": extension.version, "digest": ""}

    found = [
        {"point": each.point.value, "name": each.name, "target": each.target, **identity(each), "fault": fault}
        for each, fault in installed()
    ]
    if options.json:
        print_json({"extensions": found})
    elif not found:
        console().print("No extensions are installed here: docs/extending.md says what may be added, and how.")
    else:
        rows = [
            (
                each["point"],
                escape(each["name"]),
                escape(f"{each['distribution']} {each['version']}"),
                each["digest"][:16],
            )
            for each in found
        ]
        console().print(table("Extensions", ("point", "name", "distribution", "digest"), rows))
        for each in found:
            if each["fault"]:
                console().print(f"[red]✗[/] {escape(each['fault'])}", soft_wrap=True)
    return Status.ENVIRONMENT if any(each["fault"] for each in found) else Status.PROVED


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
    """Checks a workspace or a bundle offline, or a proof of a part of one."""
    if options.proof is not None:
        from flows.trust import check_proof

        return check_proof(options)
    outcome = check_evidence(options)
    tell(outcome, as_json=options.json)
    return Status.PROVED if outcome.ok else Status.EVIDENCE


def check_evidence(options: Namespace) -> "Verification":
    """What `verify` finds, with the head, keys and authorities that were given."""
    from catalog.signing import public_key_of
    from catalog.verification import verify as verify_evidence
    from flows.audit import opened
    from flows.progress import Progress
    from flows.trust import read_authorities, read_countersignature

    path: Path = options.path or options.home
    head = saved_head(options.head) if options.head is not None else None
    keys = {public_key_of(text) for text in options.key}
    kept = read_countersignature(Path(options.head)) if head is not None and is_file(Path(options.head)) else None
    if kept and keys:
        keys = _without_own(keys, kept["public_key"], options.head)
    with opened(path) as home:
        if not home.is_dir() or not any(home.iterdir()):
            remedy = "Name one, or make one with `plimsoll run PHASE`."
            raise UsageError(f"there is no workspace at {path}", remedy=remedy)
        authorities = read_authorities(options.tsa)
        with Progress().reading(f"verifying {path}") as progress:
            return verify_evidence(home, head=head, keys=keys, authorities=authorities, progress=progress)


def _without_own(keys: set[str], own: str, file: str) -> set[str]:
    """The keys that sign in the ledger: whoever keeps a countersignature in a file need not have it recorded there."""
    from catalog.signing import fingerprint

    if not keys & {own, fingerprint(own)}:
        remedy = "Give the public key of whoever countersigned with --key, too, or another file with --head."
        raise UsageError(f"the countersignature in {file} is by a key that you did not give: {own}", remedy=remedy)
    return keys - {own, fingerprint(own)}


def tell(outcome: "Verification", *, as_json: bool) -> None:
    """Prints what `verify` found."""
    from catalog.shown import shown

    if as_json:
        print_json(outcome.as_json())
        return
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


def saved_head(text: str) -> str:
    """The head that was given, or that is in the file of that name: as `SIZE:ROOT`, alone, in the answer of `verify
    --json`, in a countersignature, or in what `verify` or `export` said. Raises UsageError for a file without any."""
    file = Path(text)
    if not is_file(file):
        return text
    with disk(file):
        held = file.read_text(errors="replace") if file.stat().st_size < _LONGEST else ""
    found = set(re.findall(rf"^head +({_HEAD})", held, re.MULTILINE) or re.findall(rf'"head": *"({_HEAD})"', held))
    found = found or set(re.findall(_HEAD, held))
    if len(found) != 1:
        remedy = "Save the line after `head` in what `plimsoll verify` says, such as 41:0123…, and name that file."
        raise UsageError(f"{file} holds {'no' if not found else 'more than one'} head of a ledger", remedy=remedy)
    return str(found.pop())


def _counted(faults: Sized) -> str:
    return f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"


def lineage(options: Namespace) -> Status:
    """Shows what a figure, record, run or artefact rests on, or what rests on it."""
    from catalog.lineage import as_json, render
    from catalog.workspace import Workspace
    from flows.audit import opened
    from tasks.index_lineage import figure_trees

    with opened(options.home) as home:
        workspace = Workspace.open(home)
        trees = None if options.down else figure_trees(workspace, options.subject, options.phase)
        trees = _trees(workspace, options) if trees is None else trees
    if options.json:
        print_json({"subject": options.subject, "trees": [as_json(tree) for tree in trees]})
        return Status.PROVED
    for tree in trees:
        for line in render(tree):
            print(line)
    return Status.PROVED


def _trees(workspace: "Workspace", options: Namespace) -> "list[list[Step]]":
    """The trees that `lineage` shows, by the whole ledger."""
    from catalog.lineage import Lineage
    from catalog.workspace import newest_reports

    reports = newest_reports(workspace)
    if options.phase and options.phase not in reports:
        message = f"there is no report of phase {options.phase!r} in {options.home}"
        raise UsageError(message, remedy=suggestion(options.phase, sorted(reports)))
    graph = Lineage(workspace.ledger.records(), reports)
    walk = graph.down if options.down else graph.up
    return [walk(each) for each in graph.find(options.subject, options.phase)]
