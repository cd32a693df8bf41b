"""What is written is what is read, and what is no message is refused."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.codecs import (
    CODECS,
    Answer,
    Codec,
    Flaw,
    Identity,
    Message,
    MessageError,
    MessageKind,
    PushedKind,
    Reply,
    codec_named,
    unauthorised_device,
)
from tasks.codecs.duis import eui64

_DUIS, _PLAIN = codec_named("duis"), codec_named("plain")
_XML_TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))
_MESSAGES = st.builds(
    Message,
    counter=st.integers(0, 2**64 - 1),
    srv=_XML_TEXT.filter(lambda text: 1 <= len(text) <= 80),
    device=st.text(st.characters(exclude_categories=["Cs"])),
    kind=st.sampled_from(MessageKind),
    originator=st.text(st.characters(exclude_categories=["Cs"])),
)
_MESSAGE = Message(counter=9001, srv="4.1.1", device="00-DB-12-34-56-78-90-A3", originator="90-B3-D5-1F-30-01-00-00")


@given(_MESSAGES)
@settings(derandomize=True, deadline=None)
def test_a_plain_message_is_read_as_it_was_written(message: Message) -> None:
    assert _PLAIN.read_message(_PLAIN.encode(message)) == message


@given(_MESSAGES)
@settings(derandomize=True, deadline=None)
def test_a_duis_message_is_read_as_it_was_written_with_euis_for_names(message: Message) -> None:
    read = _DUIS.read_message(_DUIS.encode(message))
    assert (read.counter, read.srv, read.kind) == (message.counter, message.srv, message.kind)
    assert (read.device, read.originator) == (eui64(message.device), eui64(message.originator))
    assert _DUIS.encode(read) == _DUIS.encode(message)


@given(_MESSAGES, st.sampled_from(Reply), st.sampled_from(CODECS))
@settings(derandomize=True, deadline=None)
def test_an_answer_is_read_as_it_was_meant(message: Message, reply: Reply, name: str) -> None:
    codec = codec_named(name)
    answer = codec.read_answer(*codec.answer(message, reply))
    assert answer.ok is (reply is Reply.DONE)
    assert answer.final


@given(st.binary(max_size=2000), st.integers(100, 599), st.sampled_from(CODECS))
@settings(derandomize=True, deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes, status: int, name: str) -> None:
    codec = codec_named(name)
    assert isinstance(codec.read_answer(status, body), Answer)
    with suppress(MessageError):
        assert codec.read_message(body)


def test_a_duis_request_has_the_published_header() -> None:
    document = _DUIS.encode(_MESSAGE).decode()
    assert (
        "<sr:Header><sr:RequestID>90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:9001</sr:RequestID>"
        "<sr:CommandVariant>1</sr:CommandVariant><sr:ServiceReference>4.1</sr:ServiceReference>"
        "<sr:ServiceReferenceVariant>4.1.1</sr:ServiceReferenceVariant></sr:Header>"
    ) in document
    assert 1000 <= len(document) <= 1500


def test_a_device_alert_comes_from_the_device_and_a_delivered_one_needs_no_document() -> None:
    alert = Message(
        counter=7, srv="8F36", device=_MESSAGE.device, kind=MessageKind.ALERT, originator=_MESSAGE.originator
    )
    document = _DUIS.encode(alert)
    assert b"<sr:ResponseID>00-DB-12-34-56-78-90-A3:90-B3-D5-1F-30-01-00-00:7</sr:ResponseID>" in document
    assert b"<sr:AlertCode>8F36</sr:AlertCode>" in document
    assert _DUIS.answer(alert, Reply.DONE) == (204, b"")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<R><H><ResponseCode>I0</ResponseCode></H></R>", Answer(ok=True, code="I0")),
        (200, b"<R><x:ResponseCode>I99</x:ResponseCode></R>", Answer(ok=True, code="I99", final=False)),
        (200, b"<R><sr:ResponseCode>E49</sr:ResponseCode></R>", Answer(ok=False, code="E49")),
        (200, b"<R>I0</R>", Answer(ok=False, code="malformed")),
        (200, b"<!DOCTYPE R><R><ResponseCode>I0</ResponseCode></R>", Answer(ok=False, code="malformed")),
        (503, b"<R><ResponseCode>I0</ResponseCode></R>", Answer(ok=False, code="HTTP 503")),
        (204, b"", Answer(ok=True, code="delivered")),
    ],
)
def test_a_duis_answer_is_judged_by_its_code(status: int, body: bytes, expected: Answer) -> None:
    assert _DUIS.read_answer(status, body) == expected


def test_plain_202_only_acknowledges() -> None:
    assert _PLAIN.read_answer(202, b"") == Answer(ok=True, code="202", final=False)


_WHOLE = _DUIS.encode(_MESSAGE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        _WHOLE[:-20],
        _WHOLE.replace(b"?><", b'?><!DOCTYPE x [<!ENTITY a "b">]><'),
        _WHOLE.replace(b"sr:Request ", b"sr:Response "),
        _WHOLE.replace(b"4.1.1", b"&secret;"),
        _WHOLE.replace(b"4.1.1", b"\xff\xfe"),
        _WHOLE.replace(b":9001", b":nine"),
        _WHOLE.replace(b"RequestID", b"Request-ID"),
        _WHOLE.replace(b"4.1.1", b"4" * 200),
        _WHOLE.decode().encode("utf-16"),
    ],
)
def test_what_is_no_duis_message_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        _DUIS.read_message(body)


@pytest.mark.parametrize("body", [b"", b"1 request 4.1.1 d", b"x request 4.1.1 d o", b"1 wish 4.1.1 d o", b"\xff"])
def test_what_is_no_plain_message_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        _PLAIN.read_message(body)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (_DUIS, Message(counter=2**64, srv="4.1.1", device="d")),
        (_DUIS, Message(counter=1, srv="", device="d")),
        (_DUIS, Message(counter=1, srv="4\x00", device="d")),
        (_PLAIN, Message(counter=1, srv="\ud800", device="d")),
    ],
)
def test_what_cannot_be_written_is_refused(codec: Codec, message: Message) -> None:
    with pytest.raises(MessageError):
        codec.encode(message)


def test_derived_euis_are_locally_administered_and_distinct() -> None:
    derived = {eui64(f"meter-{number}") for number in range(1000)}
    assert len(derived) == 1000
    assert all(int(eui[:2], 16) & 0b11 == 0b10 for eui in derived)


@given(_MESSAGES, st.sampled_from(Flaw), st.sampled_from(CODECS))
@settings(derandomize=True, deadline=None)
def test_a_flaw_is_carried_and_answered_with_an_error_of_its_own(message: Message, flaw: Flaw, name: str) -> None:
    codec = codec_named(name)
    assert codec.read_message(codec.encode(message)).flaw is message.flaw is None
    read = codec.read_message(codec.encode(message.flawed(flaw)))
    assert read.flaw is flaw
    codes = {reply: codec.read_answer(*codec.answer(read, reply)).code for reply in Reply}
    assert len(set(codes.values())) == len(Reply)
    expected = {
        ("duis", Flaw.UNKNOWN_SRV): "E1",
        ("duis", Flaw.UNAUTHORISED_DEVICE): "E4",
        ("duis", Flaw.UNREACHABLE_DEVICE): "E21",
        ("plain", Flaw.UNKNOWN_SRV): "422",
        ("plain", Flaw.UNAUTHORISED_DEVICE): "403",
        ("plain", Flaw.UNREACHABLE_DEVICE): "504",
    }
    assert codes[Reply.to(flaw)] == expected[name, flaw]


def test_unauthorised_devices_are_distinct_and_no_single_device_s() -> None:
    devices = {unauthorised_device(number) for number in (0, 1, 255, 256, 2**32 - 1)}
    assert "FF-FF-FF-FF-00-00-01-00" in devices
    assert len(devices) == 5
    assert all(eui64(device) == device and int(device[:2], 16) & 1 for device in devices)


def test_an_unknown_codec_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="'soap'; known: duis, plain"):
        codec_named("soap")


@pytest.mark.parametrize("codec", ["duis", "plain"])
@pytest.mark.parametrize("kind", list(MessageKind))
def test_a_writer_writes_what_encode_writes_and_the_server_reads(codec: str, kind: MessageKind) -> None:
    subject = codec_named(codec)
    message = Message(counter=1234567890123456, srv="4.1.1", device="meter 7", kind=kind, originator="user")
    written = subject.writer(kind, "4.1.1", "user")(subject.device_name("meter 7"), message.counter)
    assert written == subject.encode(message)
    assert subject.read_message(written).counter == message.counter


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<ResponseCode>I0</ResponseCode>", "I0"),
        (b"<sr:ResponseCode >I99</sr:ResponseCode>", "I99"),
        (b"<a>ResponseCode</a><b:ResponseCode>E5</b:ResponseCode>", "E5"),
        (b"<ResponseCode/><ResponseCode>I0</ResponseCode>", "I0"),
        (b"<ResponseCode>&lt;x</ResponseCode>", "<x"),
        (b"ResponseCode>I0</", "malformed"),
        (b"<ResponseCode>\xff</ResponseCode>", "malformed"),
        (b"<!DOCTYPE a><ResponseCode>I0</ResponseCode>", "malformed"),
    ],
)
def test_the_response_code_is_found_wherever_it_stands(body: bytes, code: str) -> None:
    assert codec_named("duis").read_answer(200, body).code == code


# --- what comes later -------------------------------------------------------------------------------------------------


@given(_MESSAGES, st.sampled_from(Reply), st.sampled_from(CODECS))
@settings(derandomize=True, deadline=None)
def test_a_response_and_its_acknowledgement_name_the_request_that_they_are_to(
    message: Message, reply: Reply, name: str
) -> None:
    codec = codec_named(name)
    read = codec.read_message(codec.encode(replace(message, kind=MessageKind.REQUEST)))  # alerts are not acknowledged
    identity = Identity(
        originator=codec.party_name(message.originator),
        target=codec.party_name(message.device),
        counter=message.counter,
    )
    status, acknowledgement = codec.acknowledge(read)
    answer = codec.read_answer(status, acknowledgement)
    assert (answer.ok, answer.final) == (True, False)
    assert codec.read_identity(acknowledgement) == identity
    pushed = codec.read_pushed(codec.response(read, reply))
    assert (pushed.kind, pushed.request) == (PushedKind.RESPONSE, identity)
    assert pushed.answer == codec.read_answer(*codec.answer(read, reply))


@pytest.mark.parametrize("name", CODECS)
def test_alerts_that_are_pushed_are_told_from_responses(name: str) -> None:
    codec = codec_named(name)
    alert = Message(counter=7, srv="8F36", device="d", kind=MessageKind.ALERT)
    assert codec.read_pushed(codec.encode(alert)).kind is PushedKind.DEVICE_ALERT
    assert codec.read_pushed(codec.encode(alert, ("Outer", "Inner"))).kind is PushedKind.DEVICE_ALERT
    assert codec.read_pushed(codec.system_alert("user", 7)).kind is PushedKind.SYSTEM_ALERT
    with pytest.raises(MessageError):
        codec.read_pushed(codec.encode(_MESSAGE))


def test_a_duis_response_repeats_the_request_s_id_and_stands_in_the_elements_declared() -> None:
    wrapped = _DUIS.response(_MESSAGE, Reply.DONE, ("Outer", "Inner")).decode()
    assert "<sr:RequestID>90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:9001</sr:RequestID>" in wrapped
    assert "<sr:Body><sr:Outer><sr:Inner><sr:ResponseMessage>" in wrapped
    assert "</sr:ResponseMessage></sr:Inner></sr:Outer></sr:Body>" in wrapped
    assert b"<sr:ResponseCode>I99</sr:ResponseCode>" in _DUIS.acknowledge(_MESSAGE)[1]
    assert _DUIS.answer(_MESSAGE, Reply.DONE, ("Outer",))[1].count(b"sr:Outer") == 2


@pytest.mark.parametrize(
    "identity",
    [
        "90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3",
        "90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:",
        "90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:01",
        "90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:-1",
        f"90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:{2**64}",
        "90-b3-d5-1f-30-01-00-00:00-DB-12-34-56-78-90-A3:1",
        "90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:1:2",
        " 90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:1",
    ],
)
def test_a_request_id_is_exactly_originator_target_counter(identity: str) -> None:
    own = "90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A3:9001"
    request = _WHOLE.replace(own.encode(), identity.encode())
    response = _DUIS.response(_MESSAGE, Reply.DONE).replace(own.encode(), identity.encode())
    assert request != _WHOLE
    with pytest.raises(MessageError):
        _DUIS.read_message(request)
    with pytest.raises(MessageError):
        _DUIS.read_pushed(response)
    assert _DUIS.read_identity(response) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<R/>",
        _DUIS.response(_MESSAGE, Reply.DONE)[:-10],
        _DUIS.response(_MESSAGE, Reply.DONE).replace(b"ResponseCode", b"Code"),
        _DUIS.response(_MESSAGE, Reply.DONE).replace(b"?><", b"?><!DOCTYPE x><", 1),
    ],
)
def test_what_is_no_duis_response_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        _DUIS.read_pushed(body)


@pytest.mark.parametrize(
    "body",
    [
        b"response 200 1 d",
        b"response 2000 1 d u",
        b"response " + b"9" * 5000 + b" 1 d u",
        b"response 200 -1 d u",
        b"acknowledged 202 1 d u",
    ],
)
def test_what_is_no_plain_response_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        _PLAIN.read_pushed(body)
