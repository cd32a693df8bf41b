"""Measurements of runs made up so that every right answer is known."""

from itertools import product

import duckdb
import numpy as np
import pandas as pd
import pytest
from evidence import START, WINDOW, infrastructure, results, run_document, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import rules
from expectations import statistics
from expectations.verdicts import LATER
from tasks.measure import measure
from tasks.measures import subject
from tasks.parquet import canonical_rows_digest

GOLDEN = (4, "168fcd47f9c9e0aa", "10dd2980c8dc885b")
"""Version of the rules, and what they give; raise the first whenever the others change."""

GROUPS = {"s0": "reads", "s1": "reads", "s2": "other"}
SECOND = 1_000_000


@pytest.fixture
def measured(tmp_path):
    """Measures made-up tables; the measurements come by (scope, metric)."""

    def of(run=None, rows=None, samples=None, withins=(30 * SECOND,)):
        rows = results() if rows is None else rows
        samples = infrastructure() if samples is None else samples
        paths = write(tmp_path, "results", rows), write(tmp_path, "infrastructure", samples)
        found = measure(run or run_document(), *paths, withins=withins, groups=GROUPS)
        assert set(found["run"]) == {"ioc/ioc.dsp.load/1"}
        return {(row.scope, row.metric): row for row in found.itertuples(index=False)}

    return of


def ends(row):
    return row.value, row.lower, row.upper


def test_every_metric_of_every_scope_is_measured(measured):
    found = measured(withins=(30 * SECOND, 60 * SECOND))
    answering = {"offered", "answered-share", "service-level/30000000", "service-level/60000000"}
    latencies = {"latency-p50", "latency-p95", "latency-p99", "latency-max"}
    resources = {"cpu-p95", "memory-p95", "memory-max", "connections-p95", "connections-max", "coverage"}
    scopes = {"all": answering | latencies | resources | {"lateness-p99"}}
    scopes |= dict.fromkeys(("reads", "other"), answering | latencies)
    of_300 = (answering | latencies) - {"latency-p99"}  # which 1,000 messages are needed for
    scopes |= {f"srv:s{number}": of_300 for number in range(5)}
    assert set(found) == {(scope, metric) for scope, metrics in scopes.items() for metric in metrics}


def test_percentiles_are_those_of_duckdb(measured, tmp_path):
    latency = np.random.default_rng(4).integers(1_000, 90_000, 1500)
    rows = results(latency_us=latency)
    found = measured(rows=rows)
    path = write(tmp_path, "results", rows)
    query = """
        SELECT coalesce(scope, 'all'), quantile_disc(latency_us, [0.5, 0.95, 0.99]), max(latency_us), count(*)
        FROM (
            SELECT *, CASE WHEN srv IN ('s0', 's1') THEN 'reads' WHEN srv = 's2' THEN 'other' END AS scope
            FROM read_parquet(?)
        )
        GROUP BY GROUPING SETS ((), (scope)) HAVING GROUPING(scope) = 1 OR scope IS NOT NULL
    """
    for scope, percentiles, largest, count in duckdb.execute(query, [str(path)]).fetchall():
        metrics = ("latency-p50", "latency-p95", "latency-p99")
        assert [found[scope, metric].value for metric in metrics] == percentiles
        assert found[scope, "latency-max"].value == largest
        assert found[scope, "offered"].value == found[scope, "latency-p95"].samples == count


def test_the_same_tables_give_the_same_measurements(measured):
    latency = np.random.default_rng(4).integers(1_000, 90_000, 1500)
    rows = results(latency_us=latency)
    shuffled = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    assert measured(rows=rows) == measured(rows=shuffled)


def test_failures_rank_later_than_any_answer(measured):
    outcomes = (["ok"] * 9 + ["timeout"]) * 150
    found = measured(rows=results(outcome=outcomes, status=[200 if each == "ok" else 0 for each in outcomes]))
    assert ends(found["all", "latency-p50"]) == (40_000, 40_000, 40_000)
    assert found["all", "latency-p95"].value == LATER
    assert found["all", "answered-share"].value == found["all", "service-level/30000000"].value == 900_000
    assert found["all", "offered"].value == 1500


def test_an_error_that_is_expected_is_an_answer(measured):
    found = measured(rows=results(outcome=["error"] * 1500, expect=["error"] * 1500))
    assert found["all", "answered-share"].value == 1_000_000
    assert found["all", "latency-p99"].value == 40_000
    assert measured(rows=results(expect=["error"] * 1500))["all", "answered-share"].value == 0


def test_service_levels_count_from_intended_time(measured):
    latency = np.where(np.arange(1500) % 4, 10_000, 50_000)
    found = measured(rows=results(latency_us=latency), withins=(20_000, 50_000))
    assert found["all", "service-level/20000"].value == 750_000
    assert found["all", "service-level/50000"].value == 1_000_000


def test_a_maximum_is_bounded_only_by_the_full_duration(measured):
    compressed = measured(run_document(compression="2880"))
    for metric, value in (("latency-max", 40_000), ("memory-max", 50_000_000), ("connections-max", 33)):
        assert ends(measured()["all", metric]) == (value, value, value)
        assert ends(compressed["all", metric]) == (value, value, LATER)
        assert "compressed by 2880" in compressed["all", metric].method


def test_messages_that_were_never_taken_up_were_not_offered(measured):
    rows = results()
    late = rows.index >= 1400
    for column in ("ready_us", "sent_us", "done_us", "latency_us", "service_us"):
        rows.loc[late, column] = None
    rows.loc[late, "outcome"] = "timeout"
    found = measured(rows=rows)
    assert ends(found["all", "offered"]) == (1400, 1400, 1400)
    assert found["all", "offered"].samples == 1500


def test_lateness_is_that_of_being_taken_up(measured):
    assert ends(measured(rows=results(late_us=777))["all", "lateness-p99"]) == (777, 777, 777)


def test_without_intended_times_no_latency_is_made_up(measured):
    unknown = [None] * 1500
    found = measured(
        rows=results(intended_us=unknown, latency_us=np.full(1500, 0))
        .assign(latency_us=pd.NA)
        .astype({"latency_us": "Int64"})
    )
    assert ("all", "answered-share") in found
    assert not [metric for _, metric in found if metric.startswith(("latency", "service-level", "lateness"))]


def test_a_latency_below_nothing_leaves_all_latencies_untold(measured):
    found = measured(rows=results(latency_us=[-(2**62), *[40_000] * 1499]))
    assert found["all", "answered-share"].value == 1_000_000
    assert not [metric for scope, metric in found if scope in {"all", "srv:s0"} and metric.startswith("latency")]
    assert ends(found["srv:s1", "latency-p50"]) == (40_000, 40_000, 40_000)


def test_messages_of_which_some_have_no_intended_time_are_in_the_stretch_of_their_sending(measured):
    rows = results()
    rows.loc[rows.index % 3 == 0, ["intended_us", "latency_us"]] = None
    rows.loc[rows.index % 6 == 0, "ready_us"] = None
    found = measured(rows=rows)
    assert found["all", "offered"].value == 1250
    assert "30 of 30 stretches" in found["all", "answered-share"].method
    assert ends(found["all", "lateness-p99"]) == (50, 50, 50)


@pytest.mark.parametrize("unknown", [0, 3])
def test_messages_that_were_taken_up_late_are_in_the_stretch_in_which_they_were_due(measured, unknown):
    late = results(late_us=WINDOW, latency_us=np.full(1500, WINDOW + 40_000))  # all in the last, by any other time
    late.loc[late.index < unknown, ["intended_us", "latency_us"]] = None
    assert "30 of 30 stretches" in measured(rows=late)["all", "answered-share"].method


def test_acknowledgements_and_other_runs_are_not_counted(measured):
    rows = pd.concat([results(), results(kind=["acknowledgement"] * 1500), results(run="another")], ignore_index=True)
    assert measured(rows=rows)["all", "offered"].value == 1500


def test_too_few_stretches_have_no_interval_and_say_so(measured):
    row = measured(rows=results(window_us=WINDOW // 2))["all", "latency-p95"]
    assert (row.value, pd.isna(row.lower), pd.isna(row.upper)) == (40_000, True, True)
    assert "15 stretches of time hold any, 30 are needed" in row.method


def test_a_further_run_is_measured_at_a_higher_level(measured):
    latency = np.random.default_rng(4).integers(1_000, 90_000, 1500)
    first, second = (
        measured(run_document(level_index=k), results(latency_us=latency))["all", "latency-p95"] for k in (1, 3)
    )
    assert second.lower <= first.lower <= first.value == second.value <= first.upper <= second.upper
    assert "level 0.9875" in second.method


def test_resources_are_those_of_the_component_within_the_window(measured):
    own = infrastructure(samples=200, growth=1000)  # 20 s: the window is 12 s
    others = infrastructure(component="s1sp", growth=10**6)
    found = measured(samples=pd.concat([own, others], ignore_index=True))
    assert found["all", "memory-max"].value == 50_000_000 + 119 * 1000
    assert found["all", "coverage"].value == 1_000_000
    assert 190_000 <= found["all", "cpu-p95"].value <= 199_000
    assert found["all", "cpu-p95"].lower <= found["all", "cpu-p95"].value <= found["all", "cpu-p95"].upper <= 199_000


def test_missing_samples_show_in_the_coverage(measured):
    assert measured(samples=infrastructure(keep=slice(0, 60)))["all", "coverage"].value == 500_000
    nothing = measured(samples=infrastructure(component="s1sp"))
    assert nothing["all", "coverage"].value == 0
    assert ("all", "memory-max") not in nothing


def test_memory_growth_is_per_message_and_of_a_soak_only(measured):
    soak = run_document(type="soak")
    leak = measured(soak, samples=infrastructure(growth=12_500 * 1000))["all", "memory-growth"]  # 125 messages a second
    assert leak.lower <= 1_000_000 <= leak.upper
    assert leak.samples == 30
    assert ends(measured(soak)["all", "memory-growth"]) == (0, 0, 0)
    assert ("all", "memory-growth") not in measured()


STRESS = {"ramp": {"latency": 250_000, "answered": {"value": 990_000, "unit": "ppm"}}}


def ramp(*loads):
    """A stress run in steps of 2 s, a load of `count` messages each, with its latency and how late it was taken up."""
    parts, steps, first = [], [], 0
    for number, (count, latency, late) in enumerate(loads):
        part = results(count, latency_us=np.full(count, latency), late_us=late, window_us=2 * SECOND)
        shift = number * 2 * SECOND
        for column in ("intended_us", "ready_us", "sent_us", "done_us"):
            part[column] += shift
        part["sequence"] += first
        parts.append(part)
        steps.append(
            {
                "part": "ramp",
                "multiple_ppm": 1_000_000 + 500_000 * number,
                "first": first,
                "last": first + count - 1,
                "start_us": START + shift,
                "window_us": 2 * SECOND,
            }
        )
        first += count
    run = run_document(type="stress", steps=steps, definition=STRESS)
    return run, pd.concat(parts, ignore_index=True)


FAST, SLOW = 40_000, 400_000


@pytest.mark.parametrize(
    ("loads", "wanted", "told"),
    [
        (
            [(200, FAST, 9), (300, FAST, 9), (400, SLOW, 9)],
            (1_500_000, 1_500_000, 1_999_999),
            "2 times not carried",
        ),
        ([(200, SLOW, 9)], (0, 0, 999_999), "1 times not carried"),
        ([(200, FAST, 9), (300, FAST, 9)], (1_500_000, 1_500_000, LATER), "nothing bounds it"),
    ],
)
def test_headroom_is_the_highest_load_carried(measured, loads, wanted, told):
    row = measured(*ramp(*loads))["all", "headroom"]
    assert ends(row) == wanted
    assert told in row.method
    assert row.samples == sum(count for count, *_ in loads)


def test_a_step_that_was_offered_late_leaves_no_headroom(measured):
    row = measured(*ramp((200, FAST, 9), (300, SLOW, 200_000)))["all", "headroom"]
    assert row.samples == 0
    assert pd.isna(row.lower)
    assert "1.5 times not offered in time" in row.method


def test_a_step_with_messages_missing_was_not_offered(measured):
    run, rows = ramp((200, FAST, 9), (300, FAST, 9))
    assert measured(run, rows[rows["sequence"] != 250].reset_index(drop=True))["all", "headroom"].samples == 0


def test_a_step_with_too_many_failures_is_not_carried(measured):
    run, rows = ramp((200, FAST, 9), (300, FAST, 9))
    rows.loc[rows["sequence"].isin(range(200, 204)), "outcome"] = "error"  # 1.3 %
    assert ends(measured(run, rows)["all", "headroom"]) == (1_000_000, 1_000_000, 1_499_999)


def test_a_step_is_not_carried_where_failures_reach_its_95th_percentile(measured):
    run, rows = ramp((200, FAST, 9), (300, FAST, 9))
    rows.loc[rows["sequence"].isin(range(200, 224)), "outcome"] = "error"  # 8 %
    lenient = {"ramp": STRESS["ramp"] | {"answered": {"value": 800_000, "unit": "ppm"}}}
    assert ends(measured(run | {"definition": lenient}, rows)["all", "headroom"]) == (1_000_000, 1_000_000, 1_499_999)


def test_a_step_that_waited_long_to_be_sent_is_not_carried(measured):
    run, rows = ramp((200, FAST, 9), (300, SLOW, 9))
    rows.loc[rows["sequence"] >= 200, "sent_us"] += SLOW - FAST
    rows["service_us"] = rows["done_us"] - rows["sent_us"]
    assert ends(measured(run, rows)["all", "headroom"]) == (1_000_000, 1_000_000, 1_499_999)


def test_a_stress_run_mixes_loads_so_nothing_else_is_measured_of_it(measured):
    found = measured(*ramp((200, FAST, 9), (300, FAST, 9)))
    assert set(found) == {("all", "offered"), ("all", "lateness-p99"), ("all", "headroom"), ("all", "capacity")}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from([3, 40_000, 9_000_000]), st.sampled_from([0, 0.2]), st.integers(1, 3))
def test_percentiles_are_those_of_every_single_message(measured, seed, spread, failing, level_index):
    """Latencies come in counts, by bins first: what comes out is what the messages themselves give."""
    drawn = np.random.default_rng(seed)
    slower = 1 + np.arange(1500) // 50 % drawn.integers(1, 8)
    latency = drawn.integers(100, 100 + spread, 1500) * slower
    outcome = np.where(drawn.random(1500) < failing, "error", "ok")
    run = run_document(level_index=level_index)
    found = measured(run, results(latency_us=latency, outcome=outcome))
    ranked = np.where(outcome == "ok", latency, LATER)
    of_srv, block = np.arange(1500) % 5, np.arange(1500) * 30 // 1500
    level = statistics.judged_level(level_index)
    scopes = {"all": of_srv < 5, "reads": of_srv < 2, "other": of_srv == 2, "srv:s4": of_srv == 4}
    for (scope, own), (metric, permille) in product(scopes.items(), (("latency-p50", 500), ("latency-p95", 950))):
        wanted = statistics.quantile_interval(ranked[own], block[own], permille, seed=7, level=level)
        assert ends(found[scope, metric]) == (wanted.value, wanted.lower, wanted.upper)
    assert found["reads", "latency-max"].value == ranked[of_srv < 2].max()
    within = int((ranked <= 30 * SECOND).sum())
    assert found["all", "service-level/30000000"].value == within * 1_000_000 // 1500


def test_lateness_is_known_to_the_microsecond(measured):
    late = np.random.default_rng(3).integers(-50, 3_000_000, 1500)
    found = measured(rows=results(late_us=late))
    assert found["all", "lateness-p99"].value == np.sort(late)[statistics.rank(990, 1500) - 1]


def test_an_srv_is_measured_in_what_it_has_messages_enough_for(measured):
    srv = ["rare"] * 7 + ["some"] * 250 + ["many"] * 1243
    found = measured(rows=results(srv=srv))
    told = {scope: {metric for each, metric in found if each == scope} for scope, _ in found}
    assert told["srv:rare"] == {"offered"}
    assert told["srv:some"] == told["srv:many"] - {"latency-p99"}
    assert found["srv:rare", "offered"].samples == 7
    assert "too few of them for answered-share (30), latency-p50 (30), latency-p95 (200)" in (
        found["srv:rare", "offered"].method
    )
    assert found["srv:some", "offered"].method.endswith("too few of them for latency-p99 (1000)")
    assert "too few" not in found["srv:many", "offered"].method


def test_only_the_srvs_with_the_most_messages_are_told_apart(measured, monkeypatch):
    whole = measured()
    monkeypatch.setattr(subject, "MOST_SRVS", 2)
    found = measured(rows=results(srv=["s0"] * 400 + ["s1", "s2"] * 300 + ["s4"] * 500))
    assert {scope for scope, _ in found} == {"all", "reads", "other", "srv:s4", "srv:s0"}
    assert found["reads", "offered"].samples == 700
    assert found["other", "offered"].samples == 300
    assert found["all", "latency-p95"] == whole["all", "latency-p95"]


def test_measurements_change_only_with_the_version_of_their_rules(tmp_path):
    latency = 1_000 + np.arange(1500) * 7919 % 50_021
    stress, steps = ramp((200, FAST, 9), (300, SLOW, 9))
    digests = []
    for run, rows in ((run_document(type="soak"), results(latency_us=latency)), (stress, steps)):
        paths = write(tmp_path, "results", rows), write(tmp_path, "infrastructure", infrastructure(growth=4096))
        found = measure(run, *paths, withins=(30 * SECOND,), groups=GROUPS)
        digests.append(canonical_rows_digest("measurements", found)[:16])
    assert (rules.MEASURE, *digests) == GOLDEN


# --- types of test that measure what is theirs -----------------------------------------------------------------------


def test_how_a_system_fails_and_whether_it_recovers(measured):
    run, rows = ramp((200, FAST, 9), (300, SLOW, 9), (200, FAST, 9))
    run["steps"][2] |= {"part": "recovery", "multiple_ppm": 1_000_000}
    beyond = rows["sequence"].isin(range(200, 210))
    rows.loc[beyond, "outcome"] = "timeout"
    found = measured(run, rows)
    assert ends(found["all", "headroom"]) == (1_000_000, 1_000_000, 1_499_999)
    assert found["overload", "answered-share"].value == 966_666
    assert "290 ok, 0 error, 10 timeout, 0 refused; the slowest answer took 400000 us" in (
        found["overload", "answered-share"].method
    )
    assert found["all", "recovered-share"].value == 1_000_000
    assert found["all", "recovered-share"].samples == 200


def test_the_law_of_scalability_needs_four_loads_and_tells_its_parameters(measured):
    loads = [(200, FAST, 9), (300, FAST, 9), (400, FAST, 9), (500, FAST, 9), (600, FAST, 9)]
    found = measured(*ramp(*loads))["scalability", "contention"]
    assert found.value < 10_000  # throughput rises as the load does
    assert "Universal Scalability Law over 5 steps" in found.method
    assert ("scalability", "contention") not in measured(*ramp(*loads[:3]))


def test_a_soak_measures_what_drifts(measured):
    latency = 30_000 + np.arange(1500) * 10  # 10 us a message
    failed = ["error" if number >= 1200 and not number % 50 else "ok" for number in range(1500)]
    samples = infrastructure(growth=4096)
    handles = samples[samples.metric == "connections_count"].assign(metric="handles_count")
    handles["value"] = 40 + np.arange(len(handles)) // 2
    both = pd.concat([samples, handles], ignore_index=True)
    found = measured(run_document(type="soak"), results(latency_us=latency), both)
    growth = found["all", "latency-growth"]
    assert growth.lower <= 10_000_000 <= growth.upper
    assert growth.lower > 9_000_000
    assert found["all", "handles-growth"].lower > 0
    assert ends(found["all", "failure-growth"]) == (0, 0, 0)
    failing = measured(run_document(type="soak"), results(outcome=failed), both)
    assert failing["all", "failure-growth"].upper > 0


def test_queued_demand_is_drained_when_its_last_message_is_answered(measured):
    """300 messages are released at once and answered one after the other, 10 ms each; new ones come every 10 ms."""
    queued, new = 300, 1_000
    due = np.concatenate([np.zeros(queued, dtype=np.int64), np.arange(new) * 10_000])
    done = np.concatenate([(1 + np.arange(queued)) * 10_000, due[queued:] + 20_000])
    rows = results(queued + new, intended_us=START + due, ready_us=START + due, sent_us=START + due)
    rows["done_us"], rows["latency_us"], rows["service_us"] = START + done, done - due, done - due
    run = run_document(type="catch-up", released=queued, compression="1440", target={"messages": queued + new})
    found = measured(run, rows)
    assert ends(found["all", "drain-time"]) == (3_000_000 * 1440,) * 3
    assert found["all", "backlog-max"].value == 301  # all that was released, and the first new one
    assert found["queued", "answered-share"].value == 1_000_000
    assert found["recovery", "latency-p50"].samples == 300  # the new ones due within three seconds
    unanswered = rows.assign(outcome=["ok"] * queued + ["timeout"] * 20 + ["ok"] * (new - 20))
    assert measured(run, unanswered)["recovery", "latency-p95"].value == LATER  # 20 of the 300
    rows.loc[7, "outcome"] = "timeout"
    lost = measured(run, rows)["all", "drain-time"]
    assert (lost.lower, lost.upper) == (3_000_000 * 1440, LATER)
    assert "1 of 300 queued messages were not answered" in lost.method
    assert ("all", "drain-time") not in measured(run, rows.drop(index=3).reset_index(drop=True))


SCALING = {"scaling": {"load": "1.5", "added": {"at": 4 * SECOND}, "removed": {"at": 8 * SECOND}}}


def test_throughput_is_told_before_with_and_after_added_capacity(measured):
    """125 a second are due; 60 a second are answered in the first third, 190 in the next, 125 in the last."""
    rates = ((0, 60), (4, 190), (8, 125))
    done = np.concatenate([start * SECOND + np.arange(4 * rate) * SECOND // rate for start, rate in rates])
    due = np.arange(1500) * 8_000
    done = np.maximum(done[:1500], due)
    rows = results(1500, intended_us=START + due, ready_us=START + due, sent_us=START + due)
    rows["done_us"], rows["latency_us"], rows["service_us"] = START + done, done - due, done - due
    run = run_document(type="scaling", definition=SCALING, window_us=12 * SECOND, target={"messages": 1500})
    found = measured(run, rows)
    # the target is 1,500 messages in 12 s over a load of 1.5: 83.3 a second
    assert abs(found["before", "throughput"].value - 720_000) < 10_000
    assert abs(found["added", "throughput"].value - 2_280_000) < 300_000
    gain = found["all", "scaling-gain"]
    assert gain.lower <= gain.value <= gain.upper
    assert 2_500_000 < gain.value < 3_400_000
    assert found["all", "reduced-share"].value == 1_000_000
    late = rows["intended_us"] >= START + 8 * SECOND
    rows.loc[late, "outcome"] = "timeout"
    assert measured(run, rows)["all", "reduced-share"].value == 0


def test_invalid_requests_are_told_apart_from_the_rest(measured):
    wrong = np.arange(1500) % 10 == 0
    kinds = np.where(np.arange(1500) % 20 == 0, "unknown-srv", "unauthorised-device")
    rows = results(
        traffic=np.where(wrong, kinds, "BAU"),
        expect=np.where(wrong, "error", "ok"),
        outcome=np.where(wrong, "error", "ok"),
    )
    run = run_document(type="negative-path")
    found = measured(run, rows)
    assert found["all", "refused-share"].value == 1_000_000
    assert found["all", "refused-share"].samples == 150
    assert {found[name, "refused-share"].samples for name in ("unknown-srv", "unauthorised-device")} == {75}
    assert found["valid", "answered-share"].samples == 1350
    rows.loc[wrong & (kinds == "unknown-srv"), "outcome"] = "ok"  # served as if nothing were wrong
    served = measured(run, rows)
    assert served["unknown-srv", "refused-share"].value == 0
    assert served["all", "refused-share"].value == 500_000
    assert served["valid", "answered-share"].value == 1_000_000


def in_turns(candidate_us, baseline_us, *, runs=5, count=100, shift_us=0):
    """A regression run: `runs` a side of `count` messages, in turns; a run's latencies are around those given."""
    drawn, parts, steps, first = np.random.default_rng(3), [], [], 0
    for number in range(2 * runs):
        candidate = number % 4 in (0, 3)
        middle = candidate_us if candidate else baseline_us
        latency = (middle * drawn.lognormal(0, 0.02) * drawn.lognormal(0, 0.2, count)).astype(np.int64)
        part = results(count, latency_us=latency, window_us=2 * SECOND)
        moved = number * 2 * SECOND + (shift_us if candidate else 0)
        for column in ("intended_us", "ready_us", "sent_us", "done_us"):
            part[column] += moved
        part["sequence"] += first
        part["srv"] = "s0"
        parts.append(part)
        side = "candidate" if candidate else "baseline"
        times = {"start_us": START + number * 2 * SECOND, "window_us": 2 * SECOND}
        steps.append({"part": side, "multiple_ppm": 10**6, "first": first, "last": first + count - 1, **times})
        first += count
    run = run_document(type="regression", steps=steps, compared=["bau|s0|request"], target={"messages": first})
    return run, pd.concat(parts, ignore_index=True)


def test_a_regression_compares_whole_runs(measured):
    same = measured(*in_turns(40_000, 40_000))
    ratio = same["all", "latency-p50-ratio"]
    assert ratio.lower < 1_000_000 < ratio.upper < 1_100_000
    assert ratio.samples == 10
    assert "taken in turns" in ratio.method
    assert ends(same["all", "answered-share-ratio"]) == (1_000_000, 1_000_000, 1_000_000)
    assert "at that margin shown among the tails (Holm)" in same["all", "latency-p95-ratio"].method
    assert "Holm" not in ratio.method
    slower = measured(*in_turns(60_000, 40_000))
    assert slower["all", "latency-p50-ratio"].lower > 1_300_000
    assert "at that margin violated among the tails (Holm)" in slower["all", "latency-p95-ratio"].method
    ratios = {f"{each}-ratio" for each in ("latency-p50", "latency-p95", "latency-p99", "answered-share")}
    assert set(same) == {("all", metric) for metric in ratios | {"offered", "lateness-p99"}}


def failed(run, rows, side, share=1.0):
    """The same, but that so many of the messages of each run of a side had no right answer, the first of each."""
    rows = rows.copy()
    for step in run["steps"]:
        if step["part"] == side:
            last = step["first"] + round((step["last"] - step["first"] + 1) * share) - 1
            rows.loc[rows.sequence.between(step["first"], last), "outcome"] = "error"
    return run, rows


def test_a_regression_to_no_answers_at_all_is_unbounded(measured):
    found = measured(*failed(*in_turns(40_000, 40_000), "candidate", 0.1))
    assert ends(found["all", "latency-p95-ratio"]) == (LATER, LATER, LATER)
    assert found["all", "latency-p50-ratio"].upper < 2_000_000
    assert ends(found["all", "answered-share-ratio"]) == (900_000, 900_000, 900_000)
    nothing = measured(*failed(*in_turns(40_000, 40_000), "candidate"))
    assert ends(nothing["all", "latency-p50-ratio"]) == (LATER, LATER, LATER)
    assert ends(nothing["all", "answered-share-ratio"]) == (1, 1, 1)


def test_against_a_baseline_that_did_not_answer_nothing_is_shown(measured):
    rare = measured(*failed(*in_turns(40_000, 40_000), "baseline", 0.1))
    tail = rare["all", "latency-p95-ratio"]
    assert (pd.isna(tail.lower), pd.isna(tail.upper), tail.samples) == (True, True, 0)
    assert "the baseline did not answer" in tail.method
    assert rare["all", "latency-p50-ratio"].samples == 10
    both = measured(*failed(*failed(*in_turns(40_000, 40_000), "baseline"), "candidate"))
    for metric in ("latency-p50-ratio", "latency-p95-ratio", "latency-p99-ratio", "answered-share-ratio"):
        assert (pd.isna(both["all", metric].lower), both["all", metric].samples) == (True, 0)


def test_runs_are_compared_from_when_their_messages_were_due(measured):
    run, rows = in_turns(60_000, 40_000)
    of_candidate = rows["sequence"] // 100 % 4 % 3 == 0
    rows.loc[of_candidate, "sent_us"] += 20_000  # they waited for a connection
    rows["service_us"] = rows["done_us"] - rows["sent_us"]
    assert measured(run, rows)["all", "latency-p50-ratio"].lower > 1_300_000


def test_runs_that_were_offered_other_messages_are_not_compared(measured):
    assert ("all", "latency-p50-ratio") not in measured(*in_turns(40_000, 40_000, shift_us=7))
    run, rows = in_turns(40_000, 40_000)
    alone = run | {"steps": [step for step in run["steps"] if step["part"] == "candidate"]}
    assert ("all", "latency-p50-ratio") not in measured(alone, rows)


# --- acknowledgements, and chains -----------------------------------------------------------------------------------


def with_acknowledgements(rows, latency_us, keep=slice(None)):
    """The rows, and an acknowledgement so long after each was due (of those kept)."""
    first = rows.iloc[keep].copy()
    late = np.broadcast_to(np.asarray(latency_us), len(rows))[keep]
    first["kind"], first["outcome"], first["status"] = "acknowledgement", "ok", 202
    first["latency_us"], first["done_us"] = late, first["intended_us"] + late
    first["service_us"] = first["done_us"] - first["sent_us"]
    both = pd.concat([rows, first.astype(rows.dtypes)])
    return both.sort_values(["sequence", "kind"], ascending=[True, False], kind="stable").reset_index(drop=True)


def test_acknowledgements_change_no_other_measurement(measured):
    latency = np.random.default_rng(4).integers(1_000, 90_000, 1500)
    rows = results(latency_us=latency)
    found, plain = measured(rows=with_acknowledgements(rows, 900)), measured(rows=rows)
    own = {(scope, "acknowledged-p95") for scope in ("all", "reads", "other", *(f"srv:s{n}" for n in range(5)))}
    assert set(found) - set(plain) == own
    assert {place: row for place, row in found.items() if place not in own} == plain
    soak = run_document(type="soak")
    assert (
        measured(soak, rows=rows)["all", "memory-growth"]
        == measured(soak, rows=with_acknowledgements(rows, 900))["all", "memory-growth"]
    )


def test_time_to_the_acknowledgement_ranks_what_was_never_heard_of_last(measured):
    """A tenth failed unacknowledged; another tenth was answered at once, which says as much as an acknowledgement."""
    outcome = np.where(np.arange(1500) % 10 == 3, "timeout", "ok").tolist()
    rows = results(outcome=outcome)
    kept = ~np.isin(np.arange(1500) % 10, (3, 7))
    found = measured(rows=with_acknowledgements(rows, 900, kept))
    assert found["all", "acknowledged-p95"].value == LATER
    fine = measured(rows=with_acknowledgements(results(), 900, np.arange(1500) % 10 != 7))
    assert ends(fine["all", "acknowledged-p95"]) == (40_000, 40_000, 40_000)
    assert fine["all", "acknowledged-p95"].samples == 1500
    most = measured(rows=with_acknowledgements(results(), 900, np.arange(1500) % 50 != 7))
    assert most["all", "acknowledged-p95"].value == 900


def test_paths_on_which_nothing_is_acknowledged_are_left_out(measured):
    paths = np.where(np.arange(1500) % 3 == 0, "transform", "bau").tolist()
    rows = results(path=paths, outcome=["timeout" if path == "transform" else "ok" for path in paths])
    found = measured(rows=with_acknowledgements(rows, 900, np.array(paths) == "bau"))
    assert found["all", "acknowledged-p95"].samples == 1000
    assert found["all", "acknowledged-p95"].value == 900


def test_a_chain_counts_from_when_its_first_message_was_due(measured):
    """Every even message is followed by an odd one that is due when it is done, 40 ms on, and takes 30 ms itself."""
    count = 1500
    rows = results()
    second = np.arange(count) % 2 == 1
    due = np.where(second, np.roll(rows["done_us"], 1), rows["intended_us"])
    latency = np.where(second, 30_000, 40_000)
    columns = {
        "path": np.where(second, "bau", "transform").tolist(), "srv": np.where(second, "s1", "t").tolist(),
        "intended_us": due, "ready_us": due + 50, "sent_us": due + 60, "done_us": due + latency, "latency_us": latency,
        "service_us": latency - 60,
    }  # fmt: skip
    run = run_document(follows={"bau|s1|request": "transform|t|request"})
    found = measured(run, rows=results(**columns))
    assert ends(found["all", "chain-latency-p95"]) == (70_000, 70_000, 70_000)
    assert found["all", "chain-latency-p95"].samples == found["reads", "chain-latency-p95"].samples == 750
    assert found["all", "latency-p95"].value == 40_000
    failed = np.where(np.arange(count) % 16 == 0, "error", "ok")
    failed = np.where(np.arange(count) % 16 == 1, "refused", failed).tolist()
    assert measured(run, rows=results(**columns, outcome=failed))["all", "chain-latency-p95"].value == LATER
    for either in (0, 1):
        alone = np.where(np.arange(count) % 16 == either, "error", "ok").tolist()
        assert measured(run, rows=results(**columns, outcome=alone))["all", "chain-latency-p95"].value == LATER
    assert ("all", "chain-latency-p95") not in measured(rows=results(**columns))
    apart = {**run, "released": 1}  # the first was released at the start, so that its next is nobody's second
    assert measured(apart, rows=results(**columns))["all", "chain-latency-p95"].samples == 749
    invalid = np.where(second & (np.arange(count) < 100), "error", "ok").tolist()
    assert measured(run, rows=results(**columns, expect=invalid))["all", "chain-latency-p95"].samples == 700


def test_turns_may_differ_in_when_messages_were_due_that_waited_for_others(measured):
    run, rows = in_turns(40_000, 40_000)
    second = rows["sequence"] % 2 == 1
    rows.loc[second, "srv"] = "s1"
    labels = ["bau|s0|request", "bau|s1|request"]
    later = second & (rows["sequence"] // 100 % 4).isin((0, 3))
    rows.loc[later, ["intended_us", "ready_us", "sent_us", "done_us"]] += 7
    assert ("all", "latency-p50-ratio") not in measured(run | {"compared": labels}, rows)
    waiting = run | {"compared": labels, "follows": {labels[1]: labels[0]}}
    assert measured(waiting, rows)["all", "latency-p50-ratio"].samples == 10
