"""sysstat: what `sar` prints, `sadf -d` (semicolons) and `sadf -j` (JSON)."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from tasks.intake.format import BATCH, Account, Readings, Source, SubmittedError, Sure
from tasks.intake.json_lines import document
from tasks.intake.lines import BOM, LONGEST, lines, text_of
from tasks.intake.numbers import decimal_of, instant_us, whole, zone_of
from tasks.intake.units import CAPABILITY, CONNECTIONS, CPU, KIB, MEMORY, by_column, used_permille

_BANNER = re.compile(r"(\S+) \S+ \(([^)]*)\)\s+(\S+)\s+_\S+_")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d):(\d\d)(?: ([AP]M))?\s+(.*)")
_PARTS = ("CPU", "DEV", "IFACE", "TTY", "INTR")
_TOTAL = ("all", "-1")


class SadfDatabase:
    """`sadf -d`."""

    name = "sadf"

    def recognises(self, head: bytes) -> Sure:
        """By its header."""
        return Sure.CERTAIN if head.removeprefix(BOM).startswith(b"# hostname;interval;timestamp") else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every row, by the header above it."""
        account.tool, account.capability = "sysstat", CAPABILITY
        zone = zone_of(source.assumptions.timezone)
        account.noted["timezone"] = source.assumptions.timezone or "UTC, where a time has none"
        names: list[str] = []
        readings = Readings()
        for number, line, whole_line in lines(source.path):
            account.total += 1
            fields = text_of(line, source.assumptions.encoding)[0].split(";")
            if not line.strip():
                account.blank += 1
            elif line.startswith(b"#"):
                account.headers += 1
                names = fields[3:]
            elif not whole_line:
                account.skip(number, f"longer than {LONGEST} bytes")
            elif len(fields) >= 4 and fields[3].startswith("LINUX-RESTART"):
                account.beside["a restart"] += 1
            elif len(fields) != len(names) + 3 or (at := _stamp(fields[2], zone)) is None:
                account.skip(number, "expected the columns of the header above, and a time")
            else:
                _add(readings, fields[0], at, dict(zip(names, fields[3:], strict=True)))
                account.taken += 1
            if len(readings) >= BATCH:
                yield readings
                readings = Readings()
        yield readings


class SadfJson:
    """`sadf -j`."""

    name = "sadf-json"

    def recognises(self, head: bytes) -> Sure:
        """By its root."""
        start = head[:2048].replace(b" ", b"").replace(b"\n", b"").replace(b"\t", b"")
        return Sure.CERTAIN if start.startswith(b'{"sysstat":{') else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every statistics entry of every host."""
        account.unit, account.tool, account.capability = "entries", "sysstat", CAPABILITY
        zone = zone_of(source.assumptions.timezone)
        found = document(source)
        hosts = found["sysstat"].get("hosts") if isinstance(found.get("sysstat"), dict) else None
        if not isinstance(hosts, list):
            raise SubmittedError(f"{source.name}:1:1: expected sysstat.hosts, a list")
        readings = Readings()
        for host in (each for each in hosts if isinstance(each, dict)):
            entries = host.get("statistics")
            for entry in entries if isinstance(entries, list) else []:
                account.total += 1
                at = _json_time(entry, zone)
                if at is None:
                    account.skip(account.total, "an entry without a time")
                    continue
                for name, value in entry.items():
                    if name != "timestamp":
                        _json_add(readings, str(host.get("nodename", "")), at, value)
                account.taken += 1
                if len(readings) >= BATCH:
                    yield readings
                    readings = Readings()
        yield readings


class Sar:
    """What `sar` prints: times without a date, so the banner's is taken, and the next day's after midnight."""

    name = "sar"

    def recognises(self, head: bytes) -> Sure:
        """By its banner."""
        first = head.removeprefix(BOM).lstrip().partition(b"\n")[0].decode("latin-1")
        return Sure.CERTAIN if _BANNER.match(first) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every row but the averages."""
        account.tool, account.capability = "sysstat", CAPABILITY
        account.noted["timezone"] = source.assumptions.timezone or "UTC (not stated)"
        reader = _Sar(account, zone_of(source.assumptions.timezone))
        for number, line, whole_line in lines(source.path):
            account.total += 1
            text = text_of(line, source.assumptions.encoding)[0].rstrip()
            if not text:
                account.blank += 1
            elif not whole_line:
                account.skip(number, f"longer than {LONGEST} bytes")
            else:
                reader.take(number, text)
            if len(reader.readings) >= BATCH:
                yield reader.readings
                reader.readings = Readings()
        yield reader.readings


class _Sar:
    def __init__(self, account: Account, zone: tzinfo) -> None:
        self._account = account
        self._zone = zone
        self._host = ""
        self._midnight: datetime | None = None
        self._names: list[str] = []
        self._last: int | None = None
        self.readings = Readings()

    def take(self, number: int, text: str) -> None:
        """One line."""
        account = self._account
        if banner := _BANNER.match(text):
            account.headers += 1
            self._host, self._midnight, self._last = banner[2], _date(banner[3]), None
        elif text.startswith("Average:"):
            account.beside["an average of the rows above"] += 1
        elif "RESTART" in text:
            account.beside["a restart"] += 1
        elif (row := _CLOCK.match(text)) is None or self._midnight is None:
            account.skip(number, "no time, or no banner with a date above it")
        elif _is_header(fields := row[5].split()):
            account.headers += 1
            self._names = fields
        elif len(fields) != len(self._names):
            account.skip(number, "expected the columns of the header above")
        elif (at := self._at(row)) is None:
            account.skip(number, "no time of day")
        else:
            _add(self.readings, self._host, at, dict(zip(self._names, fields, strict=True)))
            account.taken += 1

    def _at(self, row: "re.Match[str]") -> int | None:
        hour, minute, second = int(row[1]), int(row[2]), int(row[3])
        if row[4]:
            hour = hour % 12 + (12 if row[4] == "PM" else 0)
        if hour > 23 or minute > 59 or second > 59 or self._midnight is None:
            return None
        seconds = hour * 3600 + minute * 60 + second
        if self._last is not None and self._last > 82_800 and seconds < 3600:  # a new section goes back less far
            self._midnight += timedelta(days=1)
        self._last = seconds
        at = self._midnight.replace(hour=hour, minute=minute, second=second, tzinfo=self._zone)
        return int(at.timestamp()) * 1_000_000


def _is_header(fields: list[str]) -> bool:
    """Whether they are names of columns: words, not one of them a number, with more than a part's own name."""
    return len(fields) > 1 and all(decimal_of(each) is None for each in fields)


def _date(text: str) -> datetime | None:
    for form in ("%m/%d/%Y", "%m/%d/%y", "%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # the zone is set with the time of day
        except ValueError:
            continue
    return None


def _stamp(text: str, zone: tzinfo) -> int | None:
    """`2026-11-24 00:34:58 UTC`, a local time without the zone, or seconds since the epoch (-U)."""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text) * 1_000_000
    bare, utc = text.removesuffix(" UTC"), text.endswith(" UTC")
    return instant_us(bare, UTC if utc else zone)


def _json_time(entry: Any, zone: tzinfo) -> int | None:
    stamp = entry.get("timestamp") if isinstance(entry, dict) else None
    if not isinstance(stamp, dict):
        return None
    return instant_us(f"{stamp.get('date', '')} {stamp.get('time', '')}", UTC if stamp.get("utc") == 1 else zone)


def _json_add(readings: Readings, host: str, at: int, value: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            continue
        plain = {str(key): str(found) for key, found in each.items() if isinstance(found, str | int | Decimal)}
        nested = [found for found in each.values() if isinstance(found, dict | list)]
        renamed = {_JSON_NAMES.get(key, key): found for key, found in plain.items()}
        if renamed:
            _add(readings, host, at, renamed)
        for found in nested:
            _json_add(readings, host, at, found)


_JSON_NAMES = {"cpu": "CPU", "idle": "%idle", "user": "%user", "system": "%system", "iowait": "%iowait",
               "nice": "%nice", "steal": "%steal", "memused": "kbmemused", "memfree": "kbmemfree",
               "memused-percent": "%memused", "iface": "IFACE", "disk-device": "DEV"}  # fmt: skip


def _add(readings: Readings, host: str, at: int, fields: Mapping[str, str]) -> None:
    """The numbers of one row; what means the whole machine's CPU, memory or connections gets our own name too."""
    part = next((fields[name] for name in _PARTS if name in fields), "")
    part = "" if part in _TOTAL else part
    for column, text in fields.items():
        value = decimal_of(text)
        if value is None or column in _PARTS:
            continue
        name, found, unit = by_column("sar", column, value)
        if found is not None:
            readings.add(at_us=at, host=host, metric=name, value=found, unit=unit, part=part)
        ours = _ours(column, value) if not part else None
        if ours is not None:
            readings.add(at_us=at, host=host, metric=ours[0], value=ours[1], unit=ours[2])


def _ours(column: str, value: Decimal) -> tuple[str, int, str] | None:
    match column:
        case "%idle":
            used = used_permille(value)
            return None if used is None else (CPU, used, "permille")
        case "kbmemused":
            used = whole(value, KIB)
            return None if used is None else (MEMORY, used, "bytes")
        case "tcpsck":
            count = whole(value)
            return None if count is None else (CONNECTIONS, count, "count")
        case _:
            return None
