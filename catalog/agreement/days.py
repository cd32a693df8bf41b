"""The day: periods that cover it once, a peak window of whole periods, profiles that leave nothing without a time."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import pairwise

from catalog.agreement.material import Declarations, Disagreement
from catalog.declarations import MINUTES_A_DAY, DayProfile, minute_of
from catalog.places import Address
from catalog.shown import clock, shown

_MINUTE_US = 60_000_000


def day_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with the hours and the days of volumes.yaml."""
    yield from _periods(declared)
    yield from _window(declared)
    yield from _profiles(declared)
    yield from _spread(declared)
    yield from _calendar(declared)
    yield from _catch_up(declared)


def _at(address: Address, code: str, message: str, hint: str = "") -> Disagreement:
    return Disagreement(file="volumes.yaml", address=address, code=code, message=message, hint=hint)


def _periods(declared: Declarations) -> Iterator[Disagreement]:
    """The periods cover the day, each minute once."""
    stretches = [
        (position, minute_of(each.begins), minute_of(each.ends))
        for position, each in enumerate(declared.volumes.periods)
    ]
    empty = [(position, begins) for position, begins, ends in stretches if begins >= ends]
    for position, begins in empty:
        period = declared.volumes.periods[position]
        message = f"expected a time after {clock(begins)}, found {period.ends}"
        hint = "a period ends on the day that it begins; split one that passes midnight"
        yield _at(("periods", position, "ends"), "period-empty", message, hint)
    if not empty:
        yield from _coverage(sorted(stretches, key=lambda each: each[1:]))


def _coverage(periods: list[tuple[int, int, int]]) -> Iterator[Disagreement]:
    """Gaps and overlaps between midnight and midnight; periods as position, first and last minute, in order."""
    until = 0
    for position, begins, ends in [*periods, (-1, MINUTES_A_DAY, MINUTES_A_DAY)]:
        address = ("periods",) if position < 0 else ("periods", position, "begins")
        if begins > until:
            yield _at(address, "period-gap", f"no period covers the time from {clock(until)} to {clock(begins)}")
        elif begins < until and position >= 0:
            message = f"the time from {clock(begins)} to {clock(min(until, ends))} is covered twice"
            yield _at(address, "period-overlap", message)
        until = max(until, ends)


def _window(declared: Declarations) -> Iterator[Disagreement]:
    """The peak window begins where a period begins, and ends where one ends."""
    volumes = declared.volumes
    begins, ends = volumes.peak_window.begins, volumes.peak_window.ends
    if minute_of(begins) >= minute_of(ends):
        yield _at(("peak_window", "ends"), "window-empty", f"expected a time after {begins}, found {ends}")
        return
    for name, value, known in (
        ("begins", begins, [period.begins for period in volumes.periods]),
        ("ends", ends, [period.ends for period in volumes.periods]),
    ):
        if value not in known:
            message = f"expected a time at which a period {name}: {', '.join(sorted(known))}; found {value}"
            yield _at(("peak_window", name), "window-cuts-period", message, "the window is made of whole periods")


def _profiles(declared: Declarations) -> Iterator[Disagreement]:
    for position, profile in enumerate(declared.volumes.profiles):
        times = [minute_of(point.begins) for point in profile.points]
        for index, (before, after) in enumerate(pairwise(times), 1):
            if after <= before:
                message = f"expected a time after {clock(before)}, found {clock(after)}"
                yield _at(("profiles", position, "points", index, "begins"), "profile-order", message)
        for index, minute in enumerate(times):
            if minute == MINUTES_A_DAY:
                message = "24:00 ends the day: nothing begins then"
                yield _at(("profiles", position, "points", index, "begins"), "profile-order", message)
        if not any(point.rate for point in profile.points):
            message = f"every rate of the profile '{profile.id}' is 0"
            yield _at(("profiles", position, "points"), "profile-empty", message, "give some time a rate above 0")


def _spread(declared: Declarations) -> Iterator[Disagreement]:
    """What falls into the window, and what falls outside it, has a time at which the profile lets it come."""
    volumes = declared.volumes
    values = {assumption.id: assumption.value for assumption in declared.assumptions.assumptions}
    profiles = {profile.id: profile for profile in volumes.profiles}
    begins, ends = minute_of(volumes.peak_window.begins), minute_of(volumes.peak_window.ends)
    if begins >= ends:
        return  # an empty window: that fault says enough
    streams = [(("traffic", position), each) for position, each in enumerate(volumes.traffic)]
    if volumes.migration:
        streams.append((("migration",), volumes.migration))  # type: ignore[arg-type]  # has what is asked for here
    for address, each in streams:
        inside = values.get(each.in_window, Decimal(1))
        within, outside = _weights(profiles.get(each.profile or ""), begins, ends)
        if not within and not outside:
            continue  # a profile without any rate: that fault says enough
        if inside < 1 and not outside:
            message = f"{inside} of the traffic falls into the peak window, and there is no other time for the rest"
            hint = "declare the rest of the day, or a rate above 0 there"
            yield _at((*address, "in_window"), "window-rest", message, hint)
        if inside > 0 and not within:
            message = f"{inside} of the traffic falls into the peak window, where its profile has no rate above 0"
            yield _at((*address, "in_window"), "window-unreached", message, "give the window a rate above 0")


def _weights(profile: DayProfile | None, begins: int, ends: int) -> tuple[bool, bool]:
    """Whether there is a rate above 0 somewhere in the window, and somewhere outside it."""
    if profile is None:
        return True, ends - begins < MINUTES_A_DAY
    times = [minute_of(point.begins) for point in profile.points]
    last = profile.points[-1].rate if times[0] > 0 else None
    stretches = [(0, times[0], last)] if last is not None else []
    stretches += [
        (start, stop, point.rate)
        for start, stop, point in zip(times, [*times[1:], MINUTES_A_DAY], profile.points, strict=True)
    ]
    within = any(rate and start < ends and begins < stop for start, stop, rate in stretches)
    outside = any(rate and (start < begins or stop > ends) for start, stop, rate in stretches)
    return within, outside


def _calendar(declared: Declarations) -> Iterator[Disagreement]:
    for position, effect in enumerate(declared.volumes.calendar):
        if not effect.weekdays and not effect.dates:
            message = f"'{effect.id}' falls on no day"
            yield _at(("calendar", position), "effect-never", message, "give it weekdays, or dates")
        for index, written in enumerate(effect.dates):
            month, day = map(int, written.split("-"))
            try:
                date(2000, month, day)  # a leap year: 02-29 is a day
            except ValueError:
                yield _at(("calendar", position, "dates", index), "no-such-date", f"there is no day {written}")


def _catch_up(declared: Declarations) -> Iterator[Disagreement]:
    for position, each in enumerate(declared.volumes.catch_up):
        for name in ("outage", "cleared_within"):
            length = getattr(each, name)
            if length % _MINUTE_US or length > MINUTES_A_DAY * _MINUTE_US:
                message = f"expected whole minutes, at most a day; found {shown(length, 'us')}"
                yield _at(("catch_up", position, name), "range", message)
