"""What DuckDB reads and what is read one by one are the same: rows, account and refusals, whatever the file."""

import random
from pathlib import Path

import pandas as pd
import pytest
from files import adds_up, read, taken
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.intake import jmeter_csv, jmeter_xml_bulk
from tasks.intake.delimited import Row
from tasks.intake.format import Account, Samples, Source, SubmittedError
from tasks.intake.jmeter_csv import JMeterCsv
from tasks.intake.jmeter_xml import JMeterXml
from tasks.intake.k6_json import K6Json
from tasks.intake.staging import connect, stage
from tasks.intake.table import Meaning, labels_of, write_results
from tasks.parquet import read_table

START = 1_795_480_000_000
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<testResults version="1.2">\n'
CONTROLLER = "Number of samples in transaction : 2, number of failing samples : 0"
values = st.sampled_from(
    ["200", "500", "", "Non HTTP response code: java.net.SocketTimeoutException", "&quot;20", " 404"]
)
labels = st.sampled_from(
    ["a", "a b", "a &amp; b", "&lt;x&gt;", "&amp;lt;", "&#65;", "tab\there", "ünï", "x/>y", "a'b", "<", "&", 'a" rc="1']
)
numbers = st.sampled_from(
    ["0", "5", "007", "1e2", "12.7", " 5", "-3", "", "+5", "0x10", "\u00a05\t", "9" * 13, str(2**43)]
)


@st.composite
def tags(draw, depth=0):
    """One sample as JMeter, or somebody else, might write it."""
    said = {"t": draw(st.just("12") | numbers), "ts": str(START + draw(st.integers(0, 9)))}
    said |= {"s": draw(st.sampled_from(["true", "false", ""])), "lb": draw(st.just("Read inventory") | labels)}
    said |= {"rc": draw(values), "rm": draw(st.sampled_from(["OK", "OK", CONTROLLER, "No&#10;way", "N&amp;o"]))}
    said |= {"tn": "T 1-1", "by": draw(st.sampled_from(["900", "x", "007"])), "na": "5"}
    if draw(st.integers(0, 9)) == 0:
        said.pop(draw(st.sampled_from(sorted(said))))
    told = draw(st.sampled_from([" ", " ", " ", "\n", "  "])).join(f'{name}="{value}"' for name, value in said.items())
    element, pad = draw(st.sampled_from(["httpSample", "sample"])), "  " * depth
    if draw(st.booleans()):
        return f"{pad}<{element} {told}{draw(st.sampled_from(['/>', '/>', ' />']))}\n"
    inner = draw(
        st.sampled_from(["", '  <java.net.URL>http://x/"y"</java.net.URL>\n', "<b>1 > 0</b>\n", "<!-- <sample -->"])
    )
    if depth < 3:
        inner += "".join(draw(st.lists(tags(depth=depth + 1), max_size=2)))
    return f"{pad}<{element} {told}>\n{inner}{pad}</{element}>{draw(st.sampled_from([chr(10), chr(10), '']))}"


def outcome(reading):
    """What a way of reading comes to: rows and account, or the words of its refusal."""
    try:
        rows, account = reading()
    except SubmittedError as error:
        return str(error)
    assert adds_up(account)
    return rows, account.as_json(), [each.as_json() for each in account.findings]


def either_way(data, format_, **assumptions):
    """What the product makes of these bytes, which is what comes of them one by one."""

    def by_duckdb():
        _, rows, account, _ = taken(data, format_, **assumptions)
        return rows, account

    def one_by_one():
        rows, _, _, account = read(data, format_, **assumptions)
        return rows, account

    assert outcome(by_duckdb) == outcome(one_by_one)


def is_fast(folder, data):
    """Whether DuckDB reads this XML."""
    file = folder / "results.xml"
    file.write_bytes(data)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    connection = connect(work)
    found = JMeterXml().stage(Source(path=file, name="results.xml"), Account(), work, connection)
    connection.close()
    return found is not None


def plain(rows):
    return "".join(
        f'<httpSample t="{number}" ts="{START + number}" s="true" lb="a &amp; b" rc="200" rm="OK" tn="T 1" by="9" '
        f'na="5">\n'
        f"  <java.net.URL>http://x</java.net.URL>\n</httpSample>\n"
        for number in range(rows)
    )


@FEW
@given(samples=st.lists(tags(), max_size=6), times=st.sampled_from(["", "end"]), end=st.sampled_from(["\n", "\r\n"]))
@example(
    samples=['<sample t="1" ts="1" lb="a"/>\n', '<sample ts="1" lb="b" t="1"/>\n', "<sample/>\n"], times="", end="\n"
)
def test_xml_is_read_by_duckdb_as_it_is_element_by_element(samples, times, end):
    document = HEAD + "".join(samples) + "</testResults>\n"
    either_way(document.replace("\n", end).encode(), JMeterXml(), timestamp=times)


def test_damaged_xml_is_read_by_duckdb_as_it_is_element_by_element():
    rng = random.Random(5)  # noqa: S311  # the same damage every time
    whole = (HEAD + plain(4) + "</testResults>\n").encode()
    for _ in range(60):
        data = bytearray(whole)
        at = rng.randrange(len(HEAD), len(data))
        data[at : at + rng.randrange(3)] = bytes(rng.choices(b'\n"\r<>/& \xe9x', k=rng.randrange(1, 4)))
        either_way(bytes(data), JMeterXml())
        either_way(whole[: rng.randrange(len(HEAD), len(whole))], JMeterXml())


def test_xml_as_jmeter_writes_it_needs_no_reader_of_elements(tmp_path):
    nested = (
        f'<sample t="9" ts="{START}" s="true" lb="J" rc="" rm="{CONTROLLER}" tn="T 1" by="9" na="5">\n'
        f"{plain(2)}</sample>\n" + plain(1).replace("</httpSample>", f"{plain(2)}</httpSample>")
    )
    for inner in (
        plain(5),
        nested,
        plain(3).replace(">\n  <java.net.URL>http://x</java.net.URL>\n</httpSample>", "/>"),
    ):
        data = (HEAD + inner + "</testResults>\n").encode()
        assert is_fast(tmp_path, data)
        either_way(data, JMeterXml())


@pytest.mark.parametrize(
    "strange",
    [
        "<!-- <sample -->\n",
        "<b><![CDATA[<sample ]]></b>\n",
        "<?x <sample ?>\n",
        "<sampleResult/>\n",
        '<sample ts="1" t="1"\n lb="a"/>\n',
        f'<b>text <httpSample t="1" ts="{START}" lb="b"/></b>\n',
        f'<httpSample t="1e2" ts="{START}" s="true" lb="a" rc="200" rm="OK" tn="T 1" by="9" na="5"/>\n',
        "<b>" * 300 + "</b>" * 300 + "\n",
        "<b>\n" * 300 + "</b>\n" * 300,
    ],
)
def test_xml_that_is_out_of_the_ordinary_is_read_element_by_element(tmp_path, strange):
    data = (HEAD + plain(2) + strange + plain(2) + "</testResults>\n").encode()
    assert not is_fast(tmp_path, data)
    either_way(data, JMeterXml())


def test_xml_in_another_encoding_is_read_element_by_element(tmp_path):
    data = (HEAD.replace("UTF-8", "ISO-8859-1") + plain(2) + "</testResults>\n").encode("latin-1")
    assert not is_fast(tmp_path, data)
    either_way(data, JMeterXml())


def test_depth_is_told_alike_however_the_bytes_come():
    rng = random.Random(3)  # noqa: S311  # the same documents every time
    for _ in range(200):
        data = b"".join(rng.choices([b"<a>", b"</a>", b"<b/>", b"text ", b"\n", b"<?x ?>"], k=rng.randrange(30)))
        expected = data.count(b"<a>") - data.count(b"</a>")
        depth = 0
        for line in data.splitlines(keepends=True):
            depth = jmeter_xml_bulk._depth(line, depth)
        assert depth == jmeter_xml_bulk._depth(data, 0) == expected


JTL = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,bytes,allThreads\n"


@FEW
@given(
    rows=st.lists(
        st.tuples(
            st.just(str(START + 1)) | numbers,
            st.just("12") | numbers,
            st.sampled_from(["a", r"\N", "", "a-0", '"a, b"']),
            st.sampled_from(["200", " 200", "20", "500", "٢٠٠", r"\N", "connect timed out", "Connection refused"]),
            st.sampled_from(["OK", CONTROLLER.split(",")[0]]),
            st.sampled_from(["true", "false", ""]),
            numbers,
        ),
        max_size=6,
    )
)
def test_jmeter_csv_is_read_by_duckdb_as_it_is_line_by_line(rows):
    if any(row[4] != "OK" for row in rows):  # a thread does one thing after the other
        rows.sort(key=lambda row: (len(row[0]), row[0]))
    lines = [f"{at},{took},{label},{code},{said},T 1,{ok},{size},5\n" for at, took, label, code, said, ok, size in rows]
    data = (JTL + "".join(lines)).encode()
    _, found, account, _ = taken(data, JMeterCsv())
    slow, _, _, slowly = read(data, JMeterCsv())
    if not any(row[0].endswith("-0") for row in slow):  # parts are left out by the product only, once all is read
        assert (sorted(found, key=str), account.as_json()) == (sorted(slow, key=str), slowly.as_json())


CONTROLLED = f"{START},90,whole,200,{CONTROLLER.split(',')[0]},T 1,true,0,5\n".encode()
SAMPLE = f"{START},30,a,200,OK,T 1,true,9,5\n".encode()


@pytest.mark.parametrize("whole", [CONTROLLED, CONTROLLED.replace(b"whole", b"whol\xe9")])
@pytest.mark.parametrize("sorted_by_time", [True, False])
def test_a_transaction_is_told_from_its_samples_before_or_after_it_and_in_foreign_bytes(whole, sorted_by_time):
    lines = [whole, SAMPLE] if sorted_by_time else [SAMPLE, whole]
    later = SAMPLE.replace(str(START).encode(), str(START + 5000).encode())
    _, found, account, _ = taken(JTL.encode() + b"".join([*lines, later]), JMeterCsv())
    assert (len(found), sum(account.beside.values()), account.skips) == (2, 1, 0)
    _, found, account, _ = taken(JTL.encode() + whole + later, JMeterCsv())
    assert (len(found), sum(account.beside.values()), account.skips) == (1, 0, 1)


@pytest.mark.parametrize("threads", [1, 10])
def test_transactions_without_samples_are_named_in_order_and_no_more_are_remembered_than_threads(monkeypatch, threads):
    monkeypatch.setattr(jmeter_csv, "_MOST_THREADS", 3)
    lines = [
        CONTROLLED.replace(b"T 1", b"T %d" % (number % threads)).replace(b"%d" % START, b"%d" % (START + 90 * number))
        for number in range(10)
    ]
    source = Source(path=Path("none.jtl"), name="none.jtl")
    reader = jmeter_csv._Reader(source, account := Account(), jmeter_csv.layout_of(JTL.encode()))
    for number, line in enumerate(lines, 2):
        reader.take(Row(number, line.decode().rstrip().split(","), utf8=True), Samples())
        assert sum(map(len, reader._open.values())) == min(number - 1, threads, 3)
        assert all(reader._open.values())
    reader.finish()
    assert (account.skips, account.beside.total()) == (10, 0)
    if threads == 1:
        assert account.skipped[jmeter_csv._ABSENT].lines[:3] == [2, 3, 4]


def test_a_file_is_told_of_while_it_is_read(tmp_path):
    file = tmp_path / "results.jtl"
    with file.open("w") as out:
        out.write(JTL)
        out.writelines(f"{START + number},12,a,200,OK,T 1,true,900,5\n" for number in range(400_000))
    told = []
    staged = stage(
        JMeterCsv(), Source(path=file, name=file.name), folder(tmp_path), progress=lambda *how: told.append(how)
    )
    size = file.stat().st_size
    assert told[-1] == (size, size)
    assert all(0 <= read <= of == size for read, of in told)
    assert [read for read, _ in told] == sorted(read for read, _ in told)
    assert staged.account.taken == 400_000


def folder(tmp_path) -> Path:
    found = tmp_path / "staged"
    found.mkdir()
    return found


@pytest.mark.parametrize("kinds", [1, 3, 1200])
def test_what_labels_stand_for_is_written_alike_however_many_there_are(tmp_path, kinds):
    meanings = {
        f"l{number}": Meaning(srv=f"s{number}", path="p'", kind="alert", traffic="BAU") for number in range(kinds)
    }
    meanings.pop("l1", None)
    data = JTL + "".join(f"{START + number},12,l{number % kinds},200,OK,T 1,true,900,5\n" for number in range(1500))
    file = tmp_path / "results.jtl"
    file.write_text(data)
    staged = stage(JMeterCsv(), Source(path=file, name=file.name), folder(tmp_path))
    connection = connect(tmp_path)
    known = labels_of(connection, staged.samples)
    target = tmp_path / "results.parquet"
    count = write_results(connection, staged.samples, target, run="r", component="c'", labels=known, meanings=meanings,
                          in_order=True)  # fmt: skip
    connection.close()
    rows = read_table("results", target)
    assert count == len(rows) == 1500
    assert list(rows["sequence"]) == list(range(1500))
    unknown = Meaning(srv="l1", path="", kind="request", traffic="")
    expected = [meanings.get(f"l{number % kinds}", unknown) for number in range(1500)]
    for part in ("srv", "path", "kind", "traffic"):
        assert list(rows[part]) == [getattr(each, part) for each in expected]
    assert set(rows["component"]) == {"c'"}


def test_received_messages_stand_and_are_timed_by_when_they_were_due(tmp_path):
    """The first to be due is the last to be sent; of the third, the tool did not know when it was due."""
    file, target = tmp_path / "staged.parquet", tmp_path / "results.parquet"
    columns = "'a' AS label, due AS intended_us, sent AS sent_us, done AS done_us, 200 AS status, 'ok' AS outcome"
    rows = "(10, 50, 90), (20, 30, 40), (NULL, 25, 60)"
    connection = connect(tmp_path)
    connection.execute(
        f"COPY (SELECT {columns}, 0 AS bytes, 0 AS class FROM (VALUES {rows}) AS _(due, sent, done)) TO '{file}'"  # noqa: S608 - constants
    )
    write_results(connection, [file], target, run="r", component="c", labels=["a"], meanings={}, in_order=False)
    connection.close()
    found = read_table("results", target)
    assert found["done_us"].tolist() == [90, 40, 60]
    assert [None if each is pd.NA else each for each in found["latency_us"]] == [80, 20, None]
    assert found["service_us"].tolist() == [40, 10, 35]


@pytest.mark.parametrize("odd", ["", "\u00e9"])
@pytest.mark.parametrize("stated", ["start", "end"])
@pytest.mark.parametrize(("finer", "strange", "resolution_us"), [(0, 0, 1_000_000), (1, 0, 1000), (0, 1, 1000)])
def test_times_in_whole_seconds_are_told_however_the_rows_are_read(odd, stated, finer, strange, resolution_us):
    rows = [f"{START + number * 1000},12,a,200,OK,T 1,true,900,5\n".encode() for number in range(4)]
    rows.append(f"{START + 9000 + finer},12,a,200,OK,T 1,true,900,5\n".encode())
    rows.append(f"{START + 9000 + strange},12,b{odd},200,OK,T 1,true,900,5\n".encode("latin-1"))
    data = JTL.encode() + b"".join(rows)
    either_way(data, JMeterCsv(), timestamp=stated)
    assert taken(data, JMeterCsv(), timestamp=stated)[2].capability.resolution_us == resolution_us


def test_a_file_of_strange_rows_alone_is_as_fine_as_they_are():
    for finer, resolution_us in ((0, 1_000_000), (1, 1000)):
        rows = [f"{START + each},12,\u00e9,200,OK,T 1,true,900,5\n".encode("latin-1") for each in (0, 1000 + finer)]
        data = JTL.encode() + b"".join(rows)
        either_way(data, JMeterCsv())
        assert taken(data, JMeterCsv())[2].capability.resolution_us == resolution_us


def test_rows_with_foreign_bytes_keep_all_their_digits():
    names = ["caf\u00e9", *"abcdef"]
    rows = [f"{START + each},1{each % 10},{names[each % 7]},200,OK,T 1,true,{each},5\n" for each in range(3000)]
    data = JTL.encode() + "".join(rows).encode("latin-1")
    _, found, account, _ = taken(data, JMeterCsv())
    slow, _, _, slowly = read(data, JMeterCsv())
    assert sorted(found) == sorted(slow)
    assert account.as_json() == slowly.as_json()


k6_values = st.sampled_from(["1.5", "0", '"1.5"', "NaN", "-Infinity", "-3", "null", "true", "1e-3", "12.0005", "[]"])
k6_tags = st.sampled_from(
    [
        '{"name":"a","status":"200"}',
        '{"name":"a","name":"b","status":"200"}',
        '{"name":"a\\u0026b \\"c\\"","url":"u","status":"500","error":"timeout","expected_response":"false"}',
        '{"name":"a","expected_response":true}',
        '{"name":5,"status":200}',
        '{"name":null,"url":"u"}',
        "null",
        "[]",
    ]
)


@FEW
@given(
    points=st.lists(
        st.tuples(
            st.sampled_from(
                ["http_req_duration", "http_req_duration", "http_req_waiting", "vus", "dropped_iterations"]
            ),
            st.just("1.5") | k6_values,
            st.just('{"name":"a","status":"200"}') | k6_tags,
            st.sampled_from(["", "", "", ',"metric":"vus"', ',"type":"Metric"', ',"data":{}']),
            st.sampled_from(["", "", "", ',"value":2', ',"time":"2026-11-24T00:35:01Z"', ',"tags":{"name":"z"}']),
        ),
        max_size=5,
    )
)
def test_k6_json_is_read_by_duckdb_as_it_is_line_by_line(points):
    lines = [
        f'{{"metric":"{metric}","type":"Point","data":{{"time":"2026-11-24T00:35:00Z","value":{value},"tags":{tags}'
        f"{within}}}{behind}}}\n"
        for metric, value, tags, behind, within in points
    ]
    either_way("".join(lines).encode(), K6Json())
