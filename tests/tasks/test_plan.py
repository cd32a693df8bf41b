"""Planning: what is executed, relied on or complete, why, and what stands in an execution's key."""

import re
from dataclasses import replace
from fractions import Fraction

import pytest
from approving import actor_of, approve

from catalog import rules
from catalog.approvals import approvals, statement_digest
from catalog.canonical import canonical
from catalog.declarations import TestType
from catalog.errors import UsageError
from expectations.reliance import Compared
from tasks.arrivals import arrivals_of, offer_of
from tasks.plan import (
    Decision,
    History,
    decide,
    decimal,
    execution_key,
    offered_us,
    phases_needed,
    plan_tests,
    rate_factor,
    standing,
)
from tasks.stage import document
from tasks.volumes.model import model_volumes, target_volumes

LOAD = "orders.load"


def planned(programme, phase="pilot", name=LOAD, *, environment="", occasion=""):
    chosen = programme.environment(environment or programme.programme.default_environment)
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, phase)}
    found = plan_tests(programme, phase, chosen, volumes, occasion=occasion or phase)
    return next(each for each in found if each.test == f"{phase}.{name}")


def known(runbook, **verdicts):
    """What is known of the runs so far; each is proved unless `verdicts` says otherwise, by its number."""
    runs = runbook.runs()
    told = {runs[int(number[1:])].run: verdict for number, verdict in verdicts.items()}

    def verdict(run):
        if run.state != "finished":
            return "inconclusive", run.state.value
        return told.get(run.run, ("proved", ""))

    withdrawn = frozenset(runbook.workspace.withdrawn())
    signed = frozenset({"storefront-plan", "orders-plan"})
    return History(runs=tuple(runs), withdrawn=withdrawn, store=runbook.workspace.store, verdict=verdict, signed=signed)


def execute(runbook, test, **how):
    """Records a run of a planned test, under its key; each has a document of its own."""
    outputs = {"run": document({"number": len(runbook.runs())})}
    return runbook.run(test.test, key=test.key, occasion=test.occasion, outputs=outputs, **how)


@pytest.fixture
def programme(template):
    return template.programme


# --- which tests there are --------------------------------------------------------------------------------------------


def test_every_plan_of_the_phase_gives_its_tests_in_order(programme, smets1):
    environment = programme.environment("rehearsal")
    volumes = {"launch": model_volumes(programme, "launch")}
    found = plan_tests(programme, "pilot", environment, volumes, occasion="pilot")
    assert [each.test for each in found] == [
        f"pilot.{component}.{name}" for component in ("storefront", "orders") for name in ("load", "stress", "soak")
    ]
    assert len({each.key_digest for each in found}) == len(found)
    shipped = smets1.programme
    foc = {"foc": model_volumes(shipped, "foc")}
    moc = plan_tests(shipped, "moc", shipped.environment("rehearsal"), foc, occasion="moc")
    assert {each.component.id for each in moc} == {"dsp", "dco", "cp", "s1sp-moc-mds", "s1sp-moc-secure"}


def test_phases_whose_volumes_are_needed(programme):
    assert phases_needed(programme, "pilot") == ["pilot", "launch"]
    assert phases_needed(programme, "launch") == ["launch"]


# --- the key ----------------------------------------------------------------------------------------------------------


def test_the_key_holds_what_results_depend_on(programme):
    inputs = planned(programme).key["inputs"]
    assert inputs["test"]["definition"]["duration"] == 14_400_000_000
    assert inputs["components"] == {
        "orders": {"version": "1.0", "artefact": "unstated", "configuration": {}, "solution": "Order House Classic"}
    }
    assert inputs["interfaces"] == {"entry": "plain", "beyond": {"purchase": "plain"}}
    assert inputs["environment"]["emulation"]["workers"] == 6
    assert inputs["factors"] == {"compression": "2400", "rate": "25"}
    assert inputs["offered_us"] == 6_000_000
    assert sum(inputs["volumes"]["messages"].values()) == 48_000
    canonical(planned(programme).key)


LEFT_OUT = [
    ("tests.plans.orders-plan.success_criteria", "Other criteria"),
    ("tests.plans.orders-plan.title", "Other"),
    ("tests.plans.orders-plan.version", "2"),
    ("tests.profiles.load.title", "Other"),
    ("tests.profiles.load.source", "Other"),
    ("system.components.orders.title", "Other"),
    ("system.components.orders.solution.source", "Other"),
    ("system.components.storefront.version", "2.0"),
    ("requirements.latency.limit", {"value": 1, "unit": "us"}),
    ("environments.rehearsal.title", "Other"),
    ("environments.rehearsal.rates.default", "2"),
    ("environments.rehearsal.components.storefront.workers", 1),
    ("environments.rehearsal.durations.soak", 9_000_000),
    ("assumptions.browsing-share.value", "0.81"),
]
HELD = [
    ("tests.profiles.load.duration", 1_440_000_000, "test.definition.duration"),
    ("tests.profiles.load.blocks", 31, "test.definition.blocks"),
    ("tests.profiles.load.timeout", 9_000_000, "test.definition.timeout"),
    ("tests.profiles.load.lateness", 99_000, "test.definition.lateness"),
    ("system.components.orders.version", "2.0", "components.orders.version"),
    ("system.components.orders.artefact", "sha256:1", "components.orders.artefact"),
    ("system.components.orders.configuration", {"cache": "on"}, "components.orders.configuration.cache"),
    ("system.components.orders.solution.name", "Order House Next", "components.orders.solution"),
    ("system.interfaces.ordering.protocol", "duis", "interfaces.entry"),
    ("system.interfaces.paying.protocol", "duis", "interfaces.beyond.purchase"),
    ("system.message_paths.purchase.steps", ["shopper", "storefront", "role:orders"], "interfaces.beyond.purchase"),
    ("environments.rehearsal.size", "two machines", "environment.size"),
    ("environments.rehearsal.connections", 17, "environment.connections"),
    ("environments.rehearsal.components.orders.service", 33_000, "environment.emulation.service"),
    ("environments.rehearsal.entries", {"orders": "http://127.0.0.1:9"}, "environment.entry"),
    ("environments.rehearsal.durations.load", 6_000_001, "offered_us"),
    ("environments.rehearsal.rates.orders", "25.0000001", "factors.rate"),
    ("environments.rehearsal.seed", 1, "arrivals.seed"),
    ("environments.rehearsal.estate", 9_000_000, "arrivals.estate"),
    ("tests.profiles.load.arrivals", {"process": "even"}, "arrivals.shape.process"),
    ("assumptions.ordering-share.value", "0.05", "volumes.purchase|place-order|request"),
    ("volumes.peak_window", {"begins": "18:00", "ends": "24:00"}, "volumes.window_us"),
]


@pytest.mark.parametrize(("path", "value"), LEFT_OUT, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_left_out_of_the_key_on_purpose(programme, edited, path, value):
    assert planned(edited(programme, (path, value))).key == planned(programme).key


@pytest.mark.parametrize(("path", "value", "named"), HELD, ids=lambda value: value if isinstance(value, str) else "")
def test_whatever_is_in_the_key_is_executed_again_when_it_changes_and_is_named(
    programme, edited, runbook, path, value, named
):
    execute(runbook, planned(programme))
    decided = decide(programme, planned(edited(programme, (path, value))), known(runbook))
    assert decided.decision is Decision.EXECUTE
    assert decided.why == "changed since pilot/pilot.orders.load/1"
    assert named in {reason.input for reason in decided.reasons}
    assert all(reason.old != reason.new for reason in decided.reasons)


def test_phases_share_a_key_and_environments_do_not(programme):
    assert planned(programme).key_digest == planned(programme, "launch").key_digest
    assert planned(programme).key_digest == planned(programme, occasion="2026-05-01").key_digest
    other = planned(programme, environment="rehearsal-slow-orders")
    assert other.key["inputs"]["environment"]["id"] != planned(programme).key["inputs"]["environment"]["id"]


def test_the_scope_of_a_programme_holds_every_component_tested_so_far(programme, edited, smets1):
    whole = edited(programme, ("programme.reliance.scope", "programme"))
    assert set(planned(whole).key["inputs"]["components"]) == {"storefront", "orders"}  # not payments, nor shoppers
    shipped = edited(smets1.programme, ("programme.reliance.scope", "programme"))
    assert set(planned(shipped, "ioc", "cp.load").key["inputs"]["components"]) == {"dsp", "s1sp-ioc", "dco", "cp"}
    assert set(planned(shipped, "moc", "cp.load").key["inputs"]["components"]) == {
        "dsp", "s1sp-ioc", "dco", "cp", "s1sp-moc-mds", "s1sp-moc-secure",
    }  # fmt: skip


def test_what_is_declared_of_arrivals_is_what_an_execution_under_the_key_offers(programme, edited):
    shape = {"process": "bursty", "dispersion": "4.5", "burst": 500_000}
    bursty = edited(programme, ("tests.profiles.load.arrivals", shape), ("environments.rehearsal.estate", 900_000))
    key = planned(bursty).key
    assert key["inputs"]["arrivals"]["shape"] == shape
    offer = offer_of(key)
    assert offer.shape == bursty.tests.profiles[0].arrivals
    assert (offer.estate, offer.hold_us, offer.window_us) == (900_000, 10_000_000, 6_000_000)
    assert len(arrivals_of(key)) == 500


def test_an_estate_that_is_too_small_for_a_test_is_refused_and_what_would_do_is_said(programme, edited):
    """Every test that it is too small for is named. A test asks no more devices than it has messages: 300 in a step."""
    small = edited(programme, ("environments.rehearsal.estate", 400))
    with pytest.raises(UsageError) as refused:
        planned(small)
    assert "rehearsal: an estate of 400 devices is too small" in str(refused.value)
    load = "pilot.orders.load offers 83.333333 messages a second, each for up to 10,000,000 µs: it needs 500 devices"
    assert load in str(refused.value)
    assert "pilot.orders.stress" not in str(refused.value)
    enough = int(re.search(r"'estate: (\d+)'", refused.value.help())[1])
    planned(edited(programme, ("environments.rehearsal.estate", enough)))
    with pytest.raises(UsageError):
        planned(edited(programme, ("environments.rehearsal.estate", enough - 1)))


@pytest.mark.parametrize(
    ("factor", "written"),
    [(Fraction(2400), "2400"), (Fraction(1), "1"), (Fraction(1, 4), "0.25"), (Fraction("0.0525"), "0.0525"),
     (Fraction("0.00000012"), "0.00000012"), (Fraction(28_800, 7), "4114.285714"), (Fraction(10**6), "1000000")],
)  # fmt: skip
def test_factors_are_written_exactly_where_they_have_an_end(factor, written):
    assert decimal(factor) == written


def test_rates_and_durations_come_from_the_environment_else_they_are_those_of_the_real_test(programme):
    environment, profile = programme.environment("rehearsal"), programme.tests.profiles[0]
    assert rate_factor(environment, "orders") == 25
    assert rate_factor(environment, "storefront") == 1
    assert rate_factor(environment.model_copy(update={"rates": {}}), "orders") == 1
    assert offered_us(environment, profile) == 6_000_000
    assert offered_us(environment.model_copy(update={"durations": {}}), profile) == profile.duration


def shape(value, path=""):
    """The dotted places of a document's values, with their types."""
    if isinstance(value, dict) and value:
        return sorted(
            place for name, each in value.items() for place in shape(each, f"{path}.{name}" if path else name)
        )
    if isinstance(value, list) and value:
        return shape(value[0], f"{path}[]")
    return [f"{path}: {type(value).__name__}"]


def test_golden_shape_of_the_key(programme):
    """A key of another shape compares with none of before: raise `rules.EXECUTE` when it changes."""
    component, profile = programme.component("orders"), programme.tests.profiles[1]
    target = target_volumes(programme, model_volumes(programme, "launch"), "orders")
    assert profile.type is TestType.STRESS
    key = execution_key(programme, "pilot", programme.environment("rehearsal"), component, profile, target)
    assert (rules.EXECUTE, shape(key)) == GOLDEN


# --- decisions within one phase ---------------------------------------------------------------------------------------


def test_a_test_that_was_never_executed_is_executed(programme, runbook):
    decided = decide(programme, planned(programme), known(runbook))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "never executed in this phase")
    assert [(each.input, each.old) for each in decided.reasons] == [("evidence of an earlier phase", "none recorded")]


@pytest.mark.parametrize("verdict", [("proved", ""), ("not proved", ""), ("inconclusive", "")])
def test_a_finished_run_stands_whatever_its_verdict(programme, runbook, verdict):
    run = execute(runbook, planned(programme))
    decided = decide(programme, planned(programme), known(runbook, _0=verdict))
    assert decided.decision is Decision.COMPLETE
    assert decided.stands == run
    assert verdict[0] in decided.why


def test_it_is_repeated_only_for_a_cause_outside_the_figure_which_is_told(programme, runbook):
    execute(runbook, planned(programme))
    decided = decide(programme, planned(programme), known(runbook, _0=("inconclusive", "load not offered: 1 of 2")))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "repeated: load not offered: 1 of 2")
    assert decided.reasons[0].input == "run pilot/pilot.orders.load/1"


def test_a_run_that_reached_nothing_is_repeated(programme, runbook):
    execute(runbook, planned(programme), state="unreachable")
    decided = decide(programme, planned(programme), known(runbook))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "repeated: unreachable")


def test_a_withdrawn_run_that_reached_nothing_does_not_stand(programme, runbook):
    run = execute(runbook, planned(programme), state="unreachable")
    runbook.withdraw(run.record.digest)
    assert standing(planned(programme), [run], known(runbook)) is None


def test_an_interrupted_run_is_executed_anew_and_named(programme, runbook):
    execute(runbook, planned(programme), state="")
    decided = decide(programme, planned(programme), known(runbook))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "interrupted: pilot/pilot.orders.load/1")


def test_an_interrupted_run_whose_end_is_recorded_stands_until_one_finishes(programme, runbook):
    torn = execute(runbook, planned(programme), state="interrupted")
    assert standing(planned(programme), [torn], known(runbook)) == torn
    decided = decide(programme, planned(programme), known(runbook))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "repeated: interrupted")
    finished = execute(runbook, planned(programme))
    execute(runbook, planned(programme), state="interrupted")
    decided = decide(programme, planned(programme), known(runbook, _1=("proved", "")))
    assert (decided.decision, decided.stands) == (Decision.COMPLETE, finished)


def test_of_two_finished_runs_the_newer_stands(programme, runbook):
    execute(runbook, planned(programme))
    newer = execute(runbook, planned(programme))
    decided = decide(programme, planned(programme), known(runbook, _0=("proved", ""), _1=("not proved", "")))
    assert (decided.decision, decided.stands) == (Decision.COMPLETE, newer)


def test_trying_again_against_a_system_that_is_down_takes_nothing_back(programme, runbook):
    finished = execute(runbook, planned(programme))
    execute(runbook, planned(programme), state="unreachable")
    decided = decide(programme, planned(programme), known(runbook, _0=("not proved", "")))
    assert (decided.decision, decided.stands) == (Decision.COMPLETE, finished)


def test_again_executes_whatever_stands_and_says_why(programme, runbook):
    execute(runbook, planned(programme))
    decided = decide(programme, planned(programme), known(runbook), again="the host was busy")
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "asked for again: the host was busy")
    assert decided.reasons[0].new == "the host was busy"


def test_a_changed_component_executes_again_within_the_phase_and_changed_back_the_first_run_stands(
    programme, edited, runbook
):
    first = execute(runbook, planned(programme))
    newer = edited(programme, ("system.components.orders.version", "2.0"))
    decided = decide(newer, planned(newer), known(runbook))
    assert decided.why == "changed since pilot/pilot.orders.load/1"
    assert [(each.input, each.old, each.new) for each in decided.reasons] == [
        ("components.orders.version", "1.0", "2.0")
    ]
    execute(runbook, planned(newer))
    assert decide(newer, planned(newer), known(runbook)).decision is Decision.COMPLETE
    assert decide(programme, planned(programme), known(runbook)).stands == first


def test_a_withdrawn_run_is_executed_anew_and_one_before_it_stands_again(programme, runbook):
    first = execute(runbook, planned(programme))
    runbook.withdraw(first.record.digest)
    decided = decide(programme, planned(programme), known(runbook))
    assert (decided.decision, decided.why) == (
        Decision.EXECUTE,
        "its evidence was withdrawn: pilot/pilot.orders.load/1",
    )
    second, third = execute(runbook, planned(programme)), execute(runbook, planned(programme))
    runbook.withdraw(third.record.outputs[0].digest)
    assert decide(programme, planned(programme), known(runbook)).stands == second


@pytest.mark.parametrize("harm", ["alter", "lose"])
def test_damaged_evidence_is_executed_anew_and_brings_no_older_run_back(programme, runbook, harm):
    execute(runbook, planned(programme))
    newer = execute(runbook, planned(programme))
    getattr(runbook, harm)(newer.record.outputs[0].digest)
    decided = decide(programme, planned(programme), known(runbook, _1=("not proved", "")))
    assert decided.decision is Decision.EXECUTE
    assert [(each.input, each.new) for each in decided.reasons] == [(f"run {newer.run}", "evidence damaged or missing")]


def test_a_key_that_cannot_be_read_is_executed_anew(programme, runbook):
    run = execute(runbook, planned(programme))
    runbook.lose(run.key)
    decided = decide(programme, planned(programme), known(runbook))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, f"what {run.run} was keyed on cannot be read")


def test_runs_of_other_tests_and_occasions_do_not_stand(programme, runbook):
    execute(runbook, planned(programme, occasion="2026-05-01"))
    assert standing(planned(programme), known(runbook).runs[:0], known(runbook)) is None
    assert decide(programme, planned(programme), known(runbook)).decision is Decision.EXECUTE
    assert decide(programme, planned(programme, occasion="2026-05-01"), known(runbook)).decision is Decision.COMPLETE


def test_a_decision_as_json(programme, runbook):
    found = decide(programme, planned(programme), known(runbook)).as_json()
    assert found["test"] == "pilot.orders.load"
    assert (found["component"], found["role"], found["type"], found["name"]) == ("orders", "orders", "load", "load")
    assert (found["plan"], found["decision"]) == ("orders-plan", "execute")
    assert found["reasons"] == [{"input": "evidence of an earlier phase", "old": "none recorded", "new": "needed"}]
    canonical(found)


# --- reliance on an earlier phase -------------------------------------------------------------------------------------


def test_a_later_phase_relies_on_what_nothing_has_changed_and_names_all_that_was_compared(programme, runbook):
    run = execute(runbook, planned(programme))
    decided = decide(programme, planned(programme, "launch"), known(runbook))
    assert (decided.decision, decided.stands) == (Decision.RELY, run)
    assert run.run in decided.why
    assert {each.input for each in decided.reasons} >= {
        "evidence",
        "withdrawn",
        "test",
        "components",
        "environment",
        "factors",
    }
    assert all(each.allows for each in decided.reasons)


def test_nothing_is_relied_on_backwards_nor_by_a_regression(programme, edited, runbook):
    execute(runbook, planned(programme, "launch"))
    assert decide(programme, planned(programme), known(runbook)).decision is Decision.EXECUTE
    execute(runbook, planned(programme))
    regression = planned(programme, "launch", occasion="2026-05-01")
    assert decide(programme, regression, known(runbook)).decision is Decision.EXECUTE


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("system.components.orders.version", "2.0", ("components.orders.version", "1.0", "2.0")),
        ("environments.rehearsal.rates.orders", "26", ("factors.rate", "25", "26")),
        ("environments.rehearsal.durations.load", 4_000_000, ("factors.compression", "2400", "3600")),
        ("environments.rehearsal.id", "elsewhere", ("environment.id", "rehearsal", "elsewhere")),
        ("environments.rehearsal.kind", "real", ("environment.kind", "rehearsal", "real")),
    ],
)
def test_a_later_phase_does_not_rely_where_an_input_changed(programme, edited, runbook, path, value, named):
    execute(runbook, planned(programme))
    changed = edited(programme, (path, value))
    environment = value if path.endswith(".id") else "rehearsal"
    decided = decide(changed, planned(changed, "launch", environment=environment), known(runbook))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, "never executed in this phase")
    assert named in [(each.input, each.old, each.new) for each in decided.reasons]


@pytest.mark.parametrize(("volumes", "share", "decision"), [
    ("not-exceeding", "0.03", Decision.RELY), ("not-exceeding", "0.05", Decision.EXECUTE),
    ("equal", "0.03", Decision.EXECUTE), ("equal", "0.04", Decision.RELY),
])  # fmt: skip
def test_target_volumes_that_fall_may_be_relied_on_where_the_rule_says_so(
    programme, edited, runbook, volumes, share, decision
):
    execute(runbook, planned(programme))
    changed = edited(programme, ("assumptions.ordering-share.value", share), ("programme.reliance.volumes", volumes))
    decided = decide(changed, planned(changed, "launch"), known(runbook))
    assert decided.decision is decision
    if decision is Decision.RELY:
        assert ("target volumes do not exceed those proved" in decided.why) == (volumes == "not-exceeding")


@pytest.mark.parametrize(("scope", "decision"), [("path", Decision.RELY), ("programme", Decision.EXECUTE)])
def test_a_change_in_another_component_refuses_under_programme_and_not_under_path(
    programme, edited, runbook, scope, decision
):
    before = edited(programme, ("programme.reliance.scope", scope))
    execute(runbook, planned(before))
    assert decide(before, planned(before, "launch"), known(runbook)).decision is Decision.RELY
    after = edited(before, ("system.components.storefront.version", "2.0"))
    decided = decide(after, planned(after, "launch"), known(runbook))
    assert decided.decision is decision
    changed = [(each.input, each.old, each.new) for each in decided.reasons if not each.allows]
    assert changed == ([("components.storefront.version", "1.0", "2.0")] if scope == "programme" else [])


def test_a_component_that_a_phase_brings_is_a_change_under_programme(programme, edited, runbook):
    whole = edited(
        programme, ("programme.reliance.scope", "programme"), ("programme.phases.pilot.components", ["orders"])
    )
    execute(runbook, planned(whole))
    decided = decide(whole, planned(whole, "launch"), known(runbook))
    assert decided.decision is Decision.EXECUTE
    assert [each.input for each in decided.reasons] == ["components.storefront"]


@pytest.mark.parametrize("never", [{"roles": ["orders"], "types": []}, {"roles": [], "types": ["load"]}])
def test_what_may_never_be_relied_on_is_executed(programme, edited, runbook, never):
    strict = edited(programme, ("programme.reliance.never", never))
    execute(runbook, planned(strict))
    decided = decide(strict, planned(strict, "launch"), known(runbook))
    assert decided.decision is Decision.EXECUTE
    assert [each.input for each in decided.reasons] == ["never relied on, by rule"]


@pytest.mark.parametrize("verdict", ["not proved", "inconclusive"])
def test_evidence_that_is_not_proved_now_is_not_relied_on(programme, runbook, verdict):
    run = execute(runbook, planned(programme))
    decided = decide(programme, planned(programme, "launch"), known(runbook, _0=(verdict, "")))
    assert decided.decision is Decision.EXECUTE
    assert f"run {run.run} is {verdict} under the requirements now in force" in decided.why
    assert "only proved evidence may be relied on" in decided.why


def test_within_a_phase_a_changed_requirement_executes_nothing_and_is_named(programme, runbook):
    run = execute(runbook, planned(programme))
    named = Compared(input="requirement latency", old="at most 1 s", new="at most 1 ms", allows=False)
    now = replace(known(runbook, _0=("not proved", "")), deciding=lambda _: (named,))
    decided = decide(programme, planned(programme), now)
    assert (decided.decision, decided.stands) == (Decision.COMPLETE, run)
    assert "a changed requirement executes nothing there" in decided.why
    assert decided.reasons == (named,)
    later = decide(programme, planned(programme, "launch"), now)
    assert named in later.reasons


def test_a_complete_test_says_what_was_compared(programme, runbook):
    execute(runbook, planned(programme))
    decided = decide(programme, planned(programme), known(runbook))
    assert decided.reasons == ()
    assert {each.input for each in decided.compared} >= {"components", "environment", "test", "volumes"}
    assert all(each.allows and each.old == each.new for each in decided.compared)


@pytest.mark.parametrize("harm", ["alter", "lose", "withdraw"])
@pytest.mark.parametrize("what", ["key", "output"])
def test_damaged_or_withdrawn_evidence_is_not_relied_on(programme, runbook, harm, what):
    run = execute(runbook, planned(programme))
    name = run.key if what == "key" else run.record.outputs[0].digest
    getattr(runbook, harm)(run.record.digest if (harm, what) == ("withdraw", "key") else name)
    decided = decide(programme, planned(programme, "launch"), known(runbook))
    assert decided.decision is Decision.EXECUTE
    told = {each.input: each.new for each in decided.reasons}
    assert told.get("withdrawn") == "yes" if harm == "withdraw" else told.get("evidence") == "damaged or missing"


def test_unfinished_runs_are_not_relied_on(programme, runbook):
    execute(runbook, planned(programme), state="unreachable")
    execute(runbook, planned(programme), state="")
    decided = decide(programme, planned(programme, "launch"), known(runbook))
    assert [each.input for each in decided.reasons] == ["evidence of an earlier phase"]


def test_an_older_run_under_a_key_that_still_holds_is_relied_on_though_a_newer_key_failed(programme, edited, runbook):
    first = execute(runbook, planned(programme))
    newer = edited(programme, ("system.components.orders.version", "2.0"))
    execute(runbook, planned(newer))
    decided = decide(programme, planned(programme, "launch"), known(runbook, _1=("not proved", "")))
    assert (decided.decision, decided.stands) == (Decision.RELY, first)


def test_no_cherry_picking_a_run_that_a_newer_one_replaced_is_not_relied_on(programme, runbook):
    first, second = execute(runbook, planned(programme)), execute(runbook, planned(programme))
    verdicts = {"_0": ("proved", ""), "_1": ("not proved", "")}
    decided = decide(programme, planned(programme, "launch"), known(runbook, **verdicts))
    assert decided.decision is Decision.EXECUTE
    assert decided.answer.candidate.run == second.run
    runbook.withdraw(second.record.digest)
    assert decide(programme, planned(programme, "launch"), known(runbook, **verdicts)).stands == first


def test_a_phase_that_executed_it_does_not_fall_back_on_an_earlier_one_when_its_evidence_is_lost(programme, runbook):
    execute(runbook, planned(programme))
    own = execute(runbook, planned(programme, "launch"))
    assert decide(programme, planned(programme, "launch"), known(runbook)).stands == own
    runbook.lose(own.record.outputs[0].digest)
    decided = decide(programme, planned(programme, "launch"), known(runbook, _1=("not proved", "")))
    assert (decided.decision, decided.why) == (Decision.EXECUTE, f"changed since {own.run}")


def test_a_run_without_a_key_is_no_candidate_to_rely_on(programme, runbook):
    run = execute(runbook, planned(programme))
    keyless = replace(run, record=replace(run.record, key=None))
    history = replace(known(runbook), runs=(keyless,))
    decided = decide(programme, planned(programme, "launch"), history)
    assert decided.decision is Decision.EXECUTE
    assert ("evidence", "damaged or missing") in [(each.input, each.new) for each in decided.reasons]


# --- validity and approval --------------------------------------------------------------------------------------------

BOARD = {"by": "the board", "roles": ["orders"], "types": []}


def test_evidence_that_is_too_old_is_not_relied_on_unless_it_was_before(programme, edited, runbook):
    run = execute(runbook, planned(programme))
    aging = edited(programme, ("programme.reliance.valid_for", 30 * 86_400_000_000))
    later = planned(aging, "launch")
    day = run.record.time[:10]
    assert decide(aging, later, replace(known(runbook), day=day)).decision is Decision.RELY
    after = replace(known(runbook), day="2999-01-01")
    decided = decide(aging, later, after)
    assert (decided.decision, decided.against) == (Decision.EXECUTE, run)
    (aged,) = (each for each in decided.reasons if not each.allows)
    assert (aged.input, aged.old) == ("age of the evidence (at most, found)", "30 d")
    before = replace(after, since={("launch", later.test, run.record.digest): day})
    assert decide(aging, later, before).decision is Decision.RELY


def approval(runbook, of, **how):
    return approve(runbook.workspace, of, **how)


def with_approvals(runbook):
    records = runbook.workspace.ledger.records()
    return replace(known(runbook), approvals=approvals(records), day=records[-1].time[:10])


@pytest.fixture
def asking(programme, edited):
    """The programme, in which the board approves reliance on evidence of the order service."""
    return edited(programme, ("programme.reliance.approval", BOARD))


def test_reliance_waits_for_the_approval_that_the_rule_asks_for_and_names_the_decision(asking, runbook):
    run = execute(runbook, planned(asking))
    decided = decide(asking, planned(asking, "launch"), with_approvals(runbook))
    assert (decided.decision, decided.stands) == (Decision.BLOCKED, run)
    digest = statement_digest(decided.statement)
    assert decided.why.startswith("approval missing; ")
    assert "the board has to approve decision " + digest in decided.why
    assert decided.as_json()["approval"] == {"decision": digest, "statement": decided.statement, "record": None}
    assert [each.input for each in decided.compared if not each.allows] == ["approval (needed, found)"]
    elsewhere = decide(asking, planned(asking, "launch", "storefront.load"), with_approvals(runbook))
    assert elsewhere.why == "never executed in this phase"


def test_an_approved_decision_is_relied_on_until_the_approval_is_revoked(asking, runbook):
    execute(runbook, planned(asking))
    waiting = decide(asking, planned(asking, "launch"), with_approvals(runbook))
    record = approval(runbook, waiting.statement)
    decided = decide(asking, planned(asking, "launch"), with_approvals(runbook))
    assert decided.decision is Decision.RELY
    assert f"approved by chair (key {actor_of('chair').fingerprint[:16]}) on " in decided.why
    assert decided.approval.record == decided.as_json()["approval"]["record"] == record.digest
    assert all(each.allows for each in decided.compared)
    runbook.withdraw(record.digest)
    revoked = decide(asking, planned(asking, "launch"), with_approvals(runbook))
    assert revoked.decision is Decision.BLOCKED
    assert "approval missing: by chair on " in revoked.why
    assert "wrong clock" in revoked.why


def test_whoever_approves_a_plan_approves_the_decisions_in_it(asking, runbook):
    execute(runbook, planned(asking))
    waiting = decide(asking, planned(asking, "launch"), with_approvals(runbook))
    store = runbook.workspace.store
    for entries, decision in (
        ([], Decision.BLOCKED),
        ({"approval": "none"}, Decision.BLOCKED),
        ([1, {"approval": None}], Decision.BLOCKED),
        ([waiting.as_json()], Decision.RELY),
    ):
        approval(runbook, store.put(canonical(entries)))
        assert decide(asking, planned(asking, "launch"), with_approvals(runbook)).decision is decision


def test_an_approval_is_of_one_decision_by_somebody_else_and_for_a_time(asking, edited, runbook):
    execute(runbook, planned(asking))
    statement = dict(decide(asking, planned(asking, "launch"), with_approvals(runbook)).statement)
    approval(runbook, {**statement, "test": "launch.orders.soak"})
    approval(runbook, statement, expires="2000-01-01")
    approval(runbook, statement, by="tester")  # who executed the run
    decided = decide(asking, planned(asking, "launch"), with_approvals(runbook))
    assert decided.decision is Decision.BLOCKED
    assert "expired on 2000-01-01; by tester on " in decided.why
    approval(runbook, statement)
    assert decide(asking, planned(asking, "launch"), with_approvals(runbook)).decision is Decision.RELY
    fewer = edited(asking, ("assumptions.ordering-share.value", "0.03"))
    assert decide(fewer, planned(fewer, "launch"), with_approvals(runbook)).decision is Decision.BLOCKED


def test_what_waits_for_an_approval_may_be_executed_instead(asking, runbook):
    execute(runbook, planned(asking))
    decided = decide(asking, planned(asking, "launch"), with_approvals(runbook), again="the board will not approve")
    assert decided.decision is Decision.EXECUTE


def test_a_decision_that_was_withdrawn_is_not_made_again(programme, runbook):
    run = execute(runbook, planned(programme))
    later = planned(programme, "launch")
    place = ("launch", later.test, run.record.digest)
    now = replace(known(runbook), relied={place[:2]: place[2]}, refused={place: "withdrawn by auditor: hasty"})
    decided = decide(programme, later, now)
    assert decided.decision is Decision.EXECUTE
    assert decided.why == f"the evidence that it was relied on was withdrawn: {run.run}"
    assert decided.reasons[0].new == "withdrawn by auditor: hasty"


def with_third_phase(programme, edited):
    """The programme with one more phase, `later`, in which the order service is tested again."""
    written = programme.model_dump(mode="json", by_alias=True)
    later = {"id": "later", "title": "Later", "components": ["storefront", "orders"]}
    forecasts = [{**row, "phase": "later"} for row in written["forecasts"] if row["phase"] == "launch"]
    return edited(
        programme,
        ("programme.phases", [*written["programme"]["phases"], later]),
        ("forecasts", [*written["forecasts"], *forecasts]),
        ("tests.plans.orders-plan.phases", ["pilot", "launch", "later"]),
    )


def test_a_newer_run_of_the_same_that_failed_refutes_the_older_one(programme, edited, runbook):
    longer = with_third_phase(programme, edited)
    execute(runbook, planned(longer))
    sampled = execute(runbook, planned(longer, "launch"))
    third = planned(longer, "later")
    decided = decide(longer, third, known(runbook, _1=("not proved", "")))
    assert (decided.decision, decided.against) == (Decision.EXECUTE, sampled)
    assert decide(longer, third, known(runbook, _1=("inconclusive", ""))).decision is Decision.RELY


GOLDEN = (
    3,
    [
        "inputs.arrivals.estate: int",
        "inputs.arrivals.generator: str",
        "inputs.arrivals.hold_us: int",
        "inputs.arrivals.seed: int",
        "inputs.arrivals.shape.process: str",
        "inputs.components.orders.artefact: str",
        "inputs.components.orders.configuration: dict",
        "inputs.components.orders.solution: str",
        "inputs.components.orders.version: str",
        "inputs.environment.connections: int",
        "inputs.environment.emulation.distribution: str",
        "inputs.environment.emulation.error_permille: int",
        "inputs.environment.emulation.leak_bytes: int",
        "inputs.environment.emulation.service: int",
        "inputs.environment.emulation.workers: int",
        "inputs.environment.entry: NoneType",
        "inputs.environment.id: str",
        "inputs.environment.kind: str",
        "inputs.environment.max_connections: int",
        "inputs.environment.size: str",
        "inputs.factors.compression: str",
        "inputs.factors.rate: str",
        "inputs.injector: str",
        "inputs.interfaces.beyond.purchase: str",
        "inputs.interfaces.entry: str",
        "inputs.offered_us: int",
        "inputs.test.definition.blocks: int",
        "inputs.test.definition.duration: int",
        "inputs.test.definition.lateness: int",
        "inputs.test.definition.ramp.agreeing: int",
        "inputs.test.definition.ramp.answered.unit: str",
        "inputs.test.definition.ramp.answered.value: int",
        "inputs.test.definition.ramp.first: str",
        "inputs.test.definition.ramp.growth: str",
        "inputs.test.definition.ramp.latency: int",
        "inputs.test.definition.ramp.most: str",
        "inputs.test.definition.ramp.width.unit: str",
        "inputs.test.definition.ramp.width.value: int",
        "inputs.test.definition.timeout: int",
        "inputs.test.name: str",
        "inputs.test.role: str",
        "inputs.test.type: str",
        "inputs.volumes.messages.purchase|order-status|request: int",
        "inputs.volumes.messages.purchase|place-order|request: int",
        "inputs.volumes.window_us: int",
        "rules[]: int",
        "stage: str",
    ],
)
