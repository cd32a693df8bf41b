"""The volume model: by hand, against published figures, and that no message is lost or made on the way."""

from collections import Counter, defaultdict
from dataclasses import fields
from fractions import Fraction
from math import prod

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programmes import random_programmes

from catalog import rules
from catalog.canonical import canonical
from catalog.declarations import Programme
from tasks.declare import programme_document, volume_inputs
from tasks.labels import parted
from tasks.parquet import canonical_rows_digest, frame
from tasks.volumes.model import (
    Volume,
    model_phase,
    model_volumes,
    periods_in_window,
    target_volumes,
    traffic_labels,
    window_us,
)
from tasks.volumes.streams import attempts, declared_values

SEEDED = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def total(rows, **wanted):
    """Messages of the rows in which every named column has the given value."""
    return sum(row.messages for row in rows if all(getattr(row, name) == value for name, value in wanted.items()))


def test_the_template_by_hand(template):
    """200,000 customers x 12 = 2,400,000 requests a day, 4 % of them purchases, half of them in the evening."""
    rows = model_volumes(template.programme, "launch")
    at_orders = {"component": "orders", "path": "purchase", "kind": "request"}
    assert total(rows, **at_orders) == 96_000
    assert total(rows, **at_orders, period="evening") == 48_000
    assert total(rows, **at_orders, period="evening", srv="place-order") == 12_000  # weights 1 : 3
    assert total(rows, **at_orders, period="evening", srv="order-status") == 36_000
    assert total(rows, **at_orders, period="day") == 43_200  # the other half, even over 18 + 2 hours
    assert total(rows, **at_orders, period="late") == 4_800
    assert total(rows, component="storefront", kind="request") == 2_400_000
    assert total(rows, component="storefront", kind="response") == 2_400_000
    assert total(rows, component="storefront", path="browse", srv="search", kind="request") == 192_000  # 80 %, 1 of 10
    assert total(rows, component="shopper") == 0  # outside the system
    assert {row.mode for row in rows} == {"not split"}
    assert {row.devices for row in rows} == {200_000}
    assert {row.basis for row in rows} == {"customers × requests-per-customer-per-day"}


def test_the_target_is_the_peak_windows_and_counts_what_is_offered(template):
    programme = template.programme
    rows = model_volumes(programme, "launch")
    assert target_volumes(programme, rows, "orders") == {
        "purchase|order-status|request": 36_000,
        "purchase|place-order|request": 12_000,
    }
    assert sum(target_volumes(programme, rows, "storefront").values()) == 1_200_000
    assert window_us(programme) == 4 * 3_600_000_000
    assert target_volumes(programme, rows, "shopper") == {}


def only(programme, edited, **meters):
    """The shipped programme with nothing forecast for FOC but what is given: meters, migrations a day by cohort."""
    changes = [
        (f"forecasts.{place}.meters", meters.get(row.cohort, (0, 0))[0])
        for place, row in enumerate(programme.forecasts)
        if row.phase == "foc"
    ]
    changes += [
        (f"migration_plans.{place}.installations_per_day", meters.get(row.cohort, (0, 0))[1])
        for place, row in enumerate(programme.migration_plans)
        if row.phase == "foc"
    ]
    return edited(programme, *changes)


def test_published_figure_53_million_meters_make_about_2830_requests_a_second(smets1, edited):
    programme = only(smets1.programme, edited, smets2=(53_000_000, 0))
    target = target_volumes(programme, model_volumes(programme, "foc"), "dsp")
    requests = sum(
        count for label, count in target.items() if label.endswith("|request") and "smets2-transform" not in label
    )
    assert requests == 81_620_000  # 53,000,000 x 1.54, all of it in the window
    transforms = sum(count for label, count in target.items() if "smets2-transform" in label)
    assert transforms == 81_620_000 * Fraction("0.14")  # a Transform before each critical command
    assert requests / (window_us(programme) / 1_000_000) == pytest.approx(2_834, abs=1)


def test_published_figure_50000_migrations_are_1_736_a_second(smets1, edited):
    programme = only(smets1.programme, edited, **{"smets1-foc": (0, 50_000)})
    rows = model_volumes(programme, "foc")
    assert {row.path for row in rows} == {"smets1-migration", "smets1-commissioning"}  # no meters: no other traffic
    made = attempts(programme.volumes.migration, declared_values(programme))
    failing = 1 - Fraction("0.98") * Fraction("0.98") * Fraction("0.99")
    assert made.failing == failing
    assert made.attempts == 1 + failing + failing**2 + failing**3 + failing**4
    assert made.left == failing**5
    validations = total(rows, component="s1sp-foc", srv="migration-data-validation", kind="request")
    assert abs(validations - 50_000 * made.attempts) < 1  # one of each attempt, the first step reached by all
    seconds = window_us(programme) // 1_000_000
    assert validations / made.attempts / seconds == pytest.approx(1.736, abs=0.001)


def test_published_figure_one_alert_a_device_and_day_against_0_96_observed(smets1):
    """1.6 billion device alerts of 54 million devices in the 31 days of July 2022: 0.96; the model assumes one."""
    assumed = smets1.programme.assumption("alerts-per-device-per-day")
    observed = Fraction(1_600_000_000, 54_000_000 * 31)
    assert round(float(observed), 2) == 0.96
    assert observed < assumed.value == 1
    assert float(assumed.low) == 0.96


def test_units_an_alert_is_counted_per_device_and_not_per_meter(smets1):
    """15.1 million SMETS1 meters have 2.57 devices each, which raise an alert a day: 38,807,000, not 15,100,000."""
    rows = model_volumes(smets1.programme, "foc")
    alerts = [row for row in rows if (row.component, row.path) == ("dsp", "smets1-alert")]
    assert total(alerts) == 38_807_000
    in_window = sum(total(alerts, period=period) for period in periods_in_window(smets1.programme))
    assert (
        abs(in_window - Fraction("0.3334") * 38_807_000) < 12
    )  # four cohorts, three SRVs, each rounded by less than one
    assert {row.kind for row in alerts} == {"alert"}  # nothing answers an alert
    assert sum({row.srv: row.devices for row in alerts}.values()) == 3 * 15_100_000  # devices: meters, for each SRV


def test_units_migrations_are_counted_per_installation_and_not_per_meter(smets1):
    rows = model_volumes(smets1.programme, "foc")
    at_cp = [row for row in rows if row.component == "cp"]
    made = attempts(smets1.programme.volumes.migration, declared_values(smets1.programme))
    reached = Fraction("0.98") ** 2
    exact = 50_000 * made.attempts * (5 * reached + reached * Fraction("0.99"))
    assert abs(total(at_cp, kind="request") - exact) <= 2  # four cohorts, each rounded once
    assert {row.devices for row in at_cp} == {50_000}


def test_shares_of_smets1_traffic_leave_out_install_and_commission(smets1):
    rows = model_volumes(smets1.programme, "foc")
    bau = sum(
        total(rows, component="s1sp-foc", path=path, kind="request") for path in ("smets1-bau", "smets1-critical")
    )
    answered_by_the_dsp = Fraction("0.02")
    assert bau == 3_020_000 * Fraction("1.54") * (1 - Fraction("0.03") - answered_by_the_dsp)


def test_acknowledgements_are_counted_where_they_are_declared_and_nowhere_else(smets1):
    rows = model_volumes(smets1.programme, "foc")
    declared = {(name, path.id) for path in smets1.programme.system.message_paths for name in path.acknowledged_by}
    found = {(row.component, row.path) for row in rows if row.kind == "acknowledgement"}
    assert found == declared
    for component, path in declared:
        acknowledged = total(rows, component=component, path=path, kind="acknowledgement")
        scheduled = total(rows, component=component, path=path, kind="request", mode="scheduled")
        assert acknowledged == total(rows, component=component, path=path, kind="request") - scheduled > 0


def test_each_cohort_goes_through_its_own_service_provider(smets1):
    rows = model_volumes(smets1.programme, "moc")
    per_meter = {
        name: Fraction(total(rows, component=name, path="smets1-bau", kind="request"), meters)
        for name, meters in (("s1sp-ioc", 3_000_000), ("s1sp-moc-mds", 1_500_000), ("s1sp-moc-secure", 2_000_000))
    }
    assert len(set(per_meter.values())) == 1
    assert total(rows, component="s1sp-foc") == 0


def test_rows_come_once_each_in_order_and_never_empty(smets1):
    for phase in smets1.programme.programme.phases:
        rows = model_volumes(smets1.programme, phase.id)
        places = [(row.period, row.component, row.path, row.srv, row.kind, row.mode) for row in rows]
        assert places == sorted(set(places))
        assert all(row.messages > 0 and row.devices > 0 and row.phase == phase.id for row in rows)


def test_traffic_that_shares_a_path_is_labelled_with_all_of_it(smets1):
    labels = traffic_labels(smets1.programme)
    assert labels["smets1-bau", "4.8.1"] == "BAU SMETS1"
    assert labels["smets1-migration", "migration-device-test"] == "migration"
    assert labels["non-device", "8.2"] == "BAU SMETS1 + BAU SMETS2+"
    for row in model_volumes(smets1.programme, "foc"):
        assert labels[row.path, row.srv]


@settings(derandomize=True, deadline=None)
@given(
    path=st.from_regex(r"[a-z0-9][a-z0-9-]*", fullmatch=True),
    srv=st.text("ab|.-1", min_size=1),
    kind=st.sampled_from(["request", "alert"]),
)
def test_labels_come_apart_whatever_a_message_is_called(path, srv, kind):
    assert parted(f"{path}|{srv}|{kind}") == (path, srv, kind)


# --- modes and messages that are brought along ------------------------------------------------------------------------


def test_what_can_be_scheduled_is_and_the_rest_is_on_demand(smets1):
    """4.8.1 can be scheduled and 80 % of it are; 4.1.1 cannot, by the register."""
    rows = model_volumes(smets1.programme, "foc")
    at_dsp = {"component": "dsp", "path": "smets2-bau", "kind": "request"}
    reads = total(rows, **at_dsp, srv="4.8.1")
    assert abs(total(rows, **at_dsp, srv="4.8.1", mode="scheduled") - Fraction("0.8") * reads) <= 8
    assert total(rows, **at_dsp, srv="4.8.1", mode="on-demand") + total(
        rows, **at_dsp, srv="4.8.1", mode="scheduled"
    ) == (reads)
    assert {row.mode for row in rows if row.srv == "4.1.1"} == {"on-demand"}
    assert {row.mode for row in rows if row.srv == "1.1.1"} == {"on-demand", "future-dated"}


def test_a_scheduled_message_is_answered_all_the_way_and_acknowledged_nowhere(smets1):
    rows = model_volumes(smets1.programme, "foc")
    for component in ("dsp", "s1sp-foc", "smets1-csp"):
        scheduled = {"component": component, "path": "smets1-bau", "mode": "scheduled"}
        assert total(rows, **scheduled, kind="request") == total(rows, **scheduled, kind="response") > 0
        assert total(rows, **scheduled, kind="acknowledgement") == 0


def test_schedules_kept_further_on_ask_nothing_of_whoever_comes_before(smets1, edited):
    programme = edited(smets1.programme, ("system.message_paths.smets2-bau.scheduled_by", "smets2-csp"))
    rows = model_volumes(programme, "foc")
    scheduled = {"path": "smets2-bau", "mode": "scheduled"}
    assert total(rows, **scheduled, component="dsp", kind="request") == 0
    answered = total(rows, **scheduled, component="dsp", kind="response")
    assert answered == total(rows, **scheduled, component="smets2-csp", kind="request") > 0


def test_suppression_takes_alerts_away_only_where_it_is_in_force(smets1, edited):
    left = ("assumptions.alerts-left-by-suppression.value", "0.25")
    switched = ("volumes.traffic.smets1-alert.alerts.suppression.in_force", True)
    alerts = {"component": "dsp", "path": "smets1-alert"}
    before = total(model_volumes(smets1.programme, "foc"), **alerts)
    assert total(model_volumes(edited(smets1.programme, left), "foc"), **alerts) == before
    assert total(model_volumes(edited(smets1.programme, left, switched), "foc"), **alerts) == before // 4


def test_a_thousandth_of_nuisance_devices_adds_a_tenth_of_alerts(smets1, edited):
    """0.999 x 1 + 0.001 x 100 = 1.099 alerts a device."""
    programme = edited(smets1.programme, ("assumptions.nuisance-device-share.value", "0.001"))
    alerts = {"component": "dsp", "path": "smets2-alert"}
    assert total(model_volumes(programme, "foc"), **alerts) == round(38_036_000 * Fraction("1.099"))


# --- the busiest day --------------------------------------------------------------------------------------------------


def test_the_busiest_day_is_modelled_and_a_busier_weekend_moves_it_there(smets1, edited):
    assert model_phase(smets1.programme, "foc").day.date.isoformat() == "2021-11-01"  # the first with all migrations
    busy = edited(smets1.programme, ("assumptions.weekend-factor.value", "1.2"))
    day = model_phase(busy, "foc").day
    assert (day.date.isoformat(), day.weekday, day.effects) == ("2021-11-06", "saturday", ("weekend",))
    before, after = (
        total(model_volumes(programme, "foc"), component="dsp", path="smets1-bau", kind="request")
        for programme in (smets1.programme, busy)
    )
    assert abs(after - before * Fraction("1.2")) <= 8


def test_effects_that_fall_on_one_day_multiply(smets1, edited):
    changes = [
        ("assumptions.weekend-factor.value", "1.2"),
        ("assumptions.price-change-factor.value", "3"),
        ("volumes.calendar.price-change.dates", ["11-06"]),
    ]
    day = model_phase(edited(smets1.programme, *changes), "foc").day
    assert (day.date.isoformat(), day.effects) == ("2021-11-06", ("weekend", "price-change"))


def test_migrations_above_the_cap_wait_for_later_days(smets1, edited):
    """42,500 a day are planned from 2021-08-01; with 40,000 possible, 2,500 more wait each day."""
    from tasks.volumes.days import Calendar

    programme = edited(smets1.programme, ("assumptions.migration-capacity-per-day.value", "40000"))
    days = {day.date.isoformat(): day for day in Calendar(programme, "foc").days}
    first = days["2021-07-01"]  # 40,100 planned
    assert (sum(first.planned.values()), sum(first.migrations.values()), first.waiting) == (40_100, 40_000, 100)
    assert days["2021-07-31"].waiting == 3_100
    assert days["2021-08-01"].waiting == 3_100 + 2_500
    assert all(sum(day.migrations.values()) == 40_000 for day in days.values())


# --- no message is lost or made, whatever is declared -----------------------------------------------------------------


@SEEDED
@given(data=st.data())
def test_totals_are_conserved_through_components_paths_periods_modes_and_kinds(template, data):
    """Each stream is rounded once; whatever component, period, mode or kind it is seen at, its total is that."""
    programme = data.draw(random_programmes(template.programme))
    model = model_phase(programme, "pilot")
    exact = exact_streams(programme, model.day)
    offers = {path.id: path.offers.value for path in programme.system.message_paths}
    steps = {path.id: [step.removeprefix("role:") for step in path.steps] for path in programme.system.message_paths}
    totals, cells, count = Counter(), defaultdict(Fraction), Counter()
    for path, messages in exact:
        totals[path] += round(sum(messages.values(), start=Fraction(0)))
        count[path] += 1
        for cell, amount in messages.items():
            cells[path, *cell] += amount
    for path in {path for path, _ in exact}:
        for component in (step for step in steps[path] if step != "shopper"):
            at = {"path": path, "component": component}
            assert total(model.rows, **at, kind=offers[path]) == totals[path]
            assert total(model.rows, **at, kind="response") == (totals[path] if offers[path] == "request" else 0)
            acknowledges = component in next(
                each.acknowledged_by for each in programme.system.message_paths if each.id == path
            )
            scheduled = total(model.rows, **at, kind=offers[path], mode="scheduled")
            acknowledged = (totals[path] - scheduled) * acknowledges
            assert total(model.rows, **at, kind="acknowledgement") == acknowledged
    for row in model.rows:
        assert row.component in steps[row.path]
        if row.kind == offers[row.path]:
            assert abs(row.messages - cells[row.path, row.srv, row.mode, row.period]) < 2 * count[row.path]


def exact_streams(programme, day):
    """Each stream's messages a day by (SRV, mode, period), as the declared decimals multiply: a model of the model."""
    value = {each.id: Fraction(each.value) for each in programme.assumptions}
    volumes = programme.volumes
    effect = prod((value[each.factor] for each in volumes.calendar if each.id in day.effects), start=Fraction(1))
    found = []
    for traffic in volumes.traffic:
        for cohort in volumes.cohorts:
            meters = day.meters[cohort.id]
            if cohort.generation != traffic.generation or not meters:
                continue
            each = meters * prod((value[name] for name in traffic.factors), start=Fraction(1)) * effect
            portions = portions_of(programme, value[traffic.in_window], traffic.profile)
            messages = defaultdict(Fraction)
            for group in (group for group in volumes.groups if group.id in traffic.groups):
                share = value[group.share] if group.share else 1
                weights = sum(weighted.weight for weighted in group.srvs)
                for weighted in group.srvs:
                    amount = each * share * Fraction(weighted.weight, weights)
                    for mode, part in modes_of(programme, group, weighted.srv, value).items():
                        for period, portion in portions.items():
                            messages[weighted.srv, mode, period] += amount * part * portion
            found.append((traffic.path, messages))
            for brought in traffic.brings:
                amount = sum(messages.values(), start=Fraction(0)) * value[brought.per_request]
                found.append(
                    (brought.path, {(brought.message, "not split", name): amount * part
                                    for name, part in portions.items()})
                )  # fmt: skip
    return found


def modes_of(programme, group, srv, value):
    """The shares of a message's modes."""
    if not group.modes:
        return {"not split": Fraction(1)}
    row = next((row for row in programme.srv_register if row.srv == srv), None)
    shares = {mode.value: value[name] for mode, name in group.modes.items() if row is not None and row.allows(mode)}
    return {**shares, "on-demand": 1 - sum(shares.values(), start=Fraction(0))}


def portions_of(programme, inside, profile):
    """Each period's portion of a day, minute by minute."""
    points = next((each.points for each in programme.volumes.profiles if each.id == profile), ())
    rates = [rate_at(points, minute) for minute in range(1440)]
    window = programme.volumes.peak_window
    begins, ends = minutes_of(window.begins), minutes_of(window.ends)
    within, without = sum(rates[begins:ends]), sum(rates) - sum(rates[begins:ends])
    minutes = [
        (inside * rate / within if within else Fraction(0)) if begins <= minute < ends
        else ((1 - inside) * rate / without if without else Fraction(0))
        for minute, rate in enumerate(rates)
    ]  # fmt: skip
    return {
        each.id: sum(minutes[minutes_of(each.begins) : minutes_of(each.ends)]) for each in programme.volumes.periods
    }


def rate_at(points, minute):
    """The rate in force: that of the last point before, or of the day's last where there is none."""
    before = [point for point in points if minutes_of(point.begins) <= minute]
    return Fraction((before or points)[-1].rate) if points else Fraction(1)


def minutes_of(time):
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


@SEEDED
@given(data=st.data())
def test_nothing_but_the_volume_inputs_decides_it(template, data):
    """What the stage's key leaves out makes no difference: evidence of an old version's volumes is still right."""
    programme = data.draw(random_programmes(template.programme))
    document = programme_document(programme)
    before = canonical(volume_inputs(document))
    for component in document["system"]["components"]:
        component |= {"version": "next", "title": "other", "configuration": {"a": 1}}
    document["requirements"], document["tests"]["profiles"][0]["blocks"] = document["requirements"][:1], 99
    document["environments"] = document["environments"][:1]
    changed = Programme.model_validate(document)
    assert canonical(volume_inputs(programme_document(changed))) == before
    assert model_volumes(changed, "pilot") == model_volumes(programme, "pilot")


def test_golden_rows_of_the_shipped_programme(smets1):
    """Where the programme's numbers changed, record the new digests; where the rules did, raise `rules.VOLUMES` too."""
    found = {}
    for phase in smets1.programme.programme.phases:
        rows = model_volumes(smets1.programme, phase.id)
        columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Volume)}
        found[phase.id] = canonical_rows_digest("volumes", frame("volumes", columns))[:16]
    assert (rules.VOLUMES, found) == GOLDEN


GOLDEN = (2, {"ioc": "3ab025c82a2cf51e", "moc": "e92b76b300f1db3c", "foc": "d087118e1d847000"})
