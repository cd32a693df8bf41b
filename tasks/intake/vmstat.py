"""`vmstat -t`: rows of counters with a time. Without -t nothing says when a row was written, and none is taken."""

import re
from collections.abc import Iterator

from tasks.intake.format import Account, Readings, Source, Sure
from tasks.intake.lines import BOM, LONGEST, lines, text_of
from tasks.intake.numbers import decimal_of, instant_us, whole, zone_of
from tasks.intake.units import CAPABILITY, CPU, KIB, used_permille

_KIB = ("swpd", "free", "buff", "cache", "inact", "active")
_PERCENT = ("us", "sy", "id", "wa", "st", "gu")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$")


class Vmstat:
    """vmstat, in KiB."""

    name = "vmstat"

    def recognises(self, head: bytes) -> Sure:
        """By its two headers."""
        first = head.removeprefix(BOM).lstrip()[:400]
        return Sure.CERTAIN if first.startswith(b"procs ") and b"swpd" in first else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every row but each run's first, which is an average since the machine started."""
        account.tool, account.capability = "vmstat", CAPABILITY
        account.noted["timezone"] = source.assumptions.timezone or "UTC (not stated)"
        zone = zone_of(source.assumptions.timezone)
        names: list[str] = []
        readings, first = Readings(), True
        for number, line, whole_line in lines(source.path):
            account.total += 1
            text = text_of(line)[0].strip()
            stamp = _TIME.search(text)
            fields = (text[: stamp.start()] if stamp else text).split()
            if not text:
                account.blank += 1
            elif not whole_line:
                account.skip(number, f"longer than {LONGEST} bytes")
            elif text.startswith("procs ") or "swpd" in fields:
                account.headers += 1
                names = [each for each in fields if each.isalpha() and each.islower()] if "swpd" in fields else names
            elif stamp is None:
                account.skip(number, "a row without a time: vmstat was not run with -t")
            elif len(fields) != len(names) or any(decimal_of(each) is None for each in fields):
                account.skip(number, "expected the columns of the header above")
            elif first:
                first = False
                account.beside["the first row: an average since the machine started"] += 1
            elif (at := instant_us(f"{stamp[1]} {stamp[2]}", zone)) is None:
                account.skip(number, "no time")
            else:
                _add(readings, at, dict(zip(names, fields, strict=True)))
                account.taken += 1
        yield readings


def _add(readings: Readings, at: int, fields: dict[str, str]) -> None:
    for name, text in fields.items():
        value = decimal_of(text)
        kind, factor = ("bytes", KIB) if name in _KIB else ("permille", 10) if name in _PERCENT else ("count", 1)
        found = whole(value, factor)
        if found is not None:
            ending = f"_{kind}" if kind != "count" else ""
            readings.add(at_us=at, host="", metric=f"vmstat_{name}{ending}", value=found, unit=kind)
    idle = decimal_of(fields.get("id", ""))
    used = used_permille(idle) if idle is not None else None
    if used is not None:
        readings.add(at_us=at, host="", metric=CPU, value=used, unit="permille")
