"""Routes: what takes which path, and every assumption that its volume rests on, and no other."""

from typing import Any

import pytest

from catalog.declarations import VolumesFile
from catalog.reading import Catalogue
from catalog.routes import Route, assumptions_used, routes

GROUPS = [
    {"id": "reads", "share": "reads-share", "modes": {"scheduled": "scheduled-share"}, "srvs": ["read"]},
    {"id": "orders", "share": "orders-share", "srvs": ["order"]},
    {"id": "before", "srvs": ["prepare"]},
    {"id": "steps", "srvs": ["check", "move"]},
    {"id": "alarms", "srvs": ["alarm"]},
]
SUPPRESSION = {"in_force": False, "leaves": "left"}
ALERTS = {
    "per_device": "alerts-each",
    "nuisance_share": "nuisance",
    "per_nuisance_device": "nuisance-each",
    "suppression": SUPPRESSION,
}


def traffic(name: str, *groups: str, **more: Any) -> dict[str, Any]:
    common = {"title": "T", "traffic": "T", "path": f"{name}-path", "generation": "web", "in_window": "window"}
    return {"id": name, "factors": ["each"], "groups": groups, **common, **more}


def volumes(*streams: dict[str, Any], **more: Any) -> VolumesFile:
    """The hours and cohorts do not matter here."""
    day = {"begins": "00:00", "ends": "24:00"}
    groups = [
        {"title": "G", "business_process": "P", **group, "srvs": [{"srv": name, "weight": 1} for name in group["srvs"]]}
        for group in GROUPS
    ]
    return VolumesFile.model_validate(
        {
            "srv_register": "messages.csv",
            "forecasts": "forecasts.csv",
            "peak_window": day,
            "periods": [{"id": "day", "title": "Day", **day}],
            "cohorts": [{"id": "all", "title": "All", "generation": "web"}],
            "devices_per_meter": "devices",
            "groups": groups,
            "traffic": streams,
            **more,
        }
    )


def route(path: str, groups: set[str], assumptions: set[str]) -> Route:
    return Route(generation="web", path=path, groups=frozenset(groups), assumptions=frozenset(assumptions))


def test_traffic_rests_on_its_factors_and_on_shares_and_modes_of_its_groups() -> None:
    declared = volumes(traffic("ask", "reads"), traffic("buy", "orders"))
    assert list(routes(declared)) == [
        route("ask-path", {"reads"}, {"each", "window", "reads-share", "scheduled-share"}),
        route("buy-path", {"orders"}, {"each", "window", "orders-share"}),
    ]


def test_what_a_traffic_brings_takes_its_own_path_and_rests_on_all_that_the_traffic_does() -> None:
    brought = {"message": "prepare", "path": "prepare-path", "per_request": "prepared"}
    declared = volumes(traffic("buy", "orders", brings=[brought]))
    assert list(routes(declared))[1:] == [
        route("prepare-path", {"before"}, {"each", "window", "orders-share", "prepared"})
    ]


def test_a_message_in_no_group_is_passed_over() -> None:
    brought = {"message": "unheard-of", "path": "prepare-path", "per_request": "prepared"}
    (_, found) = routes(volumes(traffic("buy", "orders", brings=[brought])))
    assert (found.path, found.groups) == ("prepare-path", frozenset())


@pytest.mark.parametrize(("in_force", "left"), [(False, set()), (True, {"left"})])
def test_alerts_rest_on_devices_and_on_suppression_only_where_it_is_in_force(in_force: bool, left: set[str]) -> None:
    alerts = {**ALERTS, "suppression": {**SUPPRESSION, "in_force": in_force}}
    (found,) = routes(volumes(traffic("alarm", "alarms", alerts=alerts)))
    assert found.assumptions == {"each", "window", "devices", "alerts-each", "nuisance", "nuisance-each"} | left


def test_requests_do_not_rest_on_devices() -> None:
    assert "devices" not in assumptions_used(volumes(traffic("buy", "orders")))


def test_each_step_of_a_migration_rests_on_every_share_that_fails() -> None:
    """Retries depend on what fails at any step, so do the attempts that reach the first one."""
    steps = [
        {"message": "check", "path": "check-path", "per_attempt": "checks", "fails": "check-fails"},
        {"message": "move", "path": "move-path", "per_attempt": "moves"},
    ]
    migration = {"traffic": "M", "generation": "web", "cap": "cap", "throttle": True, "retries": "retries"}
    declared = volumes(traffic("buy", "orders"), migration={**migration, "in_window": "night", "steps": steps})
    shared = {"cap", "retries", "night", "check-fails"}
    assert list(routes(declared))[1:] == [
        route("check-path", {"steps"}, {*shared, "checks"}),
        route("move-path", {"steps"}, {*shared, "moves"}),
    ]


def test_the_calendar_is_part_of_every_volume_and_demand_after_an_outage_of_none() -> None:
    weekend = {"id": "weekend", "title": "W", "weekdays": ["sunday"], "factor": "weekend-factor"}
    outage = {"id": "outage", "title": "O", "outage": "1 h", "cleared_within": "2 h", "kept": "kept"}
    declared = volumes(traffic("ask", "reads"), traffic("buy", "orders"), calendar=[weekend], catch_up=[outage])
    assert all("weekend-factor" in each.assumptions for each in routes(declared))
    assert "kept" not in assumptions_used(declared)


def test_the_shipped_programme_rests_on_all_that_it_assumes_but_what_is_kept_for_comparison(smets1: Catalogue) -> None:
    programme = smets1.programme
    assert {each.id for each in programme.assumptions} - assumptions_used(programme.volumes) == {
        "messages-per-meter-per-day-2019",
        "dcc-alerts-per-meter-per-day",
        "migrations-per-day",
        "alerts-left-by-suppression",
        "demand-kept-in-an-outage",
    }
    assert [(each.path, sorted(each.groups)) for each in routes(programme.volumes)][-6:] == [
        ("non-device", ["inventory-and-schedules"]),
        ("smets2-alert", ["smets2-alerts"]),
        ("smets1-migration", ["migration"]),
        ("smets1-migration", ["migration"]),
        ("smets1-commissioning", ["commissioning"]),
        ("smets1-commissioning", ["commissioning"]),
    ]
    assert ("smets2-transform", frozenset({"transforms"})) in {
        (each.path, each.groups) for each in routes(programme.volumes)
    }


def test_every_path_of_the_shipped_programme_is_taken(smets1: Catalogue) -> None:
    declared = {path.id for path in smets1.programme.system.message_paths}
    assert {each.path for each in routes(smets1.programme.volumes)} == declared
