"""Infrastructure metrics of real systems: what exporters expose and servers tell, exactly, and nothing beside it."""

import ssl
import threading
from decimal import Decimal
from fractions import Fraction

import pandas as pd
import pytest
from evidence import START, WINDOW, infrastructure, results, run_document, write
from exporters import NODE_EXPORTER, PROCESS_EXPORTER, prometheus, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from test_execute import conduct, entering, nothing_left_running
from tls_parties import Authority

from catalog.canonical import canonical
from catalog.declarations import PrometheusSource, Sampled, Series
from catalog.errors import WorldError
from catalog.runs import RunState
from expectations.metrics import INFRASTRUCTURE
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.measure import measure
from tasks.metrics import Scrape, Watch, reading_of
from tasks.prometheus import Exposition, Server, _growth, exposed

__all__ = ["nothing_left_running"]


def node(system="612.05", written="4096"):
    return NODE_EXPORTER.replace("{system}", system).replace("{written}", written)


def process(user="100.5"):
    return PROCESS_EXPORTER.replace("{user}", user)


def source(**more):
    return PrometheusSource.model_validate({"metrics": {"connections_count": {"series": "up"}}} | more)


def scraping(component, declared, names):
    return Scrape(component, declared, Exposition(declared, names))


CPU = {"series": "node_cpu_seconds_total", "without": {"mode": "idle|iowait"}, "counter": True, "factor": 500}
MEMORY = {
    "series": "namedprocess_namegroup_memory_bytes",
    "labels": {"groupname": "orders", "memtype": "resident"},
}


def test_an_exposition_is_read_by_name_and_labels_and_summed():
    metrics = {
        Sampled.MEMORY: Series.model_validate(MEMORY),
        Sampled.HANDLES: Series.model_validate({"series": "namedprocess_namegroup_open_filedesc"}),
        Sampled.CPU: Series.model_validate(CPU),
        Sampled.DISK_FREE: Series.model_validate(
            {"series": "node_filesystem_avail_bytes", "without": {"fstype": "tmpfs"}}
        ),
        Sampled.THREADS: Series.model_validate({"series": "node_memory_MemAvailable_bytes"}),  # NaN
        Sampled.NETWORK_SENT: Series.model_validate({"series": "node_network_transmit_bytes_total"}),  # absent
    }
    found = exposed(node() + process(), metrics)
    assert {metric: sum(values.values()) for metric, values in found.items()} == {
        Sampled.MEMORY: 134_217_728,
        Sampled.HANDLES: Fraction("412.5"),
        Sampled.CPU: Fraction("612.05") + Fraction("2102.63") + Fraction("598.27") + Fraction("2098.9"),
        Sampled.DISK_FREE: 8_142_303_232,
    }
    assert {len(found[metric]) for metric in (Sampled.MEMORY, Sampled.CPU)} == {1, 4}


def test_labels_hold_any_text():
    odd = Series.model_validate({"series": MEMORY["series"], "labels": {"groupname": r'say "hi" \{a\} b'}})
    assert sum(exposed(process(), {Sampled.MEMORY: odd})[Sampled.MEMORY].values()) == 4096


def test_a_line_that_cannot_be_read_is_a_gap_where_it_is_ours_and_nothing_where_it_is_not():
    wanted = {Sampled.MEMORY: Series.model_validate({"series": "mine"})}
    assert exposed("mine 5\nother{oops\n", wanted)[Sampled.MEMORY] == {(): 5}
    with pytest.raises(ValueError, match="could not convert"):
        exposed("mine five\n", wanted)


@pytest.mark.parametrize(
    ("value", "rounded"), [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.500001", 3), ("-0.5", 0), ("7", 7)]
)
def test_figures_are_rounded_half_to_even_in_our_unit(value, rounded):
    assert reading_of(Sampled.CPU, Fraction(value)) == ("cpu_permille", rounded, "permille")
    assert reading_of(Sampled.DISK_READ, Fraction(value))[2] == "bytes/s"


def test_what_cannot_be_recorded_is_a_gap():
    assert reading_of(Sampled.MEMORY, Fraction(2**53)) is None
    assert reading_of(Sampled.MEMORY, None) is None


A, B = (("pod", "a"),), (("pod", "b"),)
COUNTER = Series.model_validate({"query": "x", "counter": True, "factor": "0.001"})


def test_a_counter_grows_by_series_and_one_that_fell_came_or_went_says_nothing():
    before = {A: Fraction(1000), B: Fraction(50)}
    grown = {A: Fraction(4000), B: Fraction(50)}
    assert _growth(before, grown, Fraction(2), COUNTER) == Fraction(3, 2)
    assert _growth(before, {A: Fraction(4000), B: Fraction(49)}, Fraction(2), COUNTER) is None
    assert _growth(before, {A: Fraction(4000)}, Fraction(2), COUNTER) is None
    assert _growth({A: Fraction(1)}, before, Fraction(2), COUNTER) is None


@settings(derandomize=True, deadline=None)
@given(start=st.integers(0, 2**40), growth=st.integers(0, 2**40), us=st.integers(1, 10**8), places=st.integers(0, 6))
def test_growth_is_the_exact_quotient(start, growth, us, places):
    series = Series.model_validate({"query": "x", "counter": True, "factor": str(Decimal(1).scaleb(-places))})
    found = _growth({A: Fraction(start)}, {A: Fraction(start + growth)}, Fraction(us, 10**6), series)
    assert found == Fraction(growth * 10**6, us * 10**places)


# --- scraping ---------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_scraped_and_its_counters_become_rates(monkeypatch):
    """The clock stands still but for a second between scrapes; half of the two cores' seconds is permille of all."""
    clock = iter(range(0, 10**12, 10**9))
    monkeypatch.setattr("tasks.prometheus.time.monotonic_ns", lambda: next(clock))
    told = iter([node("600.0", "1000"), node("600.5", "1512"), node("600.75", "9"), node("601.75", "1009")])
    written = {"series": "node_disk_written_bytes_total", "labels": {"device": "sd."}, "counter": True}
    estab = {"series": "node_netstat_Tcp_CurrEstab"}
    metrics = {"cpu_permille": CPU, "disk_written_bytes_per_second": written, "connections_count": estab}
    with serving(lambda _: (200, next(told))) as exporter:
        scrape = scraping("orders", source(url=f"{exporter.url}/metrics?x=1", metrics=metrics), {})
        rounds = [{metric: value for metric, value, _ in scrape.read()} for _ in range(4)]
        scrape.close()
    assert rounds == [
        {"connections_count": 231},
        {"cpu_permille": 250, "disk_written_bytes_per_second": 512, "connections_count": 231},
        {"cpu_permille": 125, "connections_count": 231},  # the disk's counter was reset
        {"cpu_permille": 500, "disk_written_bytes_per_second": 1000, "connections_count": 231},
    ]
    assert exporter.seen == [("/metrics?x=1", None)] * 4
    assert (scrape.account.asked, scrape.account.answered, scrape.account.failure) == (4, 4, "")
    assert (scrape.component, scrape.sub_component, scrape.host) == ("orders", "prometheus", "127.0.0.1")


def test_a_scrape_that_fails_is_a_gap_and_counters_begin_anew():
    answers = iter([(200, process("1")), (503, "busy"), (200, process("9")), (200, "mine{\n" + process("11"))])
    cpu = {"series": "namedprocess_namegroup_cpu_seconds_total", "counter": True, "factor": 1000}
    with serving(lambda _: next(answers)) as exporter:
        declared = source(url=exporter.url, metrics={"cpu_permille": cpu, "memory_bytes": MEMORY})
        scrape = scraping("orders", declared, {})
        rounds = [{metric for metric, _, _ in scrape.read()} for _ in range(4)]
        scrape.close()
    assert rounds == [{"memory_bytes"}, set(), {"memory_bytes"}, {"cpu_permille", "memory_bytes"}]
    assert (scrape.account.asked, scrape.account.answered, scrape.account.failure) == (4, 3, "it answered 503")


def test_an_endpoint_that_is_slow_cut_short_or_gone_is_a_gap_with_its_reason(monkeypatch):
    monkeypatch.setattr("tasks.prometheus.LARGEST_ANSWER", 100)
    held = threading.Event()

    def slow(_path):
        held.wait(10)
        return 200, "up 1\n"

    with serving(slow) as exporter:
        scrape = scraping("orders", source(url=exporter.url, every="50 ms"), {})
        assert scrape.read() == []
        assert scrape.account.failure == "timed out"
        held.set()
        exporter.answer = lambda _: (200, "x" * 200)
        assert scrape.read() == []
        assert scrape.account.failure == "its answer is longer than 100 bytes"
        exporter.answer = lambda _: (200, "up one\n")
        assert scrape.read() == []
        assert "could not convert" in scrape.account.failure
    scrape.close()
    assert scrape.read() == []
    assert scrape.account.failure == "connection refused"


def test_a_token_comes_from_the_environment_and_goes_to_the_endpoint_alone(monkeypatch):
    monkeypatch.setenv("ORDERS_TOKEN", "s3cret\n")
    with serving(lambda _: (200, "up 1\n")) as exporter:
        scrape = scraping("orders", source(url=exporter.url, token="ORDERS_TOKEN"), {})
        assert scrape.read() == [("connections_count", 1, "count")]
        scrape.close()
    assert exporter.seen == [("/", "Bearer s3cret")]
    assert "s3cret" not in str(scrape.account)
    with serving(lambda _: (401, '{"error": "no such token: s3cret"}')) as exporter:
        scrape = scraping("orders", source(url=exporter.url, token="ORDERS_TOKEN"), {})
        assert scrape.read() == []
        scrape.close()
    assert scrape.account.failure == "it answered 401: no such token: [redacted]"
    for held, why in ((None, "is not set"), ("two words", "holds what is no token")):
        monkeypatch.delenv("ORDERS_TOKEN") if held is None else monkeypatch.setenv("ORDERS_TOKEN", held)
        with pytest.raises(WorldError, match=why) as caught:
            scraping("orders", source(url="http://127.0.0.1:9", token="ORDERS_TOKEN"), {})
        assert "words" not in str(caught.value)


def test_a_token_does_not_follow_a_redirect(monkeypatch):
    monkeypatch.setenv("ORDERS_TOKEN", "s3cret")
    with serving(lambda _: (200, "up 1\n")) as elsewhere, serving(lambda _: (302, elsewhere.url)) as exporter:
        scrape = scraping("orders", source(url=exporter.url, token="ORDERS_TOKEN"), {})
        assert scrape.read() == []
        scrape.close()
    assert (len(exporter.seen), elsewhere.seen) == (1, [])
    assert scrape.account.failure.startswith("it answered 302")


def test_tls_is_that_of_the_environment(tmp_path):
    authority = Authority(tmp_path, "site")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    with serving(lambda _: (200, "up 1\n"), context) as exporter:
        known = scraping("orders", source(url=exporter.url), {"ca": str(authority.ca)})
        unknown = scraping("orders", source(url=exporter.url), {})
        assert known.read() == [("connections_count", 1, "count")]
        assert unknown.read() == []
        known.close()
    assert "its certificate is not trusted" in unknown.account.failure


# --- asking a server --------------------------------------------------------------------------------------------------

SECOND = 1_000_000
AT = 1_700_000_000_000_000


def asked(series, *, start=AT, seconds=5, query="q", every="1 s", **more):
    with serving(prometheus(series)) as exporter:
        metrics = {"cpu_permille": {"query": query, **more}}
        server = Server(source(server=f"{exporter.url}/prefix/", every=every, metrics=metrics), {})
        found = server.ask(start, start + seconds * SECOND)
        server.close()
    return found, [(at - AT, value) for at, _, value, _ in found.rows], exporter


def test_a_server_is_asked_for_the_instants_of_the_load():
    found, rows, exporter = asked(lambda _, at: {"a": str(at % 10 / 4)}, factor=1000)
    assert rows == [(index * SECOND, index * 250) for index in range(5)]
    [(path, _)] = exporter.seen
    assert "start=1700000000.000000&end=1700000004.000000&step=1.000000&lookback_delta=1000ms" in path
    assert (found.account.asked, found.account.answered, found.account.failure) == (1, 1, "")
    _, rows, _ = asked(lambda _, __: {"a": "1"}, start=AT - 1, seconds=1)
    assert rows == [(0, 1)]


def test_counters_of_a_server_become_rates_from_one_instant_before_the_load():
    values = {-1: "10", 0: "13", 1: "13", 2: "2", 3: "7.5", 4: "8"}  # a reset at 2
    _, rows, _ = asked(lambda _, at: {"a": values[round(at) - 1_700_000_000]}, counter=True, factor=2)
    assert rows == [(0, 6), (SECOND, 0), (3 * SECOND, 11), (4 * SECOND, 1)]


def test_instants_at_which_a_series_is_missing_or_no_number_are_gaps():
    def series(_query, at):
        index = round(at) - 1_700_000_000
        return {"a": "5", "b": [None, "1", "NaN", "+Inf", "2"][index]}

    _, rows, _ = asked(series)
    assert rows == [(SECOND, 6), (4 * SECOND, 7)]


def test_long_loads_are_asked_for_in_pieces():
    found, rows, exporter = asked(lambda _, __: {"a": "1"}, seconds=25_000)
    assert len(rows) == 25_000
    assert len({at for at, _ in rows}) == 25_000
    assert len(exporter.seen) == found.account.asked == 3


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "it answered 400: parse error: unclosed left parenthesis"),
        ((200, "<html>"), "no answer that makes sense"),
        ((200, '{"status": "success", "data": {"resultType": "vector", "result": []}}'), "no matrix came of"),
        ((200, '{"status": "success", "data": {"resultType": "matrix", "result": [{}]}}'), "no answer that makes"),
        ((401, "who are you"), "it answered 401"),
    ],
)
def test_a_server_that_does_not_answer_leaves_nothing_but_the_reason(answer, why):
    with serving((lambda _: answer) if answer else prometheus(lambda *_: {})) as exporter:
        declared = source(server=f"{exporter.url}/prefix", metrics={"cpu_permille": {"query": "broken("}})
        server = Server(declared, {})
        found = server.ask(AT, AT + 5 * SECOND)
        server.close()
    assert found.rows == []
    assert why in found.account.failure
    assert (found.account.asked, found.account.answered) == (1, 0)


# --- in a test run ----------------------------------------------------------------------------------------------------


def declaring(programme, url, *sources):
    """A real environment that says where the order service's metrics come from."""
    return entering(programme, url).model_copy(update={"prometheus": {"orders": tuple(sources)}})


def test_a_real_systems_metrics_are_sampled_beside_the_test_and_measured(template, tmp_path):
    """Two parts of the order service and its host are scraped, and a server is asked."""
    programme = template.programme
    site = start_component(ComponentSpec(component="site", routes={"browse": None, "purchase": None}))
    with (
        site,
        serving(lambda _: (200, process())) as exporter,
        serving(prometheus(lambda _, at: {"a": str(at % 1)})) as server,
    ):
        sources = [
            source(url=exporter.url, every="50 ms", part="one", metrics={"memory_bytes": MEMORY}),
            source(url=exporter.url, every="50 ms", part="two", metrics={"memory_bytes": MEMORY}),
            source(url=exporter.url, every="50 ms", describes="host", host="db-1", metrics={"memory_bytes": MEMORY}),
            source(server=f"{server.url}/prefix", every="50 ms", metrics={"cpu_permille": {"query": "q"}}),
        ]
        environment = declaring(programme, site.url, *sources)
        conducted = conduct(programme, "orders.load", environment=environment).execute()
    assert conducted.state is RunState.FINISHED
    document, rows = conducted.document, conducted.tables["infrastructure"]
    canonical(document)
    parts = [{"part": part, "host": "127.0.0.1"} for part in ("one", "two")]
    assert document["sampling"] == {
        "memory_bytes": {"every_us": 50_000, "parts": parts},
        "cpu_permille": {"every_us": 50_000, "parts": [{"part": "prometheus", "host": "127.0.0.1"}]},
    }
    assert [each["failure"] for each in document["sources"]] == [""] * 4
    assert all(0 < each["answered"] == each["asked"] for each in document["sources"])
    own = rows[(rows.component == "orders") & (rows.metric == "memory_bytes")]
    assert set(own.sub_component) == {"one", "two"}
    assert set(own.value) == {134_217_728}
    assert not (own.at_us % 50_000).any()
    assert set(rows[rows.host == "db-1"].component) == {"host"}
    for name in ("results", "infrastructure"):
        write(tmp_path, name, conducted.tables[name])
    tables = (next(tmp_path.glob(f"{name}*")) for name in ("results", "infrastructure"))
    found = {row.metric: row for row in measure(document, *tables, withins=(), groups={}).itertuples()}
    assert found["memory-max"].value == 2 * 134_217_728
    assert found["coverage"].value > 0
    assert found["cpu-p95"].value >= 0


def test_a_token_that_is_not_there_is_found_before_the_load(template):
    programme = template.programme
    site = start_component(ComponentSpec(component="site", routes={"purchase": None}))
    with site:
        environment = declaring(programme, site.url, source(url="http://127.0.0.1:9", token="NOBODY_SET_THIS"))
        conducted = conduct(programme, "orders.load", environment=environment).execute()
    assert conducted.state is RunState.UNREACHABLE
    assert "NOBODY_SET_THIS is not set" in conducted.reason
    assert conducted.tables == {}


def test_sources_are_part_of_the_key_where_they_are_declared_but_for_the_name_of_a_token(template):
    programme = template.programme
    plain = conduct(programme, "orders.load", environment=entering(programme, "http://127.0.0.1:9"))
    assert "prometheus" not in plain.planned.key["inputs"]["environment"]
    assert "prometheus" not in programme.environment("rehearsal").model_dump(mode="json")
    keys = []
    for more in ({"token": "A"}, {"token": "B"}, {"token": "B", "every": "2 s"}):
        environment = declaring(programme, "http://127.0.0.1:9", source(url="http://127.0.0.1:9/m", **more))
        keys.append(conduct(programme, "orders.load", environment=environment).planned.key)
        other = conduct(programme, "storefront.load", environment=environment).planned.key
        assert "prometheus" not in other["inputs"]["environment"]
    assert keys[0] == keys[1] != keys[2]
    [declared] = keys[0]["inputs"]["environment"]["prometheus"]
    assert "token" not in declared
    assert declared["metrics"] == {
        "connections_count": {
            "series": "up", "labels": {}, "without": {}, "query": None, "counter": False, "factor": "1"
        }
    }  # fmt: skip


def test_a_watch_without_sources_says_nothing():
    with Watch("orders", (), {}) as watch:
        assert watch.as_json() == {}
        assert watch.ask(0, 1) == []


# --- measured ---------------------------------------------------------------------------------------------------------


def sampled(part, *, every=100_000, keep=lambda _: True, value=7, host="h"):
    """Memory of one part of a component, at the multiples of `every`."""
    at = [START + offset for offset in range(0, WINDOW, every) if keep(offset)]
    rows = infrastructure(samples=len(at))
    rows = rows[rows.metric == "memory_bytes"].assign(at_us=at, sub_component=part, value=value, host=host)
    return rows.reset_index(drop=True)


def told(tmp_path, samples, *parts, every=100_000, more=()):
    declared = {"every_us": every, "parts": [{"part": part, "host": "h"} for part in parts]}
    run = run_document(sampling={"memory_bytes": declared, **dict(more)})
    tables = write(tmp_path, "results", results()), write(tmp_path, "infrastructure", pd.concat(samples))
    found = measure(run, *tables, withins=(), groups={})
    return {row.metric: row for row in found.itertuples()}


def test_disk_network_and_handles_are_measured_as_they_are_declared(tmp_path):
    names = [each for each in Sampled if each not in (Sampled.CPU, Sampled.THREADS, Sampled.DISK_FREE)]
    units = {name: INFRASTRUCTURE[name][0] for name in names}
    samples = [sampled("a", value=10 + place).assign(metric=name, unit=units[name]) for place, name in enumerate(names)]
    declared = {name: {"every_us": 100_000, "parts": [{"part": "a", "host": "h"}]} for name in names}
    found = told(tmp_path, samples, "a", more=declared.items())
    assert {metric: row.value for metric, row in found.items() if metric.endswith("-p95") and "lat" not in metric} == {
        "memory-p95": 10,
        "connections-p95": 11,
        "handles-p95": 12,
        "disk-read-p95": 13,
        "disk-written-p95": 14,
        "network-received-p95": 15,
        "network-sent-p95": 16,
    }
    assert found["handles-max"].value == 12
    assert {found[metric].unit for metric in ("disk-read-p95", "network-sent-p95")} == {"bytes"}


def test_parts_are_summed_where_all_are_there_and_what_is_missing_shows_in_the_coverage(tmp_path):
    samples = [sampled("a", value=5), sampled("b", value=7, keep=lambda offset: offset % 400_000)]
    found = told(tmp_path, samples, "a", "b")
    assert (found["memory-max"].value, found["memory-p95"].value) == (12, 12)
    assert (found["coverage"].value, found["coverage"].samples) == (750_000, 90)


def test_a_part_that_never_came_leaves_nothing_measured(tmp_path):
    found = told(tmp_path, [sampled("a")], "a", "b")
    assert "memory-max" not in found
    assert (found["coverage"].value, found["coverage"].samples) == (0, 0)


def test_where_a_source_is_declared_no_other_counts(tmp_path):
    found = told(tmp_path, [sampled("process", value=999), sampled("a", value=5)], "a")
    assert found["memory-max"].value == 5


def test_each_metric_is_expected_as_far_apart_as_it_is_declared(tmp_path):
    cpu = {"cpu_permille": {"every_us": 1_000_000, "parts": [{"part": "c", "host": "h"}]}}
    rows = sampled("c", every=1_000_000, value=100).assign(metric="cpu_permille", unit="permille")
    found = told(tmp_path, [sampled("a"), rows], "a", more=cpu.items())
    assert found["coverage"].value == 1_000_000
    thinned = rows[rows.index % 4 != 0].reset_index(drop=True)
    found = told(tmp_path, [sampled("a"), thinned], "a", more=cpu.items())
    assert (found["coverage"].value, found["coverage"].method) == (750_000, "of 12 samples expected")
