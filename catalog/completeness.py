"""Whether evidence leads all the way: figure to measurement, measurement to results, results to a run, run to its plan.

1. A test run was planned in its occasion before, and rests on volumes that the volume model put out.
2. Results are what a test run (or a submission) put out; measurements rest on those and nothing else.
3. Observations rest on measurements that were measured, and on runs that ended.
4. Every figure of a report rests on evidence that leads back to something executed, received, relied on, derived or
   declared; a measurement's figure on measurements, an observation's on observations.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from catalog.ledger import Kind, Record
from catalog.lineage import GROUND
from catalog.store import is_digest

RUN = frozenset({Kind.EXECUTED, Kind.RECEIVED})
_FIGURES = {"measurement": "measure", "observation": "observe"}


class Grounds:
    """What the records of a ledger (all of them, oldest first) made, and on what that rests.

    One pass in the ledger's order is enough: what a record rests on stands before it. `faults`: what and where.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.faults: list[tuple[str, str]] = []
        self._grounded: set[str] = set()
        self._makers: dict[str, set[str]] = {}
        self._planned: set[str] = set()
        for record in records:
            self.faults += [(what, str(record)) for what in self._faults(record)]
            self._enter(record)

    def _enter(self, record: Record) -> None:
        made = [record.digest, *(item.digest for item in record.outputs)]
        if record.kind in GROUND or any(item.digest in self._grounded for item in record.inputs):
            self._grounded.update(made)
        for name in made:
            self._makers.setdefault(name, set()).add(_maker(record))
        if _maker(record) == "plan":
            self._planned.add(_occasion(record))

    def _faults(self, record: Record) -> Iterator[str]:
        maker = _maker(record)
        if record.kind is Kind.EXECUTED:
            if not any(self._is_by("volumes", item.digest) for item in record.inputs):
                yield "rests on no volumes that the volume model put out"
            if _occasion(record) not in self._planned:
                yield "was not planned: no plan stands before it in its occasion"
        if record.kind not in RUN and record.output("results"):
            yield "puts out results, and is no test run"
        if maker == "measure":
            strange = [item for item in record.inputs if not self._is_by("run", item.digest)]
            if strange or not record.inputs:
                yield f"measures what no test run put out: {', '.join(item.role for item in strange) or 'nothing'}"
        if maker == "observe":
            for item in record.inputs:
                wanted = {"measurements": "measure", "run": "run"}.get(item.role.partition(":")[0])
                if wanted and not self._is_by(wanted, item.digest):
                    yield f"observes {item.role}, which is none that a {wanted} before it put out"

    def _is_by(self, maker: str, name: str) -> bool:
        return maker in self._makers.get(name, ())

    def figure_faults(self, figure: dict[str, Any], known: Collection[str]) -> Iterator[str]:
        """Rule 4. `known`: digests of the objects and records that there are."""
        evidence = figure.get("evidence")
        if not isinstance(evidence, list) or not evidence:
            yield "carries no evidence"
            return
        for name in evidence:
            if not is_digest(name):
                yield f"its evidence {name!r} is no digest"
            elif name not in self._grounded:
                problem = "leads to nothing executed, received, relied on, derived or declared"
                yield f"its evidence {name} {problem if name in known else 'is neither an object nor a record here'}"
        maker = _FIGURES.get(str(figure["figure"]).partition("/")[0])
        if maker and not any(isinstance(name, str) and self._is_by(maker, name) for name in evidence):
            yield f"none of its evidence was put out by a record of stage {maker}"


def _occasion(record: Record) -> str:
    """The occasion that a record names; whatever a damaged one has in its place, as text."""
    return str(record.parameters.get("occasion"))


def _maker(record: Record) -> str:
    """What made a record's outputs, as the rules here name it; a person's word makes none of them."""
    if record.kind in RUN:
        return "run"
    return record.stage if record.kind in GROUND or record.kind is Kind.OBSERVED else ""
