"""Bounds of what a test may declare: wide enough for every real test, and too narrow for a slip of the pen."""

from collections.abc import Iterator
from decimal import Decimal

from catalog.agreement.material import Declarations, Disagreement
from catalog.declarations import Environment, Profile
from catalog.places import Address

DAY_US = 86_400_000_000
SHORTEST_US, LONGEST_US = 1_000_000, 31 * DAY_US
"""How short and how long a test, or one step of it, may be: a second and 31 days."""

RATES = Decimal("0.000001"), Decimal(10_000)
STEPS = Decimal("0.001"), Decimal(1_000)
"""The smallest and the largest factor on a target rate, and multiple of a target volume."""


def bound_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Every duration, step and rate that no test could have, and a validity that no evidence could."""
    valid_for = declared.programme.reliance.valid_for
    if valid_for is not None and (valid_for < DAY_US or valid_for % DAY_US):
        address = ("reliance", "valid_for")
        yield _at(
            "programme.yaml", address, "validity-impossible", "expected whole days, 1 d or more", "such as '180 d'"
        )
    for position, profile in enumerate(declared.tests.profiles):
        yield from _profile(("profiles", position), profile)
    for position, environment in enumerate(declared.environments.environments):
        yield from _environment(("environments", position), environment)


def _profile(address: Address, profile: Profile) -> Iterator[Disagreement]:
    yield from _duration("tests.yaml", (*address, "duration"), profile.duration)
    if profile.timeout > LONGEST_US:
        yield _at("tests.yaml", (*address, "timeout"), "timeout-long", "expected 31 d or less", _UNIT)


def _environment(address: Address, environment: Environment) -> Iterator[Disagreement]:
    for kind, duration in environment.durations.items():
        yield from _duration("environments.yaml", (*address, "durations", kind.value), duration)
    for name, factor in environment.rates.items():
        if factor > RATES[1] or 0 < factor < RATES[0]:
            message = f"expected a factor on the target rate from {RATES[0]:f} to {RATES[1]}, found {factor:f}"
            place = (*address, "rates", name)
            yield _at("environments.yaml", place, "rate-impossible", message, "1 offers what the volume model says")


_UNIT = "look at the unit: us, ms, s, min, h or d"


def _duration(file: str, address: Address, duration: int) -> Iterator[Disagreement]:
    if duration < SHORTEST_US:
        yield _at(file, address, "duration-short", "expected a test, or a step of one, of 1 s or more", _UNIT)
    if duration > LONGEST_US:
        yield _at(file, address, "duration-long", "expected a test, or a step of one, of 31 d or less", _UNIT)


def _at(file: str, address: Address, code: str, message: str, hint: str) -> Disagreement:
    return Disagreement(file=file, address=address, code=code, message=message, hint=hint)
