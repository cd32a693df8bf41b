"""hey's `-o csv`: an answered request a line, in seconds to a tenth of a millisecond, from the start of the run.

Requests that failed without an answer are in no line, and of a run of more than a million requests only the first
million are; both are told. When the run began is in no file: the manifest's window says it.
"""

from collections.abc import Iterator

from tasks.intake.delimited import rows
from tasks.intake.format import (
    BATCH,
    Account,
    Capability,
    Gives,
    Loop,
    Samples,
    Source,
    Start,
    SubmittedError,
    Sure,
)
from tasks.intake.lines import BOM
from tasks.intake.numbers import instant_us, micros
from tasks.intake.outcomes import outcome_of, status_of

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=100,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="any, over the requests that were answered",
)
LABEL = "hey"
_HEAD = "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
_MOST = 1_000_000


class Hey:
    """hey's CSV."""

    name = "hey"

    def recognises(self, head: bytes) -> Sure:
        """By its header."""
        return Sure.CERTAIN if head.removeprefix(BOM).startswith(_HEAD.encode()) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every request that was answered. Raises SubmittedError where nobody says when the run began."""
        account.tool, account.capability = "hey", CAPABILITY
        began = instant_us(source.assumptions.started)
        if began is None:
            raise SubmittedError(f"{source.name}: hey counts from the start of its run, and nothing says when that was",
                                 remedy="State it in the manifest: `window: {start: …, end: …}`.")  # fmt: skip
        account.noted["started"] = source.assumptions.started
        account.noted["failures"] = "requests without an answer are not in the file: hey counts them elsewhere"
        names = _HEAD.split(",")
        batch = Samples()
        for row in rows(source.path, account, ",", source.assumptions.encoding):
            if row.fields == names:
                account.headers += 1
                continue
            if len(row.fields) != len(names):
                account.skip(row.line, f"expected {len(names)} columns")
                continue
            took, offset = micros(row.fields[0], "s"), micros(row.fields[7], "s")
            if took is None or offset is None or min(took, offset) < 0 or max(took, offset) > 2**52:
                account.skip(row.line, "expected seconds in response-time and offset")
                continue
            status = status_of(row.fields[6])
            batch.add(line=row.line, label=LABEL, sent_us=began + offset, done_us=began + offset + took, status=status,
                      outcome=outcome_of(ok=status in range(200, 400), text=""))  # fmt: skip
            account.taken += 1
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        if account.taken >= _MOST:
            account.find("partial", f"{source.name}: hey writes its first {_MOST:,} requests, and no more")
        account.find("partial", f"{source.name}: requests without an answer are missing, as hey writes none of them")
        yield batch
