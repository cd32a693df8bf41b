"""What is measured and observed of results that another tool wrote: what they show, and what they cannot."""

import numpy as np
from evidence import infrastructure, requirement, results, run_document, write

from expectations.plain import named
from expectations.verdicts import LATER, Reliance, verdict
from tasks.measure import measure
from tasks.measures.received import coarsened, in_time
from tasks.observe import Subject, judged_rows

CLOSED = "received, jmeter 5.6, closed loop, latency from sent time"


def received(**changes):
    told = {"gives": "raw", "evidence": CLOSED, "figures": []} | changes
    return run_document(received=told)


def closed_loop(count=1500):
    """Nobody knows when a message was due: what a closed-loop tool leaves behind."""
    rows = results(count)
    rows["intended_us"] = None
    rows["latency_us"] = None
    return rows.astype({"intended_us": "Int64", "latency_us": "Int64"})


def measured(tmp_path, document, rows):
    files = [write(tmp_path, "results", rows) if rows is not None else None]
    files.append(write(tmp_path, "infrastructure", infrastructure()))
    return measure(document, *files, withins=(), groups={})


def told(tmp_path, document, table, *requirements):
    file = write(tmp_path, "measurements", table)
    subject = Subject(document=document, measurements=file, reliance=Reliance.RECEIVED)
    rows = judged_rows([subject], requirements, tmp_path / f"judged-{len(list(tmp_path.iterdir()))}.duckdb")
    found = named(rows)
    return {row.requirement: verdict(row, found) for row in rows}


def test_a_closed_loop_run_gives_service_times_and_never_a_latency(tmp_path):
    table = measured(tmp_path, received(), closed_loop()).query("scope == 'all'").set_index("metric")
    assert "latency-p99" not in table.index
    assert table.loc["service-p99", "value"] == 40_000 - 60
    assert "not from when they were due" in table.loc["service-p99", "method"]
    assert table.loc["service-p99", ["lower", "upper"]].isna().all()
    assert table.loc["offered", "value"] == 1500


def test_a_closed_loop_shows_what_was_answered_and_no_latency_from_intended_time(tmp_path):
    document = received() | {"injector": {"kind": "received: jmeter 5.6, closed loop", "steps": []}}
    table = measured(tmp_path, document, closed_loop())
    found = told(tmp_path, document, table, requirement("latency-p99", "1 s"), requirement("answered-share", "90 %"))
    assert found["answered-share"][0] == "proved"
    assert found["latency-p99"][0] == "inconclusive"
    assert found["latency-p99"][1].startswith("not provable from this evidence: ")
    assert all(reason.endswith(f"({CLOSED})") for _, reason in found.values())
    assert all(reason.count("closed loop") == 1 for _, reason in found.values())


def test_an_open_loop_run_with_known_schedule_is_judged_like_our_own(tmp_path):
    document = received(evidence="received, vegeta, open loop, latency from intended time")
    table = measured(tmp_path, document, results())
    found = told(tmp_path, document, table, requirement("latency-p99", "1 s"))
    assert found["latency-p99"][0].value == "proved"
    assert "open loop" in found["latency-p99"][1]


def test_a_summarys_figures_are_measurements_of_its_tools_method_and_prove_nothing(tmp_path):
    figures = [
        {"scope": "all", "metric": metric, "value": value, "unit": unit, "samples": 20_000, "method": "wrk2's own"}
        for metric, value, unit in (("requests", 20_000, "count"), ("latency-p99", 1800, "us"))
    ]
    document = received(gives="summary", figures=[*figures, figures[1]], evidence="received, wrk2, open loop")
    table = measured(tmp_path, document, None)
    rows = table.query("scope == 'all'").set_index("metric")
    assert (rows.loc["latency-p99", "value"], rows.loc["latency-p99", "method"]) == (1800, "wrk2's own")
    assert rows.loc["offered", "value"] == 20_000
    found = told(tmp_path, document, table, requirement("latency-p99", "1 s"))
    assert found["latency-p99"][0].value == "inconclusive"
    assert found["latency-p99"][1].startswith("not provable from this evidence")


def test_our_own_runs_say_nothing_of_weak_evidence(tmp_path):
    document = run_document()
    table = measure(
        document, write(tmp_path, "results", results()), write(tmp_path, "infrastructure", infrastructure()),
        withins=(), groups={},
    )  # fmt: skip
    found = told(tmp_path, document, table, requirement("latency-p99", "1 s"))
    assert "received" not in found["latency-p99"][1]
    assert not table["metric"].str.startswith("service-p").any()


def test_service_times_are_over_messages_that_were_answered_at_some_time(tmp_path):
    rows = closed_loop(100)
    rows["done_us"] = rows["sent_us"] + np.arange(1, 101) * 1000
    rows["service_us"] = np.arange(1, 101) * 1000
    table = (
        measured(tmp_path, received(), rows.astype({"service_us": "Int64", "done_us": "Int64"}))
        .query("scope == 'all'")
        .set_index("metric")
    )
    assert [table.loc[f"service-{name}", "value"] for name in ("p50", "p90", "p95", "p99", "max")] == [
        50_000, 90_000, 95_000, 99_000, 100_000,
    ]  # fmt: skip


def test_times_that_are_coarse_for_the_limit_prove_and_refute_nothing(tmp_path):
    """Cut to whole hundredths of a second, every latency is nothing; it may be as much as two of them."""
    rows = results()
    rows["intended_us"] = rows["ready_us"] = rows["sent_us"] = rows["done_us"] = rows["sent_us"] // 10**4 * 10**4
    rows["latency_us"] = rows["service_us"] = 0
    evidence = "received, a tool, open loop, latency from intended time"
    document = received(evidence=evidence, capability={"resolution_us": 10_000}) | {"lateness_limit_us": 20_000}
    table = measured(tmp_path, document, rows)
    of_all = table.query("scope == 'all'").set_index("metric")
    assert of_all.loc["latency-p99", ["lower", "value", "upper"]].tolist() == [0, 0, 20_000]
    assert of_all.loc["lateness-p99", "value"] == 20_000
    assert of_all.loc["latency-p99", "method"].endswith("times are known to 10 ms only")
    assert of_all.loc["answered-share", "lower"] > 0
    found = told(tmp_path, document, table, requirement("latency-p99", "15 ms"))["latency-p99"]
    assert found[0] == "inconclusive"
    assert "straddles the limit" in found[1]
    assert told(tmp_path, document, table, requirement("latency-p99", "30 ms"))["latency-p99"][0] == "proved"
    exact = measured(tmp_path, received(evidence=evidence), rows).query("scope == 'all'").set_index("metric")
    assert exact.loc["latency-p99", ["lower", "value", "upper"]].tolist() == [0, 0, 0]


def test_a_service_level_of_coarse_times_has_no_interval_and_is_not_provable():
    rate = {"scope": "all", "metric": "service-level/100000", "value": 1, "lower": 1, "upper": 1, "unit": "ppm"}
    found = coarsened({**rate, "samples": 100, "method": "share"}, 1000)
    assert (found["value"], found["lower"], found["upper"]) == (1, None, None)
    assert coarsened({**rate, "samples": 100, "method": "share"}, 0) == {**rate, "samples": 100, "method": "share"}
    late = coarsened({**rate, "metric": "latency-p99", "upper": LATER, "method": "m"}, 1000)
    assert (late["lower"], late["upper"]) == (0, LATER)


def test_what_was_offered_is_what_was_offered_in_time():
    row = {"scope": "all", "metric": "offered", "value": 600, "lower": 600, "upper": 600, "method": "counted"}
    assert in_time(row, {}) == in_time(row, {"in_time": {"planned_us": 10**6, "most": 600}}) == row
    assert in_time(row, {"in_time": {"planned_us": 10**6, "most": None}}) is None
    fewer = in_time(row, {"in_time": {"planned_us": 10**6, "most": 60}})
    assert (fewer["value"], fewer["lower"], fewer["upper"]) == (60, 60, 60)
    other = {**row, "scope": "group"}
    assert in_time(other, {"in_time": {"planned_us": 10**6, "most": None}}) == other
