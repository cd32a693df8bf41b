"""What every codec works on: a message, an answer as a server chooses it, an answer as a client reads it.

The URL says which message path a message takes; bodies do not repeat it.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

DEFAULT_ORIGINATOR = "service-user"


class MessageError(ValueError):
    """A body that is no message of the codec, or a message that the codec cannot write."""


class MessageKind(StrEnum):
    """The kinds of message that somebody offers; responses and acknowledgements are answers."""

    REQUEST = "request"
    ALERT = "alert"


class Reply(Enum):
    """How a server answers a message."""

    DONE = "done"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    """The next hop refused, broke off or made no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to or from a device. `counter` is unique and strictly increasing for one originator."""

    counter: int
    srv: str
    device: str
    kind: MessageKind = MessageKind.REQUEST
    originator: str = DEFAULT_ORIGINATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as the client reads it; one that is not `final` only acknowledges, and a later response decides."""

    ok: bool
    code: str
    final: bool = True


class Codec(Protocol):
    """One way of writing messages. Codecs hold no state of a conversation, so one instance serves a process."""

    @property
    def name(self) -> str:
        """What declarations call it."""

    @property
    def content_type(self) -> str:
        """Of the bodies that it writes."""

    def encode(self, message: Message) -> bytes:
        """The HTTP request body that carries `message`; MessageError when it cannot be written."""

    def read_message(self, body: bytes) -> Message:
        """The message in a request body; MessageError when there is none."""

    def answer(self, message: Message, reply: Reply) -> tuple[int, bytes]:
        """HTTP status and body with which a server answers `message`."""

    def read_answer(self, status: int, body: bytes) -> Answer:
        """What an HTTP response says about the message it answers; one without sense is an error, never raised."""
