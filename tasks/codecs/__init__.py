"""Message codecs, named by declarations: how a message is written as an HTTP body, and how an answer is read."""

from functools import cache

from catalog.extensions import SHIPPED, ExtensionError, Point, load, names
from catalog.hints import listed
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

CODECS = tuple(sorted(SHIPPED[Point.CODECS]))
"""The names of those that are shipped."""


@cache
def codec_named(name: str) -> Codec:
    """The codec that declarations call `name`, shipped or installed.

    ValueError, naming those that exist, when there is none; ExtensionError when it cannot be used as it is.
    """
    if name not in CODECS and name not in names(Point.CODECS):
        raise ValueError(f"unknown message codec {name!r}; known: {listed(names(Point.CODECS))}")
    found = load(Point.CODECS, name)
    codec: Codec = found() if isinstance(found, type) else found
    if codec.name != name:
        raise ExtensionError(f"the message codec '{name}' calls itself '{codec.name}', and declarations by the first")
    return codec
