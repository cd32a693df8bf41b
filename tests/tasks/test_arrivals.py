from collections import Counter
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.arrivals import Arrivals, generate_arrivals, messages_to_offer, seed_for

targets = st.dictionaries(st.sampled_from([f"path|{n}|request" for n in range(20)]), st.integers(0, 10**9), min_size=1)


@settings(derandomize=True, deadline=None)
@given(target=targets, per_mille=st.integers(1, 5000), seconds=st.integers(1, 100))
def test_the_total_offered_is_the_target_scaled_and_the_mix_is_kept(
    target: dict[str, int], per_mille: int, seconds: int
) -> None:
    if not any(target.values()):
        target = {**target, "path|x|request": 1}
    scale = Fraction(per_mille, 1000) * Fraction(seconds, 28_800)
    offered = messages_to_offer(
        target, target_us=28_800_000_000, rate=Fraction(per_mille, 1000), offered_us=seconds * 10**6
    )
    assert sum(offered.values()) == round(sum(target.values()) * scale)
    assert all(abs(offered[label] - target[label] * scale) <= 2 for label in target)


def counted(arrivals: Arrivals) -> Counter[str]:
    return Counter(arrivals.labels[label] for label in arrivals.label)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    messages=st.dictionaries(st.sampled_from(["a|1|request", "b|2|alert", "c|3|request"]), st.integers(0, 300)),
    seed=st.integers(0, 2**32),
)
def test_arrivals_hold_every_message_once_in_order_and_inside_the_window(messages: dict[str, int], seed: int) -> None:
    arrivals = generate_arrivals(messages, window_us=1_000_000, seed=seed)
    assert counted(arrivals) == Counter({label: count for label, count in messages.items() if count})
    assert np.all(np.diff(arrivals.offset_us) >= 0)
    assert len(arrivals) == 0 or (arrivals.offset_us[0] >= 0 and arrivals.offset_us[-1] < 1_000_000)


def test_the_same_seed_gives_the_same_arrivals_and_another_seed_others() -> None:
    first, again, other = (generate_arrivals({"a|1|request": 500}, window_us=10**6, seed=seed) for seed in (7, 7, 8))
    assert first.offset_us.tolist() == again.offset_us.tolist()
    assert first.offset_us.tolist() != other.offset_us.tolist()


def test_golden_first_offsets() -> None:
    """Fails when the generator changes: raise the version of its rules."""
    arrivals = generate_arrivals({"a|1|request": 3, "b|2|alert": 2}, window_us=10**6, seed=42)
    assert [arrivals.offset_us.tolist(), arrivals.label.tolist(), arrivals.device.tolist()] == GOLDEN


def test_gaps_are_as_irregular_as_poisson_traffic() -> None:
    """The index of dispersion of counts over 100 equal stretches is near 1; evenly spaced traffic would give 0."""
    arrivals = generate_arrivals({"a|1|request": 20_000}, window_us=10**8, seed=3)
    counts = np.bincount(arrivals.offset_us // 10**6, minlength=100)
    assert 0.6 < counts.var() / counts.mean() < 1.5


def test_seeds_depend_on_every_part() -> None:
    assert len({seed_for("dsp", "load"), seed_for("dsp", "soak"), seed_for("dsp", "load", 1)}) == 3


GOLDEN = [[89250, 433015, 438878, 654571, 773956], [0, 0, 1, 1, 0], [8585979, 5132265, 1281136, 8397482, 4503859]]
