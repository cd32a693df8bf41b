"""A small codec for systems without a message format of their own: a line of text, and the HTTP status."""

from functools import lru_cache
from typing import assert_never
from urllib.parse import quote, unquote

from tasks.codecs.message import DEFAULT_ORIGINATOR, Answer, Message, MessageError, MessageKind, Reply, Writer

_FIELDS = 5


class Plain:
    """`counter kind srv device originator`, percent-encoded, a space between; 202 acknowledges, other 2xx are final."""

    name = "plain"
    content_type = "text/plain; charset=utf-8"

    def device_name(self, device: str) -> bytes:
        """Percent-encoded."""
        return _quoted(device)

    def writer(self, kind: MessageKind, srv: str, originator: str = DEFAULT_ORIGINATOR) -> Writer:
        """See `Codec`."""
        middle, end = b" %b %b " % (kind.encode(), _quoted(srv)), b" %b\n" % _quoted(originator)
        return lambda device, counter: b"%d%b%b%b" % (counter, middle, device, end)

    def encode(self, message: Message) -> bytes:
        """The message as one line."""
        write = self.writer(message.kind, message.srv, message.originator)
        return write(self.device_name(message.device), message.counter)

    def read_message(self, body: bytes) -> Message:
        """The message in that line."""
        try:
            fields = body.decode("ascii").removesuffix("\n").split(" ")
            counter, kind, srv, device, originator = fields
            if not counter.isdigit():
                raise ValueError(f"{counter[:20]!r} is no counter")
            return Message(
                counter=int(counter),
                kind=MessageKind(kind),
                srv=unquote(srv, errors="strict"),
                device=unquote(device, errors="strict"),
                originator=unquote(originator, errors="strict"),
            )
        except ValueError as error:
            raise MessageError(f"expected a line of {_FIELDS} fields: {error}") from error

    def answer(self, message: Message, reply: Reply) -> tuple[int, bytes]:
        """200, 500 or 502, 422, 403 or 504 for a flaw, and a line that repeats the counter."""
        return _status(reply), f"{reply.value} {message.counter}\n".encode()

    def read_answer(self, status: int, body: bytes) -> Answer:  # noqa: ARG002 - the status alone decides
        """By status: its number is the code."""
        return _answer(status)


def _quoted(text: str) -> bytes:
    try:
        return quote(text, safe="").encode()
    except UnicodeEncodeError as error:
        raise MessageError(f"the message is not UTF-8: {error}") from error


@lru_cache
def _answer(status: int) -> Answer:
    return Answer(ok=200 <= status < 300, code=str(status), final=status != 202)


def _status(reply: Reply) -> int:
    match reply:
        case Reply.DONE:
            return 200
        case Reply.FAILED:
            return 500
        case Reply.UNAVAILABLE:
            return 502
        case Reply.UNKNOWN_SRV:
            return 422
        case Reply.UNAUTHORISED_DEVICE:
            return 403
        case Reply.UNREACHABLE_DEVICE:
            return 504
        case _:
            assert_never(reply)
