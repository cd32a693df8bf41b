"""Message paths follow the declared interfaces: each step is joined to the next, in the direction of the message."""

from collections.abc import Iterator
from itertools import pairwise

from catalog.agreement.material import Declarations, Disagreement
from catalog.agreement.paths import ROLE
from catalog.declarations import MessagePath
from catalog.routes import routes


def link_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Every step of a message path that no declared interface leads to from the step before it.

    A `role:` step must be joined for every component that fills it for a cohort of a generation with traffic on the
    path. What is at fault otherwise (unknown names, a step twice, a role that none or several fill) is told elsewhere.
    """
    known = {component.id for component in declared.system.components}
    if any({interface.from_, interface.to} - known for interface in declared.system.interfaces):
        return
    joined = {(interface.from_, interface.to) for interface in declared.system.interfaces}
    for position, path in enumerate(declared.system.message_paths):
        filled = [_filled(declared, path, step) for step in path.steps]
        if not _is_sound(declared, path):
            continue
        for index, (starts, ends) in enumerate(pairwise(filled), 1):
            missing = [(start, end) for start in starts for end in ends if (start, end) not in joined]
            for start, end in missing:
                yield Disagreement(
                    file="system.yaml",
                    address=("message_paths", position, "steps", index),
                    code="path-unlinked",
                    message=f"no interface leads from '{start}' to '{end}', which follow each other on '{path.id}'",
                    hint=f"declare an interface with from: {start}, to: {end}; or correct the path",
                )


def _is_sound(declared: Declarations, path: MessagePath) -> bool:
    """Whether every step exists, and none may be passed twice."""
    roles = {component.id: component.role for component in declared.system.components}
    wanted = [step.removeprefix(ROLE) if step.startswith(ROLE) else roles.get(step) for step in path.steps]
    filled = {step.removeprefix(ROLE) for step in path.steps if step.startswith(ROLE)}
    known = all(role in roles.values() for role in wanted)
    return known and len(set(path.steps)) == len(path.steps) and not filled & {roles.get(step) for step in path.steps}


def _filled(declared: Declarations, path: MessagePath, step: str) -> list[str]:
    """The components that a step stands for: itself, or those that serve a cohort whose traffic takes the path."""
    if not step.startswith(ROLE):
        return [step]
    roles = {component.id: component.role for component in declared.system.components}
    generations = {route.generation for route in routes(declared.volumes) if route.path == path.id}
    cohorts = (each.served_by for each in declared.volumes.cohorts if each.generation in generations)
    serving = ([name for name in served if roles.get(name) == step.removeprefix(ROLE)] for served in cohorts)
    return list(dict.fromkeys(names[0] for names in serving if len(names) == 1))
