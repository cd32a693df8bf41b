"""Where a system stops: which load a stress ramp offers next, the interval that holds the knee, and a scalability law.

Pure: `next_multiple` is a state machine without state. From the steps so far it says which multiple of the target to
offer next, so an interrupted ramp goes on where it was, and anybody can check that no step was chosen by hand.

The search rises by a declared ratio until a step is not carried, halves what is left until the interval has the
declared relative width, and then offers both ends again, under other arrivals. Near the knee a step is carried by luck:
a multiple that was carried once and not carried once is neither, and the interval is taken from the multiples that
were consistent.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.rounding import rounded, settled, whole_up
from expectations.statistics import MILLION, Estimate, Step, quantile
from expectations.verdicts import LATER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FEWEST_LOADS = 4
"""Different loads that a law of three parameters needs, so that something is left to contradict it."""

_MOST_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A declared search for the knee; everything in ppm.

    `first`: the multiple offered first. `growth`: each rising step is this multiple of the one before. `most`: no
    higher multiple is offered. `width`: the interval's upper end is at most this much above its lower, relatively.
    `agreeing`: how many steps at each end must say the same.
    """

    first_ppm: int = MILLION
    growth_ppm: int = 1_500_000
    most_ppm: int = 64 * MILLION
    width_ppm: int = 100_000
    agreeing: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.first_ppm <= self.most_ppm:
            raise ValueError("a ramp's first multiple lies above 0 and not above its last")
        if self.growth_ppm <= MILLION or self.width_ppm < 1_000:
            raise ValueError("a ramp grows, and its interval is at least 0.1 % wide")
        if self.agreeing < 1:
            raise ValueError("at least one step says where each end of the interval is")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """The interval that holds the knee, as multiples of the target in ppm.

    `carried_ppm`: the highest multiple that was carried, 0 when none was. `not_carried_ppm`: the lowest that was not,
    None when nothing bounds it from above. Neither is known (both None) when a step was not offered in time.
    """

    carried_ppm: int | None
    not_carried_ppm: int | None

    def carried(self) -> Estimate:
        """The highest load carried, in ppm of the target: 1,000,000 is no headroom, and less too little capacity.

        The value is the lower end, which was seen; the upper is `LATER` where nothing bounds it. No interval where a
        step was not offered in time.
        """
        if self.carried_ppm is None:
            return Estimate(0, None, None)
        lower = self.carried_ppm
        return Estimate(lower, lower, LATER if self.not_carried_ppm is None else self.not_carried_ppm - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a step counts as offered and as carried: 99th percentile of lateness, 95th of latency, answered share."""

    lateness_us: int
    latency_us: int
    answered_ppm: int


def step_of(
    multiple_ppm: int, *, lateness_us: "Integers", latency_us: "Integers", answered: int, limits: Limits
) -> Step:
    """What came of one step, from its messages: how late each was taken up, and its latency, failures as `LATER`.

    Columns of equal length, in any order; `LATER` stands in `lateness_us` for what was never taken up, and then the
    step was not offered. Percentiles are by nearest rank over all messages.
    """
    import numpy as np

    if not len(latency_us):
        return Step(multiple_ppm=multiple_ppm, offered=False, carried=False)
    late = np.sort(lateness_us)
    return Step(
        multiple_ppm=multiple_ppm,
        offered=int(late[-1]) < LATER and quantile(late, 990) <= limits.lateness_us,
        carried=quantile(np.sort(latency_us), 950) <= limits.latency_us
        and answered * MILLION >= limits.answered_ppm * len(latency_us),
    )


def next_multiple(ramp: Ramp, steps: Sequence[Step]) -> int | None:
    """The multiple to offer next, in ppm; None when the search has ended. `steps`: all so far, in any order.

    A step that was not offered in time ends the search: the injector, not the system, would be measured above it.
    """
    if not all(step.offered for step in steps) or len(steps) >= _MOST_STEPS:
        return None
    low, high = _ends(steps)
    if high is None:
        return _higher(ramp, steps, low)
    if low and (high - low) * MILLION <= ramp.width_ppm * low:
        return next((end for end in (low, high) if _offered(steps, end) < ramp.agreeing), None)
    if not low and high * MILLION <= ramp.first_ppm * ramp.width_ppm:  # it carries next to nothing: as low as it goes
        return None
    return _between(ramp, steps, low, high)


def knee(steps: Sequence[Step]) -> Knee:
    """The interval after `steps`, in any order: see `Knee`. Multiples that contradict themselves lie inside it."""
    if not all(step.offered for step in steps):
        return Knee(carried_ppm=None, not_carried_ppm=None)
    low, high = _ends(steps)
    return Knee(carried_ppm=low, not_carried_ppm=high)


def needed_step_us(limit_us: int, width_ppm: int, permille: int = 950) -> int:
    """How long a step must last for an overload of `width_ppm` to show in a percentile of latency, in microseconds.

    Of a load of (1 + w) times the capacity, each second leaves w seconds of work behind, so a message that is due at t
    waits w * t and the percentile p over a step of length T is w * p * T: it exceeds the limit only when
    T > limit / (w * p). (The fluid limit of an overloaded queue: Newell, Applications of Queueing Theory, 1971, ch. 2.)
    Shorter steps find a knee above the true one.
    """
    return -(-limit_us * MILLION * 1000 // (width_ppm * permille))


def service_capacity(
    found: Knee, *, limit_us: int, step_us: int, messages: int, permille: int = 950, variability_ppm: int = MILLION
) -> Estimate:
    """The interval of what the servers can do at most, c/S, in ppm of the target, from where a limit was broken.

    The knee says which loads keep the percentile `permille` of latency within `limit_us`. The servers' own capacity may
    lie below what a short step carried (an overload of less than limit / (p * step) does not show: `needed_step_us`),
    and above what it did not: close to capacity waiting alone exceeds the limit. In heavy traffic the wait is
    exponential with mean v / (rate * (1 - utilisation)), v being the mean of the squared coefficients of variation of
    gaps and services (Kingman, Proceedings of the Cambridge Philosophical Society 57, 1961), so a load may be refused
    from a utilisation of 1 - v * ln(1 / (1 - p)) / (rate * limit) on.

    `messages`: in one step at the target itself. `variability_ppm`: v; 1,000,000 for Poisson arrivals and exponential
    services. The value is the knee's middle. No end that is not known; `LATER` where nothing bounds the upper.
    """
    if found.carried_ppm is None:
        return Estimate(0, None, None)
    hidden = limit_us * MILLION * 1000 // (permille * step_us)
    lower = found.carried_ppm * max(0, MILLION - hidden) // MILLION
    if found.not_carried_ppm is None:
        return Estimate(found.carried_ppm, lower, LATER)
    middle, high = (found.carried_ppm + found.not_carried_ppm) // 2, found.not_carried_ppm
    rate = messages * high / MILLION / step_us
    waiting = variability_ppm / MILLION * math.log(1000 / (1000 - permille)) / (rate * limit_us)
    return Estimate(middle, lower, LATER if waiting >= 1 else whole_up(high / (1 - settled(waiting))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalability:
    """A Universal Scalability Law: decimal strings, rounded to six significant digits.

    `rate`: throughput of a load of one (lambda), in the unit of the throughput given. `contention` (sigma) and
    `coherency` (kappa) have no unit. `peak_load`: where throughput is greatest, and `peak_rate` what it is there; None
    where the law has no greatest (coherency 0). `beyond`: the peak lies above every load seen, so it is extrapolated.
    `residual_ppm`: root mean square of the relative residuals.
    """

    rate: str
    contention: str
    coherency: str
    peak_load: str | None
    peak_rate: str | None
    beyond: bool
    residual_ppm: int


def scalability(points: Iterable[tuple[float, float]]) -> Scalability | None:
    """Fits Gunther's law to (load, throughput) pairs, in any order; None where they do not identify it.

    X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), with lambda > 0, 0 <= sigma <= 1, kappa >= 0: Gunther, A
    General Theory of Computational Scalability Based on Rational Functions, arXiv 0808.1431, 2008 (there relative to
    lambda = X(1)). Least squares of the relative residuals, since throughput scatters in proportion. Not identified:
    fewer than `FEWEST_LOADS` different loads, loads within a factor of two, or parameters that the points cannot tell
    apart (reciprocal condition of the scaled Jacobian below 1e-4). Raises ValueError for a load or throughput that is
    not above 0.
    """
    import numpy as np

    ordered = sorted(points)
    if any(load <= 0 or rate <= 0 for load, rate in ordered):
        raise ValueError("loads and throughputs of a scalability law lie above 0")
    loads, rates = (np.array(each, dtype=np.float64) for each in (zip(*ordered, strict=True) if ordered else ((), ())))
    if len(set(loads.tolist())) < FEWEST_LOADS or loads[-1] < 2 * loads[0]:
        return None
    fit = _fitted(loads, rates)
    return None if fit is None else _scalability(*fit, loads)


def _ends(steps: Sequence[Step]) -> tuple[int, int | None]:
    """The highest multiple below every one that was ever not carried, and the lowest above every one that ever was.

    Only multiples whose steps all say the same are ends; 0 and None where there is none.
    """
    carried = {step.multiple_ppm for step in steps if step.carried}
    refused = {step.multiple_ppm for step in steps if not step.carried}
    lowest, highest = min(refused, default=None), max(carried, default=0)
    low = max((each for each in carried if lowest is None or each < lowest), default=0)
    high = min((each for each in refused if each > highest), default=None)
    return low, high


def _offered(steps: Sequence[Step], multiple_ppm: int) -> int:
    return sum(step.multiple_ppm == multiple_ppm for step in steps)


def _higher(ramp: Ramp, steps: Sequence[Step], low: int) -> int | None:
    """The next rising step; at the highest that may be offered, what says so must agree with itself."""
    highest = max((step.multiple_ppm for step in steps), default=0)
    if highest < ramp.most_ppm:
        return min(ramp.most_ppm, max(ramp.first_ppm, highest * ramp.growth_ppm // MILLION))
    return low if low == ramp.most_ppm and _offered(steps, low) < ramp.agreeing else None


def _between(ramp: Ramp, steps: Sequence[Step], low: int, high: int) -> int | None:
    """Halves the wider of the gaps on either side of the multiples that contradict others; None when none is wide.

    Where nothing contradicts, the middle of the interval; a gap is wide while halving it can still bring an end nearer.
    """
    inside = sorted({step.multiple_ppm for step in steps if low < step.multiple_ppm < high})
    edges = [low, *inside, high]
    gaps = [edges[:2], edges[-2:]] if inside else [edges]
    below, above = max(gaps, key=lambda gap: gap[1] - gap[0])
    if inside and (above - below) * 2 * MILLION <= ramp.width_ppm * (low or high):
        return next((end for end in (low, high) if end and _offered(steps, end) < ramp.agreeing), None)
    return (below + above) // 2


def _law(parameters: "Floats", loads: "Floats") -> "Floats":
    rate, contention, coherency = parameters
    found: Floats = rate * loads / (1 + contention * (loads - 1) + coherency * loads * (loads - 1))
    return found


def _fitted(loads: "Floats", rates: "Floats") -> "tuple[Floats, int] | None":
    """Lambda, sigma and kappa with the root mean square of the relative residuals in ppm, or None: not identified."""
    import numpy as np
    from scipy.optimize import least_squares

    scale = float(np.max(rates / loads))
    found = least_squares(
        lambda parameters: _law(parameters, loads) * scale / rates - 1,
        x0=np.array([1.0, 0.05, 0.001]),
        bounds=([1e-9, 0.0, 0.0], [np.inf, 1.0, np.inf]),
        x_scale=np.array([1.0, 0.1, 0.1 / float(loads[-1])]),
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    slopes = found.jac / np.maximum(np.linalg.norm(found.jac, axis=0), 1e-300)
    singular = np.linalg.svd(slopes, compute_uv=False)
    if not found.success or singular[-1] < 1e-4 * singular[0]:
        return None
    residual = math.sqrt(float(np.mean(found.fun**2)))
    return found.x * np.array([scale, 1.0, 1.0]), round(settled(residual) * MILLION)


def _scalability(parameters: "Floats", residual_ppm: int, loads: "Floats") -> Scalability:
    import numpy as np

    negligible = np.array([0.0, 1e-6, 1e-6 / float(loads[-1])])  # what bounds leave of a parameter that is nothing
    rate, contention, coherency = (float(each) for each in np.where(parameters < negligible, 0.0, parameters))
    peak = math.sqrt((1 - contention) / coherency) if coherency and contention < 1 else None
    top = None if peak is None else float(_law(parameters, np.array([max(1.0, peak)]))[0])
    return Scalability(
        rate=rounded(rate),
        contention=rounded(contention),
        coherency=rounded(coherency),
        peak_load=None if peak is None else rounded(max(1.0, peak)),
        peak_rate=None if top is None else rounded(top),
        beyond=peak is not None and peak > float(loads[-1]),
        residual_ppm=residual_ppm,
    )
