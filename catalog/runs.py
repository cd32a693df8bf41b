"""What the ledger tells about test runs: which were started, which ended and how, and on what they were keyed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from catalog.ledger import Kind, Record
from catalog.workspace import pair_runs


class RunState(StrEnum):
    """How far a test run came.

    An interrupted one has a beginning and no end, or an end that says what was kept of it and what was lost.
    """

    FINISHED = "finished"
    UNREACHABLE = "unreachable"
    INTERRUPTED = "interrupted"


class TestEnd(StrEnum):
    """How a planned test ended. Every planned test ends as exactly one of these, and the report accounts for all."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    EXECUTED = "executed"
    RELIED = "relied"
    RECEIVED = "received"
    WAIVED = "waived"
    BLOCKED = "blocked"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """One execution of a planned test within an occasion (a phase, or a regression's date), or results received for it.

    `record` is the record that ended it, or the one that started it when nothing ended it. `attempt` counts the
    finished runs of the same test and key within the occasion up to this one: the k-th is judged at level
    1 - 0.05/2^(k-1).
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    run: str
    test: str
    occasion: str
    state: RunState
    record: Record
    why: str
    attempt: int

    @property
    def key(self) -> str | None:
        """The digest of the stage key that it was executed under."""
        return self.record.key

    @property
    def received(self) -> bool:
        """Whether a service provider submitted its results, and nothing was executed here."""
        return self.record.kind is Kind.RECEIVED

    @property
    def stands_for(self) -> str | None:
        """The digest of the key that its test was planned under: for results received, as it was planned then."""
        return self.record.parameters["planned"] if self.received else self.record.key

    def parameter(self, name: str) -> Any:
        """A parameter of its record; None when the record has none of that name."""
        return self.record.parameters.get(name)


def test_runs(records: Sequence[Record]) -> list[TestRun]:
    """Every test run that was ever started or received, in the order of their starts."""
    finished: Counter[tuple[str, str, str | None]] = Counter()
    runs = []
    pairs = {pair.started.sequence: pair for pair in pair_runs(records)}
    for started in records:
        pair = pairs.get(started.sequence)
        if pair is None and started.kind is not Kind.RECEIVED:
            continue
        record = (pair.executed if pair else None) or started
        ended = pair is None or pair.executed is not None
        run = TestRun(
            run=started.parameters["run"],
            test=started.parameters["test"],
            occasion=started.parameters["occasion"],
            state=RunState(record.parameters["state"]) if ended else RunState.INTERRUPTED,
            record=record,
            why=started.parameters["why"],
            attempt=0,
        )
        place = run.test, run.occasion, run.stands_for
        finished[place] += run.state is RunState.FINISHED
        runs.append(replace(run, attempt=finished[place]))
    return runs


test_runs.__test__ = False  # type: ignore[attr-defined]  # imported into tests, it is not one


def next_run_id(runs: Iterable[TestRun], *, test: str, occasion: str) -> str:
    """The id of the next run of a test within an occasion: `occasion/test/k`, k counting every start."""
    return f"{occasion}/{test}/{1 + sum(run.test == test and run.occasion == occasion for run in runs)}"
