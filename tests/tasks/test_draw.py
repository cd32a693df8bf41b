"""What arrivals are drawn with: exact coins and binomials, golden steps, bursts and parts that stand by themselves."""

from fractions import Fraction
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.draw.devices import Dealer, shortest_reuse_us
from tasks.draw.due import LEAF, Part, burst_counts, leaves, steps_of
from tasks.draw.estate import slices
from tasks.draw.rotation import discrepancy, golden_step
from tasks.draw.words import SPAN, below, binomials, heads, source

quick = settings(derandomize=True, deadline=None, max_examples=50)
column = st.lists(st.integers(0, 300), min_size=1, max_size=20).map(lambda values: np.array(values, dtype=np.int64))


def test_words_belong_to_a_seed_and_a_place():
    """The first word of PCG64 seeded by SeedSequence(7, spawn_key=(0, 1)), which numpy promises to keep."""
    drawn = {place: int(source(7, *place).random_raw(1)[0]) for place in [(0, 1), (0, 2), (1,), (2,)]}
    assert len(set(drawn.values())) == 4
    assert drawn[0, 1] == int(source(7, 0, 1).random_raw(1)[0]) != int(source(8, 0, 1).random_raw(1)[0])


@quick
@given(words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), bound=st.integers(1, SPAN))
def test_a_number_below_a_bound_is_the_words_share_of_it(words, bound):
    drawn = np.array(words, dtype=np.uint64)
    exact = [word * bound >> 64 for word in words]
    assert below(drawn.copy(), bound).tolist() == exact
    assert below(drawn, np.full(len(words), bound)).tolist() == exact


@quick
@given(counts=column, seed=st.integers(0, 2**32))
def test_heads_are_the_ones_among_as_many_bits(counts, seed):
    words = source(seed, 0).random_raw(int((-(-counts // 64)).sum())).tolist()
    expected = []
    for count in counts.tolist():
        whole, rest = divmod(count, 64)
        used = [words.pop(0) for _ in range(whole)] + ([words.pop(0) % 2**rest] if rest else [])
        expected.append(sum(word.bit_count() for word in used))
    assert heads(source(seed, 0), counts).tolist() == expected


def test_heads_of_more_coins_than_are_held_at_once_go_on_where_they_stopped():
    counts = np.array([5, 20_000_001, 0, 9_999_999], dtype=np.int64)
    found = heads(source(3, 0), counts)
    assert found[0] <= 5
    assert found[2] == 0
    for place in (1, 3):
        assert abs(found[place] - counts[place] / 2) < 5 * np.sqrt(counts[place] / 4)


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(1, 3), Fraction(5, 7), Fraction(1, 1000)])
def test_binomials_are_binomial(share):
    drawn = binomials(source(1, 0), np.full(20_000, 12, dtype=np.int64), share.numerator, share.denominator)
    expected = stats.binom.pmf(np.arange(13), 12, float(share)) * len(drawn)
    seen = np.bincount(drawn, minlength=13)
    often = expected >= 5
    pooled = [*seen[often], seen[~often].sum()], [*expected[often], expected[~often].sum()]
    assert stats.chisquare(*pooled).pvalue > 0.01


@quick
@given(counts=column, numerator=st.integers(0, 999), seed=st.integers(0, 2**32))
def test_no_more_happen_than_there_are_and_none_without_a_chance(counts, numerator, seed):
    drawn = binomials(source(seed, 0), counts, numerator, 1000)
    assert ((drawn >= 0) & (drawn <= counts)).all()
    assert numerator or not drawn.any()


@quick
@given(size=st.integers(1, 5000), start=st.integers(0, 2**40))
def test_golden_steps_visit_every_number_once(size, start):
    step = golden_step(size)
    assert gcd(step, size) == 1
    walk = steps_of(np.arange(size, dtype=np.int64), step, start, size)
    assert walk[0] == start % size
    assert np.array_equal(np.sort(walk), np.arange(size))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(size=st.integers(1, 10**6), data=st.data())
def test_consecutive_golden_steps_fall_evenly_into_every_stretch(size, data):
    begin, end = sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size))))
    taken = data.draw(st.integers(0, min(size, 20_000)))
    walk = steps_of(np.arange(taken, dtype=np.int64), golden_step(size), data.draw(st.integers(0, size)), size)
    inside = int(((walk >= begin) & (walk < end)).sum())
    assert abs(inside - Fraction(taken * (end - begin), size)) <= discrepancy(size)


def test_the_steps_of_large_circles_stay_even():
    assert all(discrepancy(size) < 200 for size in (10**6, 71_283_456, 10**9, 2**31, 999_999_937))


@quick
@given(messages=st.integers(0, 10**7), dispersion=st.fractions(1, 50, max_denominator=100))
def test_bursts_hold_every_message_and_have_the_dispersion(messages, dispersion):
    bursts = burst_counts(messages, dispersion)
    assert sum(size * count for size, count in bursts) == messages
    assert max(size for size, count in bursts if count or size) <= int(dispersion) + 1
    if messages >= 10**4:
        squared = sum(size * size * count for size, count in bursts)
        assert abs(Fraction(squared, messages) - dispersion) <= Fraction(60 * 60, messages)


def test_a_part_can_be_drawn_without_the_others():
    """Down from the whole along the bits of a leaf's number, its counts are found again."""
    whole = Part(number=1, start=0, stop=10**9, counts=np.array([200_000, 7, 0], dtype=np.int64))
    found = list(leaves(5, whole, lambda part: part.counts.sum() <= LEAF))
    assert sum(part.counts for part in found).tolist() == [200_000, 7, 0]
    assert [part.start for part in found[1:]] == [part.stop for part in found[:-1]]
    for leaf in found:
        part = whole
        for bit in bin(leaf.number)[3:]:
            part = part.halves(5)[int(bit)]
        assert (part.start, part.stop, part.counts.tolist()) == (leaf.start, leaf.stop, leaf.counts.tolist())


needs = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 10**6), st.integers(1, 1000)), min_size=1
)  # fmt: skip


@quick
@given(needs=needs, estate=st.integers(6, 10**6))
def test_slices_of_the_estate_do_not_overlap_and_hold_what_is_needed_where_they_can(needs, estate):
    messages = {path: count for path, (count, _) in needs.items()}
    needed = {path: need for path, (_, need) in needs.items()}
    cut = slices(messages, needed, estate)
    assert list(cut) == list(needs)
    assert [number for own in cut.values() for number in (own.start, own.stop)][1:-1] == [
        number for own in list(cut.values())[1:] for number in (own.start, own.start)
    ]
    assert next(iter(cut.values())).start == 0
    assert list(cut.values())[-1].stop == estate
    assert all(len(own) >= (needed[path] if sum(needed.values()) <= estate else 1) for path, own in cut.items())


def test_each_path_is_dealt_its_own_devices_in_turn():
    """Two paths of 3 and 2 devices: each sees all of its own before one comes again, whatever the batches."""
    labels = np.array([0, 1, 2, 0, 0, 1, 2, 1, 0, 2], dtype=np.int64)
    at_once = Dealer([0, 0, 1], [range(3), range(3, 5)], seed=4).deal(labels)
    dealer = Dealer([0, 0, 1], [range(3), range(3, 5)], seed=4)
    assert at_once.tolist() == [device for piece in np.split(labels, [1, 4]) for device in dealer.deal(piece).tolist()]
    first, second = at_once[labels < 2].tolist(), at_once[labels == 2].tolist()
    assert set(first[:3]) == set(first[3:6]) == {0, 1, 2}
    assert first[:4] == first[3:]
    assert set(second[:2]) == {3, 4}
    assert second[2] == second[0]


def test_the_shortest_reuse_is_found_within_and_across_batches():
    def found(*batches):
        return shortest_reuse_us([(np.array(at), np.array(device)) for at, device in batches], 5)

    assert found(([0, 5, 9], [0, 1, 2])) is None
    assert found(([0, 5, 9], [0, 1, 0])) == 9
    assert found(([0, 5, 9], [0, 1, 0]), ([11, 20], [1, 3])) == 6
    assert found(([0, 1], [0, 0]), ([2, 2], [1, 1])) == 0
    assert found() is None
