"""What is executed, what relied on, and why: `plan` for a phase at a glance, `explain` as an impact analysis report."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.errors import Status
from catalog.shown import shown
from expectations.reliance import NEVER, in_words
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from rich.console import Console

    from catalog.declarations import Programme
    from catalog.workspace import Workspace
    from tasks.impact import Tracer
    from tasks.plan import Decided

_WIDEST = 100  # characters of a compared value that are shown
_DIGEST = 8  # characters of a digest that are shown
_MOST = 6  # differences of one root cause, and inputs that it propagates to, that are shown

_YES, _NO, _NOTE = "[green]✔[/]", "[red]✘[/]", "[yellow]·[/]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phase:
    """A phase's decisions and what they are explained with; no workspace and tracer before anything is recorded."""

    programme: "Programme"
    decided: "Sequence[Decided]"
    workspace: "Workspace | None"
    tracer: "Tracer | None"


def plan(options: Namespace) -> Status:
    """Says what would be executed, what relied on, and why; writes nothing."""
    decided = _decide(options, options.phase).decided
    if options.json:
        print_json({"phase": options.phase, "tests": [each.as_json() for each in decided]})
        return Status.PROVED
    rows = (
        (each.planned.test, str(each.decision), escape(each.why), escape(_differing(each.reasons))) for each in decided
    )
    console().print(table(f"Plan of {options.phase}", ("test", "decision", "why", "what differs"), rows))
    return Status.PROVED


def explain(options: Namespace) -> Status:
    """Says why a test, or each of a phase, is executed, relied on or complete: an impact analysis report."""
    from flows.desk import find_test
    from tasks.impact import impact

    phase, whole = options.test.split(".")[0], "." not in options.test
    found = _decide(options, phase)
    tests = [each.planned for each in found.decided]
    named = {each.test for each in tests} if whole else {find_test(tests, phase, options.test).test}
    chosen = [each for each in found.decided if each.planned.test in named]
    reports = [impact(each, found.programme, found.decided, found.tracer) for each in chosen]
    then = [_then(each, found.workspace) for each in chosen]
    declared = found.programme.programme.reliance
    rule = {"text": in_words(declared), **declared.model_dump(mode="json")}
    if options.json:
        told = [
            {**each.as_json(), "compared": report["compared"], "impact": report, "decided_then": before, "rule": rule}
            for each, report, before in zip(chosen, reports, then, strict=True)
        ]
        print_json({"phase": phase, "tests": told} if whole else told[0])
        return Status.PROVED
    out = console()
    out.print(f"[bold]The rule in force[/]  {escape(rule['text'])} ({escape(rule['source'])})\n")
    for each, report, before in zip(chosen, reports, then, strict=True):
        _print(out, each, report, before)
    out.print(f"[bold]Not compared, on purpose[/]  {escape(_left_out(reports))}")
    return Status.PROVED


def _decide(options: Namespace, phase_id: str) -> _Phase:
    """What will become of each planned test of a phase. Reads the workspace where there is one, and writes nothing."""
    from catalog.extensions import fingerprint
    from catalog.reading import read_catalogue
    from catalog.workspace import Workspace, is_workspace, refuse_as_home
    from flows.desk import find_environment, find_phase, today
    from tasks.history import history, no_history
    from tasks.impact import Tracer
    from tasks.plan import decide, phases_needed, plan_tests
    from tasks.remembered import remembered
    from tasks.volumes.model import model_volumes

    def derive() -> Any:
        catalogue = read_catalogue(options.catalog)
        programme = catalogue.programme
        environment, phase = find_environment(programme, options.environment), find_phase(programme, phase_id).id
        volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, phase)}
        planned = plan_tests(programme, phase, environment, volumes, occasion=phase)
        return catalogue.digests, (programme, environment, volumes, planned)

    asked = ("planned", phase_id, options.environment, fingerprint())
    programme, environment, volumes, planned = remembered(options.catalog, asked, derive)
    refuse_as_home(options.home)
    workspace = Workspace.open(options.home) if is_workspace(options.home) else None
    if workspace is None:
        print(f"plimsoll: there is no workspace at {options.home} yet, so nothing was executed", file=sys.stderr)
    known = history(workspace, programme, day=today()) if workspace else no_history(options.home)
    return _Phase(
        programme=programme,
        decided=[decide(programme, each, known) for each in planned],
        workspace=workspace,
        tracer=Tracer(
            workspace=workspace, programme=programme, environment=environment.id, planned=planned, volumes=volumes
        )
        if workspace
        else None,
    )


def _then(decided: "Decided", workspace: "Workspace | None") -> dict[str, Any] | None:
    """Of a test that is complete: what the plan said before the run that stands."""
    if workspace is None or decided.stands is None or decided.decision != "complete":
        return None
    from tasks.history import decided_then

    return decided_then(workspace, decided.stands)


def _print(out: "Console", decided: "Decided", report: Mapping[str, Any], then: Mapping[str, Any] | None) -> None:
    """One impact analysis report: the question, root causes, inputs, what is affected, the conclusion."""
    out.print(f"[bold]{escape(report['test'])}[/]  {decided.decision}: {escape(decided.why)}", soft_wrap=True)
    if evidence := report["evidence"]:
        out.print(f"  compared with  run {escape(evidence['run'])}, record {evidence['record']}", soft_wrap=True)
    if then:
        out.print(f"  decided then   {escape(then['decision'])}: {escape(then['why'])}", soft_wrap=True)
        for each in then["reasons"][:_MOST] if then["decision"] == "execute" else ():
            out.print(f"                 {_NO} {escape(_difference(each))}", soft_wrap=True)
    elif decided.stands and decided.decision == "complete":
        how = "received" if decided.stands.received else "executed"
        out.print(f"  it had been {how} because: {escape(decided.stands.why)}", soft_wrap=True)
    for line in _roots(report):
        out.print(line, soft_wrap=True)
    if report["compared"]:
        columns = ("", "input", "old", "new", "sha-256 of old, new")
        out.print(table("  Inputs compared", columns, _compared_rows(report["compared"])))
    for line in _affected(report):
        out.print(line, soft_wrap=True)
    out.print(f"  [bold]conclusion[/]     {escape(report['conclusion'])}\n", soft_wrap=True)


def _roots(report: Mapping[str, Any]) -> Iterator[str]:
    """What changed at the root, with how many inputs it propagates to; then what changed and touches none."""
    for root in report["roots"]:
        for each in root["differences"][:_MOST]:
            yield f"  root cause     {_NOTE} {escape(_difference(each))}"
        yield from _more(root["differences"])
        yield f"                   propagates to {escape(_listed(root['propagates']))}"
    if report["evidence"]:
        for name in report["by_themselves"][:_MOST]:
            yield f"  by itself      {_NOTE} {escape(name)}"
        yield from _more(report["by_themselves"])
    if report["apart"]:
        yield f"  apart          changed in the declarations, and not compared here: {escape(_listed(report['apart']))}"
    if report["untraced"]:
        yield f"  not traced     without it nothing can be planned: {escape(_listed(report['untraced']))}"
    if report["evidence"] and not report["traced"]:
        yield "  not traced     what was declared when that run was made is not recorded, or cannot be read any more"


def _more(listed: Sequence[Any]) -> Iterator[str]:
    if len(listed) > _MOST:
        yield f"                   … and {len(listed) - _MOST} more"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _affected(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["affected"]
    paths = f"; paths {_listed(found['paths'])}" if found["paths"] else ""
    yield f"  affected       component {escape(found['component'])}{escape(paths)}"
    yield f"                 requirements {escape(_listed(found['requirements']) or 'none')}"
    if report["roots"]:
        yield f"                 other tests that the root causes touch: {escape(_listed(found['tests']) or 'none')}"


def _left_out(reports: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{each['what']} ({each['why']})" for each in reports[0]["not_compared"]) if reports else ""


def _compared_rows(compared: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Inputs compared, as rows: what is equal is shown once, and target volumes that are equal are counted."""
    equal = [each for each in compared if _is_cell(each) and each["old"] == each["new"]]
    totals = [sum(each[side] for each in compared if _is_cell(each)) for side in ("old", "new")]
    for each in compared:
        if each not in equal:
            mark = _YES if each["allows"] else _NO
            yield mark, *map(escape, (each["input"], *_sides(each, totals), _digests(each)))
    if equal:
        told = f"{sum(each['old'] for each in equal):,} messages"
        yield _YES, f"volumes, {len(equal)} kinds of message equal", told, "the same", ""


def _is_cell(each: Mapping[str, Any]) -> bool:
    """Whether it is the target volume of one kind of message, then and now."""
    counted = type(each["old"]) is int and type(each["new"]) is int
    return counted and each["input"].startswith("volumes.") and "|" in each["input"]


def _sides(each: Mapping[str, Any], totals: Sequence[int]) -> tuple[str, str]:
    if _is_cell(each):
        old, new = (_count(each[side], total) for side, total in zip(("old", "new"), totals, strict=True))
    else:
        old, new = "" if each["input"] == NEVER else _value(each["old"]), _value(each["new"])
    return old, "the same" if each["old"] == each["new"] else new


def _count(count: int, total: int) -> str:
    """Messages, and what share of all that the test offers they are: the mix."""
    return f"{count:,} ({shown(count * 1_000_000 // total, 'ppm')})" if total else f"{count:,}"


def _digests(each: Mapping[str, Any]) -> str:
    old, new = (str(each[side] or "")[:_DIGEST] or "none" for side in ("old_digest", "new_digest"))
    return old if old == new else f"{old} {new}"


def _differing(reasons: Sequence[Any]) -> str:
    found = [{"input": each.input, "old": each.old, "new": each.new} for each in reasons if each.old != each.new]
    return "\n".join([*map(_difference, found[:4]), *([f"… and {len(found) - 4} more"] if len(found) > 4 else [])])


def _difference(each: Mapping[str, Any]) -> str:
    new = _value(each["new"])
    return f"{each['input']}: {new}" if each["input"] == NEVER else f"{each['input']}: {_value(each['old'])} → {new}"


def _value(value: Any) -> str:
    """A compared value: text as it is, documents by their beginning."""
    if isinstance(value, str):
        return value
    text = "none" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
