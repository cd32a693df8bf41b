"""The way to a component's next hop: messages go on in the codec spoken there, and the answer comes back as a Reply."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tasks.codecs import Codec, Message, MessageError, MessageKind, Reply, Wrapping
from tasks.wire.client import Pool, post, post_head


@dataclass(slots=True, kw_only=True, eq=False)
class Forwarded:
    """A message on its way; `reply` is called once, with the next hop's answer."""

    message: Message
    path: str
    codec: Codec
    reply: Callable[[Reply], None]
    wrapping: Wrapping = ()
    request: bytes = b""


class Hop:
    """One next hop, for all the paths that lead there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, *, limit: int) -> None:
        self._url = url
        self._pool: Pool[Forwarded] = Pool(loop, url, self, limit=limit)
        self._heads: dict[tuple[str, str], bytes] = {}

    def forward(self, forwarded: Forwarded) -> None:
        """Send it on. A message that the next hop's codec cannot write fails here."""
        try:
            message, codec = forwarded.message, forwarded.codec
            wrapping = forwarded.wrapping if message.kind is MessageKind.ALERT else ()
            forwarded.request = post(self._head(forwarded), codec.encode(message, wrapping))
        except MessageError:
            forwarded.reply(Reply.FAILED)
            return
        self._pool.offer(forwarded)

    def close(self) -> None:
        """Send no more."""
        self._pool.close()

    def request(self, message: Forwarded) -> bytes:
        """See `Exchanges`."""
        return message.request

    def answered(self, message: Forwarded, status: int, body: bytes, size: int) -> None:  # noqa: ARG002 - see Exchanges
        """See `Exchanges`. An answer without sense, or from a gateway, is no answer of the next hop's."""
        if status in (0, 502, 503, 504):
            message.reply(Reply.UNAVAILABLE)
            return
        message.reply(Reply.DONE if message.codec.read_answer(status, body).ok else Reply.FAILED)

    def refused(self, message: Forwarded) -> None:
        """See `Exchanges`."""
        message.reply(Reply.UNAVAILABLE)

    thwarted = refused

    def _head(self, message: Forwarded) -> bytes:
        key = message.path, message.codec.name
        if key not in self._heads:
            self._heads[key] = post_head(self._url, message.path, message.codec.content_type)
        return self._heads[key]
