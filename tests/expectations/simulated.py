"""Systems whose truth is known, simulated on an absolute clock, and the studies that hold the statistics to it.

The suite runs each study for seconds.
"""

import heapq
import math

import numpy as np

from catalog.declarations import Direction
from expectations import capacity, statistics, trends


def poisson(drawn, count, window_us):
    """Poisson arrivals conditioned on their count, as a test offers them."""
    return np.sort(drawn.integers(0, window_us, size=count))


def departures(arrival_us, service_us, workers):
    """When each message of a first-come first-served queue is done (Kiefer and Wolfowitz's recursion)."""
    if np.ptp(service_us) == 0:  # equal services: workers take turns, and each turn is a queue of one (Lindley)
        done = np.empty(len(arrival_us), dtype=np.float64)
        for turn in range(workers):
            own = np.arange(len(arrival_us[turn::workers])) * float(service_us[0])
            done[turn::workers] = np.maximum.accumulate(arrival_us[turn::workers] - own) + own + service_us[0]
        return done
    free, done = [0.0] * workers, []
    for arrival, service in zip(arrival_us.tolist(), service_us.tolist(), strict=True):
        end = max(arrival, free[0]) + service
        heapq.heapreplace(free, end)
        done.append(end)
    return np.array(done)


def stress_test(seed, *, width_ppm=100_000, agreeing=2, length=4, room=120):
    """A seeded stress test of c workers with service time S: the knee and capacity found, the true c/S, and the steps.

    Services are exponential in every other test, else equal. The limit is `room` times S/c and the longest services; a
    step lasts `length` times what an overload of half a width needs to show.
    """
    drawn = np.random.default_rng(seed)
    workers, service_us = int(drawn.integers(1, 9)), float(drawn.integers(1_000, 20_001))
    exponential = seed % 2 == 0
    limit_us = int(room * service_us / workers + 3 * service_us)
    step_us = length * capacity.needed_step_us(limit_us, width_ppm // 2)
    truth = workers / service_us  # messages a microsecond
    target = truth / math.exp(drawn.uniform(-0.2, 1.5))
    ramp = capacity.Ramp(width_ppm=width_ppm, agreeing=agreeing)
    steps = []
    while (multiple := capacity.next_multiple(ramp, steps)) is not None:
        count = round(target * multiple / 1e6 * step_us)
        arrival = poisson(drawn, count, step_us)
        service = drawn.exponential(service_us, count) if exponential else np.full(count, service_us)
        latency = np.sort(departures(arrival, service, workers) - arrival)
        carried = statistics.quantile(latency, 950) <= limit_us
        steps.append(statistics.Step(multiple_ppm=multiple, offered=True, carried=bool(carried)))
    found = capacity.knee(steps)
    own = capacity.service_capacity(
        found, limit_us=limit_us, step_us=step_us, messages=round(target * step_us), variability_ppm=1_000_000
    )
    return found, own, truth / target * 1e6, steps


def knees(tests, **how):
    """How many stress tests' intervals held the capacity, the knee's and the servers' own, and what they cost."""
    knee = held = 0
    widths, steps = [], []
    for seed in range(tests):
        found, own, truth, taken = stress_test(seed, **how)
        knee += found.carried_ppm <= truth < found.not_carried_ppm
        held += own.lower <= truth <= own.upper
        widths.append((own.upper - own.lower) / own.lower)
        steps.append(len(taken))
    return {
        "tests": tests,
        "held": held,
        "held by the knee itself": knee,
        "median width in %": round(100 * float(np.median(widths)), 1),
        "widest in %": round(100 * max(widths), 1),
        "median steps": float(np.median(steps)),
    }


def autoregressive(drawn, count, runs, correlation):
    """Standard normal series, one a column, first-order autoregressive."""
    noise = drawn.normal(size=(count, runs)) * math.sqrt(1 - correlation**2)
    found = np.empty((count, runs))
    found[0] = drawn.normal(size=runs)
    for index in range(1, count):
        found[index] = correlation * found[index - 1] + noise[index]
    return found


def drifts(series, blocks, correlation, *, leak=0.0, seed=1):
    """Of so many soaks, in how many a drift was seen, its interval held the truth, and the crossing was bracketed.

    Memory of 500 MB with a noise of 1 MB; `leak`: how much of that noise the whole soak adds.
    """
    noise = autoregressive(np.random.default_rng(seed), blocks, series, correlation)
    progress = [60_000_000 * each for each in range(blocks)]
    truth = leak * 1_000_000 / progress[-1]
    limit = 500_000_000 + round(20 * leak * 1_000_000) + 1
    seen = held = crossed = 0
    for number in range(series):
        values = (500_000_000 + truth * np.array(progress) + 1_000_000 * noise[:, number]).astype(np.int64).tolist()
        found = trends.drift(progress, values)
        seen += found.drifts
        held += float(found.lower) <= truth <= float(found.upper)
        when = trends.crossing(progress, values, found, limit=limit, direction=Direction.AT_MOST)
        crossed += when is not None and when.earliest <= 19 * progress[-1] <= when.latest
    return {
        "series": series,
        "blocks": blocks,
        "autocorrelation": correlation,
        "leak": leak,
        "seen": seen,
        "held": held,
        "crossed": crossed,
    }
