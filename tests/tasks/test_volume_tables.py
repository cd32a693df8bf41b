"""The model's tables, their forms, and what changed between two models."""

import csv
import io
import json
from collections import Counter
from fractions import Fraction

import duckdb
import pytest

from catalog import rules
from catalog.canonical import canonical, digest
from catalog.decimals import decimal_text
from tasks.volumes.compare import Side, compare
from tasks.volumes.export import export, files
from tasks.volumes.figures import figure_tables
from tasks.volumes.model import OFFERED, model_phase, periods_in_window, target_volumes
from tasks.volumes.sheets import Column, cell_text, csv_text, markdown, sheets
from tasks.volumes.tables import levels_tested, tabulate


@pytest.fixture(scope="module")
def foc(smets1):
    return model_phase(smets1.programme, "foc")


@pytest.fixture(scope="module")
def model(smets1, foc):
    levels = levels_tested(smets1.programme, "foc", {"foc": foc.rows})
    return tabulate(smets1.programme, foc, levels)


def test_the_document_holds_nothing_that_a_machine_could_round(model):
    canonical(model)  # refuses floats, and every type that is no JSON


def test_a1_has_every_cohort_and_says_what_is_not_known(smets1, model):
    rows = {row["cohort"]: row for row in model["a1"]}
    assert list(rows) == [cohort.id for cohort in smets1.programme.volumes.cohorts]
    assert sum(row["meters"] for row in rows.values()) == 29_900_000
    assert rows["smets2"]["devices"] == round(14_800_000 * Fraction("2.57"))
    assert {row["prepayment_meters"] for row in rows.values()} == {"not known"}
    assert sum(row["migrations"] for row in rows.values()) == 50_000


def test_a_known_split_and_thousands_are_counted_in_meters(smets1, edited):
    at = next(place for place, row in enumerate(smets1.programme.forecasts)
              if (row.phase, row.cohort) == ("foc", "smets2"))  # fmt: skip
    changes = [(f"forecasts.{at}.meters", 14_800), (f"forecasts.{at}.prepayment_meters", 1_924),
               (f"forecasts.{at}.unit", "thousand meters")]  # fmt: skip
    programme = edited(smets1.programme, *changes)
    row = next(row for row in tabulate(programme, model_phase(programme, "foc"), {})["a1"] if row["cohort"] == "smets2")
    assert (row["meters"], row["prepayment_meters"]) == (14_800_000, 1_924_000)


def test_a2_counts_each_message_where_it_enters(smets1, model):
    """SMETS1 and SMETS2+ reads are 60 % of 1.54 a meter; the shares of the window add up to all of it."""
    reads = {row["traffic"]: row["day"] for row in model["a2"] if row["group"] == "reads"}
    assert reads == {"BAU SMETS1": 13_952_400, "BAU SMETS2+": 13_675_200}
    assert abs(sum(row["of_window_ppm"] for row in model["a2"]) - 1_000_000) <= len(model["a2"])
    listed = {srv for row in model["a2"] for srv in row["srvs"]}
    assert {"4.14", "11.1", "6.5"} <= listed  # prepayment's daily read, firmware, network operators


def test_a3_adds_up_to_the_rows(smets1, foc, model):
    window = periods_in_window(smets1.programme)
    for name in ("day", "window"):
        counted = Counter()
        for row in model["a3"]:
            counted[row["component"], row["kind"]] += row[name]
        own = Counter()
        for row in foc.rows:
            own[row.component, row.kind] += row.messages if name == "day" or row.period in window else 0
        assert +counted == +own


def test_migration_says_what_fails_and_whether_there_is_capacity_for_it(smets1, edited, model):
    migration = model["migration"]
    assert (migration["planned"], migration["begun"], migration["cap"], migration["spare"]) == (
        50_000, 50_000, "70000", "20000")  # fmt: skip
    assert migration["attempts"] == "52587.5"
    assert migration["again"] == migration["failing"] == "2587.5"
    assert migration["reprocessing_fits"] is True
    failing = [(f"assumptions.validation-failure-share.{name}", "0.5") for name in ("value", "high")]
    programme = edited(smets1.programme, *failing)
    assert tabulate(programme, model_phase(programme, "foc"), {})["migration"]["reprocessing_fits"] is False


def test_peaks_compare_with_what_tests_offer(smets1, foc, model):
    levels = {each["component"]: {level["level"]: level["messages"] for level in each["exceeded"]}
              for each in model["sensitivity"]["components"]}  # fmt: skip
    assert set(levels) == set(smets1.programme.phase("foc").components)
    for component, level in levels.items():
        target = sum(target_volumes(smets1.programme, foc.rows, component).values())
        assert level == {"target volume": target, "required headroom": target * 3 // 2}
    windows = {each["component"]: each["window"] for each in model["peaks"]}
    for component, window in windows.items():
        offered = sum(target_volumes(smets1.programme, foc.rows, component).values())
        assert window == pytest.approx(offered, rel=1e-5)


def test_every_sheet_names_its_rows_and_holds_what_its_columns_say(model):
    made = sheets(model)
    assert [sheet.name for sheet in made] == [
        "a1", "migration-ramp", "migration-steps", "a2", "a3", "peaks", "hours", "catch-up", "sensitivity",
        "exceeded", "backtest",
    ]  # fmt: skip
    for sheet in made:
        keys = [tuple(row[key] for key in sheet.key) for row in sheet.rows]
        assert len(keys) == len(set(keys)), sheet.name
        headings = [column.heading for column in sheet.columns]
        assert len(headings) == len(set(headings)), sheet.name
        assert all(column.key in row for row in sheet.rows for column in sheet.columns), sheet.name


def test_csv_reads_back_as_it_was(model):
    for sheet in sheets(model):
        rows = list(csv.DictReader(io.StringIO(csv_text(sheet), newline="")))
        wanted = [{column.key: row[column.key] for column in sheet.columns} for row in sheet.rows]
        assert rows == [{key: "" if value is None else str(value) for key, value in row.items()} for row in wanted]


def test_markdown_has_a_line_for_each_row(model):
    for sheet in sheets(model):
        lines = [line for line in markdown(sheet).splitlines() if line.startswith("|")]
        assert len(lines) == len(sheet.rows) + 2
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(None, "count", "–"), ("", "", "–"), (1234567, "count", "1,234,567"), (182_893, "share", "18.3 %"),
     (518_686, "error", "+51.9 %"), (-250_000, "error", "-25 %"), ("52587.5", "a day", "52,587.5"), ("ioc", "", "ioc"),
     ("50000", "a day", "50,000")],
)  # fmt: skip
def test_cells_as_a_reader_sees_them(value, unit, text):
    assert cell_text({"k": value}, Column(key="k", heading="h", unit=unit)) == text


@pytest.mark.parametrize(
    ("number", "places", "text"),
    [(Fraction(1, 3), 3, "0.333"), (Fraction(5, 2), 0, "2"), (Fraction(70_000), 0, "70000"), (Fraction(0), 3, "0")],
)
def test_decimals_are_rounded_half_to_even_and_written_plainly(number, places, text):
    assert decimal_text(number, places) == text


def test_figures_have_numbers_and_say_what_they_show(model):
    figures = {figure.name: figure for figure in figure_tables(model)}
    assert set(figures) == {"migration", "paths", "components", "hours", "tornado-dsp", "tornado-dco", "tornado-cp",
                            "tornado-s1sp-foc"}  # fmt: skip
    for figure in figures.values():
        assert len(figure.alt) > 30
        assert all(len(row) == len(figure.columns) for row in figure.rows)
    assert figures["tornado-dsp"].rows[0][0] == "messages-per-meter-per-day"


def test_every_form_is_written_and_twice_the_same(model, foc, tmp_path):
    made = sheets(model)
    written = export(tmp_path / "out", model, made, foc.rows)
    assert {path.name: path.read_bytes() for path in written} == files(model, made, foc.rows)
    assert json.loads((tmp_path / "out" / "model.json").read_text())["phase"] == "foc"
    of_cp = "SELECT sum(messages) FROM read_parquet(?) WHERE component = 'cp'"
    offered = duckdb.execute(of_cp, [str(tmp_path / "out" / "volumes.parquet")]).fetchone()
    assert offered == (sum(row.messages for row in foc.rows if row.component == "cp"),)
    summed = 'SELECT count(*), sum("window") FROM read_parquet(?)'
    rows = duckdb.execute(summed, [str(tmp_path / "out" / "a3.parquet")]).fetchone()
    assert rows == (len(model["a3"]), sum(row["window"] for row in model["a3"]))
    for figure in figure_tables(model):
        drawn = (tmp_path / "out" / f"figure-{figure.name}.svg").read_text()
        assert drawn.startswith("<svg")
        assert "<title>" in drawn
        assert "http" not in drawn.replace("http://www.w3.org/", "")


# --- what changed -----------------------------------------------------------------------------------------------------


def test_between_phases_forecasts_explain_the_change(smets1):
    found = compare(*(Side.of(phase, smets1.programme, phase) for phase in ("moc", "foc")))
    moved = {each.component: (each.old, each.new) for each in found.moved}
    assert moved["s1sp-foc"][0] == 0 < moved["s1sp-foc"][1]
    causes = {cause.input: cause for cause in found.causes}
    assert causes["meters of smets2"].old == "6,700,000"
    assert found.causes[0].input == "meters of smets2"  # the largest
    change = sum(new - old for old, new in moved.values())
    assert abs(found.together + sum(cause.alone or 0 for cause in found.causes) - change) <= len(moved)


def test_a_changed_assumption_says_what_it_alone_adds(template, edited):
    programme = edited(template.programme, ("assumptions.evening-share.value", "0.60"))
    found = compare(Side.of("old", template.programme, "launch"), Side.of("new", programme, "launch"))
    assert [(cause.input, cause.old, cause.new) for cause in found.causes] == [("evening-share", "0.50", "0.60")]
    before, after = ({each.component: getattr(each, side) for each in found.moved} for side in ("old", "new"))
    assert after["storefront"] == before["storefront"] * 12 // 10
    assert found.together == 0


def test_two_causes_bring_more_together_than_alone(template, edited):
    changes = [("assumptions.evening-share.value", "0.60"), ("assumptions.requests-per-customer-per-day.value", "24")]
    found = compare(
        Side.of("old", template.programme, "launch"), Side.of("new", edited(template.programme, *changes), "launch")
    )
    base = sum(each.old for each in found.moved)
    assert {cause.input: cause.alone for cause in found.causes} == {
        "requests-per-customer-per-day": base, "evening-share": base * 2 // 10}  # fmt: skip
    assert found.together == base * 2 // 10  # 2 x 1.2 = 2.4 = 1 + 1 + 0.2 + 0.2


def test_what_has_no_number_of_its_own_is_named(template, edited):
    programme = edited(template.programme, ("volumes.groups.browsing.srvs.0.weight", 5))
    found = compare(Side.of("old", template.programme, "launch"), Side.of("new", programme, "launch"))
    assert [(cause.input, cause.old, cause.new, cause.alone) for cause in found.causes] == [
        ("groups[browsing].srvs[view-page].weight", "9", "5", None)
    ]
    same = compare(Side.of("old", template.programme, "launch"), Side.of("new", template.programme, "launch"))
    assert (same.causes, same.together) == ((), 0)


def test_golden_document_of_the_shipped_programme(model):
    """Where the programme's numbers changed, record the new digest; where the rules did, raise their version too."""
    assert (rules.VOLUME_MODEL, digest(canonical(model))[:16]) == GOLDEN


def test_offered_kinds_are_those_of_tests():
    assert OFFERED == ("request", "alert")


GOLDEN = (2, "b068cb69535ad9fe")
