"""The shipped SMETS1 programme: its arithmetic worked out again by hand, its scope held against the names DCC used."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from catalog.declarations import (
    CohortOfMeters,
    ComponentScope,
    EnvironmentKind,
    Forecast,
    Metric,
    Mode,
    ObservedMeasure,
    Phase,
    Programme,
    Standing,
    TestType,
    Traffic,
    minute_of,
)
from catalog.reading import read_programme
from catalog.routes import assumptions_used

FOLDER = Path(__file__).parents[2] / "catalog" / "smets1"
WINDOW_SECONDS = 8 * 3600
PHASES = ("ioc", "moc", "foc")
S1SPS = ("s1sp-ioc", "s1sp-moc-mds", "s1sp-moc-secure", "s1sp-foc")
COMPONENTS = ("dsp", *S1SPS, "dco", "cp")
MIGRATION_PATHS = ("smets1-migration", "smets1-commissioning")
LATER_THAN_DUIS_3 = {"6.14.3", "6.28", "6.29", "6.30", "6.31", "6.32", "7.13", "7.14", "7.15", "7.16", "11.4", "14.1"}


@cache
def programme() -> Programme:
    return read_programme(FOLDER)


def value(assumption: str) -> Decimal:
    return programme().assumption(assumption).value


def group_share(group_id: str) -> Decimal:
    group = next(group for group in programme().volumes.groups if group.id == group_id)
    return value(group.share) if group.share else Decimal(1)


def cohort(cohort_id: str) -> CohortOfMeters:
    return next(cohort for cohort in programme().volumes.cohorts if cohort.id == cohort_id)


def traffic(traffic_id: str) -> Traffic:
    return next(traffic for traffic in programme().volumes.traffic if traffic.id == traffic_id)


def forecast(phase: str, cohort_id: str) -> Forecast:
    return next(row for row in programme().forecasts if (row.phase, row.cohort) == (phase, cohort_id))


def migrations(phase: str, cohort_id: str) -> int:
    """Installations a day at the end of the phase, when the ramp-up is over."""
    rows = [row for row in programme().migration_plans if (row.phase, row.cohort) == (phase, cohort_id)]
    return rows[-1].installations_per_day if rows else 0


def per_second(row: Forecast, stream: Traffic, group_id: str) -> Decimal:
    """Messages a second in the peak window: the declared rule, written out without the volume model."""
    amount = Decimal(row.meters)
    for factor in stream.factors:
        amount *= value(factor)
    if stream.alerts:
        nuisance = value("nuisance-device-share")
        ordinary = (1 - nuisance) * value("alerts-per-device-per-day")
        alerts = ordinary + nuisance * value("alerts-per-nuisance-device-per-day")
        amount *= value("devices-per-meter") * alerts
    return amount * group_share(group_id) * value(stream.in_window) / WINDOW_SECONDS


def attempts() -> Decimal:
    """Attempts per installation: 1 + F + F^2 + F^3 + F^4, with F what fails at some step."""
    failing = 1 - (1 - value("validation-failure-share")) * (1 - value("device-test-failure-share")) * (
        1 - value("commissioning-failure-share")
    )
    return sum((failing**again for again in range(5)), start=Decimal(0))


def migration_per_second(phase: str, cohort_id: str, path: str) -> Decimal:
    """Messages a second of the migration steps that take a path."""
    reached, messages = Decimal(1), Decimal(0)
    for step in programme().volumes.migration.steps:  # type: ignore[union-attr]  # declared
        if step.path == path:
            messages += reached * value(step.per_attempt)
        reached *= 1 - (value(step.fails) if step.fails else 0)
    return migrations(phase, cohort_id) * attempts() * messages * value("migration-in-window") / WINDOW_SECONDS


def passes(component: str, path_id: str, generation: str, cohort_id: str) -> bool:
    """Whether messages of that cohort on a path go through the component."""
    if cohort(cohort_id).generation != generation:
        return False
    path = next(path for path in programme().system.message_paths if path.id == path_id)
    if component in path.steps:
        return True
    return f"role:{programme().component(component).role}" in path.steps and component in cohort(cohort_id).served_by


def target_rate(component: str, phase: str = "foc", groups: frozenset[str] | None = None) -> Decimal:
    """Messages a second that a component's tests must offer, at a phase's volumes, before any rehearsal's factor."""
    total = Decimal(0)
    for row in (row for row in programme().forecasts if row.phase == phase):
        for stream in programme().volumes.traffic:
            counted = [group for group in stream.groups if groups is None or group in groups]
            asked = sum((per_second(row, stream, group) for group in counted), start=Decimal(0))
            total += asked * passes(component, stream.path, stream.generation, row.cohort)
            for brought in stream.brings if groups is None else ():
                total += (
                    asked * value(brought.per_request) * passes(component, brought.path, stream.generation, row.cohort)
                )
        for path in MIGRATION_PATHS if groups is None else ():
            total += migration_per_second(phase, row.cohort, path) * passes(component, path, "smets1", row.cohort)
    return total


def rehearsed_rate(component: str, groups: frozenset[str] | None = None) -> Decimal:
    rates = programme().environment("rehearsal").rates
    return target_rate(component, groups=groups) * rates.get(component, rates["default"])


def rehearsed_messages(component: str, test: TestType, groups: frozenset[str] | None = None) -> Decimal:
    return rehearsed_rate(component, groups) * programme().environment("rehearsal").durations[test] / 1_000_000


# --- forecasts ---


@pytest.mark.parametrize(("generation", "meters"), [("smets1", 15_100_000), ("smets2", 14_800_000)])
def test_foc_forecasts_add_up_to_the_meters_published_for_the_end_of_2022(generation: str, meters: int) -> None:
    rows = [row for row in programme().forecasts if row.phase == "foc" and cohort(row.cohort).generation == generation]
    assert sum(row.meters for row in rows) == meters


def test_foc_migrations_are_the_assumed_number_and_no_phase_exceeds_what_can_be_migrated() -> None:
    daily = {phase: sum(migrations(phase, each.id) for each in programme().volumes.cohorts) for phase in PHASES}
    assert daily["foc"] == value("migrations-per-day") == 50_000
    assert all(daily[phase] <= value("migrations-per-day") < value("migration-capacity-per-day") for phase in PHASES)


@pytest.mark.parametrize("cohort_id", ["smets1-ioc", "smets1-moc-mds", "smets1-moc-secure", "smets1-foc", "smets2"])
def test_phases_are_cumulative(cohort_id: str) -> None:
    rows = [forecast(phase, cohort_id) for phase in PHASES]
    assert [row.meters for row in rows] == sorted(row.meters for row in rows)
    planned = [migrations(phase, cohort_id) for phase in PHASES]
    assert planned == sorted(planned)


def test_each_cohort_is_migrated_in_a_ramp_that_never_falls() -> None:
    for phase in PHASES:
        for each in programme().volumes.cohorts:
            rows = [row for row in programme().migration_plans if (row.phase, row.cohort) == (phase, each.id)]
            assert [row.installations_per_day for row in rows] == sorted(row.installations_per_day for row in rows)


def test_no_day_plans_more_migrations_than_the_last_of_its_phase_and_none_above_the_cap() -> None:
    for phase in PHASES:
        last = sum(migrations(phase, each.id) for each in programme().volumes.cohorts)
        plans = [row for row in programme().migration_plans if row.phase == phase]
        for day in {row.begins for row in plans}:  # a sum is highest where some row begins
            planned = sum(row.installations_per_day for row in plans if row.begins <= day <= row.ends)
            assert planned <= last < value("migration-capacity-per-day"), (phase, day)


def test_phases_follow_each_other_day_after_day() -> None:
    rows = programme().forecasts
    spans = {(row.phase, row.begins, row.ends) for row in rows}
    assert spans == {
        ("ioc", "2019-11-01", "2020-06-30"),
        ("moc", "2020-07-01", "2021-06-30"),
        ("foc", "2021-07-01", "2022-12-31"),
    }
    assert {row.cohort for row in rows} == {each.id for each in programme().volumes.cohorts}


def test_no_day_of_the_calendar_is_busier_than_another() -> None:
    """What the hand calculation rests on, for it knows no calendar."""
    assert {value(effect.factor) for effect in programme().volumes.calendar} == {1}


def test_a_cohort_has_nothing_before_its_own_phase() -> None:
    enrolled = {"smets1-ioc": 0, "smets1-moc-mds": 1, "smets1-moc-secure": 1, "smets1-foc": 2, "smets2": 0}
    for row in programme().forecasts:
        assert (row.meters > 0) == (PHASES.index(row.phase) >= enrolled[row.cohort]), row


def test_the_foc_estate_is_about_a_fifth_of_all_smets1() -> None:
    assert Decimal(forecast("foc", "smets1-foc").meters) / 15_100_000 == Decimal("0.2")


def test_foc_volumes_are_the_highest_that_any_component_meets() -> None:
    for component in COMPONENTS:
        rates = [target_rate(component, phase) for phase in PHASES]
        assert rates == sorted(rates), component
        assert rates[-1] > 0, component


# --- shares and units ---


def test_shares_of_smets2_traffic_use_the_whole_exactly() -> None:
    streams = ("smets2-bau", "smets2-critical", "smets2-install", "smets2-non-device")
    assert sum(group_share(group) for stream in streams for group in traffic(stream).groups) == 1


def test_shares_of_smets1_traffic_use_all_but_install_and_commission() -> None:
    streams = ("smets1-bau", "smets1-critical", "smets1-non-device")
    used = sum(group_share(group) for stream in streams for group in traffic(stream).groups)
    assert used == 1 - value("install-and-commission-share")


def test_assumptions_that_are_shares_are_not_above_one() -> None:
    shares = [assumption for assumption in programme().assumptions if assumption.unit == "share"]
    assert len(shares) == 23
    assert all(0 <= assumption.value <= 1 for assumption in shares)


def test_every_assumption_is_used_or_says_why_it_is_kept() -> None:
    volumes = programme().volumes
    used = assumptions_used(volumes) | {each.kept for each in volumes.catch_up}
    unused = {assumption.id for assumption in programme().assumptions} - used
    assert unused == {
        "messages-per-meter-per-day-2019",
        "dcc-alerts-per-meter-per-day",
        "migrations-per-day",
        "alerts-left-by-suppression",
    }
    assert all(programme().assumption(assumption).note for assumption in unused - {"alerts-left-by-suppression"})
    suppression = traffic("smets1-alert").alerts.suppression  # type: ignore[union-attr]  # declared
    assert (suppression.leaves, suppression.in_force) == ("alerts-left-by-suppression", False)  # type: ignore[union-attr]  # declared


def test_the_whole_estate_of_53_million_meters_would_send_2830_messages_a_second() -> None:
    estate = forecast("foc", "smets2").model_copy(update={"meters": 53_000_000})
    streams = [traffic(name) for name in ("smets2-bau", "smets2-critical", "smets2-install", "smets2-non-device")]
    rate = sum(per_second(estate, stream, group) for stream in streams for group in stream.groups)
    assert round(rate) == 2_834  # 53 m x 1.54 / 28,800 s
    assert round(rate / 10) * 10 == 2_830


@pytest.mark.parametrize(("daily", "hundredths"), [(50_000, 174), (70_000, 243)])
def test_migrations_a_day_as_migrations_a_second(daily: int, hundredths: int) -> None:
    """The first step is one message of each attempt: without failures, one a migration."""
    messages = daily * attempts() * value("validations-per-attempt") / WINDOW_SECONDS
    assert round(messages / attempts() * 100) == hundredths


def test_attempts_per_installation_are_those_that_the_environments_explain() -> None:
    assert value("migration-retries") == 4  # hence up to F^4
    assert f"{attempts():.5f}" == "1.05175"
    assert "'A' attempts per installation, 1.05175" in (FOLDER / "environments.yaml").read_text("utf-8")
    failing = Fraction(1) - Fraction("0.98") * Fraction("0.98") * Fraction("0.99")
    assert Fraction(attempts()) * (1 - failing) == 1 - failing**5  # so many installations are migrated in the end


def test_each_step_of_a_migration_is_reached_by_what_did_not_fail_before() -> None:
    scale = attempts() * 50_000 / WINDOW_SECONDS
    taken = {path: migration_per_second("foc", "smets1-ioc", path) / scale / Decimal("0.3") for path in MIGRATION_PATHS}
    assert round(taken["smets1-migration"], 12) == 1 + 5 * Decimal("0.98")
    assert round(taken["smets1-commissioning"], 12) == 5 * Decimal("0.9604") + Decimal("0.950796")


def test_each_critical_command_to_smets2_comes_after_one_transform_and_no_other_message_does() -> None:
    bringing = {stream.id: stream.brings for stream in programme().volumes.traffic if stream.brings}
    ((only, (brought,)),) = bringing.items()
    assert (only, brought.message, brought.path) == ("smets2-critical", "transform", "smets2-transform")
    assert {register()[srv]["critical"] for srv in srvs_of(*traffic("smets2-critical").groups)} == {"yes"}
    assert {register()[srv]["critical"] for srv in srvs_of(*traffic("smets2-bau").groups)} == {"no"}
    commands = sum(per_second(forecast("foc", "smets2"), traffic(only), group) for group in traffic(only).groups)
    assert f"{commands * value(brought.per_request):.1f}" == "110.8"


def test_one_alert_per_device_and_day_is_near_what_was_observed() -> None:
    observed = {(row.measure, row.ends): row.value for row in programme().observed_volumes if not row.generation}
    alerts = observed[ObservedMeasure.ALERTS, "2022-07-31"]
    devices = observed[ObservedMeasure.METERS, "2022-07-31"] * value("devices-per-meter")
    assert value("alerts-per-device-per-day") == 1
    assert f"{alerts / devices:.2f}" == "0.96"


def test_alerts_are_counted_per_device() -> None:
    row = forecast("foc", "smets2")
    daily = per_second(row, traffic("smets2-alert"), "smets2-alerts") * WINDOW_SECONDS / value("alerts-in-window")
    assert daily == row.meters * Decimal("2.57")


@pytest.mark.parametrize(
    ("component", "rate"),
    [("dsp", "2,585.5"), ("s1sp-ioc", "371.3"), ("s1sp-foc", "247.5"), ("dco", "123.8"), ("cp", "10.5")],
)
def test_target_rates_are_those_that_the_environments_explain(component: str, rate: str) -> None:
    assert f"{target_rate(component):,.1f}" == rate
    assert re.search(rf"^#.*=\s+{re.escape(rate)}\s+x", (FOLDER / "environments.yaml").read_text("utf-8"), re.MULTILINE)


# --- the hours of the day, and how messages are asked for ---


def test_the_window_is_eight_hours_cut_into_hours() -> None:
    volumes = programme().volumes
    begins, ends = minute_of(volumes.peak_window.begins), minute_of(volumes.peak_window.ends)
    assert (ends - begins) * 60 == WINDOW_SECONDS
    within = [each for each in volumes.periods if begins <= minute_of(each.begins) < ends]
    assert [minute_of(each.ends) - minute_of(each.begins) for each in within] == [60] * 8


def test_every_stream_of_messages_follows_a_profile_and_every_profile_is_followed() -> None:
    volumes = programme().volumes
    assert volumes.migration
    followed = {volumes.migration.profile, *(stream.profile for stream in volumes.traffic)}
    assert followed == {profile.id for profile in volumes.profiles}


@pytest.mark.parametrize(
    ("group_id", "mode", "possible"),
    [
        ("reads", Mode.SCHEDULED, {"4.6.1", "4.6.2", "4.8.1", "4.8.2", "4.8.3", "4.12.1", "4.12.2", "4.16", "4.17"}),
        ("change-of-supplier", Mode.FUTURE_DATED, {"3.2", "6.23"}),
        ("tariff-and-price", Mode.FUTURE_DATED, {"1.1.1", "1.1.2", "1.2.1", "1.2.2"}),
    ],
)
def test_modes_are_those_that_the_register_allows(group_id: str, mode: Mode, possible: set[str]) -> None:
    group = next(group for group in programme().volumes.groups if group.id == group_id)
    assert list(group.modes) == [mode]
    assert {srv for srv in srvs_of(group_id) if programme().registered[srv].allows(mode)} == possible


# --- service reference variants ---


def register() -> dict[str, dict[str, str]]:
    with (FOLDER / "srv.csv").open(encoding="utf-8", newline="") as file:
        return {row["srv"]: row for row in csv.DictReader(file)}


def srvs_of(*groups: str) -> set[str]:
    return {srv.srv for group in programme().volumes.groups if group.id in groups for srv in group.srvs}


def test_the_register_holds_the_published_numbers_of_variants() -> None:
    rows = register().values()
    assert len(rows) == 129
    assert Counter(row["critical"] for row in rows) == {"yes": 37, "no": 92}
    assert sum(row["non_device"] == "yes" for row in rows) == 16


def test_every_variant_is_known_in_one_group_only_and_no_later_than_duis_3() -> None:
    known = set(register()) | {message.id for message in programme().volumes.own_messages}
    listed = [srv.srv for group in programme().volumes.groups for srv in group.srvs]
    assert set(listed) <= known
    assert len(listed) == len(set(listed))
    assert not set(listed) & LATER_THAN_DUIS_3


def test_every_own_message_is_sent() -> None:
    volumes = programme().volumes
    sent = {srv for stream in volumes.traffic for srv in srvs_of(*stream.groups)}
    sent |= {brought.message for stream in volumes.traffic for brought in stream.brings}
    sent |= {step.message for step in volumes.migration.steps}  # type: ignore[union-attr]  # declared
    assert {message.id for message in programme().volumes.own_messages} <= sent


def test_only_critical_commands_take_the_path_of_dual_control() -> None:
    assert {register()[srv]["critical"] for srv in srvs_of(*traffic("smets1-critical").groups)} == {"yes"}
    assert {register()[srv]["critical"] for srv in srvs_of(*traffic("smets1-bau").groups)} == {"no"}


def test_only_non_device_requests_end_at_the_dsp() -> None:
    ending = srvs_of(*traffic("smets1-non-device").groups)
    assert {register()[srv]["non_device"] for srv in ending} == {"yes"}
    others = {srv for group in programme().volumes.groups for srv in srvs_of(group.id)} - ending
    going_on = {srv for srv in others if register().get(srv, {}).get("non_device") == "yes"}
    assert going_on == {"11.1"}  # accepted by the DSP, and carried on to the device as firmware


def test_variants_that_respondents_asked_for_are_in_the_model() -> None:
    assert "4.14" in srvs_of("prepayment")
    assert {"11.1", "11.2"} <= srvs_of("other")
    assert {"4.10", "6.5"} <= srvs_of("network-operators")
    assert all("ED" in register()[srv]["eligible_user_roles"] for srv in srvs_of("network-operators"))


# --- phases, plans, requirements ---


def test_every_phase_tests_the_shared_components_and_its_own_s1sps() -> None:
    def s1sps(phase: Phase) -> set[str]:
        return {name for name in phase.components if programme().component(name).role == "s1sp"}

    own = {phase.id: s1sps(phase) for phase in programme().programme.phases}
    assert own == {"ioc": {"s1sp-ioc"}, "moc": {"s1sp-moc-mds", "s1sp-moc-secure"}, "foc": {"s1sp-foc"}}
    assert all({"dsp", "dco", "cp"} <= set(phase.components) for phase in programme().programme.phases)


def test_every_tested_component_has_load_stress_and_soak_planned_at_the_highest_volumes() -> None:
    tested = {item.id for item in programme().system.components if item.scope is ComponentScope.TESTED}
    plans = {plan.component: plan for plan in programme().tests.plans}
    assert set(plans) == tested == set(COMPONENTS)
    for plan in plans.values():
        assert plan.volumes_of == "foc"
        assert {"load", "stress", "soak", "catch-up"} <= set(plan.tests)
        assert set(plan.phases) == {
            phase.id for phase in programme().programme.phases if plan.component in phase.components
        }


def test_the_rule_of_reliance_is_the_one_the_programme_explains() -> None:
    reliance = programme().programme.reliance
    assert (reliance.scope, reliance.volumes) == ("path", "not-exceeding")
    assert (reliance.never.roles, reliance.never.types) == (("s1sp",), (TestType.REGRESSION,))


def test_every_tested_role_is_held_to_each_kind_of_requirement() -> None:
    kinds = {Metric.ANSWERED_SHARE, Metric.SERVICE_LEVEL, Metric.LATENCY_P50, Metric.HEADROOM, Metric.CPU_P95}
    kinds |= {Metric.MEMORY_P95, Metric.MEMORY_GROWTH, Metric.CONNECTIONS_P95}
    for role in ("dsp", "s1sp", "dco", "cp"):
        assert kinds <= {item.metric for item in programme().requirements if role in item.scope.roles}, role


def test_the_headroom_required_covers_the_migrations_possible_beyond_those_assumed() -> None:
    headroom = next(item for item in programme().requirements if item.metric is Metric.HEADROOM)
    assert Decimal(headroom.limit.value) / 1_000_000 >= value("migration-capacity-per-day") / value(
        "migrations-per-day"
    )


# --- rehearsal ---


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_rehearsal_is_small_and_its_capacity_lies_between_twice_and_two_and_a_half_times_the_load(
    component: str,
) -> None:
    emulated = programme().environment("rehearsal").components[component]
    capacity = Decimal(emulated.workers) * 1_000_000 / emulated.service
    assert 75 <= rehearsed_rate(component) <= 135
    assert Decimal("2.15") <= capacity / rehearsed_rate(component) <= Decimal("2.3")


def test_a_rehearsal_gives_every_requirement_enough_samples() -> None:
    shares = {Metric.ANSWERED_SHARE, Metric.SERVICE_LEVEL}
    needed = {990_000: 380, 950_000: 75}  # Clopper and Pearson: share^n falls below 2.5 % from here
    roles = {name: programme().component(name).role for name in COMPONENTS}
    for item in (item for item in programme().requirements if item.metric in shares):
        for component in (name for name in COMPONENTS if roles[name] in item.scope.roles):
            scopes: list[frozenset[str] | None] = [frozenset({group}) for group in item.scope.groups]
            for groups in scopes or [None]:
                for test in item.scope.types:
                    samples = rehearsed_messages(component, test, groups)
                    assert samples > needed[item.limit.value], (item.id, component, groups, test)


@pytest.mark.parametrize(
    ("variant", "component"),
    [
        ("rehearsal-dsp-too-few-workers", "dsp"),
        ("rehearsal-dco-leak", "dco"),
        ("rehearsal-s1sp-ioc-failing", "s1sp-ioc"),
    ],
)
def test_a_variant_differs_from_the_rehearsal_in_one_component_and_says_how(variant: str, component: str) -> None:
    sound, faulty = programme().environment("rehearsal"), programme().environment(variant)
    assert faulty.defect
    assert {name for name in COMPONENTS if faulty.components[name] != sound.components[name]} == {component}
    assert (faulty.rates, faulty.durations, faulty.seed) == (sound.rates, sound.durations, sound.seed)


def test_the_defects_are_large_enough_to_be_seen() -> None:
    small = programme().environment("rehearsal-dsp-too-few-workers").components["dsp"]
    assert Decimal(small.workers) * 1_000_000 / small.service < rehearsed_rate("dsp") * Decimal("0.7")
    growth = next(item for item in programme().requirements if item.metric is Metric.MEMORY_GROWTH)
    assert programme().environment("rehearsal-dco-leak").components["dco"].leak_bytes >= 4 * growth.limit.value
    answered = next(item for item in programme().requirements if item.metric is Metric.ANSWERED_SHARE)
    failing = programme().environment("rehearsal-s1sp-ioc-failing").components["s1sp-ioc"].error_permille
    assert failing * 1_000 >= 4 * (1_000_000 - answered.limit.value)


def test_the_real_environment_is_an_example_that_reaches_nobody() -> None:
    (real,) = (item for item in programme().environments if item.kind is EnvironmentKind.REAL)
    assert set(real.entries) == set(COMPONENTS)
    assert all(url.startswith("https://") and ".example.invalid/" in url for url in real.entries.values())


# --- scope: whatever the consultation response names ---

NOT_TESTED = [
    "Integrated capacity test from end to end",
    "interfaces between components",
    "DUIS 1 and DUIS 2 gateways",
    "between the SMETS2+ CSPs and the DSP",
    "SMETS2+ CSPs' networks",
    "Gamma link",
    "Smart Metering Key Infrastructure (SMKI)",
    "SMETS1 CSP",
    "(DCC-E)",
    "Migration Report Regime (MRR)",
    "Self-Service Interface (SSI) and Remedy",
    "Service Management System",
    "Requesting Party",
    "Technical Operations Centre (TOC)",
    "Service Users' own systems",
    "(BCDR)",
    "Resilience",
    "Failover and failback of MOC",
    "Catch-up test",
    "scaling a component up and down",
    "Threshold Anomaly Detection",
    "Migration Control Centre (MCC)",
    "Throttling of migrations",
    "Service management, its people and processes",
    "Defect management and triage, its people and processes",
    "Business Acceptance Testing (BAT)",
    "Operational Acceptance Testing (OAT)",
    "Operational readiness and operational assessment",
    "Live Service Criteria (LSC)",
    "Suppression of alerts",
    "large numbers of alerts",
    "Credit and prepayment installations",
    "Negative path tests, and reprocessing",
    "Release 2.0 baseline",
    "Subset of tests repeated in MOC and FOC",
    "Regression after a change of code or configuration",
    "Final full regression",
    "Daily regression by continuous integration",
    "weekends",
    "Peaks shorter than the eight hours",
    "Functional test phases",
    "device model combinations (DMC)",
    "(EPCL)",
    "Witness testing",
    "Independent audit of the approach document and the volume model",
    "S1SPs of earlier phases",
    "disk use and of network traffic",
]
TESTED = [
    "Data Service Provider",
    "DUIS 3 gateway",
    "SMETS1 Service Providers",
    "Dual Control Organisation",
    "Commissioning Party",
    "migration traffic",
    "install and commission among it, in parallel",
    "distribution network operators",
    "4.14",
    "Over-the-air",
    "Acknowledgements and device alerts",
    "Load testing",
    "Stress testing",
    "Soak testing",
    "CPU, memory and network connections",
]


@pytest.mark.parametrize("name", NOT_TESTED)
def test_what_is_named_and_not_tested_is_an_exclusion(name: str) -> None:
    assert [item.id for item in programme().scope.exclusions if name in item.title]


@pytest.mark.parametrize("name", TESTED)
def test_what_is_named_and_tested_is_included(name: str) -> None:
    assert [item.id for item in programme().scope.included if name in item.title]


def test_no_exclusion_contradicts_what_is_included() -> None:
    assert not {item.id for item in programme().scope.included} & {item.id for item in programme().scope.exclusions}


def test_components_that_are_excluded_have_an_exclusion() -> None:
    stated = {item.id for item in programme().scope.exclusions}
    excluded = {item.id for item in programme().system.components if item.scope is ComponentScope.EXCLUDED}
    assert excluded == {name for item in programme().scope.exclusions for name in item.components}
    assert excluded == {"requesting-party", "smets1-csp", "smets2-csp"}
    assert excluded - {"smets2-csp"} <= stated
    assert "smets2-csps" in stated


# --- sources and standing ---


def models(item: object) -> Iterator[BaseModel]:
    """Every declared thing within `item`, itself included."""
    if isinstance(item, BaseModel):
        yield item
        for name in type(item).model_fields:
            yield from models(getattr(item, name))
    elif isinstance(item, tuple | list):
        for part in item:
            yield from models(part)


def sources() -> list[str]:
    return [source for item in models(programme()) if isinstance(source := getattr(item, "source", None), str)]


def test_every_source_names_a_document_an_address_or_says_that_there_is_none() -> None:
    document = (
        r"[Cc]onsultation response|SEC (Section|Appendix|definition)|Methodology|\.co\.uk|\.com|SmartDCCInnovation"
    )
    none = r"^(Placeholder|This programme|Assembled as for|Not enrolled)"
    assert len(sources()) > 150
    assert [source for source in sources() if not re.search(f"{document}|{none}", source)] == []


def test_a_section_of_the_consultation_response_is_named_wherever_it_is_cited() -> None:
    unsectioned = [text for text in sources() if "onsultation response" in text and "section" not in text]
    assert unsectioned == ["Consultation response of 27 June 2019 (its author)"]


def test_no_number_and_no_exclusion_stands_as_agreed() -> None:
    declared = programme()
    counted = (declared.forecasts, declared.migration_plans, declared.observed_volumes, declared.volumes.profiles)
    for rows in (declared.assumptions, *counted, declared.requirements, declared.tests.profiles):
        assert Standing.AGREED not in {row.standing for row in rows}
    assert {item.standing for item in declared.scope.exclusions} == {Standing.PROPOSED}
    assert declared.programme.approach_document.approved is None


def test_figures_from_memory_are_unverified() -> None:
    for item in programme().requirements:
        assert ("memory" in item.source) == (item.standing is Standing.UNVERIFIED), item.id


def test_numbers_published_for_another_purpose_are_unverified() -> None:
    unverified = {item.id for item in programme().assumptions if item.standing is Standing.UNVERIFIED}
    assert unverified == {
        "alerts-per-nuisance-device-per-day",
        "migration-retries",
        "transforms-per-critical-request",
        "messages-per-meter-per-day",
        "messages-per-meter-per-day-2019",
        "reads-share",
        "devices-per-meter",
        "dcc-alerts-per-meter-per-day",
    }


def test_the_readme_lists_every_file() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert {file.name for file in FOLDER.iterdir() if f"`{file.name}`" not in text} == {"README.md"}
