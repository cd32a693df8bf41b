"""Whether declarations of the right shape agree with each other.

Pure: where a declaration stands is known to `catalog.reading`.
"""

from collections.abc import Iterator

from catalog.agreement.bounds import bound_disagreements
from catalog.agreement.conduct import conduct_disagreements
from catalog.agreement.days import day_disagreements
from catalog.agreement.environments import environment_disagreements
from catalog.agreement.forecasts import forecast_disagreements
from catalog.agreement.governance import governance_disagreements
from catalog.agreement.injectors import injector_disagreements
from catalog.agreement.links import link_disagreements
from catalog.agreement.material import Declarations, Disagreement
from catalog.agreement.names import name_disagreements
from catalog.agreement.paths import path_disagreements
from catalog.agreement.plans import plan_disagreements
from catalog.agreement.requirements import requirement_disagreements
from catalog.agreement.volumes import volume_disagreements

__all__ = ["Declarations", "Disagreement", "disagreements"]


def disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything in which the declarations contradict each other, or that cannot be so."""
    yield from name_disagreements(declared)
    yield from path_disagreements(declared)
    yield from link_disagreements(declared)
    yield from volume_disagreements(declared)
    yield from day_disagreements(declared)
    yield from forecast_disagreements(declared)
    yield from requirement_disagreements(declared)
    yield from plan_disagreements(declared)
    yield from conduct_disagreements(declared)
    yield from environment_disagreements(declared)
    yield from injector_disagreements(declared)
    yield from bound_disagreements(declared)
    yield from governance_disagreements(declared)
