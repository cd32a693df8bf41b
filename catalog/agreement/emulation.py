"""Emulated components: what is declared for one can be so."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from catalog.declarations import Answers, Emulated, Overload, ServiceDistribution
from catalog.places import Address

_SPREAD = (ServiceDistribution.LOGNORMAL, ServiceDistribution.UNIFORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulationFault:
    """One thing that cannot be so; `address` leads to it from the component."""

    address: Address
    code: str
    message: str
    hint: str

    @property
    def field(self) -> str:
        """The component's key that it stands in."""
        return str(self.address[0])


def emulation_faults(emulated: Emulated) -> Iterator[EmulationFault]:
    """Everything that is wrong with one emulated component, what it inherits filled in."""
    yield from _spread(emulated)
    yield from _overload(emulated)
    yield from _pause(emulated)
    yield from _outages(emulated)
    yield from _scaling(emulated)
    yield from _alerts(emulated)


def _alerts(emulated: Emulated) -> Iterator[EmulationFault]:
    if emulated.alert_permille and emulated.answers is Answers.AT_ONCE:
        message = "a component that answers at once knows of no receive service to raise alerts to"
        yield _fault(("alert_permille",), "alerts-nowhere", message, "add 'answers: acknowledge', or leave it out")


def _fault(address: Address, code: str, message: str, hint: str) -> EmulationFault:
    return EmulationFault(address=address, code=code, message=message, hint=hint)


def _spread(emulated: Emulated) -> Iterator[EmulationFault]:
    kind, spread = emulated.distribution, emulated.spread
    if kind in _SPREAD and spread is None:
        message = f"a {kind} service time has no declared spread"
        yield _fault(("distribution",), "spread-missing", message, "add spread, such as 'spread: 10 ms'")
    elif kind not in _SPREAD and spread is not None:
        message = f"a {kind} service time has no spread of its own"
        yield _fault(("spread",), "spread-unused", message, f"leave it out, or make it {' or '.join(_SPREAD)}")
    elif kind is ServiceDistribution.UNIFORM and (spread or 0) > emulated.service:
        message = "further to either side than the service time is long"
        yield _fault(("spread",), "spread-wide", message, "at most the service time")


def _overload(emulated: Emulated) -> Iterator[EmulationFault]:
    is_limited = emulated.queue_limit is not None
    if emulated.overload is Overload.QUEUE and is_limited:
        message = "nothing happens at the limit of a queue whose overload is 'queue'"
        yield _fault(("queue_limit",), "limit-unused", message, "declare 'overload: reject' or 'overload: collapse'")
    elif emulated.overload is not Overload.QUEUE and not is_limited:
        message = f"'{emulated.overload}' needs to know how many may wait"
        yield _fault(("overload",), "limit-missing", message, "add queue_limit")


def _pause(emulated: Emulated) -> Iterator[EmulationFault]:
    if emulated.pause and emulated.pause.length >= emulated.pause.every:
        message = "as long as the time from one pause to the next: no work would ever be done"
        yield _fault(("pause", "length"), "pause-endless", message, "make it shorter than every")


def _outages(emulated: Emulated) -> Iterator[EmulationFault]:
    for position, (before, after) in enumerate(pairwise(emulated.outages), 1):
        if after.begins < before.begins + before.length:
            message = "begins before the outage above has ended"
            yield _fault(("outages", position, "begins"), "outage-overlap", message, "list outages in order, apart")


def _scaling(emulated: Emulated) -> Iterator[EmulationFault]:
    for position, (before, after) in enumerate(pairwise(emulated.scaling), 1):
        if after.at <= before.at:
            message = "not after the instant above"
            yield _fault(("scaling", position, "at"), "scaling-order", message, "list changes in order of time")
