"""h2load's `--log-file`: a request a line, when it was sent, its status and how long it took, in microseconds.

Its clients wait for their answers, also under `--rps`, which delays what comes after a slow answer.
"""

import re
from collections.abc import Iterator

from tasks.intake.format import BATCH, Account, Capability, Gives, Loop, Samples, Source, Start, Sure
from tasks.intake.lines import LONGEST, lines
from tasks.intake.numbers import count_of
from tasks.intake.outcomes import outcome_of

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=1,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="any, over all samples",
)
LABEL = "h2load"
"""The file says nothing of what was asked for: all of it has one label, the tool's name."""

_LINE = re.compile(rb"(\d{16})\t(-1|\d{3})\t(\d{1,15})")
_LOOKED_AT = 5


class H2load:
    """h2load's log."""

    name = "h2load"

    def recognises(self, head: bytes) -> Sure:
        """By the shape of its first lines: sixteen digits, a status, a number."""
        whole = head.split(b"\n")[: -1 if len(head) > 1 else None][:_LOOKED_AT]
        found = [_LINE.fullmatch(line.rstrip(b"\r")) for line in whole]
        return Sure.LIKELY if found and all(found) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every request; status -1 is one that got no answer."""
        account.tool, account.capability = "h2load", CAPABILITY
        batch = Samples()
        for number, line, whole in lines(source.path):
            account.total += 1
            found = _LINE.fullmatch(line) if whole else None
            if found is None:
                self._leave(account, number, line, whole=whole)
                continue
            sent, status, took = int(found[1]), int(found[2]), count_of(found[3].decode()) or 0
            batch.add(line=number, label=LABEL, sent_us=sent, done_us=sent + took, status=max(0, status),
                      outcome=outcome_of(ok=200 <= status < 400, text=""))  # fmt: skip
            account.taken += 1
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        yield batch

    def _leave(self, account: Account, number: int, line: bytes, *, whole: bool) -> None:
        if not whole:
            account.skip(number, f"longer than {LONGEST} bytes")
        elif not line.strip():
            account.blank += 1
        else:
            account.skip(number, "expected microseconds since the epoch, a status and a duration")
