"""Generates arrivals: the exact messages that a test will offer, and when each is due.

Arrivals of a Poisson process, conditioned on the volume's count: given how many messages fall into a window, their
times are independent and uniform over it (Ross, Introduction to Probability Models, theorem 5.2), so every target is
offered to the message while gaps stay as irregular as real traffic. Evenly spaced and bursty ones keep the count too.
Arrivals are streamed: a test of any length takes the memory of one batch. How they are drawn is told in `tasks.draw`.

A message may follow another: it comes right after it, has its device, and is due when its answer came. Its offset is
that of the other, which it is never due before.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
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

    Column = NDArray[np.int64]

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
    outage left behind; on top of `messages`. `follows`: label to the label that its messages follow, each another, as
    far as both go; what is released follows what is released, and what comes follows what comes.
    """

    messages: dict[str, int]
    window_us: int
    seed: int
    shape: ArrivalsShape = POISSON
    estate: int = 10_000_000
    hold_us: int = 0
    released: dict[str, int] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label (see `tasks.labels`), in order."""
        return tuple(sorted(self.messages.keys() | self.released.keys()))

    @property
    def drawn(self) -> tuple[dict[str, int], dict[str, int]]:
        """Messages by label, in order, that are drawn, released ones and those that come: without what follows another.

        Both have every label.
        """
        return self._alone(self.released), self._alone(self.messages)

    @property
    def by_path(self) -> dict[str, int]:
        """Messages per path, in order; those that follow another use its device, and are not counted."""
        released, coming = map(_per_path, self.drawn)
        return {path: released[path] + count for path, count in coming.items()}

    @property
    def devices_needed(self) -> dict[str, int]:
        """How many devices each path needs so that none is asked again while it may be busy: with two, for chains."""
        released, coming = map(_per_path, self.drawn)
        first = {parted(label)[0] for label in self.follows.values()}
        once, twice = (
            devices_needed(coming, self.shape, window_us=self.window_us, hold_us=hold_us)
            for hold_us in (self.hold_us, 2 * self.hold_us)
        )
        return {path: (twice if path in first else once)[path] + count for path, count in released.items()}

    def every(self, messages: Mapping[str, int]) -> dict[str, int]:
        """The messages by each label of the offer, in order; 0 where it has none."""
        return {label: messages.get(label, 0) for label in self.labels}

    def _alone(self, messages: Mapping[str, int]) -> dict[str, int]:
        ordered = self.every(messages)
        if not self.follows:
            return ordered
        from tasks.draw.chains import alone

        return alone(ordered, self.follows)


def _per_path(messages: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for label, count in messages.items():
        path = parted(label)[0]
        found[path] = found.get(path, 0) + count
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Messages in the order in which they are due. Columns of equal length; offsets in microseconds from the start.

    `label` holds `path|srv|kind` as an index into `labels`; `device` a number below the estate. `sequence` is the
    number of each message among all that are offered, from 0; `follows` whether it waits for the one before it.
    """

    offset_us: "NDArray[np.int64]"
    label: "NDArray[np.int64]"
    device: "NDArray[np.int64]"
    sequence: "NDArray[np.int64]"
    follows: "NDArray[np.bool_]"
    labels: tuple[str, ...]
    window_us: int

    def __len__(self) -> int:
        return len(self.offset_us)

    def at(self, places: "slice | NDArray[Any]") -> "Arrivals":
        """Those in these places: a stretch, their indices, or a flag for each."""
        return replace(self, **{name: getattr(self, name)[places] for name in _COLUMNS})


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
        follows=drawn.get("follows", {}),
    )


def arrivals_of(
    key: dict[str, Any], *, multiple: Fraction = Fraction(1), step: int = 0, shard: tuple[int, int] = (0, 1)
) -> Arrivals:
    """All arrivals of an execution under this key at once: of a test that is short. `shard`: see `stream_arrivals`."""
    offer = offer_of(key, multiple=multiple, step=step)
    return collected(offer, stream_arrivals(offer, shard=shard))


def shard_of(arrivals: Arrivals, shard: tuple[int, int]) -> Arrivals:
    """The k-th (from 0) of so many parts of arrivals, as `stream_arrivals` parts them; they keep their numbers."""
    kept, of = shard
    return arrivals.at((~arrivals.follows).cumsum() % of == (kept + 1) % of)


def stream_arrivals(offer: Offer, *, shard: tuple[int, int] = (0, 1)) -> Iterator[Arrivals]:
    """The arrivals of an offer, batch by batch, the same from the same seed on every machine.

    `shard`: the k-th (from 0) of so many parts, which between them offer each message once and what one would: every
    part draws all, and keeps those messages whose number leaves k; of messages that follow others, with those.
    """
    import numpy as np

    from tasks.draw.devices import Dealer
    from tasks.draw.due import due, released

    at_once, coming = (list(each.values()) for each in offer.drawn)
    owned = slices(offer.by_path, offer.devices_needed, offer.estate)
    paths = list(owned)
    dealer = Dealer([paths.index(parted(label)[0]) for label in offer.labels], list(owned.values()), offer.seed)
    kept, of = shard
    first = rank = 0
    for stream, chained in (
        (released(at_once), _Chained(offer, offer.released)),
        (due(offer.shape, coming, window_us=offer.window_us, seed=offer.seed), _Chained(offer, offer.messages)),
    ):
        for offsets, which in stream:
            batch = chained.batch(offsets, which, dealer.deal(which), first)
            first += len(batch)
            if of > 1:
                batch = batch.at((rank + np.cumsum(~batch.follows) - 1) % of == kept)
            yield batch
            rank += len(offsets)


class _Chained:
    """Puts the messages that follow others into a stream of those that are drawn, and numbers all."""

    def __init__(self, offer: Offer, messages: Mapping[str, int]) -> None:
        self._offer = offer
        self._followers = None
        if offer.follows:
            from tasks.draw.chains import Followers

            self._followers = Followers(offer.every(messages), offer.follows, offer.seed)

    def batch(self, offsets: "Column", which: "Column", devices: "Column", first: int) -> Arrivals:
        """A batch of those that are drawn, with what follows them, numbered from `first` on."""
        import numpy as np

        follows = np.zeros(len(offsets), dtype=np.bool_)
        if self._followers is not None:
            following = self._followers.of(which)
            drawn = np.repeat(np.arange(len(which)), 1 + (following >= 0))
            follows = np.diff(drawn, prepend=-1) == 0
            offsets, devices = offsets[drawn], devices[drawn]
            which = np.where(follows, following[drawn], which[drawn])
        return Arrivals(
            offset_us=offsets,
            label=which,
            device=devices,
            sequence=np.arange(first, first + len(offsets), dtype=np.int64),
            follows=follows,
            labels=self._offer.labels,
            window_us=self._offer.window_us,
        )


def collected(offer: Offer, batches: Iterable[Arrivals]) -> Arrivals:
    """Batches of an offer's stream that follow each other, as one."""
    import numpy as np

    found = list(batches)
    nothing: dict[str, Any] = {name: np.zeros(0, np.bool_ if name == "follows" else np.int64) for name in _COLUMNS}
    whole = {name: np.concatenate([nothing[name], *(getattr(each, name) for each in found)]) for name in _COLUMNS}
    return Arrivals(**whole, labels=offer.labels, window_us=offer.window_us)


_COLUMNS = ("offset_us", "label", "device", "sequence", "follows")


def seed_for(*parts: str | int) -> int:
    """A seed that depends on nothing but `parts`: the first 4 bytes of their SHA-256."""
    return int(digest("\n".join(map(str, parts)).encode())[:8], 16)
