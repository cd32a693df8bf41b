"""Another system is another folder: nothing outside catalog/smets1 knows the shipped programme and its parties."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RINGS = ("catalog", "expectations", "tasks", "flows")
SHIPPED = ROOT / "catalog" / "smets1"
READ = {".py", ".yaml", ".csv", ".json", ".html", ".css", ".js", ".md"}
FILES = sorted(
    path
    for ring in RINGS
    for path in (ROOT / ring).rglob("*")
    if path.suffix in READ and SHIPPED not in path.parents and "__pycache__" not in path.parts
)

WORDS = re.compile(
    r"(?<![a-z])(smets\w*|dcc\w*|s1sps?|srvs?|dsps?|csps?|dcos?|duis|meters?|prepayment|ioc|moc|foc|lsc|gbcs|hhu|ihd)(?![a-z])",
    re.IGNORECASE,
)
"""The programme's name, its parties, components and phases, and the words of its trade, alone or as part of a name."""

ALLOWED: dict[str, tuple[str, frozenset[str]]] = {
    r"srvs?": (
        "The kind of a message: `srv` is a column of every results table that was ever recorded; view-page, for one.",
        frozenset(),
    ),
    r"meters?|prepayment": (
        "What forecasts count, as it is recorded; a programme says what it calls it (`counted` in volumes.yaml).",
        frozenset(
            {
                "catalog/agreement/forecasts.py",
                "catalog/agreement/volumes.py",
                "catalog/csv_files.py",
                "catalog/declarations.py",
                "catalog/reading.py",
                "catalog/routes.py",
                "catalog/schemas/assumptions.schema.json",
                "catalog/schemas/volumes.schema.json",
                "expectations/inputs.py",
                "tasks/report/model.py",
                "tasks/report/volumes.py",
                "tasks/stand_up.py",
                "tasks/volumes/backtest.py",
                "tasks/volumes/compare.py",
                "tasks/volumes/days.py",
                "tasks/volumes/model.py",
                "tasks/volumes/sheets.py",
                "tasks/volumes/streams.py",
                "tasks/volumes/tables.py",
            }
        ),
    ),
    r"meter": (
        "What an emulated component counts its messages with.",
        frozenset({"tasks/emulate/component.py", "tasks/emulate/meter.py"}),
    ),
    r"duis|dcc\w*": (
        "A published message format, one codec in the table of them, whose elements are called so.",
        frozenset(
            {
                "catalog/declarations.py",
                "catalog/extensions.py",
                "catalog/schemas/system.schema.json",
                "tasks/codecs/duis.py",
            }
        ),
    ),
    r"dcc_scheduled": (
        "A column of the register of messages, as it is published; a register without it needs none.",
        frozenset({"catalog/agreement/volumes.py", "catalog/declarations.py"}),
    ),
    r"csp_hash": ("Content Security Policy.", frozenset({"catalog/inspection/page.py", "tasks/report/render.py"})),
    r"smets1": ("The default of `--catalog`.", frozenset({"flows/cli.py"})),
}
"""Words, why they may stand outside the folder, and where (nowhere named: anywhere)."""


def found(path: Path) -> Iterator[str]:
    """Every one of the words that stands in a file, with whatever it is joined to by an underscore."""
    for match in re.finditer(r"[A-Za-z0-9_]+", path.read_text(encoding="utf-8")):
        parts = re.split(r"(?<=[a-z0-9])(?=[A-Z])|_", match[0])
        if any(WORDS.fullmatch(part) for part in [match[0], *parts]):
            yield match[0]


def allowed(word: str, place: str) -> bool:
    parts = [each for each in [word, *re.split(r"(?<=[a-z0-9])(?=[A-Z])|_", word)] if WORDS.fullmatch(each)]
    return all(
        any(
            re.fullmatch(pattern, candidate, re.IGNORECASE) and (not places or place in places)
            for pattern, (_, places) in ALLOWED.items()
            for candidate in (word, part)
        )
        for part in parts
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_outside_its_folder_knows_the_shipped_programme(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    assert not {word for word in found(path) if not allowed(word, place)}


def test_what_is_allowed_is_needed() -> None:
    """An entry that nothing needs any more goes, and so does a place."""
    for pattern, (_, places) in ALLOWED.items():
        for place in places:
            words = found(ROOT / place)
            assert any(
                re.fullmatch(pattern, each, re.IGNORECASE)
                for word in words
                for each in [word, *re.split(r"(?<=[a-z0-9])(?=[A-Z])|_", word)]
            ), (pattern, place)


def test_the_words_are_those_that_the_shipped_programme_is_told_in() -> None:
    """The pattern finds them where they belong, so that it would find them elsewhere."""
    there = {word.lower() for path in SHIPPED.iterdir() for word in WORDS.findall(path.read_text(encoding="utf-8"))}
    assert {"s1sp", "dsp", "dco", "duis", "srv", "meters", "ioc", "moc", "foc"} <= there
    assert any(word.startswith("smets") for word in there)


def test_the_template_and_the_examples_know_none_of_its_words_but_the_kind_of_a_message() -> None:
    folders = [ROOT / "catalog" / "template", *(ROOT / "catalog" / "examples").iterdir()]
    for path in (path for folder in folders for path in folder.iterdir() if path.suffix in READ):
        assert {word.lower() for word in found(path)} <= {"srv", "srvs", "srv_register"}, path
