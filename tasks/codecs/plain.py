"""A small codec for systems without a message format of their own: a line of text, and the HTTP status."""

import re
from functools import lru_cache
from typing import assert_never
from urllib.parse import quote, unquote

from tasks.codecs.message import (
    DEFAULT_ORIGINATOR,
    Answer,
    Identity,
    Message,
    MessageError,
    MessageKind,
    Pushed,
    PushedKind,
    Reply,
    Wrapping,
    Writer,
)

_FIELDS = 5
_ACKNOWLEDGED = 202
_RESPONSE, _SYSTEM_ALERT = "response", "system-alert"
_STATUS = re.compile("[1-5][0-9]{2}", re.ASCII)


class Plain:
    """`counter kind srv device originator`, percent-encoded, a space between; 202 acknowledges, other 2xx are final.

    A response that comes later is `response status counter device originator`, as is any alert of the system's own
    (`system-alert - counter - originator`).
    """

    name = "plain"
    content_type = "text/plain; charset=utf-8"

    def device_name(self, device: str) -> bytes:
        """Percent-encoded."""
        return _quoted(device)

    def party_name(self, name: str) -> str:
        """The name itself."""
        return name

    def writer(self, kind: MessageKind, srv: str, originator: str = DEFAULT_ORIGINATOR) -> Writer:
        """See `Codec`."""
        middle, end = b" %b %b " % (kind.encode(), _quoted(srv)), b" %b\n" % _quoted(originator)
        return lambda device, counter: b"%d%b%b%b" % (counter, middle, device, end)

    def encode(self, message: Message, wrapping: Wrapping = ()) -> bytes:  # noqa: ARG002 - lines are wrapped in nothing
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

    def answer(
        self,
        message: Message,
        reply: Reply,
        wrapping: Wrapping = (),  # noqa: ARG002 - lines are wrapped in nothing
    ) -> tuple[int, bytes]:
        """200, 500 or 502, 422, 403 or 504 for a flaw, and a line that repeats the counter."""
        return _status(reply), f"{reply.value} {message.counter}\n".encode()

    def acknowledge(self, message: Message) -> tuple[int, bytes]:
        """202, and a line that says which request it is."""
        return _ACKNOWLEDGED, _later("acknowledged", str(_ACKNOWLEDGED), message)

    def response(self, message: Message, reply: Reply, wrapping: Wrapping = ()) -> bytes:  # noqa: ARG002 - as above
        """See `Codec`."""
        return _later(_RESPONSE, str(_status(reply)), message)

    def system_alert(self, originator: str, counter: int) -> bytes:
        """See `Codec`."""
        return b"%b - %d - %b\n" % (_SYSTEM_ALERT.encode(), counter, _quoted(originator))

    def read_answer(self, status: int, body: bytes) -> Answer:  # noqa: ARG002 - the status alone decides
        """By status: its number is the code."""
        return _answer(status)

    def read_identity(self, body: bytes) -> Identity | None:
        """See `Codec`."""
        try:
            return _read_later(body)[2]
        except ValueError:
            return None

    def read_pushed(self, body: bytes) -> Pushed:
        """See `Codec`. A line that carries an alert is a device's."""
        try:
            what, code, identity = _read_later(body)
        except ValueError:
            if self.read_message(body).kind is not MessageKind.ALERT:
                raise MessageError("expected a response or an alert, found a request") from None
            return Pushed(kind=PushedKind.DEVICE_ALERT, request=None, answer=_answer(200))
        if what == _SYSTEM_ALERT:
            return Pushed(kind=PushedKind.SYSTEM_ALERT, request=None, answer=_answer(200))
        if what != _RESPONSE or not _STATUS.fullmatch(code):
            raise MessageError(f"expected a response or an alert, found {what[:20]!r} with status {code[:20]!r}")
        return Pushed(kind=PushedKind.RESPONSE, request=identity, answer=_answer(int(code)))


def _later(what: str, code: str, message: Message) -> bytes:
    named = _quoted(message.device), _quoted(message.originator)
    return b"%b %b %d %b %b\n" % (what.encode(), code.encode(), message.counter, *named)


def _read_later(body: bytes) -> tuple[str, str, Identity]:
    what, code, counter, device, originator = body.decode("ascii").removesuffix("\n").split(" ")
    if what.isdigit() or not counter.isdigit():
        raise ValueError("not what comes later")
    user, target = unquote(originator, errors="strict"), unquote(device, errors="strict")
    return what, code, Identity(originator=user, target=target, counter=int(counter))


def _quoted(text: str) -> bytes:
    try:
        return quote(text, safe="").encode()
    except UnicodeEncodeError as error:
        raise MessageError(f"the message is not UTF-8: {error}") from error


@lru_cache
def _answer(status: int) -> Answer:
    return Answer(ok=200 <= status < 300, code=str(status), final=status != _ACKNOWLEDGED)


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
