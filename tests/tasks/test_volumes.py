"""The volume model: by hand, against published figures, and that no message is lost or made on the way."""

from collections import Counter, defaultdict
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from math import prod

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import rules
from catalog.canonical import canonical
from catalog.declarations import ComponentScope, Programme
from tasks.declare import programme_document, volume_inputs
from tasks.parquet import canonical_rows_digest, frame
from tasks.volumes import HOUR_US, Volume, model_volumes, parted, target_volumes, traffic_labels, window_us

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
    assert total(rows, **at_orders, period="day") == 43_200  # the other half over 18 + 2 hours
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
    assert window_us(programme) == 4 * HOUR_US
    assert target_volumes(programme, rows, "shopper") == {}


def only(programme, edited, **meters):
    """The shipped programme with nothing forecast for FOC but what is given: meters, migrations a day by cohort."""
    changes = [
        (f"forecasts.{place}.{name}", count)
        for place, row in enumerate(programme.forecasts)
        if row.phase == "foc"
        for name, count in zip(("meters", "migrations_per_day"), meters.get(row.cohort, (0, 0)), strict=True)
    ]
    return edited(programme, *changes)


def test_published_figure_53_million_meters_make_about_2830_requests_a_second(smets1, edited):
    programme = only(smets1.programme, edited, smets2=(53_000_000, 0))
    target = target_volumes(programme, model_volumes(programme, "foc"), "dsp")
    requests = sum(count for label, count in target.items() if label.endswith("|request"))
    assert requests == 81_620_000  # 53,000,000 x 1.54, all of it in the window
    assert requests / (window_us(programme) / 1_000_000) == pytest.approx(2_834, abs=1)


def test_published_figure_50000_migrations_are_1_736_a_second(smets1, edited):
    programme = only(smets1.programme, edited, **{"smets1-foc": (0, 50_000)})
    rows = model_volumes(programme, "foc")
    assert {row.path for row in rows} == {"smets1-migration", "smets1-commissioning"}  # no meters: no other traffic
    for path in ("smets1-migration", "smets1-commissioning"):
        offered = total(rows, component="s1sp-foc", path=path, kind="request", period=programme.volumes.peak_window)
        assert offered == 315_000  # 1.05 attempts, 6 messages each
        assert offered / Fraction(63, 10) / (window_us(programme) // 1_000_000) == pytest.approx(1.736, abs=0.001)


def test_units_an_alert_is_counted_per_device_and_not_per_meter(smets1):
    """15.1 million SMETS1 meters have 2.57 devices each, which raise an alert a day: 38,807,000, not 15,100,000."""
    rows = model_volumes(smets1.programme, "foc")
    alerts = [row for row in rows if (row.component, row.path) == ("dsp", "smets1-alert")]
    assert total(alerts) == 38_807_000
    in_window = total(alerts, period=smets1.programme.volumes.peak_window)
    assert (
        abs(in_window - Fraction("0.3334") * 38_807_000) < 12
    )  # four cohorts, three SRVs, each rounded by less than one
    assert {row.kind for row in alerts} == {"alert"}  # nothing answers an alert
    assert sum({row.srv: row.devices for row in alerts}.values()) == 3 * 15_100_000  # devices: meters, for each SRV


def test_units_migrations_are_counted_per_installation_and_not_per_meter(smets1):
    rows = model_volumes(smets1.programme, "foc")
    at_cp = [row for row in rows if row.component == "cp"]
    assert total(at_cp, kind="request") == 315_000
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
        assert acknowledged == total(rows, component=component, path=path, kind="request") > 0


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
        places = [(row.period, row.component, row.path, row.srv, row.kind) for row in rows]
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


# --- no message is lost or made, whatever is declared -----------------------------------------------------------------

SHARES = st.integers(0, 10_000).map(lambda part: str(Decimal(part) / 10_000))


@st.composite
def programmes(draw, base):
    """Small programmes: one to three groups, traffics and cohorts, any periods, factors and shares."""
    document = base.model_dump(mode="json", by_alias=True)
    volumes = document["volumes"]
    cuts = sorted(draw(st.sets(st.integers(1, 23), max_size=3)))
    volumes["periods"] = [
        {"id": f"p{place}", "title": "t", "from_hour": start, "to_hour": end}
        for place, (start, end) in enumerate(zip([0, *cuts], [*cuts, 24], strict=True))
    ]
    volumes["peak_window"] = draw(st.sampled_from([period["id"] for period in volumes["periods"]]))
    groups = draw(st.integers(1, 3))
    volumes["groups"] = [
        {"id": f"g{group}", "title": "t", "business_process": "b",
         "share": draw(st.sampled_from([None, f"share-{group}"])),
         "srvs": [{"srv": f"m{group}{n}", "weight": draw(st.integers(1, 99))} for n in range(draw(st.integers(1, 3)))]}
        for group in range(groups)
    ]  # fmt: skip
    numbers = {f"share-{group}": draw(SHARES) for group in range(groups)}
    numbers |= {f"factor-{place}": str(draw(st.decimals(0, 50, places=3))) for place in range(2)}
    numbers["in-window"] = draw(SHARES) if cuts else "1"
    sourced = {"standing": "proposed", "source": "s", "owner": "o", "title": "t", "unit": "u", "date": "d"}
    document["assumptions"] = [{"id": name, "value": value, **sourced} for name, value in numbers.items()]
    generations = ["old", "new"]
    volumes["cohorts"] = [
        {"id": f"c{place}", "title": "t", "generation": draw(st.sampled_from(generations)), "served_by": ["orders"]}
        for place in range(draw(st.integers(1, 3)))
    ]
    document["forecasts"] = [
        {"phase": "pilot", "cohort": cohort["id"], "meters": draw(st.integers(0, 10**7)),
         "migrations_per_day": draw(st.integers(0, 10**5)), "standing": "proposed", "source": "s"}
        for cohort in volumes["cohorts"]
    ]  # fmt: skip
    volumes["traffic"] = [
        {"id": f"t{place}", "title": "t", "traffic": "BAU",
         "path": draw(st.sampled_from(["browse", "purchase", "door"])),
         "generation": draw(st.sampled_from(generations)), "driver": draw(st.sampled_from(["meters", "migrations"])),
         "factors": draw(st.lists(st.sampled_from(["factor-0", "factor-1"]), unique=True)),
         "groups": draw(st.lists(st.sampled_from([f"g{group}" for group in range(groups)]), min_size=1, unique=True)),
         "in_window": "in-window"}
        for place in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    alerts = {
        "id": "door",
        "title": "t",
        "offers": "alert",
        "steps": ["shopper", "role:orders", "storefront"],
        "standing": "agreed",
        "source": "s",
    }
    document["system"]["message_paths"] += [alerts]
    document["system"]["message_paths"][0]["acknowledged_by"] = draw(st.sampled_from([[], ["storefront"]]))
    return Programme.model_validate(document)


def exact_a_day(programme, traffic, forecast):
    """Messages a day by (SRV, period), as the declared decimals multiply, before anything is rounded."""
    driver = forecast.meters if traffic.driver == "meters" else forecast.migrations_per_day
    factor = prod((Fraction(programme.assumption(name).value) for name in traffic.factors), start=Fraction(1))
    inside = Fraction(programme.assumption(traffic.in_window).value)
    hours = {period.id: period.to_hour - period.from_hour for period in programme.volumes.periods}
    rest = sum(hours.values()) - hours[programme.volumes.peak_window]
    found = {}
    for group in (group for group in programme.volumes.groups if group.id in traffic.groups):
        share = Fraction(programme.assumption(group.share).value) if group.share else Fraction(1)
        weights = sum(weighted.weight for weighted in group.srvs)
        for weighted in group.srvs:
            for period, length in hours.items():
                portion = inside if period == programme.volumes.peak_window else (1 - inside) * Fraction(length, rest)
                found[weighted.srv, period] = driver * factor * share * Fraction(weighted.weight, weights) * portion
    return found


@SEEDED
@given(data=st.data())
def test_totals_are_conserved_through_components_paths_periods_and_kinds(template, data):
    programme = data.draw(programmes(template.programme))
    rows = model_volumes(programme, "pilot")
    scopes = {component.id: component.scope for component in programme.system.components}
    cells, totals, streams = defaultdict(Fraction), Counter(), Counter()
    for traffic in programme.volumes.traffic:
        for cohort, forecast in zip(programme.volumes.cohorts, programme.forecasts, strict=True):
            if cohort.generation == traffic.generation:
                exact = exact_a_day(programme, traffic, forecast)
                totals[traffic.path] += round(sum(exact.values()))
                streams[traffic.path] += 1
                for (srv, period), messages in exact.items():
                    cells[traffic.path, srv, period] += messages
    offers = {path.id: path.offers.value for path in programme.system.message_paths}
    handled = {
        "browse": {"storefront"},
        "purchase": {"storefront", "orders", "payments"},
        "door": {"orders", "storefront"},
    }
    for path, components in handled.items():
        for component in components:
            assert total(rows, path=path, component=component, kind=offers[path]) == totals[path]
            answered = totals[path] if offers[path] == "request" else 0
            assert total(rows, path=path, component=component, kind="response") == answered
            acknowledges = component in next(
                each.acknowledged_by for each in programme.system.message_paths if each.id == path
            )
            assert total(rows, path=path, component=component, kind="acknowledgement") == totals[path] * acknowledges
    for row in rows:
        assert row.component in handled[row.path]
        assert scopes[row.component] is not ComponentScope.OUTSIDE
        assert abs(row.messages - cells[row.path, row.srv, row.period]) < streams[row.path]


@SEEDED
@given(data=st.data())
def test_nothing_but_the_volume_inputs_decides_it(template, data):
    """What the stage's key leaves out makes no difference: evidence of an old version's volumes is still right."""
    programme = data.draw(programmes(template.programme))
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


GOLDEN = (1, {"ioc": "272ffbdf6d3c9e2d", "moc": "1c995899eaf639b7", "foc": "83d2a6fa10cb0aa6"})
