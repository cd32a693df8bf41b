"""The commands of an auditor that do more than answer: computing again, and taking a bundle along."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import Status, UsageError
from catalog.hints import suggestion
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from catalog.workspace import Workspace
    from tasks.reperform import Reperformed

_DEFAULT_SHARE = 1.0


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder of the workspace at `path`, or of a bundle there, unpacked into a scratch folder for the while.

    Raises UsageError where there is none of the two, EvidenceError for a bundle that is none to be unpacked.
    """
    from catalog.bundle import is_bundle, unpack
    from catalog.workspace import refuse_as_home

    if is_bundle(path):
        from tasks.scratch import scratch

        with scratch() as folder:
            yield unpack(path, Path(folder))
        return
    if path.is_file():
        raise UsageError(
            f"{path} is no folder, and no bundle", remedy="Name a workspace or a bundle with PATH or --home."
        )
    refuse_as_home(path)
    yield path


def reperform(options: Namespace) -> Status:
    """Computes every pure stage again and compares: one table, and every difference."""
    from flows.progress import Progress, use

    only = _stages(options.only)
    share = share_of(options.sample)
    use(Progress())
    with opened(options.path or options.home) as home:
        found, drawn = perform_again(home, share, only, options.record)
    return _answer(options, found, drawn)


def perform_again(
    home: Path, share: tuple[float, int], only: Sequence[str] = (), sequences: Sequence[int] = ()
) -> "tuple[list[Reperformed], str]":
    """What became of each record's stage, and what was drawn (empty: all). `share`: the share of them, and a seed."""
    from catalog.workspace import Workspace
    from flows.desk import warm_judge
    from flows.progress import current
    from tasks.reperform import pure_records, sampled
    from tasks.reperform import reperform as compute

    workspace = Workspace.open(home)
    every = pure_records(workspace, only, sequences)
    records = every if share[0] >= _DEFAULT_SHARE else sampled(every, *share)
    if any(record.stage == "observe" for record in records):
        warm_judge()  # loads on another core meanwhile
    found = []
    for place, each in enumerate(compute(workspace, records, judge=warm_judge), 1):
        current().say(f"{place} of {len(records)}  {each.stage}, record {each.record.sequence}: {each.result}")
        found.append(each)
    whole = len(records) == len(every)
    return found, "" if whole else f"{len(records)} of {len(every)} records, drawn with {share[0]}:{share[1]}"


def export(options: Namespace) -> Status:
    """Writes one bundle with all of a phase's evidence, or its lineage in the form of a standard."""
    from catalog.bundle import export as write_bundle
    from catalog.shown import shown
    from catalog.workspace import Workspace, refuse_as_home

    refuse_as_home(options.home)
    if options.to and options.form != "openlineage":
        remedy = "Give --as openlineage, or a file with --out."
        raise UsageError("only OpenLineage's events are sent to a server", remedy=remedy)
    if options.form != "bundle":
        return _export_as(options, Workspace.open(options.home))
    written = write_bundle(Workspace.open(options.home), options.phase, options.out)
    if options.json:
        print_json(written.as_json())
        return Status.PROVED
    console().print(
        f"bundle   {escape(written.file)}: {written.records} records, {written.objects} objects, "
        f"{shown(written.bytes, 'bytes')}\nsha256   {written.digest}\nhead     {written.head}\n"
        f"next     plimsoll verify {escape(written.file)}   then give file, digest and head to the auditor",
        soft_wrap=True,
    )
    return Status.PROVED


def _export_as(options: Namespace, workspace: "Workspace") -> Status:
    from catalog.shown import shown
    from tasks.exports.write import Form, send, write

    if options.to:
        done = send(workspace, options.phase, options.to)
        told = f"sent     {done['events']} OpenLineage events to {escape(options.to)}"
    else:
        done = write(workspace, options.phase, Form(options.form), options.out)
        told = (
            f"{options.form:<12} {escape(options.out)}: {shown(done['bytes'], 'bytes')}\nsha256       {done['sha256']}"
        )
    if options.json:
        print_json(done)
    else:
        console().print(told, soft_wrap=True)
    return Status.PROVED


def withdraw(options: Namespace) -> Status:
    """Withdraws a run or another record; says what rested on it."""
    from catalog.ledger import Actor
    from catalog.signing import own_signer
    from catalog.workspace import Workspace, refuse_as_home
    from flows.desk import actor_name, code_version
    from tasks.withdraw import withdraw as withdraw_record

    refuse_as_home(options.home)
    workspace = Workspace.open(options.home)
    with workspace.lock():
        signer = own_signer(outside=workspace.home)
        actor = Actor(name=actor_name(), fingerprint=signer.fingerprint)
        done = withdraw_record(workspace, options.name, options.reason, actor=actor, code=code_version())
    if options.json:
        print_json(done.as_json())
        return Status.PROVED
    out = console()
    by = f"by {escape(actor.name)}: {escape(options.reason.strip())}"
    out.print(f"withdrawn  {escape(done.of)}, {done.of.digest}, {by}", soft_wrap=True)
    for each in done.affected:
        out.print(f"[yellow]·[/] {escape(each)} rests on it", soft_wrap=True)
    out.print("next       plimsoll report PHASE   shows whatever rests on it as inconclusive: evidence withdrawn")
    return Status.PROVED


def _answer(options: Namespace, found: "Sequence[Reperformed]", drawn: str) -> Status:
    from tasks.reperform import Result

    bad = [each for each in found if each.result is Result.DIFFERS]
    apart = [each for each in found if each.result is Result.NOT_COMPARABLE]
    if options.json:
        print_json(
            {
                "ok": not bad,
                "sample": drawn,
                "stages": [each.as_json() for each in found if each not in apart],
                "not_comparable": [each.as_json() for each in apart],
            }
        )
        return Status.EVIDENCE if bad else Status.PROVED
    out = console()
    columns = ("stage", "records", "outputs", *(str(each) for each in Result))
    out.print(table("Computed again from what is recorded", columns, _counts(found), right=columns[1:]))
    for each in found:
        for line in _told(each):
            out.print(line, soft_wrap=True)
    if drawn:
        out.print(f"a sample: {escape(drawn)} (give it to --sample to draw the same)", soft_wrap=True)
    sound = "[green]✔ whatever could be compared came to the same[/]" if not bad else f"[red]✘ {len(bad)} differ[/]"
    out.print(f"{sound}: {len(found) - len(apart)} stages compared, {len(apart)} not comparable", soft_wrap=True)
    return Status.EVIDENCE if bad else Status.PROVED


def _counts(found: "Sequence[Reperformed]") -> Iterator[tuple[str, ...]]:
    from tasks.reperform import STAGES, Result

    for stage in STAGES:
        mine = [each for each in found if each.stage == stage]
        results = Counter(each.result for each in mine)
        if mine:
            outputs = sum(len(each.record.outputs) for each in mine)
            yield stage, str(len(mine)), str(outputs), *(str(results[each] or "·") for each in Result)


def _told(each: "Reperformed") -> Iterator[str]:
    """Lines of one stage that did not come to the same bytes."""
    from tasks.reperform import Result

    mark = "[red]✘[/]" if each.result is Result.DIFFERS else "[yellow]·[/]"
    if each.result is Result.NOT_COMPARABLE:
        yield f"{mark} {each.stage}, record {each.record.sequence}: {escape(each.why)}"
    for differing in each.differs:
        output = f", {differing.output}" if differing.output else ""
        for what in differing.what:
            yield f"{mark} {each.stage}, record {each.record.sequence}{escape(output)}: {escape(what)}"
    if each.differs and each.why:
        yield f"  {escape(each.why)}"


def _stages(asked: Sequence[str]) -> list[str]:
    """The stages that were asked for. Raises UsageError for one that is no pure stage, with the nearest that is."""
    from tasks.reperform import STAGES

    for name in asked:
        if name not in STAGES:
            raise UsageError(f"there is no pure stage {name!r}", remedy=suggestion(name, STAGES))
    return list(asked)


def share_of(text: str) -> tuple[float, int]:
    """The share and the seed of `SHARE` or `SHARE:SEED`; a seed of its own where there is none."""
    import math
    import secrets

    share, _, seed = text.partition(":")
    try:
        found = float(share), int(seed) if seed else secrets.randbelow(1 << 32)
        if not (math.isfinite(found[0]) and 0 < found[0] <= 1):
            raise ValueError(text)
    except ValueError:
        remedy = "Give a share above 0 and up to 1, such as 0.1, or with the seed of an earlier sample, 0.1:42."
        raise UsageError(f"{text!r} is no share of the records", remedy=remedy) from None
    return found
