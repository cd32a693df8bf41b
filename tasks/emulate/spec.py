"""The declaration of one emulated component, and its form as a JSON document."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from tasks.codecs import codec_named


class ServiceDistribution(StrEnum):
    """How service times spread around the declared mean."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSpec:
    """One component. A dataclass, not a pydantic model: its process must start at once, and pydantic takes 0.15 s.

    `workers` serve first come, first served, `service_us` each (the mean, if exponential); 0 workers are as many as
    there are messages, so that 0 workers and 0 µs make a stand-in that answers at once. `routes` names, for each
    message path it takes part in, the next hop: a component id or a base URL; null where it is the last. `next_codec`
    is the codec spoken there. `port` 0 is any free one. `hop_connections` bounds the connections to one next hop.
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
    error_permille: int = 0
    leak_bytes_per_message: int = 0
    routes: Mapping[str, str | None] = field(default_factory=dict)
    next_codec: Mapping[str, str] = field(default_factory=dict)
    hop_connections: int = 512

    def __post_init__(self) -> None:
        limits = (("port", 65_535), ("workers", 1_000_000), ("service_us", 3_600_000_000), ("error_permille", 1000))
        given = ((name, getattr(self, name), most) for name, most in limits)
        faults = [
            f"{name} must be a whole number in 0..{most}"
            for name, value, most in given
            if not isinstance(value, int) or not 0 <= value <= most
        ]
        if self.leak_bytes_per_message < 0 or self.hop_connections < 1:
            faults.append("leak_bytes_per_message must be at least 0, hop_connections at least 1")
        if not self.component or not self.routes:
            faults.append("component must have a name, and routes at least one path")
        if faults:
            raise ValueError(f"component {self.component!r}: " + "; ".join(faults))
        for name in (self.codec, *self.next_codec.values()):
            codec_named(name)

    def as_json(self) -> dict[str, Any]:
        """The document that a component's process is started with."""
        return asdict(self) | {"routes": dict(self.routes), "next_codec": dict(self.next_codec)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The declaration in such a document; ValueError for keys it does not know and values that make no sense."""
        unknown = sorted(document.keys() - {each.name for each in fields(cls)})
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        try:
            distribution = ServiceDistribution(document.get("service_distribution", ServiceDistribution.CONSTANT))
            return cls(**{**document, "service_distribution": distribution})
        except TypeError as error:
            raise ValueError(f"not a component: {error}") from error
