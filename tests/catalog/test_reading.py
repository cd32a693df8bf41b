"""Reading a catalogue: what is accepted, what is refused and where, and nothing but faults, whatever the bytes."""

import shutil
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from catalogue_edits import MARK, Edit, edited, faults_of
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declarations import FILES, Environment, Mode, ObservedMeasure, TestType
from catalog.errors import DeclarationError, Fault
from catalog.reading import read_catalogue, read_programme
from catalog.text_files import LARGEST
from tests.shops import write_shop

HERE = Path(__file__).parent
INVALID = sorted(path.parent for path in HERE.glob("invalid/*/expected.txt"))
VALID = sorted(path for path in HERE.glob("valid/*") if path.is_dir())


def laid_over(example: Path, folder: Path) -> Path:
    """The template with an example's files laid over it."""
    write_shop(folder)
    shutil.copytree(example, folder, dirs_exist_ok=True)
    return folder


def brief(fault: Fault, folder: Path) -> str:
    return f"{Path(fault.file).relative_to(folder)}:{fault.line}:{fault.column}: {fault.code}"


@pytest.mark.parametrize("example", INVALID, ids=lambda path: path.name)
def test_invalid_example_is_refused_where_it_is_wrong(example: Path, tmp_path: Path) -> None:
    folder = laid_over(example, tmp_path / "shop")
    found = "\n".join(brief(fault, folder) for fault in faults_of(folder))
    assert found == (example / "expected.txt").read_text().strip()
    for fault in faults_of(folder):
        assert fault.hint, fault
        assert fault.source or not (folder / Path(fault.file).name).read_text().strip()


@pytest.mark.parametrize("example", VALID, ids=lambda path: path.name)
def test_valid_example_is_accepted(example: Path, tmp_path: Path) -> None:
    assert faults_of(laid_over(example, tmp_path / "shop")) == []


LATE = 'begins: "22:00", ends: ▶"24:00"'
"""The template's last period, the place of its end marked."""

SHAPES: list[tuple[str, str, str, list[Edit]]] = [
    ("unknown-key", "unknown key 'from_'", "did you mean 'from'?", [("system.yaml", "from: orders", "▶from_: orders")]),
    (
        "unknown-key",
        "unknown key 'titel'",
        "did you mean 'title'?",
        [("system.yaml", "    title: Storefront\n", "    ▶titel: Storefront\n")],
    ),
    (
        "unknown-key",
        "unknown key 'colour'",
        "known: artefact",
        [("system.yaml", "    title: Storefront\n", "    title: Storefront\n    ▶colour: red\n")],
    ),
    (
        "unknown-key",
        "unknown key 'replicas'",
        "known: name, source, standing",
        [("system.yaml", "solution: {name: Storefront,", "solution: {▶replicas: 2, name: Storefront,")],
    ),
    (
        "missing-key",
        "the key 'title' is missing",
        "",
        [
            ("system.yaml", "  - id: storefront\n", "  - ▶id: storefront\n"),
            ("system.yaml", "    title: Storefront\n", ""),
        ],
    ),
    (
        "missing-key",
        "the key 'regression' is missing",
        "",
        [
            ("programme.yaml", "regression:\n  phase: launch\n  types: [load]\n", ""),
            ("programme.yaml", "\nprogramme: w", "\n▶programme: w"),
        ],
    ),
    (
        "missing-key",
        "the key 'traffic' is missing",
        "the label on every message",
        [
            ("volumes.yaml", "    traffic: BAU # the label on every message\n", ""),
            ("volumes.yaml", "id: browse\n", "▶id: browse\n"),
        ],
    ),
    (
        "unknown-value",
        "expected one of tested, excluded, outside; found the text 'exclude'",
        "did you mean 'excluded'?",
        [("system.yaml", "scope: excluded", "scope: ▶exclude")],
    ),
    (
        "unknown-value",
        "expected one of load, catch-up, stress, soak, regression, scaling, negative-path; found the text 'laod'",
        "did you mean 'load'?",
        [("environments.yaml", "{load: 6 s", "{▶laod: 6 s")],
    ),
    (
        "pattern",
        "expected lower-case letters, digits and hyphens",
        "",
        [("system.yaml", "id: paying", "id: ▶Paying_Out")],
    ),
    (
        "pattern",
        "expected the id of a component, or role: and a role",
        "",
        [("system.yaml", "[shopper, storefront]", '[shopper, ▶"rolle:orders"]')],
    ),
    ("pattern", "expected lower-case letters", "", [("environments.yaml", "orders: 25", "▶Orders: 25")]),
    (
        "pattern",
        "expected an http:// or https:// URL",
        "",
        [("environments.yaml", "    seed: ", "    entries: {orders: ▶ftp://x}\n    seed: ")],
    ),
    ("too-long", "expected at most 64 characters; found 65", "", [("system.yaml", "id: paying", f"id: ▶{'a' * 65}")]),
    ("empty", "expected some text; found nothing", "", [("system.yaml", "title: Paying", 'title: ▶" "')]),
    (
        "empty",
        "expected at least 1 in this list; found 0",
        "",
        [
            (
                "tests.yaml",
                "tests: [load, stress, soak]\n    success_criteria: Every requirement for the o",
                "tests: ▶[]\n    success_criteria: o",
            )
        ],
    ),
    ("type", "expected text; found nothing", "", [("system.yaml", "    title: Storefront\n", "    title:▶\n")]),
    (
        "type",
        "expected text; found the number 1.10",
        "put it in quotes",
        [("programme.yaml", 'version: "0.1"', "version: ▶1.10")],
    ),
    (
        "type",
        "expected text; found 'true'",
        "put it in quotes",
        [("system.yaml", "title: Storefront\n", "title: ▶true\n")],
    ),
    (
        "type",
        "expected a whole number; found the text '6'",
        "write it without quotes",
        [("environments.yaml", "orders: {workers: 6", 'orders: {workers: ▶"6"')],
    ),
    (
        "type",
        "expected a whole number; found 'true'",
        "",
        [("environments.yaml", "orders: {workers: 6", "orders: {workers: ▶true")],
    ),
    (
        "type",
        "expected a whole number; found the number 6.0",
        "",
        [("environments.yaml", "orders: {workers: 6", "orders: {workers: ▶6.0")],
    ),
    (
        "type",
        "expected a whole number; found the text '0x10'",
        "",
        [("environments.yaml", "orders: {workers: 6", "orders: {workers: ▶0x10")],
    ),
    (
        "type",
        "expected a whole number; found the text '010'",
        "",
        [("environments.yaml", "orders: {workers: 6", "orders: {workers: ▶010")],
    ),
    (
        "type",
        "expected a number; found the text '0.16'",
        "write it without quotes",
        [("assumptions.yaml", "value: 0.16", 'value: ▶"0.16"')],
    ),
    ("type", "expected a number; found 'true'", "", [("assumptions.yaml", "value: 0.16", "value: ▶true")]),
    (
        "type",
        "expected a duration, such as '30 s'; found the number 6",
        "write the unit",
        [("environments.yaml", "{load: 6 s", "{load: ▶6")],
    ),
    (
        "type",
        "expected a number and a unit, such as '250 ms'; found a mapping",
        "",
        [("requirements.yaml", "limit: 8 KiB", "limit: ▶{value: 8192, unit: bytes}")],
    ),
    (
        "type",
        "expected text or a whole number or true or false; found a list",
        "",
        [("system.yaml", "cache: on-disk", "cache: ▶[on, disk]")],
    ),
    (
        "type",
        "expected text or a whole number or true or false; found the number 1.5",
        "put it in quotes",
        [("system.yaml", "cache: on-disk", "cache: ▶1.5")],
    ),
    (
        "type",
        "expected a list; found the text 'orders'",
        "",
        [("volumes.yaml", "served_by: [orders]", "served_by: ▶orders")],
    ),
    (
        "type",
        "expected a mapping of keys to values; found the text 'fast'",
        "",
        [("environments.yaml", "orders: {workers: 1, service: 32 ms}", "orders: ▶fast")],
    ),
    (
        "type",
        "expected a mapping of keys to values; found a list",
        "",
        [("environments.yaml", "rates: {default: 1, orders: 25}", "rates: ▶[1, 25]")],
    ),
    (
        "range",
        "expected 1 or more; found 0",
        "",
        [("environments.yaml", "orders: {workers: 6", "orders: {workers: ▶0")],
    ),
    ("range", "expected 30 or more; found 29", "", [("tests.yaml", "blocks: 40 #", "blocks: ▶29 #")]),
    (
        "range",
        "expected 100 or more; found 99",
        "",
        [("volumes.yaml", "cohorts:", "sensitivity: {draws: ▶99}\ncohorts:")],
    ),
    (
        "pattern",
        "expected a time of day from 00:00 to 24:00",
        "",
        [("volumes.yaml", LATE.replace(MARK, ""), LATE.replace("24:00", "25:00"))],
    ),
    (
        "pattern",
        "expected a time of day",
        "",
        [("volumes.yaml", LATE.replace(MARK, ""), LATE.replace("24:00", "24:01"))],
    ),
    ("pattern", "expected a time of day", "", [("volumes.yaml", 'begins: "20:00"', 'begins: ▶"8:00"')]),
    (
        "type",
        "expected text; found the number 22",
        "put it in quotes",
        [("volumes.yaml", LATE.replace(MARK, ""), LATE.replace('"24:00"', "22"))],
    ),
    (
        "pattern",
        "expected a month and a day, such as 04-01",
        "",
        [("volumes.yaml", "weekdays: [saturday, sunday]", 'dates: ["04-01", ▶"13-01"]')],
    ),
    (
        "unknown-value",
        "expected one of monday, tuesday",
        "did you mean 'saturday'?",
        [("volumes.yaml", "weekdays: [saturday, sunday]", "weekdays: [▶saterday, sunday]")],
    ),
    (
        "unknown-value",
        "expected one of scheduled, future-dated, on-demand",
        "did you mean 'scheduled'?",
        [("volumes.yaml", "share: basket-share", "share: basket-share\n    modes: {▶schedule: basket-share}")],
    ),
    ("pattern", "expected a date, such as 2020-06-30", "", [("forecasts.csv", "2026-12-31", "▶31.12.2026")]),
    (
        "unknown-value",
        "expected one of customers, thousand customers",
        "did you mean 'thousand customers'?",
        [("forecasts.csv", "50000,customers", "50,▶thousand costumers")],
    ),
    ("range", "expected 200000000 or less; found 200000001", "", [("forecasts.csv", "50000,c", "▶200000001,c")]),
    ("type", "expected a whole number; found the text 'inf'", "", [("forecasts.csv", "50000,c", "▶inf,c")]),
    ("type", "expected a whole number; found the text '1.5'", "", [("forecasts.csv", "50000,c", "▶1.5,c")]),
    ("range", "expected 0 or more; found -0.16", "", [("assumptions.yaml", "value: 0.16", "value: ▶-0.16")]),
    ("range", "expected at most 24 digits", "", [("assumptions.yaml", "value: 0.16", f"value: ▶0.{'1' * 25}")]),
    ("quantity", "expected a number and a unit", "", [("requirements.yaml", "limit: 8 KiB", "limit: ▶8 kilo")]),
    ("quantity", "'1.5 us' is not a whole number of us", "", [("tests.yaml", "duration: 4 h", "duration: ▶1.5 us")]),
    (
        "quantity",
        "expected a duration such as '30 s' or '8 h'; found '4 KiB'",
        "",
        [("tests.yaml", "duration: 4 h", "duration: ▶4 KiB")],
    ),
    ("number", "expected a number written out, found '1e3'", "", [("assumptions.yaml", "value: 0.16", "value: ▶1e3")]),
    (
        "number",
        "expected a number written out, found '.inf'",
        "",
        [("assumptions.yaml", "value: 0.16", "value: ▶.inf")],
    ),
    (
        "number",
        "expected a number written out, found '.NaN'",
        "",
        [("assumptions.yaml", "value: 0.16", "value: ▶.NaN")],
    ),
    (
        "number",
        "is larger than any number that can be recorded exactly",
        "",
        [("system.yaml", "cache: on-disk", f"cache: ▶{2**53}")],
    ),
    ("number", "is larger than any number", "", [("system.yaml", "cache: on-disk", f"cache: ▶{'9' * 5000}")]),
    (
        "quantity",
        "expected a number of at most 40 characters; found 5000",
        "look at the number",
        [("requirements.yaml", "limit: 98 %", f"limit: ▶{'9' * 5000} %")],
    ),
    (
        "type",
        "expected a whole number; found the text '9999",
        "write digits only, 15 of them at most",
        [("forecasts.csv", "2026-12-31,200000", f"2026-12-31,▶{'9' * 31}")],
    ),
    (
        "file-outside",
        "expected a file in the catalogue's folder",
        "",
        [("volumes.yaml", "forecasts: forecasts.csv", "forecasts: ▶../forecasts.csv")],
    ),
    (
        "file-outside",
        "expected a file in the catalogue's folder",
        "",
        [("volumes.yaml", "forecasts: forecasts.csv", "forecasts: ▶/etc/passwd")],
    ),
    (
        "missing-file",
        "there is no file 'forecast.csv'",
        "did you mean 'forecasts.csv'?",
        [("volumes.yaml", "forecasts: forecasts.csv", "forecasts: ▶forecast.csv")],
    ),
]


@pytest.mark.parametrize(
    ("code", "message", "hint", "edits"), SHAPES, ids=[f"{i}-{row[0]}" for i, row in enumerate(SHAPES)]
)
def test_misshapen_value_is_explained_where_it_stands(
    code: str, message: str, hint: str, edits: list[Edit], tmp_path: Path
) -> None:
    place = edited(tmp_path / "shop", *edits)
    faults = faults_of(tmp_path / "shop")
    assert [(fault.code, fault.file, fault.line, fault.column) for fault in faults] == [(code, *place)]
    assert message in faults[0].message
    assert faults[0].hint
    assert hint in faults[0].hint


def test_a_fault_shows_its_line_with_a_caret_under_the_value(tmp_path: Path) -> None:
    file, line, column = edited(tmp_path / "shop", ("system.yaml", "scope: excluded", "scope: ▶exclude"))
    with pytest.raises(DeclarationError) as caught:
        read_programme(tmp_path / "shop")
    assert str(caught.value).splitlines() == [
        f"{file}:{line}:{column}: unknown-value: expected one of tested, excluded, outside; found the text 'exclude'",
        f"  {line} |     scope: exclude # see scope.yaml: what is not tested needs a rationale there",
        f"  {' ' * len(str(line))} |            ^",
        "  hint: did you mean 'excluded'?",
        "1 fault",
    ]


def test_columns_count_characters_not_bytes(tmp_path: Path) -> None:
    place = edited(tmp_path / "shop", ("system.yaml", "title: Ordering, from", "title: Zahlung für Müller, ▶form"))
    faults = faults_of(tmp_path / "shop")
    assert [(fault.code, fault.file, fault.line, fault.column) for fault in faults] == [("unknown-key", *place)]


def test_faults_of_all_files_are_reported_at_once_in_order(tmp_path: Path) -> None:
    edited(
        tmp_path / "shop",
        ("volumes.yaml", "weight: 9", "weight: nine"),
        ("assumptions.yaml", "unit: share", "unti: share"),
        ("forecasts.csv", "200000", "many"),
        ("scope.yaml", "included:", "included: ["),
        ("tests.yaml", "duration: 4 h", "duration: 4 hours"),
    )
    (tmp_path / "shop" / "requirements.yaml").unlink()
    found = [(Path(fault.file).name, fault.code) for fault in faults_of(tmp_path / "shop")]
    assert found == [
        *[("assumptions.yaml", "unknown-key")] * 5,
        ("forecasts.csv", "type"),
        ("requirements.yaml", "missing-file"),
        ("scope.yaml", "yaml"),
        ("tests.yaml", "quantity"),
        ("volumes.yaml", "type"),
    ]


def test_many_faults_of_one_file_are_bounded(tmp_path: Path) -> None:
    bad = "x,y,soon,late,-1,-1,miles,1,no,\n"
    edited(tmp_path / "shop", ("forecasts.csv", "launch,customers,2026-06", bad * 5000 + "launch,customers,2026-06"))
    assert len(faults_of(tmp_path / "shop")) == 500


def test_missing_file_suggests_the_one_that_was_meant(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "scope.yaml").rename(tmp_path / "shop" / "scopes.yaml")
    (fault,) = faults_of(tmp_path / "shop")
    assert (fault.file, fault.code, fault.hint) == (
        str(tmp_path / "shop" / "scope.yaml"),
        "missing-file",
        "did you mean 'scopes.yaml'?",
    )


def test_a_missing_file_is_not_to_be_replaced_by_another_that_is_needed(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "programme.yaml").unlink()
    (fault,) = faults_of(tmp_path / "shop")
    assert fault.hint == "`plimsoll init DIR` makes a catalogue with every file"


def test_endless_names_and_lines_are_cut_short_around_the_fault(tmp_path: Path) -> None:
    name = "n" * 5000
    edited(tmp_path / "shop", ("volumes.yaml", "forecasts: forecasts.csv", f"forecasts: {name}"))
    for folder in (tmp_path / "shop", tmp_path / name):
        assert all(len(line) < 500 for fault in faults_of(folder) for line in fault.render().splitlines())
    edited(tmp_path / "wide", ("system.yaml", "from: orders", f"titel: '{'w' * 400}', from: orders, ▶form: 1"))
    source, caret = faults_of(tmp_path / "wide")[-1].render().splitlines()[1:3]
    assert len(source) < 150
    assert source[caret.index("^") :].startswith("form: 1")


def test_missing_folder_is_one_fault(tmp_path: Path) -> None:
    assert [fault.code for fault in faults_of(tmp_path / "nowhere")] == ["missing-folder"]


def test_a_folder_in_place_of_a_file_is_a_fault(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "scope.yaml").unlink()
    (tmp_path / "shop" / "scope.yaml").mkdir()
    assert [fault.code for fault in faults_of(tmp_path / "shop")] == ["not-a-file"]


def test_a_link_out_of_the_folder_is_not_followed_for_named_files(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "forecasts.csv").rename(tmp_path / "elsewhere.csv")
    (tmp_path / "shop" / "forecasts.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert [fault.code for fault in faults_of(tmp_path / "shop")] == ["file-outside"]


def test_a_file_beyond_all_measure_is_refused_unread(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "scope.yaml").write_bytes(b"#" * (LARGEST + 1))
    assert [fault.code for fault in faults_of(tmp_path / "shop")] == ["too-large"]


def test_paths_are_shown_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "scope.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    assert [fault.file for fault in faults_of(tmp_path / "shop")] == ["shop/scope.yaml"]
    assert [fault.file for fault in faults_of(Path("shop"))] == ["shop/scope.yaml"]


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    plain = read_programme(tmp_path / "shop")
    for path in (tmp_path / "shop").glob("*.*"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_programme(tmp_path / "shop") == plain


def test_numbers_are_exact(tmp_path: Path) -> None:
    edited(tmp_path / "shop", ("assumptions.yaml", "value: 0.16", "value: 0.1234567890123456789012"))
    value = read_programme(tmp_path / "shop").assumption("basket-share").value
    assert (type(value), str(value)) == (Decimal, "0.1234567890123456789012")


def test_words_that_yaml_1_1_took_for_booleans_are_text(tmp_path: Path) -> None:
    edited(tmp_path / "shop", ("system.yaml", "cache: on-disk", "cache: on, country: no, day: 2026-01-05, hot: true"))
    configuration = read_programme(tmp_path / "shop").component("storefront").configuration
    assert configuration == {"cache": "on", "country": "no", "day": "2026-01-05", "hot": True, "replicas": 2}


def test_quoted_cells_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    edited(
        tmp_path / "shop",
        ("forecasts.csv", "Business plan 2026, table 3", 'The ""plan"",\nin two lines'),
    )
    assert {row.source for row in read_programme(tmp_path / "shop").forecasts} == {'The "plan",\nin two lines'}


def test_places_after_a_cell_of_two_lines_are_still_right(tmp_path: Path) -> None:
    place = edited(
        tmp_path / "shop",
        ("forecasts.csv", '1,agreed,"Business plan 2026, table 3"', '1,agreed,"two\nlines"'),
        ("forecasts.csv", "200000,c", "▶many,c"),
    )
    (fault,) = faults_of(tmp_path / "shop")
    assert (fault.file, fault.line, fault.column) == place


def test_digests_name_every_file_by_its_bytes(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    digests = read_catalogue(tmp_path / "shop").digests
    assert set(digests) == {*FILES, "forecasts.csv", "messages.csv"}
    assert digests == {name: sha256((tmp_path / "shop" / name).read_bytes()).hexdigest() for name in digests}


def test_files_that_volumes_yaml_may_name_are_read_when_it_does(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    plain = read_catalogue(tmp_path / "shop")
    assert (plain.programme.migration_plans, plain.programme.observed_volumes) == ((), ())
    assert not {"migration_plans", "observed_volumes"} & set(plain.documents)
    observed = (
        "begins,ends,measure,generation,value,standing,source\n2026-03-31,2026-03-31,meters,,41000,agreed,Till roll\n"
    )
    (tmp_path / "shop" / "observed.csv").write_text(observed)
    edited_file = tmp_path / "shop" / "volumes.yaml"
    edited_file.write_text(edited_file.read_text().replace("\ncohorts:", "\nobserved_volumes: observed.csv\ncohorts:"))
    read = read_catalogue(tmp_path / "shop")
    (row,) = read.programme.observed_volumes
    assert (row.measure, row.generation, row.value) == (ObservedMeasure.METERS, "", 41_000)
    assert set(read.digests) - set(plain.digests) == {"observed.csv"}
    assert read.documents["observed_volumes"].file.endswith("shop/observed.csv")
    (tmp_path / "shop" / "observed.csv").unlink()
    assert [fault.code for fault in faults_of(tmp_path / "shop")] == ["missing-file"]


@pytest.mark.parametrize(
    ("unit", "counted", "prepayment"),
    [("customers", 50_000, None), ("thousand customers", 50_000_000, 7_000), ("meters", 50_000, None)],
)
def test_forecasts_are_counted_in_the_programmes_own_word_whatever_their_unit(
    unit: str, counted: int, prepayment: int | None, tmp_path: Path
) -> None:
    known = "" if prepayment is None else str(prepayment // 1000)
    edited(
        tmp_path / "shop",
        ("forecasts.csv", "customers,unit", "customers,prepayment_meters,unit"),
        ("forecasts.csv", "00,customers,1,", f"00,,{unit},1,"),
        ("forecasts.csv", "50000,,", f"50000,{known},"),
    )
    first = read_programme(tmp_path / "shop").forecasts[0]
    assert (first.counted, first.counted_prepayment) == (counted, prepayment)


def test_the_register_says_how_a_message_may_be_asked_for(tmp_path: Path) -> None:
    columns = ("critical\n", "critical,future_dated_pattern,dcc_scheduled\n")
    edited(
        tmp_path / "shop",
        ("messages.csv", *columns),
        ("messages.csv", ",no\n", ",no,No,yes\n"),
        ("messages.csv", "an order,yes\n", "an order,yes,Device,no\n"),
    )
    registered = read_programme(tmp_path / "shop").registered
    assert [mode for mode in Mode if registered["place-order"].allows(mode)] == [Mode.FUTURE_DATED, Mode.ON_DEMAND]
    assert [mode for mode in Mode if registered["search"].allows(mode)] == [Mode.SCHEDULED, Mode.ON_DEMAND]
    write_shop(tmp_path / "plain")
    bare = read_programme(tmp_path / "plain").registered["search"]
    assert [mode for mode in Mode if bare.allows(mode)] == [Mode.ON_DEMAND]


def test_a_variant_is_filled_in_with_what_it_extends(tmp_path: Path) -> None:
    grandchild = (
        "  - {id: third, title: Third, extends: rehearsal-slow-orders, seed: 7, durations: {load: 5 s},\n"
        "     components: {storefront: {workers: 2, service: 1 s}}}\n"
    )
    edited(tmp_path / "shop", ("environments.yaml", "environments:\n", f"environments:\n{grandchild}"))
    programme = read_programme(tmp_path / "shop")
    base, third = programme.environment("rehearsal"), programme.environment("third")
    assert [environment.id for environment in programme.environments] == ["third", "rehearsal", "rehearsal-slow-orders"]
    assert (third.seed, third.title, third.connections, third.rates) == (7, "Third", base.connections, base.rates)
    assert third.durations == {**base.durations, TestType.LOAD: 5_000_000}
    assert (third.components["orders"].workers, third.components["storefront"].workers) == (1, 2)
    assert Environment.model_validate(third.model_dump()) == third


@given(st.dictionaries(st.sampled_from([*FILES, "forecasts.csv", "messages.csv"]), st.binary(max_size=200), max_size=3))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "shop"
    write_shop(folder)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    faults_of(folder)  # raises anything but DeclarationError: the test fails


SNIPPETS = [
    "",
    ":",
    "- ",
    "{",
    "[",
    "]",
    '"',
    "'",
    "&a ",
    "*a",
    "!x ",
    "|\n",
    ">",
    "#",
    "? ",
    "\n",
    "\r",
    "\t",
    ",",
    "0",
    "-1",
    "1e9",
    ".inf",
    "~",
    "true",
    "extends",
    "id: orders\n",
    "\ufeff",
    "\x00",
    "\x85",
    "é",
    "🜂",
    "<<: ",
    "---\n",
    "%",
]


@given(
    st.sampled_from([*FILES, "forecasts.csv", "messages.csv"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(SNIPPETS)), min_size=1, max_size=4),
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_any_edit_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, edits: list[tuple[float, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "shop"
    write_shop(folder)
    text = (folder / name).read_text(encoding="utf-8")
    for where, length, snippet in edits:
        start = int(where * len(text))
        text = text[:start] + snippet + text[start + length :]
    (folder / name).write_bytes(text.encode())
    for fault in faults_of(folder):
        lines = text.splitlines()
        assert fault.column >= 1
        assert 1 <= fault.line <= len(lines) + 1 or Path(fault.file).name != name
        assert MARK not in fault.render()


HOSTILE = {
    "more values than anyone declares": ("scope.yaml", "included: [" + "1," * 200_000 + "]", "too-much"),
    "more cells than anyone forecasts": ("forecasts.csv", "," * 200_000, "too-much"),
    "endless brackets": ("scope.yaml", "[" * 1_000_000, "too-deep"),
    "endless braces": ("scope.yaml", "{" * 1_000_000, "too-deep"),
    "endless question marks": ("scope.yaml", "? " * 500_000, "too-deep"),
    "endless aliases": ("scope.yaml", "included: &a\n" + "  - *a\n" * 100_000, "alias"),
    "endless tabs": ("scope.yaml", "\t\n" * 500_000, "tab"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_without_being_taken_in(name: str, tmp_path: Path) -> None:
    file, text, code = HOSTILE[name]
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / file).write_text(text)
    faults = faults_of(tmp_path / "shop")
    assert len(faults) <= 500
    assert faults[-1].code == code


@pytest.mark.parametrize("name", ["a" * 5000, "a/" * 3000 + "b"])
def test_a_name_that_no_disk_holds_is_a_fault(name: str, tmp_path: Path) -> None:
    edited(tmp_path / "shop", ("volumes.yaml", "forecasts: forecasts.csv", f"forecasts: {name}"))
    assert [fault.code for fault in faults_of(tmp_path / "shop")] == ["unreadable"]


def test_a_link_to_itself_is_a_fault(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "shop" / "forecasts.csv").unlink()
    (tmp_path / "shop" / "forecasts.csv").symlink_to("forecasts.csv")
    assert [fault.code for fault in faults_of(tmp_path / "shop")] == ["missing-file"]


def test_a_long_chain_of_variants_is_filled_in(tmp_path: Path) -> None:
    chain = "".join(
        f"  - {{id: v{i}, title: V, extends: {f'v{i + 1}' if i < 2000 else 'rehearsal'}}}\n" for i in range(2001)
    )
    edited(tmp_path / "shop", ("environments.yaml", "environments:\n", f"environments:\n{chain}"))
    programme = read_programme(tmp_path / "shop")
    assert programme.environment("v0").components == programme.environment("rehearsal").components


def test_a_programme_without_a_word_of_its_own_counts_meters_and_one_with_is_recorded_as_if(tmp_path: Path) -> None:
    """What is recorded has the one name, so that evidence is read alike whatever a programme calls it."""
    edited(tmp_path / "own")
    edited(
        tmp_path / "plain",
        ("volumes.yaml", "counted: customers #", "#"),
        ("forecasts.csv", "customers,unit", "meters,unit"),
        ("forecasts.csv", "00,customers,1", "00,meters,1"),
    )
    own, plain = (read_programme(tmp_path / name).model_dump(mode="json") for name in ("own", "plain"))
    assert own["volumes"].pop("counted") == "customers"
    assert own == plain
    assert own["forecasts"][0]["meters"] == 50_000


def test_a_column_that_is_missing_is_told_in_the_programmes_own_word(tmp_path: Path) -> None:
    edited(tmp_path / "shop", ("forecasts.csv", "ends,customers,unit", "ends,custom,unit"))
    [missing, unknown] = faults_of(tmp_path / "shop")
    assert (missing.code, unknown.code) == ("missing-column", "unknown-column")
    assert missing.message.endswith("customers not found")
    assert "meters" not in missing.message
