"""What the checks work on, what they yield, and the check that all of them share: is a name known?"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from catalog.declarations import (
    AssumptionsFile,
    EnvironmentsFile,
    Forecast,
    GovernanceFile,
    MigrationPlan,
    ObservedVolume,
    ProgrammeFile,
    RequirementsFile,
    ScopeFile,
    ServiceReferenceVariant,
    SystemFile,
    TestsFile,
    VolumesFile,
)
from catalog.hints import did_you_mean
from catalog.places import Address

FORECASTS = "forecasts"
SRV_REGISTER = "srv_register"
MIGRATION_PLANS = "migration_plans"
OBSERVED_VOLUMES = "observed_volumes"
"""How disagreements name the CSV files, whatever volumes.yaml calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Every file of a catalogue, each of the right shape. Environments are as declared: nothing is filled in."""

    programme: ProgrammeFile
    system: SystemFile
    scope: ScopeFile
    assumptions: AssumptionsFile
    volumes: VolumesFile
    requirements: RequirementsFile
    tests: TestsFile
    environments: EnvironmentsFile
    governance: GovernanceFile
    forecasts: tuple[Forecast, ...]
    srv_register: tuple[ServiceReferenceVariant, ...]
    migration_plans: tuple[MigrationPlan, ...] | None
    observed_volumes: tuple[ObservedVolume, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One thing that cannot be so. `file`: one of FILES, or a CSV file's name above; `address`: where in that file."""

    file: str
    address: Address
    code: str
    message: str
    hint: str = ""
    at_key: bool = False


def unknown(
    file: str, address: Address, name: str, known: Collection[str], what: str, *, at_key: bool = False
) -> Iterator[Disagreement]:
    """A disagreement, code `unknown-WHAT`, unless `name` is among the `known` ones."""
    if name not in known:
        code = f"unknown-{what.replace(' ', '-')}"
        message = f"there is no {what} '{name}'"
        hint = did_you_mean(name, known)
        yield Disagreement(file=file, address=address, code=code, message=message, hint=hint, at_key=at_key)


def unknown_any(
    file: str, address: Address, names: Iterable[str], known: Collection[str], what: str
) -> Iterator[Disagreement]:
    """`unknown` for each of the names in the list at `address`."""
    for position, name in enumerate(names):
        yield from unknown(file, (*address, position), name, known, what)
