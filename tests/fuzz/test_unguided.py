"""The unguided fuzzer finds what raises and what hangs, keeps it, and counts; the same seed gives the same inputs."""

import random
from pathlib import Path

import pytest
from unguided import Bounds, mutated, run

BOUNDS = Bounds(seconds=1, megabytes=64, longest=100)


def raises(data: bytes) -> None:
    if b"\0" in data:
        raise ValueError("a zero")


def hangs(data: bytes) -> None:
    while b"\0" in data:
        pass


def takes(data: bytes) -> None:
    if b"\0" in data:
        bytearray(b"1" * (100 << 20))


@pytest.mark.parametrize("target", [raises, hangs, takes])
def test_what_breaks_a_target_is_kept(target, tmp_path: Path) -> None:
    inputs, broke = run(target, [b"abc", b"defg"], "1", 20, BOUNDS, tmp_path / "broken")
    (kept,) = (tmp_path / "broken").iterdir()
    assert (inputs > 0, broke, b"\0" in kept.read_bytes()) == (True, 1, True)


def test_what_breaks_nothing_leaves_nothing(tmp_path: Path) -> None:
    inputs, broke = run(len, [b"abc"], "1", 0.05, BOUNDS, tmp_path / "broken")
    assert (inputs > 10, broke) == (True, 0)
    assert not (tmp_path / "broken").exists()


def test_a_seed_gives_the_same_inputs_and_none_is_too_long() -> None:
    one, other = (
        [mutated(random.Random(seed), [b"a" * 90, b"b"], 100) for seed in range(200)]  # noqa: S311 - inputs
        for _ in range(2)
    )
    assert one == other
    assert max(map(len, one)) <= 100
    assert len(set(one)) > 150
