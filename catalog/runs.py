"""What the ledger tells about test runs: which were started, which ended and how, and on what they were keyed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from catalog.ledger import Record
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
    """One execution of a planned test within an occasion (a phase, or a regression's date).

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

    def parameter(self, name: str) -> Any:
        """A parameter of its record; None when the record has none of that name."""
        return self.record.parameters.get(name)


def test_runs(records: Sequence[Record]) -> list[TestRun]:
    """Every test run that was ever started, in the order of their starts."""
    finished: Counter[tuple[str, str, str | None]] = Counter()
    runs = []
    for pair in pair_runs(records):
        record = pair.executed or pair.started
        state = RunState(record.parameters["state"]) if pair.executed else RunState.INTERRUPTED
        test, occasion = pair.started.parameters["test"], pair.started.parameters["occasion"]
        finished[test, occasion, record.key] += state is RunState.FINISHED
        runs.append(
            TestRun(
                run=pair.id,
                test=test,
                occasion=occasion,
                state=state,
                record=record,
                why=pair.started.parameters["why"],
                attempt=finished[test, occasion, record.key],
            )
        )
    return runs


test_runs.__test__ = False  # type: ignore[attr-defined]  # imported into tests, it is not one


def next_run_id(runs: Iterable[TestRun], *, test: str, occasion: str) -> str:
    """The id of the next run of a test within an occasion: `occasion/test/k`, k counting every start."""
    return f"{occasion}/{test}/{1 + sum(run.test == test and run.occasion == occasion for run in runs)}"
