"""Ledgers as phases leave them, as large as one likes, without running anything: records and reports in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from catalog.canonical import digest
from catalog.ledger import GENESIS, Actor, Draft, Kind, Record, Reference, decode, encode

Reports = Mapping[str, tuple[Record, Any]]


def name(text: str) -> str:
    return digest(text.encode())


class Chain:
    """Records, each in its place in one chain."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(
        self, kind: Kind, stage: str, inputs: Mapping[str, str], outputs: Mapping[str, str], **parameters: Any
    ) -> Record:
        draft = Draft(
            kind=kind,
            stage=stage,
            inputs=tuple(Reference(role=role, digest=each) for role, each in inputs.items()),
            outputs=tuple(Reference(role=role, digest=each) for role, each in outputs.items()),
            parameters=parameters,
        )
        number = len(self.records) + 1
        line = encode(
            draft,
            sequence=number,
            previous=self.records[-1].digest if self.records else GENESIS,
            time=f"2026-01-{1 + number % 28:02}T10:{number % 60:02}:00.000000Z",
            actor=Actor(name="tester"),
            code="1",
        )
        self.records.append(decode(line))
        return self.records[-1]


def phases(
    names: Sequence[str], runs: int, text: str = "Latency"
) -> tuple[list[Record], dict[str, tuple[Record, Any]]]:
    """Phases of `runs` test runs each: declared, executed, measured, observed, reported, signed; and their reports.

    `text`: a title that stands in each report; the first run of a later phase relies on that of the first.
    """
    chain, reports = Chain(), {}
    first: Record | None = None
    for phase in names:
        declared = chain.add(
            Kind.DECLARED,
            "declare",
            {},
            {"programme": name(f"programme {phase}"), "file:a.yaml": name("a")},
            occasion=phase,
        )
        measured, tests, rows = {}, [], []
        for number in range(runs):
            test, run = f"{phase}.c{number % 7}.load{number}", f"{phase}/{phase}.c{number % 7}.load{number}/1"
            about = {"occasion": phase, "test": test, "run": run, "component": f"c{number % 7}"}
            programme = {"programme": declared.outputs[0].digest}
            if phase != names[0] and number == 0 and first:
                chain.add(Kind.RELIED, "rely", {"executed": first.digest}, {"comparison": name(run)}, **about)
            chain.add(Kind.STARTED, "execute", programme, {}, **about, why="never executed")
            done = chain.add(
                Kind.EXECUTED, "execute", programme, {"results": name(f"results {run}")}, **about, state="finished"
            )
            first = first or done
            made = chain.add(
                Kind.DERIVED,
                "measure",
                {"results": done.outputs[0].digest},
                {"measurements": name(f"measured {run}")},
                occasion=phase,
                run=run,
            )
            measured[f"measurements:{run}"] = made.outputs[0].digest
            verdict = ("proved", "not proved", "inconclusive")[number % 3]
            value = {"value": number, "unit": "us", "text": f"{number} µs", "evidence": [made.outputs[0].digest]}
            rows.append({"test": test, "run": run, "verdict": verdict, "reliance": "executed", "title": text,
                         "m": {"figure": f"observation/{run}/p95", **value}})  # fmt: skip
            tests.append({"test": test, "component": f"c{number % 7}", "end": "executed", "runs": [{"run": run}]})
        observed = chain.add(Kind.OBSERVED, "observe", measured, {"observations": name(f"o {phase}")}, occasion=phase)
        evidence = {"unit": "count", "evidence": [observed.outputs[0].digest]}
        counts = {
            each: sum(row["verdict"] == each for row in rows) for each in ("proved", "not proved", "inconclusive")
        }
        outcome = [
            {"figure": f"outcome/{each.replace(' ', '-')}", "value": n, "text": str(n), **evidence}
            for each, n in counts.items()
        ]
        identity = {"programme": {"title": text}, "phase": {"title": f"Phase {phase}"}}
        document = {"identity": identity, "outcome": outcome, "observations": rows, "tests": tests}
        document["stamp"] = {"text": "Rehearsal"}
        reported = chain.add(
            Kind.REPORTED,
            "report",
            {"programme": declared.outputs[0].digest, "observations": observed.outputs[0].digest},
            {"report.json": name(f"report {phase}"), "report.html": name(f"page {phase}")},
            occasion=phase,
            phase=phase,
        )
        reports[phase] = (reported, document)
        chain.add(
            Kind.SIGNED,
            "sign",
            {},
            {},
            statement={"phase": phase, "head": reported.digest, "sequence": reported.sequence},
        )
    return chain.records, reports
