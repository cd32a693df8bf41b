"""Files that real tools wrote, and what each reader makes of them."""

import csv
import gzip
import itertools
import json
from collections import Counter
from decimal import Decimal

import pytest
from files import SAMPLES, adds_up, read, taken

from tasks.intake.format import SubmittedError
from tasks.intake.recognise import formats

EXPECTED = {
    "ab-2.3-percentages.csv": ("ab-percentiles", {}),
    "ab-2.3.tsv": ("ab-requests", {}),
    "artillery.json": ("artillery", {}),
    "autocannon-9.0.0.json": ("autocannon", {}),
    "h2load-1.52.0.tsv": ("h2load", {}),
    "hey-0.1.4.csv": ("hey", {"started": "2026-11-25T09:07:50Z"}),
    "jmeter-2.13-no-header.csv.gz": ("jmeter-csv", {}),
    "jmeter-2.13-semicolons.csv.gz": ("jmeter-csv", {}),
    "jmeter-2.13-tabs.csv.gz": ("jmeter-csv", {}),
    "jmeter-2.13.csv.gz": ("jmeter-csv", {}),
    "jmeter-2.13.xml.gz": ("jmeter-xml", {}),
    "k6-1.1.0-handle-summary.json": ("k6-summary", {}),
    "k6-1.1.0-rfc3339.csv.gz": ("k6-csv", {}),
    "k6-1.1.0-summary-export.json": ("k6-summary", {}),
    "k6-1.1.0-unix-nano.csv.gz": ("k6-csv", {}),
    "k6-1.1.0.csv.gz": ("k6-csv", {}),
    "k6-1.1.0.json.gz": ("k6-json", {}),
    "locust-2.47.0-failures.csv": ("locust", {}),
    "locust-2.47.0-stats.csv": ("locust", {}),
    "locust-2.47.0-stats_history.csv": ("locust", {}),
    "nmon.nmon.gz": ("nmon", {}),
    "sadf-12.6.1.csv": ("sadf", {}),
    "sadf-12.6.1.json": ("sadf-json", {}),
    "sar-12.6.1.txt": ("sar", {}),
    "siege-4.0.7.json": ("siege", {}),
    "vmstat.txt": ("vmstat", {}),
    "wrk-4.1.0.txt": ("wrk", {}),
    "hdr.hgrm": ("hdr-percentiles", {"value_unit": "ms"}),
    "hdr.hlog": ("hdr-log", {"value_unit": "us"}),
    "locust_exceptions.csv": ("locust", {}),
    "locust_failures.csv": ("locust", {}),
    "locust_stats.csv": ("locust", {}),
    "locust_stats_history.csv": ("locust", {}),
    "vegeta.csv": ("vegeta-csv", {}),
    "vegeta.gob": ("vegeta-gob", {}),
    "vegeta.json": ("vegeta-json", {}),
    "vegeta_report.json": ("vegeta-report", {}),
    "vegeta_hdrplot.txt": ("hdr-percentiles", {}),
    "wrk.txt": ("wrk", {}),
    "wrk2.txt": ("wrk", {}),
}


PARENTS = "a transaction controller whose samples are not in the file"


def written(name):
    """What the tool wrote."""
    data = (SAMPLES / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def test_every_sample_is_read_by_a_test():
    assert {each.name for each in SAMPLES.iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_is_recognised_by_its_content_and_all_its_lines_are_accounted_for(name):
    data = written(name)
    expected, assumptions = EXPECTED[name]
    format_, _, account, _ = taken(data, **assumptions)
    assert format_.name == expected
    assert adds_up(account)
    assert account.skipped.keys() <= {PARENTS}
    if account.unit == "lines":
        assert account.total == len(data.splitlines())


def test_vegetas_three_encodings_of_one_attack_are_the_same_rows():
    three = [taken((SAMPLES / f"vegeta.{kind}").read_bytes())[1] for kind in ("gob", "json", "csv")]
    assert len(three[0]) == 200
    assert three[0] == three[1] == three[2]
    first = json.loads((SAMPLES / "vegeta.json").read_text().splitlines()[0])
    assert three[0][0][2] == 1_795_480_498_415_752  # …415751601 ns, rounded
    assert three[0][0][3] - three[0][0][2] == round(Decimal(first["latency"]) / 1000)


def test_with_a_stated_rate_vegetas_hits_are_due_by_a_schedule_that_none_was_sent_before():
    _, rows, account, _ = taken((SAMPLES / "vegeta.csv").read_bytes(), rate="100")
    intended, sent = [row[1] for row in rows], [row[2] for row in rows]
    assert all(due <= at for due, at in zip(intended, sent, strict=True))
    assert min(at - due for due, at in zip(intended, sent, strict=True)) == 0
    assert [b - a for a, b in itertools.pairwise(intended)] == [10_000] * 199
    assert account.capability.loop == "open loop"


def test_locusts_statistics_are_figures_and_never_rows():
    _, rows, account, figures = taken((SAMPLES / "locust_stats.csv").read_bytes())
    assert rows == []
    assert account.capability.gives == "summary"
    assert account.capability.loop == "closed loop"
    found = {(each.scope, each.metric): each.value for each in figures}
    assert found["all", "requests"] == found["POST /x", "requests"] == 20278
    assert found["all", "answered-share"] == 1_000_000
    assert found["all", "service-p50"] == 135  # 0.1354810001430451 ms, rounded half-even
    assert found["all", "service-p99.9"] == 1000


def test_wrk2_counts_from_intended_time_and_wrk_does_not():
    _, _, of_wrk2, figures2 = taken((SAMPLES / "wrk2.txt").read_bytes())
    _, _, of_wrk, figures = taken((SAMPLES / "wrk.txt").read_bytes())
    assert (of_wrk2.tool, of_wrk2.capability.loop) == ("wrk2", "open loop")
    assert "first 10 s" in of_wrk2.capability.warm_up
    assert (of_wrk.tool, of_wrk.capability.loop) == ("wrk", "closed loop")
    assert {each.metric: each.value for each in figures2}["latency-p99"] == 1800
    found = {each.metric: each.value for each in figures}
    assert (found["service-p99"], found["requests"], found["service-max"]) == (118, 70430, 1860)


def test_a_histograms_log_and_its_printed_percentiles_agree():
    _, _, account, of_log = taken((SAMPLES / "hdr.hlog").read_bytes(), value_unit="us")
    assert account.version == "1.2"
    found = {each.metric: each for each in of_log if each.scope == of_log[0].scope}
    assert found["requests"].value > 0
    ranked = [found[f"service-{name}"].value for name in ("p50", "p90", "p95", "p99", "p99.9", "max")]
    assert ranked == sorted(ranked)
    _, _, _, printed = taken((SAMPLES / "hdr.hgrm").read_bytes(), value_unit="ms")
    assert {each.metric: each.value for each in printed}["requests"] == 1000


def test_the_history_of_locust_gives_users_and_counts_of_all_names_together():
    data = (SAMPLES / "locust_stats_history.csv").read_bytes()
    _, _, account, _ = taken(data)
    aggregated = [row for row in csv.DictReader(data.decode().splitlines()) if row["Name"] == "Aggregated"]
    assert account.taken == len(aggregated)


def test_a_histograms_quantiles_are_those_that_the_library_that_wrote_it_gives():
    """As HdrHistogram's port for Python (hdrhistogram 0.10.7) reads the same file."""
    _, _, _, figures = taken((SAMPLES / "hdr.hlog").read_bytes(), value_unit="us")
    values = {each.metric: each.value for each in figures}
    assert [values[f"service-{name}"] for name in ("p50", "p90", "p95", "p99", "p99.9", "max")] == [
        1068, 1842, 2081, 2691, 3601, 3607,
    ]  # fmt: skip


SENT = {"Read inventory": ("ok", 200), 'Moved, "then" found': ("ok", 200), "Busy": ("error", 503),
        "Réponse": ("ok", 200), "Asserted": ("error", 200)}  # fmt: skip
"""What two users sent four times each; two more messages were refused, and two timed out."""

OTHERS = {("Nobody there", "refused", 0): 2, ("Slow", "timeout", 0): 2}


def jmeters(rows):
    return Counter((row[0], row[5], row[4]) for row in rows)


@pytest.mark.parametrize("kind", ["", "-no-header", "-tabs", "-semicolons"])
def test_jmeters_csv_of_a_run_holds_every_message_once_however_it_is_laid_out(kind):
    """Its plan has redirects, two transaction controllers (one in place of its sample), failures and assertions."""
    _, rows, account, _ = taken(written(f"jmeter-2.13{kind}.csv.gz"))
    assert jmeters(rows) == {(label, *ended): 8 for label, ended in SENT.items()} | OTHERS
    assert account.taken == 44
    if kind == "-semicolons":  # times in whole seconds do not tell that a transaction stands in its sample's place
        assert (sum(account.beside.values()), account.skips) == (16, 0)
        assert account.capability.resolution_us == 1_000_000
        return
    assert sum(account.beside.values()) == 8
    assert account.skipped[PARENTS].count == 8
    assert [each.code for each in account.findings] == ["samples-missing"]
    assert account.capability.resolution_us == 1000


def test_jmeters_xml_of_the_same_plan_holds_what_stands_within_the_other_transaction_too():
    _, rows, account, _ = taken(written("jmeter-2.13.xml.gz"))
    assert jmeters(rows) == {(label, *ended): 8 for label, ended in SENT.items()} | OTHERS | {("Within", "ok", 200): 8}
    assert account.beside == {
        "a sub-result: part of a sample that is counted": 16,
        "a transaction controller: its samples are counted": 16,
    }


@pytest.mark.parametrize("name", ["k6-1.1.0.csv.gz", "k6-1.1.0-unix-nano.csv.gz", "k6-1.1.0-rfc3339.csv.gz",
                                  "k6-1.1.0.json.gz"])  # fmt: skip
def test_k6_of_one_script_is_the_same_messages_in_every_form(name):
    _, rows, account, _ = taken(written(name))
    assert jmeters(rows) == {
        ('Read, "inventory"', "ok", 200): 21,
        ("Moved", "ok", 302): 21,
        ("Moved", "ok", 200): 21,
        ("Busy", "error", 503): 9,
        ("Nobody", "refused", 0): 6,
        ("Slow", "timeout", 0): 3,
    }
    assert account.beside["a point of another metric"] == 796
    assert [each.message[:8] for each in account.findings] == ["k6 dropp"]
    assert account.capability.resolution_us == (1_000_000 if name == "k6-1.1.0.csv.gz" else 0)


def test_k6s_own_summary_of_a_run_is_close_to_its_points():
    """The export and the JSON are of one run; k6 interpolates between 81 samples, and we take one of them."""
    _, rows, _, _ = taken(written("k6-1.1.0.json.gz"))
    _, _, _, figures = taken(written("k6-1.1.0-summary-export.json"))
    found = {each.metric: each.value for each in figures}
    took = sorted(row[3] - row[2] for row in rows)
    assert (found["requests"], found["answered-share"]) == (len(took), 777_778)  # 63 of 81
    assert (found["service-min"], found["service-max"]) == (took[0], took[-1])
    assert took[39] <= found["service-p50"] <= took[41]
    assert {each.metric: each.value for each in taken(written("k6-1.1.0-handle-summary.json"))[3]}["requests"] == 81


@pytest.mark.parametrize(
    ("name", "requests", "failures", "p99", "largest"),
    [
        ("ab-2.3.tsv", 60, None, 13_000, 13_000),
        ("ab-2.3-percentages.csv", None, None, 13_393, 13_393),
        ("artillery.json", 60, 0, 1000, 1000),
        ("autocannon-9.0.0.json", 60, 0, 44_000, 44_000),
        ("siege-4.0.7.json", 30, 0, None, 30_000),
        ("wrk-4.1.0.txt", 1395, 0, 16_130, 19_840),
    ],
)
def test_summaries_of_small_tools_give_figures_and_never_rows(name, requests, failures, p99, largest):
    _, rows, account, figures = taken(written(name))
    found = {each.metric: each.value for each in figures}
    wanted = (requests, failures, p99, largest)
    assert tuple(map(found.get, ("requests", "failures", "service-p99", "service-max"))) == wanted
    assert rows == []
    assert account.capability.gives == "summary"


def test_h2loads_log_is_messages_in_microseconds():
    _, rows, account, _ = taken(written("h2load-1.52.0.tsv"))
    assert Counter((row[4], row[5]) for row in rows) == {(200, "ok"): 30, (503, "error"): 30}
    assert rows[0][2:4] == (1_795_597_669_752_134, 1_795_597_669_752_134 + 12_014)
    assert account.capability.loop == "closed loop"
    _, rows, _, _ = taken(b"1795597669752134\t-1\t12\n")  # one that got no answer
    assert rows[0][4:6] == (0, "error")


def test_hey_needs_to_be_told_when_its_run_began():
    with pytest.raises(SubmittedError, match="nothing says when that was"):
        taken(written("hey-0.1.4.csv"))
    _, rows, account, _ = taken(written("hey-0.1.4.csv"), started="2026-11-25T09:07:50Z")
    assert len(rows) == 60
    assert rows[0][2:4] == (1_795_597_670_020_700, 1_795_597_670_020_700 + 8500)
    assert [each.code for each in account.findings] == ["partial"]


def test_locusts_names_with_commas_and_quotes_are_scopes():
    _, _, _, figures = taken(written("locust-2.47.0-stats.csv"))
    found = {(each.scope, each.metric): each.value for each in figures}
    assert (found["GET Busy", "requests"], found['GET Read, "inventory"', "requests"]) == (37, 170)
    assert found["all", "requests"] == 207
    assert taken(written("locust-2.47.0-failures.csv"))[3][0].value == 37
    assert taken(written("locust-2.47.0-stats_history.csv"))[2].taken == 3


@pytest.mark.parametrize(
    ("name", "readings", "cpu"),
    [
        ("sadf-12.6.1.csv", 102, [440, 601]),
        ("sadf-12.6.1.json", 38, [440, 601]),
        ("sar-12.6.1.txt", 38, [440, 601]),
        ("vmstat.txt", 36, [190, 170]),
        ("nmon.nmon.gz", 312, [605, 950, 945]),
    ],
)
def test_what_watches_a_machine_is_read_in_our_units(name, readings, cpu):
    data = written(name)
    format_ = max(formats(), key=lambda each: each.recognises(data[:65536]))
    _, found, _, _ = read(data, format_)
    assert len(found) == readings
    assert [row[4] for row in found if row[3] == "cpu_permille"] == cpu


def test_memory_in_use_leaves_out_what_the_system_only_keeps_files_in():
    """sysstat's kbmemused does; of nmon's columns it is what is neither free nor cached nor in buffers."""
    data = written("nmon.nmon.gz")
    nmon = next(each for each in formats() if each.name == "nmon")
    first = next(row for row in read(data, nmon)[1] if row[3] == "memory_bytes")
    assert first[4] == round((Decimal("24105.6") - Decimal("17386.6") - Decimal("4764.9") - Decimal("147.2")) * 2**20)
