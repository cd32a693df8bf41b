"""DUIS-style XML: the Requests, Responses and alerts of the DCC User Interface Specification, version 3.

A RequestID is originator:target:counter; a Response, and the acknowledgement (I99) before it, repeat it. The elements
that wrap the body of some responses are the declaration's to name: see `Wrapping`.

Headers follow DCC's published schema and examples (duis-parser, dccboxed-signing-tool). What no emulated party looks
at is present in size and shape only: the body names no SRV-specific element and signatures have no valid value.

Documents are written from templates and read by a bounded scan for the few fields that matter. There is no XML parser
here on purpose: nothing resolves an entity, and a document that declares any is refused.
"""

import re
import time
from functools import lru_cache
from hashlib import sha256
from typing import assert_never

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

_NAMESPACE = "http://www.dccinterface.co.uk/ServiceUserGateway"
_SCHEMA_VERSION = "3.0"
_SEND_COMMAND = 1  # Command Variant 1: a non-critical request, sent as a command to the device
_COUNTER_LIMIT = 2**64  # RequestID counters are unsigned 64-bit

_DONE, _ACKNOWLEDGED = "I0", "I99"
# Listed in the schema without meaning: which is which is the emulation's choice.
_FAILED, _UNAVAILABLE = "E30", "E20"
_UNKNOWN_SRV, _UNAUTHORISED, _UNREACHABLE = "E1", "E4", "E21"
_SYSTEM_ALERT = "N999"  # of the listed alert codes; which one an emulated system raises is the emulation's choice

_SCANNED = 16_384  # bytes at the front of a document in which its header must lie
_EUI64 = re.compile(r"[0-9A-F]{2}(?:-[0-9A-F]{2}){7}")
_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,64}(?:<\?xml[^>]{0,256}\?>\s{0,64})?<(?:[\w.-]{1,64}:)?(Request|Response)[\s>]"
)
_END = re.compile(rb"</(?:[\w.-]{1,64}:)?(Request|Response)\s*>\s{0,64}\Z")
_REFERENCE = re.compile(rb"&(#?\w+);")
_UNWRITABLE = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0 has none of these, or rewrites them
_LONGEST = 80  # characters of an SRV or alert code
_PREDEFINED = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


def eui64(name: str) -> str:
    """`name` if it is an EUI-64 (`00-DB-12-34-56-78-90-A3`), else one derived from it.

    A derived one is the front of the name's SHA-256 with the bit that IEEE's EUI-64 guidelines keep for locally
    administered identifiers (and never the group bit), so that it cannot be mistaken for a manufacturer's.
    """
    return name if _EUI64.fullmatch(name) else _derived_eui64(name)


@lru_cache(maxsize=4096)
def _derived_eui64(name: str) -> str:
    head = bytearray(sha256(name.encode()).digest()[:8])
    head[0] = head[0] & 0xFE | 0x02
    return head.hex("-").upper()


class Duis:
    """The codec; device and originator are EUI-64s, or names that become one."""

    name = "duis"
    content_type = "application/xml"

    def device_name(self, device: str) -> bytes:
        """Its EUI-64."""
        return eui64(device).encode()

    def party_name(self, name: str) -> str:
        """Its EUI-64."""
        return eui64(name)

    def writer(
        self, kind: MessageKind, srv: str, originator: str = DEFAULT_ORIGINATOR, wrapping: Wrapping = ()
    ) -> Writer:
        """See `Codec`. A request goes from the originator to the device, an alert from the device to the originator."""
        front, back = _template(kind, srv, wrapping)
        user = eui64(originator).encode()
        match kind:
            case MessageKind.REQUEST:
                front, middle = b"%b%b:" % (front, user), b":"
            case MessageKind.ALERT:
                middle = b":%b:" % user
            case _:
                assert_never(kind)
        return lambda device, counter: b"%b%b%b%d%b" % (front, device, middle, counter, back)

    def encode(self, message: Message, wrapping: Wrapping = ()) -> bytes:
        """A Request, or for an alert a Response with a DeviceAlertMessage, of 1 to 1.5 kB."""
        if not 0 <= message.counter < _COUNTER_LIMIT:
            raise MessageError(f"a DUIS counter lies in 0..2^64-1, not {message.counter}")
        write = self.writer(message.kind, message.srv, message.originator, wrapping)
        return write(self.device_name(message.device), message.counter)

    def read_message(self, body: bytes) -> Message:
        """The Request or Device Alert in a document."""
        kind = _kind(body)
        is_alert = kind is MessageKind.ALERT
        identity = _field(body, _RESPONSE_ID if is_alert else _REQUEST_ID)
        srv = _field(body, _ALERT_CODE if is_alert else _VARIANT)
        _escape(srv)  # a server must be able to repeat it
        first, second, counter = _parted(identity)
        device, originator = (first, second) if is_alert else (second, first)
        return Message(counter=counter, srv=srv, device=device, kind=kind, originator=originator)

    def answer(self, message: Message, reply: Reply, wrapping: Wrapping = ()) -> tuple[int, bytes]:
        """A Response to a request; a delivered alert needs none and gets 204, as the published client answers."""
        if message.kind is MessageKind.ALERT and reply is Reply.DONE:
            return 204, b""
        return 200, _response(message, _code(reply), wrapping)

    def acknowledge(self, message: Message) -> tuple[int, bytes]:
        """A Response with I99 and the request's id."""
        return 200, _response(message, _ACKNOWLEDGED)

    def response(self, message: Message, reply: Reply, wrapping: Wrapping = ()) -> bytes:
        """A Response with the request's id."""
        return _response(message, _code(reply), wrapping)

    def system_alert(self, originator: str, counter: int) -> bytes:
        """A Response with a DCCAlertMessage, from an EUI-64 that stands for the system."""
        identity = f"{eui64('system')}:{eui64(originator)}:{counter}"
        header = _element("Header", _element("ResponseID", identity) + _element("ResponseCode", _DONE))
        alert = _element("DCCAlertMessage", _element("DCCAlertCode", _SYSTEM_ALERT))
        return _document("Response", header + _element("Body", alert)).encode()

    def read_answer(self, status: int, body: bytes) -> Answer:
        """By ResponseCode: I0 is success, I99 acknowledges, all else is an error, as is any HTTP status but 2xx."""
        if not 200 <= status < 300:
            return Answer(ok=False, code=f"HTTP {status}")
        if not body:
            return Answer(ok=True, code="delivered")
        try:
            _refuse_declarations(body)
            element = _response_element(body)
            known = _KNOWN.get(element)
            if known is not None:
                return known
            answer = _answer(_field(body, _RESPONSE_CODE))
            if _RESPONSE_CODE.fullmatch(element) and len(_KNOWN) < _MOST_KNOWN:
                _KNOWN[element] = answer
            return answer
        except MessageError:
            return Answer(ok=False, code="malformed")

    def read_identity(self, body: bytes) -> Identity | None:
        """By its RequestID."""
        try:
            return _identity(body)
        except MessageError:
            return None

    def read_pushed(self, body: bytes) -> Pushed:
        """A whole Response: an alert by what is in it, else the response to the request that it names."""
        if _root(body) != b"Response":
            raise MessageError("expected a Response, found a Request")
        front = body[:_SCANNED]
        for name, kind in _ALERTS:
            if name in front:
                return Pushed(kind=kind, request=None, answer=_answer(_DONE))
        answer = self.read_answer(200, body)
        if answer.code == "malformed":
            raise MessageError("no ResponseCode in the document")
        return Pushed(kind=PushedKind.RESPONSE, request=_identity(body), answer=answer)


_ALERTS = ((b"DeviceAlertMessage", PushedKind.DEVICE_ALERT), (b"DCCAlertMessage", PushedKind.SYSTEM_ALERT))


def _pattern(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"<(?:[\w.-]{1,64}:)?%b\s*>([^<]{1,512})</" % name.encode())


_REQUEST_ID, _RESPONSE_ID = _pattern("RequestID"), _pattern("ResponseID")
_VARIANT, _ALERT_CODE, _RESPONSE_CODE = (
    _pattern("ServiceReferenceVariant"),
    _pattern("AlertCode"),
    _pattern("ResponseCode"),
)
_IDENTITY = re.compile(rf"({_EUI64.pattern}):({_EUI64.pattern}):(0|[1-9][0-9]{{0,19}})")


def _parted(identity: str) -> tuple[str, str, int]:
    """The two parties and the counter; MessageError unless it is exactly EUI-64:EUI-64:counter."""
    match = _IDENTITY.fullmatch(identity)
    if match is None or int(match[3]) >= _COUNTER_LIMIT:
        raise MessageError(f"expected EUI-64:EUI-64:counter, found {identity[:80]!r}")
    return match[1], match[2], int(match[3])


def _identity(body: bytes) -> Identity:
    originator, target, counter = _parted(_field(body, _REQUEST_ID))
    return Identity(originator=originator, target=target, counter=counter)


def _field(body: bytes, pattern: re.Pattern[bytes]) -> str:
    match = pattern.search(body, 0, _SCANNED)
    if match is None:
        name = pattern.pattern.split(b":)?")[1].split(b"\\")[0].decode()
        raise MessageError(f"no {name} in the document")
    try:
        return _REFERENCE.sub(_resolve, match[1]).decode()
    except UnicodeDecodeError as error:
        raise MessageError(f"not UTF-8: {error}") from error


def _response_element(body: bytes) -> bytes:
    """The first element that may be a ResponseCode, up to its end tag; it is found by name, as that is soonest done."""
    named = body.find(b"ResponseCode", 0, _SCANNED)
    return body[body.rfind(b"<", 0, named) : body.find(b"</", named) + 2] if named > 0 else b""


_KNOWN: dict[bytes, Answer] = {}
"""What elements that came before said: a load is answered with the same few codes again and again."""

_MOST_KNOWN = 256


@lru_cache(maxsize=256)
def _answer(code: str) -> Answer:
    return Answer(ok=code in (_DONE, _ACKNOWLEDGED), code=code, final=code != _ACKNOWLEDGED)


def _resolve(reference: re.Match[bytes]) -> bytes:
    if reference[1] not in _PREDEFINED:
        raise MessageError(f"the reference {reference[0]!r} is not accepted")
    return _PREDEFINED[reference[1]]


def _refuse_declarations(body: bytes) -> None:
    if b"!" in body and (b"<!DOCTYPE" in body or b"<!ENTITY" in body):  # most documents have none, which is soon seen
        raise MessageError("documents with a DTD or entities are refused")


def _root(body: bytes) -> bytes:
    """The root element's name in a whole document."""
    _refuse_declarations(body)
    root, end = _ROOT.match(body), _END.search(body, max(0, len(body) - 256))
    if root is None or end is None or root[1] != end[1]:
        raise MessageError("expected a whole DUIS Request or Response document")
    return root[1]


def _kind(body: bytes) -> MessageKind:
    if _root(body) == b"Request":
        return MessageKind.REQUEST
    if b"DeviceAlertMessage" not in body[:_SCANNED]:
        raise MessageError("a Response that is offered must carry a DeviceAlertMessage")
    return MessageKind.ALERT


def _code(reply: Reply) -> str:
    match reply:
        case Reply.DONE:
            return _DONE
        case Reply.FAILED:
            return _FAILED
        case Reply.UNAVAILABLE:
            return _UNAVAILABLE
        case Reply.UNKNOWN_SRV:
            return _UNKNOWN_SRV
        case Reply.UNAUTHORISED_DEVICE:
            return _UNAUTHORISED
        case Reply.UNREACHABLE_DEVICE:
            return _UNREACHABLE
        case _:
            assert_never(reply)


def _escape(text: str) -> str:
    if not 1 <= len(text) <= _LONGEST or _UNWRITABLE.search(text):
        raise MessageError(f"{text!r} cannot stand in a DUIS document")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _element(name: str, text: str) -> str:
    return f"<sr:{name}>{text}</sr:{name}>"


def _service(srv: str) -> str:
    """Service Reference and Service Reference Variant: 4.1.1 belongs to 4.1."""
    reference = ".".join(srv.split(".")[:2])
    return _element("ServiceReference", _escape(reference)) + _element("ServiceReferenceVariant", _escape(srv))


def _document(root: str, content: str) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><sr:{root} xmlns:sr="{_NAMESPACE}" '
        f'xmlns:ds="{_XMLDSIG}" schemaVersion="{_SCHEMA_VERSION}">{content}{_SIGNATURE}</sr:{root}>'
    )


def _wrapped(content: str, wrapping: Wrapping) -> str:
    for name in reversed(wrapping):
        content = _element(name, content)
    return content


@lru_cache(maxsize=1024)
def _template(kind: MessageKind, srv: str, wrapping: Wrapping) -> tuple[bytes, bytes]:
    """What stands before and after the identity in a message of that kind and SRV."""
    match kind:
        case MessageKind.REQUEST:
            variant = _element("CommandVariant", str(_SEND_COMMAND))
            header = _element("Header", _element("RequestID", "\0") + variant + _service(srv))
            document = _document("Request", header + _element("Body", "<sr:EmulatedServiceRequest/>"))
        case MessageKind.ALERT:
            header = _element("Header", _element("ResponseID", "\0") + _element("ResponseCode", _DONE))
            alert = _element("DeviceAlertMessage", _element("AlertCode", _escape(srv)))
            document = _document("Response", header + _element("Body", _wrapped(alert, wrapping)))
        case _:
            assert_never(kind)
    front, back = document.split("\0")
    return front.encode(), back.encode()


def _response(message: Message, code: str, wrapping: Wrapping = ()) -> bytes:
    device, originator = eui64(message.device), eui64(message.originator)
    header = (
        _element("RequestID", f"{originator}:{device}:{message.counter}")
        + _element("ResponseID", f"{device}:{originator}:{message.counter}")
        + _element("ResponseCode", code)
        + _element("ResponseDateTime", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    )
    body = _element("Body", _wrapped(_element("ResponseMessage", _service(message.srv)), wrapping))
    return _document("Response", _element("Header", header) + body).encode()


_XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
_SIGNATURE = (
    "<ds:Signature><ds:SignedInfo>"
    '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>'
    '<ds:Reference URI=""><ds:Transforms>'
    f'<ds:Transform Algorithm="{_XMLDSIG}enveloped-signature"/></ds:Transforms>'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
    f"<ds:DigestValue>{'A' * 43}=</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    f"<ds:SignatureValue>{'A' * 86}==</ds:SignatureValue></ds:Signature>"
)
