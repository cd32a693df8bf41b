"""End-to-end inference: routes follow declarations, and bounds hold what a real run along the whole path shows."""

import numpy as np
import pytest
from evidence import results, write

from catalog.declarations import RoundTrip
from expectations.verdicts import LATER
from tasks.compose import Leg, compose_paths, routes_of
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_system
from tasks.inject.files import Outcome
from tasks.inject.injector import Load, OwnInjector, Target


@pytest.fixture
def legs(tmp_path):
    """Legs of components with these latencies on the path `bau`, each in a file of its own."""

    def of(**latencies):
        found = {}
        for name, values in latencies.items():
            rows = results(len(values), latency_us=np.asarray(values), run=name)
            found[name] = Leg(component=name, run=name, results=write(tmp_path, "results", rows))
        return found

    return of


def way(template, components, **changes):
    """A route along a path named `bau`."""
    (route, *_) = [each for each in routes_of(template.programme, "launch", ["orders"]) if "orders" in each.components]
    path = route.path.model_copy(update={"id": "bau", "round_trip": None, **changes})
    return type(route)(path=path, components=tuple(components))


def test_routes_are_the_ways_that_messages_take(template, smets1):
    routes = [
        (each.path.id, each.components) for each in routes_of(template.programme, "launch", ["storefront", "orders"])
    ]
    assert routes == [("browse", ("storefront",)), ("purchase", ("storefront", "orders", "payments"))]
    assert [each[0] for each in routes if "orders" in each[1]] == [
        each.path.id for each in routes_of(template.programme, "launch", ["orders"])
    ]
    ways = routes_of(smets1.programme, "ioc", ["dsp", "dco"])
    assert len({(each.path.id, each.components) for each in ways}) == len(ways)
    assert {each.path.id for each in ways} >= {"smets1-bau", "smets1-critical"}
    assert all({"dsp", "dco"} & set(each.components) for each in ways)
    assert not [each for each in ways if "s1sp-foc" in each.components]  # not in service yet
    assert [each for each in routes_of(smets1.programme, "foc", ["dsp"]) if "s1sp-ioc" in each.components]


def test_constant_latencies_add_up_and_what_was_not_tested_is_named(template, legs):
    (found,) = compose_paths([way(template, ["a", "b", "c"])], legs(a=[10_000] * 40, b=[30_000] * 60))
    assert found["components"] == [
        {"component": "a", "run": "a", "messages": 40},
        {"component": "b", "run": "b", "messages": 60},
        {"component": "c", "run": "", "messages": 0},
    ]
    for each in found["percentiles"]:
        assert (each["lower_us"], each["independent_us"], each["upper_us"]) == (40_000, 40_000, 40_000)
    assert "round_trip" not in found


def test_failures_are_answers_that_never_came(template, legs, tmp_path):
    rows = results(100, latency_us=np.full(100, 5_000), run="a", outcome=["ok"] * 90 + ["timeout"] * 10)
    failing = {"a": Leg(component="a", run="a", results=write(tmp_path, "results", rows))}
    (found,) = compose_paths([way(template, ["a"])], failing)
    assert [each["upper_us"] for each in found["percentiles"]] == [5_000, LATER, LATER]


def test_a_path_without_a_run_is_not_inferred(template, legs):
    assert compose_paths([way(template, ["c"])], legs(a=[1_000] * 40)) == []
    other = way(template, ["a"], id="another")
    assert compose_paths([other], legs(a=[1_000] * 40)) == []


@pytest.mark.parametrize(("within", "verdict"), [(75_000, "proved"), (45_000, "inconclusive"), (30_000, "not proved")])
def test_the_upper_bound_decides_and_the_lower_refutes(template, legs, within, verdict):
    """Half of either component's messages take 10 ms, half 30 ms: together 20 to 60 ms, 95 of 100 within 40 to 60."""
    half = [10_000] * 50 + [30_000] * 50
    trip = RoundTrip(within=within, share="95 %", standing="proposed", source="a test")
    (found,) = compose_paths([way(template, ["a", "b"], round_trip=trip)], legs(a=half, b=half))
    assert found["round_trip"]["verdict"] == verdict
    assert (found["round_trip"]["lower_us"], found["round_trip"]["upper_us"]) == (40_000, 60_000)
    (partly,) = compose_paths([way(template, ["a", "b", "c"], round_trip=trip)], legs(a=half, b=half))
    assert partly["round_trip"]["verdict"] == ("not proved" if verdict == "not proved" else "inconclusive")


def offered_along(url, count=400):
    """Latencies of messages offered at `url`, evenly over two seconds."""
    load = Load.of(
        offset_us=np.arange(count) * 5_000,
        path=["bau"] * count,
        srv=["s0"] * count,
        kind=["request"] * count,
        device=[f"{number:016x}" for number in range(count)],
    )
    columns = OwnInjector().run(load, Target(urls={"bau": url}, codec="plain", connections=8)).columns
    assert set(columns["outcome"].tolist()) == {Outcome.OK}
    return (columns["done_us"] - columns["intended_us"]).tolist()


def test_a_real_run_along_the_whole_path_lies_between_the_bounds(template, legs):
    """Two components with spread service times, tested apart with stand-ins, and then as a chain."""
    spread = {"service_distribution": "exponential", "service_us": 4_000, "workers": 8, "codec": "plain"}
    codec = {"bau": "plain"}
    front = ComponentSpec(component="front", seed=1, routes={"bau": "back"}, next_codec=codec, **spread)
    back = ComponentSpec(component="back", seed=2, routes={"bau": None}, **spread)
    stand_in = ComponentSpec(component="back", routes={"bau": None})
    with start_system([front, stand_in]) as alone:
        first = offered_along(alone["front"].url)
    with start_system([back]) as alone:
        second = offered_along(alone["back"].url)
    with start_system([front, back]) as whole:
        together = sorted(offered_along(whole["front"].url))
    (found,) = compose_paths([way(template, ["front", "back"])], legs(front=first, back=second))
    for each in found["percentiles"]:
        real = together[-(-each["permille"] * len(together) // 1000) - 1]
        assert each["lower_us"] * 0.8 <= real <= each["upper_us"] * 1.2  # each of three runs has its own chance
