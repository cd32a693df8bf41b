"""Executes some of the tests that would rest on earlier evidence all the same: how often would that have been wrong?

Which are drawn is recorded before the first of them is executed, with the share, the seed and what it was drawn from,
so that nobody can choose afterwards. Whoever draws may choose the seed; every draw stays in the ledger.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from catalog.errors import UsageError
from catalog.ledger import Kind, Record
from catalog.runs import RunState
from tasks.plan import History

STAGE = "sample-reliance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A share of the relied tests, above 0 and up to 1, and the seed that it is drawn by (None: one of its own)."""

    share: Decimal
    seed: int | None


def parse(text: str) -> Asked:
    """What `SHARE` or `SHARE:SEED` asks for. Raises UsageError for what is neither."""
    share, colon, seed = text.partition(":")
    try:
        asked = Asked(share=Decimal(share), seed=int(seed) if colon else None)
        if not (asked.share.is_finite() and 0 < asked.share <= 1 and (asked.seed or 0) >= 0):
            raise ValueError(text)
    except (ValueError, InvalidOperation):
        remedy = "Give a share above 0 and up to 1, such as 0.2, or with a seed of your own, 0.2:42."
        raise UsageError(f"{text!r} is no share of the relied tests", remedy=remedy) from None
    return asked


def drawn(tests: Iterable[str], share: Decimal, seed: int) -> list[str]:
    """A random share of `tests`, at least one where there are any, sorted; the same from the same seed."""
    population = sorted(tests)
    count = min(len(population), max(1, round(share * len(population))))
    return sorted(random.Random(seed).sample(population, count))  # noqa: S311 - whoever draws may choose the seed


def drawn_before(records: Sequence[Record], occasion: str, asked: Asked) -> Record | None:
    """The record of the newest draw of this share in the occasion: it stands, and the same command goes on from it.

    With a seed it is the draw by that seed; without one whichever was drawn by a seed of its own.
    """
    mine = [
        record
        for record in records
        if record.kind is Kind.SAMPLED
        and record.parameters.get("occasion") == occasion
        and record.parameters["share"] == format(asked.share.normalize(), "f")
        and (record.parameters["seed"] == asked.seed if asked.seed is not None else record.parameters["own_seed"])
    ]
    return mine[-1] if mine else None


def choice(asked: Asked, seed: int, tests: Iterable[str]) -> dict[str, Any]:
    """What is recorded of a draw: how, from what, and what was drawn."""
    population = sorted(tests)
    return {
        "share": format(asked.share.normalize(), "f"),
        "seed": seed,
        "own_seed": asked.seed is None,
        "relied": population,
        "tests": drawn(population, asked.share, seed),
    }


def outcomes(records: Sequence[Record], known: History, occasion: str) -> list[dict[str, Any]]:
    """Every draw of an occasion, and of each test drawn: what it would have rested on, and what its own run came to.

    Its own run is the first after the draw that came to an answer, else the first that finished. `outcome` is *same*
    where it is proved as the evidence was that it would have rested on, *differs* where it is not proved, and
    *no answer* where it is inconclusive, or where no run of it has finished.
    """
    return [
        {
            "record": record.digest,
            **{name: record.parameters[name] for name in ("share", "seed", "relied")},
            "tests": [_outcome(test, record, known, occasion) for test in record.parameters["tests"]],
        }
        for record in records
        if record.kind is Kind.SAMPLED and record.parameters.get("occasion") == occasion
    ]


_OUTCOMES: Mapping[str, str] = {"proved": "same", "not proved": "differs"}


def _outcome(test: str, draw: Record, known: History, occasion: str) -> dict[str, Any]:
    place = (occasion, test)
    earlier = next((run for run in known.runs if run.record.digest == known.relied.get(place)), None)
    own = [run for run in known.runs if (run.occasion, run.test) == place and run.record.sequence > draw.sequence]
    finished = {run.run: run for run in own if run.state is RunState.FINISHED}
    verdicts = {name: known.verdict(run)[0] for name, run in finished.items()}
    answering = next((name for name, verdict in verdicts.items() if verdict in _OUTCOMES), next(iter(finished), ""))
    run, verdict = finished.get(answering), verdicts.get(answering, "")
    return {
        "test": test,
        "relied_on": earlier.run if earlier else "",
        "run": run.run if run else "",
        "record": run.record.digest if run else "",
        "verdict": verdict,
        "outcome": _OUTCOMES.get(verdict, "no answer"),
    }
