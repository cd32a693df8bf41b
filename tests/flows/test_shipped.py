"""The shipped programme: IOC proved from an empty workspace, and MOC resting on it."""

from dataclasses import replace

import pytest
from phases import Bench

from catalog.verification import verify
from flows.cli import CATALOG

pytestmark = pytest.mark.end_to_end


def test_ioc_is_proved_and_moc_relies_on_what_the_rule_allows(
    tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]
) -> None:
    bench = Bench(catalog=CATALOG, home=tmp_path_factory.mktemp("shipped") / "home", environ=surroundings)
    asked = ("run", "ioc", "--json", "--tests", "ioc.dsp.*,*.load,*.negative-path")
    first = bench.run(*asked)
    assert first.status == 1, first.stderr + first.stdout  # the others are not run, and said to be
    assert first.answer["executed"] == 11  # all seven types of the DSP, the load of the others
    assert first.answer["ends"] == {"executed": 11, "not run": 9}
    assert not {count for name, count in first.answer["verdicts"].items() if name != "proved" and count}

    nowhere = {"PREFECT_HOME": "/nonexistent", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    unreachable = replace(bench, environ={**bench.environ, **nowhere})
    assert unreachable.run(*asked).answer["executed"] == 0

    planned = {test["test"]: test["decision"] for test in bench.ask("plan", "moc", "--json").answer["tests"]}
    second = bench.run("run", "moc", "--json", "--types", "load")
    assert second.status == 1, second.stderr + second.stdout  # stress and soak are not run, and said to be
    assert (second.answer["executed"], second.answer["relied"]) == (2, 3)
    assert not {count for name, count in second.answer["verdicts"].items() if name != "proved" and count}
    assert {test for test, decision in planned.items() if decision == "execute"} == {
        f"moc.{component}.{name}"
        for component in ("s1sp-moc-mds", "s1sp-moc-secure")
        for name in ("load", "stress", "soak", "catch-up", "negative-path")
    } | {f"moc.{component}.{name}" for component in ("dco", "cp") for name in ("stress", "soak", "catch-up")} | {
        "moc.dsp.regression"
    }
    outcome = verify(bench.home)
    assert outcome.ok, outcome.faults
