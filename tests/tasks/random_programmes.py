"""Random small programmes, for properties that must hold whatever is declared."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from catalog.declarations import Programme

SHARES = st.integers(0, 10_000).map(lambda part: str(Decimal(part) / 10_000))
SOURCED = {"standing": "proposed", "source": "s", "owner": "o", "title": "t", "unit": "u", "date": "d"}
GENERATIONS = ("old", "new")


def clock(minute: int) -> str:
    """A minute of the day as declarations write it."""
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def random_programmes(draw: Any, base: Programme) -> Programme:
    """One to three groups, traffics and cohorts; any periods, window, profile, modes and effects."""
    document = base.model_dump(mode="json", by_alias=True)
    volumes = document["volumes"]
    volumes |= {"migration": None, "catch_up": [], "devices_per_meter": None, "migration_plans": None}
    volumes["periods"], volumes["peak_window"], whole = draw(_days())
    volumes["profiles"] = [draw(_profiles())]
    groups = draw(st.integers(1, 3))
    volumes["groups"] = [draw(_groups(group)) for group in range(groups)]
    volumes["groups"].append(
        {"id": "brought", "title": "t", "business_process": "b", "srvs": [{"srv": "extra", "weight": 1}]}
    )
    volumes["own_messages"] = [{"id": "extra", "title": "t", "standing": "proposed", "source": "s"}]
    numbers = {f"share-{group}": draw(SHARES) for group in range(groups)}
    numbers |= {f"factor-{place}": str(draw(st.decimals(0, 50, places=3))) for place in range(2)}
    numbers |= {"half": "0.5", "third": "0.3333", "effect": str(draw(st.decimals(0, 3, places=2)))}
    numbers["in-window"] = "1" if whole else draw(SHARES)
    document["assumptions"] = [{"id": name, "value": value, **SOURCED} for name, value in numbers.items()]
    volumes["calendar"] = [{"id": "weekend", "title": "t", "weekdays": ["saturday", "sunday"], "factor": "effect"}]
    volumes["cohorts"] = [
        {"id": f"c{place}", "title": "t", "generation": draw(st.sampled_from(GENERATIONS)), "served_by": ["orders"]}
        for place in range(draw(st.integers(1, 3)))
    ]
    document["forecasts"] = [row for cohort in volumes["cohorts"] for row in draw(_forecasts(cohort["id"]))]
    document["srv_register"] = [
        {"srv": f"m{group}{n}", "name": "n", "critical": False, "dcc_scheduled": n == 0,
         "future_dated_pattern": "DSP" if n < 2 else "No"}
        for group in range(3) for n in range(3)
    ]  # fmt: skip
    volumes["traffic"] = [draw(_traffics(place, groups)) for place in range(draw(st.integers(1, 3)))]
    paths = document["system"]["message_paths"]
    paths[0]["acknowledged_by"] = draw(st.sampled_from([[], ["storefront"]]))
    for path in paths:
        path["scheduled_by"] = "storefront"
    paths.append(
        {"id": "door", "title": "t", "offers": "alert", "steps": ["shopper", "role:orders", "storefront"],
         "standing": "agreed", "source": "s"}
    )  # fmt: skip
    return Programme.model_validate(document)


@st.composite
def _days(draw: Any) -> tuple[list[dict[str, str]], dict[str, str], bool]:
    """Periods, a window of whole ones, and whether it is the whole day."""
    cuts = sorted(draw(st.sets(st.integers(1, 1439), max_size=4)))
    edges = [0, *cuts, 1440]
    periods = [
        {"id": f"p{place}", "title": "t", "begins": clock(start), "ends": clock(end)}
        for place, (start, end) in enumerate(pairwise(edges))
    ]
    first, last = sorted(draw(st.sets(st.integers(0, len(edges) - 1), min_size=2, max_size=2)))
    window = {"begins": clock(edges[first]), "ends": clock(edges[last])}
    return periods, window, (first, last) == (0, len(edges) - 1)


@st.composite
def _profiles(draw: Any) -> dict[str, Any]:
    """A shape of the day that is above nothing at every time, so that any window can be filled."""
    times = sorted(draw(st.sets(st.integers(0, 1439), min_size=1, max_size=4)))
    rates = [str(draw(st.decimals("0.1", 9, places=1))) for _ in times]
    points = [{"begins": clock(time), "rate": rate} for time, rate in zip(times, rates, strict=True)]
    return {"id": "shape", "title": "t", "points": points, "standing": "proposed", "source": "s"}


@st.composite
def _groups(draw: Any, group: int) -> dict[str, Any]:
    return {
        "id": f"g{group}",
        "title": "t",
        "business_process": "b",
        "share": draw(st.sampled_from([None, f"share-{group}"])),
        "modes": draw(st.sampled_from([{}, {"scheduled": "third"}, {"scheduled": "third", "future-dated": "half"}])),
        "srvs": [{"srv": f"m{group}{n}", "weight": draw(st.integers(1, 99))} for n in range(draw(st.integers(1, 3)))],
    }


@st.composite
def _forecasts(draw: Any, cohort: str) -> list[dict[str, Any]]:
    common = {"phase": "pilot", "cohort": cohort, "prepayment_meters": None, "unit": "meters", "version": "1",
              "standing": "proposed", "source": "s"}  # fmt: skip
    stretches = [("2026-03-01", "2026-03-10"), ("2026-03-11", "2026-03-31")]
    return [
        {**common, "begins": begins, "ends": ends, "meters": draw(st.integers(0, 10**7))} for begins, ends in stretches
    ]


@st.composite
def _traffics(draw: Any, place: int, groups: int) -> dict[str, Any]:
    brought = {"message": "extra", "path": draw(st.sampled_from(["browse", "door"])), "per_request": "third"}
    return {
        "id": f"t{place}",
        "title": "t",
        "traffic": "BAU",
        "path": draw(st.sampled_from(["browse", "purchase", "door"])),
        "generation": draw(st.sampled_from(GENERATIONS)),
        "factors": draw(st.lists(st.sampled_from(["factor-0", "factor-1"]), unique=True)),
        "brings": draw(st.sampled_from([[], [brought]])),
        "groups": draw(st.lists(st.sampled_from([f"g{group}" for group in range(groups)]), min_size=1, unique=True)),
        "in_window": "in-window",
        "profile": draw(st.sampled_from([None, "shape"])),
    }
