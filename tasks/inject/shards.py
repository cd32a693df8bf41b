"""A load offered by several hosts at once: each has a shard of it, all begin at one instant, and all rows are merged.

Whoever coordinates keeps everything: rows come in while the load runs, segment by segment as hosts write them, and
stand where one injector's own would. How hosts are reached is a `Hosts`; what one does is told in `tasks.shard`.

1. A shard belongs to one attempt on one host. Its arrivals begin only when the coordinator says so to that attempt, and
   it does once every shard is ready. Until then, a shard whose host is gone is offered again on another; from then on
   it is lost with its host, the others are stopped, and the run is interrupted: what is missing of it is told.
2. An attempt that nobody waits for any more never begins, nor does one that was begun anew behind the coordinator's
   back: the word to start is for the line on which an attempt said that it is ready. No message is offered twice.
3. Shards begin at one instant of the coordinator's wall clock. Each host's clock is held against it before and after,
   by the quickest of several questions: it cannot be further off than half of the time that the answer took. Only the
   alignment of starts rests on it: every latency is measured on one host's monotonic clock.
"""

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from catalog.declarations import Environment, TestType
from catalog.errors import EvidenceError, WorldError
from tasks.inject.files import NEVER, Outcome, Start
from tasks.inject.injector import (
    SEGMENTS,
    Injection,
    Injector,
    InterruptedLoadError,
    Load,
    Progress,
    Target,
    gap,
    recovered,
)
from tasks.inject.segments import write_segment
from tasks.inject.summary import nearest_rank
from tasks.inject.telling import write_summary
from tasks.scratch import scratch

Came = TypeVar("Came", bound=Injection)

ASKED = 8
"""How often a host's clock is asked; the quickest answer counts."""

_LEAD_US = 2_000_000  # between the word to start and the start: the word has to come to every host
_LISTEN_S = 0.5  # between two looks at which hosts are still there
_SILENT_S = 60  # a host that says nothing for so long is lost, connected or not; it has something to say each second
_READY_S = 1_800  # drawing hours of arrivals takes minutes
_STOPPING_S = 15

Word = Mapping[str, Any]
"""What a shard tells: its `attempt`, the `line` that it tells it on, which is another whenever the attempt is begun
anew, and one of `ready` with `host`, `segment` with `rows`, `progress`, `ended` and `failed`."""


class AbandonedError(Exception):
    """Nobody waits for this shard any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a shard's host needs to draw its part of a step's arrivals itself, and to offer it.

    `key`: of the execution; `turn`: of its course, as JSON; `first`: the sequence of the step's first message. `shard`:
    the k-th (from 0) of so many. Names in the target's `tls` are looked up on the host.
    """

    test: str
    key: Mapping[str, Any]
    turn: Mapping[str, Any]
    first: int
    shard: tuple[int, int]
    environment: Environment
    kind: TestType
    target: Target

    @property
    def name(self) -> str:
        """Which shard it is, in words."""
        return f"shard {self.shard[0] + 1} of {self.shard[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A host's wall clock held against the coordinator's: by how much it is ahead, and how far that may be wrong."""

    offset_us: int
    uncertainty_us: int

    @classmethod
    def of(cls, asked_us: int, said_us: int, answered_us: int) -> "Clock":
        """From one question: between asking and the answer the host's clock said `said_us`.

        Had it said so at either end of that time, the offset would be wrong by half of it, which is the bound
        (Cristian, "Probabilistic clock synchronization", 1989).
        """
        return cls(
            offset_us=said_us - (asked_us + answered_us) // 2,
            uncertainty_us=-(-(answered_us - asked_us) // 2),
        )

    def as_json(self) -> dict[str, int]:
        """As it stands in evidence."""
        return {"offset_us": self.offset_us, "uncertainty_us": self.uncertainty_us}


class Hosts(Protocol):
    """Hosts that shards can be given to, by name, and what is said between them and here."""

    def alive(self) -> Sequence[str]:
        """The hosts that are there now."""

    def begin(self, work: Work, host: str) -> str:
        """Has a host make a shard ready; the name of that attempt, which what it tells bears."""

    def heard(self, timeout_s: float) -> Word | None:
        """The next that any attempt tells; None when none does for so long."""

    def start(self, attempt: str, line: str, start: Start) -> None:
        """Tells an attempt, on the line that it is ready on, when its arrivals begin."""

    def end(self, attempt: str) -> None:
        """Waits for an attempt no more: it stops if it can still be reached. May be repeated."""

    def failure(self, attempt: str) -> str:
        """Why an attempt ended that did not say so itself; empty where it did not."""

    def clock_us(self, host: str) -> int:
        """What the wall clock of a host says, microseconds since the epoch. WorldError when it is gone."""


@dataclass(slots=True, kw_only=True)
class _Shard:
    """How one shard stands. `load` is its part; `again`: the hosts that were gone before its arrivals began."""

    work: Work
    load: Load
    attempt: str = ""
    line: str = ""
    host: str = ""
    named: str = ""
    heard_s: float = 0.0
    is_ready: bool = False
    is_over: bool = False
    lost: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    progress: tuple[int, int] = (0, 0)
    clocks: list[Clock] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return f"{self.work.name}, on {self.named or self.host}"

    def forget(self) -> None:
        """Its host is gone before its arrivals began: another may have it."""
        self.again.append(self.named or self.host)
        self.attempt = self.line = self.host = self.named = ""
        self.is_ready = False

    def as_json(self) -> dict[str, Any]:
        """What it was, as the run document holds it."""
        before_after = zip(("before", "after"), self.clocks, strict=False)
        return {
            "shard": self.work.shard[0] + 1,
            "host": self.named,
            "address": self.host,
            "messages": len(self.load),
            "clock": {when: clock.as_json() for when, clock in before_after},
            "hosts_gone_before_the_start": list(self.again),
            "summary": dict(self.summary),
        }


@dataclass(frozen=True, slots=True)
class WholeInjector:
    """Offers a load at this host although there are others: says `why`, and has it stand in the run's document."""

    alone: Injector
    why: str
    say: Callable[[str], object]

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> Injection:
        """See `Injector`."""
        self.say(self.why)
        return told_whole(self.alone.run(load, target, progress=progress), self.why)


def told_whole(injection: Came, why: str) -> Came:
    """What came, with the reason why a cluster's workers did not offer it, for the run's document."""
    return replace(injection, summary={**injection.summary, "whole": why})


class ShardedInjector:
    """Offers a step by shards, one to a host; an `Injector` like any other.

    `work`: what each shard's is made from; its `shard` says how many there are. `alignment_us`: a start whose instant
    is less certain than that is refused. `say` is told what a person may want to know meanwhile.
    """

    def __init__(
        self,
        hosts: Hosts,
        work: Work,
        *,
        alignment_us: int,
        folder: Path | None = None,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._hosts = hosts
        self._work = work
        self._alignment_us = alignment_us
        self._folder = folder
        self._say = say

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> Injection:
        """See `Injector`. Raises InterruptedLoadError when a shard is lost, WorldError when one has no host."""
        with scratch() as temporary:
            folder = Path(temporary) if self._folder is None else self._folder
            (folder / SEGMENTS).mkdir()
            course = _Course(self._hosts, self._shards(load, target), folder, progress, self._say)
            try:
                start_us = course.begin(self._alignment_us)
                course.follow()
            finally:
                course.stop()
            return course.injection(load, start_us)

    def _shards(self, load: Load, target: Target) -> list[_Shard]:
        _, asked = self._work.shard
        rank = np.cumsum(load.after == -1) - 1
        of = min(asked, int(rank[-1]) + 1)
        return [
            _Shard(work=replace(self._work, target=target, shard=(kept, of)), load=part(load, rank % of == kept))
            for kept in range(of)
        ]


class _Course:
    """One load on its way over several hosts."""

    def __init__(
        self, hosts: Hosts, shards: list[_Shard], folder: Path, progress: Progress | None, say: Callable[[str], object]
    ) -> None:
        self._hosts = hosts
        self._shards = shards
        self._folder = folder
        self._progress = progress
        self._say = say
        self._has_begun = False

    def begin(self, alignment_us: int) -> int:
        """Makes every shard ready, and has all begin at one instant, which is returned."""
        deadline = time.monotonic() + _READY_S
        while not self._are_aligned(alignment_us):
            self._place()
            self._listen()
            self._offer_again()
            if time.monotonic() > deadline:
                late = ", ".join(shard.shown for shard in self._shards if not shard.is_ready)
                raise WorldError(f"not ready within {_READY_S} s: {late}", remedy="See the logs of these workers.")
        longest = max(len(shard.load) for shard in self._shards)
        start_us = _now_us() + _LEAD_US + longest // 5
        self._has_begun = True
        for shard in self._shards:
            shard.heard_s = time.monotonic()
            start = Start(at_us=start_us, correction_us=-shard.clocks[0].offset_us)
            self._hosts.start(shard.attempt, shard.line, start)
        return start_us

    def follow(self) -> None:
        """Takes in what comes until every shard is over; when one is lost, the others are stopped."""
        while any(not shard.is_over for shard in self._shards):
            self._listen()
            for shard in self._shards:
                if not shard.is_over and (why := self._gone(shard)):
                    shard.is_over, shard.lost = True, why
            if any(shard.lost for shard in self._shards):
                self._stop_rest()
                return
        for shard in self._shards:
            with suppress(WorldError):  # gone since: its rows are here
                shard.clocks.append(self._clock(shard.host))

    def stop(self) -> None:
        """Waits for no attempt any more."""
        for shard in self._shards:
            if shard.attempt:
                self._hosts.end(shard.attempt)

    def injection(self, load: Load, start_us: int) -> Injection:
        """All rows that came. Raises InterruptedLoadError where a shard was lost."""
        found = recovered(load, self._folder)
        summary = merged(found, [shard.summary for shard in self._shards if shard.summary])
        summary |= {
            "messages": len(load),
            "start_us": start_us,
            "shards": [shard.as_json() | ({"lost": shard.lost} if shard.lost else {}) for shard in self._shards],
        }
        whole = replace(found, summary=summary)
        lost = [f"{shard.shown}, was lost: {shard.lost}" for shard in self._shards if shard.lost]
        if not lost:
            write_summary(self._folder / "summary.json", summary)
            return whole
        held = found.columns["sequence"]
        told = "; ".join(lost) + "\n" + gap(load.sequence, load.offset_us, held)
        raise InterruptedLoadError(told, injection=whole, lost=load.sequence[~np.isin(load.sequence, held)])

    def _are_aligned(self, alignment_us: int) -> bool:
        """Whether every shard is ready on a host that is there, and all clocks were read just now."""
        if not all(shard.is_ready for shard in self._shards):
            return False
        for shard in self._shards:
            try:
                shard.clocks = [self._clock(shard.host)]
            except WorldError:
                return False
        if not {shard.host for shard in self._shards} <= set(self._hosts.alive()):
            return False
        worst = max(self._shards, key=lambda shard: shard.clocks[0].uncertainty_us)
        if worst.clocks[0].uncertainty_us > alignment_us:
            raise WorldError(
                f"{worst.shown}: its clock is known to {worst.clocks[0].uncertainty_us} µs only, and the start of the "
                f"shards must be aligned to {alignment_us} µs, the lateness that the test allows",
                remedy="Use hosts that answer quicker, or declare a lateness that leaves room for this network.",
            )
        return True

    def _place(self) -> None:
        """Gives shards that have no host to hosts that have no shard. WorldError where there are not enough."""
        waiting = [shard for shard in self._shards if not shard.attempt]
        if not waiting:
            return
        taken = {shard.host for shard in self._shards}
        free = [host for host in self._hosts.alive() if host not in taken]
        if len(free) < len(waiting):
            gone = sorted({host for shard in waiting for host in shard.again})
            lacking = f"; gone meanwhile: {', '.join(gone)}" if gone else ""
            raise WorldError(
                f"{len(waiting)} of {len(self._shards)} shards have no host: {len(free)} are free{lacking}",
                remedy="Start more workers, or ask for fewer shards.",
            )
        for shard, host in zip(waiting, free, strict=False):
            shard.host, shard.heard_s = host, time.monotonic()
            shard.attempt = self._hosts.begin(shard.work, host)

    def _offer_again(self) -> None:
        """Before the start: a shard whose host is gone waits for another; one that failed is the world's fault."""
        for shard in self._shards:
            if shard.lost:
                raise WorldError(f"{shard.shown}: {shard.lost}")
            if shard.attempt and (why := self._gone(shard)):
                if shard.host in self._hosts.alive():
                    raise WorldError(f"{shard.shown}: {why}")
                self._say(f"{shard.shown}: {why}; its arrivals had not begun, and it is offered again")
                self._hosts.end(shard.attempt)
                shard.forget()

    def _gone(self, shard: _Shard) -> str:
        """Why nothing more is to be expected of a shard; empty while something is."""
        if failure := self._hosts.failure(shard.attempt):
            return failure
        if shard.host not in self._hosts.alive():
            return "its host is gone"
        silent_s = time.monotonic() - shard.heard_s
        return f"it said nothing for {_SILENT_S} s" if self._has_begun and silent_s > _SILENT_S else ""

    def _listen(self) -> None:
        """Takes in all that has come by now, or the first that comes."""
        word = self._hosts.heard(_LISTEN_S)
        while word is not None:
            self._take(word)
            word = self._hosts.heard(0.0)
        if self._progress is not None and self._has_begun:
            done, offered = (sum(shard.progress[place] for shard in self._shards) for place in (0, 1))
            self._progress(done, offered, sum(len(shard.load) for shard in self._shards))

    def _take(self, word: Word) -> None:
        shard = next((each for each in self._shards if each.attempt == word["attempt"]), None)
        if shard is None or ("ready" not in word and shard.line not in ("", word["line"])):
            return  # of an attempt, or a line, that is waited for no more
        shard.heard_s = time.monotonic()
        match word:
            case {"ready": _} if self._has_begun:
                shard.is_over, shard.lost = True, "its host began it anew, too late"
            case {"ready": drawn, "host": named}:
                shard.named, shard.line = named, word["line"]
                if drawn != digest_of(shard.load):
                    raise EvidenceError(
                        f"{shard.shown}: it draws other arrivals than are drawn here",
                        remedy="Install the same versions of everything on every host (`uv sync --locked`).",
                    )
                shard.is_ready = True
            case {"segment": name, "rows": rows}:
                file = self._folder / SEGMENTS / f"{shard.work.shard[0]:04d}-{Path(name).name}"
                write_segment(file, memoryview(rows))
            case {"progress": [done, offered]}:
                shard.progress = done, offered
            case {"ended": summary}:
                shard.is_over, shard.summary = True, summary
            case {"failed": why}:
                shard.is_over, shard.lost = True, why

    def _stop_rest(self) -> None:
        """Stops shards that go on, and takes in what they still have to tell."""
        rest = [shard for shard in self._shards if not shard.is_over]
        for shard in rest:
            self._hosts.end(shard.attempt)
        deadline = time.monotonic() + _STOPPING_S
        while any(not shard.is_over for shard in rest) and time.monotonic() < deadline:
            self._listen()
            for shard in rest:
                shard.is_over = shard.is_over or shard.host not in self._hosts.alive()

    def _clock(self, host: str) -> Clock:
        return min((self._asked(host) for _ in range(ASKED)), key=lambda clock: clock.uncertainty_us)

    def _asked(self, host: str) -> Clock:
        asked_us = _now_us()
        said_us = self._hosts.clock_us(host)
        return Clock.of(asked_us, said_us, _now_us())


def part(load: Load, chosen: "np.typing.NDArray[np.bool_]") -> Load:
    """The chosen rows of a load; those that wait for others must come with these."""
    place = np.cumsum(chosen) - 1
    after = load.after[chosen]
    return replace(
        load,
        **{name: getattr(load, name)[chosen] for name in ("sequence", "offset_us", "path", "srv", "kind", "device")},
        after=np.where(after >= 0, place[after], after),
    )


def digest_of(load: Load) -> str:
    """The SHA-256 of when a load's messages are due, which these are, and which wait for which."""
    whole = sha256()
    for column in (load.sequence, load.offset_us, load.after):
        whole.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
    return whole.hexdigest()


_SUMMED = (
    "offered", "never_sent", "thwarted", "acknowledged", "acknowledged_another", "responses_late",
    "responses_duplicate", "responses_unknown", "responses_malformed", "responses_received", "device_alerts_received",
    "system_alerts_received", "cpu_us", "connections_limit", "connections_opened", "connections_failed",
    "tls_handshakes", "bytes_sent", "bytes_received", *(outcome.name.lower() for outcome in Outcome),
)  # fmt: skip
_HIGHEST = (
    "last_intended_us", "last_done_us", "loop_lag_p99_us", "loop_lag_max_us", "answers_in_a_round_peak",
    "cpu_peak_permille", "connections_peak", "handshakes_peak", "in_flight_peak", "queue_peak",
)  # fmt: skip


def merged(injection: Injection, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What shards say of themselves, as one: counts and CPU are summed, peaks and lags are the highest of one shard.

    Quantiles of lateness are over the rows of all, and never made of the shards' own.
    """
    columns = injection.columns
    taken_up = columns["ready_us"] != NEVER
    lateness = array("q", np.sort((columns["ready_us"] - columns["intended_us"])[taken_up]).tobytes())
    codes: Counter[str] = Counter()
    for summary in summaries:
        codes.update(summary["codes"])
    fingerprints = sorted({summary["client_certificate_sha256"] for summary in summaries})
    return {
        **{name: sum(summary[name] for summary in summaries) for name in _SUMMED},
        **{name: max((summary[name] for summary in summaries), default=0) for name in _HIGHEST},
        "first_intended_us": int(columns["intended_us"].min()) if len(taken_up) else NEVER,
        "descriptors_limit": min((summary["descriptors_limit"] for summary in summaries), default=0),
        "codes": dict(sorted(codes.items())),
        "client_certificate_sha256": " ".join(fingerprints),
        **{
            f"lateness_{name}_us": nearest_rank(lateness, permille)
            for name, permille in (("p50", 500), ("p99", 990), ("max", 1000))
        },
    }


def _now_us() -> int:
    return time.time_ns() // 1000


def words(folder: Path, told: set[str]) -> Iterator[tuple[str, bytes]]:
    """The segments in `folder` that were not told yet, in order, what stands beside rows first; they are told then."""
    files = sorted(file for file in folder.iterdir() if file.suffix != ".part" and file.name not in told)
    for file in files:
        told.add(file.name)
        yield file.name, file.read_bytes()
