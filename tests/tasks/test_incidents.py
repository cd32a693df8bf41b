"""Incidents: an infrastructure requirement that a run breached is told with when and how far, once."""

from pathlib import Path

import pytest
from evidence import START, infrastructure, run_document, write

from catalog.ledger import Kind
from tasks.breaches import breaches
from tasks.incidents import record_incidents
from tasks.perform import Material
from tasks.stage import Artefact, document

RUN = "pilot/pilot.orders.load/1"
LIMIT = 55_000_000


def observed(metric="memory-max", value=LIMIT + 1, **changes):
    row = {
        "run": RUN, "test": "pilot.orders.load", "requirement": "memory", "metric": metric,
        "scope": "all", "value": value, "limit": LIMIT, "unit": "bytes", "direction": "at most",
    }  # fmt: skip
    return {**row, **changes}


@pytest.mark.parametrize(
    "row",
    [
        observed(value=LIMIT),
        observed(value=None),
        observed(metric="latency-p95"),
        observed(metric="memory-growth"),
        observed(metric="service-p95"),
        observed(scope="group:reads"),
    ],
)
def test_what_is_within_its_limit_or_no_infrastructure_is_no_breach(row):
    assert list(breaches([row])) == []


@pytest.fixture
def run(runbook, tmp_path):
    """A run whose memory grows by 100 KiB a sample, from 50 MB."""
    samples = infrastructure(run=RUN, growth=100 * 1024)
    outputs = {
        "run": document(run_document(run=RUN)),
        "infrastructure": Artefact(data=Path(write(tmp_path, "infrastructure", samples))),
    }
    return runbook.run("pilot.orders.load", outputs=outputs)


def material(runbook, programme=None):
    return Material(workspace=runbook.workspace, programme=programme, judge=lambda: None)


def test_a_breach_is_told_with_its_samples_and_recorded_once(runbook, run):
    samples = infrastructure(run=RUN, growth=100 * 1024)
    memory = samples[(samples["metric"] == "memory_bytes") & (samples["component"] == "dsp")]
    beyond = memory[memory["value"] > LIMIT]
    (record,) = record_incidents(runbook.recorder, material(runbook), {RUN: run}, breaches([observed()]))
    assert (record.kind, record.parameters["requirement"]) == (Kind.INCIDENT, "memory")
    told = runbook.workspace.store.document(record.output("incident"))
    assert told["samples"] == len(memory)
    assert 0 < told["beyond"] == len(beyond) < len(memory)
    assert (told["first_us"], told["last_us"]) == (beyond["at_us"].min(), beyond["at_us"].max())
    assert told["first_us"] > START
    assert told["peak"] == memory["value"].max()
    assert record_incidents(runbook.recorder, material(runbook), {RUN: run}, breaches([observed()])) == [record]
    assert (
        len(record_incidents(runbook.recorder, material(runbook), {RUN: run}, breaches([observed(limit=LIMIT - 1)])))
        == 1
    )


def test_runs_of_other_phases_are_theirs(runbook):
    assert record_incidents(runbook.recorder, material(runbook), {}, breaches([observed()])) == []
