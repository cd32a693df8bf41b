"""Tables on paper: they fill their width, no word of theirs is cut, and sentences have the room."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.report.paper_tables import GAP, SIZES, laid_out

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,%/", min_size=1, max_size=14)
SENTENCE = st.lists(WORD, min_size=1, max_size=40).map(" ".join)
WIDEST = 0.991
"""The widest letter, as a share of the size of the type."""


def table(head: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> dict[str, Any]:
    def cells(texts: list[str]) -> list[dict[str, Any]]:
        return [
            {"runs": [{"text": text, "looks": [], "to": ""}], "number": place in numbers, "header": not place, "id": ""}
            for place, text in enumerate(texts)
        ]

    return {"kind": "table", "look": "", "head": cells(head), "rows": [cells(row) for row in rows]}


@given(
    st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(SENTENCE, min_size=n, max_size=n), min_size=1, max_size=6))
)
def test_a_table_fills_its_width_and_no_column_is_nothing(rows: list[list[str]]) -> None:
    layout = laid_out(table(rows[0], rows), 498.0)
    assert layout.size in SIZES
    assert abs(sum(layout.widths) - 498.0) <= 0.1 * len(layout.widths)
    assert min(layout.widths) > GAP


@given(st.lists(st.tuples(WORD, SENTENCE, SENTENCE), min_size=1, max_size=6))
def test_no_word_is_cut(rows: list[tuple[str, str, str]]) -> None:
    told = [list(row) for row in rows]
    layout = laid_out(table(["What", "Why", "How"], told), 498.0)
    for place, width in enumerate(layout.widths):
        narrow = [word for row in told for word in row[place].split() if set(word) <= set("ijl.,")]
        assert all(0.2 * layout.size * len(word) <= width - GAP + 0.1 for word in narrow)
        longest = max((sum(_least(each) for each in word) for row in told for word in row[place].split()), default=0)
        assert longest * layout.size / 1_000 <= width - GAP + 0.1


def _least(character: str) -> int:
    """What any character takes at least, in thousandths of the size."""
    return 600 if character.isupper() and character not in "IJLTZ" else 200


def test_a_digest_has_its_line_and_its_neighbour_is_not_written_over() -> None:
    digest = "9f" * 32
    layout = laid_out(table(["SHA-256", "What it is"], [[digest, "infrastructure of ioc/ioc.dsp.load/1"]] * 3), 498.0)
    assert layout.widths[0] >= 0.4 * layout.size * len(digest)
    assert layout.widths[1] >= 100


def test_sentences_have_more_room_than_words_and_numbers() -> None:
    row = ["Messages a day", "1.54", "unverified", "Derived from figures of one month, as they were told. " * 6]
    layout = laid_out(table(["Assumption", "Value", "Standing", "Source"], [row] * 4, (1,)), 498.0)
    assert layout.widths[3] > sum(layout.widths[:3])
    assert layout.widths[1] < 60


def test_numbers_are_whole_lines_and_heads_may_take_two() -> None:
    row = ["orders", "99.7162 % to 100 %", "at most 512 MiB"]
    layout = laid_out(table(["Component", "Interval of the share that was answered", "Limit"], [row], (1, 2)), 300.0)
    assert layout.widths[1] >= 0.45 * layout.size * len(row[1])
    assert layout.size == SIZES[0]


def test_what_fits_at_no_size_is_shared_out_by_need() -> None:
    rows = [["w" * 400, "short"]]
    layout = laid_out(table(["a", "b"], rows), 498.0)
    assert layout.size == SIZES[-1]
    assert layout.widths[0] > 10 * layout.widths[1] > 0


def test_a_table_without_rows_has_its_head() -> None:
    assert len(laid_out(table(["one", "two"], []), 498.0).widths) == 2
