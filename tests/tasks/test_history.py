"""History: what each run comes to now, from its own tables, under the requirements in force now."""

import numpy as np
import pytest
from evidence import infrastructure, requirement, results, run_document

from catalog.declarations import RequirementScope
from catalog.ledger import Kind
from catalog.reading import read_catalogue
from tasks.declare import declare
from tasks.history import history, no_history
from tasks.measure import measure
from tasks.measuring import measurement_key, settings
from tasks.parquet import table_bytes
from tasks.stage import Artefact, document
from tests.shops import write_shop

TEST = "pilot.dsp.load"


@pytest.fixture
def programme(template):
    """The template with requirements for the runs that are made up here."""
    wanted = (requirement("latency-p95", "500 ms"), requirement("cpu-p95", "90 %"))
    return template.programme.model_copy(update={"requirements": wanted})


def recorded(runbook, *, number=1, result=None, sample=None, **facts):
    """Records a finished run with tables: 1500 messages of 40 ms, and samples of a component that is well."""
    run = f"pilot/{TEST}/{number}"
    outputs = {
        "run": document(run_document(run=run, test=TEST, phase="pilot", **facts)),
        "results": Artefact(data=table_bytes("results", results(run=run, **(result or {})))),
        "infrastructure": Artefact(data=table_bytes("infrastructure", infrastructure(run=run, **(sample or {})))),
    }
    return runbook.run(TEST, outputs=outputs)


def verdict(runbook, programme, run):
    return history(runbook.workspace, programme).verdict(run)


SLOW = {"latency_us": np.full(1500, 900_000)}
UNSAMPLED = {"keep": slice(0, 20)}
LATE = {"late_us": 200_000}


def test_a_run_that_meets_every_requirement_is_proved(runbook, programme):
    assert verdict(runbook, programme, recorded(runbook)) == ("proved", "")


def test_a_run_that_misses_one_is_not_proved(runbook, programme):
    assert verdict(runbook, programme, recorded(runbook, result=SLOW)) == ("not proved", "")


def test_a_run_without_its_samples_is_inconclusive_for_a_cause_outside_the_figure(runbook, programme):
    found, cause = verdict(runbook, programme, recorded(runbook, sample=UNSAMPLED))
    assert found == "inconclusive"
    assert cause.startswith("missing metrics")


def test_a_run_whose_load_came_late_is_inconclusive_for_a_cause_outside_the_figure(runbook, programme):
    found, cause = verdict(runbook, programme, recorded(runbook, result=LATE))
    assert found == "inconclusive"
    assert "load not offered in time" in cause


def test_too_few_messages_are_no_cause_to_repeat_it(runbook, programme):
    run = recorded(runbook, result={"count": 60}, target={"messages": 60})
    assert verdict(runbook, programme, run) == ("inconclusive", "")


def test_what_is_not_proved_stands_though_a_metric_is_missing_too(runbook, programme):
    """No cherry-picking: a run that refuted one requirement is not tried again for the sake of another."""
    assert verdict(runbook, programme, recorded(runbook, result=SLOW, sample=UNSAMPLED)) == ("not proved", "")


def test_a_changed_requirement_is_observed_afresh_on_the_same_evidence(runbook, programme):
    run = recorded(runbook)
    stricter = (requirement("latency-p95", "30 ms"),)
    assert verdict(runbook, programme.model_copy(update={"requirements": stricter}), run) == ("not proved", "")
    (named,) = history(runbook.workspace, programme.model_copy(update={"requirements": stricter})).deciding(run)
    assert (named.input, named.old, named.allows) == ("requirement latency-p95", "not known", False)
    assert named.new.startswith("at most 30 ms; measured 40 ms; not proved: [40 ms, 40 ms] lies outside the limit")
    timed = (requirement("service-level", "99 %", within="41 ms"),)  # a target time that was never measured before
    assert verdict(runbook, programme.model_copy(update={"requirements": timed}), run) == ("proved", "")


def test_a_requirement_of_other_roles_and_types_is_not_held_against_it(runbook, programme):
    elsewhere = requirement("latency-p95", "1 ms").model_copy(
        update={"scope": RequirementScope(roles=("cp",), types=("load",))}
    )
    run = recorded(runbook, result=SLOW)
    assert verdict(runbook, programme.model_copy(update={"requirements": (elsewhere,)}), run) == ("proved", "")


@pytest.mark.parametrize("state", ["unreachable", ""])
def test_a_run_that_did_not_finish_is_inconclusive_and_says_how_it_ended(runbook, programme, state):
    run = runbook.run(TEST, state=state)
    assert verdict(runbook, programme, run) == ("inconclusive", run.state.value)


@pytest.mark.parametrize("harm", ["alter", "lose"])
@pytest.mark.parametrize("role", ["run", "results", "infrastructure"])
def test_damaged_evidence_comes_to_nothing_and_leaves_the_other_runs_alone(runbook, programme, harm, role):
    well, harmed = recorded(runbook), recorded(runbook, number=2)
    getattr(runbook, harm)(harmed.record.output(role))
    known = history(runbook.workspace, programme)
    assert known.verdict(harmed) == ("inconclusive", "evidence damaged or missing")
    assert known.verdict(well) == ("proved", "")


def measured(runbook, programme, run, **columns):
    """Records the run's measurements under their key, with some columns replaced."""
    wanted, store = settings(programme), runbook.workspace.store
    tables = (store.path(run.record.output(role)) for role in ("results", "infrastructure"))
    rows = measure(store.document(run.record.output("run")), *tables, withins=wanted.withins, groups=wanted.groups)
    artefact = Artefact(data=table_bytes("measurements", rows.assign(**columns)))
    key = measurement_key(run.record, wanted)
    return runbook.recorder.record(Kind.DERIVED, "measure", key=key, outputs={"measurements": artefact})


def test_recorded_measurements_are_taken_and_not_computed_again(runbook, programme):
    run = recorded(runbook)
    measured(runbook, programme, run, value=9 * 10**8, lower=9 * 10**8, upper=9 * 10**8)
    assert verdict(runbook, programme, run)[0] != "proved"


def test_measurements_of_other_settings_and_damaged_ones_are_computed_again(runbook, programme):
    run = recorded(runbook)
    wrong = {"value": 9 * 10**8, "lower": 9 * 10**8, "upper": 9 * 10**8}
    timed = requirement("service-level", "99 %", within="41 ms")
    measured(runbook, programme.model_copy(update={"requirements": (timed,)}), run, **wrong)
    assert verdict(runbook, programme, run) == ("proved", "")
    runbook.alter(measured(runbook, programme, run, **wrong).output("measurements"))
    assert verdict(runbook, programme, run) == ("proved", "")


def test_what_is_withdrawn_is_known(runbook, programme):
    run = recorded(runbook)
    runbook.withdraw(run.record.digest)
    assert run.record.digest in history(runbook.workspace, programme).withdrawn


def test_where_there_is_no_workspace_nothing_is_known_and_nothing_is_made(tmp_path):
    known = no_history(tmp_path / "nowhere")
    assert (known.runs, known.withdrawn) == ((), frozenset())
    assert known.store.intact("0" * 64) is False
    assert list(tmp_path.iterdir()) == []


def test_a_changed_requirement_is_named_with_the_limit_that_was_in_force_then(runbook, tmp_path):
    write_shop(tmp_path / "shop")
    catalogue = read_catalogue(tmp_path / "shop")
    declare(runbook.recorder, catalogue, tmp_path / "shop")
    old = next(each for each in catalogue.programme.requirements if each.id == "answered")
    run = recorded(runbook, role="storefront")
    new = old.model_copy(update={"limit": old.limit.model_copy(update={"value": 1_000_000})})
    known = history(runbook.workspace, catalogue.programme.model_copy(update={"requirements": (new,)}))
    assert known.verdict(run)[0] == "inconclusive"
    (named,) = known.deciding(run)
    assert (named.input, named.old) == ("requirement answered", "at least 99 %")
    assert named.new.startswith("at least 100 %; measured 100 %; inconclusive: [")
