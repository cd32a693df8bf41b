"""What somebody is asked to decide, as text to be read before they do: on what exactly, by whom, and how things stand.

All of it are facts with their digests; no answer is suggested. How people are asked and answer is not here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.decisions import decisions
from catalog.declarations import Matter, Programme
from catalog.errors import UsageError
from catalog.hints import listed
from catalog.workspace import Workspace
from tasks.report.plain_text import harmless, harmless_text
from tasks.sign import open_to
from tasks.subjects import Subject, find_subject, newest_report

_LONGEST = 6_000
"""Characters of a document that are shown; the rest is named by the digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the holder of a key is asked. `roles`: in which they may answer; `answers`: what they may say.

    `text` is Markdown, with texts that are not ours as code or escaped.
    """

    subject: Subject
    by: str
    roles: tuple[str, ...]
    answers: tuple[str, ...]
    text: str


def question(
    what: str, fingerprint: str, programme: Programme, workspace: Workspace, *, environment: str = ""
) -> Question:
    """What the holder of the key with this fingerprint is asked on `MATTER:SUBJECT`.

    Raises UsageError for what there is not, and for a key whose declared holder may not decide on it.
    """
    subject = find_subject(what, programme, workspace, environment=environment)
    by, roles = holder_of(programme, subject, fingerprint)
    answers = tuple(dict.fromkeys(each for allowed in roles.values() for each in allowed))
    told = [
        f"## {in_markdown(f'{subject.matter} {subject.name}')}",
        f"Decided on is exactly what has the SHA-256 `{subject.of}`. Another form of it is another decision.",
        f"It is signed by **{in_markdown(by)}**, as {in_markdown(listed(list(roles)))}, with the key `{fingerprint}`.",
        *_document(subject, workspace),
        *_earlier(subject, workspace),
        *(line for phase in _phases(subject, programme) for line in criteria_of(phase, workspace)),
    ]
    return Question(subject=subject, by=by, roles=tuple(roles), answers=answers, text="\n\n".join(told))


def holder_of(programme: Programme, subject: Subject, fingerprint: str) -> tuple[str, dict[str, list[str]]]:
    """Whoever holds a key, and what they may say in each of their roles. UsageError for nobody, or for several."""
    found = open_to(programme, subject, fingerprint)
    what = f"{subject.matter}:{subject.name}"
    if not found:
        remedy = (
            "Who is asked for a decision here is told by the key: declare its holder in a role of governance.yaml that "
            f"decides on {subject.matter}, holders: [{{name: …, key: {fingerprint}}}], or decide in the terminal: "
            f"plimsoll {'issue --help' if subject.matter is Matter.ISSUE else f'sign {what}'}."
        )
        raise UsageError(f"nobody is declared to decide on {what} with the key {fingerprint[:16]}…", remedy=remedy)
    if len(found) > 1:
        remedy = "A key is one person's: declare it for one of them in governance.yaml."
        raise UsageError(f"the key {fingerprint[:16]}… is declared for {listed(list(found))}", remedy=remedy)
    ((by, roles),) = found.items()
    return by, {role.id: allowed for role, allowed in roles}


def _document(subject: Subject, workspace: Workspace) -> Iterator[str]:
    """What the digest is of, as it stands: a JSON document as code, which no text in it can end."""
    document = subject.document if subject.document is not None else _named(subject, workspace)
    if document is None:
        return
    lines = json.dumps(harmless(document), indent=2, ensure_ascii=False)
    more = f"\n\n… and {len(lines) - _LONGEST:,} characters more." if len(lines) > _LONGEST else ""
    yield f"```json\n{lines[:_LONGEST]}\n```{more}"


def _named(subject: Subject, workspace: Workspace) -> Any:
    """The record that is decided on, or what its report came to; None for another artefact."""
    found = next((each for each in workspace.ledger.records() if each.digest == subject.digest), None)
    if found:
        named = {item.role: item.digest for item in found.outputs}
        return {"record": found.sequence, "kind": found.kind, "time": found.time, "by": found.actor.name,
                **found.parameters, "outputs": named}  # fmt: skip
    reported = newest_report(workspace, subject.phase)
    if reported is None or reported.output("report.json") != subject.digest:
        return None
    counts = {name: found for name in ("verdicts", "ends") if (found := reported.parameters.get(name))}
    return {"report of": subject.phase, "record": reported.sequence, "time": reported.time, **counts}


def _earlier(subject: Subject, workspace: Workspace) -> Iterator[str]:
    """What was decided on the same before."""
    found = [
        each
        for each in decisions(workspace.ledger.records(), workspace.withdrawals())
        if (each.matter, each.subject) == (subject.matter, subject.name)
    ]
    if not found:
        yield "Nothing was decided on it before."
        return
    rows = [
        (each.decision, each.by, each.role, each.time, each.reason,
         each.withdrawn or ("stands" if each.of == subject.of else "on another form of it"))
        for each in found
    ]  # fmt: skip
    yield "Decided before:"
    yield markdown_table(("decision", "by", "as", "time", "reason", "state"), rows)


def _phases(subject: Subject, programme: Programme) -> list[str]:
    """The phases whose exit criteria bear on it: its own, a plan's, else all."""
    if subject.phase:
        return [subject.phase]
    every = [phase.id for phase in programme.programme.phases]
    if subject.matter is Matter.PLAN:
        (plan,) = (each for each in programme.tests.plans if each.id == subject.name)
        return [each for each in every if each in plan.phases]
    return every


def criteria_of(phase: str, workspace: Workspace) -> Iterator[str]:
    """The exit criteria of a phase, as its newest report holds them against the facts."""
    reported = newest_report(workspace, phase)
    if reported is None:
        yield f"Exit criteria of {in_markdown(phase)}: it is not reported yet, so none was held against anything."
        return
    report = workspace.store.document(reported.output("report.json") or "")
    rows = [
        (each["id"], each["state"] + (" (a rehearsal)" if each["rehearsal"] else ""), each["text"],
         "".join(_said(part) for part in each["reason"]))
        for each in report["exit_criteria"]
    ]  # fmt: skip
    yield (
        f"Exit criteria of {in_markdown(phase)}, by the report of {reported.time}, {in_markdown(str(reported))}, "
        f"`{reported.output('report.json')}`:"
    )
    yield markdown_table(("criterion", "state", "what it asks", "facts"), rows)


def _said(part: str | Mapping[str, Any]) -> str:
    return part if isinstance(part, str) else str(part["text"])


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as a table of Markdown."""
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*head, *(f"| {' | '.join(in_markdown(cell) for cell in row)} |" for row in rows)])


_MARKUP = str.maketrans({each: f"\\{each}" for each in "\\`*_{}[]()<>#!|~&$@:."} | {"\n": " ", "\t": " "})


def in_markdown(text: str) -> str:
    """A text as Markdown shows it as it stands: nothing in it is markup, a link or a line's end."""
    return harmless_text(text).translate(_MARKUP)
