"""The declaration of one emulated component, and its form as a JSON document.

Instants (`begins_us`, `at_us`) and the first pause count from the first message that the component receives, not from
the start of its process, so that a test decides when they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from itertools import pairwise
from typing import Any, Self

from tasks.codecs import Flaw, codec_named

ANYBODY = ""
"""In `receivers`: every originator that is not named."""

_MILLION = 1_000_000
_LONGEST_US = 366 * 86_400 * _MILLION


class ServiceDistribution(StrEnum):
    """How service times spread around the declared mean."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"
    UNIFORM = "uniform"


class Overload(StrEnum):
    """What a message meets that finds `queue_limit` others waiting."""

    QUEUE = "queue"
    REJECT = "reject"
    COLLAPSE = "collapse"


class OutageAnswer(StrEnum):
    """What a message gets during an outage: a connection that ends, HTTP status 503, or nothing until it is over."""

    REFUSED = "refused"
    UNAVAILABLE = "503"
    SILENCE = "silence"


class OutageQueue(StrEnum):
    """What becomes of the messages in hand when an outage begins: served after it, or answered as it answers."""

    KEPT = "kept"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """All work stands still for `length_us`, every `every_us` from one beginning to the next."""

    every_us: int
    length_us: int

    def __post_init__(self) -> None:
        if not (_within(self.every_us, 1, _LONGEST_US) and _within(self.length_us, 1, self.every_us - 1)):
            raise ValueError("a pause must last, and be shorter than the time from one to the next")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart:
    """Service times are multiplied by a factor that falls evenly from `factor_ppm` to 1 within `length_us`."""

    length_us: int
    factor_ppm: int

    def __post_init__(self) -> None:
        if not (_within(self.length_us, 1, _LONGEST_US) and _within(self.factor_ppm, _MILLION, 1_000 * _MILLION)):
            raise ValueError("a slow start must last, its factor lie in 1..1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time without service."""

    begins_us: int
    length_us: int
    answers: OutageAnswer = OutageAnswer.REFUSED
    queue: OutageQueue = OutageQueue.KEPT

    def __post_init__(self) -> None:
        if not (_within(self.begins_us, 0, _LONGEST_US) and _within(self.length_us, 1, _LONGEST_US)):
            raise ValueError("an outage must begin after the start, and last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """From `at_us` on there are `workers`."""

    at_us: int
    workers: int

    def __post_init__(self) -> None:
        if not (_within(self.at_us, 0, _LONGEST_US) and _within(self.workers, 1, _MILLION)):
            raise ValueError("scaling must be after the start, to at least 1 worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSpec:
    """One component. A dataclass, not a pydantic model: its process must start at once, and pydantic takes 0.15 s.

    `workers` serve first come, first served, `service_us` each (the mean, if it is spread; `spread_us` is a lognormal
    one's standard deviation, or how far a uniform one goes to either side); 0 workers are as many as there are
    messages, so that 0 workers and 0 µs make a stand-in that answers at once. `max_connections` 0 and `queue_limit` 0
    are no limits. `refuses` are the flaws that it recognises. `routes` names, for each message path it takes part in,
    the next hop: a component id or a base URL; null where it is the last. `next_codec` is the codec spoken there.
    `port` 0 is any free one. `hop_connections` bounds the connections to one next hop.

    `acknowledges` are the paths on which it acknowledges a request once it has served it, and sends the response later,
    to the receive service of whoever asked. `receivers` names these: `http://` base URLs by originator (`ANYBODY`: of
    all others). A request from one who has none is answered at once. `deliveries` bounds what is in hand,
    `delivery_tries` how often each is tried, `delivery_us` how long a try may take. `alert_permille` of the messages
    served make it raise an alert of its own to their originator. `wrapping` names the elements that responses on a
    path, and alerts to a user, are wrapped in.

    Raises ValueError when the numbers make no sense.
    """

    component: str
    host: str = "127.0.0.1"
    port: int = 0
    codec: str = "plain"
    seed: int = 1
    workers: int = 0
    service_us: int = 0
    service_distribution: ServiceDistribution = ServiceDistribution.CONSTANT
    spread_us: int = 0
    error_permille: int = 0
    leak_bytes_per_message: int = 0
    max_connections: int = 0
    overload: Overload = Overload.QUEUE
    queue_limit: int = 0
    pause: Pause | None = None
    slow_start: SlowStart | None = None
    outages: tuple[Outage, ...] = ()
    scaling: tuple[Scaling, ...] = ()
    refuses: tuple[Flaw, ...] = tuple(Flaw)
    routes: Mapping[str, str | None] = field(default_factory=dict)
    next_codec: Mapping[str, str] = field(default_factory=dict)
    hop_connections: int = 512
    acknowledges: tuple[str, ...] = ()
    receivers: Mapping[str, str] = field(default_factory=dict)
    deliveries: int = 100_000
    delivery_tries: int = 3
    delivery_us: int = 10 * _MILLION
    alert_permille: int = 0
    wrapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = [*self._out_of_range(), *self._impossible()]
        if faults:
            raise ValueError(f"component {self.component!r}: " + "; ".join(faults))
        for name in (self.codec, *self.next_codec.values()):
            codec_named(name)

    def as_json(self) -> dict[str, Any]:
        """The document that a component's process is started with."""
        mappings = {name: dict(getattr(self, name)) for name in ("routes", "next_codec", "receivers", "wrapping")}
        return asdict(self) | mappings

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The declaration in such a document; ValueError for keys it does not know and values that make no sense."""
        unknown = sorted(document.keys() - {each.name for each in fields(cls)})
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        try:
            return cls(**{**document, **_read(document)})
        except TypeError as error:
            raise ValueError(f"not a component: {error}") from error

    def _out_of_range(self) -> list[str]:
        limits = (
            ("port", 65_535),
            ("workers", _MILLION),
            ("service_us", 3_600 * _MILLION),
            ("spread_us", 3_600 * _MILLION),
            ("error_permille", 1000),
            ("alert_permille", 1000),
            ("max_connections", _MILLION),
            ("queue_limit", 1_000 * _MILLION),
        )
        given = ((name, getattr(self, name), most) for name, most in limits)
        return [
            f"{name} must be a whole number in 0..{most}" for name, value, most in given if not _within(value, 0, most)
        ]

    def _impossible(self) -> list[str]:
        uniform = self.service_distribution is ServiceDistribution.UNIFORM
        ends = [(outage.begins_us, outage.begins_us + outage.length_us) for outage in self.outages]
        instants = [step.at_us for step in self.scaling]
        checks = (
            (
                self.leak_bytes_per_message < 0 or self.hop_connections < 1,
                "leak_bytes_per_message must be at least 0, hop_connections at least 1",
            ),
            (
                min(self.deliveries, self.delivery_tries, self.delivery_us) < 1,
                "deliveries, delivery_tries and delivery_us must be at least 1",
            ),
            (
                not {*self.acknowledges, *self.wrapping} <= self.routes.keys(),
                "acknowledges and wrapping must name paths that it takes part in",
            ),
            (
                not all(url.startswith("http://") for url in self.receivers.values()),
                "receivers must be http:// URLs",
            ),
            (not self.component or not self.routes, "component must have a name, and routes at least one path"),
            (uniform and self.spread_us > self.service_us, "a uniform spread must not exceed the service time"),
            (
                (self.overload is not Overload.QUEUE) != (self.queue_limit > 0),
                "queue_limit goes with an overload that rejects or collapses, and only with one",
            ),
            (any(end > begin for (_, end), (begin, _) in pairwise(ends)), "outages must follow one another"),
            (any(later <= sooner for sooner, later in pairwise(instants)), "scaling must be in order of its instants"),
            (
                not self.workers and bool(self.queue_limit or self.scaling),
                "without workers there is no queue to limit and nothing to scale",
            ),
        )
        return [fault for is_so, fault in checks if is_so]


def _within(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and least <= value <= most


def _read(document: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a document that are more than JSON: enums, and declarations of their own."""
    readers: dict[str, Callable[[Any], Any]] = {
        "service_distribution": ServiceDistribution,
        "overload": Overload,
        "pause": lambda each: Pause(**each) if each is not None else None,
        "slow_start": lambda each: SlowStart(**each) if each is not None else None,
        "outages": lambda several: tuple(_outage(each) for each in several),
        "scaling": lambda several: tuple(Scaling(**each) for each in several),
        "refuses": lambda several: tuple(Flaw(each) for each in several),
        "acknowledges": tuple,
        "wrapping": lambda by_path: {path: tuple(names) for path, names in by_path.items()},
    }
    return {name: read(document[name]) for name, read in readers.items() if name in document}


def _outage(document: Mapping[str, Any]) -> Outage:
    answers = OutageAnswer(document.get("answers", OutageAnswer.REFUSED))
    queue = OutageQueue(document.get("queue", OutageQueue.KEPT))
    return Outage(**{**document, "answers": answers, "queue": queue})
