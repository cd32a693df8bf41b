"""nmon's files: sections of comma-separated rows that point by a number (T0001) to a time told once (ZZZZ)."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from tasks.intake.format import BATCH, Account, Readings, Source, Sure
from tasks.intake.lines import BOM, LONGEST, lines, text_of
from tasks.intake.numbers import decimal_of, whole, zone_of
from tasks.intake.units import CAPABILITY, CPU, MEMORY, by_column, used_permille

_MIB = 1 << 20
_MOST_NAMES = 10_000
_MEMORY_SECTIONS = ("MEM", "MEMNEW")


class Nmon:
    """nmon on Linux or AIX."""

    name = "nmon"

    def recognises(self, head: bytes) -> Sure:
        """By its first section."""
        return Sure.CERTAIN if head.removeprefix(BOM).startswith(b"AAA,") else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every number of every row that has a time."""
        account.tool, account.capability = "nmon", CAPABILITY
        account.noted["timezone"] = source.assumptions.timezone or "UTC (not stated)"
        reader = _Nmon(account, source)
        for number, line, whole_line in lines(source.path):
            account.total += 1
            if not line.strip():
                account.blank += 1
            elif not whole_line:
                account.skip(number, f"longer than {LONGEST} bytes")
            else:
                reader.take(number, text_of(line, source.assumptions.encoding)[0].split(","))
            if len(reader.readings) >= BATCH:
                yield reader.readings
                reader.readings = Readings()
        yield reader.readings


class _Nmon:
    def __init__(self, account: Account, source: Source) -> None:
        self._account = account
        self._zone = zone_of(source.assumptions.timezone)
        self._host = ""
        self._at: tuple[str, int] = ("", -1)
        self._names: dict[str, list[str]] = {}
        self.readings = Readings()

    def take(self, number: int, fields: list[str]) -> None:
        """One row."""
        account, section = self._account, fields[0]
        if section == "AAA":
            account.headers += 1
            if len(fields) > 2 and fields[1] in ("host", "version"):
                self._host = fields[2] if fields[1] == "host" else self._host
                account.version = fields[2][:40] if fields[1] == "version" else account.version
        elif section.startswith("BBB"):
            account.beside["the machine's description"] += 1
        elif section == "ZZZZ":
            self._time(number, fields)
        elif len(fields) > 1 and fields[1].startswith("T") and fields[1][1:].isdigit():
            self._row(number, section, fields)
        elif len(self._names) < _MOST_NAMES:
            account.headers += 1
            self._names[section] = fields[2:]
        else:
            account.skip(number, "more sections than make sense")

    def _time(self, number: int, fields: list[str]) -> None:
        try:
            at = datetime.strptime(f"{fields[2]} {fields[3].title()}", "%H:%M:%S %d-%b-%Y").replace(tzinfo=self._zone)
        except (ValueError, IndexError):
            self._account.skip(number, "expected a time and a date")
            return
        self._at = fields[1], int(at.timestamp()) * 1_000_000
        self._account.headers += 1

    def _row(self, number: int, section: str, fields: list[str]) -> None:
        names = self._names.get(section, [])
        if fields[1] != self._at[0]:
            self._account.skip(number, "a row of a time that was not told")
            return
        values = {name: decimal_of(text) for name, text in zip(names, fields[2:], strict=False)}
        made = 0
        for name, value in values.items():
            if value is None or not name:
                continue
            column = name if name.endswith("%") is False else f"%{name[:-1]}"
            metric, found, unit = by_column(f"nmon_{section}", column, value)
            if found is not None:
                made += 1
                self.readings.add(at_us=self._at[1], host=self._host, metric=metric, value=found, unit=unit)
        if not made:
            self._account.skip(number, "no number under a known name")
            return
        self._account.taken += 1
        idle = values.get("Idle%")
        if section == "CPU_ALL" and idle is not None and (used := used_permille(idle)) is not None:
            self.readings.add(at_us=self._at[1], host=self._host, metric=CPU, value=used, unit="permille")
        total, free = values.get("memtotal"), values.get("memfree")
        if section in _MEMORY_SECTIONS and total is not None and free is not None:
            kept = sum(max(values.get(name) or Decimal(0), Decimal(0)) for name in ("cached", "buffers"))
            used_bytes = whole(total - free - kept, _MIB)  # as sysstat counts it
            if used_bytes is not None and used_bytes >= 0:
                self.readings.add(at_us=self._at[1], host=self._host, metric=MEMORY, value=used_bytes, unit="bytes")
