"""Generates arrivals: the exact messages that a test will offer, and when each is due.

Arrivals of a Poisson process, conditioned on the volume's count: given how many messages fall into a window, their
times are independent and uniform over it (Ross, Introduction to Probability Models, theorem 5.2), so every target is
offered to the message while gaps stay as irregular as real traffic.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from catalog.apportion import apportion
from catalog.canonical import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERATOR = "uniform integer offsets, numpy PCG64"
"""What draws the offsets; it stands in the key of every execution."""

ESTATE = 10_000_000
"""How many device numbers messages are drawn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Messages in the order in which they are due. Columns of equal length; offsets in microseconds from the start.

    `label` holds `path|srv|kind` as an index into `labels`; `device` a device number below `ESTATE`.
    """

    offset_us: "NDArray[np.int64]"
    label: "NDArray[np.int64]"
    device: "NDArray[np.int64]"
    labels: tuple[str, ...]
    window_us: int

    def __len__(self) -> int:
        return len(self.offset_us)


def messages_to_offer(target: dict[str, int], *, target_us: int, rate: Fraction, offered_us: int) -> dict[str, int]:
    """Whole messages per `path|srv|kind` for a window of `offered_us`, at `rate` times the target's rate.

    The target holds messages per `target_us`. The total is rounded once (half to even) and apportioned by largest
    remainder, so that the mix of the target is kept as closely as whole messages allow.
    """
    total = round(sum(target.values()) * rate * Fraction(offered_us, target_us))
    return dict(zip(target, apportion(total, list(target.values())), strict=True))


def offered_messages(key: dict[str, Any], *, multiple: Fraction = Fraction(1)) -> dict[str, int]:
    """Whole messages per `path|srv|kind` that an execution under this key offers at a multiple of its target volume."""
    inputs = key["inputs"]
    return messages_to_offer(
        inputs["volumes"]["messages"],
        target_us=inputs["volumes"]["window_us"],
        rate=multiple * Fraction(inputs["factors"]["rate"]),
        offered_us=inputs["offered_us"],
    )


def arrivals_of(key: dict[str, Any], *, multiple: Fraction = Fraction(1), step: int = 0) -> Arrivals:
    """The arrivals of an execution under this key: of the whole test, or of one step (from 0) of a rising one."""
    return generate_arrivals(
        offered_messages(key, multiple=multiple),
        window_us=key["inputs"]["offered_us"],
        seed=seed_for(key["inputs"]["arrivals"]["seed"], step),
    )


def generate_arrivals(messages: dict[str, int], *, window_us: int, seed: int) -> Arrivals:
    """Arrivals of `messages` (per `path|srv|kind`) over a window, the same from the same seed on every machine."""
    import numpy as np

    labels = tuple(sorted(messages))
    drawn = np.random.Generator(np.random.PCG64(seed))
    total = sum(messages.values())
    offsets = np.sort(drawn.integers(0, window_us, size=total, dtype=np.int64))
    which = np.repeat(np.arange(len(labels), dtype=np.int64), [messages[label] for label in labels])
    return Arrivals(
        offset_us=offsets,
        label=which[_shuffled(drawn, total)],
        device=drawn.integers(0, ESTATE, size=total, dtype=np.int64),
        labels=labels,
        window_us=window_us,
    )


def seed_for(*parts: str | int) -> int:
    """A seed that depends on nothing but `parts`: the first 4 bytes of their SHA-256."""
    return int(digest("\n".join(map(str, parts)).encode())[:8], 16)


def _shuffled(drawn: "np.random.Generator", total: int) -> "NDArray[np.int64]":
    """A permutation out of integer draws alone, ties broken by position."""
    import numpy as np

    return np.argsort(drawn.integers(0, 2**62, size=total, dtype=np.int64), kind="stable")
