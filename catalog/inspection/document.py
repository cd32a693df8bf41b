"""What the page of lineage holds: the ledger's records, what they name, and the reports' figures, as one document.

Made from the ledger and the recorded reports alone. Texts and digests stand in lists once, and are named by their place
there, so that ten thousand records are a few megabytes. Nothing is drawn here, and nothing is looked up: `page.js` does
that, where somebody looks.

    head        the newest record, as sequence:digest
    words       every text, the empty one first
    digests     every digest
    records     [digest, time, kind, stage, actor, phase, component, test, run, note, rests on, outputs] of each, oldest
                first; the last two are lists of role and digest in turn
    first       the sequence of the first of them: the oldest are left out where there are more than `MOST_RECORDS`
    withdrawn   [digest, record of the withdrawal, whether it is withdrawn itself]
    absent      digests of artefacts that a bundle of this phase does not hold
    reports     the newest of each phase: its record, its titles, and its figures, by `FIGURE`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.claims import Claim, claims
from catalog.ledger import Kind, Record
from catalog.lineage import resting, withdrawals
from catalog.reach import reach

FORMAT = 1
MOST_RECORDS = 50_000
FIGURE = (
    "figure", "text", "unit", "section", "component", "test", "run", "verdict", "reliance", "scope", "title",
    "interval", "samples", "method", "standing", "metric", "requirement",
)  # fmt: skip
"""What the page tells of a figure, each as a text's place in `words`; its evidence follows as a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a record is about, as far as it or the records of the same test say; empty where they do not."""

    phase: str
    component: str
    test: str
    run: str


def subjects(records: Sequence[Record]) -> list[Subject]:
    """What each record is about."""
    tests: dict[str, str] = {}
    components: dict[str, str] = {}
    for record in records:
        told = record.parameters
        if isinstance(test := told.get("test"), str):
            if isinstance(run := told.get("run"), str) and record.kind is not Kind.RELIED:
                tests[run] = test
            if isinstance(component := told.get("component"), str):
                components[test] = component
    return [_subject(record.parameters, tests, components) for record in records]


def _subject(told: Mapping[str, Any], tests: Mapping[str, str], components: Mapping[str, str]) -> Subject:
    phase, component, test, run = (_text(told.get(name)) for name in ("occasion", "component", "test", "run"))
    test = test or tests.get(run, "")
    return Subject(
        phase=phase or _text(told.get("phase")),
        component=component or components.get(test, ""),
        test=test,
        run=run,
    )


def lineage_page(
    records: Sequence[Record],
    reports: Mapping[str, tuple[Record, Any]],
    phase: str,
    *,
    bundle: bool,
    most: int = MOST_RECORDS,
) -> dict[str, Any]:
    """The document of the page beside the report of `phase`; `reports` as `catalog.workspace.newest_reports` has them.

    `records`: all of the ledger, or its beginning. At most `most` of them are held, the newest.
    """
    head, first = records[-1], max(0, len(records) - most)
    table = _Table()
    held = [
        table.record(record, rests_on, subject)
        for (record, rests_on), subject in list(zip(resting(records), subjects(records), strict=True))[first:]
    ]
    named = dict.fromkeys(table.digests)
    identity = _identity(reports.get(phase, (None, None))[1])
    return {
        "format": FORMAT,
        "head": f"{head.sequence}:{head.digest}",
        "phase": phase,
        "in": "bundle" if bundle else "workspace",
        "title": identity["title"],
        "stamp": identity["stamp"],
        "first": records[first].sequence,
        "records": held,
        "withdrawn": [
            [table.digests[name], by.sequence, int(any(item.digest == name for item in by.inputs))]
            for name, by in withdrawals(records).items()
            if name in named
        ],
        "absent": sorted(table.digests[name] for name in _absent(records, phase) if name in named) if bundle else [],
        "reports": [table.report(name, record, document) for name, (record, document) in sorted(reports.items())],
        "words": list(table.words),
        "digests": list(table.digests),
    }


def _absent(records: Sequence[Record], phase: str) -> set[str]:
    """The artefacts that a bundle of `phase` leaves out."""
    here = reach(records, phase).objects
    own = {record.digest for record in records}
    named = {item.digest for record, rests_on in resting(records) for item in (*rests_on, *record.outputs)}
    return named - here - own


def _identity(report: Any) -> dict[str, str]:
    """What a report says of itself; empty where it says nothing."""
    match report:
        case {"identity": {"programme": {"title": str(title)}, "phase": {"title": str(phase)}}}:
            stamp = report.get("stamp")
            told = stamp.get("text") if isinstance(stamp, dict) else ""
            return {"title": title, "phase": phase, "stamp": _text(told)}
        case _:
            return {"title": "", "phase": "", "stamp": ""}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class _Table:
    """Texts and digests by their places."""

    words: dict[str, int] = field(default_factory=lambda: {"": 0})
    digests: dict[str, int] = field(default_factory=dict)

    def word(self, text: str) -> int:
        return self.words.setdefault(text, len(self.words))

    def digest(self, name: str) -> int:
        return self.digests.setdefault(name, len(self.digests))

    def record(self, record: Record, rests_on: Sequence[Any], about: Subject) -> list[Any]:
        texts = (str(record.kind), record.stage, record.actor.name, about.phase, about.component, about.test, about.run)
        return [
            self.digest(record.digest),
            record.time,
            *(self.word(text) for text in texts),
            self.word(_note(record)),
            [place for item in rests_on for place in (self.word(item.role), self.digest(item.digest))],
            [place for item in record.outputs for place in (self.word(item.role), self.digest(item.digest))],
        ]

    def report(self, phase: str, record: Record, document: Any) -> dict[str, Any]:
        return {
            "phase": phase,
            "title": _identity(document)["phase"],
            "record": record.sequence,
            "figures": [self.figure(claim) for claim in claims(document)],
        }

    def figure(self, claim: Claim) -> list[Any]:
        texts = [self.word(getattr(claim, name)) for name in FIGURE]
        return [*texts, [self.digest(name) for name in claim.evidence]]


def _note(record: Record) -> str:
    """In a few words, what a record's parameters say of it."""
    told = record.parameters
    return "; ".join(text for name in ("state", "why", "reason") if (text := _text(told.get(name))))
