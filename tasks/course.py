"""The course of a test: which load it offers next, from its declaration and what came of the loads before.

Pure, so anybody can check that no step was chosen by hand. Most tests are one turn. Stress searches, and offers its
first load again after the overload. Regression takes turns: today's system and the baseline, in the order A B B A, so
that a slow change of the machine favours neither; both turns of a pair offer the same messages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

from catalog.declarations import Profile, StressRamp, TestType
from expectations.capacity import Ramp, next_multiple
from expectations.statistics import MILLION, Step


class Part(StrEnum):
    """What a turn is for."""

    WHOLE = "whole"
    RAMP = "ramp"
    RECOVERY = "recovery"
    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One load to offer: a multiple of the target volume, and which of the test's arrival streams (from 0)."""

    part: Part
    multiple: Fraction
    stream: int = 0

    def as_json(self) -> dict[str, Any]:
        """As a document that `from_json` reads."""
        return {"part": self.part.value, "multiple": str(self.multiple), "stream": self.stream}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """From that document. Raises KeyError or ValueError for any other."""
        return cls(part=Part(document["part"]), multiple=Fraction(document["multiple"]), stream=int(document["stream"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A turn that was taken, and what came of it."""

    part: Part
    step: Step


def next_turn(profile: Profile, taken: Sequence[Taken]) -> Turn | None:
    """The turn after those `taken`; None when the test is over."""
    if profile.ramp is not None:
        return _search(profile.ramp, taken)
    if profile.comparison is not None:
        return _in_turns(profile.comparison.runs, len(taken))
    return None if taken else Turn(part=Part.WHOLE, multiple=_load(profile))


def has_turns(kind: TestType) -> bool:
    """Whether a test takes several turns, whose arrivals are drawn turn by turn and recorded with its run."""
    return kind in (TestType.STRESS, TestType.REGRESSION)


def highest(profile: Profile) -> Fraction:
    """The highest multiple of its target volume that a test may offer."""
    return Fraction(profile.ramp.most) if profile.ramp else _load(profile)


def longest(profile: Profile) -> int:
    """About how many turns a test takes: of a search, where it rises to the top and comes halfway down again."""
    if profile.comparison is not None:
        return 2 * profile.comparison.runs
    return len(rising(profile.ramp)) + _halvings(profile.ramp) + 2 * profile.ramp.agreeing if profile.ramp else 1


def rising(declared: StressRamp) -> list[Fraction]:
    """The multiples that a ramp offers while every step is carried."""
    ramp = ramp_of(declared)
    steps = [Step(multiple_ppm=ramp.first_ppm, offered=True, carried=True)]
    while (ppm := next_multiple(ramp, steps)) is not None and ppm != steps[-1].multiple_ppm:
        steps.append(Step(multiple_ppm=ppm, offered=True, carried=True))
    return [Fraction(step.multiple_ppm, MILLION) for step in steps]


def ramp_of(declared: StressRamp) -> Ramp:
    """A declared search as `expectations.capacity` takes it."""
    return Ramp(
        first_ppm=int(declared.first * MILLION),
        growth_ppm=int(declared.growth * MILLION),
        most_ppm=int(declared.most * MILLION),
        width_ppm=declared.width.value,
        agreeing=declared.agreeing,
    )


def _load(profile: Profile) -> Fraction:
    return Fraction(profile.scaling.load) if profile.scaling else Fraction(1)


def _search(declared: StressRamp, taken: Sequence[Taken]) -> Turn | None:
    """The next step of the ramp; when it has ended in an overload, its first load again."""
    steps = [each.step for each in taken]
    if taken and taken[-1].part is Part.RECOVERY:
        return None
    ppm = next_multiple(ramp_of(declared), steps)
    if ppm is not None:
        return Turn(part=Part.RAMP, multiple=Fraction(ppm, MILLION), stream=len(taken))
    if all(step.offered for step in steps) and not all(step.carried for step in steps):
        return Turn(part=Part.RECOVERY, multiple=Fraction(declared.first), stream=len(taken))
    return None


def _in_turns(runs: int, taken: int) -> Turn | None:
    if taken == 2 * runs:
        return None
    part = Part.CANDIDATE if taken % 4 in (0, 3) else Part.BASELINE
    return Turn(part=part, multiple=Fraction(1), stream=taken // 2)


def _halvings(declared: StressRamp) -> int:
    widest = float(declared.growth - 1) * MILLION
    return max(0, math.ceil(math.log2(widest / declared.width.value)))
