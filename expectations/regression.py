"""Is today's service no worse than the baseline: non-inferiority of run-level figures, and what so many runs can show.

Pure. The run is the unit: messages of a run depend on each other, and tests on them called 84 of 100 identical pairs
different. A figure (a median latency, a success share) counts once a run, and what is compared is the mean of its
logarithm, so that a margin is a ratio. *Shown*: the one-sided 95 % bound of the ratio lies within the margin.
*Violated*: even the bound on the other side lies beyond it. Anything else is *inconclusive*. The margin is declared
before the runs; `margin` says which one so many runs a side can show at all, from pairs of the same system.

One primary figure decides. Secondary ones are each held to their own margin with Holm's correction over all of them.
Runs whose schedule, payload or environment differ are not compared at all.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict

from catalog.keys import Difference, differences
from expectations.rounding import settled, whole, whole_down, whole_up
from expectations.statistics import MILLION
from expectations.verdicts import LATER

FEWEST_RUNS = 5
"""Runs a side (days of a recorded baseline) below which nothing is decided."""

ALPHA = 0.05
POWER = 0.8

MUST_AGREE = ("schedule", "payload", "environment")
"""What two documents must share before their figures are compared."""


class Worse(StrEnum):
    """The direction in which a figure gets worse."""

    HIGHER = "higher"
    LOWER = "lower"


class Comparison(StrEnum):
    """What a regression says of one figure. *Inconclusive* always says why."""

    SHOWN = "shown"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """One figure compared; ratios are candidate over baseline, in ppm (1,000,000: the same).

    `lower_ppm`, `upper_ppm`: one-sided bounds, each at the level, rounded outward. `margin_ppm`: how much worse is
    still accepted, as a share of the baseline. `shown_p_ppm`, `violated_p_ppm`: the probabilities of data so much
    better, or worse, at a true ratio of exactly the margin, rounded up. All None where nothing could be computed.
    """

    verdict: Comparison
    reason: str
    margin_ppm: int
    ratio_ppm: int | None = None
    lower_ppm: int | None = None
    upper_ppm: int | None = None
    shown_p_ppm: int | None = None
    violated_p_ppm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of both sides, a number above 0 for each run, and how much worse it may be (ppm of the baseline)."""

    baseline: tuple[int, ...]
    candidate: tuple[int, ...]
    margin_ppm: int
    worse: Worse = Worse.HIGHER


def refusals(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Why two runs' documents may not be compared: every difference in what `MUST_AGREE` names; empty when they may.

    A part that either document lacks (or holds as None) is refused too: unknown is not the same.
    """
    found: list[Difference] = []
    for part in MUST_AGREE:
        old, new = baseline.get(part), candidate.get(part)
        if old is None or new is None:
            found.append(Difference(input=part, old=old, new=new))
        else:
            found += differences({part: old}, {part: new})
    return tuple(found)


def non_inferiority(figure: Figure, *, alpha: float = ALPHA) -> NonInferiority:
    """Compares interleaved runs of both sides, by Welch's t (Biometrika 34, 1947) on logarithms, one-sided at `alpha`.

    One half of two one-sided tests (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
    Raises ValueError for a margin outside 0 to 1,000,000 ppm.
    """
    _check(figure.margin_ppm)
    short = _short(len(figure.baseline), len(figure.candidate), "runs")
    if short or not _positive(*figure.baseline, *figure.candidate):
        return _undecided(figure.margin_ppm, short or _NOTHING)
    old, new = _logs(figure.baseline), _logs(figure.candidate)
    errors = [_variance(each) / len(each) for each in (old, new)]
    error = sum(errors)
    freedom = (
        error**2 / sum(each**2 / (len(side) - 1) for each, side in zip(errors, (old, new), strict=True))
        if (error)
        else math.inf
    )
    return _decided(figure, _mean(new) - _mean(old), math.sqrt(error), freedom, alpha)


def non_inferiority_to_recorded(
    days: Sequence[Sequence[int]], figure: Figure, *, alpha: float = ALPHA
) -> NonInferiority:
    """Compares one day's runs (`figure.candidate`) with recorded runs of earlier days, a sequence of figures a day.

    Where both sides cannot stand side by side, the day-to-day spread belongs in the interval: the mean logarithm of a
    day is the unit, and today is one more day. That is a prediction interval for one further value (Hahn and Meeker,
    Statistical Intervals, 1991, chapter 4): t with days - 1 degrees of freedom, error s * sqrt(1 + 1/days). For that,
    today's mean must be of as many runs as a day's: one is enough where each day has one.
    `figure.baseline` is not looked at. Raises ValueError for a margin outside 0 to 1,000,000 ppm.
    """
    _check(figure.margin_ppm)
    short = _short_of_days([len(day) for day in days], len(figure.candidate))
    if short or not all(days) or not _positive(*figure.candidate, *(each for day in days for each in day)):
        return _undecided(figure.margin_ppm, short or _NOTHING)
    means = [_mean(_logs(day)) for day in days]
    error = math.sqrt(_variance(means) * (1 + 1 / len(means)))
    return _decided(figure, _mean(_logs(figure.candidate)) - _mean(means), error, len(means) - 1, alpha)


def secondary(figures: Mapping[str, Figure], *, alpha: float = ALPHA) -> dict[str, NonInferiority]:
    """Compares several figures, so that any false *shown*, or any false *violated*, among them is as rare as `alpha`.

    Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979) over the probabilities of each verdict,
    which come back adjusted. Figures that could not be computed take no part.
    """
    alone = {name: non_inferiority(figure, alpha=alpha) for name, figure in sorted(figures.items())}
    shown = holm({name: each.shown_p_ppm for name, each in alone.items() if each.shown_p_ppm is not None})
    violated = holm({name: each.violated_p_ppm for name, each in alone.items() if each.violated_p_ppm is not None})
    return {
        name: each if name not in shown else _adjusted(each, shown[name], violated[name], alpha, len(shown))
        for name, each in alone.items()
    }


def holm(p_ppm: Mapping[str, int]) -> dict[str, int]:
    """Holm's adjusted probabilities, in parts per million: the i-th least of m times (m - i + 1), never falling."""
    adjusted: dict[str, int] = {}
    least = 0
    for place, (name, each) in enumerate(sorted(p_ppm.items(), key=lambda item: (item[1], item[0]))):
        least = max(least, min(MILLION, (len(p_ppm) - place) * each))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_ppm}


def spread(groups: Sequence[Sequence[int]]) -> float:
    """The standard deviation of the logarithm of a figure between runs of the same system, pooled over groups of runs.

    Each group: runs of one system on one occasion. Raises ValueError for figures not above 0, or fewer than
    `FEWEST_RUNS` degrees of freedom.
    """
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < FEWEST_RUNS or not _positive(*(each for group in groups for each in group)):
        raise ValueError(f"a spread needs {FEWEST_RUNS} more runs than groups, and figures above 0")
    return settled(math.sqrt(math.fsum(_variance(_logs(g)) * (len(g) - 1) for g in groups if len(g) > 1) / freedom))


def power(margin_ppm: int, spread: float, runs: int, *, alpha: float = ALPHA, worse: Worse = Worse.HIGHER) -> float:
    """How likely `runs` a side show non-inferiority of an unchanged system within the margin.

    The noncentral t distribution with 2 (runs - 1) degrees of freedom (Julious, Statistics in Medicine 23, 2004).
    Raises ValueError for fewer than two runs or a spread not above 0.
    """
    from scipy.special import nctdtr, stdtrit

    if runs < 2 or spread <= 0:
        raise ValueError("power needs two runs a side and a spread above 0")
    freedom = 2 * (runs - 1)
    shift = abs(_log_margin(margin_ppm, worse)) / (spread * math.sqrt(2 / runs))
    return float(1 - nctdtr(freedom, shift, stdtrit(freedom, 1 - alpha)))


def margin(
    spread: float, runs: int, *, alpha: float = ALPHA, wanted: float = POWER, worse: Worse = Worse.HIGHER
) -> int | None:
    """The least margin (ppm) that `runs` a side show with power `wanted` on an unchanged system.

    None when not even the widest margin, 1,000,000 ppm, is shown so often.
    """
    if power(MILLION - 1, spread, runs, alpha=alpha, worse=worse) < wanted:
        return None
    low, high = 0, MILLION - 1
    while high - low > 1:
        middle = (low + high) // 2
        enough = settled(power(middle, spread, runs, alpha=alpha, worse=worse)) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


_NOTHING = "a figure that is not above 0 has no logarithm"


class _Bounds(TypedDict):
    ratio_ppm: int
    lower_ppm: int
    upper_ppm: int
    shown_p_ppm: int
    violated_p_ppm: int


def _check(margin_ppm: int) -> None:
    if not 0 <= margin_ppm < MILLION:
        raise ValueError(f"a margin lies between 0 and {MILLION} ppm, not at {margin_ppm}")


def _decided(figure: Figure, difference: float, error: float, freedom: float, alpha: float) -> NonInferiority:
    """The verdict, from the difference of mean logarithms, its standard error and its degrees of freedom."""
    from scipy.special import stdtr, stdtrit

    reach = float(stdtrit(freedom, 1 - alpha)) * error if error else 0.0
    limit = _log_margin(figure.margin_ppm, figure.worse)
    within = limit - difference if figure.worse is Worse.HIGHER else difference - limit  # how far inside the margin
    if error:
        p_shown, p_violated = (float(stdtr(freedom, -side * within / error)) for side in (1, -1))
    else:
        p_shown, p_violated = (0.0, 1.0) if within > 0 else (1.0, 0.0) if within < 0 else (1.0, 1.0)
    bounds = _Bounds(
        ratio_ppm=_ppm(difference, whole),
        lower_ppm=_ppm(difference - reach, whole_down),
        upper_ppm=_ppm(difference + reach, whole_up),
        shown_p_ppm=whole_up(p_shown * MILLION),
        violated_p_ppm=whole_up(p_violated * MILLION),
    )
    verdict = _verdict(bounds["shown_p_ppm"], bounds["violated_p_ppm"], alpha)
    return NonInferiority(
        verdict=verdict, reason=_reason(verdict, bounds, figure), margin_ppm=figure.margin_ppm, **bounds
    )


def _ppm(log_ratio: float, rounded: Callable[[float], int]) -> int:
    """A ratio in parts per million; `LATER` where it is as large or larger, as that to an answer that never came."""
    return min(LATER, rounded(math.exp(min(log_ratio, math.log(LATER))) * MILLION))


def _verdict(shown_p_ppm: int, violated_p_ppm: int, alpha: float) -> Comparison:
    if shown_p_ppm <= alpha * MILLION:
        return Comparison.SHOWN
    return Comparison.VIOLATED if violated_p_ppm <= alpha * MILLION else Comparison.INCONCLUSIVE


def _reason(verdict: Comparison, bounds: _Bounds, figure: Figure) -> str:
    limit = f"{figure.worse} by {percent(figure.margin_ppm)}"
    told = f"the ratio lies in [{percent(bounds['lower_ppm'])}, {percent(bounds['upper_ppm'])}]"
    match verdict:
        case Comparison.SHOWN:
            return f"{told}: no worse than {limit}"
        case Comparison.VIOLATED:
            return f"{told}: worse than {limit}"
        case _:
            return f"{told}, on both sides of {limit}: more runs, or runs that differ less, are needed"


def _adjusted(alone: NonInferiority, shown: int, violated: int, alpha: float, figures: int) -> NonInferiority:
    verdict = _verdict(shown, violated, alpha)
    changed = f"; {alone.verdict} alone, not among {figures} figures (Holm)" if verdict is not alone.verdict else ""
    return NonInferiority(
        verdict=verdict,
        reason=alone.reason + changed,
        margin_ppm=alone.margin_ppm,
        ratio_ppm=alone.ratio_ppm,
        lower_ppm=alone.lower_ppm,
        upper_ppm=alone.upper_ppm,
        shown_p_ppm=shown,
        violated_p_ppm=violated,
    )


def _undecided(margin_ppm: int, reason: str) -> NonInferiority:
    return NonInferiority(verdict=Comparison.INCONCLUSIVE, reason=reason, margin_ppm=margin_ppm)


def _short(old: int, new: int, unit: str) -> str:
    """Why there is too little to decide on; empty when there is enough."""
    if min(old, new) >= FEWEST_RUNS:
        return ""
    return f"too few {unit}: {old} of the baseline, {new} of the candidate, {FEWEST_RUNS} needed of each"


def _short_of_days(days: Sequence[int], today: int) -> str:
    """Why recorded days, with so many runs each, are too little to hold today's against; empty when they are not."""
    if len(days) < FEWEST_RUNS:
        return f"too few days: {len(days)} of the baseline, {FEWEST_RUNS} needed"
    return f"too few runs: {today} today, {max(days)} on a day of the baseline" if today < max(days) else ""


def _positive(*figures: int) -> bool:
    return all(each > 0 for each in figures)


def _log_margin(margin_ppm: int, worse: Worse) -> float:
    return math.log1p(margin_ppm / MILLION if worse is Worse.HIGHER else -margin_ppm / MILLION)


def _logs(figures: Sequence[int]) -> list[float]:
    return [math.log(each) for each in figures]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    """Unbiased; exactly nothing where all values are the same."""
    if min(values) == max(values):
        return 0.0
    mean = _mean(values)
    return math.fsum((each - mean) ** 2 for each in values) / (len(values) - 1)


def percent(ppm: int) -> str:
    """Parts per million as a percentage with two places."""
    return f"{ppm / 10_000:.2f} %"
