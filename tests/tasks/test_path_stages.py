"""Stages of message paths: what goes into a component and comes out of it, as it counts that itself."""

from fractions import Fraction

import pandas as pd
import pytest
from evidence import START, WINDOW, infrastructure, results, run_document, write
from hypothesis import given, settings
from hypothesis import strategies as st
from test_execute import conduct, nothing_left_running, rising

from expectations import tables
from expectations.metrics import INFRASTRUCTURE, STAGE
from tasks.measure import measure
from tasks.measures.path_stages import SCOPE
from tasks.parquet import frame, table_bytes

__all__ = ["nothing_left_running"]

UNITS = {name: unit for name, (unit, _) in INFRASTRUCTURE.items() if name.startswith("path_")}
NOTHING = dict.fromkeys(UNITS, 0)


def looks(component, path, *counted):
    """What a component counted on a path: pairs of an instant after the start and its counters."""
    rows = [
        (START + at_us, metric, value, UNITS[metric])
        for at_us, counters in counted
        for metric, value in {**NOTHING, **{f"path_{name}": value for name, value in counters.items()}}.items()
    ]
    at, metrics, values, units = zip(*rows, strict=True)
    names = {"run": "ioc/ioc.dsp.load/1", "component": component, "sub_component": path, "host": "here"}
    constant = {name: [value] * len(rows) for name, value in names.items()}
    return frame(
        "infrastructure", {**constant, "at_us": at, "metric": list(metrics), "value": values, "unit": list(units)}
    )


@pytest.fixture
def stages(tmp_path):
    """Measures made-up tables: the stages' values by component, path and metric."""

    def of(*samples, run=None, rows=None):
        joined = pd.concat([infrastructure(), *samples], ignore_index=True)
        paths = (
            write(tmp_path, "results", results() if rows is None else rows),
            write(tmp_path, "infrastructure", joined),
        )
        found = measure(run or run_document(), *paths, withins=(), groups={})
        tables.check("measurements", found)
        return {
            (row.component, row.scope.removeprefix(SCOPE), row.metric.removeprefix("stage-")): row
            for row in found.itertuples(index=False)
            if row.scope.startswith(SCOPE)
        }

    return of


WHOLE = {
    "received": 1500,
    "served": 1490,
    "served_us": 1490 * 700 + 745,
    "forwarded": 1480,
    "returned": 1470,
    "answered": 1470,
    "failed": 20,
    "invalid": 5,
    "rejected": 5,
    "ended_us": 1500 * 2000,
}


def test_a_stage_is_measured_in_and_out(stages):
    half = {"received": 800, "answered": 590, "failed": 10}
    found = stages(
        looks("dsp", "bau", (-9, {}), (WINDOW // 2, half), (WINDOW + 5, WHOLE)),
        looks("stand-ins-plain", "bau", (-9, {}), (WINDOW + 5, {"received": 1479, "answered": 1479})),
    )
    dsp = {metric: row.value for (component, _, metric), row in found.items() if component == "dsp"}
    assert dsp == {
        "received": 1500,
        "handover": 0,
        "rate-in": 133_333,  # 800 in 6 s
        "answered": 1470,
        "invalid": 5,
        "failed": 20,
        "rejected": 5,
        "success-share": 983_333,
        "rate-out": 100_000,
        "forwarded": 1480,
        "returned": 1470,
        "service-mean": 700,  # 700.5, half to even
        "time-mean": 2000,
    }
    beyond = {metric: row for (component, _, metric), row in found.items() if component != "dsp"}
    assert beyond["handover"].value == -1
    assert "less the 1480 that dsp sent on" in beyond["handover"].method
    assert beyond["success-share"].value == 1_000_000
    assert not {"rate-in", "service-mean"} & beyond.keys()  # not looked at within the load; nothing was timed
    for (_, _, metric), row in found.items():
        assert (row.lower, row.upper) == (row.value, row.value)
        assert row.unit == str(STAGE[f"stage-{metric}"][0])


def test_messages_that_never_arrived_show_in_the_difference(stages):
    rows = results(path=(["bau"] * 4 + ["other"]) * 300)
    rows.loc[rows.index < 10, ["sent_us", "service_us"]] = None  # never written to a connection
    found = stages(looks("dsp", "bau", (WINDOW, {"received": 1190})), rows=rows)
    assert found["dsp", "bau", "handover"].value == -2
    assert ("dsp", "other", "received") not in found


def test_what_was_counted_before_the_load_is_taken_off(stages):
    found = stages(looks("dsp", "bau", (-50, {"received": 7}), (WINDOW, {"received": 1507})))
    assert found["dsp", "bau", "received"].value == 1500
    assert found["dsp", "bau", "rate-in"].value == 125_000


def test_a_stage_that_nothing_came_to_has_counts_and_no_averages(stages):
    found = stages(looks("dsp", "bau", (WINDOW, {})))
    assert {metric for _, _, metric in found if "mean" in metric or "share" in metric} == set()
    assert found["dsp", "bau", "received"].value == 0


def test_a_test_of_several_turns_has_no_rate_and_what_its_baseline_got_is_not_missed(stages):
    turns = [("current", 0, 499), ("baseline", 500, 999), ("current", 1000, 1499)]
    steps = [{"part": part, "first": first, "last": last} for part, first, last in turns]
    found = stages(looks("dsp", "bau", (WINDOW, {**WHOLE, "received": 1000})), run=run_document(steps=steps))
    assert (found["dsp", "bau", "received"].value, found["dsp", "bau", "handover"].value) == (1000, 0)
    assert not [metric for _, _, metric in found if metric.startswith("rate")]


def test_a_system_that_counts_nothing_has_no_stages(stages):
    assert stages() == {}


@settings(derandomize=True, deadline=None, max_examples=25)
@given(answered=st.integers(0, 500), failed=st.integers(0, 500), lost=st.integers(0, 9), taken_us=st.integers(0, 10**9))
def test_shares_and_means_are_exact_quotients(tmp_path_factory, answered, failed, lost, taken_us):
    folder = tmp_path_factory.mktemp("stages")
    received = answered + failed + lost
    counted = {"received": received, "answered": answered, "failed": failed, "ended_us": taken_us}
    samples = pd.concat([infrastructure(), looks("dsp", "bau", (WINDOW, counted))], ignore_index=True)
    found = measure(
        run_document(), write(folder, "results", results()), write(folder, "infrastructure", samples), withins=(),
        groups={},
    )  # fmt: skip
    rows = {row.metric: row.value for row in found.itertuples() if row.scope == "stage:bau"}
    if received:
        assert rows["stage-success-share"] == round(Fraction(answered * 1_000_000, received))
    if answered + failed:
        assert rows["stage-time-mean"] == round(Fraction(taken_us, answered + failed))
    assert rows["stage-rate-out"] == round(Fraction((answered + failed) * 10**9, WINDOW))


# --- of the emulated system -------------------------------------------------------------------------------------------


def measured(conducted, folder):
    for name in ("results", "infrastructure"):
        (folder / name).write_bytes(table_bytes(name, conducted.tables[name]))
    found = measure(conducted.document, folder / "results", folder / "infrastructure", withins=(), groups={})
    tables.check("measurements", found)
    return {
        (row.component, row.scope.removeprefix(SCOPE), row.metric.removeprefix("stage-")): row.value
        for row in found.itertuples()
        if row.scope.startswith(SCOPE)
    }


def test_what_the_injector_offered_is_what_the_stages_count(template, edited, tmp_path):
    """Orders fail some: each is counted where it failed, and the next hop gets the rest."""
    programme = edited(template.programme, ("environments.rehearsal.components.orders.error_permille", 200))
    conducted = conduct(programme, "orders.load").execute()
    results, found = conducted.tables["results"], measured(conducted, tmp_path)
    [path] = set(results.path)
    own = {metric: value for (component, _, metric), value in found.items() if component == "orders"}
    next_hop = {metric: value for (component, _, metric), value in found.items() if component == "stand-ins-plain"}
    failed = int((results.outcome == "error").sum())
    assert failed
    assert (own["received"], own["handover"], own["failed"]) == (len(results), 0, failed)
    assert own["answered"] == own["forwarded"] == own["returned"] == len(results) - failed
    assert (next_hop["received"], next_hop["answered"], next_hop["handover"]) == (own["forwarded"], own["forwarded"], 0)
    assert own["success-share"] == round(Fraction((len(results) - failed) * 1_000_000, len(results)))
    assert 32_000 <= own["service-mean"] <= own["time-mean"]
    assert own["rate-in"] > 0
    assert {path for _, path, _ in found} == {path}
    stated = conducted.tables["infrastructure"].groupby("metric").unit.first().to_dict()
    assert stated == {name: INFRASTRUCTURE[name][0] for name in stated}


def test_paths_are_sampled_at_the_start_at_the_end_and_seldom_between(template, edited):
    programme = rising(template.programme, edited, first="0.5", growth="1.2", most="0.6")
    conducted = conduct(programme, "orders.stress").execute()
    counted = conducted.tables["infrastructure"]
    own = counted[(counted.component == "orders") & (counted.metric == "path_received")]
    assert own.value.iloc[0] == 0
    assert own.value.iloc[-1] == conducted.document["target"]["messages"]
    assert own.at_us.iloc[0] <= conducted.document["start_us"]
    assert own.value.is_monotonic_increasing
