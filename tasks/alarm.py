"""Tells, while a test runs, of the first sample beyond the limit of each infrastructure requirement in force for it.

One sample breaches no requirement on a 95th percentile, so this is no incident: it is for whoever can look while there
is something to see. What was breached is told by the measurement of the whole run (`tasks.incidents`).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from catalog.declarations import METRICS, Direction, Programme, Requirement, TestType
from tasks.measures.resources import sampled_as
from tasks.sample import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A sample beyond a requirement's limit. `value`, `limit`: in `unit`; `at_us`: microseconds since the epoch."""

    requirement: str
    metric: str
    value: int
    limit: int
    unit: str
    at_us: int


Tell = Callable[[Crossing], object]
"""Takes a crossing, and does not wait: the next sample is due."""


def in_force(programme: Programme, role: str, kind: TestType) -> list[Requirement]:
    """The infrastructure requirements that a test of that type is held to, on a component of that role."""
    return [
        each
        for each in programme.requirements
        if sampled_as(each.metric) and role in each.scope.roles and kind in each.scope.types
    ]


class Alarm:
    """Takes the samples of a run as they come, of whatever; those of the component under test are looked at.

    Where a component has several parts, each sample is looked at by itself: their sum is beyond whenever one is.
    """

    def __init__(self, component: str, requirements: list[Requirement], tell: Tell) -> None:
        self._component, self._tell = component, tell
        self._told: set[str] = set()
        self._limits: dict[str, list[tuple[Requirement, int]]] = defaultdict(list)
        for each in requirements:
            sampled = sampled_as(each.metric)
            if sampled and METRICS[each.metric][1] is Direction.AT_MOST:
                self._limits[sampled[0]].append((each, sampled[1]))

    def __call__(self, sample: Sample) -> None:
        """Tells of a sample that is the first beyond a limit."""
        if sample.component != self._component:
            return
        for requirement, factor in self._limits.get(sample.metric, ()):
            value, limit = sample.value * factor, requirement.limit
            if value > limit.value and requirement.id not in self._told:
                self._told.add(requirement.id)
                self._tell(
                    Crossing(
                        requirement=requirement.id,
                        metric=requirement.metric.value,
                        value=value,
                        limit=limit.value,
                        unit=str(limit.unit),
                        at_us=sample.at_us,
                    )
                )
