"""Environments that extend others, with what they extend filled in."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from catalog.declarations import Environment


def filled_in(environments: Iterable[Environment]) -> dict[str, Environment]:
    """Each environment by its id, with everything that it inherits.

    What an environment states itself wins; mappings are merged key by key, at every depth. An environment is left
    out when what it extends does not exist, or extends it in turn.
    """
    declared = {environment.id: environment for environment in environments}
    full: dict[str, Environment] = {}
    visited: set[str] = set()
    for environment in declared.values():
        chain = _chain(environment, declared, visited)
        visited.update(link.id for link in chain)
        for link in reversed(chain):
            if link.extends is None:
                full[link.id] = link
            elif link.extends in full:
                full[link.id] = Environment.model_validate(_merged(_stated(full[link.extends]), _stated(link)))
    return full


def _chain(environment: Environment, declared: Mapping[str, Environment], visited: Container[str]) -> list[Environment]:
    """The environment, what it extends, what that extends…: up to one that was visited, or comes again."""
    chain: dict[str, Environment] = {}
    following: Environment | None = environment
    while following is not None and following.id not in visited and following.id not in chain:
        chain[following.id] = following
        following = declared.get(following.extends) if following.extends else None
    return list(chain.values())


def _stated(environment: Environment) -> dict[str, Any]:
    return environment.model_dump(exclude_unset=True)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged
