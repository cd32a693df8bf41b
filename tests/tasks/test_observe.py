"""Observations: requirements and target volumes in force, held against what was measured."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence import infrastructure, requirement, results, run_document, write

from catalog import rules
from catalog.canonical import document_digest
from expectations import tables
from expectations.verdicts import Reliance
from tasks.measure import measure
from tasks.observe import Subject, observe, tally
from tasks.parquet import canonical_rows_digest

GOLDEN = (5, "61ca012e1a7718cc", "a42787b91842351d")
"""Version of the rules, and what they give; raise the first whenever the others change."""

GROUPS = {"s0": "reads", "s1": "reads", "s2": "other"}


@pytest.fixture
def subject(tmp_path):
    """A measured run."""

    def of(run=None, rows=None, samples=None, **more):
        run = run or run_document()
        rows = results(run=run["run"]) if rows is None else rows
        samples = infrastructure(run=run["run"]) if samples is None else samples
        paths = write(tmp_path, "results", rows), write(tmp_path, "infrastructure", samples)
        found = measure(run, *paths, withins=(30_000_000,), groups=GROUPS)
        return Subject(document=run, measurements=write(tmp_path, "measurements", found), **more)

    return of


def verdicts(observed):
    tables.check("observations", observed.observations)
    return {f"{row.requirement}/{row.scope}": (row.verdict, row.reason) for row in observed.observations.itertuples()}


P95 = requirement("latency-p95", "1 s")
ALL = [
    P95,
    requirement("latency-p95", "10 ms", name="too-strict"),
    requirement("service-level", "99 %", within="30 s"),
    requirement("answered-share", "99 %", groups=["reads", "other"]),
    requirement("cpu-p95", "80 %"),
    requirement("memory-max", "1 MiB"),
    requirement("latency-p99", "3 s", name="soak-only", types=["soak"]),
]


def test_each_requirement_in_scope_and_the_target_volume_is_observed(judge, subject):
    observed = observe([subject()], ALL, judge)
    assert {name: found for name, (found, _) in verdicts(observed).items()} == {
        "answered-share/other": "inconclusive",  # 300 messages cannot prove 99 %
        "answered-share/reads": "proved",
        "cpu-p95/all": "proved",
        "latency-p95/all": "proved",
        "memory-max/all": "not proved",
        "service-level/all": "proved",
        "target-volume/all": "proved",
        "too-strict/all": "not proved",
    }
    row = observed.observations.set_index("requirement").loc["service-level"]
    assert (row.observation, row.metric) == ("ioc/ioc.dsp.load/1/service-level/all", "service-level/30000000")
    assert (row.value, row.limit, row.unit, row.direction, row.reliance) == (
        1_000_000,
        990_000,
        "ppm",
        "at least",
        "executed",
    )


def test_what_was_not_measured_is_inconclusive_not_absent(judge, subject):
    found = verdicts(
        observe(
            [subject(samples=infrastructure(component="another"))],
            [requirement("cpu-p95", "80 %"), requirement("latency-p95", "1 s", groups=["nobody"])],
            judge,
        )
    )
    assert found["cpu-p95/all"] == ("inconclusive", "missing metrics: cpu-p95 was not measured for all")
    assert found["latency-p95/nobody"][1] == "missing metrics: latency-p95 was not measured for nobody"


def test_gaps_in_the_samples_are_missing_metrics(judge, subject):
    found = verdicts(
        observe([subject(samples=infrastructure(keep=slice(0, 100)))], [requirement("cpu-p95", "80 %"), P95], judge)
    )
    assert found["cpu-p95/all"] == ("inconclusive", "missing metrics: 83.3333 % of the samples, 90 % needed")
    assert found["latency-p95/all"][0] == "proved"


def test_a_system_that_cannot_take_its_load_is_not_proved(judge, subject):
    outcomes = ["ok" if number % 3 else "refused" for number in range(1500)]
    slow = np.where(np.arange(1500) % 3, 5_000_000, 40_000)
    found = verdicts(observe([subject(rows=results(latency_us=slow, outcome=outcomes))], ALL[:4], judge))
    assert found["target-volume/all"][0] == "proved"
    for name in ("latency-p95/all", "service-level/all", "answered-share/reads", "answered-share/other"):
        assert found[name][0] == "not proved"


def test_an_injector_that_took_messages_up_late_proves_and_refutes_nothing(judge, subject):
    found = verdicts(observe([subject(rows=results(late_us=100_001))], ALL, judge))
    assert {verdict for verdict, _ in found.values()} == {"inconclusive"}
    assert "load not offered in time: 99th percentile of lateness 100 ms" in found["target-volume/all"][1]


def test_messages_that_were_not_offered_prove_and_refute_nothing(judge, subject):
    found = verdicts(observe([subject(run_document(target={"messages": 1501}))], ALL, judge))
    assert set(found.values()) == {("inconclusive", "load not offered: 1,500 of 1,501 messages")}


def test_an_interrupted_run_proves_nothing_even_where_every_message_has_its_result(judge, subject):
    lost = {"reason": "killed", "step": 1, "results": 1500, "lost": 0}
    found = verdicts(observe([subject(run_document(interrupted=lost))], ALL, judge))
    assert {verdict for verdict, _ in found.values()} == {"inconclusive"}
    assert {reason.partition(":")[0] for _, reason in found.values()} == {"load not offered in time"}
    rows = results().head(1200)
    found = verdicts(observe([subject(run_document(interrupted=lost), rows=rows)], ALL, judge))
    assert set(found.values()) == {("inconclusive", "load not offered: 1,200 of 1,500 messages")}


def test_an_unreachable_system_is_inconclusive_throughout(judge):
    run = run_document(unreachable="connection refused")
    found = verdicts(observe([Subject(document=run, measurements=None)], ALL, judge))
    assert set(found.values()) == {("inconclusive", "system unreachable: connection refused")}
    assert len(found) == 8


def test_withdrawn_evidence_is_inconclusive(judge, subject):
    found = verdicts(observe([subject(withdrawn="wrong configuration")], [P95], judge))
    assert set(found.values()) == {("inconclusive", "evidence withdrawn: wrong configuration")}


def test_compression_leaves_maxima_unproved_and_percentiles_proved(judge, subject):
    requirements = [requirement("latency-max", "1 s"), requirement("memory-max", "512 MiB"), P95]
    found = verdicts(observe([subject(run_document(compression="2880"))], requirements, judge))
    assert found["latency-p95/all"][0] == "proved"
    assert found["latency-max/all"][0] == found["memory-max/all"][0] == "inconclusive"
    assert "durations compressed by 2880" in found["latency-max/all"][1]


def test_a_changed_requirement_is_observed_afresh_on_the_same_evidence(judge, subject):
    run = subject()
    stricter = P95.model_copy(update={"limit": requirement("latency-p95", "39 ms").limit})
    assert verdicts(observe([run], [P95], judge))["latency-p95/all"][0] == "proved"
    assert verdicts(observe([run], [stricter], judge))["latency-p95/all"][0] == "not proved"


def test_several_runs_are_observed_together_each_with_where_it_comes_from(judge, subject):
    second = run_document(run="foc/foc.dsp.load/1", test="foc.dsp.load")
    observed = observe([subject(), subject(second, reliance=Reliance.RELIED)], [P95], judge)
    assert observed.observations[["run", "requirement", "reliance"]].to_numpy().tolist() == [
        ["foc/foc.dsp.load/1", "latency-p95", "relied"],
        ["foc/foc.dsp.load/1", "target-volume", "relied"],
        ["ioc/ioc.dsp.load/1", "latency-p95", "executed"],
        ["ioc/ioc.dsp.load/1", "target-volume", "executed"],
    ]


def test_the_same_evidence_gives_the_same_observations_whatever_the_order(judge, subject):
    one, two = subject(), subject(run_document(run="foc/foc.dsp.load/1"))
    first, second = observe([one, two], ALL, judge), observe([two, one], list(reversed(ALL)), judge)
    pd.testing.assert_frame_equal(first.observations, second.observations)
    assert (first.suites, first.results) == (second.suites, second.results)


def test_nothing_to_observe_is_no_observation(judge):
    assert len(observe([], ALL, judge).observations) == 0


def test_the_tally_counts_verdicts(judge, subject, tmp_path):
    observed = observe([replace(subject(), withdrawn="")], ALL, judge)
    path = write(tmp_path, "observations", observed.observations)
    assert tally(path) == "5 proved, 2 not proved, 1 inconclusive"


def test_observations_change_only_with_the_version_of_their_rules(judge, subject):
    observed = observe([subject()], ALL, judge)
    digests = canonical_rows_digest("observations", observed.observations), document_digest(observed.suites)
    assert (rules.OBSERVE, *(digest[:16] for digest in digests)) == GOLDEN
