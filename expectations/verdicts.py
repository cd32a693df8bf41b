"""The rule that turns what three suites found into one of three verdicts, and the words for why.

Pure: no suite is run here. `Judged` is a row of the table that the suites run over; which rows each suite names comes
from `tasks.judge`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from catalog.declarations import Metric
from catalog.shown import shown

LATER = 2**53 - 1
"""Stands for an answer that never came: it ranks later than any that did. Also an upper end that nothing bounds."""

TARGET_VOLUME = "target-volume"
"""The requirement that every run has: its target volume was offered, in time."""

CLOSED_LOOP = "closed loop"
"""How the injector of a run is named that sends a message when the last one was answered, and not when it is due."""

NEEDED_SAMPLES: dict[Metric, int] = {
    Metric.OFFERED: 0,
    Metric.ANSWERED_SHARE: 30,
    Metric.SERVICE_LEVEL: 30,
    Metric.LATENCY_P50: 30,
    Metric.LATENCY_P95: 200,
    Metric.LATENCY_P99: 1_000,
    Metric.LATENCY_MAX: 30,
    Metric.ACKNOWLEDGED_P95: 200,
    Metric.CHAIN_LATENCY_P95: 200,
    Metric.CPU_P95: 72,
    Metric.MEMORY_P95: 72,
    Metric.MEMORY_MAX: 30,
    Metric.MEMORY_GROWTH: 30,
    Metric.CONNECTIONS_P95: 72,
    Metric.CONNECTIONS_MAX: 30,
    Metric.HANDLES_P95: 72,
    Metric.HANDLES_MAX: 30,
    Metric.DISK_READ_P95: 72,
    Metric.DISK_WRITTEN_P95: 72,
    Metric.NETWORK_RECEIVED_P95: 72,
    Metric.NETWORK_SENT_P95: 72,
    Metric.HEADROOM: 1,
    Metric.CAPACITY: 1,
    Metric.RECOVERED_SHARE: 30,
    Metric.LATENCY_GROWTH: 30,
    Metric.HANDLES_GROWTH: 30,
    Metric.FAILURE_GROWTH: 30,
    Metric.DRAIN_TIME: 1,
    Metric.BACKLOG_MAX: 1,
    Metric.SCALING_GAIN: 30,
    Metric.REDUCED_SHARE: 30,
    Metric.REFUSED_SHARE: 30,
    Metric.LATENCY_P50_RATIO: 10,
    Metric.LATENCY_P95_RATIO: 10,
    Metric.LATENCY_P99_RATIO: 10,
    Metric.ANSWERED_SHARE_RATIO: 10,
}
"""How many messages or samples a measurement must rest on before it may prove or refute anything.

A tail percentile needs at least ten messages beyond it, n * (1 - q) >= 10, or a handful of messages would decide;
nothing is decided by fewer than 30. Resources are sampled steadily and less often: 72 is the least n whose
largest value bounds the 95th percentile from above with 97.5 % confidence, whatever the distribution
(0.95^72 < 0.025). Headroom rests on whole steps of a ramp, ratios on whole runs of both sides, growth on stretches of
time, and the time to drain is known of a run.
"""

COVERAGE_NEEDED_PPM = 900_000
"""Share of the expected infrastructure samples that must be there before one of those metrics may be judged."""

SAMPLED = frozenset(
    {
        Metric.CPU_P95,
        Metric.MEMORY_P95,
        Metric.MEMORY_MAX,
        Metric.MEMORY_GROWTH,
        Metric.HANDLES_GROWTH,
        Metric.CONNECTIONS_P95,
        Metric.CONNECTIONS_MAX,
        Metric.HANDLES_P95,
        Metric.HANDLES_MAX,
        Metric.DISK_READ_P95,
        Metric.DISK_WRITTEN_P95,
        Metric.NETWORK_RECEIVED_P95,
        Metric.NETWORK_SENT_P95,
    }
)
"""Metrics that come from infrastructure samples."""


FROM_INTENDED = frozenset(
    {
        Metric.LATENCY_P50,
        Metric.LATENCY_P95,
        Metric.LATENCY_P99,
        Metric.LATENCY_MAX,
        Metric.LATENCY_GROWTH,
        Metric.SERVICE_LEVEL,
        Metric.ACKNOWLEDGED_P95,
        Metric.CHAIN_LATENCY_P95,
    }
)
"""Metrics of the time from when a message was due to its answer."""


class Outcome(StrEnum):
    """How an offered message ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"


class Verdict(StrEnum):
    """What an observation says. *Inconclusive* always says why."""

    PROVED = "proved"
    NOT_PROVED = "not proved"
    INCONCLUSIVE = "inconclusive"


class Reliance(StrEnum):
    """Where the evidence of an observation comes from."""

    EXECUTED = "executed"
    RELIED = "relied"
    RECEIVED = "received"


class Need(StrEnum):
    """What a row needs before it may prove or refute anything; of several lacks the first is told, as it explains."""

    REACHABLE = "reachable"
    INTACT = "intact"
    OFFERED = "offered"
    IN_TIME = "in-time"
    MEASURED = "measured"
    AGREEING = "agreeing"
    COVERED = "covered"
    SAMPLES = "samples"
    INTERVAL = "interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One requirement (or target volume), scope and run, with everything that its verdict depends on.

    `value`, `lower`, `upper` and `limit` stand in `unit` and `limit_unit`; times in microseconds, shares in parts per
    million. `evidence`: what is weak about evidence that was received, empty for our own. `unreachable` and
    `withdrawn` hold the reason, empty when there is none. None: not known. `closed_loop`: nobody knows when a message
    was due, so that it was not late either; its latency was not measured.
    """

    observation: str
    run: str
    test: str
    requirement: str
    metric: str
    scope: str
    value: int | None
    lower: int | None
    upper: int | None
    unit: str
    samples: int
    needed_samples: int
    method: str
    limit: int
    limit_unit: str
    direction: str
    offered: int | None
    target: int
    lateness_us: int | None
    lateness_limit_us: int
    coverage_ppm: int | None
    coverage_needed_ppm: int
    unreachable: str
    withdrawn: str
    reliance: str
    evidence: str = ""
    closed_loop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The observations that each suite named as failing: by need for *sufficient*, as they are for the other two.

    `unmet`: likewise, by what each further expectation says in words.
    """

    lacking: Mapping[Need, frozenset[str]]
    unproved: frozenset[str]
    unrefuted: frozenset[str]
    unmet: Mapping[str, frozenset[str]] = field(default_factory=dict)


def is_closed_loop(injector: str) -> bool:
    """Whether an injector of that name, as keys and run documents have it, knows no intended times."""
    return injector.endswith(CLOSED_LOOP)


def verdict(row: Judged, named: Named) -> tuple[Verdict, str]:
    """The verdict on one row and its reason, from what the suites named; received evidence is told as such."""
    found, reason = _verdict(row, named)
    reason = f"{reason}; {CLOSED_LOOP}" if row.closed_loop and not row.evidence else reason
    return found, f"{reason} ({row.evidence})" if row.evidence else reason


def _verdict(row: Judged, named: Named) -> tuple[Verdict, str]:
    lack = next((need for need in Need if row.observation in named.lacking[need]), None)
    if lack is not None:
        weak = row.evidence and lack in (Need.MEASURED, Need.IN_TIME, Need.INTERVAL)
        return Verdict.INCONCLUSIVE, f"{'not provable from this evidence: ' if weak else ''}{_lack(row, lack)}"
    if unmet := [words for words, observations in named.unmet.items() if row.observation in observations]:
        return Verdict.INCONCLUSIVE, f"not as expected: {'; '.join(unmet)}"
    if row.observation not in named.unproved:
        return Verdict.PROVED, f"{_interval(row)} lies inside the limit, {_limit(row)}"
    if row.observation not in named.unrefuted:
        return Verdict.NOT_PROVED, f"{_interval(row)} lies outside the limit, {_limit(row)}"
    why = f" ({row.method})" if row.upper == LATER else ""
    return Verdict.INCONCLUSIVE, f"{_interval(row)} straddles the limit, {_limit(row)}{why}"


def _lack(row: Judged, need: Need) -> str:
    match need:
        case Need.REACHABLE:
            return f"system unreachable: {row.unreachable}"
        case Need.INTACT:
            return f"evidence withdrawn: {row.withdrawn}"
        case Need.MEASURED if row.closed_loop and row.metric.partition("/")[0] in FROM_INTENDED:
            return f"cannot be told: nobody knows when a message was due, and {row.metric} counts from then"
        case Need.MEASURED:
            return f"missing metrics: {row.metric} was not measured for {row.scope}"
        case Need.AGREEING:
            return (
                f"measured in {row.unit}, limited in {row.limit_unit}, {row.direction}: not as {row.metric} is declared"
            )
        case Need.OFFERED:
            return f"load not offered: {_known(row.offered, 'count')} of {shown(row.target, 'count')} messages"
        case Need.IN_TIME:
            return (
                f"load not offered in time: 99th percentile of lateness {_known(row.lateness_us, 'us')}, "
                f"at most {shown(row.lateness_limit_us, 'us')} allowed"
            )
        case Need.COVERED:
            return (
                f"missing metrics: {_known(row.coverage_ppm, 'ppm')} of the samples, "
                f"{shown(row.coverage_needed_ppm, 'ppm')} needed"
            )
        case Need.SAMPLES if row.metric in (Metric.HEADROOM, Metric.CAPACITY):
            return f"load not offered: {row.method}"
        case Need.SAMPLES:
            return f"too few samples: {row.samples} of {row.needed_samples}"
        case Need.INTERVAL:
            return f"{'it has no interval' if row.evidence else 'too few samples'}: {row.method}"
        case _:
            assert_never(need)


def _known(value: int | None, unit: str) -> str:
    return "an unknown number" if value is None else shown(value, unit)


def _interval(row: Judged) -> str:
    lower, upper = (shown(end or 0, row.unit) for end in (row.lower, row.upper))
    return f"[{lower}, {'unbounded' if row.upper == LATER else upper}]"


def _limit(row: Judged) -> str:
    return f"{row.direction} {shown(row.limit, row.limit_unit)}"
