"""Files that real tools wrote, and what each reader makes of them."""

import csv
import itertools
import json
from decimal import Decimal

import pytest
from files import SAMPLES, adds_up, taken

EXPECTED = {
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


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_is_recognised_by_its_content_and_all_its_lines_are_accounted_for(name):
    data = (SAMPLES / name).read_bytes()
    expected, assumptions = EXPECTED[name]
    format_, _, account, _ = taken(data, **assumptions)
    assert format_.name == expected
    assert adds_up(account)
    assert not account.skipped
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
