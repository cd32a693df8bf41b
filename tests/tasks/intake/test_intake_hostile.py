"""Whatever the bytes: a clear error, or an account that adds up. Truncated, garbled and hostile files."""

import io
import random
import struct
import zlib

import pytest
from files import adds_up, read, survives, taken
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from seeds import JTL, SEEDS, XML, stated

from tasks.intake.format import SubmittedError
from tasks.intake.gob import GobError, values
from tasks.intake.histogram import decoded
from tasks.intake.jmeter_xml import JMeterXml
from tasks.intake.json_lines import parsed
from tasks.intake.numbers import decimal_of, instant_us, micros
from tasks.intake.recognise import formats

KNOWN = {each.name: each for each in formats()}


def seeded(seed):
    return random.Random(seed)  # noqa: S311  # the same damage every time


def test_there_is_a_seed_for_every_format_and_each_reads_it():
    assert SEEDS.keys() == KNOWN.keys()
    for name, seed in SEEDS.items():
        *rows, account = read(seed, KNOWN[name], **stated(name))
        assert any(rows), name
        assert adds_up(account), name


@pytest.mark.parametrize("name", SEEDS)
def test_every_truncation_of_a_file_is_read_or_refused(name):
    seed = SEEDS[name]
    chosen = seeded(len(seed)).sample(range(len(seed)), min(60, len(seed)))
    for cut in chosen:
        assert survives(seed[:cut], KNOWN[name], **stated(name)), cut


@pytest.mark.parametrize("name", SEEDS)
def test_bytes_changed_at_random_are_read_or_refused(name):
    rng = seeded(name)
    for _ in range(60):
        data = bytearray(SEEDS[name])
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 9)]
                case 2:
                    data[at:at] = bytes(rng.choices(b'\0\n"\r,{[<&9-.\xff', k=rng.randrange(1, 9)))
                case 3:
                    data[at:at] = data[: rng.randrange(40)]
            if not data:
                data = bytearray(b"x")
        assert survives(bytes(data), KNOWN[name], **stated(name)), bytes(data)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=300), prefix=st.sampled_from(sorted(SEEDS)), length=st.integers(0, 80))
def test_no_reader_raises_anything_but_a_clear_error(data, prefix, length):
    whole = SEEDS[prefix][:length] + data
    for each in formats():
        each.recognises(whole)
    assert survives(whole, KNOWN[prefix], **stated(prefix))


@pytest.mark.parametrize("name", ["jmeter-csv", "k6-csv", "k6-json"])
def test_damaged_files_come_out_the_same_by_duckdb_and_line_by_line(name):
    rng = seeded(name)
    for _ in range(6):
        data = bytearray(SEEDS[name])
        for _ in range(3):
            at = rng.randrange(60, len(data))
            data[at : at + rng.randrange(3)] = bytes(rng.choices(b'\n"\r,9\xe9x', k=rng.randrange(1, 4)))
        _, rows, account, _ = taken(bytes(data), KNOWN[name])
        slow, _, _, slowly = read(bytes(data), KNOWN[name])
        assert adds_up(account)
        assert sorted(rows, key=str) == sorted(slow, key=str)
        assert account.total == slowly.total


def test_xml_with_entities_or_a_document_type_is_refused():
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><testResults>&b;</testResults>'
    )
    outside = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><testResults/>'
    for hostile in (bomb, outside):
        with pytest.raises(SubmittedError, match=r"submitted:1:\d+: expected results, found a document type"):
            read(hostile, JMeterXml())


def test_xml_that_is_too_deep_or_one_endless_tag_is_refused():
    with pytest.raises(SubmittedError, match="nested"):
        read(b"<testResults>" + b"<a>" * 1000, JMeterXml())
    with pytest.raises(SubmittedError, match="single tag"):
        read(b'<testResults a="' + b"x" * (20 << 20), JMeterXml())


def test_a_truncated_xml_says_where_and_keeps_what_was_readable():
    *_, account = read(XML[:-60], JMeterXml())
    (finding,) = account.findings
    assert finding.code == "truncated"
    assert "submitted:1:" in finding.message
    assert account.taken >= 4


def test_a_line_longer_than_a_megabyte_is_skipped_and_not_held():
    data = JTL + b"1795480000000," + b"9" * (3 << 20) + b"\n" + JTL.splitlines()[1]
    *_, account = read(data, KNOWN["jmeter-csv"])
    assert [reason for reason in account.skipped if "longer" in reason]
    assert account.taken == 6
    assert adds_up(account)


def test_a_histogram_that_unfolds_without_end_is_refused():
    import base64

    packed = zlib.compress(b"\0" * (80 << 20), 9)
    with pytest.raises(ValueError, match="larger"):
        decoded(base64.b64encode(struct.pack(">ii", 0x1C849314, len(packed)) + packed).decode())


def test_gob_that_claims_more_than_there_is_ends():
    for data in (b"\x7f", b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff", b"\x02\x01\x01", b"\x80"):
        with pytest.raises(GobError):
            list(values(io.BytesIO(data)))


def test_json_nested_beyond_any_result_is_none():
    assert parsed(b"[" * 100_000) is None
    assert parsed(b"[" * 100 + b"]" * 100) is None
    assert parsed(b'{"a": "[[[[[[[[[[' + b"[" * 100 + b'"}') == {"a": "[" * 110}
    assert parsed(b'{"a": NaN}') is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(max_size=30))
@example("1e999999999")
@example("9" * 400)
@example("٣")
@example("2026-02-30T00:00:00Z")
@example("0000-01-01T00:00:00Z")
@example("9999-12-31T23:59:60.999999999-23:59")
def test_numbers_and_times_are_one_or_none_and_never_raise(text):
    assert decimal_of(text) is None or decimal_of(text).is_finite()
    assert micros(text, "s") is None or isinstance(micros(text, "s"), int)
    assert instant_us(text) is None or isinstance(instant_us(text), int)
