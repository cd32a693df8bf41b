"""Systems whose truth is known, simulated on an absolute clock, and the studies that hold the statistics to it.

The suite runs each study for seconds; `benchmarks/studies.py` runs it in full.
"""

import heapq
import math
from statistics import NormalDist

import numpy as np

from catalog.declarations import Direction
from expectations import capacity, composition, regression, statistics, trends


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


def comparisons(pairs, *, runs=6, spread=0.05, margin_ppm=0, change=1.0, seed=1, truths=None):
    """Verdicts of so many comparisons of `runs` a side, whose figures scatter by `spread` (log-normal)."""
    drawn = np.random.default_rng(seed)
    told = dict.fromkeys(regression.Comparison, 0)
    for _ in range(pairs):
        sides = [
            tuple(np.rint(100_000 * middle * np.exp(spread * drawn.normal(size=runs))).astype(int).tolist())
            for middle in (1.0, change)
        ]
        figure = regression.Figure(baseline=sides[0], candidate=sides[1], margin_ppm=margin_ppm)
        told[regression.non_inferiority(figure).verdict] += 1
    settings = {"pairs": pairs, "runs a side": runs, "spread": spread, "margin_ppm": margin_ppm, "change": change}
    return settings | {str(verdict): count for verdict, count in told.items()}


def queue_runs(pairs, *, runs=6, margin_ppm=0, messages=3_000, seed=1):
    """As `comparisons`, of medians of whole simulated runs of one and the same queue, whose messages depend."""
    drawn = np.random.default_rng(seed)
    told = dict.fromkeys(regression.Comparison, 0)

    def median():
        arrival = poisson(drawn, messages, messages * 1_000)
        latency = departures(arrival, np.full(messages, 800.0), 1) - arrival
        return statistics.quantile(np.sort(latency), 500)

    for _ in range(pairs):
        sides = [tuple(median() for _ in range(runs)) for _ in range(2)]
        figure = regression.Figure(baseline=sides[0], candidate=sides[1], margin_ppm=margin_ppm)
        told[regression.non_inferiority(figure).verdict] += 1
    return {"pairs": pairs, "runs a side": runs} | {str(verdict): count for verdict, count in told.items()}


def families(pairs, *, figures=5, runs=6, spread=0.1, margin_ppm=0, seed=1):
    """Of so many comparisons of several unchanged figures, in how many any was called violated; and without Holm."""
    drawn = np.random.default_rng(seed)
    with_holm = alone = 0
    for _ in range(pairs):
        sides = np.rint(100_000 * np.exp(spread * drawn.normal(size=(figures, 2, runs)))).astype(int).tolist()
        declared = {
            str(number): regression.Figure(baseline=tuple(old), candidate=tuple(new), margin_ppm=margin_ppm)
            for number, (old, new) in enumerate(sides)
        }
        violated = regression.Comparison.VIOLATED
        with_holm += any(each.verdict is violated for each in regression.secondary(declared).values())
        alone += any(regression.non_inferiority(each).verdict is violated for each in declared.values())
    return {"pairs": pairs, "figures": figures, "any violated": with_holm, "without Holm": alone}


def recorded_days(pairs, *, days=8, runs=5, between=0.05, within=0.02, seed=1):
    """False alarms against a recorded baseline, at margin 0, with and without the day-to-day spread."""
    drawn = np.random.default_rng(seed)
    told = alone = 0
    for _ in range(pairs):
        shift = between * drawn.normal(size=(days + 1, 1))
        logs = shift + within * drawn.normal(size=(days + 1, runs))
        figures = np.rint(100_000 * np.exp(logs)).astype(int).tolist()
        today = tuple(figures[-1])
        pooled = regression.Figure(
            baseline=tuple(each for day in figures[:-1] for each in day), candidate=today, margin_ppm=0
        )
        found = regression.non_inferiority_to_recorded(figures[:-1], pooled)
        told += found.verdict is regression.Comparison.VIOLATED
        alone += regression.non_inferiority(pooled).verdict is regression.Comparison.VIOLATED
    return {"pairs": pairs, "days": days, "violated": told, "violated if days were alike": alone}


def coverage(runs, permille, correlation, *, count=1_500, blocks=30, seed=11):
    """Of so many runs of log-normal latencies driven by an autoregression, how many intervals held the percentile."""
    drawn = np.random.default_rng(seed)
    truth = math.exp(10 + 0.5 * NormalDist().inv_cdf(permille / 1000))
    latencies = np.exp(10 + 0.5 * autoregressive(drawn, count, runs, correlation)).astype(np.int64)
    block = np.arange(count) * blocks // count
    held = 0
    for run in range(runs):
        found = statistics.quantile_interval(latencies[:, run], block, permille, seed=run)
        held += found.lower <= truth <= found.upper
    return {"runs": runs, "permille": permille, "autocorrelation": correlation, "messages": count, "held": held}


def freeze(*, seconds=14, rate=1_000, frozen_us=1_000_000, pool=64, service_us=60, workers=4, seed=1):
    """A system frozen once: p99 by intended time, and what counting from the send would have said, in µs.

    The system's own clock stands still while it is frozen; messages wait for one of `pool` connections first, so no
    more than `pool` are in the system at once.
    """
    drawn = np.random.default_rng(seed)
    count = seconds * rate
    intended = np.arange(count) * 1_000_000 // rate
    begun = int(drawn.integers(2_000_000, (seconds - 4) * 1_000_000))
    thawed = np.where(intended < begun, intended, np.maximum(begun, intended - frozen_us))  # on the system's clock
    services = service_us * drawn.uniform(0.5, 1.5, count)
    done = departures(thawed.astype(np.float64), services, min(pool, workers))
    done = np.where(done > begun, done + frozen_us, done)
    sent, out = [], []  # connections come free as answers come in
    for due, end in zip(intended.tolist(), done.tolist(), strict=True):
        sent.append(due if len(out) < pool else max(due, heapq.heappop(out)))
        heapq.heappush(out, end)
    block = np.arange(count) * 30 // count
    from_intended = (done - intended).astype(np.int64)
    return {
        "pool": pool,
        "p99 from intended time": statistics.quantile(np.sort(from_intended), 990),
        "interval": statistics.quantile_interval(from_intended, block, 990, seed=seed),
        "p99 from the send": statistics.quantile(np.sort((done - np.array(sent)).astype(np.int64)), 990),
    }


def coupled(drawn, one, other):
    """Sums of two samples of equal size under several dependences."""
    yield "comonotone", np.sort(one) + np.sort(other)
    yield "countermonotone", np.sort(one) + np.sort(other)[::-1]
    yield "as they come", one + other
    for _ in range(3):
        yield "at random", one + drawn.permutation(other)


def paths(count, permille, *, components=3, messages=2_000, seed=1):
    """Of so many simulated paths, how many bounds held every dependence tried, and how close independence was."""
    drawn = np.random.default_rng(seed)
    held = 0
    errors, ratios = [], []
    for _ in range(count):
        samples = np.exp(drawn.normal(9, 0.5, (components, messages))).astype(np.int64)
        found = composition.compose([composition.counted(each) for each in samples], permille, grid_us=50)
        shared = drawn.permutation(messages)
        tried = [
            np.sort(samples, axis=1).sum(axis=0),
            sum(np.sort(each)[:: 1 if number % 2 else -1] for number, each in enumerate(samples)),
            sum(
                np.sort(each)[shared if number % 2 else drawn.permutation(messages)]
                for number, each in enumerate(samples)
            ),
        ]
        at = [statistics.quantile(np.sort(each), permille) for each in tried]
        held += all(found.lower_us <= each <= found.upper_us for each in at)
        drawn_apart = sum(each[drawn.integers(0, messages, 200_000)] for each in samples)
        truth = statistics.quantile(np.sort(drawn_apart), permille)
        errors.append(abs(found.independent.value / truth - 1))
        ratios.append(found.upper_us / found.independent.value)
    return {
        "paths": count,
        "components": components,
        "permille": permille,
        "held": held,
        "worst error of independence in %": round(100 * max(errors), 2),
        "median upper bound over independence": round(float(np.median(ratios)), 2),
    }
