"""What changed between two volume models, and why: each changed input with what it alone would have changed.

Two models are compared at the peak window's requests and alerts. Inputs are changed one at a time from the old model,
so what several bring together is told apart: the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

from catalog.declarations import Programme
from catalog.keys import differences
from tasks.volumes.days import Day
from tasks.volumes.model import VolumeModel, model_phase
from tasks.volumes.sensitivity import window_messages
from tasks.volumes.streams import Number, Values, declared_values

_STRUCTURE = ("groups", "traffic", "migration", "profiles", "calendar", "own_messages", "cohorts", "peak_window")
"""What else in volumes.yaml messages depend on: named where it differs, without a figure of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two models: a phase of a programme, as it was declared then."""

    name: str
    programme: Programme
    model: VolumeModel

    @classmethod
    def of(cls, name: str, programme: Programme, phase: str) -> "Side":
        """The model of a phase of a programme."""
        return cls(name=name, programme=programme, model=model_phase(programme, phase))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A component's messages offered in the window, before and after."""

    component: str
    old: int
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A changed input. `alone`: messages of the window, over all components, that it alone adds to the old model."""

    input: str
    old: str
    new: str
    alone: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that changed. `together`: messages that the causes add together, beyond what each adds alone."""

    old: str
    new: str
    moved: tuple[Moved, ...]
    causes: tuple[Cause, ...]
    together: int

    def as_json(self) -> dict[str, Any]:
        """The comparison as `volumes --compare --json` gives it."""
        return {
            "old": self.old,
            "new": self.new,
            "components": [{"component": each.component, "old": each.old, "new": each.new} for each in self.moved],
            "causes": [
                {"input": each.input, "old": each.old, "new": each.new, "alone": each.alone} for each in self.causes
            ],
            "together": self.together,
        }


def compare(old: Side, new: Side) -> Comparison:
    """What changed from one model to another, causes from the largest."""
    before, after = (
        window_messages(side.programme, side.model.day, declared_values(side.programme)) for side in (old, new)
    )
    names = [each.id for each in new.programme.system.components]
    names += [each.id for each in old.programme.system.components if each.id not in names]
    tested = [name for name in names if name in before or name in after]
    causes = sorted(_causes(old, new), key=lambda cause: (-abs(cause.alone or 0), cause.input))
    change = sum(after.values()) - sum(before.values())
    return Comparison(
        old=old.name,
        new=new.name,
        moved=tuple(
            Moved(component=name, old=round(before.get(name, 0)), new=round(after.get(name, 0))) for name in tested
        ),
        causes=tuple(causes),
        together=round(change) - sum(cause.alone or 0 for cause in causes),
    )


def _causes(old: Side, new: Side) -> Iterator[Cause]:
    base = _total(old, old.model.day, declared_values(old.programme))
    yield from _counted(old, new, base, "meters", old.model.day.meters, new.model.day.meters)
    yield from _counted(old, new, base, "migrations", old.model.day.migrations, new.model.day.migrations)
    yield from _effects(old, new, base)
    yield from _assumed(old, new, base)
    yield from _structure(old.programme, new.programme)


def _total(side: Side, day: Day, values: Values) -> Number:
    return sum(window_messages(side.programme, day, values).values(), start=Fraction(0))


def _counted(
    old: Side, new: Side, base: Number, name: str, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[Cause]:
    """Meters, or installations a day, of each cohort that both models know."""
    values = declared_values(old.programme)
    titles = {cohort.id for cohort in old.programme.volumes.cohorts} & {
        cohort.id for cohort in new.programme.volumes.cohorts
    }
    for cohort in sorted(titles):
        was, now = before.get(cohort, 0), after.get(cohort, 0)
        if was != now:
            counted: dict[str, Any] = {name: {**before, cohort: now}}
            alone = _total(old, replace(old.model.day, **counted), values) - base
            yield Cause(input=f"{name} of {cohort}", old=f"{was:,}", new=f"{now:,}", alone=round(alone))


def _effects(old: Side, new: Side, base: Number) -> Iterator[Cause]:
    was, now = old.model.day.effects, new.model.day.effects
    if was != now:
        known = {effect.id for effect in old.programme.volumes.calendar}
        day = replace(old.model.day, effects=tuple(each for each in now if each in known))
        alone = _total(old, day, declared_values(old.programme)) - base
        named = (_named(old.model.day.date, was), _named(new.model.day.date, now))
        yield Cause(input="busiest day", old=named[0], new=named[1], alone=round(alone))


def _named(day: date, effects: tuple[str, ...]) -> str:
    return f"{day.isoformat()} ({', '.join(effects) or 'an ordinary day'})"


def _assumed(old: Side, new: Side, base: Number) -> Iterator[Cause]:
    """Assumptions whose value changed, and that both models know."""
    before, after = ({each.id: each for each in side.programme.assumptions} for side in (old, new))
    values = declared_values(old.programme)
    for name in before:
        if name in after and before[name].value != after[name].value:
            now = Fraction(after[name].value)
            alone = _total(old, old.model.day, _with(values, name, now)) - base
            written = format(before[name].value, "f"), format(after[name].value, "f")
            yield Cause(input=name, old=written[0], new=written[1], alone=round(alone))


def _with(values: Values, moved: str, now: Fraction) -> Values:
    return lambda name: now if name == moved else values(name)


def _structure(old: Programme, new: Programme) -> Iterator[Cause]:
    """What else differs: named, without a figure."""
    documents = [
        {**{name: dumped["volumes"][name] for name in _STRUCTURE}, "message_paths": dumped["system"]["message_paths"]}
        for dumped in (programme.model_dump(mode="json", by_alias=True) for programme in (old, new))
    ]
    for each in differences(*documents):
        yield Cause(input=each.input, old=str(each.old), new=str(each.new), alone=None)
