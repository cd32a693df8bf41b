"""What the injector says about itself after a run: how late it was, what it cost, how far its bounds were stretched."""

import os
import resource
from array import array
from collections.abc import Sequence
from itertools import compress
from typing import Any

from tasks.codecs import PushedKind
from tasks.inject.correlate import Claim
from tasks.inject.engine import Engine
from tasks.inject.files import ACKNOWLEDGED, NEVER, Outcome
from tasks.wire.client import is_tls


def summary(engine: Engine, *, cpu_us: int, cpu_peak_permille: int) -> dict[str, Any]:
    """Counts and microseconds, all integers. Lateness is ready - intended; quantiles are by nearest rank.

    `thwarted` messages were never offered, for want of a descriptor, port or memory here. `loop_lag` is how long an
    alarm, and so at most an answer, waited for the loop; its quantile is rounded up to a power of two. Of what came to
    the receive service, late responses were to messages that had been given up.
    """
    rows, pools = engine.columns, engine.pools.values()
    final = [outcome != ACKNOWLEDGED for outcome in rows["outcome"]]
    columns = {name: array("q", compress(column, final)) for name, column in rows.items()}
    lateness = sorted(
        ready - intended
        for ready, intended in zip(columns["ready_us"], columns["intended_us"], strict=True)
        if ready != NEVER
    )
    outcomes = columns["outcome"].tolist()
    return {
        "pid": os.getpid(),
        "messages": engine.count,
        "offered": engine.offered - engine.thwarted_count,
        **{outcome.name.lower(): outcomes.count(outcome) for outcome in Outcome},
        "never_sent": columns["sent_us"].count(NEVER),
        "codes": dict(sorted(engine.codes.items())),
        "first_intended_us": min(columns["intended_us"], default=NEVER),
        "last_intended_us": max(columns["intended_us"], default=NEVER),
        "last_done_us": max(columns["done_us"], default=NEVER),
        "lateness_p50_us": nearest_rank(lateness, 500),
        "lateness_p99_us": nearest_rank(lateness, 990),
        "lateness_max_us": nearest_rank(lateness, 1000),
        "loop_lag_p99_us": bucket(engine.lags, 990),
        "loop_lag_max_us": engine.lag_max_us,
        "answers_in_a_round_peak": engine.answers_peak,
        "thwarted": engine.thwarted_count,
        **_received(engine),
        "cpu_us": cpu_us,
        "cpu_peak_permille": cpu_peak_permille,
        "descriptors_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "connections_limit": engine.connections_limit,
        "connections_opened": sum(pool.opened for pool in pools),
        "connections_peak": max((pool.peak_open for pool in pools), default=0),
        "connections_failed": sum(pool.failed for pool in pools),
        "tls_handshakes": sum(pool.opened for pool in pools if is_tls(pool.url)),
        "client_certificate_sha256": engine.fingerprint,
        "handshakes_peak": max((pool.peak_handshakes for pool in pools), default=0),
        "in_flight_peak": engine.in_flight_peak,
        "queue_peak": engine.queue_peak,
        "bytes_sent": engine.bytes_sent,
        "bytes_received": sum(rows["bytes"]),
        **engine.told(),
    }


def _received(engine: Engine) -> dict[str, int]:
    """What was acknowledged, and what came to the receive service."""
    return {
        "acknowledged": engine.acknowledged,
        "acknowledged_another": engine.mismatched,
        **{f"responses_{claim.value}": engine.claims[claim] for claim in Claim if claim is not Claim.RESPONSE},
        "responses_malformed": engine.malformed,
        "responses_received": engine.claims[Claim.RESPONSE],
        "device_alerts_received": engine.alerts[PushedKind.DEVICE_ALERT],
        "system_alerts_received": engine.alerts[PushedKind.SYSTEM_ALERT],
    }


def nearest_rank(ordered: Sequence[int], permille: int) -> int:
    """The quantile of ordered values by nearest rank; 0 of none."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * permille // 1000) - 1)]


def bucket(counts: list[int], permille: int) -> int:
    """The upper end of the bucket that holds the quantile; bucket n holds what has n binary digits."""
    rank, passed = -(-sum(counts) * permille // 1000), 0
    for digits, count in enumerate(counts):
        passed += count
        if passed >= rank:
            return (1 << digits) - 1
    return 0
