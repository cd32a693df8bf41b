"""Generates arrivals: the exact messages that a test will offer, and when each is due.

Arrivals of a Poisson process, conditioned on the volume's count: given how many messages fall into a window, their
times are independent and uniform over it (Ross, Introduction to Probability Models, theorem 5.2), so every target is
offered to the message while gaps stay as irregular as real traffic. Evenly spaced and bursty ones keep the count too.
Arrivals are streamed: a test of any length takes the memory of one batch. How they are drawn is told in `tasks.draw`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

from catalog.apportion import apportion
from catalog.canonical import digest
from catalog.declarations import ArrivalsShape, MessageKind
from tasks.codecs import Flaw
from tasks.draw.estate import devices_needed, slices
from tasks.labels import parted, with_flaw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERATOR = "exact halving of the window, words of numpy PCG64"
"""What draws arrivals; it stands in the key of every execution."""

MILLION = 1_000_000

POISSON = ArrivalsShape()
"""What is offered unless another shape is declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is to be offered: `messages` per `path|srv|kind` over a window, in a declared shape, to an estate.

    `estate`: how many devices there are. `hold_us`: how long one may be busy with a message, in microseconds; it is not
    asked again before. `released`: messages that all are due at the start, before any other, such as the demand that an
    outage left behind; on top of `messages`.
    """

    messages: dict[str, int]
    window_us: int
    seed: int
    shape: ArrivalsShape = POISSON
    estate: int = 10_000_000
    hold_us: int = 0
    released: dict[str, int] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label (see `tasks.labels`), in order."""
        return tuple(sorted(self.messages.keys() | self.released.keys()))

    @property
    def by_path(self) -> dict[str, int]:
        """Messages per path, in order."""
        coming, released = self._per_path(self.messages), self._per_path(self.released)
        return {path: coming[path] + released[path] for path in coming}

    @property
    def devices_needed(self) -> dict[str, int]:
        """How many devices each path needs so that none is asked again while it may be busy."""
        coming, released = self._per_path(self.messages), self._per_path(self.released)
        needed = devices_needed(coming, self.shape, window_us=self.window_us, hold_us=self.hold_us)
        return {path: needed[path] + released[path] for path in needed}

    def _per_path(self, messages: Mapping[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for label in self.labels:
            path = parted(label)[0]
            found[path] = found.get(path, 0) + messages.get(label, 0)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Messages in the order in which they are due. Columns of equal length; offsets in microseconds from the start.

    `label` holds `path|srv|kind` as an index into `labels`; `device` a number below the estate. Messages are numbered
    from `first` on, in steps of `every`.
    """

    offset_us: "NDArray[np.int64]"
    label: "NDArray[np.int64]"
    device: "NDArray[np.int64]"
    labels: tuple[str, ...]
    window_us: int
    first: int = 0
    every: int = 1

    def __len__(self) -> int:
        return len(self.offset_us)

    @property
    def sequence(self) -> "NDArray[np.int64]":
        """The number of each message among all that are offered, from 0."""
        import numpy as np

        return self.first + self.every * np.arange(len(self), dtype=np.int64)


def messages_to_offer(
    target: dict[str, int], *, target_us: int, rate: Fraction, offered_us: int | Fraction
) -> dict[str, int]:
    """Whole messages per `path|srv|kind` for a window of `offered_us`, at `rate` times the target's rate.

    The target holds messages per `target_us`. The total is rounded once (half to even) and apportioned by largest
    remainder, so that the mix of the target is kept as closely as whole messages allow.
    """
    total = round(sum(target.values()) * rate * Fraction(offered_us) / target_us)
    return dict(zip(target, apportion(total, list(target.values())), strict=True))


def offered_messages(key: dict[str, Any], *, multiple: Fraction = Fraction(1)) -> dict[str, int]:
    """Whole messages by label that an execution under this key offers at a multiple of its target volume.

    Invalid requests come on top, as a share of the requests that are right. What is released at the start is not here.
    """
    inputs = key["inputs"]
    right = messages_to_offer(
        inputs["volumes"]["messages"],
        target_us=inputs["volumes"]["window_us"],
        rate=multiple * Fraction(inputs["factors"]["rate"]),
        offered_us=inputs["offered_us"],
    )
    return right | _invalid(right, inputs["test"]["definition"].get("invalid") or {})


def released_messages(key: dict[str, Any]) -> dict[str, int]:
    """Whole messages by label that are due at once at the start: the demand that a declared outage left behind."""
    inputs = key["inputs"]
    if "outage" not in inputs:
        return {}
    left = inputs["outage"]
    return messages_to_offer(
        inputs["volumes"]["messages"],
        target_us=inputs["volumes"]["window_us"],
        rate=Fraction(left["kept"]) * Fraction(inputs["factors"]["rate"]),
        offered_us=left["length_us"] / Fraction(inputs["factors"]["compression"]),
    )


def _invalid(right: Mapping[str, int], shares: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Invalid requests of each declared kind, in the mix of those that are right."""
    requests = {label: count for label, count in right.items() if parted(label)[2] == MessageKind.REQUEST}
    found: dict[str, int] = {}
    for flaw, share in sorted(shares.items()):
        wanted = round(Fraction(sum(requests.values()) * share["value"], MILLION))
        for label, count in zip(requests, apportion(wanted, list(requests.values())), strict=True):
            name = with_flaw(label, Flaw(flaw))
            found[name] = found.get(name, 0) + count
    return found


def offer_of(key: dict[str, Any], *, multiple: Fraction = Fraction(1), step: int = 0) -> Offer:
    """What an execution under this key offers: in the whole test, or in one step (from 0) of a rising one."""
    drawn = key["inputs"]["arrivals"]
    return Offer(
        messages=offered_messages(key, multiple=multiple),
        window_us=key["inputs"]["offered_us"],
        seed=seed_for(drawn["seed"], step),
        shape=ArrivalsShape.model_validate(drawn["shape"]),
        estate=drawn["estate"],
        hold_us=drawn["hold_us"],
        released=released_messages(key),
    )


def arrivals_of(key: dict[str, Any], *, multiple: Fraction = Fraction(1), step: int = 0) -> Arrivals:
    """All arrivals of an execution under this key at once: of a test that is short."""
    offer = offer_of(key, multiple=multiple, step=step)
    return collected(offer, stream_arrivals(offer))


def stream_arrivals(offer: Offer, *, shard: tuple[int, int] = (0, 1)) -> Iterator[Arrivals]:
    """The arrivals of an offer, batch by batch, the same from the same seed on every machine.

    `shard`: the k-th (from 0) of so many parts, which between them offer each message once and what one would: every
    part draws all, and keeps those messages whose number leaves k.
    """
    from tasks.draw.devices import Dealer
    from tasks.draw.due import due, released

    kept, of = shard
    labels, paths = offer.labels, list(offer.by_path)
    owned = slices(offer.by_path, offer.devices_needed, offer.estate)
    dealer = Dealer([paths.index(parted(label)[0]) for label in labels], list(owned.values()), offer.seed)
    at_once, coming = ([each.get(label, 0) for label in labels] for each in (offer.released, offer.messages))
    first = 0
    for offsets, which in chain(
        released(at_once), due(offer.shape, coming, window_us=offer.window_us, seed=offer.seed)
    ):
        skipped = (kept - first) % of
        yield Arrivals(
            offset_us=offsets[skipped::of],
            label=which[skipped::of],
            device=dealer.deal(which)[skipped::of],
            labels=labels,
            window_us=offer.window_us,
            first=first + skipped,
            every=of,
        )
        first += len(offsets)


def collected(offer: Offer, batches: Iterable[Arrivals]) -> Arrivals:
    """Batches of an offer's stream that follow each other, as one."""
    import numpy as np

    found = list(batches)

    def whole(name: str) -> "NDArray[np.int64]":
        return np.concatenate([np.zeros(0, dtype=np.int64), *(getattr(each, name) for each in found)])

    return Arrivals(
        offset_us=whole("offset_us"),
        label=whole("label"),
        device=whole("device"),
        labels=offer.labels,
        window_us=offer.window_us,
        first=found[0].first if found else 0,
        every=found[0].every if found else 1,
    )


def seed_for(*parts: str | int) -> int:
    """A seed that depends on nothing but `parts`: the first 4 bytes of their SHA-256."""
    return int(digest("\n".join(map(str, parts)).encode())[:8], 16)
