"""The harness of the benchmarks, and that what is said of speed is measured."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import claims
from benchmarks.claims import CLAIMS, Claim, Goal, Setting, sqlite_append
from benchmarks.peers import Peers
from benchmarks.racing import OWN, NoPeerError, Side, Taken, race, ratios, run_side, told
from benchmarks.telling import page, table, told_of

ROOT = Path(__file__).parents[1]
SPEED = re.compile(r"\b(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|half)\s+(?:a\s+)?"
                   r"(?:s|ms|seconds?|minutes?|times|per cent|% of (?:the )?time)\b")  # fmt: skip


def taken(*seconds: float) -> list[Taken]:
    return [Taken(clock=each, processors=each / 2) for each in seconds]


def test_a_side_tells_what_the_kernel_counted():
    found = run_side(Side(command=[sys.executable, "-c", "sum(range(10**6))"]))
    assert found.clock > 0
    assert found.processors > 0


def test_a_side_that_ends_as_it_must_not_stops_the_benchmark_with_what_it_said():
    side = Side(command=[sys.executable, "-c", "import sys; print('no such file'); sys.exit(3)"])
    with pytest.raises(SystemExit, match=r"ended with 3:\s+no such file"):
        run_side(side)
    assert run_side(Side(command=side.command, ends=frozenset({3}))).clock > 0


def test_sides_take_turns_after_a_round_that_is_not_counted(tmp_path):
    def side(letter: str) -> Side:
        return Side(command=["sh", "-c", f"cat >> {tmp_path}/order"], stdin=letter.encode())

    found = race({OWN: side("a"), "other": side("b")}, 3)
    assert (tmp_path / "order").read_text() == "ab" + "ab" * 3
    assert {name: len(rounds) for name, rounds in found.items()} == {OWN: 3, "other": 3}


def test_a_script_tells_of_all_sides_after_whatever_else_it_prints():
    script = ["-c", "print('warming up'); print('{\"a\": 2, \"b\": 4}')"]
    found = told(script, 2, lambda told: {OWN: Taken(clock=told["a"]), "b": Taken(clock=told["b"])})
    assert ratios(found, "b", "clock") == (0.5, 0.5, 0.5)
    assert ratios(found, "b", "processors") is None


def test_a_ratio_is_of_the_same_round_with_its_spread():
    found = {OWN: taken(1, 3, 4), "other": taken(2, 2, 2)}
    assert ratios(found, "other", "clock") == (1.5, 0.5, 2)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None),
        (Goal(most=3, what="clock"), True),
        (Goal(most=2.9, what="clock"), False),
        (Goal(most=1.4, peer="other"), False),
        (Goal(most=1.5, peer="other"), True),
        (Goal(most=1.5, peer="absent"), None),
    ],
)
def test_a_goal_is_met_by_the_median_or_cannot_be_told(goal, met):
    claim = Claim(says="Something is fast.", measure=lambda _setting: {}, goal=goal)
    found = told_of(claim, {OWN: taken(1, 3, 4), "other": taken(2, 2, 2)}, ["x is not installed"])
    assert found["met"] is met
    shown = table("something", found)
    assert "ours 1.50 times (0.50 to 2.00) by the clock" in shown
    assert "not compared: x is not installed" in shown
    assert ("asked:" in shown) == (goal is not None)


def test_memory_is_compared_where_a_goal_is_about_it():
    claim = Claim(says="It is flat.", measure=lambda _setting: {}, goal=Goal(most=1.1, peer="early", what="memory"))
    found = told_of(claim, {OWN: [Taken(clock=1, memory=105)], "early": [Taken(clock=1, memory=100)]}, [])
    assert found["met"] is True
    assert "asked: at most 1.1 times early of memory: met" in table("flat", found)


def test_orchestration_is_run_once_for_both_of_its_claims(tmp_path, monkeypatch):
    """The overhead is the server's, and memory at the end is held against memory after a tenth."""
    asked = []

    def script(words, rounds, pick):
        asked.append((words, rounds))
        return {name: [taken] for name, taken in pick(ORCHESTRATED).items()}

    monkeypatch.setattr(claims, "told", script)
    monkeypatch.setattr(claims, "_conducted", {})
    setting = Setting(folder=tmp_path, rounds=3, peers=Peers(), missing=[], short=True)
    over, memory = (CLAIMS[name].measure(setting) for name in ("orchestration", "orchestration-memory"))
    assert asked == [(["-m", "benchmarks.orchestration", "20"], 1)]
    assert over[OWN] == [Taken(clock=0.12, processors=0.1)]
    assert ratios(memory, claims.TENTH, "memory") == (1.05, 1.05, 1.05)


ORCHESTRATED = {
    "overhead_a_test": {"server": 0.12, "own": 0.09}, "overhead_cpu_a_test": {"server": 0.1, "own": 0.08},
    "seconds_a_test": {"server": 0.5}, "memory_kb": {"server": [200 * 1024, 210 * 1024]},
}  # fmt: skip


def test_two_shards_are_compared_with_one_and_throughput_needs_cores(tmp_path, monkeypatch):
    one, two = {"cpu_us": 60.0, "per_second": 1000.0}, {"cpu_us": 63.0, "per_second": 1900.0}
    measured = {"cores": 2, "same rate a shard": {"one shard": one, "two shards": two}}
    monkeypatch.setattr(claims, "told", lambda _, __, pick: {name: [each] for name, each in pick(measured).items()})
    setting = Setting(folder=tmp_path, rounds=1, peers=Peers(), missing=[])
    assert ratios(CLAIMS["shards"].measure(setting), "one shard", "processors") == (1.05, 1.05, 1.05)
    with pytest.raises(NoPeerError, match="2 cores are too few"):
        CLAIMS["shards-throughput"].measure(setting)
    measured["all that it can"] = measured["same rate a shard"]
    found = told_of(CLAIMS["shards-throughput"], CLAIMS["shards-throughput"].measure(setting), [])
    assert found["met"] is True


def test_a_peer_that_is_not_there_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoPeerError, match="--install"):
        Peers(tmp_path).program("dvc")
    with pytest.raises(NoPeerError, match="package manager"):
        Peers().program("wrk")


def test_sqlite_is_timed_and_leaves_nothing(tmp_path):
    assert sqlite_append(tmp_path, 200) > 0
    assert not list(tmp_path.iterdir())


def test_the_command_lists_claims_and_refuses_what_it_does_not_know():
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmarks", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    listed = run("--list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(CLAIMS)
    refused = run("fastest")
    assert refused.returncode == 2
    assert "no claim is named fastest; there are help, phase" in refused.stderr


def test_the_page_is_of_the_last_figures_and_of_every_claim():
    known = json.loads((ROOT / "benchmarks" / "last.json").read_text())
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(known)
    assert list(known) == [name for name in CLAIMS if name in known]  # the page says which were not measured
    assert {name: found["says"] for name, found in known.items()} == {name: CLAIMS[name].says for name in known}


def test_each_claim_of_speed_in_the_readme_has_its_benchmark():
    text = (ROOT / "README.md").read_text()
    claims = [each for each in re.split(r"\n\s*\n|\n- ", text) if SPEED.search(each)]
    assert claims
    for each in claims:
        named = re.findall(r"docs/benchmarks\.md#([a-z-]+)", each)
        assert named, f"says how fast something is, and names no benchmark: {each}"
        assert set(named) <= set(CLAIMS)
