"""Rows written as each tool writes them read back as the same rows, by DuckDB and line by line alike."""

import base64
import csv
import io
import json
import struct
import zlib
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from xml.sax.saxutils import quoteattr

import pytest
from files import adds_up, read, taken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.intake.gatling_binary import GatlingBinary
from tasks.intake.gatling_text import GatlingText
from tasks.intake.histogram import decoded
from tasks.intake.jmeter_csv import JMeterCsv
from tasks.intake.k6_csv import K6Csv
from tasks.intake.k6_json import K6Json
from tasks.intake.lines import LineCount
from tasks.intake.mapped import Mapped

few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=150, deadline=None, derandomize=True)

START = 1_795_480_000_000
printable = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
messages = st.text(st.sampled_from("ab,;\t\"\n'é€ -0"), max_size=12)
labels = printable.filter(lambda text: not text[-1].isdigit())
sample = st.fixed_dictionaries(
    {
        "at": st.integers(START, START + 10**6),
        "elapsed": st.integers(0, 10**6),
        "label": labels,
        "code": st.sampled_from(
            [
                "200",
                "500",
                "404",
                "Non HTTP response code: java.net.SocketTimeoutException",
                "Non HTTP response code: java.net.ConnectException",
            ]
        ),
        "message": messages,
        "thread": printable,
        "success": st.booleans(),
        "bytes": st.integers(0, 10**9),
        "threads": st.integers(1, 500),
    }
)


def outcome(each):
    if each["success"]:
        return "ok"
    return "timeout" if "Timeout" in each["code"] else "refused" if "Connect" in each["code"] else "error"


def jmeter_row(each):
    status = int(each["code"]) if each["code"].isdigit() else 0
    sent, done = each["at"] * 1000, (each["at"] + each["elapsed"]) * 1000
    return each["label"], None, sent, done, status, outcome(each), each["bytes"], each["threads"]


COLUMNS = {
    "timeStamp": lambda each: each["at"],
    "elapsed": lambda each: each["elapsed"],
    "label": lambda each: each["label"],
    "responseCode": lambda each: each["code"],
    "responseMessage": lambda each: each["message"],
    "threadName": lambda each: each["thread"],
    "success": lambda each: str(each["success"]).lower(),
    "bytes": lambda each: each["bytes"],
    "allThreads": lambda each: each["threads"],
}


@few
@given(
    samples=st.lists(sample, max_size=20),
    order=st.permutations(list(COLUMNS)),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    appended=st.booleans(),
)
def test_jmeter_csv_in_any_order_of_columns_delimiter_and_line_ends(samples, order, delimiter, end, bom, appended):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(order)
    for place, each in enumerate(samples):
        if appended and place == len(samples) // 2:
            writer.writerow(order)
        writer.writerow([COLUMNS[name](each) for name in order])
    data = (b"\xef\xbb\xbf" if bom else b"") + out.getvalue().encode()
    format_, rows, account, _ = taken(data)
    assert format_.name == "jmeter-csv"
    assert adds_up(account)
    assert account.headers == 1 + (appended and bool(samples))
    slow, _, _, slowly = read(data, JMeterCsv())
    assert slow == [jmeter_row(each) for each in samples]
    assert Counter(rows) == Counter(slow)
    assert (slowly.accounted, slowly.total) == (account.accounted, account.total)


@few
@given(samples=st.lists(sample, min_size=1, max_size=8), foreign=st.binary(min_size=1, max_size=6))
def test_bytes_of_a_foreign_encoding_in_a_label_are_all_kept(samples, foreign):
    foreign = bytes(byte for byte in foreign if byte not in b'\0\r\n,"') or b"\xe9"
    lines = [b"timeStamp,elapsed,label,success"]
    lines += [f"{each['at']},{each['elapsed']},".encode() + b"x" + foreign + b",true" for each in samples]
    _, rows, account, _ = taken(b"\n".join(lines))
    assert adds_up(account)
    assert account.taken == len(samples)
    (label,) = {row[0] for row in rows}
    assert label in {(b"x" + foreign).decode("latin-1"), (b"x" + foreign).decode("utf-8", "replace")}


@pytest.mark.parametrize("number", ["12.7", "1e3", " 5", "0x10", "+7", "1_000", "-3", ""])
def test_what_is_no_whole_number_is_skipped_with_its_line_and_never_becomes_one(number):
    """DuckDB reads 12.7 as 13, 1e3 as 1000 and 0x10 as 16 where it is asked for whole numbers."""
    data = f"timeStamp,elapsed,label,success\n{START},1,a,true\n{START},{number},b,true\n".encode()
    _, rows, account, _ = taken(data)
    if number == " 5":  # blanks around a number change nothing about it
        assert [row[3] - row[2] for row in rows] == [1000, 5000]
    else:
        assert len(rows) == 1
        assert [(each.count, each.lines) for each in account.skipped.values()] == [(1, [3])]


@pytest.mark.parametrize(
    ("unit", "rows", "expected"),
    [
        ("s", ["1795480000,1795480001,1795480000", "1795480003,1795480007,1795480001"], 1_000_000),
        ("s", ["1795480000.25,1795480001.5,1795480000.0", "1795480003,1795480007,1795480001"], 100_000),
        ("ms", ["1795480000000,1795480001000,1795480000000"], 1_000_000),  # however many digits it writes
        ("ms", ["1795480000001,1795480000003,1795480000000", "1795480000005,1795480000017,1795480000001"], 1000),
        ("us", ["1795480000000001,1795480000000003,1795480000000000"], 0),
        ("s", ["2026-11-24T00:35:00.5Z,2026-11-24T00:35:00.25Z,2026-11-24T00:35:00Z"], 1_000_000),
    ],
)
def test_how_fine_a_declared_tables_times_are_is_seen_from_them(unit, rows, expected):
    columns = {"sent": "sent", "done": "done", "intended": "due"}
    flat = [row.split(",") for row in rows]
    data = "\n".join(["sent,done,due", *(",".join([min(row[:2]), max(row[:2]), row[2]]) for row in flat)]) + "\n"
    *_, account = read(data.encode(), Mapped(), columns=columns, time_unit=unit)
    assert account.taken == len(rows)
    assert account.capability.resolution_us == expected


def test_a_transaction_in_the_place_of_its_samples_is_skipped_by_either_way_of_reading():
    within = '"Number of samples in transaction : 1, number of failing samples : 0"'
    head = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success\n"
    told = f"{START},9,a,200,OK,T 1,true\n{START},9,J,200,{within},T 1,true\n"
    _, rows, account, _ = taken((head + told).encode())
    assert (len(rows), account.skips, sum(account.beside.values())) == (1, 0, 1)
    for other in (f"{START + 50},9,P,200,{within},T 1,true\n", f"{START},9,P,200,{within},T 2,true\n"):
        _, rows, account, _ = taken((head + told + other).encode())
        assert (len(rows), sum(account.beside.values())) == (1, 1)
        (skipped,) = account.skipped.values()
        assert (skipped.count, skipped.lines) == (1, [4])
        assert [each.code for each in account.findings] == ["samples-missing"]
        assert adds_up(account)


def test_a_row_that_stands_for_several_samples_is_none_of_them():
    head = "timeStamp,elapsed,label,responseCode,threadName,success,SampleCount\n"
    data = (head + "".join(f"{START},9,a,200,T 1,true,{count}\n" for count in ("1", "4", "0", ""))).encode()
    xml = "".join(f'<httpSample t="9" ts="{START}" lb="a" s="true" rc="200" sc="{count}"/>' for count in ("1", "4"))
    for read_as, kept in ((data, 3), (f'<testResults version="1.2">{xml}</testResults>'.encode(), 1)):
        _, rows, account, _ = taken(read_as)
        assert len(rows) == kept
        assert [(each.count, "several samples" in why) for why, each in account.skipped.items()] == [(1, True)]
        assert adds_up(account)


def test_transactions_and_parts_are_not_counted_twice():
    head = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,bytes\n"
    rows = [
        f"{START},90,Page,200,OK,T 1-1,true,10",
        f"{START},40,Page-0,302,Found,T 1-1,true,5",
        f"{START + 40},50,Page-1,200,OK,T 1-1,true,5",
        f'{START},95,Journey,200,"Number of samples in transaction : 1, number of failing samples : 0",T 1-1,true,10',
        f"{START + 500},40,Page-1,200,OK,T 1-2,true,5",  # not within a Page of that thread: a message of its own
    ]
    _, found, account, _ = taken((head + "\n".join(rows)).encode())
    assert [row[0] for row in found] == ["Page", "Page-1"]
    assert sum(account.beside.values()) == 3
    assert adds_up(account)


def test_a_file_without_header_is_read_by_jmeters_default_columns():
    line = f"{START},12,Read,200,OK,T 1-1,text,true,,900,345,50,50,http://x/,11,0,2\n"
    format_, rows, account, _ = taken(line.encode() * 3)
    assert format_.name == "jmeter-csv"
    assert len(rows) == 3
    assert account.headers == 0
    assert "default 17" in account.noted["columns"]


def test_a_quote_that_never_ends_spoils_its_own_line_only():
    lines = ["timeStamp,elapsed,label,success", f'{START},1,"a,true', f"{START},2,b,true", f"{START},3,c,true"]
    _, rows, account, _ = taken("\n".join(lines).encode())
    assert [row[0] for row in rows] == ["b", "c"]
    assert account.skipped["a quoted field that does not end"].lines == [2]
    assert adds_up(account)


@few
@given(samples=st.lists(sample, max_size=12), nested=st.booleans())
def test_jmeter_xml_counts_messages_and_not_their_parts(samples, nested):
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n<testResults version="1.2">\n']
    for each in samples:
        said = {"t": each["elapsed"], "ts": each["at"], "s": str(each["success"]).lower(), "lb": each["label"]}
        said |= {"rc": each["code"], "rm": "OK", "tn": each["thread"], "by": each["bytes"], "na": each["threads"]}
        told = " ".join(f"{name}={quoteattr(str(value))}" for name, value in said.items())
        inner = "<httpSample t='1' ts='1' s='true' lb='part'/>" if nested else "<java.net.URL>http://x</java.net.URL>"
        parts.append(f"<httpSample {told}>{inner}</httpSample>\n")
    parts.append("</testResults>\n")
    data = "".join(parts).encode()
    format_, rows, account, _ = taken(data)
    assert format_.name == "jmeter-xml"
    assert rows == [jmeter_row(each) for each in samples]
    assert account.total == len(samples) * (2 if nested else 1)
    assert adds_up(account)


def test_samples_within_a_transaction_in_xml_are_messages_and_the_transaction_is_none():
    data = (
        f'<testResults version="1.2"><sample t="9" ts="{START}" lb="J" s="true" '
        f'rm="Number of samples in transaction : 1, number of failing samples : 0">'
        f'<httpSample t="5" ts="{START}" lb="a" s="true" rc="200"/></sample></testResults>'
    ).encode()
    _, rows, account, _ = taken(data)
    assert [row[0] for row in rows] == ["a"]
    assert account.beside == {"a transaction controller: its samples are counted": 1}


dots = st.decimals(min_value=0, max_value=99999, places=6)


def half_even(ms):
    return int((Decimal(ms) * 1000).to_integral_value(rounding=ROUND_HALF_EVEN))


@few
@given(
    points=st.lists(
        st.tuples(dots, st.integers(0, 10**5), labels.filter(lambda t: '"' not in t and "," not in t)), max_size=15
    ),
    unit=st.sampled_from([("s", 10, 10**6), ("ms", 13, 10**3), ("us", 16, 1), ("ns", 19, Decimal("0.001"))]),
    other=st.integers(0, 3),
)
def test_k6_csv_rounds_half_even_by_either_way_of_reading(points, unit, other):
    _, digits, factor = unit
    base = 1_795_480_000 * 10 ** (digits - 10)
    lines = ["metric_name,timestamp,metric_value,error,error_code,expected_response,name,status,extra_tags"]
    expected = []
    for ms, later, label in points:
        lines.append(f"http_req_duration,{base + later},{ms:f},,,true,{label},200,")
        lines += [f"http_req_waiting,{base + later},1.000000,,,true,{label},200,"] * other
        done = int((Decimal(base + later) * factor).to_integral_value(rounding=ROUND_HALF_EVEN))
        expected.append((label, None, done - half_even(ms), done, 200, "ok", 0, 0))
    data = ("\n".join(lines) + "\n").encode()
    format_, rows, account, _ = taken(data)
    assert format_.name == "k6-csv"
    assert Counter(rows) == Counter(expected)
    assert read(data, K6Csv())[0] == expected
    assert adds_up(account)
    assert sum(account.beside.values()) == other * len(points)


@few
@given(
    points=st.lists(
        st.tuples(
            st.decimals(min_value=0, max_value=99999, places=9),
            st.integers(0, 10**9 - 1),
            st.integers(0, 9),
            labels,
            st.sampled_from(["Z", "+01:00", "-05:30"]),
        ),
        max_size=15,
    )
)
def test_k6_json_rounds_half_even_by_either_way_of_reading(points):
    lines = ['{"type":"Metric","data":{"name":"http_req_duration","type":"trend"},"metric":"http_req_duration"}']
    expected = []
    away = {"Z": 0, "+01:00": 3600, "-05:30": -19800}
    for ms, nanos, second, label, zone in points:
        fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
        tags = json.dumps({"name": label, "status": "500", "expected_response": "false", "error": "dial: timeout"})
        lines.append(
            f'{{"metric":"http_req_duration","type":"Point","data":{{"time":"2026-11-24T00:35:0{second}{fraction}{zone}"'
            f',"value":{ms:f},"tags":{tags}}}}}'
        )
        lines.append('{"metric":"vus","type":"Point","data":{"time":"2026-11-24T00:35:00Z","value":2,"tags":null}}')
        done = (1_795_480_500 + second - away[zone]) * 10**6
        done += int((Decimal(nanos) / 1000).to_integral_value(rounding=ROUND_HALF_EVEN))
        expected.append((label, None, done - half_even(ms), done, 500, "timeout", 0, 0))
    data = ("\n".join(lines) + "\n").encode()
    format_, rows, account, _ = taken(data)
    assert format_.name == "k6-json"
    assert read(data, K6Json())[0] == expected
    assert Counter(rows) == Counter(expected)
    assert adds_up(account)


def test_iterations_that_k6_dropped_are_a_finding():
    point = '{"metric":"%s","type":"Point","data":{"time":"2026-11-24T00:35:00Z","value":%s,"tags":{"status":"200"}}}'
    data = "\n".join([point % ("http_req_duration", "1.5"), point % ("dropped_iterations", "3")]).encode()
    _, rows, account, _ = taken(data)
    assert len(rows) == 1
    assert [each.code for each in account.findings] == ["load-dropped"]


gatling_names = st.text(st.characters(min_codepoint=32, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=10)
request = st.tuples(
    st.lists(gatling_names.filter(bool), max_size=2), gatling_names.filter(bool), st.integers(0, 10**6),
    st.integers(0, 10**5), st.booleans(),
)  # fmt: skip


@many
@given(requests=st.lists(request, max_size=20), old=st.booleans())
def test_gatling_text_of_either_age(requests, old):
    lines = ["RUN\tcomputerdatabase.Basic\tbasic\t1795480000000\t \t3.11.5", "USER\tscn\tSTART\t1795480000000"]
    expected = []
    for groups, name, start, took, ok in requests:
        name, path = name.strip() or "n", ",".join(each.strip(", ") or "g" for each in groups)
        at, end = START + start, START + start + took
        status = "OK" if ok else "KO"
        lines.append("\t".join(["REQUEST", *(["7"] if old else []), path, name, str(at), str(end), status, " "]))
        label = f"{path}/{name}".strip("/ ") if path.strip() else name
        expected.append((label, None, at * 1000, end * 1000, 0, "ok" if ok else "error", 0, 1))
    rows, _, _, account = read("\n".join(lines).encode(), GatlingText())
    assert rows == expected
    assert adds_up(account)


class Binary:
    """Gatling's binary log as its LogFileDataWriter puts it."""

    def __init__(self):
        self.out = bytearray()
        self.seen = {}

    def string(self, text):
        try:
            data, coder = text.encode("latin-1"), 0
        except UnicodeEncodeError:
            data, coder = text.encode("utf-16-le"), 1
        self.out += struct.pack(">i", len(data)) + (data + bytes([coder]) if data else b"")

    def cached(self, text):
        if text in self.seen:
            self.out += struct.pack(">i", -self.seen[text])
        else:
            self.seen[text] = len(self.seen) + 1
            self.out += struct.pack(">i", self.seen[text])
            self.string(text)

    def run(self):
        self.out += b"\0"
        self.string("3.13.4")
        self.string("computerdatabase.Basic")
        self.out += struct.pack(">q", START)
        self.string("a run")
        self.out += struct.pack(">i", 1)
        self.string("scn")
        self.out += struct.pack(">i", 1) + struct.pack(">i", 3) + b"abc"

    def request(self, groups, name, start, end, ok, message):
        self.out += b"\1" + struct.pack(">i", len(groups))
        for each in groups:
            self.cached(each)
        self.cached(name)
        self.out += struct.pack(">iiB", start, end, ok)
        self.cached(message)

    def user(self, *, start):
        self.out += b"\2" + struct.pack(">iBi", 0, start, 5)


@many
@given(
    requests=st.lists(
        st.tuples(
            st.lists(printable, max_size=2), printable, st.integers(0, 10**6), st.integers(0, 10**5), st.booleans()
        ),
        max_size=20,
    )
)
def test_gatling_binary(requests):
    log = Binary()
    log.run()
    log.user(start=1)
    expected = []
    for groups, name, start, took, ok in requests:
        log.request(groups, name, start, start + took, ok, "" if ok else "timed out")
        at = (START + start) * 1000
        expected.append(("/".join([*groups, name]), None, at, at + took * 1000, 0, "ok" if ok else "timeout", 0, 1))
    assert GatlingBinary().recognises(bytes(log.out)) == 3
    rows, _, _, account = read(bytes(log.out), GatlingBinary())
    assert rows == expected
    assert account.version == "3.13.4"
    assert adds_up(account)


def test_gatlings_binary_log_cut_short_gives_what_stands_before_the_cut():
    log = Binary()
    log.run()
    for number in range(3):
        log.request([], "n", number, number + 1, 1, "")
    rows, _, _, account = read(bytes(log.out[:-3]), GatlingBinary())
    assert len(rows) == 2
    assert [each.code for each in account.findings] == ["truncated"]
    assert account.skips == 1


def zigzag(value):
    value = (value << 1) ^ (value >> 63)
    value &= (1 << 64) - 1
    out = bytearray()
    for _ in range(8):
        if value < 0x80:
            out.append(value)
            return bytes(out)
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@many
@given(
    counts=st.dictionaries(st.integers(0, 3000), st.integers(1, 2**31 - 1), min_size=1, max_size=20),
    version=st.sampled_from([0, 1, 2]),
    compressed=st.booleans(),
)
def test_histograms_of_all_three_versions_are_the_same(counts, version, compressed):
    last = max(counts)
    if version == 2:
        body, at = bytearray(), 0
        for index in sorted(counts):
            body += (zigzag(at - index) if index > at else b"") + zigzag(counts[index])
            at = index + 1
    else:
        body = b"".join(struct.pack(">q", counts.get(index, 0)) for index in range(last + 1))
    if version == 0:
        data = struct.pack(">iiqqq", 0x1C849308 | 0x80, 3, 1, 3_600_000_000, sum(counts.values())) + body
    else:
        cookie = 0x1C849301 | 0x80 if version == 1 else 0x1C849303 | 0x10
        data = struct.pack(">iiiiqqd", cookie, len(body), 0, 3, 1, 3_600_000_000, 1.0) + body
    if compressed:
        packed = zlib.compress(data)
        cookie = {0: 0x1C849309 | 0x80, 1: 0x1C849302 | 0x80, 2: 0x1C849304 | 0x10}[version]
        data = struct.pack(">ii", cookie, len(packed)) + packed
    found = decoded(base64.b64encode(data).decode())
    assert found.total == sum(counts.values())
    assert sorted(found.counts.values()) == sorted(counts.values())
    small = {index: count for index, count in counts.items() if index < 2048}  # a bucket for each value
    assert {value: count for value, count in found.counts.items() if value < 2048} == small


@many
@given(
    records=st.lists(st.lists(st.text(st.sampled_from('a"\n\r ,'), max_size=4), min_size=1, max_size=3), max_size=10),
    blank=st.integers(0, 2),
    chunk=st.integers(1, 40),
    end=st.sampled_from(["\n", "\r\n"]),
    ended=st.booleans(),
)
def test_lines_are_counted_alike_however_the_bytes_come(records, blank, chunk, end, ended):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    continued = 0
    for record in records:
        writer.writerow(record)
        continued += sum(field.count("\n") for field in record)
        out.write(end * blank)
    data = out.getvalue().encode()
    data = data if ended or blank else data.removesuffix(end.encode())
    count = LineCount()
    for at in range(0, len(data), chunk):
        count.add(data[at : at + chunk])
    assert count.sound
    assert count.continued == continued
    assert count.blank == blank * len(records)
    assert count.lines == len(records) * (1 + blank) + continued
