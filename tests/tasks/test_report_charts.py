"""Charts of the report: what they show of odd data, and that nothing rests on colour alone."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import HOSTILE, usual_report

from catalog.reading import Catalogue
from tasks.report.charts import draw_heat_map, draw_panels
from tasks.report.svg import COLOURS, Canvas, Scale, in_itself


@pytest.fixture(scope="module")
def report(template: Catalogue) -> dict[str, Any]:
    return usual_report(template.programme)


def panel(report: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in [*report["by_component"], *report["behaviour"]] if each["panel"] == kind)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_the_heat_map_tells_verdicts_by_sign_and_count(report: dict[str, Any]) -> None:
    drawn = draw_heat_map(report["heat_map"])
    rows = {tuple(row[:2]): row[2:] for row in report["heat_map"]["rows"]}
    assert rows["storefront", "load"][0] == "not proved"
    assert rows["orders", "load"][0] == "proved"
    assert {"storefront", "orders", "load", "stress", "soak"} <= set(texts(drawn))
    assert drawn.count('class="ib"') == 1
    assert drawn.count('class="ig"') == len(rows) - 1
    proved, observations = rows["storefront", "load"][1:3]
    assert f"{proved} of {observations}" in texts(drawn)


def test_the_knee_stands_with_its_interval(report: dict[str, Any]) -> None:
    (drawn,) = draw_panels([panel(report, "steps")])
    assert any(text.startswith("knee 2 times (") for text in texts(drawn))
    assert drawn.count('class="px"') - 1 == 2  # steps that were not carried, and the legend's
    assert 'class="w"' in drawn


def test_memory_that_grows_meets_its_limit(report: dict[str, Any]) -> None:
    soak = panel(report, "trend")
    assert soak["crossing"]["value"] > 0
    (drawn,) = draw_panels([soak])
    assert any(text.startswith("crosses the limit after") for text in texts(drawn))
    (steady,) = draw_panels([{**soak, "crossing": None}])
    assert "growth cannot be told from none" in texts(steady)


def test_what_was_taken_up_is_held_against_the_target(report: dict[str, Any]) -> None:
    achieved = panel(report, "achieved")
    assert achieved["series"]["columns"] == ["test", "target", "taken_up", "answered"]
    assert [row[1:] for row in achieved["series"]["rows"]] == [
        [1_200, 1_200, 1_180]
    ] * 2  # load and soak; stress has none
    curve = panel(report, "curve")
    assert {"0", "50", "90", "99", "99.9"} <= set(texts(draw_panels([curve])[0]))


def test_lines_break_where_nothing_is_known(report: dict[str, Any]) -> None:
    course = panel(report, "course")
    place = course["series"]["columns"].index("p50")
    rows = [[None if place == column and 10 <= number < 20 else value for column, value in enumerate(row)]
            for number, row in enumerate(course["series"]["rows"])]  # fmt: skip
    whole, broken = (draw_panels([{**course, "series": {**course["series"], "rows": each}}])[0]
                     for each in (course["series"]["rows"], rows))  # fmt: skip
    assert broken.count('<path class="a"') == whole.count('<path class="a"') + 1


@pytest.mark.parametrize("text", HOSTILE[:7])
def test_a_hostile_name_does_not_leave_its_chart(report: dict[str, Any], text: str) -> None:
    figure = report["heat_map"]
    rows = [[text, *row[1:]] for row in figure["rows"]]
    drawn = draw_heat_map({**figure, "rows": rows})
    assert set(re.findall(r"</?(\w+)", drawn)) == {"svg", "g", "text", "path"}


def test_colours_can_be_told_apart_on_their_ground() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for place, ground in ((0, "#ffffff"), (1, "#12181e")):
        for name in ("ink", "muted", "strong", "other", "third", "fourth", "limit"):
            assert contrast(COLOURS[name][place], ground) >= 4.5, (name, ground)
        for name in ("good", "bad", "open"):
            assert contrast(COLOURS[name][place], COLOURS[f"{name}soft"][place]) >= 4.5, name


def test_a_chart_on_paper_brings_its_looks_along() -> None:
    canvas = Canvas(10)
    canvas.text(1, 1, "a < b")
    alone = in_itself(canvas.svg(10))
    assert "var(" not in alone
    assert "a &lt; b" in alone
    assert f"fill:{COLOURS['muted'][0]}" in alone


@settings(derandomize=True, deadline=None)
@given(
    st.floats(min_value=0, max_value=1e12), st.floats(min_value=1e-3, max_value=1e12), st.booleans(), st.integers(1, 12)
)
def test_ticks_are_round_few_and_inside(low: float, length: float, log: bool, most: int) -> None:
    scale = Scale(low=low + (1 if log else 0), high=low + length + (2 if log else 0), start=0, end=100, log=log)
    ticks = scale.ticks(most)
    slack = (scale.high - scale.low) * 1e-6
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)
    assert len(ticks) <= 2 * most + 3
    assert ticks == sorted(ticks)
    assert all(0 <= scale(tick) <= 100 for tick in ticks)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), min_size=1, max_size=60))
def test_a_path_ends_where_its_last_place_is(places: list[tuple[float, float]]) -> None:
    canvas = Canvas(900)
    canvas.line(places, "a")
    drawn = re.search(r' d="([^"]*)"', canvas.svg(900))
    assert drawn is not None
    x = y = 0.0
    for command, numbers in re.findall(r"([Mlhv])([^Mlhv]*)", drawn[1]):
        values = [float(each) for each in re.findall(r"-?[0-9.]+", numbers)]
        match command:
            case "M":
                x, y = values
            case "h":
                x += values[0]
            case "v":
                y += values[0]
            case _:
                x, y = x + values[0], y + values[1]
    assert abs(x - places[-1][0]) <= 0.251
    assert abs(y - places[-1][1]) <= 0.251
