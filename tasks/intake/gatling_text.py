"""Gatling's simulation.log as text (up to 3.12.0): tab-separated records, times in milliseconds since the epoch."""

from collections.abc import Iterator

from tasks.intake.format import BATCH, Account, Capability, Gives, Loop, Samples, Source, Start, Sure
from tasks.intake.lines import BOM, LONGEST, lines, text_of
from tasks.intake.numbers import count_of
from tasks.intake.outcomes import outcome_of

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="any, over all samples; Gatling's own are estimates (t-digest)",
)
_BESIDE = {
    "USER": "a user that starts or ends",
    "GROUP": "a group: its requests are counted",
    "ASSERTION": "an assertion",
    "ERROR": "an error of the simulation",
}


class GatlingText:
    """simulation.log, text."""

    name = "gatling-text"

    def recognises(self, head: bytes) -> Sure:
        """By a record of the run, or of a request, at the start of a line."""
        text = head.removeprefix(BOM)
        if text.startswith((b"RUN\t", b"ASSERTION\t")):
            return Sure.CERTAIN
        return Sure.LIKELY if text.startswith((b"REQUEST\t", b"USER\t")) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every REQUEST."""
        account.tool, account.capability = "gatling", CAPABILITY
        users, errors, batch = 0, 0, Samples()
        for number, line, whole in lines(source.path):
            account.total += 1
            if not line.strip():
                account.blank += 1
                continue
            if not whole:
                account.skip(number, f"longer than {LONGEST} bytes")
                continue
            fields = text_of(line, source.assumptions.encoding)[0].split("\t")
            match fields[0]:
                case "RUN":
                    account.headers += 1
                    account.version = fields[-1].strip()[:40]
                case "REQUEST":
                    if _add(batch, number, fields, users):
                        account.taken += 1
                    else:
                        account.skip(number, "a REQUEST that is not whole")
                case "USER":
                    users = max(0, users + (1 if "START" in fields else -1 if "END" in fields else 0))
                    account.beside[_BESIDE["USER"]] += 1
                case "GROUP" | "ASSERTION" | "ERROR":
                    errors += fields[0] == "ERROR"
                    account.beside[_BESIDE[fields[0]]] += 1
                case _:
                    account.skip(number, "a record of no known kind")
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        if errors:
            account.find("tool-errors", f"Gatling logged {errors} errors of its own")
        yield batch


def _add(batch: Samples, number: int, fields: list[str], users: int) -> bool:
    """A request, its status found first: before 3.4 a user's id stands before the groups."""
    place = next((at for at in range(len(fields) - 1, 4, -1) if fields[at] in ("OK", "KO")), 0)
    place = next((at for at in (5, 6) if len(fields) > at and fields[at] in ("OK", "KO")), place)
    if place not in (5, 6):
        return False
    start, end = count_of(fields[place - 2]), count_of(fields[place - 1])
    if start is None or end is None or end < start or end >= 2**43:
        return False
    groups, name = fields[place - 4], fields[place - 3]
    message = fields[place + 1] if len(fields) > place + 1 else ""
    batch.add(
        line=number,
        label=f"{groups}/{name}".strip("/ ") if groups.strip() else name,
        sent_us=start * 1000,
        done_us=end * 1000,
        outcome=outcome_of(ok=fields[place] == "OK", text=message),
        threads=users,
    )
    return True
