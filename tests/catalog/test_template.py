"""The programme that `init` writes: in order, explained to editors, rehearsed within a minute, never written over."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.declarations import FILES, Metric, Profile, Programme, Standing, TestType, minute_of
from catalog.errors import UsageError, WorldError
from catalog.reading import read_programme
from catalog.template import examples, write_template
from tasks.course import rising

SECOND = 1_000_000


@pytest.fixture
def programme(tmp_path: Path) -> Programme:
    write_template(tmp_path / "shop")
    return read_programme(tmp_path / "shop")


def target_rate(programme: Programme, component: str) -> Decimal:
    """Messages a second that the launch's peak window offers to a component (each traffic's path counted once).

    On the busiest day: with the most customers, the calendar's factors being 1.
    """
    volumes = programme.volumes
    window = minute_of(volumes.peak_window.ends) - minute_of(volumes.peak_window.begins)
    meters = max(row.meters for row in programme.forecasts if row.phase == "launch")
    assert {programme.assumption(effect.factor).value for effect in volumes.calendar} == {1}
    groups = {group.id: group for group in volumes.groups}
    steps = {path.id: [step.removeprefix("role:") for step in path.steps] for path in programme.system.message_paths}
    rate = Decimal(0)
    for traffic in volumes.traffic:
        if component in steps[traffic.path]:
            share = sum(programme.assumption(groups[name].share or "").value for name in traffic.groups)
            factor = programme.assumption(traffic.factors[0]).value
            rate += meters * factor * share * programme.assumption(traffic.in_window).value
    return rate / (window * 60)


@pytest.mark.parametrize(("component", "rate"), [("storefront", "83.3"), ("orders", "3.33")])
def test_its_target_rates_are_those_that_its_environments_explain(
    programme: Programme, component: str, rate: str, tmp_path: Path
) -> None:
    explained = (tmp_path / "shop" / "environments.yaml").read_text(encoding="utf-8")
    assert re.search(rf"^#   {component}  .*=\s+{re.escape(rate)}\s+x", explained, re.MULTILINE)
    assert round(target_rate(programme, component), len(rate.partition(".")[2])) == Decimal(rate)


def profile(programme: Programme, kind: TestType) -> Profile:
    return next(profile for profile in programme.tests.profiles if profile.type is kind)


def test_every_file_names_a_schema_that_stands_beside_it(tmp_path: Path) -> None:
    written = write_template(tmp_path / "shop")
    assert {path.name for path in written} >= {*FILES, "README.md", "forecasts.csv", "messages.csv"}
    for name in FILES:
        first = (tmp_path / "shop" / name).read_text(encoding="utf-8").splitlines()[0]
        key, _, schema = first.removeprefix("# yaml-language-server: ").partition("=")
        assert key == "$schema"
        assert json.loads((tmp_path / "shop" / schema).read_text(encoding="utf-8"))["title"]


def test_it_speaks_of_another_system_than_the_shipped_one(tmp_path: Path) -> None:
    text = "".join(
        path.read_text(encoding="utf-8") for path in write_template(tmp_path / "shop") if path.suffix == ".yaml"
    )
    assert "smets" not in text.lower()
    assert " meter " not in text.lower()


@pytest.mark.parametrize("component", ["storefront", "orders"])
def test_its_rehearsal_offers_enough_and_stops_between_two_and_three_times(
    programme: Programme, component: str
) -> None:
    environment = programme.environment(programme.programme.default_environment)
    rate = target_rate(programme, component) * environment.rates.get(component, environment.rates["default"])
    emulated = environment.components[component]
    headroom = Decimal(emulated.workers * SECOND) / emulated.service / rate
    assert 60 <= rate <= 120
    assert Decimal("2.1") < headroom < Decimal("2.4")
    assert rate * environment.durations[TestType.LOAD] / SECOND >= 380  # for a share of 99 %
    stress = profile(programme, TestType.STRESS)
    assert stress.ramp is not None
    first, second, top = rising(stress.ramp)
    assert (first, second) == (1, 2)
    assert second < headroom < top
    # one step above what it carries, the queue that a step leaves behind is far longer than the step allows
    overload = top.numerator - headroom
    assert environment.durations[TestType.STRESS] * overload / headroom > 2 * stress.ramp.latency
    assert emulated.service * 2 < stress.ramp.latency


def test_it_shows_what_a_volume_model_may_declare(programme: Programme) -> None:
    volumes = programme.volumes
    assert volumes.profiles
    assert volumes.calendar
    assert volumes.catch_up
    assert [assumption.id for assumption in programme.assumptions if assumption.low is not None]
    launch = [row for row in programme.forecasts if row.phase == "launch"]
    assert [row.begins for row in launch] == ["2026-06-01", "2026-09-01"]  # a phase in two stretches
    assert launch[0].meters < launch[1].meters


def test_its_rehearsal_of_a_phase_takes_less_than_a_minute(programme: Programme) -> None:
    environment = programme.environment(programme.programme.default_environment)
    times = {kind: environment.durations[kind] for kind in environment.durations}
    times[TestType.STRESS] *= 4  # 1, 2, 3, and the target again
    planned = [test for plan in programme.tests.plans for test in plan.tests]
    kinds = {profile.id: profile.type for profile in programme.tests.profiles}
    assert {kinds[test] for test in planned} == {TestType.LOAD, TestType.STRESS, TestType.SOAK}
    assert sum(times[kinds[test]] for test in planned) < 30 * SECOND  # and the rest takes a third of a minute


def test_it_is_two_components_and_one_phase(programme: Programme) -> None:
    assert [phase.id for phase in programme.programme.phases] == ["launch"]
    assert list(programme.programme.phases[0].components) == ["storefront", "orders"]
    assert {plan.component for plan in programme.tests.plans} == {"storefront", "orders"}


def test_another_phase_is_what_its_comments_say(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    write_template(folder)
    phases, forecasts, plans = (folder / name for name in ("programme.yaml", "forecasts.csv", "tests.yaml"))
    text = phases.read_text(encoding="utf-8")
    told = re.search(r"((?:^#  .*\n)+)phases:\n(  - id: launch\n(?:    .*\n)+)", text, re.MULTILINE)
    assert told
    entry = told[1].replace("#  ", "  ")
    phases.write_text(text.replace(told[2], told[2] + entry), encoding="utf-8")
    rows = forecasts.read_text(encoding="utf-8")
    last = rows.splitlines()[-1]
    forecasts.write_text(rows + last.replace("launch", "everywhere").replace("2026", "2027", 2) + "\n")
    plans.write_text(plans.read_text(encoding="utf-8").replace("phases: [launch]", "phases: [launch, everywhere]"))
    assert [phase.id for phase in read_programme(folder).programme.phases] == ["launch", "everywhere"]


def test_its_requirements_are_ones_that_two_thirds_of_capacity_meets(programme: Programme) -> None:
    limits = {requirement.metric: requirement.limit.value for requirement in programme.requirements}
    assert Decimal(limits[Metric.HEADROOM]) / 1_000_000 < 2
    slowest = max(emulated.service for emulated in programme.environment("rehearsal").components.values())
    assert limits[Metric.LATENCY_P50] > 5 * slowest


def test_its_variant_with_a_defect_cannot_carry_the_load(programme: Programme) -> None:
    variant = programme.environment("rehearsal-slow-orders")
    capacity = Decimal(variant.components["orders"].workers * SECOND) / variant.components["orders"].service
    assert capacity < target_rate(programme, "orders") * variant.rates["orders"] / 2
    assert variant.defect


def test_every_example_is_in_order_and_its_files_name_schemas_that_stand_beside_them(tmp_path: Path) -> None:
    assert examples() == ["web"]
    for example in examples():
        folder = tmp_path / example
        write_template(folder, example)
        assert read_programme(folder).programme.programme == example
        for name in (name for name in FILES if (folder / name).exists()):
            schema = (folder / name).read_text(encoding="utf-8").splitlines()[0].partition("$schema=")[2]
            assert (folder / schema).exists()
        assert {each.standing for each in read_programme(folder).requirements} == {Standing.PROPOSED}


def test_an_example_that_there_is_none_of_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no example 'wep'") as caught:
        write_template(tmp_path / "x", "wep")
    assert "Did you mean 'web'?" in caught.value.help()
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_template(tmp_path)
    with pytest.raises(UsageError, match="not an empty folder"):
        write_template(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_template(tmp_path)
    assert read_programme(tmp_path).programme.programme == "web-shop"


def test_a_folder_that_cannot_be_made_is_the_disks_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorldError, match="cannot be written"):
        write_template(tmp_path / "file" / "shop")
