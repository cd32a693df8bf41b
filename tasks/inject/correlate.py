"""Which request a response answers that came to the receive service, and which responses answer none."""

from array import array
from collections.abc import Sequence
from enum import Enum

from tasks.codecs import Identity

OPEN, ANSWERED, GIVEN_UP = 0, 1, 2
"""How a message stands: not ended; ended with an answer, whichever; ended without one."""


class Claim(Enum):
    """What a response turns out to be."""

    RESPONSE = "response"
    LATE = "late"
    """Its request had been given up."""
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    """No request has gone out that it could answer."""


class Correlator:
    """Counters are given out as requests are written: a response's counter is its request's place among them.

    `targets`: the device of each message, as a response names it. `ended`: how each message stands, kept by whoever
    ends them; only here one that was given up becomes answered, when its response comes too late.
    """

    def __init__(self, originator: str, targets: Sequence[str], ended: bytearray) -> None:
        self.first = 0
        self._originator = originator
        self._targets = targets
        self._ended = ended
        self._written = array("q")
        self.written = self._written.append
        """Called with each message as its request is written; the first has the counter `first`."""

    def message(self, identity: Identity) -> int | None:
        """The message whose request this is."""
        place = identity.counter - self.first
        if identity.originator != self._originator or not 0 <= place < len(self._written):
            return None
        message = self._written[place]
        return message if self._targets[message] == identity.target else None

    def claim(self, identity: Identity) -> tuple[Claim, int]:
        """What a response with that identity is, and of which message (-1: of none)."""
        message = self.message(identity)
        if message is None:
            return Claim.UNKNOWN, -1
        match self._ended[message]:
            case 0:
                return Claim.RESPONSE, message
            case 2:
                self._ended[message] = ANSWERED
                return Claim.LATE, message
            case _:
                return Claim.DUPLICATE, message
