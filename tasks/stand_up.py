"""Stands up the emulated system that an environment declares: for one test, or all of it along the message paths."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from catalog.declarations import (
    PLAIN,
    Answers,
    CapacityPlan,
    CohortOfMeters,
    Component,
    Emulated,
    Environment,
    MessageKind,
    MessagePath,
    Programme,
)
from catalog.declarations import Scaling as Change
from tasks.codecs import Flaw
from tasks.emulate.spec import (
    ANYBODY,
    ComponentSpec,
    Outage,
    OutageAnswer,
    OutageQueue,
    Overload,
    Pause,
    Scaling,
    ServiceDistribution,
    SlowStart,
)
from tasks.volumes.streams import resolve_steps

STAND_INS = "stand-ins"
"""The component id of the process that answers at once for whatever lies beyond the component under test."""


def specs_for_test(
    programme: Programme,
    environment: Environment,
    component: Component,
    paths: Iterable[str],
    emulated: Emulated | None = None,
    *,
    receive: str = "",
) -> list[ComponentSpec]:
    """The processes for a test of one component: itself as declared, and stand-ins for the next hop of each path.

    `emulated`: in place of what the environment declares. A process of stand-ins speaks one codec, so there is one for
    each codec that the next hops speak. `receive` is the URL of the user's receive service: where a component
    acknowledges, responses go there, and so do alerts whose last hop is a user who speaks as the component's other
    users do.
    """
    beyond = codecs_beyond(programme, component, paths)
    codecs = {path: codec for path, codec in beyond.items() if codec}
    received = _received(programme, component, codecs) if receive else set()
    by_codec: dict[str, list[str]] = defaultdict(list)
    for path, codec in codecs.items():
        if path not in received:
            by_codec[codec].append(path)
    routes = {path: _stand_ins(codec) if codec else None for path, codec in beyond.items()}
    under_test = _spec(
        component.id,
        entry_codec(programme, component.id),
        routes=routes | dict.fromkeys(received, receive),
        next_codec=codecs,
        seed=environment.seed,
        emulated=emulated or environment.components[component.id],
        **_responses(programme, component.id, beyond),
        receivers={ANYBODY: receive} if receive else {},
    )
    return [
        under_test,
        *(_stand_in(codec, served, environment.seed) for codec, served in by_codec.items()),
    ]


def _stand_in(codec: str, paths: Iterable[str], seed: int) -> ComponentSpec:
    """Stand-ins judge nothing: what is wrong with a message, the component under test has to find."""
    return replace(_spec(_stand_ins(codec), codec, routes=dict.fromkeys(paths), next_codec={}, seed=seed), refuses=())


def scaled(emulated: Emulated, plan: CapacityPlan, compression: Fraction) -> Emulated:
    """The component with the capacity that a test of scaling gives it, at instants of the compressed test."""
    changes = [
        Change(at=max(1, round(each.at / compression)), workers=_workers(emulated, each.capacity))
        for each in (plan.added, plan.removed)
    ]
    begins_with = _workers(emulated, plan.begins_with)
    return emulated.model_copy(update={"workers": begins_with, "scaling": tuple(changes)})


def _workers(emulated: Emulated, capacity: Decimal) -> int:
    return max(1, round(emulated.workers * capacity))


def specs_for_system(
    programme: Programme, environment: Environment, phase: str, receive: str = ""
) -> list[ComponentSpec]:
    """Every component of a phase's message paths as its own process, wired along them.

    A path's `role:` steps are filled for the first cohort that the phase's own components serve. Components that the
    environment gives no emulation for answer at once. A process speaks one codec on all its interfaces, that of its
    first one inwards, so whoever sends to it speaks that, whatever is declared between the two. `receive` is the URL of
    the users' receive service: without one, everything is answered at once.
    """
    routes: dict[str, dict[str, str | None]] = defaultdict(dict)
    codecs: dict[str, dict[str, str]] = defaultdict(dict)
    for path, steps in _wired_paths(programme, phase):
        for here, there in zip(steps[1:], [*steps[2:], None], strict=True):
            routes[here][path.id] = there
            if there:
                codecs[here][path.id] = entry_codec(programme, there)
    return [
        _spec(
            component,
            entry_codec(programme, component),
            routes=routes[component],
            next_codec=codecs[component],
            seed=environment.seed,
            emulated=environment.components.get(component),
            **_responses(programme, component, routes[component]),
            receivers={ANYBODY: receive} if receive else {},
        )
        for component in sorted(routes)
    ]


def acknowledged_paths(
    programme: Programme, component: Component, emulated: Emulated | None, paths: Iterable[str]
) -> list[str]:
    """The paths on which a component, so emulated, acknowledges requests, and responds later."""
    if emulated is None or emulated.answers is Answers.AT_ONCE:
        return []
    return _acknowledged(programme, component.id, paths)


def responses(
    programme: Programme, environment: Environment, component: Component, paths: Iterable[str]
) -> dict[str, Any]:
    """How a component answers otherwise than at once and in the codec's plain form, as it stands in a key."""
    emulated = None if component.id in environment.entries else environment.components.get(component.id)
    told = {
        "acknowledges": acknowledged_paths(programme, component, emulated, paths),
        "wrapping": {path: list(names) for path, names in _wrapping(programme, paths).items()},
    }
    return {name: value for name, value in told.items() if value}


def entry_codec(programme: Programme, component: str) -> str:
    """The protocol of a component's first declared interface inwards: what is offered to it speaks that."""
    return next((each.protocol for each in programme.system.interfaces if each.to == component), PLAIN)


def codecs_beyond(programme: Programme, component: Component, paths: Iterable[str]) -> dict[str, str | None]:
    """By message path, the protocol of a component's interface to its next hop; None where it is the last."""
    beyond = {path: _beyond(programme, component, path) for path in paths}
    return {path: _codec(programme, component.id, hop) if hop else None for path, hop in beyond.items()}


def _wired_paths(programme: Programme, phase: str) -> Iterable[tuple[MessagePath, list[str]]]:
    served = set(programme.phase(phase).components)
    for path in programme.system.message_paths:
        cohort = next((each for each in programme.volumes.cohorts if _serves(path, each, served, programme)), None)
        if cohort is not None:
            yield path, [step.id for step in resolve_steps(programme, path, cohort)]


def _serves(path: MessagePath, cohort: CohortOfMeters, served: set[str], programme: Programme) -> bool:
    roles = {step.removeprefix("role:") for step in path.steps if step.startswith("role:")}
    filled = {programme.component(name).role for name in cohort.served_by if name in served}
    return roles <= filled


def _beyond(programme: Programme, component: Component, path_id: str) -> str | None:
    """The next hop after the component on a path; a `role:` step beyond it is any component of that role."""
    path = next(each for each in programme.system.message_paths if each.id == path_id)
    names = {component.id, f"role:{component.role}"}
    position = next(index for index, step in enumerate(path.steps) if step in names)
    if position + 1 == len(path.steps):
        return None
    step = path.steps[position + 1]
    if not step.startswith("role:"):
        return step
    return next(each.id for each in programme.system.components if each.role == step.removeprefix("role:"))


def _codec(programme: Programme, here: str, there: str) -> str:
    """The protocol of the interface from here to there; plain where none is declared."""
    declared = ((each.protocol, each.from_, each.to) for each in programme.system.interfaces)
    return next((protocol for protocol, start, end in declared if (start, end) == (here, there)), PLAIN)


def _acknowledged(programme: Programme, component: str, paths: Iterable[str]) -> list[str]:
    known = {each.id: each for each in programme.system.message_paths}
    return sorted(path for path in paths if component in known[path].acknowledged_by)


def _wrapping(programme: Programme, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    known = {each.id: each.responses_wrapped_in for each in programme.system.message_paths}
    return {path: known[path] for path in sorted(paths) if known[path]}


def _received(programme: Programme, component: Component, codecs: Mapping[str, str]) -> set[str]:
    """The paths whose alerts go from the component straight to a user, in the component's own entry protocol."""
    known = {each.id: each for each in programme.system.message_paths}
    names, spoken = {component.id, f"role:{component.role}"}, entry_codec(programme, component.id)
    return {
        path
        for path, codec in codecs.items()
        if codec == spoken and known[path].offers is MessageKind.ALERT and known[path].steps[-2] in names
    }


def _responses(programme: Programme, component: str, paths: Iterable[str]) -> dict[str, Any]:
    return {
        "acknowledges": _acknowledged(programme, component, paths),
        "wrapping": _wrapping(programme, paths),
    }


def _stand_ins(codec: str) -> str:
    return f"{STAND_INS}-{codec}"


def _spec(
    component: str,
    codec: str,
    *,
    routes: dict[str, str | None],
    next_codec: dict[str, str],
    seed: int,
    emulated: Emulated | None = None,
    acknowledges: Sequence[str] = (),
    wrapping: Mapping[str, tuple[str, ...]] | None = None,
    receivers: Mapping[str, str] | None = None,
) -> ComponentSpec:
    return ComponentSpec(
        component=component,
        codec=codec,
        seed=seed,
        routes=routes,
        next_codec=next_codec,
        acknowledges=tuple(acknowledges) if emulated and emulated.answers is Answers.ACKNOWLEDGE else (),
        wrapping=wrapping or {},
        receivers=receivers or {},
        **(_behaviour(emulated) if emulated else {}),
    )


def _behaviour(emulated: Emulated) -> dict[str, Any]:
    """What a declared emulation says, as a `ComponentSpec` has it."""
    return {
        "workers": emulated.workers,
        "service_us": emulated.service,
        "service_distribution": ServiceDistribution(emulated.distribution.value),
        "spread_us": emulated.spread or 0,
        "error_permille": emulated.error_permille,
        "leak_bytes_per_message": emulated.leak_bytes,
        "max_connections": emulated.max_connections or 0,
        "overload": Overload(emulated.overload.value),
        "queue_limit": emulated.queue_limit or 0,
        "refuses": tuple(Flaw(each.value) for each in emulated.refuses),
        "alert_permille": emulated.alert_permille,
        **_timed(emulated),
    }


def _timed(emulated: Emulated) -> dict[str, Any]:
    """What is declared to happen in the course of a test."""
    pause, slow = emulated.pause, emulated.slow_start
    return {
        "pause": pause and Pause(every_us=pause.every, length_us=pause.length),
        "slow_start": slow and SlowStart(length_us=slow.length, factor_ppm=int(slow.factor * 1_000_000)),
        "outages": tuple(
            Outage(
                begins_us=each.begins,
                length_us=each.length,
                answers=OutageAnswer(str(each.answers.value)),
                queue=OutageQueue(each.queue.value),
            )
            for each in emulated.outages
        ),
        "scaling": tuple(Scaling(at_us=each.at, workers=each.workers) for each in emulated.scaling),
    }
