"""What measuring depends on beside a run's own tables: target times of requirements, and the group of each SRV."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog import rules
from catalog.declarations import Programme
from catalog.keys import stage_key
from catalog.ledger import Record

ROLES = ("run", "results", "infrastructure")
"""The outputs of an execution that its measurements are computed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`withins`: target times of service levels, in microseconds. `groups`: SRV to the group that it belongs to."""

    withins: tuple[int, ...]
    groups: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """As they stand in the key of a measurement."""
        return {"withins": list(self.withins), "groups": dict(self.groups)}


def settings(programme: Programme) -> Settings:
    """The settings that a programme's requirements and volume model ask for."""
    withins = {requirement.within for requirement in programme.requirements if requirement.within}
    groups = {each.srv: group.id for group in programme.volumes.groups for each in group.srvs}
    return Settings(withins=tuple(sorted(withins)), groups=groups)


def measurement_inputs(executed: Record) -> dict[str, str]:
    """The artefacts that an execution's measurements are computed from, by role."""
    return {role: digest for role in ROLES if (digest := executed.output(role))}


def measurement_key(executed: Record, wanted: Settings) -> dict[str, Any]:
    """The key document of an execution's measurements."""
    named = {role: {"digest": digest} for role, digest in measurement_inputs(executed).items()}
    return stage_key("measure", rules=rules.MEASURE, inputs={**named, **wanted.as_json()})
