"""Message codecs, named by declarations: how a message is written as an HTTP body, and how an answer is read."""

from tasks.codecs.duis import Duis
from tasks.codecs.message import (
    DEFAULT_ORIGINATOR,
    UNKNOWN_SRV,
    Answer,
    Codec,
    Flaw,
    Identity,
    Message,
    MessageError,
    MessageKind,
    Pushed,
    PushedKind,
    Reply,
    Wrapping,
    Writer,
    unauthorised_device,
    unreachable_device,
)
from tasks.codecs.plain import Plain

__all__ = [
    "CODECS",
    "DEFAULT_ORIGINATOR",
    "UNKNOWN_SRV",
    "Answer",
    "Codec",
    "Flaw",
    "Identity",
    "Message",
    "MessageError",
    "MessageKind",
    "Pushed",
    "PushedKind",
    "Reply",
    "Wrapping",
    "Writer",
    "codec_named",
    "unauthorised_device",
    "unreachable_device",
]

CODECS: dict[str, Codec] = {codec.name: codec for codec in (Duis(), Plain())}


def codec_named(name: str) -> Codec:
    """The codec that declarations call `name`; ValueError, naming those that exist, when there is none."""
    if name not in CODECS:
        known = ", ".join(sorted(CODECS))
        raise ValueError(f"unknown message codec {name!r}; known: {known}")
    return CODECS[name]
