"""What every codec works on: a message, an answer as a server chooses it, an answer as a client reads it.

The URL says which message path a message takes; bodies do not repeat it.

A message that is right in form may still be one that nobody must act on: see `Flaw`. What makes it so stands in names
that are kept for it, which every codec carries as it carries any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Protocol, assert_never

DEFAULT_ORIGINATOR = "service-user"

UNKNOWN_SRV = "0.0.0"
"""The SRV that no system serves: a message of it has the flaw `UNKNOWN_SRV`."""

_UNAUTHORISED, _UNREACHABLE = "FF-FF-FF-FF-", "FF-FF-FF-FE-"
_DEVICES_KEPT = 2**32


class MessageError(ValueError):
    """A body that is no message of the codec, or a message that the codec cannot write."""


class MessageKind(StrEnum):
    """The kinds of message that somebody offers; responses and acknowledgements are answers."""

    REQUEST = "request"
    ALERT = "alert"


class Flaw(StrEnum):
    """What makes a message one that is right to be answered with an error, however light the load."""

    UNKNOWN_SRV = "unknown-srv"
    UNAUTHORISED_DEVICE = "unauthorised-device"
    UNREACHABLE_DEVICE = "unreachable-device"


def unauthorised_device(number: int) -> str:
    """A device that nobody has authorised, one for each of 2^32 numbers.

    Its EUI-64 has the group bit set, which IEEE gives to no single device: it is no manufacturer's and no derived one.
    """
    return _kept(_UNAUTHORISED, number)


def unreachable_device(number: int) -> str:
    """A device that no command reaches, one for each of 2^32 numbers, told as `unauthorised_device` is."""
    return _kept(_UNREACHABLE, number)


def _kept(front: str, number: int) -> str:
    digits = f"{number % _DEVICES_KEPT:08X}"
    return front + "-".join(digits[at : at + 2] for at in range(0, 8, 2))


class Reply(Enum):
    """How a server answers a message."""

    DONE = "done"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    """The next hop refused, broke off or made no sense."""
    UNKNOWN_SRV = "unknown SRV"
    UNAUTHORISED_DEVICE = "unauthorised device"
    UNREACHABLE_DEVICE = "unreachable device"

    @classmethod
    def to(cls, flaw: Flaw) -> "Reply":
        """The answer that a message with that flaw gets."""
        match flaw:
            case Flaw.UNKNOWN_SRV:
                return cls.UNKNOWN_SRV
            case Flaw.UNAUTHORISED_DEVICE:
                return cls.UNAUTHORISED_DEVICE
            case Flaw.UNREACHABLE_DEVICE:
                return cls.UNREACHABLE_DEVICE
            case _:
                assert_never(flaw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to or from a device. `counter` is unique and strictly increasing for one originator."""

    counter: int
    srv: str
    device: str
    kind: MessageKind = MessageKind.REQUEST
    originator: str = DEFAULT_ORIGINATOR

    @property
    def flaw(self) -> Flaw | None:
        """What is wrong with it, told by its SRV and then its device; None for a message that is right."""
        if self.srv == UNKNOWN_SRV:
            return Flaw.UNKNOWN_SRV
        if self.device.startswith(_UNAUTHORISED):
            return Flaw.UNAUTHORISED_DEVICE
        return Flaw.UNREACHABLE_DEVICE if self.device.startswith(_UNREACHABLE) else None

    def flawed(self, flaw: Flaw) -> "Message":
        """The same message with that flaw; a device that has it takes its number from the counter."""
        match flaw:
            case Flaw.UNKNOWN_SRV:
                return replace(self, srv=UNKNOWN_SRV)
            case Flaw.UNAUTHORISED_DEVICE:
                return replace(self, device=unauthorised_device(self.counter))
            case Flaw.UNREACHABLE_DEVICE:
                return replace(self, device=unreachable_device(self.counter))
            case _:
                assert_never(flaw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as the client reads it; one that is not `final` only acknowledges, and a later response decides."""

    ok: bool
    code: str
    final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a request is known by: who asked, whom it is for, and a counter that rises strictly for one originator.

    Names are as the codec writes them: see `Codec.party_name`.
    """

    originator: str
    target: str
    counter: int


class PushedKind(StrEnum):
    """What a system sends to a user's receive service."""

    RESPONSE = "response"
    DEVICE_ALERT = "device alert"
    SYSTEM_ALERT = "system alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What was sent to a receive service. Responses say which request they answer; alerts belong to none."""

    kind: PushedKind
    request: Identity | None
    answer: Answer


Wrapping = tuple[str, ...]
"""Elements that a response's body stands in, outermost first, where a path's responses have a format of their own."""

Writer = Callable[[bytes, int], bytes]
"""Takes a device as `Codec.device_name` gives it, and a counter; gives the body of a request."""


class Codec(Protocol):
    """One way of writing messages. Codecs hold no state of a conversation, so one instance serves a process."""

    @property
    def name(self) -> str:
        """What declarations call it."""

    @property
    def content_type(self) -> str:
        """Of the bodies that it writes."""

    def device_name(self, device: str) -> bytes:
        """How messages write `device`; MessageError when they cannot."""

    def party_name(self, name: str) -> str:
        """How a message that was read names an originator, or a device, that is called `name`."""

    def writer(self, kind: MessageKind, srv: str, originator: str = DEFAULT_ORIGINATOR) -> Writer:
        """What writes many messages that differ in device and counter only, as `encode` would; MessageError as there.

        Nothing is checked any more when it is called.
        """

    def encode(self, message: Message, wrapping: Wrapping = ()) -> bytes:
        """The HTTP request body that carries `message`; MessageError when it cannot be written.

        `wrapping` is for what goes up to a user, an alert.
        """

    def read_message(self, body: bytes) -> Message:
        """The message in a request body; MessageError when there is none."""

    def answer(self, message: Message, reply: Reply, wrapping: Wrapping = ()) -> tuple[int, bytes]:
        """HTTP status and body with which a server answers `message`."""

    def acknowledge(self, message: Message) -> tuple[int, bytes]:
        """HTTP status and body with which a server says that it has `message`, and that its response comes later."""

    def response(self, message: Message, reply: Reply, wrapping: Wrapping = ()) -> bytes:
        """The response to an acknowledged request, as the body of a request to the user's receive service."""

    def system_alert(self, originator: str, counter: int) -> bytes:
        """An alert that a system raises itself, likewise; `originator` is the user, `counter` the system's own."""

    def read_answer(self, status: int, body: bytes) -> Answer:
        """What an HTTP response says about the message it answers; one without sense is an error, never raised."""

    def read_identity(self, body: bytes) -> Identity | None:
        """Which request an HTTP response says it answers; None where it does not say, or not in form."""

    def read_pushed(self, body: bytes) -> Pushed:
        """What came to a receive service; MessageError when that is nothing of the codec's."""
