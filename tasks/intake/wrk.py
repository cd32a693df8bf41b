"""What wrk and wrk2 print: counts, a distribution, and with wrk2 the percentile spectrum. Nothing in it is raw.

wrk2 sends by a schedule and counts from it, and leaves its first ten seconds, in which it calibrates itself, out of
the distribution. wrk is closed loop, and version 4 fills gaps in with latencies that nobody measured.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from tasks.intake.format import Account, Capability, Figure, Figures, Gives, Loop, Source, Start, SubmittedError, Sure
from tasks.intake.lines import LONGEST, lines, text_of
from tasks.intake.numbers import count_of, micros

CAPABILITY = Capability(
    gives=Gives.SUMMARY,
    resolution_us=10,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="those it prints",
)
_TIME = r"(\d+(?:\.\d+)?)(us|ms|s|m|h)"
_RUNNING = re.compile(r"Running (\S+) test @ (\S+)")
_THREADS = re.compile(r"\s*(\d+) threads and (\d+) connections")
_LATENCY = re.compile(rf"\s*Latency\s+{_TIME}\s+{_TIME}\s+{_TIME}")
_PERCENTILE = re.compile(rf"\s*(\d+(?:\.\d+)?)%\s+{_TIME}\s*")
_TOTAL = re.compile(rf"\s*(\d+) requests in {_TIME}, ")
_ERRORS = re.compile(r"\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_STATUS = re.compile(r"\s*Non-2xx or 3xx responses: (\d+)")
_SPECTRUM = re.compile(r"\s*(\d+(?:\.\d+)?)\s+([01]\.\d+)\s+(\d+)\s+(\d+\.\d+|inf)\s*")
_RECORDED, _UNCORRECTED = "HdrHistogram - Recorded Latency", "HdrHistogram - Uncorrected Latency"
_SECONDS = {"m": 60, "h": 3600}


class Wrk:
    """The text of wrk, or of wrk2."""

    name = "wrk"

    def recognises(self, head: bytes) -> Sure:
        """By its first line and what it prints of its threads."""
        text = head[:4096].decode("latin-1")
        found = _RUNNING.search(text) and "threads and" in text
        return Sure.CERTAIN if found else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Its counts and percentiles."""
        account.tool, account.capability = "wrk", CAPABILITY
        reader = _Reader(account)
        for number, line, whole in lines(source.path):
            account.total += 1
            if not whole:
                account.skip(number, f"longer than {LONGEST} bytes")
            elif not line.strip():
                account.blank += 1
            elif reader.take(text_of(line)[0]):
                account.taken += 1
            else:
                account.beside["words, and figures that are not kept"] += 1
        if reader.requests is None:
            account.find("truncated", f"{source.name}: how many requests there were is not told")
        if not reader.found:
            raise SubmittedError(f"{source.name}: expected what wrk prints, found no figure in it")
        yield Figures(rows=reader.figures())


class _Reader:
    def __init__(self, account: Account) -> None:
        self._account = account
        self._corrected = False
        self._uncorrected = False
        self._failed = 0
        self._counted = 0  # by the spectrum, which leaves the calibration out
        self.requests: int | None = None
        self.found: list[tuple[str, int, str]] = []

    def take(self, text: str) -> bool:
        """One line; whether a figure of it is kept."""
        if _RECORDED in text:
            self._corrected, self._uncorrected = True, False
            self._account.tool = "wrk2"
            self._account.capability = replace(
                CAPABILITY, latency_from=Start.INTENDED, loop=Loop.OPEN, warm_up="left out: the first 10 s"
            )
            return False
        self._uncorrected = self._uncorrected or _UNCORRECTED in text
        if self._uncorrected:
            return bool(self._count(text))
        return self._times(text) or self._count(text)

    def _times(self, text: str) -> bool:
        if found := _PERCENTILE.fullmatch(text):
            metric = "max" if found[1].startswith("100") else f"p{_short(found[1])}"
            return self._keep(metric, found[2], found[3])
        if found := _LATENCY.match(text):
            return self._keep("mean", found[1], found[2]) and self._keep("max", found[5], found[6])
        if found := _SPECTRUM.fullmatch(text):
            self._counted = max(self._counted, int(found[3]))
            self._account.noted["spectrum"] = f"up to {self._counted} latencies, in ms"
            return True
        return False

    def _count(self, text: str) -> bool:
        if found := _TOTAL.match(text):
            self.requests = count_of(found[1])
        elif found := _ERRORS.match(text):
            self._failed += sum(int(each[:15]) for each in found.groups())
        elif found := _STATUS.match(text):
            self._failed += int(found[1][:15])
        elif found := _THREADS.match(text):
            self._account.noted["connections"] = found[2]
        else:
            return False
        return True

    def _keep(self, metric: str, number: str, unit: str) -> bool:
        us = micros(number, "s" if unit in _SECONDS else unit)
        if us is None:
            return False
        us *= _SECONDS.get(unit, 1)
        if all(known != metric for known, _, _ in self.found):
            self.found.append((metric, us, unit))
        elif metric == "max":  # the distribution's is over what it holds; the table's was printed before
            self.found = [each if each[0] != metric else (metric, max(us, each[1]), unit) for each in self.found]
        return True

    def figures(self) -> list[Figure]:
        """All that was found."""
        start = "latency" if self._corrected else "service"
        method = (
            "wrk2's own: HdrHistogram, from intended time, its first 10 s left out"
            if self._corrected
            else "wrk's own: closed loop, gaps filled in by expected intervals"
        )
        samples = self._counted or self.requests or 0
        made = [
            Figure(scope="all", metric=f"{start}-{metric}", value=us, unit="us", samples=samples, method=method)
            for metric, us, _ in self.found
        ]
        if self.requests is not None:
            counted = "counted by the tool"
            made.append(Figure(scope="all", metric="requests", value=self.requests, unit="count",
                               samples=self.requests, method=counted))  # fmt: skip
            made.append(Figure(scope="all", metric="failures", value=self._failed, unit="count",
                               samples=self.requests, method=counted))  # fmt: skip
        return made


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
