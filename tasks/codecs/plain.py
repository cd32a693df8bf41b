"""A small codec for systems without a message format of their own: a line of text, and the HTTP status."""

from typing import assert_never
from urllib.parse import quote, unquote

from tasks.codecs.message import Answer, Message, MessageError, MessageKind, Reply

_FIELDS = 5


class Plain:
    """`counter kind srv device originator`, percent-encoded, a space between; 202 acknowledges, other 2xx are final."""

    name = "plain"
    content_type = "text/plain; charset=utf-8"

    def encode(self, message: Message) -> bytes:
        """The message as one line."""
        try:
            texts = [quote(text, safe="") for text in (message.srv, message.device, message.originator)]
        except UnicodeEncodeError as error:
            raise MessageError(f"the message is not UTF-8: {error}") from error
        return f"{message.counter} {message.kind} {' '.join(texts)}\n".encode()

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
        """200, 500 or 502, 422 or 403 for a flaw, and a line that repeats the counter."""
        return _status(reply), f"{reply.value} {message.counter}\n".encode()

    def read_answer(self, status: int, body: bytes) -> Answer:  # noqa: ARG002 - the status alone decides
        """By status: its number is the code."""
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
        case _:
            assert_never(reply)
