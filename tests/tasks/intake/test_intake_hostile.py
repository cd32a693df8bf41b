"""Whatever the bytes: a clear error, or an account that adds up. Truncated, garbled and hostile files."""

import io
import json
import random
import struct
import zlib

import pytest
from files import SAMPLES, adds_up, read, survives, taken
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.intake.format import SubmittedError
from tasks.intake.gob import GobError, values
from tasks.intake.histogram import decoded
from tasks.intake.jmeter_xml import JMeterXml
from tasks.intake.json_lines import parsed
from tasks.intake.numbers import decimal_of, instant_us, micros
from tasks.intake.recognise import FORMATS

STATED = {"value_unit": "us", "timezone": "", "time_unit": "ms"}
MAPPING = {"sent": "timeStamp", "elapsed": "elapsed", "label": "label"}

JTL = b"timeStamp,elapsed,label,responseCode,threadName,success\n" + b'1795480000000,12,"a ""b"", c",200,T 1,true\n' * 5
XML = (
    b'<?xml version="1.0"?><testResults version="1.2">'
    + b'<httpSample t="5" ts="1795480000000" lb="a" s="true" rc="200"><sample t="1" ts="1" lb="b"/></httpSample>' * 5
    + b"</testResults>"
)
K6 = b"metric_name,timestamp,metric_value,name,status\n" + b"http_req_duration,1795480000,1.500000,a,200\n" * 5
K6J = b'{"metric":"http_req_duration","type":"Point","data":{"time":"2026-11-24T00:35:00Z","value":1,"tags":{}}}\n' * 5
SUMMARY = json.dumps({"metrics": {"http_req_duration": {"med": 1.5, "p(95)": 3}, "http_reqs": {"count": 5}}}).encode()
GATLING = b"RUN\ta\tb\t1795480000000\t \t3.11\nREQUEST\tg\tn\t1795480000000\t1795480000005\tOK\t \n" * 5
PROMETHEUS = json.dumps(
    {"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"__name__": "x_bytes", "instance": "h"}, "values": [[1795480000.5, "12"], [1795480001, "NaN"]]}]}}
).encode()  # fmt: skip
EXPOSED = b'# TYPE a counter\na{b="c"} 1 1795480000000\na 2\n'
SADF = b"# hostname;interval;timestamp;CPU;%user;%idle\nh;1;2026-11-24 00:35:00 UTC;-1;10.5;80.25\n" * 3
SAR = b"Linux 6.1 (h) \t11/24/2026 \t_x86_64_\t(2 CPU)\n\n12:00:01 AM CPU %user %idle\n12:00:02 AM all 1.00 90.00\n" * 3
VMSTAT = (
    b"procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu----- -----timestamp-----\n"
    b" r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st                 UTC\n"
    + b" 1  0      0 100000   2000 300000    0    0     1     2  100  200  5  3 92  0  0 2026-11-24 00:35:00\n"
    * 3
)
NMON = (
    b"AAA,host,h\nCPU_ALL,CPU Total h,User%,Sys%,Wait%,Idle%\nZZZZ,T0001,00:35:00,24-NOV-2026\nCPU_ALL,T0001,1,2,3,94\n"
)
WATCH = json.dumps(
    {"Label": "CPUUtilization", "Datapoints": [
        {"Timestamp": "2026-11-24T00:35:00Z", "Average": 12.5, "Unit": "Percent"}]}
).encode()  # fmt: skip
WATCH_CSV = b"Full label,CPUUtilization\nLabel,CPUUtilization\n2026/11/24 00:35:00,12.5\n"
SEEDS = {
    "jmeter-csv": JTL, "jmeter-xml": XML, "k6-csv": K6, "k6-json": K6J, "k6-summary": SUMMARY, "gatling-text": GATLING,
    "prometheus-range": PROMETHEUS, "prometheus-text": EXPOSED, "sadf": SADF, "sar": SAR, "vmstat": VMSTAT,
    "nmon": NMON, "cloudwatch-json": WATCH, "cloudwatch-csv": WATCH_CSV, "mapped": JTL,
    "sadf-json": b'{"sysstat":{"hosts":[{"nodename":"h","statistics":[{"timestamp":{"date":"2026-11-24",'
                 b'"time":"00:35:00","utc":1},"cpu-load":[{"cpu":"all","user":1.0,"idle":90.5}]}]}]}}',
    "gatling-binary": b"\0" + struct.pack(">i", 4) + b"3.13\0" + struct.pack(">i", 1) + b"a\0"
                      + struct.pack(">q", 1795480000000) + b"\0" * 12
                      + b"\1" + struct.pack(">iii", 0, 1, 1) + b"n\0" + struct.pack(">iiBi", 1, 2, 1, 2) + b"\0\0\0\0",
}  # fmt: skip
SEEDS["jmeter-statistics"] = json.dumps(
    {"Total": {"sampleCount": 5, "errorCount": 1, "meanResTime": 50.5, "pct1ResTime": 90.9}}
).encode()
SEEDS["locust"] = (SAMPLES / "locust_stats.csv").read_bytes()
for _file in sorted(SAMPLES.iterdir()):
    for _format in FORMATS:
        if _format.recognises(_file.read_bytes()[:65536]) > 1:
            SEEDS.setdefault(_format.name, _file.read_bytes()[:6000])
KNOWN = {each.name: each for each in FORMATS}


def seeded(seed):
    return random.Random(seed)  # noqa: S311  # the same damage every time


def stated(name):
    return {**STATED, **({"columns": MAPPING} if name == "mapped" else {})}


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
    for each in FORMATS:
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
